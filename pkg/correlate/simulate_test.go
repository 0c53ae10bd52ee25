package correlate

import (
	"math"
	"math/rand/v2"
)

// Series with known truth, and null pairs, from fixed seeds.

func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 72)) }

// calendar returns the seasonal bins of n hours from a Monday's midnight on.
func calendar(n int) []uint8 {
	bins := make([]uint8, n)
	for h := range bins {
		bins[h] = uint8(h % 24)
		if h/24%7 >= 5 {
			bins[h] += 24
		}
	}
	return bins
}

// season is a daily wave that is flatter and later on weekends.
func season(bin uint8) float64 {
	if bin < 24 {
		return 1 + 0.7*math.Sin(2*math.Pi*float64(bin)/24)
	}
	return 0.8 + 0.4*math.Sin(2*math.Pi*(float64(bin)-3)/24)
}

// poisson draws by inversion for small means and rounds a normal for large ones.
func poisson(r *rand.Rand, mean float64) int64 {
	if mean > 500 {
		return int64(max(0, math.Round(mean+math.Sqrt(mean)*r.NormFloat64())))
	}
	limit, product, n := math.Exp(-mean), r.Float64(), int64(0)
	for product > limit {
		product *= r.Float64()
		n++
	}
	return n
}

// autoregressive returns n values of a stationary AR(1) of unit variance.
func autoregressive(r *rand.Rand, n int, phi float64) []float64 {
	v := make([]float64, n)
	last := r.NormFloat64()
	for i := range v {
		last = phi*last + math.Sqrt(1-phi*phi)*r.NormFloat64()
		v[i] = last
	}
	return v
}

// counts draws Poisson counts around level·season, its log moved by sigma times
// an AR(1).
func counts(r *rand.Rand, bins []uint8, level, phi, sigma float64) []int64 {
	wave := autoregressive(r, len(bins), phi)
	v := make([]int64, len(bins))
	for i := range v {
		v[i] = poisson(r, level*season(bins[i])*math.Exp(sigma*wave[i]-sigma*sigma/2))
	}
	return v
}

// steps expands hourly bins to quarters of an hour.
func steps(hourly []uint8) []uint8 {
	out := make([]uint8, 4*len(hourly))
	for i := range out {
		out[i] = hourly[i/4]
	}
	return out
}

func hourly(quarters []int64) []int64 {
	out := make([]int64, len(quarters)/4)
	for i, n := range quarters {
		out[i/4] += n
	}
	return out
}
