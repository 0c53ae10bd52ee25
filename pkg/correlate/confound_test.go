package correlate

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/floats"
)

// A confounder acts on both sides, on the response a day later than on the stimulus:
// unknown it passes for an effect of the stimulus. Given, it does not, and what the
// stimulus does of its own is found.
func TestConfounders(t *testing.T) {
	const pairs, days = 6, 35
	early, late := Kernel{2, 2, 72, 0}, Kernel{26, 4, 72, 0}
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
				p, beta := posted(seed, days, Kernel{6, 4, 72, 0}, tc.share)
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
				}{{late, 0.15}, {Kernel{6, 4, 72, 0}, beta}} {
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
	p, _ := posted(4, 35, Kernel{6, 4, 72, 0}, 0.3)
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
	p, _ := posted(4, 28, Kernel{6, 4, 72, 0}, 0.3)
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
	for _, k := range []Kernel{{0, 0, 72, 0}, {10, 0, 72, 0}} {
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

// The daily test takes a confounder that it is given out as well: by a kernel that it does
// not know, on either side.
func TestChooseWithAConfounder(t *testing.T) {
	const pairs, days = 60, 35
	var s Scratch
	bins := calendar(days * 24)
	for name, tc := range map[string]struct {
		share       float64   // of the response that the stimulus makes up by itself
		alone, with [2]int    // found without the confounder and with it: at least, at most
		kernels     [2]Kernel // of the confounder, on the stimulus and on the response
	}{
		"no effect":                     {0, [2]int{30, 60}, [2]int{0, 5}, [2]Kernel{{0, 2, 72, 0}, {3, 8, 72, 0}}},
		"no effect, after twelve hours": {0, [2]int{30, 60}, [2]int{0, 5}, [2]Kernel{{1, 1, 72, 0}, {13, 2, 72, 0}}},
		"a third":                       {0.33, [2]int{40, 60}, [2]int{45, 60}, [2]Kernel{{0, 2, 72, 0}, {3, 8, 72, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			alone, with := 0, 0
			for k := range pairs {
				r := source(uint64(7000 + k))
				x, y, c := posts(uint64(71_000+k), bins, 2, 4000), counts(r, bins, 80, 0.9, 0.3), posts(uint64(72_000+k), bins, 0.7, 3000)
				act := func(on []int64, from []int64, k Kernel, share float64) {
					z, in := make([]float64, len(from)), make([]float64, len(from))
					for i, v := range from {
						in[i] = float64(v)
					}
					k.Convolve(z, in)
					total := 0.0
					for _, v := range z {
						total += v
					}
					whole := float64(sum(on))
					for i, v := range z {
						on[i] += poisson(r, v*share/(1-share)*whole/total)
					}
				}
				act(x, c, tc.kernels[0], 0.5)
				act(y, c, tc.kernels[1], 0.4)
				if tc.share > 0 {
					act(y, x, Kernel{2, 4, 72, 0}, tc.share)
				}
				in := fitted(x, y, bins, 72, &s)
				if Choose(in, nil, &s).P <= Alpha {
					alone++
				}
				other := fitted(c, y, bins, 72, &s)
				above := make([]float64, len(c))
				for i, v := range c {
					above[i] = float64(v) - other.ExpectedX[i]
				}
				in.Confounders = [][]float64{above}
				if Choose(in, nil, &s).P <= Alpha {
					with++
				}
			}
			t.Logf("found %d of %d without the confounder, %d with it", alone, pairs, with)
			if alone < tc.alone[0] || alone > tc.alone[1] || with < tc.with[0] || with > tc.with[1] {
				t.Errorf("found %d of %d without the confounder, want %v, and %d with it, want %v", alone, pairs, tc.alone, with, tc.with)
			}
		})
	}
}

// What is left of a history beside its confounders has nothing of their lags, and what is
// explained of anything else is what Gram and Schmidt say.
func TestLagsOfAConfounderAreTakenOut(t *testing.T) {
	const n, phi = 24 * 40, 0.4
	r := source(3)
	noise := func(at float64) []float64 {
		v, last := make([]float64, n), 0.0
		for i := range v {
			last = at*last + r.NormFloat64()
			v[i] = last
		}
		return v
	}
	first, second, other := noise(0), noise(0.95), noise(0.5)
	whitenBy(other, phi)
	normalise(other)
	in := Hourly{Y: make([]int64, n), Confounders: [][]float64{first, second, make([]float64, n)}, Kernel: Kernel{Lags: 72}}
	c := in.confounders([]int{0, 1, 2}, phi)
	if want := 2 * 73; len(c.lower) != want {
		t.Fatalf("%d coefficients, want %d: what does not vary has none", len(c.lower), want)
	}
	var basis [][]float64
	for _, of := range [][]float64{first, second} {
		for lag := range 73 {
			v := make([]float64, n)
			for i := range v {
				v[i] = of[(i-lag+n)%n]
			}
			whitenBy(v, phi)
			normalise(v)
			if orthogonal(nil, slices.Clone(v), basis) {
				column := slices.Clone(v)
				orthogonal(nil, column, basis)
				basis = append(basis, column)
			}
			square := c.explain(v, true)
			if left := floats.Dot(v, v); left > 1e-12 || math.Abs(square-1) > 1e-6 {
				t.Errorf("of lag %d %v is left, and %v explained", lag, left, square)
			}
		}
	}
	want := slices.Clone(other)
	explain(nil, want, basis)
	square := c.explain(other, true)
	for i := range want {
		if math.Abs(want[i]-other[i]) > 1e-7 {
			t.Fatalf("%v is left of step %d, want %v", other[i], i, want[i])
		}
	}
	if left := floats.Dot(want, want); math.Abs(square+left-1) > 1e-7 {
		t.Errorf("%v is explained, and %v left", square, left)
	}
}
