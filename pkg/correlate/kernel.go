package correlate

import "math"

// Kernel says how a stimulus acts over time: not at all for Delay steps, then
// with a weight that halves every HalfLife steps, to nothing after Lags steps.
// The weights of lags Delay … Lags sum to 1. HalfLife 0 puts all weight on
// Delay.
type Kernel struct {
	Delay    int
	HalfLife float64
	Lags     int
}

// Rescale converts a kernel between step widths, rounding delay and lags to whole
// steps.
func (k Kernel) Rescale(fromMinutes, toMinutes int) Kernel {
	scale := func(steps int) int { return (steps*fromMinutes + toMinutes/2) / toMinutes }
	return Kernel{scale(k.Delay), k.HalfLife * float64(fromMinutes) / float64(toMinutes), scale(k.Lags)}
}

// decay returns the factor from one lag to the next.
func (k Kernel) decay() float64 {
	if k.HalfLife <= 0 {
		return 0
	}
	return math.Exp2(-1 / k.HalfLife)
}

// tail returns decay^(Lags−Delay+1): what is left of an infinite kernel's
// weight where it is cut.
func (k Kernel) tail() float64 {
	if k.HalfLife <= 0 {
		return 0
	}
	return math.Exp2(-float64(k.Lags-k.Delay+1) / k.HalfLife)
}

// norm returns the weight at lag Delay.
func (k Kernel) norm() float64 { return (1 - k.decay()) / (1 - k.tail()) }

// Weight returns the weight at a lag.
func (k Kernel) Weight(lag int) float64 {
	if lag < k.Delay || lag > k.Lags {
		return 0
	}
	if k.HalfLife <= 0 {
		if lag == k.Delay {
			return 1
		}
		return 0
	}
	return k.norm() * math.Exp2(-float64(lag-k.Delay)/k.HalfLife)
}

// Convolve sets dst[t] = Σ_lag Weight(lag)·x[t−lag], with nothing before x[0].
// The exponential makes it a recursion, O(len(x)): with the infinite
// r(t) = x(t) + decay·r(t−1), dst(t) = norm·(r(t−Delay) − tail·r(t−Lags−1)).
// dst and x must not overlap.
func (k Kernel) Convolve(dst, x []float64) {
	decay, tail, norm := k.decay(), k.tail(), k.norm()
	acc, cut := 0.0, 0.0
	for t := range dst {
		acc *= decay
		if s := t - k.Delay; s >= 0 {
			acc += x[s]
		}
		cut *= decay
		if s := t - k.Lags - 1; s >= 0 {
			cut += x[s]
		}
		dst[t] = norm * (acc - tail*cut)
	}
}
