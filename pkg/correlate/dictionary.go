package correlate

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
)

// halfLives are the half-lives searched, in 72nds of the window: from nothing to
// 32 h of 72 h, at most a factor of 3/2 apart from half an hour on, and in quarters of a step. What
// is between two of them is fitted by one, and baseline and autoregression to what that leaves, which
// refine does not undo: where 0, 1 and 2 were next to each other, two thirds to nine tenths of
// the intervals of effects that decay within a step or two held the truth.
//
//nolint:gochecknoglobals // a table nobody writes to
var halfLives = [...]float64{0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32}

// halfLifeParts is how many parts of the window halfLives counts in.
const halfLifeParts = 72

// delayPrior is the exponent of the prior weight of a delay, (1 + 12·delay/window)
// to the −delayPrior: an effect after six hours has half the odds of one at once.
const delayPrior = 0.5

// dictionary is a set of kernels: of some half-lives, with some delays each. What a kernel
// makes of a stimulus is a few reads of the stimulus decayed without end, r (Kernel.terms). And
// the products of all r with a response come from those of the stimulus itself,
// m_r(lag) = m_x(lag) + decay·m_r(lag+1). So two Fourier transforms give the scores
// Σ z(t)·v(t) of all kernels, at all shifts.
type dictionary struct {
	lags   int
	halves []half
	atoms  []atom
}

// atom is a kernel of a dictionary, of which a share may act a step later.
//
// Steps are sums of a finer time. Let an effect wait for d whole steps and decay at a
// rate λ a step, and let the stimulus come evenly within a step, at U from its start:
// it is answered int(U + d + E) steps later, E exponential. Of that
//
//	1 − (1 − ρ)/λ, (1 − ρ)²/λ, (1 − ρ)²·ρ/λ …, with ρ = e^−λ,
//
// falls d, d + 1, d + 2 … steps later: what the kernel with the delay d gives if 1 − α of it acts
// later, α = 1/(1 − ρ) − 1/λ. α is at most ½ + λ/12: one half,
// within a tenth for all half-lives of a step or more. If the effect waits for half a
// step more, it is about the kernel of delay d + 1 alone. So with one half between them they
// hold any delay to a quarter of a step. Without those between, what rises over one step is
// fitted by something slower and larger: the estimate is too large by a tenth where
// the half-life is three steps. With the half alone it is still off by one part in a hundred,
// which is more than a strong effect leaves unknown: so refine goes down to eighths.
type atom struct {
	Kernel
	first, second, cut float64
	prior              float64 // twice the logarithm of its prior weight
}

// half is the kernels of one half-life, by delay: atoms from … to−1.
type half struct {
	decay    float64
	steps    float64 // of the half-life
	from, to int
	step     int // from one delay to the next
	each     int // atoms of a delay: how many parts of a step are told apart
}

// betweenBelow is the half-life, in steps, from which a search for any effect does without
// half steps of delay: a sixteenth of it. What acts all at once has none either: it has a lag.
const betweenBelow = 8

// newDictionary returns the kernels that are searched first: halfLives, with all delays.
func newDictionary(lags int) *dictionary {
	const quarters = 4
	d := &dictionary{lags: lags}
	last := -1.0
	for _, part := range halfLives {
		if h := math.Round(quarters*part*float64(lags)/halfLifeParts) / quarters; h != last {
			each := 1
			if h < betweenBelow {
				each = 2
			}
			d.add(h, 0, lags, max(1, int(h)/8), each)
			last = h
		}
	}
	return d
}

// add adds the kernels of a half-life whose delays are first, first + step … up to last, and
// of each as many as tell so many parts of a step.
func (d *dictionary) add(halfLife float64, first, last, step, each int) {
	h := half{decay: Kernel{HalfLife: halfLife}.decay(), steps: halfLife, from: len(d.atoms), step: step, each: each}
	if halfLife == 0 {
		h.each = 1
	}
	for delay := first; delay <= last; delay += step {
		for part := 0; part == 0 || part < h.each && delay < d.lags; part++ {
			d.atoms = append(d.atoms, newAtom(Kernel{delay, halfLife, d.lags, float64(part) / float64(h.each)}))
		}
	}
	h.to = len(d.atoms)
	d.halves = append(d.halves, h)
}

const (
	// plausible is what a kernel may gain less than the best and still be the one, by far:
	// of the truth it is twice a logarithm of likelihoods, about χ² with three degrees of
	// freedom, and noise that comes with the effect has been seen to treble it.
	plausible = 30
	// refined is how many half-lives a refined dictionary has; with half of them plausible,
	// one between two of them gains at most a third of a unit more.
	refined = 12
	// delays is how many each of these has, from half to twice as many: closer together the
	// fewer steps they span, down to a part of a step in eachMax.
	delays  = 48
	eachMax = 8
	// halfLifeUnit is the part of a step in which half-lives are told.
	halfLifeUnit = 1.0 / 64
)

// refine returns the kernels around those that gain about as much as the best, closer
// together; false if they are close enough. What lies between two kernels of a grid is
// fitted by one of them, and that takes an error for certain that grows with the effect.
func (d *dictionary) refine(gains []float64) (*dictionary, bool) {
	least := slices.Max(gains) - plausible
	from, to, first, last, count, width := len(d.halves), -1, d.lags, 0, 0, 0
	for i, h := range d.halves {
		good := false
		for at := h.from; at < h.to; at++ {
			if gains[at] >= least {
				good = true
				first, last = min(first, d.atoms[at].Delay), max(last, d.atoms[at].Delay)
			}
		}
		if good {
			from, to, width = min(from, i), i, max(width, h.step)
			count++
		}
	}
	low, high := d.halves[max(0, from-1)].steps, d.halves[min(to+1, len(d.halves)-1)].steps
	if count >= refined/2 || high == 0 {
		return nil, false
	}
	first, last = max(0, first-width-1), min(d.lags, last+width+1)
	r := &dictionary{lags: d.lags}
	step, each := max(1, (last-first)/delays), min(eachMax, max(1, delays/(last-first+1)))
	if low == 0 {
		r.add(0, first, last, step, each)
		low = min(0.25, high)
	}
	before := 0.0
	for i := range refined {
		h := math.Round(low*math.Pow(high/low, float64(i)/(refined-1))/halfLifeUnit) * halfLifeUnit
		if h > before {
			r.add(h, first, last, step, each)
			before = h
		}
	}
	return r, true
}

func newAtom(k Kernel) atom {
	a := atom{Kernel: k}
	a.first, a.second, a.cut = k.terms()
	a.prior = -2 * delayPrior * math.Log1p(12*k.Waits()/float64(k.Lags))
	return a
}

// near returns the kernel of a half-life whose delay is the last up to one.
func (h *half) near(delay int) int { return min(h.from+h.each*(delay/h.step), h.to-1) }

// scores sets dst to the scores of all kernels, from the products of the stimulus
// with a response at lags 0, 1 …, in work for lags + 2 values.
func (d *dictionary) scores(dst, products, work []float64) {
	const forgotten = 40 // half-lives
	for i := range d.halves {
		h := &d.halves[i]
		acc := 0.0
		last := min(len(products)-1, d.lags+1+int(forgotten*h.steps))
		for lag := last; lag > d.lags+1; lag-- {
			acc = products[lag] + h.decay*acc
		}
		for lag := min(last, d.lags+1); lag >= 0; lag-- {
			acc = products[lag] + h.decay*acc
			work[lag] = acc
		}
		cut := work[d.lags+1]
		for at := h.from; at < h.to; at++ {
			a := &d.atoms[at]
			dst[at] = a.first*work[a.Delay] + a.second*work[a.Delay+1] - a.cut*cut
		}
	}
}

// decayedProducts sets a and b, of n + lags + 2 values, to the products of the
// decayed stimulus in a circle of n, given those of the stimulus; behind n they
// begin anew.
func decayedProducts(a, b, x, y []float64, decay float64) {
	n := len(x)
	accX, accY := 0.0, 0.0
	if decay > 0 {
		for lag := n - 1; lag >= 0; lag-- {
			accX = x[lag] + decay*accX
			accY = y[lag] + decay*accY
		}
		round := 1 / (1 - math.Pow(decay, float64(n)))
		accX *= round
		accY *= round
	}
	for lag := n - 1; lag >= 0; lag-- {
		accX = x[lag] + decay*accX
		accY = y[lag] + decay*accY
		a[lag], b[lag] = accX, accY
	}
	for from := n; from < len(a); from += n {
		copy(a[from:], a[:n])
		copy(b[from:], b[:n])
	}
}

// energy is Σ (v(t) − Σ φ(k)·v(t−k))² over all t, given autocovariances of v, not
// divided, at lags 0 … len(φ): a sum of them weighed by those of the filter itself.
func energy(covariance, weight []float64) float64 {
	return max(0, floats.Dot(covariance, weight))
}

// energyWeights sets weight to what energy needs of a filter.
func energyWeights(weight, phi []float64) {
	tap := func(k int) float64 {
		if k == 0 {
			return 1
		}
		return -phi[k-1]
	}
	for lag := range weight {
		weight[lag] = 0
		for k := lag; k <= len(phi); k++ {
			weight[lag] += tap(k) * tap(k-lag)
		}
		if lag > 0 {
			weight[lag] *= 2 // on both sides
		}
	}
}
