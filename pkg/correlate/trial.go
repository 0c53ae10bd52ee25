package correlate

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
)

// noise is what an effect leaves of the response, bounded, as the kernels see it.
type noise struct {
	scores            []float64 // of each kernel
	forward, backward []float64 // products with the stimulus, in a circle
	variance          float64
}

// noise holds what a fit leaves against the stimulus as it is, at all shifts, and
// run backwards.
func (w *world) noise(f fit) noise {
	z := noise{
		scores: w.mem.floats(len(w.atoms)), forward: w.mem.floats(w.n), backward: w.mem.floats(w.n),
	}
	before := w.mem.at
	v, variance := w.rest(f)
	z.variance = variance
	m := w.products(v)
	w.scores(z.scores, m[:w.n], w.mem.floats(w.lags+2))
	w.freq.circular(z.forward, m)
	w.freq.circular(z.backward, w.freq.products(w.backward, w.scratch))
	w.mem.release(before)
	return z
}

// searched is what all kernels find in each placebo.
type searched struct {
	most, gain []float64 // the best gain of any size, and of a given size
	at         []int     // the kernel of the latter
}

// term is what search needs of a kernel, side by side.
type term struct {
	lag                               int
	first, second, cut, prior, column float64
	inverse, square                   float64 // 1/Σz² by the variance, and Σz² times the size squared by it
}

// search finds it: the statistic of a placebo is most − gain. Into each is planted
// what column says, and the size given is beta. Placebos are those the pair has:
// shifts by more than the window either way, where nothing can follow, and all
// shifts against the stimulus run backwards. They are searched one half-life after
// the other, so that all that is read stays near.
func (w *world) search(s *searched, z *noise, column []float64, beta float64) {
	count := len(w.shifts) + len(w.mirrored)
	s.most, s.gain = w.mem.floats(count), w.mem.floats(count)
	s.at = slices.Grow(s.at[:0], count)[:count]
	for i := range s.most {
		s.most[i], s.gain[i] = math.Inf(-1), math.Inf(-1)
	}
	before := w.mem.at
	a, b := w.mem.floats(w.n+w.lags+2), w.mem.floats(w.n+w.lags+2)
	for i := range w.halves {
		h := &w.halves[i]
		decayedProducts(a, b, z.forward, z.backward, h.decay)
		terms := w.terms[:0]
		for j := h.from; j < h.to; j++ {
			a, inverse, scale := &w.atoms[j], 0.0, 1.0
			// What an effect adds at the ends of what is judged, and a shift in the middle of it,
			// is told for the kernels of a delay: one between is as the one before it.
			k := j - (j-h.from)%h.each
			if w.own[j] > 0 {
				inverse = 1 / (w.own[j] * z.variance)
				scale = math.Sqrt(w.own[k] / w.whole[k]) // the noise of a shift as that of the pair
			}
			terms = append(terms, term{
				a.Delay, scale * a.first, scale * a.second, scale * a.cut, a.prior, column[j], inverse, beta * beta * w.own[j] / z.variance,
			})
		}
		w.terms = terms
		one := func(placebo int, products []float64) {
			products = products[:w.lags+2]
			most, best, at := searchOne(terms, products, 2*beta/z.variance)
			s.most[placebo] = max(s.most[placebo], most)
			if best > s.gain[placebo] {
				s.gain[placebo], s.at[placebo] = best, h.from+at
			}
		}
		for p, shift := range w.shifts {
			one(p, a[shift:])
		}
		for p, shift := range w.mirrored {
			one(len(w.shifts)+p, b[shift:])
		}
	}
	w.mem.release(before)
}

// searchOne searches the kernels of one half-life.
func searchOne(terms []term, products []float64, twice float64) (most, best float64, at int) {
	most, best = math.Inf(-1), math.Inf(-1)
	cut := products[len(products)-1]
	for j := range terms {
		k := &terms[j]
		c := k.first*products[k.lag] + k.second*products[k.lag+1] - k.cut*cut + k.column
		if v := k.prior + twice*c - k.square; v > best {
			best, at = v, j
		}
		c = max(c, 0)
		if v := k.prior + c*c*k.inverse; v > most {
			most = v
		}
	}
	return most, best, at
}

// trial is one hypothesis, an effect of a given size, held against the data.
type trial struct {
	statistic float64 // how much better the best effect of any size does
	p         float64 // the probability of one as large, if the hypothesis is true
	largest   float64 // the statistic of the placebo that has most
	fall      float64 // the statistic of the best effect below 0, where the size is 0
	pFall     float64 // its probability
}

// try tests a hypothesis. The world has to be the one with that effect. What it
// leaves of the response, bounded, is held against the stimulus as it is and at the
// placebos, where nothing of it can be left; there the same effect is planted, and
// all is searched anew.
func (w *world) try(f fit) trial {
	before := w.mem.at
	defer w.mem.release(before)
	z, column := w.noise(f), w.mem.floats(len(w.atoms))
	w.plant(column, f)
	t := trial{statistic: w.statistic(&z, column, f.beta)}
	var s searched
	w.search(&s, &z, column, f.beta)
	d := s.distribution(w.independent, w.mem)
	t.p, t.largest = d.p(t.statistic), d.sorted[len(d.sorted)-1]
	if f.beta == 0 {
		floats.Scale(-1, z.scores)
		t.fall = w.statistic(&z, column, 0)
		t.pFall = d.p(t.fall)
	}
	return t
}

// plant sets column to what an effect adds to the scores.
func (w *world) plant(column []float64, f fit) {
	if f.beta == 0 {
		clear(column)
		return
	}
	before := w.mem.at
	z := w.mem.floats(w.n)
	w.through(z, f.at)
	w.score(column, z)
	for i := range column {
		column[i] *= f.beta
	}
	w.mem.release(before)
}

// statistic is that of the data: how much more the best effect explains than the
// best of the size beta, what is planted added to the noise.
func (w *world) statistic(z *noise, column []float64, beta float64) float64 {
	before := w.mem.at
	c := w.mem.floats(len(column))
	for i, v := range column {
		c[i] = z.scores[i] + v
	}
	_, most := w.best(c, z.variance)
	_, gain := w.bestAt(c, beta, z.variance)
	w.mem.release(before)
	return most - gain
}

// distribution returns that of the statistics.
func (s *searched) distribution(independent float64, m *memory) placebos {
	d := placebos{sorted: m.floats(len(s.most)), independent: independent}
	for i, v := range s.most {
		d.sorted[i] = v - s.gain[i]
	}
	slices.Sort(d.sorted)
	return d
}

// kept is the share of an effect that is no gain of the search. The best of many
// kernels is too large on average: its square is what it explains, and of that the
// best of a placebo explains some by chance. Half of the median placebo's is taken
// off, since chance seldom chooses the kernel of an effect that is there.
func (w *world) kept(f fit) float64 {
	before := w.mem.at
	defer w.mem.release(before)
	if f.beta == 0 {
		return 1
	}
	z, none := w.noise(f), w.mem.floats(len(w.atoms))
	var s searched
	w.search(&s, &z, none, 0)
	gained := s.distribution(w.independent, w.mem)
	explained := f.beta * f.beta * w.through(w.mem.floats(w.n), f.at) / z.variance
	if !(explained > 0) {
		return 1
	}
	return math.Sqrt(max(0, 1-quantile(gained.sorted, 0.5)/(2*explained)))
}
