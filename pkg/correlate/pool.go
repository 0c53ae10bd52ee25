package correlate

import "math"

// Kernels is the number of kernels a history is searched for (Choose), by half-life
// and delay.
const Kernels = len(kernelHalfLives) * len(kernelDelays)

// Evidence is what one history says of every kernel searched: the correlation with it
// in standard deviations of its placebo, and the degrees of freedom of that, by
// half-life. It is the part of a brand that others learn from.
type Evidence struct {
	Z       [Kernels]float64
	Freedom [len(kernelHalfLives)]float64
}

// Prior is the weight of every kernel searched before a history is looked at. The
// weights sum to 1.
type Prior [Kernels]float64

// Uniform is the prior of a brand that nobody has gone before.
func Uniform() Prior {
	var p Prior
	for k := range p {
		p[k] = 1 / float64(Kernels)
	}
	return p
}

// Weigh is Choose, and returns what the history says of every kernel as well.
func Weigh(in *Hourly, s *Scratch) (Choice, Evidence) {
	var e Evidence
	return choose(in, nil, &e, s), e
}

// ChooseBy is Choose with a prior on the kernels. Each kernel's probability is held
// against its own share of the level,
//
//	P = min over k of p(k)/π(k),
//
// which errs in at most P of null pairs for any weights that sum to 1 and do not
// depend on the pair, since the probability that p(k) ≤ π(k)·P for some k is at most
// ΣP·π(k) (Genovese, Roeder & Wasserman, False Discovery Control with p-Value
// Weighting, 2006). Bonferroni's bound is that with equal weights: a prior that knows
// the kernel is worth the 63 that are not searched. The placebo of each
// kernel is the one without a prior, so nothing else changes.
//
// The kernel is the one with the largest weight after the history is seen.
func ChooseBy(in *Hourly, prior *Prior, s *Scratch) Choice {
	var e Evidence
	return choose(in, prior, &e, s)
}

// By returns P by a prior, see ChooseBy; 1 without evidence.
func (e *Evidence) By(prior *Prior) float64 {
	p := 1.0
	for k, z := range e.Z {
		if z > 0 {
			p = min(p, studentTail(z, e.Freedom[k/len(kernelDelays)])/prior[k])
		}
	}
	return p
}

// Pool is what many brands say of the kernels of one force: of how many brands, in
// expectation, each kernel is.
//
// A brand has no effect, or one through the kernel k. In the whitened regression of one
// response on one kernel, z is all that the data say of its effect; with δ the
// standardised effect, z is normal about δ. An effect is taken to be half-normal, δ ~
// |N(0, τ²)|, so that the evidence for the kernel is (Bayes factor)
//
//	B(z) = 2/√(1+τ²) · exp(½·z²·τ²/(1+τ²)) · Φ(z·τ/√(1+τ²)).
//
// The weights π of the mixture π₀ + (1 − π₀)·Σ π(k)·B(z(k)) over brands are those that
// make the evidence of all brands likeliest (empirical Bayes: Robbins 1956; Efron
// 2010), found by expectation and maximisation (Dempster, Laird & Rubin 1977) with
// the weight of poolBrands more brands that say nothing. Between the steps the counts
// are spread to their neighbours in delay and half-life: kernels of different brands
// are alike, not the same.
type Pool struct {
	none   float64 // the share without an effect
	counts Prior   // brands with one, in expectation, by kernel
}

const (
	poolEffect = 4.0 // τ: from an effect one brand alone hardly sees to one nobody misses
	poolBrands = 6.0 // that spread their weight evenly
	poolNone   = 4.0 // that have no effect
	poolRounds = 60
)

// NewPool learns from the evidence of brands that could be tested, in any order but
// for rounding.
func NewPool(all []Evidence) Pool {
	p := Pool{none: 0.5, counts: Uniform()}
	factors := make([]Prior, len(all))
	for i := range all {
		factors[i] = all[i].factors()
	}
	for range poolRounds {
		prior := p.Prior(nil)
		var counts Prior
		effects := 0.0
		for i := range factors {
			acts, shares := p.responsible(&factors[i], &prior)
			effects += acts
			for k, v := range shares {
				counts[k] += v
			}
		}
		p.counts = spread(&counts)
		p.none = (float64(len(all)) - effects + poolNone) / (float64(len(all)) + 2*poolNone)
	}
	return p
}

// Prior returns the weights for a brand, learned from the others: own is its own
// evidence, which is taken out, or nil where it was not among them.
func (p *Pool) Prior(own *Evidence) Prior {
	counts := p.counts
	if own != nil {
		prior := p.Prior(nil)
		factors := own.factors()
		_, shares := p.responsible(&factors, &prior)
		shares = spread(&shares)
		for k, v := range shares {
			counts[k] = max(0, counts[k]-v)
		}
	}
	total := poolBrands
	for _, v := range counts {
		total += v
	}
	var out Prior
	for k, v := range counts {
		out[k] = (v + poolBrands/float64(Kernels)) / total
	}
	return out
}

// factors returns B(z) of every kernel.
func (e *Evidence) factors() (b Prior) {
	const shrink = poolEffect * poolEffect / (1 + poolEffect*poolEffect)
	for k, z := range e.Z {
		z = max(-30, min(z, 30)) // enough for any evidence, and finite
		b[k] = 2 * math.Sqrt(1-shrink) * math.Exp(z*z*shrink/2) * math.Erfc(-z*math.Sqrt(shrink)/math.Sqrt2) / 2
	}
	return b
}

// responsible returns the probability that a brand has an effect, and that it is
// through each kernel.
func (p *Pool) responsible(factors, prior *Prior) (acts float64, shares Prior) {
	sum := 0.0
	for k, b := range factors {
		shares[k] = (1 - p.none) * prior[k] * b
		sum += shares[k]
	}
	for k := range shares {
		shares[k] /= sum + p.none
	}
	return sum / (sum + p.none), shares
}

// spread gives a quarter of each kernel's count to its neighbours in half-life, and
// then in delay. At the edge it is kept.
func spread(counts *Prior) Prior {
	const delays = len(kernelDelays)
	out := *counts
	pass := func(step, at, n int, k int) {
		if at > 0 {
			out[k-step] += counts[k] / 8
			out[k] -= counts[k] / 8
		}
		if at < n-1 {
			out[k+step] += counts[k] / 8
			out[k] -= counts[k] / 8
		}
	}
	for k := range counts {
		pass(delays, k/delays, len(kernelHalfLives), k)
	}
	half := out
	counts = &half
	for k := range counts {
		pass(1, k%delays, delays, k)
	}
	return out
}
