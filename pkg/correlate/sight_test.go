package correlate

import (
	"math"
	"testing"
)

// TestPowerIsWhatIsFound plants effects through every kernel into histories and
// counts how many are found, where Power was asked before.
func TestPowerIsWhatIsFound(t *testing.T) {
	const trials = 2 * Kernels
	var s Scratch
	// A prior that has seen 30 brands of each of two kernels: what follows is drawn from it.
	var pool Pool
	for _, c := range []Count{{0, 2, 4, 30}, {0, 6, 16, 30}} {
		if err := pool.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	learned := pool.Prior(1)
	for _, tt := range []struct {
		days         int
		share, level float64
		prior        *Prior
	}{
		{21, 0.2, Alpha, nil},
		{35, 0.1, Alpha, nil},
		{35, 0.2, Alpha, nil},
		{35, 0.2, 1e-4, nil},
		{35, 0.4, 1e-4, nil},
		{21, 0.2, Alpha, learned},
		{35, 0.4, 1e-4, learned},
	} {
		bins := calendar(tt.days * 24)
		said, found := 0.0, 0.0
		for i := range trials {
			r := source(uint64(90_000 + i))
			x := posts(uint64(80_000+i), bins, 1.5, 4000)
			y := counts(r, bins, 80, 0.9, 0.4)
			c := Choose(fitted(x, y, bins, 72, &s), tt.prior, &s)
			said += c.Power(tt.share, tt.level) / float64(trials)
			k := i % Kernels
			if tt.prior != nil { // drawn from it
				at := (float64(i) + 0.5) / float64(trials)
				for k = 0; at > tt.prior[k]; k++ {
					at -= tt.prior[k]
				}
			}
			plant(r, y, x, kernelAt(k, 72), tt.share)
			if Choose(fitted(x, y, bins, 72, &s), tt.prior, &s).P <= tt.level {
				found += 1. / float64(trials)
			}
		}
		t.Logf("%d days, %2.0f %% of the response at %g, with a prior %t: power %.2f, found %.2f", tt.days, 100*tt.share, tt.level, tt.prior != nil, said, found)
		if math.Abs(said-found) > 0.12 {
			t.Errorf("%d days, %.0f %% at %g, with a prior %t: power %.2f, found %.2f", tt.days, 100*tt.share, tt.level, tt.prior != nil, said, found)
		}
	}
}

func TestPowerRisesWithShareAndLevel(t *testing.T) {
	var s Scratch
	bins := calendar(28 * 24)
	c := Choose(fitted(posts(1, bins, 1.5, 4000), counts(source(1), bins, 80, 0.9, 0.4), bins, 72, &s), nil, &s)
	last := -1.0
	for share := 0.0; share <= 1; share += 0.05 {
		p := c.Power(share, Alpha)
		if p < last || p > 1 || p < c.Power(share, 1e-4) {
			t.Errorf("at %.2f the power is %v, and %v at 1e-4, after %v", share, p, c.Power(share, 1e-4), last)
		}
		last = p
	}
	d := c.Detectable(Alpha)
	if c.Power(d, Alpha) < powerMin || c.Power(d-0.001, Alpha) >= powerMin || c.Detectable(1e-4) <= d {
		t.Errorf("%v is detectable with the power %v, below it with %v; at 1e-4 %v", d, c.Power(d, Alpha), c.Power(d-0.001, Alpha), c.Detectable(1e-4))
	}
	if none := (&Choice{}); none.Power(0.5, Alpha) != 0 || none.Detectable(Alpha) != 1 {
		t.Errorf("without a history the power is %v, and %v detectable", none.Power(0.5, Alpha), none.Detectable(Alpha))
	}
}
