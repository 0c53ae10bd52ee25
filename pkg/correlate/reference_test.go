package correlate

import (
	"encoding/json"
	"math"
	"os"
	"testing"
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
	same("autoregression", yuleWalker(y, len(want.YuleWalker)), want.YuleWalker)

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
		var v []float64
		v, sigma = bound(u, judged, huberC)
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
		got := make([]float64, 2*n)
		s.products(got, s.transform(x), s.transform(y))
		for lag := -n + 1; lag < n; lag++ {
			want := 0.0
			for i := range y {
				if j := i - lag; j >= 0 && j < n {
					want += x[j] * y[i]
				}
			}
			if math.Abs(got[n+lag]-want) > 1e-11*float64(n) {
				t.Fatalf("n %d, lag %d: %v, want %v", n, lag, got[n+lag], want)
			}
		}
	}
}

func TestDictionaryIsDirectEvaluation(t *testing.T) {
	const n, lags = 300, 36
	r := source(6)
	x, y := make([]float64, n), make([]float64, n)
	for i := range x {
		x[i], y[i] = r.NormFloat64(), r.NormFloat64()
	}
	d := newDecays(x, nil, lags).dictionary(nil)
	products := d.products(y)
	scores, moved := make([]float64, len(d.atoms)), make([]float64, len(d.atoms))
	const shift = 100
	d.scores(scores, products)
	d.shifted(moved, products, shift)
	z, w := make([]float64, n), make([]float64, n)
	for i, a := range d.atoms {
		a.Convolve(z, x)
		d.read(w, d.decayed, i, 1)
		want := 0.0
		for t := range y {
			want += z[t] * y[t]
		}
		if math.Abs(scores[i]-want) > 1e-9 {
			t.Fatalf("%+v: score %v, want %v", a.Kernel, scores[i], want)
		}
		for k := range z {
			if math.Abs(z[k]-w[k]) > 1e-9 {
				t.Fatalf("%+v: step %d reads %v, want %v", a.Kernel, k, w[k], z[k])
			}
		}
	}
	// Moved by a shift, the first kernel is the stimulus itself, in a circle.
	want := 0.0
	for t := range y {
		want += x[(t-shift+n)%n] * y[t]
	}
	if math.Abs(moved[0]-want) > 1e-9 {
		t.Errorf("moved %v, want %v", moved[0], want)
	}
}
