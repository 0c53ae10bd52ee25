package correlate

import (
	"math"
	"slices"
	"testing"
)

// planted returns hourly stimulus and response in which each unit of stimulus
// makes beta units of response through the kernel.
func planted(seed uint64, n int, k Kernel, beta, sigma float64, s *Scratch) *EffectInput {
	r := source(seed)
	hours := calendar(n)
	in := &EffectInput{X: counts(r, hours, 200, 0.5, 0.3), Kernel: k}
	for h := range in.X { // posts take off now and then
		if r.Float64() < 0.02 {
			for i := h; i < min(n, h+12); i++ {
				in.X[i] += poisson(r, 3000/float64(1+i-h))
			}
		}
	}
	x, z := make([]float64, n), make([]float64, n)
	for h := range x {
		x[h] = float64(in.X[h])
	}
	k.Convolve(z, x)
	wave := autoregressive(r, n, 0.7)
	in.Y = make([]int64, n)
	for h := range in.Y {
		in.Y[h] = poisson(r, 300*season(hours[h])*math.Exp(sigma*wave[h])+beta*z[h])
	}
	in.ExpectedX, in.ExpectedY = make([]float64, n), make([]float64, n)
	bx, by := Fit(History{in.X, Calendar{Bins: hours}}, s), Fit(History{in.Y, Calendar{Bins: hours}}, s)
	bx.Fill(in.ExpectedX, Calendar{Bins: hours}, 60, 0)
	by.Fill(in.ExpectedY, Calendar{Bins: hours}, 60, 0)
	return in
}

func TestEstimateCoversThePlantedEffect(t *testing.T) {
	const pairs = 60
	k := Kernel{Delay: 3, HalfLife: 8, Lags: 72}
	var s Scratch
	for _, beta := range []float64{0, 0.05, 0.2} {
		covered, found, sum := 0, 0, 0.0
		for seed := range uint64(pairs) {
			e := Estimate(planted(seed, 42*24, k, beta, 0.1, &s), &s)
			if e.Low <= beta && beta <= e.High {
				covered++
			}
			if e.Verdict == Significant {
				found++
			}
			sum += e.Beta
		}
		t.Logf("beta %.2f: mean %.3f, covered %d, significant %d of %d", beta, sum/pairs, covered, found, pairs)
		if covered < pairs*88/100 {
			t.Errorf("beta %v: %d of %d intervals cover it", beta, covered, pairs)
		}
		if beta == 0 && found > pairs/20 {
			t.Errorf("no effect called significant in %d of %d", found, pairs)
		}
		if beta == 0.2 && (found < pairs*9/10 || math.Abs(sum/pairs-beta) > 0.15*beta) {
			t.Errorf("effect %v: found %d of %d, mean %v", beta, found, pairs, sum/pairs)
		}
	}
}

func TestEstimateSaysWhyItCannotTell(t *testing.T) {
	var s Scratch
	k := Kernel{HalfLife: 4, Lags: 72}
	whole := planted(1, 20*24, k, 0.2, 0.1, &s)
	short := *whole
	short.X, short.Y, short.ExpectedX, short.ExpectedY = short.X[:190], short.Y[:190], short.ExpectedX[:190], short.ExpectedY[:190]
	noStimulus, noResponse := *whole, *whole
	noStimulus.X = make([]int64, len(whole.X))
	noResponse.Y = slices.Repeat([]int64{3}, len(whole.Y))
	for want, in := range map[Reason]*EffectInput{ShortHistory: &short, FlatStimulus: &noStimulus, FlatResponse: &noResponse} {
		got := Estimate(in, &s)
		if got != (Effect{Reason: want}) {
			t.Errorf("got %+v, want only %v", got, want)
		}
	}
}

func BenchmarkEstimate(b *testing.B) {
	var s Scratch
	in := planted(1, HistoryHoursMax, Kernel{3, 8, 72}, 0.2, 0.1, &s)
	b.ReportAllocs()
	for b.Loop() {
		Estimate(in, &s)
	}
}
