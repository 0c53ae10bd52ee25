package correlate

import (
	"math"
	"slices"
)

// prober tells which sizes of an effect are refuted.
type prober struct {
	settled  *world
	f        fit
	scores   []float64 // of the response in the settled world
	variance float64
	left     float64 // to chance by the estimate, times the steps
	most     float64 // that a size may leave more
	excess   float64 // of the variance of the estimate over that of placebos
	world    *world  // of the size tried
}

func newProber(settled *world, f fit, largest float64, found bool) *prober {
	p := &prober{settled: settled, f: f, most: 2 * largest, scores: settled.mem.floats(len(settled.atoms)), world: settled.world()}
	before := settled.mem.at
	u, variance := settled.target(f)
	settled.score(p.scores, u)
	p.variance = variance
	p.left = settled.steps() * settled.left(f)
	if found {
		p.excess = settled.excess(f)
	}
	settled.mem.release(before)
	return p
}

// p returns the probability of what was seen, or less likely things, if the effect
// has the size beta. The kernel is the one that fits best at that size (the
// profile), the world the one that this effect leaves. A size much too large leaves
// so much to baseline and autocorrelation that in the end they explain the response
// and refute nothing: if it leaves more to chance than the estimate does, by twice
// what any placebo shows without an effect, it is out of the question.
func (p *prober) p(beta float64) float64 {
	at, _ := p.settled.bestAt(p.scores, beta, p.variance)
	f := fit{at, beta}
	p.world.assume(f)
	scatter := 1 + p.excess*beta*beta/max(p.f.beta*p.f.beta, math.SmallestNonzeroFloat64)
	t := p.world.try(f, scatter)
	if p.world.steps()*p.world.left(f)-p.left > scatter*p.most {
		return min(t.p, outOfTheQuestion)
	}
	return t.p
}

// excessFrom is the quantile of the placebos' scatter that counts as usual.
const excessFrom = 0.75

// excess returns by how much the variance of an estimate exceeds that of placebos, in
// units of the latter: what noise comes with the effect itself, as counts have it, or as
// a kernel leaves that is not quite the one, and of which placebos have none.
//
// With z what a unit of the effect adds, v what is left, β̂ = Σzv/Σz² and
//
//	g_w = Σ_{t in w} z(t)·(v(t) − β̂·z(t)),
//
// the sum of all g is 0, and Σ g² / (Σz²)² estimates the variance of β̂ whatever the noise
// does within a window w, and however it grows with z (Liang & Zeger, Longitudinal Data
// Analysis Using Generalized Linear Models, 1986; White 1980 for single steps). It is too
// small for few windows, but as much so for the placebos, with the same z. A statistic is
// about as many times too large as the variance is (Kent, Robust Properties of Likelihood
// Ratio Tests, 1982). That noise grows with the square of the effect: of no effect there
// is none; and one that was not found is not known well enough to tell.
//
// Where there are bursts, the placebos themselves scatter: only what exceeds three of
// four of them counts.
func (w *world) excess(f fit) float64 {
	before := w.mem.at
	defer w.mem.release(before)
	z := w.mem.floats(w.n)
	own := w.through(z, f.at)
	if f.beta == 0 || own == 0 {
		return 0
	}
	v, _ := w.rest(f)
	score, energy := w.mem.floats(w.n/w.lags+1), w.mem.floats(w.n/w.lags+1)
	for t, a := range z {
		energy[t/w.lags] += a * a
	}
	// spread is Σ g², of v from a step on, in a circle.
	spread := func(from int) (sum float64) {
		clear(score)
		total := 0.0
		for t, a := range z {
			u := from + t
			if u >= w.n {
				u -= w.n
			}
			g := a * v[u]
			score[t/w.lags] += g
			total += g
		}
		for i, g := range score {
			g -= total / own * energy[i]
			sum += g * g
		}
		return sum
	}
	all := w.mem.floats(len(w.shifts) + len(w.mirrored))[:0]
	for _, shift := range w.shifts {
		all = append(all, spread(shift))
	}
	seen := spread(0)
	slices.Reverse(v)
	for _, shift := range w.mirrored {
		all = append(all, spread(shift))
	}
	slices.Sort(all)
	usual := quantile(all, excessFrom)
	if usual == 0 {
		return 0
	}
	return max(0, seen/usual-1)
}

// outOfTheQuestion stands for a probability that is not told.
const outOfTheQuestion = 1e-6

// interval returns the ends of the sizes around the estimate that are not refuted
// at Alpha; pNull is the probability at 0. It goes outward from the estimate in
// steps that begin small, and ends at the first size that is.
func (p *prober) interval(pNull float64) (low, high float64) {
	const steps = 24
	beta, most := p.f.beta, p.settled.betaMax
	if pNull <= Alpha {
		low = p.end(beta, 1, 0, pNull)
	}
	// About where a normal estimate would end.
	step := 0.1 * beta
	if own := p.settled.own[p.f.at]; own > 0 {
		step = 2 * math.Sqrt(p.variance/own)
	}
	in, pIn := beta, 1.0
	for range steps {
		out := min(in+step, most)
		pOut := p.p(out)
		if pOut <= Alpha {
			return low, p.end(in, pIn, out, pOut)
		}
		in, pIn = out, pOut
		if out == most {
			break
		}
		step *= 1.6
	}
	return low, in
}

// end returns the size between in, which is not refuted, and out, which is, where
// the probability is Alpha: by interpolation of its logarithm and by halving, in
// turn, to a sixtieth of the way.
func (p *prober) end(in, pIn, out, pOut float64) float64 {
	width := math.Abs(out - in)
	level := math.Log(Alpha)
	for i := 0; math.Abs(out-in) > width/60; i++ {
		mid := (in + out) / 2
		if i%2 == 0 {
			a, b := math.Log(pIn)-level, math.Log(pOut)-level
			mid = in + min(0.9, max(0.1, a/(a-b)))*(out-in)
		}
		if v := p.p(mid); v > Alpha {
			in, pIn = mid, v
		} else {
			out, pOut = mid, v
		}
	}
	return (in + out) / 2
}

// realised plants the effect into the placebos and returns the share of them whose
// interval would hold it: each is judged by the kernel that itself speaks for, and by
// placebos that are not its neighbours. Those it is one of have it in their tail, and
// so would nearly always hold it (Stone, Cross-validatory choice, 1974).
func (w *world) realised(f fit) float64 {
	const kernelsMax, thinned = 16, 3
	before := w.mem.at
	defer w.mem.release(before)
	z, column := w.noise(f), w.mem.floats(len(w.atoms))
	w.plant(column, f)
	var planted, s searched
	w.search(&planted, &z, column, f.beta)
	judges := map[int][]placebos{f.at: w.others(&planted)}
	few := *w
	few.study = w.part(0, thinned)
	held, count := 0, 0
	for i, at := range planted.at {
		others, known := judges[at]
		if !known {
			if len(judges) == kernelsMax {
				continue
			}
			w.plant(column, fit{at, f.beta})
			few.search(&s, &z, column, f.beta)
			others = few.others(&s)
			judges[at] = others
		}
		count++
		if others[w.fold(i)].p(planted.most[i]-planted.gain[i]) > Alpha {
			held++
		}
	}
	return float64(held) / float64(count)
}

// folds is how many the placebos are cut into: about as many as are independent.
func (s *study) folds() int { return int(s.independent) }

// fold returns which of them a placebo belongs to, by its shift.
func (s *study) fold(placebo int) int {
	at := s.n
	if placebo < len(s.shifts) {
		at = s.shifts[placebo]
	} else {
		at += s.mirrored[placebo-len(s.shifts)]
	}
	return at * s.folds() / (2 * s.n)
}

// others returns for each fold the distribution of the statistics outside of it.
func (s *study) others(found *searched) []placebos {
	all := make([]placebos, s.folds())
	for k := range all {
		sorted := s.mem.floats(len(found.most))[:0]
		for i, v := range found.most {
			if s.fold(i) != k {
				sorted = append(sorted, v-found.gain[i])
			}
		}
		slices.Sort(sorted)
		all[k] = placebos{sorted, s.independent * float64(len(sorted)) / float64(len(found.most))}
	}
	return all
}
