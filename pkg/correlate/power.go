package correlate

import (
	"math"
)

// power plants effects into the response, moved by a placebo's shift, judges them
// as Screen does, and returns the share that is found of RelevantShare, and the
// smallest share of those tried that is found with powerMin, 1 for none: over fast
// and slow, early and late kernels. The world has to be the one without an effect.
func (w *world) power() (relevant, detectable float64) {
	unit := w.sumY / w.sumX
	if !(unit > 0) || math.IsInf(unit, 1) {
		return 0, 1
	}
	kernels := w.typical()
	relevant, detectable = w.found(kernels, RelevantShare, unit), 1
	shares := [...]float64{0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8}
	from, to := 0, len(shares) // the first that is found
	for from < to {
		mid := (from + to) / 2
		share := relevant
		if shares[mid] != RelevantShare {
			share = w.found(kernels, shares[mid], unit)
		}
		if share >= powerMin {
			to, detectable = mid, shares[mid]
		} else {
			from = mid + 1
		}
	}
	return relevant, detectable
}

// typical returns kernels with half-lives of about 2, 8 and 24 hours of 72, after
// about 3, 12 and 30 hours.
func (d *dictionary) typical() []int {
	var kernels []int
	for _, part := range [...]float64{2, 8, 24} {
		want := int(math.Round(part * float64(d.lags) / halfLifeParts))
		for i := range d.halves {
			h := &d.halves[i]
			if h.steps < want && i < len(d.halves)-1 {
				continue
			}
			for _, delay := range [...]int{d.lags / 24, d.lags / 6, d.lags * 5 / 12} {
				kernels = append(kernels, h.near(delay))
			}
			break
		}
	}
	return kernels
}

// found returns the share of planted effects that is found.
func (w *world) found(kernels []int, share, unit float64) float64 {
	const trials, placebosTried = 24, 60
	before := w.mem.at
	defer w.mem.release(before)
	judged, c, none := w.mem.floats(w.n), w.mem.floats(len(w.atoms)), w.mem.floats(len(w.atoms))
	few := *w.study
	few.mirrored, few.shifts = nil, nil
	for k := 0; k < len(w.shifts); k += max(1, len(w.shifts)/placebosTried) {
		few.shifts = append(few.shifts, w.shifts[k])
	}
	in := *w
	in.study = &few
	hits := 0
	var s searched
	for i := range trials {
		inner := w.mem.at
		shift := w.shifts[(2*i+1)*len(w.shifts)/(2*trials)]
		v := w.mem.floats(w.n)
		w.through(v, kernels[i*5%len(kernels)])
		for t := range v {
			from := (t + shift) % w.n
			judged[t] = w.judged[from] * w.judged[t]
			v[t] = judged[t] * (share/(1-share)*unit*v[t] + w.y[from])
		}
		bound(v, v, judged, huberC, w.mem)
		z := noise{scores: c, forward: w.mem.floats(w.n), backward: w.mem.floats(w.n)}
		for _, x := range v {
			z.variance += x * x
		}
		z.variance = max(z.variance/float64(w.n), math.SmallestNonzeroFloat64)
		m := w.products(v)
		w.scores(c, m[:w.n], w.mem.floats(w.lags+2))
		w.freq.circular(z.forward, m)
		_, most := w.best(c, z.variance)
		in.search(&s, &z, none, 0)
		d := s.distribution(w.independent, w.mem)
		if d.p(most) <= Alpha {
			hits++
		}
		w.mem.release(inner)
	}
	return float64(hits) / trials
}
