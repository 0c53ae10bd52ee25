package correlate

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"
)

func TestAKernelIsItsWeightsAndTheseSumToOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawKernel(t)
		x := rapid.SliceOfN(rapid.Float64Range(0, 100), 1, 150).Draw(t, "x")
		sum, z := 0.0, make([]float64, len(x))
		for lag := range k.Lags + 1 {
			sum += k.Weight(lag)
		}
		if math.Abs(sum-1) > 1e-9 || k.Weight(k.Lags+1) != 0 || k.Weight(k.Delay-1) != 0 {
			t.Fatalf("the weights of %+v sum to %v", k, sum)
		}
		k.Convolve(z, x)
		for at := range z {
			want := 0.0
			for lag := range min(at, k.Lags) + 1 {
				want += k.Weight(lag) * x[at-lag]
			}
			if math.Abs(z[at]-want) > 1e-9*(1+floats.Sum(x)) {
				t.Fatalf("%+v gives %v at %d, want %v", k, z[at], at, want)
			}
		}
	})
}

// coarser sums a pair over so many steps.
func coarser(p *Pair, parts int) *Pair {
	c := &Pair{X: make([]float64, len(p.X)/parts), Y: make([]float64, len(p.Y)/parts), StepSeconds: p.StepSeconds * int64(parts), StartS: p.StartS, Lags: p.Lags / parts}
	for t := range c.X {
		c.X[t], c.Y[t] = floats.Sum(p.X[t*parts:(t+1)*parts]), floats.Sum(p.Y[t*parts:(t+1)*parts])
	}
	return c
}

// What is told, and credit is split by, is what was fitted: a share that acts a step later is most
// of the kernel where steps are long. Told as if all of it acted at once, 8 % of the credit of the
// effects of days below was another day's, and the delay contradicted the best lag.
func TestTheKernelThatIsToldIsTheOneThatWasFitted(t *testing.T) {
	for name, tc := range map[string]struct {
		days, parts int // of an hourly pair, and hours of a step
		kernel      Kernel
		off         float64 // of the credit, what steps get that is another's, on average at most
	}{
		"hours":                             {35, 1, Kernel{3, 4, 72, 0}, 0.045},
		"three hours, an effect after one":  {35, 3, Kernel{1, 2, 72, 0}, 0.045},
		"days, an effect after half a one":  {120, 24, Kernel{12, 12, 72, 0}, 0.045},
		"days, an effect after most of one": {120, 24, Kernel{18, 6, 72, 0}, 0.045},
	} {
		t.Run(name, func(t *testing.T) {
			var e Estimator
			var offs []float64
			for seed := range uint64(6) {
				fine, beta := posted(seed, tc.days, tc.kernel, 0.5)
				p := coarser(fine, tc.parts)
				rel := e.Screen(p)
				if rel.Verdict != Effective {
					t.Errorf("pair %d: %s", seed, rel.Verdict)
					continue
				}
				atom := &e.settled.atoms[e.fit.at]
				pulse, told := make([]float64, p.Lags+2), make([]float64, p.Lags+2)
				pulse[0] = 1
				rel.Kernel.Convolve(told, pulse)
				now, decayed := 0.0, 0.0 // by the recursion of the scores
				for lag := range told {
					then := now
					now *= atom.decay()
					if lag == atom.Delay {
						now++
					}
					if decayed *= atom.decay(); lag == p.Lags+1 {
						decayed = 1
					}
					if want := atom.first*now + atom.second*then - atom.cut*decayed; math.Abs(told[lag]-want) > 1e-9 {
						t.Errorf("pair %d: the weight of lag %d is told as %v, fitted %v", seed, lag, told[lag], want)
					}
				}
				if at := float64(rel.Kernel.Delay) + rel.Kernel.Later; math.Abs(at-float64(rel.Profile.BestLag)) > 1 {
					t.Errorf("pair %d: it waits for %v steps, and the best lag is %d", seed, at, rel.Profile.BestLag)
				}
				earned, _ := Credit(p.X, p.Y, rel.Expected, rel.Kernel, rel.Beta)
				off, all := 0.0, floats.Sum(p.X)*beta
				scale := all / floats.Sum(earned) // how much it is in all is another matter
				for at, v := range earned {
					off += math.Abs(scale*v-beta*p.X[at]) / 2 / all
				}
				offs = append(offs, off)
			}
			mean := stat.Mean(offs, nil)
			t.Logf("%.3f of the credit is another step's: %.3f", mean, offs)
			if mean > tc.off {
				t.Errorf("%.3f of the credit is another step's", mean)
			}
		})
	}
}

// On a finer grid a kernel acts as late on average, and about alike of sums: of a stimulus that is
// even within its steps, as nobody knows how it was.
func TestAKernelOfAFinerGridActsAsLateAndAboutAlike(t *testing.T) {
	const parts, lags = 15, 40
	for name, tc := range map[string]struct {
		kernel Kernel
		apart  float64 // of the weights, at most
	}{
		"all at once":                       {Kernel{4, 0, lags, 0}, 1e-9},
		"half at once, half a step later":   {Kernel{4, 0, lags, 0.5}, 1e-9},
		"slowly, which rises over one step": {Kernel{3, 4, lags, 0.5}, 0.01},
		"slowly, after a whole step":        {Kernel{3, 4, lags, 0}, 0.12},
		"slowly, from the first step on":    {Kernel{0, 4, lags, 0.5}, 0.01},
		"faster than a step":                {Kernel{2, 0.5, lags, 0.25}, 0.2},
		"faster than a step, without delay": {Kernel{0, 0.5, lags, 0}, 0.12},
	} {
		t.Run(name, func(t *testing.T) {
			x, z := make([]float64, parts*lags), make([]float64, parts*lags)
			for i := range parts {
				x[i] = 1.0 / parts
			}
			fine := tc.kernel.Finer(parts)
			fine.Convolve(z, x)
			apart, late, want := 0.0, 0.0, 0.0
			for lag := range lags {
				got := floats.Sum(z[lag*parts : (lag+1)*parts])
				apart += math.Abs(got-tc.kernel.Weight(lag)) / 2
				late += got * float64(lag)
				want += tc.kernel.Weight(lag) * float64(lag)
			}
			if apart > tc.apart || math.Abs(late-want) > 0.03 {
				t.Errorf("%+v: %.4f of the weights are apart, it acts after %.3f steps, want %.3f", fine, apart, late, want)
			}
		})
	}
}
