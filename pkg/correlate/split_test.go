package correlate

import (
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestSplit(t *testing.T) {
	tests := []struct {
		name    string
		total   int64
		weights []float64
		want    []int64
	}{
		{"equal weights: the lower index gets the odd micro", 10, []float64{1, 1, 1}, []int64{4, 3, 3}},
		{"the largest fraction gets what is left", 10, []float64{5.5, 3.2, 1.3}, []int64{6, 3, 1}},
		{"returns mirror sales", -10, []float64{5.5, 3.2, 1.3}, []int64{-6, -3, -1}},
		{"no weight: all to the first", 7, []float64{0, 0}, []int64{7, 0}},
		{"unusable weights count as nothing", 7, []float64{math.NaN(), math.Inf(1), -3, 1}, []int64{0, 0, 0, 7}},
		{"nothing to split", 0, []float64{1, 2}, []int64{0, 0}},
		{"the largest total there is", math.MaxInt64, []float64{1, 1}, []int64{1 << 62, 1<<62 - 1}},
		{"the least total there is", math.MinInt64, []float64{1, 0}, []int64{math.MinInt64, 0}},
		{"weights beyond what a sum could hold", 4, []float64{math.MaxFloat64, math.MaxFloat64}, []int64{2, 2}},
		{"weights that are almost nothing", 4, []float64{5e-324, 5e-324}, []int64{2, 2}},
	}
	var s Scratch
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := make([]int64, len(tt.weights))
			Split(tt.total, tt.weights, got, &s)
			if !slices.Equal(got, tt.want) {
				t.Errorf("Split(%d, %v) = %v, want %v", tt.total, tt.weights, got, tt.want)
			}
		})
	}
}

// checkSplit holds every split against exact rational quotas.
func checkSplit(t interface{ Fatalf(string, ...any) }, total int64, weights []float64) {
	var s Scratch
	out := make([]int64, len(weights))
	Split(total, weights, out, &s)
	sum, exact, whole := new(big.Int), make([]*big.Rat, len(weights)), new(big.Rat)
	for i, w := range weights {
		sum.Add(sum, big.NewInt(out[i]))
		exact[i] = new(big.Rat)
		if usable(w) {
			exact[i].SetFloat64(w)
		}
		whole.Add(whole, exact[i])
	}
	if sum.Cmp(big.NewInt(total)) != 0 {
		t.Fatalf("Split(%d, %v) = %v adds up to %v", total, weights, out, sum)
	}
	if whole.Sign() == 0 {
		return
	}
	// Weights are quantised to 2^-52 of their sum: beyond 2^50 micros that shows.
	slack := 1 + math.Abs(float64(total))*float64(len(weights)+2)/(1<<51)
	for i, e := range exact {
		quota := e.Mul(e, new(big.Rat).SetInt64(total)).Quo(e, whole)
		if diff, _ := quota.Sub(quota, new(big.Rat).SetInt64(out[i])).Float64(); math.Abs(diff) > slack {
			t.Fatalf("Split(%d, %v): share %d is %d, %v from its quota", total, weights, i, out[i], diff)
		}
	}
}

func TestSplitIsExactAndWithinOneOfTheQuota(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkSplit(t, rapid.Int64().Draw(t, "total"),
			rapid.SliceOfN(rapid.Float64Range(0, 1e12), 1, 40).Draw(t, "weights"))
	})
}

func TestSplitDoesNotDependOnTheUnitOfWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(-1e15, 1e15).Draw(t, "total")
		weights := rapid.SliceOfN(rapid.Float64Range(0, 1e9), 1, 20).Draw(t, "weights")
		var s Scratch
		a, b := make([]int64, len(weights)), make([]int64, len(weights))
		Split(total, weights, a, &s)
		for i := range weights {
			weights[i] *= 1024
		}
		Split(total, weights, b, &s)
		if !slices.Equal(a, b) {
			t.Fatalf("%v became %v", a, b)
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add(int64(10), []byte("\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00\x00\x00\x00\xf8\x7f"))
	f.Fuzz(func(t *testing.T, total int64, raw []byte) {
		var weights []float64
		for len(raw) >= 8 && len(weights) < 64 {
			weights = append(weights, math.Float64frombits(binary.LittleEndian.Uint64(raw)))
			raw = raw[8:]
		}
		if len(weights) > 0 {
			checkSplit(t, total, weights)
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	r := source(3)
	weights, out := make([]float64, 50), make([]int64, 50)
	for i := range weights {
		weights[i] = r.ExpFloat64()
	}
	var s Scratch
	b.ReportAllocs()
	for b.Loop() {
		Split(123_456_789, weights, out, &s)
	}
}
