package correlate

import (
	"math"
	"testing"
)

// planted is what an effect does by two ways, each by a kernel.
type planted struct {
	a, b, direct float64
	kernel, past Kernel
}

// twoWays draws hours of a stimulus, a mediator moved by it and an outcome moved
// by both, with autocorrelated noise and bursts that nothing explains.
func twoWays(seed uint64, n int, truth planted) *MediationInput {
	r := source(seed)
	n += wayLags // that are looked back on
	in := &MediationInput{make([]float64, n), make([]float64, n), make([]float64, n)}
	var z, e1, e2 float64
	noise := make([]float64, n)
	for t := range n {
		z *= 0.8
		if r.Float64() < 0.08 {
			z += 10 * math.Exp(r.NormFloat64())
		}
		e1 = 0.5*e1 + 3*r.NormFloat64()
		e2 = 0.5*e2 + 3*r.NormFloat64()
		if r.Float64() < 0.01 {
			e2 += 100
		}
		in.Stimulus[t] = z
		in.Mediator[t] = truth.a*z + e1
		noise[t] = e2
	}
	past := make([]float64, n)
	truth.kernel.Lags, truth.past.Lags = wayLags, wayLags
	truth.kernel.Convolve(in.Outcome, in.Mediator)
	truth.past.Convolve(past, in.Stimulus)
	for t, v := range in.Outcome {
		in.Outcome[t] = truth.direct*past[t] + truth.b*v + noise[t]
	}
	return in
}

func TestMediateFindsThePlantedWays(t *testing.T) {
	const brands = 200
	for name, tt := range map[string]planted{
		"all through the mediator":                                       {a: 0.8, b: 1.5},
		"nothing through the mediator":                                   {b: 1.5, direct: 0.7},
		"both ways":                                                      {a: 0.5, b: 0.8, direct: 0.4},
		"no effect at all":                                               {b: 0.8},
		"a mediator that moves nothing":                                  {a: 0.5, direct: 0.4},
		"a direct way against the mediated":                              {a: 0.5, b: 1, direct: -0.3},
		"all through a mediator that acts an hour later":                 {a: 0.8, b: 1.5, kernel: Kernel{Delay: 1}},
		"all through a mediator that acts three hours later":             {a: 0.8, b: 1.5, kernel: Kernel{Delay: 3}},
		"all through a mediator that acts for hours":                     {a: 0.8, b: 1.5, kernel: Kernel{HalfLife: 3}},
		"all through a mediator that acts for hours, after two":          {a: 0.8, b: 1.5, kernel: Kernel{Delay: 2, HalfLife: 4}},
		"nothing through a mediator that acts three hours later":         {b: 1.5, direct: 0.7, kernel: Kernel{Delay: 3}},
		"both ways, and the mediator acts an hour later":                 {a: 0.5, b: 0.8, direct: 0.4, kernel: Kernel{Delay: 1}},
		"both ways, and the mediator acts for hours":                     {a: 0.5, b: 0.8, direct: 0.4, kernel: Kernel{HalfLife: 3}},
		"both ways take an hour":                                         {a: 0.5, b: 0.8, direct: 0.4, kernel: Kernel{Delay: 1}, past: Kernel{Delay: 1}},
		"the mediator acts at once, and what goes past it an hour later": {a: 0.5, b: 0.8, direct: 0.4, past: Kernel{Delay: 1}},
		"a mediator that moves nothing, and orders come an hour later":   {a: 0.5, direct: 0.4, past: Kernel{Delay: 1}},
		"a direct way of hours against a mediated one of hours":          {a: 0.5, b: 1, direct: -0.3, kernel: Kernel{Delay: 1, HalfLife: 2}, past: Kernel{HalfLife: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			var total, mediated, direct, width float64
			heldM, heldD := 0, 0
			for seed := range uint64(brands) {
				m, ok := Mediate(twoWays(seed, 35*24, tt))
				if !ok {
					t.Fatal("no mediation")
				}
				if math.Abs(m.Total-m.Mediated-m.Direct) > 1e-12 {
					t.Fatalf("%+v does not add up", m)
				}
				total += m.Total / brands
				mediated += m.Mediated / brands
				direct += m.Direct / brands
				width += (m.MediatedHigh - m.MediatedLow) / 2 / brands
				if m.MediatedLow <= tt.a*tt.b && tt.a*tt.b <= m.MediatedHigh {
					heldM++
				}
				if m.DirectLow <= tt.direct && tt.direct <= m.DirectHigh {
					heldD++
				}
			}
			t.Logf("mediated %.3f of %.3f ± %.3f, direct %.3f of %.3f, held %.1f %% and %.1f %%", mediated, tt.a*tt.b, width, direct, tt.direct,
				100*float64(heldM)/brands, 100*float64(heldD)/brands)
			for name, off := range map[string]float64{"total": total - tt.a*tt.b - tt.direct, "mediated": mediated - tt.a*tt.b, "direct": direct - tt.direct} {
				if math.Abs(off) > 0.02 {
					t.Errorf("the %s effect is off by %.3f on average", name, off)
				}
			}
			for name, held := range map[string]int{"mediated": heldM, "direct": heldD} {
				if rate := float64(held) / brands; rate < 0.9 {
					t.Errorf("%.3f of the intervals hold the %s effect", rate, name)
				}
			}
		})
	}
}

// Where no residual is bounded nor followed by its like, Total is the slope of
// the outcome on the stimulus alone, by ordinary least squares.
func TestMediateTotalIsTheSlopeWithoutTheMediator(t *testing.T) {
	in := twoWays(7, 400, planted{a: 0.5, b: 0.8, direct: 0.4})
	for i := range in.Outcome {
		in.Outcome[i] = 0.4*in.Stimulus[i] + 0.8*in.Mediator[i] + float64(1-2*(i/2%2))
	}
	m, ok := Mediate(in)
	if !ok {
		t.Fatal("no mediation")
	}
	var meanZ, meanY, zz, zy float64
	z, y := in.Stimulus[wayLags:], in.Outcome[wayLags:]
	for i := range z {
		meanZ += z[i] / 400
		meanY += y[i] / 400
	}
	for i := range z {
		zz += (z[i] - meanZ) * (z[i] - meanZ)
		zy += (z[i] - meanZ) * (y[i] - meanY)
	}
	if math.Abs(m.Total-zy/zz) > 0.01 {
		t.Errorf("the total effect is %v, the slope %v", m.Total, zy/zz)
	}
}

func TestMediateRefusesWhatCannotBeSplit(t *testing.T) {
	good := twoWays(1, 400, planted{a: 0.5, b: 0.8, direct: 0.4})
	flat := make([]float64, len(good.Stimulus))
	for name, in := range map[string]*MediationInput{
		"a day":                               twoWays(1, 24, planted{a: 0.5, b: 0.8, direct: 0.4}),
		"a flat stimulus":                     {flat, good.Mediator, good.Outcome},
		"a flat mediator":                     {good.Stimulus, flat, good.Outcome},
		"a mediator that is the stimulus":     {good.Stimulus, good.Stimulus, good.Outcome},
		"sides of different lengths":          {good.Stimulus, good.Mediator, good.Outcome[1:]},
		"a mediator that is a part of itself": {good.Stimulus, scale(good.Stimulus, -3), good.Outcome},
	} {
		t.Run(name, func(t *testing.T) {
			if m, ok := Mediate(in); ok {
				t.Errorf("split into %+v", m)
			}
		})
	}
}

func scale(v []float64, f float64) []float64 {
	out := make([]float64, len(v))
	for t, x := range v {
		out[t] = f * x
	}
	return out
}
