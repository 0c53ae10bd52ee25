package correlate

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// Credit is what Attribute gives when every step of the stimulus is a claimant.
func TestCreditIsAttributionByStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 40).Draw(t, "steps")
		k := Kernel{HalfLife: float64(rapid.IntRange(0, 24).Draw(t, "half-life")) / 4, Lags: rapid.IntRange(1, 12).Draw(t, "lags")}
		k.Delay = rapid.IntRange(0, k.Lags).Draw(t, "delay")
		if k.Delay < k.Lags {
			k.Later = float64(rapid.IntRange(0, 8).Draw(t, "later")) / 8
		}
		beta := float64(rapid.IntRange(0, 50).Draw(t, "beta")) / 10
		x := rapid.SliceOfN(rapid.Float64Range(-5, 100), n, n).Draw(t, "x")
		base := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 500), func(tenths int) float64 { return float64(tenths) / 10 }), n, n).Draw(t, "base")
		money := rapid.SliceOfN(rapid.Int64Range(-1_000_000, 1_000_000_000), n, n).Draw(t, "money")

		stimuli := make([]Stimulus, n)
		for i, v := range x {
			x[i] = math.Round(v)
			stimuli[i] = Stimulus{Pulses: []Pulse{{i, int64(x[i])}}, Kernel: k, Beta: beta}
		}
		var s Scratch
		want := Attribute(money, base, stimuli, &s)
		got, baseline := Money(x, money, base, k, beta)
		sum := baseline
		for i := range got {
			sum += got[i]
			// Attribute rounds each step, Money once.
			if math.Abs(float64(got[i]-want.Credits[i])) > float64(n)+1e-6*math.Abs(float64(got[i])) {
				t.Errorf("step %d earns %d, want %d", i, got[i], want.Credits[i])
			}
		}
		var all int64
		for _, m := range money {
			all += m
		}
		if sum != all {
			t.Errorf("credits and baseline make %d, of %d", sum, all)
		}
	})
}

func TestCreditAddsUp(t *testing.T) {
	y := []float64{10, math.NaN(), 30, 40, 0, 60}
	earned, baseline := Credit([]float64{5, 0, math.NaN(), 7, -3, 2}, y, []float64{5, 5, 5, 0, 5, 5}, Kernel{1, 2, 3, 0}, 2)
	sum := baseline
	for _, v := range earned {
		sum += v
	}
	if math.Abs(sum-140) > 1e-9 {
		t.Errorf("%v and %v make %v, want 140", earned, baseline, sum)
	}
	if earned[5] != 0 || earned[4] != 0 || earned[2] != 0 || earned[0] <= 0 {
		t.Errorf("earned %v", earned)
	}
}

// Where nothing is taken back, nobody owes: the recursion runs on behind a kernel that is cut,
// and left −1e-16 units to stimuli of which nothing followed.
func TestNobodyOwesCreditOfWhatIsNotTakenBack(t *testing.T) {
	r := source(3)
	n := 800
	x, y, base := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range x {
		x[i], base[i] = 1+math.Floor(100*r.Float64()), 5
		if i%97 < 3 {
			y[i] = math.Floor(1000 * r.Float64())
		}
	}
	earned, _ := Credit(x, y, base, Kernel{2, 5.3, 24, 0}, 0.7)
	for i, v := range earned {
		if v < 0 {
			t.Errorf("step %d earns %v", i, v)
		}
	}
}
