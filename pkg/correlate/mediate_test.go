package correlate

import (
	"math"
	"testing"
)

// twoWays draws hours of a stimulus, a mediator moved by it and an outcome moved
// by both, with autocorrelated noise and bursts that nothing explains.
func twoWays(seed uint64, n int, a, b, direct float64) *MediationInput {
	r := source(seed)
	in := &MediationInput{make([]float64, n), make([]float64, n), make([]float64, n)}
	var z, e1, e2 float64
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
		in.Mediator[t] = a*z + e1
		in.Outcome[t] = direct*z + b*in.Mediator[t] + e2
	}
	return in
}

func TestMediateFindsThePlantedWays(t *testing.T) {
	const brands = 400
	for _, tt := range []struct {
		name         string
		a, b, direct float64
	}{
		{"all through the mediator", 0.8, 1.5, 0},
		{"nothing through the mediator", 0, 1.5, 0.7},
		{"both ways", 0.5, 0.8, 0.4},
		{"no effect at all", 0, 0.8, 0},
		{"a mediator that moves nothing", 0.5, 0, 0.4},
		{"a direct way against the mediated", 0.5, 1, -0.3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var total, mediated, direct float64
			heldM, heldD := 0, 0
			for seed := range uint64(brands) {
				m, ok := Mediate(twoWays(seed, 35*24, tt.a, tt.b, tt.direct))
				if !ok {
					t.Fatal("no mediation")
				}
				if math.Abs(m.Total-m.Mediated-m.Direct) > 1e-12 {
					t.Fatalf("%+v does not add up", m)
				}
				total += m.Total / brands
				mediated += m.Mediated / brands
				direct += m.Direct / brands
				if m.MediatedLow <= tt.a*tt.b && tt.a*tt.b <= m.MediatedHigh {
					heldM++
				}
				if m.DirectLow <= tt.direct && tt.direct <= m.DirectHigh {
					heldD++
				}
			}
			t.Logf("mediated %.3f of %.3f, direct %.3f of %.3f, held %.1f %% and %.1f %%", mediated, tt.a*tt.b, direct, tt.direct,
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
	in := twoWays(7, 400, 0.5, 0.8, 0.4)
	for i := range in.Outcome {
		in.Outcome[i] = 0.4*in.Stimulus[i] + 0.8*in.Mediator[i] + float64(1-2*(i/2%2))
	}
	m, ok := Mediate(in)
	if !ok {
		t.Fatal("no mediation")
	}
	var meanZ, meanY, zz, zy float64
	for i, z := range in.Stimulus {
		meanZ += z / 400
		meanY += in.Outcome[i] / 400
	}
	for i, z := range in.Stimulus {
		zz += (z - meanZ) * (z - meanZ)
		zy += (z - meanZ) * (in.Outcome[i] - meanY)
	}
	if math.Abs(m.Total-zy/zz) > 0.01 {
		t.Errorf("the total effect is %v, the slope %v", m.Total, zy/zz)
	}
}

func TestMediateRefusesWhatCannotBeSplit(t *testing.T) {
	good := twoWays(1, 400, 0.5, 0.8, 0.4)
	flat := make([]float64, 400)
	for name, in := range map[string]*MediationInput{
		"a day":                               twoWays(1, 24, 0.5, 0.8, 0.4),
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
