package correlate

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"gonum.org/v1/gonum/floats"
)

// TestReference holds the parts that others have programmed as well against
// statsmodels and numpy (testdata/reference.py), to 1e-9.
func TestReference(t *testing.T) {
	text, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		X, Y       []float64
		Cross      []float64 `json:"cross_correlation"`
		RhoX       []float64 `json:"autocorrelation_x"`
		RhoY       []float64 `json:"autocorrelation_y"`
		Bartlett   float64
		YuleWalker []float64 `json:"yule_walker"`
		Huber      struct{ Beta, Scale float64 }
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	same := func(what string, got, want []float64) {
		t.Helper()
		if len(got) != len(want) || len(want) == 0 {
			t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
		}
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-9*max(1, math.Abs(want[i])) {
				t.Errorf("%s[%d] is %.15g, want %.15g", what, i, got[i], want[i])
			}
		}
	}
	x, y := want.X, want.Y
	lags := len(want.Cross) - 1
	same("cross-correlation", crossCorrelation(x, y, lags), want.Cross)
	phi := make([]float64, len(want.YuleWalker))
	yuleWalker(phi, y)
	same("autoregression", phi, want.YuleWalker)

	rho := make([]float64, lags+1)
	autocorrelation(rho, append([]float64(nil), x...))
	corrected := append([]float64(nil), want.RhoX...)
	unbias(corrected, len(x)) // which is ours alone
	same("autocorrelation", rho, corrected)
	same("Bartlett's sum", []float64{product(want.RhoX, want.RhoY, 0)}, []float64{want.Bartlett})

	// Huber's estimate is where pseudo-values no longer move it.
	const delay = 5
	judged, z := make([]float64, len(x)), make([]float64, len(x))
	copy(z[delay:], x)
	own := 0.0
	for i := range judged {
		judged[i] = 1
		own += z[i] * z[i]
	}
	beta, sigma := 0.0, 0.0
	for range 500 {
		u := make([]float64, len(y))
		for i := range u {
			u[i] = y[i] - beta*z[i]
		}
		v := make([]float64, len(y))
		sigma = bound(v, u, judged, huberC, 0, &memory{})
		for i := range v {
			beta += z[i] * v[i] / own
		}
	}
	same("Huber", []float64{beta, sigma}, []float64{want.Huber.Beta, want.Huber.Scale})
}

// The transform gives what sums give, at every lag and with every dictionary entry.
func TestSpectrumIsDirectEvaluation(t *testing.T) {
	r := source(5)
	for _, n := range []int{1, 2, 7, 100, 289} {
		x, y := make([]float64, n), make([]float64, n)
		for i := range x {
			x[i], y[i] = r.NormFloat64(), r.NormFloat64()
		}
		s := newSpectrum(n)
		got := s.products(s.transform(nil, x), s.transform(nil, y))
		for lag := -n + 1; lag < n; lag++ {
			want := 0.0
			for i := range y {
				if j := i - lag; j >= 0 && j < n {
					want += x[j] * y[i]
				}
			}
			if v := got[(lag+len(got))%len(got)]; math.Abs(v-want) > 1e-11*float64(n) {
				t.Fatalf("n %d, lag %d: %v, want %v", n, lag, v, want)
			}
		}
	}
}

// Scores and energies of each kernel are what sums give, as they are
// and moved in a circle.
func TestDictionaryIsDirectEvaluation(t *testing.T) {
	const n, lags, shift = 300, 36, 100
	r := source(6)
	x, y := make([]float64, n), make([]float64, n)
	for i := range x {
		x[i], y[i] = r.NormFloat64(), r.NormFloat64()
	}
	s := study{n: n, lags: lags, x: x, mem: &memory{}, judged: slices.Repeat([]float64{1}, n)}
	clear(s.judged[:lags])
	s.prepare(&Pair{})
	w := s.world()
	w.whiten()
	scores, products, moved := make([]float64, len(w.atoms)), make([]float64, n), make([]float64, n+lags+2)
	w.score(scores, y)
	s.freq.circular(products, w.products(y))
	z, seen, circle := make([]float64, n), make([]float64, n), make([]float64, 3*n)
	for i, k := range w.atoms {
		k.Convolve(z, x)
		want, own := floats.Dot(z[lags:], y[lags:]), floats.Dot(z[lags:], z[lags:])
		if math.Abs(scores[i]-want) > 1e-9 {
			t.Fatalf("%+v: score %v, want %v", k, scores[i], want)
		}
		if math.Abs(w.own[i]-own) > 1e-9*own {
			t.Fatalf("%+v: energy %v, want %v", k, w.own[i], own)
		}
		if got := w.through(seen, i); math.Abs(got-own) > 1e-9*own || math.Abs(seen[2*lags]-z[2*lags]) > 1e-9 {
			t.Fatalf("%+v: energy %v, want %v", k, got, own)
		}
		// In a circle all that came before comes again: three times round is enough.
		decayedProducts(moved, moved, products, products, Kernel{HalfLife: k.HalfLife}.decay())
		k.Convolve(circle, slices.Repeat(x, 3))
		want = 0
		for t := lags; t < n; t++ {
			want += circle[2*n+t-shift] * y[t]
		}
		got := k.first*moved[k.Delay+shift] + k.second*moved[k.Delay+1+shift] - k.cut*moved[lags+1+shift]
		if math.Abs(got-want) > 1e-9 {
			t.Fatalf("%+v: moved %v, want %v", k, got, want)
		}
	}
}

// What a kernel explains is reckoned from autocovariances, with what the means of
// the baseline take of it from delays nearby: it is what the sum over the steps that
// are judged says, a promotion among them or not.
func TestEnergyIsThatOfTheJudgedSteps(t *testing.T) {
	for _, promoted := range []bool{false, true} {
		p, _ := posted(5, 35, Kernel{6, 4, 72, 0}, 0.3)
		p.StepSeconds, p.Lags = 3600, 72
		if promoted {
			p.Declared = make([]int, len(p.X))
			for i := 400; i < 448; i++ {
				p.X[i] *= 3
				p.Y[i] *= 3
				p.Declared[i] = 1 + (i-400)/24
			}
		}
		var e Estimator
		e.Screen(p)
		w, z := e.settled, make([]float64, len(p.X))
		worst := 0.0
		for i := range w.atoms {
			want := w.through(z, i)
			worst = max(worst, math.Abs(w.own[i]/want-1))
		}
		if worst > 0.05 {
			t.Errorf("promoted %v: an energy is off by %v of it", promoted, worst)
		}
	}
}
