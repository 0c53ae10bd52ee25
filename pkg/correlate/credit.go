package correlate

import (
	"math"
	"slices"
)

// Credit splits the response of each step by responsibility, among the baseline
// and the stimuli of the steps before: λ_s(t) = β·x(s)·weight(t − s) against
// base(t). It returns what each stimulus step earns in all, and the baseline; they
// add up to the response but for rounding. Responses that are missing (NaN) are 0,
// as are stimuli below 0; a response nobody is responsible for is the baseline's.
//
// It is the rule of Attribute with a claimant for each step. Those are too many to
// go through, and need not be: with ρ(t) = y(t)/(base(t) + Σλ(t)), step s earns
// β·x(s)·Σ_lag weight(lag)·ρ(s+lag), the kernel run backwards over ρ, one recursion.
func Credit(x, y, base []float64, k Kernel, beta float64) (earned []float64, baseline float64) {
	n := len(y)
	stimulus, acting := make([]float64, n), make([]float64, n)
	for t, v := range x {
		if v > 0 {
			stimulus[t] = v
		}
	}
	k.Convolve(acting, stimulus)
	// The recursion leaves of a kernel that is cut no more than this, which is nobody's.
	rounding := 1e-12 * slices.Max(append(acting, 0))
	rate := make([]float64, n)
	for t, v := range y {
		if math.IsNaN(v) {
			continue
		}
		responsible := beta * acting[t]
		if all := max(0, base[t]) + responsible; acting[t] > rounding && responsible > 0 {
			rate[t] = v / all
			baseline += max(0, base[t]) * rate[t]
		} else {
			baseline += v
		}
	}
	slices.Reverse(rate)
	earned = make([]float64, n)
	k.Convolve(earned, rate)
	slices.Reverse(earned)
	given := n > 0 && slices.Min(rate) >= 0 // else credit is taken back as well
	for t := range earned {
		if given {
			earned[t] = max(0, earned[t]) // the recursion may leave a little less
		}
		earned[t] *= beta * stimulus[t]
	}
	return earned, baseline
}

// Money splits integer amounts, of the steps of y, by Credit's shares: what each
// stimulus step earns and the baseline, in the same units, adding up exactly to
// the sum of the amounts. What is taken back (amounts below 0) is taken from whom
// it was given to.
func Money(x []float64, amounts []int64, base []float64, k Kernel, beta float64) (earned []int64, baseline int64) {
	n := len(amounts)
	earned = make([]int64, n)
	var s Scratch
	part, weights, share := make([]float64, n), make([]float64, n+1), make([]int64, n+1)
	for _, sign := range [...]int64{1, -1} {
		sum := int64(0)
		for t, a := range amounts {
			part[t] = 0
			if a*sign > 0 {
				part[t] = float64(a * sign)
				sum += a
			}
		}
		if sum == 0 {
			continue
		}
		units, rest := Credit(x, part, base, k, beta)
		weights[0] = rest
		copy(weights[1:], units)
		Split(sum, weights, share, &s)
		baseline += share[0]
		for t := range earned {
			earned[t] += share[t+1]
		}
	}
	return earned, baseline
}
