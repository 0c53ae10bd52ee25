package correlate

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
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
	t := p.world.try(f)
	if p.world.steps()*p.world.left(f)-p.left > p.most {
		return min(t.p, outOfTheQuestion)
	}
	return t.p
}

// excess returns by how much the variance of an estimate exceeds that of the median
// placebo, in units of the latter: what noise comes with the effect itself, as counts have
// it, or as a kernel leaves that is not quite the one, and of which placebos have none.
//
// With z what a unit of the effect adds, v what is left, bounded, β̂ = Σzv/Σz² and
//
//	g_w = Σ_{t in w} z(t)·(v(t) − β̂·z(t)),
//
// the sum of all g is 0, and Σ g² / (Σz²)² estimates the variance of β̂ whatever the noise
// does within w, and however it grows with z (Liang & Zeger, Longitudinal Data Analysis
// Using Generalized Linear Models, 1986; White 1980 for single steps). What is bounded does
// not move with the effect, and where the effect is, more may be: with free(t) 0 there and
// elsewhere 1 over the share of all steps that are free, the variance is Σ g² / (Σ free·z²)²
// (Huber, Robust Regression, 1973). It is too small for few w, but as much so for the
// placebos, with the same z. That noise grows with the square of the effect: of no effect
// there is none; and one that was not found is not known well enough to tell.
//
// A burst that is most of the evidence lies in one window and is fitted there: its g is
// nearly 0. So w is a window, a third of it, a twelfth and a step in turn, and the largest
// excess is taken.
func (w *world) excess(f fit) float64 {
	before := w.mem.at
	defer w.mem.release(before)
	z := w.mem.floats(w.n)
	own := w.through(z, f.at)
	if f.beta == 0 || own == 0 {
		return 0
	}
	v, _ := w.rest(f)
	free := w.free(v)
	seen := w.scatter(z, v, free, own, 0)
	all := make([]scatters, 0, len(w.shifts)+len(w.mirrored))
	for _, shift := range w.shifts {
		all = append(all, w.scatter(z, v, free, own, shift))
	}
	slices.Reverse(v)
	slices.Reverse(free)
	for _, shift := range w.mirrored {
		all = append(all, w.scatter(z, v, free, own, shift))
	}
	most, sorted := 0.0, w.mem.floats(len(all))
	for i, s := range seen {
		for j := range all {
			sorted[j] = all[j][i]
		}
		slices.Sort(sorted)
		if usual := quantile(sorted, 0.5); usual > 0 {
			most = max(most, s/usual-1)
		}
	}
	return most
}

// free returns 0 for the steps that are bounded, and for the others 1 over the share of
// those.
func (w *world) free(v []float64) []float64 {
	out, limit, count := w.mem.floats(w.n), 0.0, 0.0
	for _, x := range v {
		limit = max(limit, math.Abs(x))
	}
	for t, j := range w.judged {
		if j > 0 && math.Abs(v[t]) < limit {
			out[t] = 1
			count++
		}
	}
	floats.Scale(w.steps()/max(1, count), out)
	return out
}

// freeMin is the least share of an effect that is taken to be free.
const freeMin = 0.25

// scatters are Σ g² by parts of a window: the whole, a third, a twelfth and a step, each
// over the square of the share of the effect that is free.
type scatters [4]float64

// scatter returns those of what is left from a step on, in a circle; own is Σ z².
func (w *world) scatter(z, v, free []float64, own float64, from int) (s scatters) {
	product, moves := 0.0, 0.0
	for t, a := range z {
		u := from + t
		if u >= w.n {
			u -= w.n
		}
		product += a * v[u]
		moves += a * a * free[u]
	}
	beta, parts := product/own, [len(s)]int{w.lags, max(1, w.lags/3), max(1, w.lags/12), 1}
	g, left := scatters{}, parts
	for t, a := range z {
		u := from + t
		if u >= w.n {
			u -= w.n
		}
		score := a * (v[u] - beta*a)
		for i := range g {
			g[i] += score
			if left[i]--; left[i] == 0 || t == w.n-1 {
				s[i] += g[i] * g[i]
				g[i], left[i] = 0, parts[i]
			}
		}
	}
	share := max(freeMin, moves/own)
	floats.Scale(1/(share*share), s[:])
	return s
}

// outOfTheQuestion stands for a probability that is not told.
const outOfTheQuestion = 1e-6

// interval returns the bare one, stretched by the noise that comes with the effect. That
// goes with its size: it raises the variance of β₀ by 1 + excess·β₀²/β̂², so that the lower
// end, a·β̂ below the estimate without it, is where (β̂ − β₀)² = (a·β̂)²·(1 + excess·β₀²/β̂²).
// It stays above 0 where 0 is refuted. The upper end has the noise of the estimate. To both
// comes, likewise, what long steps hide (untimed). Neither is nearer than the estimate has
// settled, which is more than a response leaves unknown that is its stimulus over again.
func (p *prober) interval(pNull float64) (low, high float64) {
	low, high = p.bare(pNull)
	beta := p.f.beta
	if hidden := p.settled.untimed; beta > 0 && (p.excess > 0 || hidden > 0) {
		if a := 1 - low/beta; low > 0 && a > 0 {
			e := p.excess*a*a + hidden*hidden
			low = beta * (1 - a*a) / (1 + math.Sqrt(1-(1-e)*(1-a*a)))
		}
		high = max(beta, beta+math.Hypot((high-beta)*math.Sqrt(1+p.excess), hidden*beta))
	}
	low, high = min(low, (1-settled)*beta), max(high, (1+settled)*beta)
	return low, min(high, p.settled.largest(p.f.at))
}

// untimed is half of the 95 % interval of what an effect may seem to be off, as a share of it,
// since nobody knows when in a step a burst came. Early in one it acts within that, late in the next:
// so each burst has a kernel of its own, and the largest, by which the kernel is chosen, not
// that of the others. A step of which a burst fills several hides nothing of the kind, and bursts
// last for hours: there is none up to an hour, and in proportion untimedDay of a day. Of no noise
// of the response it is told, since what is early in one step is missing in the next.
func untimed(stepSeconds int64) float64 {
	const hour = 3600
	return untimedDay * float64(max(0, stepSeconds-hour)) / (daySeconds - hour)
}

// untimedDay was measured: see DESIGN.md, "Long steps".
const untimedDay = 0.05

// bare returns the ends of the sizes around the estimate that are not refuted
// at Alpha; pNull is the probability at 0. It goes outward from the estimate in
// steps that begin small, and ends at the first size that is.
func (p *prober) bare(pNull float64) (low, high float64) {
	const steps = 24
	beta, most := p.f.beta, p.settled.largest(p.f.at)
	if pNull <= Alpha {
		low = edge(p.p, beta, 1, 0, pNull)
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
			return low, edge(p.p, in, pIn, out, pOut)
		}
		in, pIn = out, pOut
		if out == most {
			break
		}
		step *= 1.6
	}
	return low, in
}

// edge returns the size between in, which p does not refute, and out, which it does, where
// the probability is Alpha: by interpolation of its logarithm and by halving, in
// turn, to a sixtieth of the way, or until there is no number between.
func edge(p func(size float64) float64, in, pIn, out, pOut float64) float64 {
	width := math.Abs(out - in)
	level := math.Log(Alpha)
	for i := 0; math.Abs(out-in) > width/60; i++ {
		mid := (in + out) / 2
		if i%2 == 0 {
			a, b := math.Log(pIn)-level, math.Log(pOut)-level
			mid = in + min(0.9, max(0.1, a/(a-b)))*(out-in)
		}
		if mid == in || mid == out {
			break
		}
		if v := p(mid); v > Alpha {
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
