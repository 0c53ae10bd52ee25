package correlate

import "math"

// Kernel says how a stimulus acts over time: not at all for Delay steps, then
// with a weight that halves every HalfLife steps, to nothing after Lags steps. A share Later
// of it, from 0 to 1, acts in the same way a step later, which is not behind Lags: of a finer
// time steps show no more (see atom). The weights of lags Delay … Lags sum to 1. HalfLife 0 puts
// all weight on Delay and the step behind it.
type Kernel struct {
	Delay    int
	HalfLife float64
	Lags     int
	Later    float64
}

// Waits returns for how many steps the kernel waits on average before it acts.
func (k Kernel) Waits() float64 { return float64(k.Delay) + k.Later }

// Finer returns the kernel for steps of which so many, one or more, make one of these: that which decays as
// fast, and acts as late on average. In parts of a step a half-life is as many times as long, and
// with ρ = 2^(−1/half-life) what decays acts ρ/(1 − ρ) steps behind the delay on average. So of
// a delay that was fitted to sums up to half a step was not waited for: what comes within a step and
// acts soon shows in part in the next. If without any delay it would still act too late, it decays
// faster.
func (k Kernel) Finer(parts int) Kernel {
	if parts == 1 {
		return k
	}
	behind := func(k Kernel) float64 { return k.decay() / (1 - k.decay()) }
	n := float64(parts)
	fine := Kernel{HalfLife: n * k.HalfLife, Lags: parts * k.Lags}
	mean := n * (k.Waits() + behind(k))
	wait := mean - behind(fine)
	if wait < 0 {
		wait, fine.HalfLife = 0, 1/math.Log2(1+1/mean)
	}
	const unit = 1.0 / 64 // which tells no two kernels apart
	wait = math.Round(wait/unit) * unit
	fine.Delay = int(wait)
	fine.Later = wait - float64(fine.Delay)
	return fine
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

// norm returns the weight at lag Delay, if nothing acts later.
func (k Kernel) norm() float64 { return (1 - k.decay()) / (1 - k.tail()) }

// terms returns what the kernel makes of a stimulus decayed without end, r:
//
//	z(t) = first·r(t−Delay) + second·r(t−Delay−1) − cut·r(t−Lags−1).
func (k Kernel) terms() (first, second, cut float64) {
	first = (1 - k.Later) * k.norm()
	cut = first * k.tail()
	if k.Later > 0 {
		later := Kernel{k.Delay + 1, k.HalfLife, k.Lags, 0}
		second = k.Later * later.norm()
		cut += second * later.tail()
	}
	return first, second, cut
}

// Weight returns the weight at a lag.
func (k Kernel) Weight(lag int) float64 {
	first, second, _ := k.terms()
	part := func(norm float64, delay int) float64 {
		switch {
		case lag < delay || lag > k.Lags:
			return 0
		case lag == delay:
			return norm
		case k.HalfLife <= 0:
			return 0
		}
		return norm * math.Exp2(-float64(lag-delay)/k.HalfLife)
	}
	return part(first, k.Delay) + part(second, k.Delay+1)
}

// Convolve sets dst[t] = Σ_lag Weight(lag)·x[t−lag], with nothing before x[0]: the
// exponential makes it a recursion, O(len(x)), by terms and r(t) = x(t) + decay·r(t−1).
// dst and x must not overlap.
func (k Kernel) Convolve(dst, x []float64) {
	decay := k.decay()
	first, second, cut := k.terms()
	acc, gone := 0.0, 0.0
	for t := range dst {
		before := acc
		acc *= decay
		if s := t - k.Delay; s >= 0 {
			acc += x[s]
		}
		gone *= decay
		if s := t - k.Lags - 1; s >= 0 {
			gone += x[s]
		}
		dst[t] = first*acc + second*before - cut*gone
	}
}
