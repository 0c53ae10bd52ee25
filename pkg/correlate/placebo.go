package correlate

import (
	"math"
	"slices"
)

// tailFrom is the quantile from which the tail of a placebo distribution is taken
// for an exponential.
const tailFrom = 0.75

// placebos is the distribution of a statistic where there can be no effect.
type placebos struct {
	sorted      []float64
	independent float64 // how many of them there are in effect
}

// p returns the probability of a statistic of at least t without an effect. Up to
// the upper quartile it is the share of placebos that reach t. Above, the excess
// over it is taken for exponential (Pickands 1975 with shape 0), with the mean
// excess seen; since that rests on few independent placebos, k = a quarter of
// them, the probability is the predictive one,
//
//	¼·(1 + excess/(k·mean))^−k,
//
// a Lomax, heavier the fewer there are.
func (d *placebos) p(t float64) float64 {
	n := float64(len(d.sorted))
	from := quantile(d.sorted, tailFrom)
	if t <= from {
		i, _ := slices.BinarySearch(d.sorted, t)
		return max((n-float64(i)+1)/(n+1), 1-tailFrom)
	}
	mean, count := 0.0, 0.0
	for _, v := range d.sorted {
		if v > from {
			mean += v - from
			count++
		}
	}
	if mean == 0 {
		return 1 / (n + 1)
	}
	k := max(1, (1-tailFrom)*d.independent)
	return (1 - tailFrom) * math.Pow(1+(t-from)*count/(k*mean), -k)
}

// quantile interpolates in a sorted series.
func quantile(sorted []float64, p float64) float64 {
	at := p * float64(len(sorted)-1)
	i := min(int(at), len(sorted)-2)
	if i < 0 {
		return sorted[0]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
