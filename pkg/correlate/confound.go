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

// confounders returns an orthonormal basis of what other stimuli c may have added to
// the judged steps of a response, less its groups' means:
//
//	y(t) = baseline(t) + β·z(t) + Σ_c Σ_lag w_c(lag)·c(t−lag) + u(t).
//
// The w are free, one for each lag of the window, so that no kernel has to be known
// for the confounder. In such a model β is the same whether the c are fitted beside
// z, or what they explain is taken out of both y and z (Frisch & Waugh 1933, Lovell
// 1963): neither their size nor what they do to the stimulus matters. The price is
// one step of evidence for each coefficient. Where they would be more than
// confoundMax of the steps, lags next to each other share one. What is not known of a
// confounder counts as its mean.
func (s *study) confounders(p *Pair) (basis [][]float64) {
	steps := s.steps()
	width := max(1, int(math.Ceil(float64(len(p.Confounders)*(s.lags+1))/(confoundMax*steps))))
	for _, values := range p.Confounders {
		c, present, sums := s.mem.floats(s.n), s.mem.floats(s.n), s.mem.floats(s.n+1)
		mean := known(c, present, values) / max(1, floats.Sum(present))
		for t := range c {
			sums[t+1] = sums[t] + present[t]*(c[t]-mean)
		}
		for from := 0; from <= s.lags; from += width {
			to := min(from+width, s.lags+1)
			column := s.mem.floats(s.n)
			for t, j := range s.judged {
				if j > 0 {
					column[t] = sums[t+1-from] - sums[t+1-to]
				}
			}
			if s.centring.means(column); orthogonal(column, basis) {
				basis = append(basis, column)
			}
		}
	}
	return basis
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
		return len(x) > 1 && math.Abs(stat.Correlation(x, y, nil)) >= sameAs // not where either is constant
	})
}

// orthogonal takes out of v what a basis explains, scales the rest to length 1, and
// says whether there was any: by Gram and Schmidt, twice, which is enough (Giraud &
// Langou 2002).
func orthogonal(v []float64, basis [][]float64) bool {
	const negligible = 1e-6
	whole := floats.Norm(v, 2)
	explain(nil, v, basis)
	explain(nil, v, basis)
	rest := floats.Norm(v, 2)
	if rest <= negligible*whole {
		return false
	}
	floats.Scale(1/rest, v)
	return true
}

// explain takes out of v what an orthonormal basis explains of it, and adds that to
// out, if there is one.
func explain(out, v []float64, basis [][]float64) {
	for _, b := range basis {
		size := floats.Dot(b, v)
		floats.AddScaled(v, -size, b)
		if out != nil {
			floats.AddScaled(out, size, b)
		}
	}
}

// confounding returns what other stimuli explain of each step of the response, given
// an effect; 0 where it is not judged.
func (w *world) confounding(f fit) []float64 {
	out := w.mem.floats(w.n)
	before := w.mem.at
	rest := w.mem.floats(w.n)
	w.without(rest, f)
	for t, j := range w.judged {
		rest[t] = j * (rest[t] - w.expected[t])
	}
	w.centring.means(rest)
	explain(out, rest, w.centring.basis)
	w.mem.release(before)
	return out
}
