package correlate

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// halfLives are the half-lives searched, in 72nds of the window: from nothing to
// 32 h of 72 h, at most a factor of 3/2 apart from 2 h on.
//
//nolint:gochecknoglobals // a table nobody writes to
var halfLives = [...]float64{0, 0.5, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32}

// halfLifeParts is how many parts of the window halfLives counts in.
const halfLifeParts = 72

// delayPrior is the exponent of the prior weight of a delay, (1 + 12·delay/window)
// to the −delayPrior: an effect after six hours has half the odds of one at once.
const delayPrior = 0.5

// dictionary is a set of kernels: of some half-lives, all delays. What a kernel
// makes of a stimulus is two reads of the stimulus decayed without end, r:
//
//	z(t) = gain·(r(t−delay) − tail·r(t−lags−1)).
//
// And the products of all r with a response come from those of the stimulus itself,
// m_r(lag) = m_x(lag) + decay·m_r(lag+1). So two Fourier transforms give the scores
// Σ z(t)·v(t) of all kernels, at all shifts.
type dictionary struct {
	lags   int
	halves []half
	atoms  []Kernel
	// Of each kernel: as above, and twice the logarithm of its prior weight.
	gain, tail, prior []float64
}

// half is the kernels of one half-life: atoms from … to−1, with delays step apart.
type half struct {
	decay          float64
	steps          int // of the half-life
	from, to, step int
}

func newDictionary(lags int) *dictionary {
	d := &dictionary{lags: lags}
	last := -1
	for _, part := range halfLives {
		h := int(math.Round(part * float64(lags) / halfLifeParts))
		if h == last {
			continue
		}
		last = h
		group := half{decay: Kernel{HalfLife: h}.decay(), steps: h, from: len(d.atoms), step: max(1, h/8)}
		for delay := 0; delay <= lags; delay += group.step {
			k := Kernel{delay, h, lags}
			d.atoms = append(d.atoms, k)
			d.gain, d.tail = append(d.gain, k.norm()), append(d.tail, k.tail())
			d.prior = append(d.prior, -2*delayPrior*math.Log1p(12*float64(delay)/float64(lags)))
		}
		group.to = len(d.atoms)
		d.halves = append(d.halves, group)
	}
	return d
}

// near returns the kernel of a half-life whose delay is the last up to one.
func (h *half) near(delay int) int { return min(h.from+delay/h.step, h.to-1) }

// scores sets dst to the scores of all kernels, from the products of the stimulus
// with a response at lags 0, 1 …, in work for lags + 2 values.
func (d *dictionary) scores(dst, products, work []float64) {
	const forgotten = 40 // half-lives
	for i := range d.halves {
		h := &d.halves[i]
		acc := 0.0
		last := min(len(products)-1, d.lags+1+forgotten*h.steps)
		for lag := last; lag > d.lags+1; lag-- {
			acc = products[lag] + h.decay*acc
		}
		for lag := min(last, d.lags+1); lag >= 0; lag-- {
			acc = products[lag] + h.decay*acc
			work[lag] = acc
		}
		cut := work[d.lags+1]
		for at, lag := h.from, 0; at < h.to; at, lag = at+1, lag+h.step {
			dst[at] = d.gain[at] * (work[lag] - d.tail[at]*cut)
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
