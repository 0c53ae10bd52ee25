package workload

import (
	"math"
	"math/rand/v2"
)

// alias draws numbers 0 to n−1 with given weights in constant time (Vose).
type alias struct {
	keep  []float64
	other []int32
}

func newAlias(weights []float64) alias {
	n := len(weights)
	a := alias{keep: make([]float64, n), other: make([]int32, n)}
	var sum float64
	for _, w := range weights {
		sum += w
	}
	var small, large []int32
	for i, w := range weights {
		a.keep[i] = w / sum * float64(n)
		if a.keep[i] < 1 {
			small = append(small, int32(i))
		} else {
			large = append(large, int32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		a.other[s] = l
		a.keep[l] -= 1 - a.keep[s]
		if a.keep[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	for _, i := range append(small, large...) {
		a.keep[i] = 1
	}
	return a
}

func (a *alias) draw(r *rand.Rand) int {
	i := r.IntN(len(a.keep))
	if r.Float64() < a.keep[i] {
		return i
	}
	return int(a.other[i])
}

// zipf returns the weights of n ranks.
func zipf(n int, exponent float64) []float64 {
	w := make([]float64, n)
	for k := range w {
		w[k] = math.Pow(float64(k+1), -exponent)
	}
	return w
}

// z99 is the quantile of the normal distribution at 0.99.
const z99 = 2.3263478740408408

// delays is a table of log-normal delays in milliseconds: drawing from it is
// three times as fast as computing one.
type delays []int64

const delaysLen = 1 << 16

func newDelays(r *rand.Rand, p50, p99 float64) delays {
	sigma := math.Log(p99/p50) / z99
	d := make(delays, delaysLen)
	for i := range d {
		// Stratified: the quantiles of the table are those of the distribution.
		u := (float64(i) + 0.5) / delaysLen
		d[i] = int64(p50 * math.Exp(sigma*math.Sqrt2*math.Erfinv(2*u-1)))
	}
	r.Shuffle(len(d), func(i, k int) { d[i], d[k] = d[k], d[i] })
	return d
}
