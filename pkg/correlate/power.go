package correlate

import (
	"math"
)

// power plants effects into the placebos, judges them as Screen does, and returns
// the share that is found of RelevantShare, and the smallest share of those tried
// that is found with powerMin, 1 for none: over fast and slow, early and late
// kernels. The world has to be the one without an effect.
func (w *world) power() (relevant, detectable float64) {
	unit := w.sumY / w.sumX
	if !(unit > 0) || math.IsInf(unit, 1) {
		return 0, 1
	}
	before := w.mem.at
	defer w.mem.release(before)
	var s searched
	z, none := w.noise(fit{}), w.mem.floats(len(w.atoms))
	w.search(&s, &z, none, 0)
	p := planter{world: w, noise: &z, critical: s.distribution(w.independent, w.mem)}
	for _, at := range w.typical() {
		column := w.mem.floats(len(w.atoms))
		w.plant(column, fit{at, unit})
		p.columns = append(p.columns, column)
	}
	relevant, detectable = p.found(RelevantShare), 1
	shares := [...]float64{0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8}
	from, to := 0, len(shares) // the first that is found
	for from < to {
		if mid := (from + to) / 2; p.found(shares[mid]) >= powerMin {
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
		want := math.Round(part * float64(d.lags) / halfLifeParts)
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

// planter plants effects into the placebos of a world without one.
type planter struct {
	world    *world
	noise    *noise
	columns  [][]float64 // what each kernel adds, if its effect were all of the response
	critical placebos
}

// found returns the share of effects that is found, each kernel in other placebos.
func (p *planter) found(share float64) float64 {
	w := *p.world
	before := w.mem.at
	defer w.mem.release(before)
	column := w.mem.floats(len(w.atoms))
	hits, count := 0, 0
	var s searched
	for k, all := range p.columns {
		for i, v := range all {
			column[i] = share / (1 - share) * v
		}
		w.study = p.world.part(k, len(p.columns))
		w.search(&s, p.noise, column, 0)
		for i, most := range s.most {
			if p.critical.p(most-s.gain[i]) <= Alpha {
				hits++
			}
			count++
		}
	}
	return float64(hits) / float64(max(1, count))
}

// part returns the study with each of-th placebo only, from one of the first on.
func (s *study) part(first, of int) *study {
	few := *s
	few.shifts, few.mirrored = nil, nil
	for i := first; i < len(s.shifts); i += of {
		few.shifts = append(few.shifts, s.shifts[i])
	}
	for i := first; i < len(s.mirrored); i += of {
		few.mirrored = append(few.mirrored, s.mirrored[i])
	}
	return &few
}
