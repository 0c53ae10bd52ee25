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

// Whatever happened before, a refreshed Cross is the one loaded from the buckets.
func TestRefreshedProductsAreTheLoadedOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		var kept, fresh Cross
		var s Scratch
		kept.Load(in, &s)
		for range rapid.IntRange(1, 5).Draw(t, "refreshes") {
			for range rapid.IntRange(0, 2).Draw(t, "slides") {
				in.X = append(in.X[in.Stride:], make([]int64, in.Stride)...)
				in.ExpectedX = append(in.ExpectedX[in.Stride:], in.ExpectedX[:in.Stride]...)
				in.Y = append(in.Y[1:], rapid.Int64Range(0, 1e6).Draw(t, "new"))
				in.ExpectedY = append(in.ExpectedY[1:], 3)
				in.End++
			}
			for range rapid.IntRange(0, 3).Draw(t, "touches") {
				in.X[rapid.IntRange(0, len(in.X)-1).Draw(t, "i")] = rapid.Int64Range(0, 1e6).Draw(t, "x")
				in.Y[rapid.IntRange(0, len(in.Y)-1).Draw(t, "j")] = rapid.Int64Range(0, 1e6).Draw(t, "y")
			}
			kept.Refresh(in, &s)
			fresh.Load(in, &s)
			if !slices.Equal(kept.products, fresh.products) || !slices.Equal(kept.x, fresh.x) ||
				!slices.Equal(kept.y, fresh.y) || kept.unitX != fresh.unitX || kept.end != fresh.end {
				t.Fatalf("refreshed %v\nloaded %v", kept.products, fresh.products)
			}
		}
	})
}

func TestRefreshIsIncrementalWhereLittleChanged(t *testing.T) {
	r := source(5)
	hours := calendar(28 * 24)
	var s Scratch
	var c Cross
	in := pair72(counts(r, steps(hours), 400, 0.9, 0.5), counts(r, steps(hours), 20, 0.9, 0.5), hours, 4, &s)
	c.Load(in, &s)
	in.X[500]++
	in.Y[70]++
	if touched := c.Refresh(in, &s); touched != 2 {
		t.Errorf("touched %d residuals, want 2", touched)
	}
	in.X[500] = 1 << 40
	if touched := c.Refresh(in, &s); touched != -1 {
		t.Errorf("touched %d residuals, want a load: the largest residual has moved", touched)
	}
}
