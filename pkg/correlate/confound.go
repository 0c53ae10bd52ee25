package correlate

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
)

// confoundMax is the most of the judged steps that the coefficients of confounders
// may number.
const confoundMax = 0.25

// confounding is what other stimuli c may have added to a response, besides an effect:
//
//	y(t) = baseline(t) + β·z(t) + Σ_c Σ_lag w_c(lag)·(c(t−lag) − mean of c) + u(t).
//
// The w are free, one for each lag of the window, so that no kernel has to be known
// for the confounder. In such a model β is the same whether the c are fitted beside
// z, or what they explain is taken out of both y and z (Frisch & Waugh 1933, Lovell
// 1963): neither their size nor what they do to the stimulus matters. The price is
// one step of evidence for each coefficient. Where they would be more than
// confoundMax of the steps, lags next to each other share one. What is not known of a
// confounder counts as its mean.
type confounding struct {
	sums  [][]float64 // of each c less its mean: over the steps before each
	parts []part      // that have a coefficient
	// basis is orthonormal, over the judged steps and less the means of their groups.
	// Part i is Σ_j inBasis[i][j]·basis[j] there, and j goes up to i.
	basis, inBasis [][]float64
}

// part is some lags of a confounder that share a coefficient, from ≤ lag < to.
type part struct{ of, from, to int }

// confounders sets what the confounders of a pair may explain.
func (s *study) confounders(p *Pair) {
	c := confounding{}
	steps := s.steps()
	width := max(1, int(math.Ceil(float64(len(p.Confounders)*(s.lags+1))/(confoundMax*steps))))
	for of, values := range p.Confounders {
		v, present, sums := s.mem.floats(s.n), s.mem.floats(s.n), s.mem.floats(s.n+1)
		mean := known(v, present, values) / max(1, floats.Sum(present))
		for t := range v {
			sums[t+1] = sums[t] + present[t]*(v[t]-mean)
		}
		c.sums = append(c.sums, sums)
		for from := 0; from <= s.lags; from += width {
			part := part{of, from, min(from+width, s.lags+1)}
			column := s.mem.floats(s.n)
			c.add(column, part, 1)
			for t, j := range s.judged {
				column[t] *= j
			}
			s.centring.means(column)
			if in := s.mem.floats(len(c.basis) + 1); orthogonal(in, column, c.basis) {
				c.parts, c.basis, c.inBasis = append(c.parts, part), append(c.basis, column), append(c.inBasis, in)
			}
		}
	}
	s.confounding, s.centring.basis = c, c.basis
}

// add adds w times a part to out.
func (c *confounding) add(out []float64, p part, w float64) {
	sums := c.sums[p.of]
	for t := p.from; t < len(out); t++ {
		out[t] += w * (sums[t+1-p.from] - sums[max(0, t+1-p.to)])
	}
}

// explain sets out to what the confounders add to each step of a series, judged or not,
// given what is judged of it less its baseline: by least squares. It takes the same out
// of what is given.
func (s *study) explain(out, rest []float64) {
	clear(out)
	before := s.mem.at
	c := &s.confounding
	size := s.mem.floats(len(c.basis))
	s.centring.means(rest)
	explain(size, rest, c.basis)
	for i := len(c.parts) - 1; i >= 0; i-- { // back substitution: Σ_i weight_i·inBasis_i = size
		weight := size[i] / c.inBasis[i][i]
		floats.AddScaled(size[:i], -weight, c.inBasis[i][:i])
		c.add(out, c.parts[i], weight)
	}
	s.mem.release(before)
}

// sameAs is the correlation from which on a confounder is the stimulus by another name.
const sameAs = 0.99

// confounded says whether a confounder is the stimulus, in other units or with some
// noise: what is left of either then is noise or the ends of the series, and tells
// nothing.
func (p *Pair) confounded() bool {
	return slices.ContainsFunc(p.Confounders, func(c []float64) bool {
		var x, y []float64
		for t, v := range c {
			if !math.IsNaN(v) && !math.IsNaN(p.X[t]) {
				x, y = append(x, p.X[t]), append(y, v)
			}
		}
		return len(x) > p.Lags && math.Abs(stat.Correlation(x, y, nil)) >= sameAs // not where either is constant
	})
}

// explained says whether confounders explain all of the response, so that what is left
// is the error of the arithmetic.
func (s *study) explained() bool {
	before := s.mem.at
	v := s.mem.floats(s.n)
	for t, j := range s.judged {
		v[t] = j * s.y[t]
	}
	s.centring.means(v)
	news := orthogonal(nil, v, s.centring.basis)
	s.mem.release(before)
	return !news
}

// relatedAlpha is how probable by chance what is seen of a confounder in a side may be.
const relatedAlpha = 0.05

// Confounding returns which of the confounders are taken out: those that may be seen
// to act on the response, or on the stimulus, by the daily test. What acts on neither
// confounds nothing, and to take it out costs as much evidence: three of them made
// intervals of four weeks twice to three times as wide. What is seen in one side only, as
// a confounder that moves the stimulus a lot and the response a little, is taken out too: to
// look at the response alone would miss it, and the effect would have what it does
// (post-double-selection, Belloni, Chernozhukov & Hansen 2014). The test is for effects
// above 0: a confounder that lowers both sides or one is not seen. Of a history that is too
// short for the test it is none.
func (in *Hourly) Confounding(s *Scratch) (which []int) {
	n := len(in.Y)
	if in.short() {
		return nil
	}
	for i, c := range in.Confounders {
		for _, side := range [...]struct {
			counts   []int64
			expected []float64
		}{{in.Y, in.ExpectedY}, {in.X, in.ExpectedX}} {
			e := Evidence{n: float64(n), lags: in.Kernel.Lags}
			above(grow(&s.floats[0], n), side.counts, side.expected)
			copy(grow(&s.floats[1], n), c)
			if e.weigh(in, nil, 1, s); e.none.Reason == NoReason && e.Choose(nil).P <= relatedAlpha {
				which = append(which, i)
				break
			}
		}
	}
	return which
}

// around is what confounders may add to a history that goes round in a circle, as that of
// the daily test does: each of their lags by a coefficient of its own, as in confounding.
// In a circle the products of two lags are those of the series at the difference of the
// lags, so that least squares need no more than these.
type around struct {
	n     int
	lags  []int       // of the columns of each series
	twice [][]float64 // each series, whitened and of length 1, two times
	lower [][]float64 // the Cholesky factor of the products of all columns
	by    []float64
}

// ridge is added to the products of a column with itself: lags of a confounder that
// changes slowly are nearly the same.
const ridge = 1e-9

// confounders returns what some of those of a history may add to its response, whitened
// by phi; nil for nothing.
func (in *Hourly) confounders(which []int, phi float64) *around {
	if len(which) == 0 {
		return nil
	}
	c := &around{n: len(in.Y)}
	width := max(1, int(math.Ceil(float64(len(which)*(in.Kernel.Lags+1))/(confoundMax*float64(c.n)))))
	for lag := 0; lag <= in.Kernel.Lags; lag += width {
		c.lags = append(c.lags, lag)
	}
	for _, i := range which {
		values := in.Confounders[i]
		v := make([]float64, 2*c.n)
		for t := range c.n {
			for lag := range width {
				v[t] += values[(t-lag+c.n)%c.n]
			}
		}
		whitenBy(v[:c.n], phi)
		if normalise(v[:c.n]) == 0 {
			continue
		}
		copy(v[c.n:], v[:c.n])
		c.twice = append(c.twice, v)
	}
	c.factorise(width)
	return c
}

// factorise sets the factor, row by row.
func (c *around) factorise(width int) {
	k := len(c.lags)
	products := make([]float64, 2*k-1) // of two series, by the lag of the second less that of the first
	c.lower, c.by = make([][]float64, k*len(c.twice)), make([]float64, k*len(c.twice))
	for i := range c.lower {
		c.lower[i] = make([]float64, i+1)
	}
	for a, first := range c.twice {
		for b, second := range c.twice[:a+1] {
			for d := range products {
				products[d] = shifted(first[:c.n], second, ((d-k+1)*width+c.n)%c.n)
			}
			for i := range k {
				for j := range min(k, a*k+i-b*k+1) {
					c.lower[a*k+i][b*k+j] = products[j-i+k-1]
				}
			}
		}
	}
	for i, row := range c.lower {
		for j := range row[:i] {
			row[j] = (row[j] - floats.Dot(row[:j], c.lower[j][:j])) / c.lower[j][j]
		}
		row[i] = math.Sqrt(max(ridge, row[i]+ridge-floats.Dot(row[:i], row[:i])))
	}
}

// explain returns how much of the square of v the confounders explain, and with out takes
// it out of v.
func (c *around) explain(v []float64, out bool) (square float64) {
	if c == nil {
		return 0
	}
	k := len(c.lags)
	for a, series := range c.twice {
		for i, lag := range c.lags {
			c.by[a*k+i] = shifted(v, series, lag)
		}
	}
	for i, row := range c.lower { // forward
		c.by[i] = (c.by[i] - floats.Dot(row[:i], c.by[:i])) / row[i]
	}
	square = floats.Dot(c.by, c.by)
	if !out {
		return square
	}
	for i := len(c.lower) - 1; i >= 0; i-- { // and back
		c.by[i] /= c.lower[i][i]
		floats.AddScaled(c.by[:i], -c.by[i], c.lower[i][:i])
	}
	for a, series := range c.twice {
		for i, lag := range c.lags {
			floats.AddScaled(v, -c.by[a*k+i], series[c.n-lag:2*c.n-lag])
		}
	}
	return square
}

// orthogonal takes out of v what a basis explains, scales the rest to length 1, and
// says whether there was any. It sets in, if there is one, to v in the basis that the
// rest extends. By Gram and Schmidt, twice, which is enough (Giraud & Langou 2002).
func orthogonal(in, v []float64, basis [][]float64) bool {
	const negligible = 1e-6
	whole := floats.Norm(v, 2)
	explain(in, v, basis)
	explain(in, v, basis)
	rest := floats.Norm(v, 2)
	if rest <= negligible*whole {
		return false
	}
	if in != nil {
		in[len(basis)] = rest
	}
	floats.Scale(1/rest, v)
	return true
}

// explain takes out of v what an orthonormal basis explains of it, and adds how much
// that is of each to size, if there is one.
func explain(size, v []float64, basis [][]float64) {
	for i, b := range basis {
		along := floats.Dot(b, v)
		floats.AddScaled(v, -along, b)
		if size != nil {
			size[i] += along
		}
	}
}

// confounded returns what confounders add to each step of the response, given an effect.
func (w *world) confounded(f fit) []float64 {
	out := w.mem.floats(w.n)
	before := w.mem.at
	rest := w.mem.floats(w.n)
	w.without(rest, f)
	for t, j := range w.judged {
		rest[t] = j * (rest[t] - w.expected[t])
	}
	w.explain(out, rest)
	w.mem.release(before)
	return out
}
