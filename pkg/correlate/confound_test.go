package correlate

import (
	"math"
	"slices"
	"testing"
)

// A confounder acts on both sides, on the response a day later than on the stimulus:
// unknown it passes for an effect of the stimulus. Given, it does not, and what the
// stimulus does of its own is found.
func TestConfounders(t *testing.T) {
	const pairs, days = 6, 35
	early, late := Kernel{2, 2, 72}, Kernel{26, 4, 72}
	for name, tc := range map[string]struct {
		share float64
		found [2]int // at least, at most
	}{
		"no effect":    {0, [2]int{0, 1}},
		"a real third": {0.33, [2]int{5, 6}},
	} {
		t.Run(name, func(t *testing.T) {
			deceived, found, held := 0, 0, 0
			for seed := range uint64(pairs) {
				p, beta := posted(seed, days, Kernel{6, 4, 72}, tc.share)
				other, _ := posted(seed+100, days, Kernel{}, 0)
				act := make([]float64, len(p.X))
				early.Convolve(act, other.X)
				for i, v := range act {
					p.X[i] += v
				}
				// The stimulus that came of the confounder acts as any other.
				for _, k := range [...]struct {
					kernel Kernel
					size   float64
				}{{late, 0.15}, {Kernel{6, 4, 72}, beta}} {
					from := other.X
					if k.size == beta {
						from = slices.Clone(act)
					}
					z := make([]float64, len(p.X))
					k.kernel.Convolve(z, from)
					for i, v := range z {
						p.Y[i] += k.size * v
					}
				}
				if Relate(p).P <= Alpha && tc.share == 0 {
					deceived++
				}
				p.Confounders = [][]float64{other.X}
				r := Relate(p)
				if r.P <= Alpha {
					found++
				}
				if r.Low <= beta && beta <= r.High {
					held++
				}
			}
			t.Logf("found %d, held %d of %d; without the confounder %d are deceived", found, held, pairs, deceived)
			if tc.share == 0 && deceived < pairs-1 {
				t.Errorf("only %d of %d are deceived by an unknown confounder: this proves nothing", deceived, pairs)
			}
			if found < tc.found[0] || found > tc.found[1] {
				t.Errorf("found %d of %d, want %v", found, pairs, tc.found)
			}
			if held < pairs-2 {
				t.Errorf("%d of %d intervals hold the truth", held, pairs)
			}
		})
	}
}

// A confounder that is made of the stimulus leaves nothing to judge by.
func TestConfoundersThatAreTheStimulus(t *testing.T) {
	p, _ := posted(4, 35, Kernel{6, 4, 72}, 0.3)
	twice := slices.Clone(p.X)
	for i := range twice {
		twice[i] = 2*twice[i] + 5
	}
	for name, c := range map[string][]float64{"itself": p.X, "twice": twice} {
		p.Confounders = [][]float64{c}
		if r := Relate(p); r.Reason != Confounded || r.Verdict != Inconclusive || r.P != 1 {
			t.Errorf("%s: %s (%v), p %v", name, r.Verdict, r.Reason, r.P)
		}
	}
}

// What a confounder explains is what least squares on all of its lags say.
func TestConfoundersAreTakenOutExactly(t *testing.T) {
	p, _ := posted(4, 28, Kernel{6, 4, 72}, 0.3)
	other, _ := posted(104, 28, Kernel{}, 0)
	p.Confounders = [][]float64{other.X, slices.Repeat([]float64{7}, len(p.X)), other.X}
	var e Estimator
	e.Screen(p)
	s := &e.study
	if len(s.centring.basis) == 0 {
		t.Fatal("there is nothing to be taken out")
	}
	if width := 2; len(s.centring.basis) != (72+width)/width {
		t.Errorf("%d coefficients, want one for every %d lags of the one that is not said twice", len(s.centring.basis), width)
	}
	// Nothing of any of its kernels is left.
	for _, k := range []Kernel{{0, 0, 72}, {10, 0, 72}} {
		act := make([]float64, s.n)
		for i := range act {
			for lag := range 2 { // two lags share a coefficient
				if at := i - k.Delay - lag; at >= 0 && s.judged[i] > 0 {
					act[i] += other.X[at]
				}
			}
		}
		s.centring.means(act)
		before := 0.0
		for _, v := range act {
			before += v * v
		}
		explain(nil, act, s.centring.basis)
		after := 0.0
		for _, v := range act {
			after += v * v
		}
		if math.Sqrt(after/before) > 1e-2 {
			t.Errorf("%+v: %v of its size is left", k, math.Sqrt(after/before))
		}
	}
}
