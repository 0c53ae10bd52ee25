package correlate

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func drawInput(t *rapid.T) *Input {
	stride := rapid.SampledFrom([]int{1, 2, 4}).Draw(t, "stride")
	buckets := rapid.IntRange(2, 24).Draw(t, "buckets")
	lags := stride * buckets
	in := &Input{
		X: make([]int64, 2*lags), ExpectedX: make([]float64, 2*lags),
		Y: make([]int64, buckets), ExpectedY: make([]float64, buckets),
		Stride: stride, StepMinutes: 15, HistoryHours: 720,
	}
	for i := range in.X {
		in.X[i] = rapid.Int64Range(-10, 1e9).Draw(t, "x")
		in.ExpectedX[i] = rapid.Float64Range(0, 1e6).Draw(t, "ex")
	}
	for j := range in.Y {
		in.Y[j] = rapid.Int64Range(-10, 1e12).Draw(t, "y")
		in.ExpectedY[j] = rapid.Float64Range(0, 1e6).Draw(t, "ey")
	}
	return in
}

// naiveProducts is C(lag) by definition.
func naiveProducts(c *Cross) []int64 {
	lags := len(c.x) / 2
	out := make([]int64, lags+1)
	for lag := range out {
		for step := lags; step < 2*lags; step++ {
			out[lag] += int64(c.x[step-lag]) * int64(c.y[(step-lags)/c.stride])
		}
	}
	return out
}

func TestProductsMatchTheirDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Cross
		var s Scratch
		c.Load(drawInput(t), &s)
		if want := naiveProducts(&c); !slices.Equal(c.products, want) {
			t.Fatalf("got %v, want %v", c.products, want)
		}
	})
}
