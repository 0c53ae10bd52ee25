package correlate

import (
	"cmp"
	"math"
	"slices"
)

// Relation is what a stimulus does to a response.
type Relation struct {
	// Profile is the lag profile, at the steps of the pair.
	Profile Lagged
	// P is the probability of such evidence in the best kernel without an effect,
	// calibrated on the placebo; 1 when there is too little of anything.
	P float64
	// Kernel is the kernel the data speak for, in steps of the pair.
	Kernel Kernel
	// Beta is the response in all per unit of stimulus, Low … High its interval at
	// Level, Realised the share of placebos with such an effect planted whose
	// interval holds it.
	Beta, Low, High float64
	Level, Realised float64
	// Placebos is how many independent placebos P rests on.
	Placebos float64
	// Share is the share of the response that an effect of Beta makes up. Where
	// nothing is found, Power is the probability that an effect of RelevantShare
	// would have been, and Detectable the smallest share that is found with a
	// probability of 80 %, 1 when there is none.
	Share, Power, Detectable float64
	// Expected is the response of each step without the stimulus.
	Expected []float64
	Verdict  Conclusion
	Reason   Reason
	// Merged is how many steps of the pair make one of the grid that kernels were
	// searched on.
	Merged int
}

// Conclusion is what may be said about an effect.
type Conclusion string

// The conclusions.
const (
	Effective    Conclusion = "effect"
	NoEffect     Conclusion = "no effect"             // one of RelevantShare would have been seen
	Inconclusive Conclusion = "insufficient evidence" // see Reason, or too little power
)

// RelevantShare is the share of the response from which an effect matters.
const RelevantShare = 0.1

// powerMin is the power that "no effect" needs.
const powerMin = 0.8

const (
	responseOrder  = 8    // of the autoregression that whitens
	outlier        = 4    // robust standard deviations at which it is bounded
	independentMin = 5    // placebos
	placeboParts   = 18   // placebos in a window
	presentMin     = 0.25 // share of the steps that must be known
)

// Relate judges a pair; see DESIGN.md for what it does and why.
func Relate(p *Pair) Relation {
	rel := Relation{P: 1, Level: 1 - Alpha, Detectable: 1, Verdict: Inconclusive}
	c, merged := p.coarse()
	rel.Merged = merged
	s, reason := newStudy(c)
	if reason != NoReason {
		rel.Reason = reason
		rel.Profile = lagged(p, 0)
		return rel
	}
	rel.Placebos = s.independent

	// The null hypothesis is judged in a world without the effect.
	nothing := make([]float64, s.n)
	null := s.world(nothing, nothing)
	evidence := null.try(0, 0, math.Inf(1))
	rel.P = evidence.placebos.p(evidence.statistic)

	w, at, beta := s.settle(null)
	k := w.d.atoms[at].Kernel
	rel.Kernel = Kernel{k.Delay * merged, k.HalfLife * merged, p.Lags}
	rel.Profile = lagged(p, rel.Kernel.HalfLife)
	if rel.P <= Alpha {
		rel.Profile.near(rel.Kernel.Delay, max(merged, k.HalfLife*merged/8))
	}
	rel.Beta = beta
	if s.sumY != 0 {
		rel.Share = beta * s.sumX / s.sumY
	}
	rel.Low, rel.High = w.interval(null, &evidence, at, beta)
	rel.Realised = w.realised(at, beta)
	if rel.P > Alpha {
		rel.Power, rel.Detectable = null.power()
	}
	switch {
	case rel.P <= Alpha:
		rel.Verdict = Effective
	case rel.Power >= powerMin && rel.High*s.sumX < RelevantShare*s.sumY*2:
		rel.Verdict = NoEffect
	}
	// What the baseline holds of the stimulus's own baseline is no baseline.
	rel.Expected = make([]float64, len(p.Y))
	steady := make([]float64, s.n)
	k.Convolve(steady, s.expectedX)
	first := len(p.Y) - s.n*merged
	for t := range rel.Expected {
		i := max(0, t-first) / merged
		rel.Expected[t] = max(0, w.expected[i]-beta*steady[i]) / float64(merged)
	}
	return rel
}

// study is a pair on the grid that kernels are searched on.
type study struct {
	n, lags           int
	y                 []float64 // the response, 0 where it is missing
	judged            []float64 // 1 for the steps of the response that are judged
	x                 []float64 // the stimulus less its baseline
	decayed, mirrored *decays   // of it, and of it run backwards
	expectedX         []float64
	sumX, sumY        float64
	groups            []*grouping // of the response
	shifts            []int       // of the placebos
	stride            int
	independent       float64
	betaMax           float64
}

func newStudy(p *Pair) (*study, Reason) {
	s := &study{n: len(p.Y), lags: p.Lags}
	if s.n < 2*s.lags || s.lags < 1 {
		return nil, ShortHistory
	}
	x, presentX, sumX := known(p.X)
	y, presentY, sumY := known(p.Y)
	s.y, s.judged, s.sumX, s.sumY = y, presentY, sumX, sumY
	// Before one window has passed, not all that may have acted is known.
	clear(s.judged[:s.lags])
	s.stride = max(1, s.lags/placeboParts)
	for shift := s.lags + s.lags/12 + 1; shift < s.n-s.lags; shift += s.stride {
		s.shifts = append(s.shifts, shift)
	}
	s.independent = float64(len(s.shifts)*s.stride+s.n) / float64(s.lags)
	used, seen := 0.0, 0.0
	for t := range s.judged {
		used += s.judged[t]
		seen += presentX[t]
	}
	steps := float64(s.n - s.lags)
	switch {
	case len(s.shifts) == 0 || s.independent < independentMin+2 || used < presentMin*steps || seen < presentMin*float64(s.n):
		return nil, ShortHistory
	case steady(x, presentX):
		return nil, FlatStimulus
	case steady(y, s.judged):
		return nil, FlatResponse
	}
	s.groups = p.groupings()
	s.expectedX = factors(x, presentX, p.groupings())
	s.x = make([]float64, s.n)
	for t := range x {
		s.x[t] = presentX[t] * (x[t] - s.expectedX[t])
	}
	backwards := slices.Clone(s.x)
	slices.Reverse(backwards)
	s.decayed, s.mirrored = newDecays(s.x, s.groups, s.lags), newDecays(backwards, s.groups, s.lags)
	s.betaMax = math.Inf(1)
	if sumX > 0 && sumY > 0 && slices.Min(x) >= 0 && slices.Min(y) >= 0 {
		s.betaMax = sumY / sumX // an effect makes up no more than there is
	}
	return s, NoReason
}

// steady says whether the present values are all the same.
func steady(v, present []float64) bool {
	first := math.NaN()
	for t, x := range v {
		if present[t] > 0 {
			if x != first && !math.IsNaN(first) {
				return false
			}
			first = x
		}
	}
	return true
}

// world is the study seen with an effect taken for true: baseline, autocorrelation
// and what is whitened by it.
type world struct {
	*study
	expected  []float64 // the response's baseline
	phi       []float64
	residual  []float64 // the response less its baseline, the effect in it
	y         []float64 // the same, whitened
	d, mirror *dictionary
}

// world fits the baseline to what an effect leaves of the response, and the
// autoregression to the residuals. seen is what of the effect a baseline leaves.
func (s *study) world(effect, seen []float64) *world {
	w := &world{study: s}
	rest := make([]float64, s.n)
	for t := range rest {
		rest[t] = s.judged[t] * (s.y[t] - effect[t])
	}
	w.expected = factors(rest, s.judged, s.groups)
	for t := range rest {
		rest[t] = s.judged[t] * (rest[t] - w.expected[t])
	}
	centre(rest, s.judged, s.groups)
	bounded, _ := bound(rest, s.judged, outlier)
	w.phi = yuleWalker(bounded, responseOrder)
	for t := range rest {
		rest[t] += s.judged[t] * seen[t]
	}
	w.residual = rest
	w.y = filter(rest, w.phi)
	w.d = s.decayed.dictionary(w.phi)
	return w
}

// with returns the world in which an effect is taken for true.
func (w *world) with(at int, beta float64) *world {
	effect, seen := make([]float64, w.n), make([]float64, w.n)
	w.d.atoms[at].Convolve(effect, w.x)
	for t := range effect {
		effect[t] *= beta
	}
	w.d.read(seen, w.d.decayed, at, beta)
	return w.world(effect, seen)
}

// backwards is the dictionary of the stimulus run backwards: as bursty and as
// autocorrelated, and nothing can have followed it.
func (w *world) backwards() *dictionary {
	if w.mirror == nil {
		w.mirror = w.mirrored.dictionary(w.phi)
	}
	return w.mirror
}

// bound cuts v at c robust standard deviations of its judged values, and returns
// them as a share of those, divided by the share not cut: a pseudo-value, whose
// mean moves with the effect as the value's own does (Huber 1964).
func bound(v, judged []float64, c float64) (out []float64, sigma float64) {
	size := make([]float64, 0, len(v))
	for t, x := range v {
		if judged[t] > 0 {
			size = append(size, math.Abs(x))
		}
	}
	sigma = madToSigma * median(size)
	out = make([]float64, len(v))
	whole := 0.0
	for t, x := range v {
		switch {
		case judged[t] == 0:
		case sigma == 0 || math.Abs(x) <= c*sigma:
			out[t] = x
			whole++
		default:
			out[t] = math.Copysign(c*sigma, x)
		}
	}
	for t := range out {
		out[t] *= float64(len(size)) / max(whole, 1)
	}
	return out, sigma
}

// fit is an effect of one kernel in a world.
type fit struct {
	at   int
	beta float64
	z    []float64 // what it adds to the whitened response
}

func (w *world) through(at int, beta float64) []float64 {
	z := make([]float64, w.n)
	w.d.read(z, w.d.white, at, beta)
	return z
}

// improve moves an effect towards Huber's estimate, bounding the residuals at each
// of cs in turn.
func (w *world) improve(f fit, cs ...float64) fit {
	u, c := make([]float64, w.n), make([]float64, len(w.d.atoms))
	for _, limit := range cs {
		for t := range u {
			u[t] = w.y[t] - f.z[t]
		}
		v, sigma := bound(u, w.judged, limit)
		for t := range v {
			v[t] += f.z[t]
		}
		w.d.scores(c, w.d.products(v))
		f.at, _ = w.d.best(c, max(sigma*sigma, math.SmallestNonzeroFloat64))
		f.beta = 0
		if own := w.d.atoms[f.at].own; own > 0 {
			f.beta = min(max(0, c[f.at]/own), w.betaMax)
		}
		f.z = w.through(f.at, f.beta)
	}
	return f
}

// settle finds the effect and the world it leaves, each given the other in turn.
// There are several such pairs: what a fast kernel leaves of a slow effect passes
// for autocorrelation, and then hides it. So the search starts twice, as if the
// residuals had all the autocorrelation of the response and as if they had none,
// and the pair that leaves less to chance is taken.
func (s *study) settle(null *world) (w *world, at int, beta float64) {
	white := *null
	white.phi = nil
	white.y = null.residual
	white.d = s.decayed.dictionary(nil)
	first, f := s.settleFrom(null)
	second, g := s.settleFrom(&white)
	if second.left(g) < first.left(f) {
		first, f = second, g
	}
	return first, f.at, f.beta
}

// left is the logarithm of the size of what a fit leaves, a step, less its prior.
func (w *world) left(f fit) float64 {
	u, steps, squares := make([]float64, w.n), 0.0, 0.0
	for t := range u {
		u[t] = w.y[t] - f.z[t]
	}
	v, _ := bound(u, w.judged, huberC)
	for t, x := range v {
		steps += w.judged[t]
		squares += x * x
	}
	return math.Log(squares/steps) - w.d.atoms[f.at].prior/steps
}

func (s *study) settleFrom(w *world) (*world, fit) {
	const rounds = 5
	f := fit{z: make([]float64, s.n)}
	for round := range rounds {
		before := f
		f = w.improve(f, huberC, huberC, huberC, huberC)
		if round < 2 {
			cold := w.improve(fit{z: make([]float64, s.n)}, 1e9, 8, 4, huberC, huberC)
			if w.left(cold) < w.left(f) {
				f = cold
			}
		}
		if round > 0 && (round == rounds-1 || f.at == before.at && math.Abs(f.beta-before.beta) <= 1e-3*f.beta) {
			break
		}
		w = w.with(f.at, f.beta)
		f.z = w.through(f.at, f.beta)
	}
	return w, f
}

// trial is one hypothesis, an effect of a given size, held against the data.
type trial struct {
	at        int     // the kernel the data speak for at this size
	statistic float64 // how much better the best effect of any size does
	variance  float64
	noise     [2][][]float64 // the products of the bounded residuals, and of the mirror's
	placebos  placebos
}

// try tests the hypothesis that the effect has the size beta, through one kernel.
// The world has to be the one with that effect. What it leaves of the response, bounded, is held against the stimulus as it is
// and at the shifts where nothing of it can be left; there the same effect is
// added, and all is searched anew. A statistic above hopeless needs no placebos.
func (w *world) try(beta float64, at int, hopeless float64) trial {
	tr := trial{at: at}
	c, column := make([]float64, len(w.d.atoms)), make([]float64, len(w.d.atoms))
	u := w.through(at, beta)
	for t := range u {
		u[t] = w.y[t] - u[t]
	}
	v, _ := bound(u, w.judged, huberC)
	tr.variance = math.SmallestNonzeroFloat64
	for _, x := range v {
		tr.variance += x * x / float64(w.n)
	}
	if beta > 0 {
		w.d.column(column, at)
		for i := range column {
			column[i] *= beta
		}
	}
	statistic := func() float64 {
		for i, x := range column {
			c[i] += x
		}
		_, most := w.d.best(c, tr.variance)
		_, gain := w.d.bestAt(c, beta, tr.variance)
		return most - gain
	}
	tr.noise[0] = w.d.products(v)
	w.d.scores(c, tr.noise[0])
	if tr.statistic = statistic(); tr.statistic > hopeless {
		return tr
	}
	tr.noise[1] = w.backwards().products(v)
	tr.placebos.independent = w.independent
	for range w.placebos(&tr, c) {
		tr.placebos.sorted = append(tr.placebos.sorted, statistic())
	}
	slices.Sort(tr.placebos.sorted)
	return tr
}

// Kernels tried for each size of effect: of each half-life the one that fits best,
// at most so many, none with a log-likelihood of so much less than the best.
const (
	kernelsTried = 4
	gainsApart   = 6
)

// plausible returns the kernels through which an effect of a size fits best, given
// the scores c.
func (w *world) plausible(c []float64, beta, variance float64) []int {
	type candidate struct {
		at   int
		gain float64
	}
	best := make([]candidate, len(w.d.spectra))
	for i := range best {
		best[i].gain = math.Inf(-1)
	}
	for i := range w.d.atoms {
		a := &w.d.atoms[i]
		if g := a.prior + (2*beta*c[i]-beta*beta*a.own)/variance; g > best[a.half].gain {
			best[a.half] = candidate{i, g}
		}
	}
	slices.SortFunc(best, func(a, b candidate) int { return cmp.Compare(b.gain, a.gain) })
	var all []int
	for _, b := range best[:min(kernelsTried, len(best))] {
		if b.gain >= best[0].gain-gainsApart {
			all = append(all, b.at)
		}
	}
	return all
}

// placebos yields what the scores are where there is no effect, in c.
func (w *world) placebos(tr *trial, c []float64) func(yield func([]float64) bool) {
	return func(yield func([]float64) bool) {
		for _, shift := range w.shifts {
			if w.d.shifted(c, tr.noise[0], shift); !yield(c) {
				return
			}
		}
		for shift := 0; shift < w.n; shift += w.stride {
			if w.backwards().shifted(c, tr.noise[1], shift); !yield(c) {
				return
			}
		}
	}
}

// scores returns those of all kernels with what an effect leaves, bounded, and the
// effect; and the variance of the former.
func (w *world) scores(at int, beta float64) (c []float64, variance float64) {
	u := w.through(at, beta)
	for t := range u {
		u[t] = w.y[t] - u[t]
	}
	v, _ := bound(u, w.judged, huberC)
	variance = math.SmallestNonzeroFloat64
	for _, x := range v {
		variance += x * x / float64(w.n)
	}
	c = make([]float64, len(w.d.atoms))
	w.d.scores(c, w.d.products(v))
	for i := range c {
		if beta > 0 {
			c[i] += beta * w.d.gram(i, at)
		}
	}
	return c, variance
}

// interval returns the sizes that are not refuted at Alpha through any plausible
// kernel: the hull of them on a
// grid, its ends halved down. evidence is the trial of no effect.
func (w *world) interval(null *world, evidence *trial, at int, beta float64) (low, high float64) {
	unit := w.betaMax
	if math.IsInf(unit, 1) { // what may be negative has no such bound
		var xx, yy float64
		for t, v := range w.x {
			xx += v * v
			yy += w.residual[t] * w.residual[t]
		}
		unit = 10 * max(beta, math.Sqrt(yy/xx))
	}
	// No size leaves more to chance than no effect at all does, and no placebo of
	// that comes near twice the largest.
	hopeless := 2 * evidence.placebos.sorted[len(evidence.placebos.sorted)-1]
	proven := evidence.placebos.p(evidence.statistic) <= Alpha
	settled, variance := w.scores(at, beta)
	without, varianceNull := null.scores(0, 0)
	holds := func(b float64) bool {
		if b == beta {
			return true
		}
		tried := make(map[int]bool)
		for _, k := range append(w.plausible(settled, b, variance), null.plausible(without, b, varianceNull)...) {
			if tried[k] {
				continue
			}
			tried[k] = true
			if tr := w.with(k, b).try(b, k, hopeless); tr.statistic <= hopeless && tr.placebos.p(tr.statistic) > Alpha {
				return true
			}
		}
		return false
	}
	grid := []float64{0}
	for b := 0.01 * unit; b < unit; b *= 1.5 {
		grid = append(grid, b)
	}
	grid = append(grid, unit)
	for _, f := range [...]float64{0.9, 0.97, 1, 1.03, 1.1} {
		grid = append(grid, min(f*beta, unit))
	}
	slices.Sort(grid)
	grid = slices.Compact(grid)
	// From both ends to the first size that is not refuted; beta never is.
	first, last := 0, len(grid)-1
	if proven {
		for first++; grid[first] < beta && !holds(grid[first]); first++ {
		}
	}
	for last > first && grid[last] > beta && !holds(grid[last]) {
		last--
	}
	edge := func(in, out float64) float64 {
		for range 5 {
			if mid := (in + out) / 2; holds(mid) {
				in = mid
			} else {
				out = mid
			}
		}
		return in
	}
	low, high = grid[first], grid[last]
	if first > 0 {
		low = edge(low, grid[first-1])
	}
	if last < len(grid)-1 {
		high = edge(high, grid[last+1])
	}
	return low, high
}

// realised plants the effect into the placebos and returns the share of them whose
// interval would hold it: each is judged with the kernel that itself speaks for,
// by the other placebos.
func (w *world) realised(at int, beta float64) float64 {
	tr := w.try(beta, at, math.Inf(1))
	k := len(w.d.atoms)
	c, column := make([]float64, k), make([]float64, k)
	w.d.column(column, tr.at)
	type planted struct {
		statistic float64
		at        int
	}
	var all []planted
	for c := range w.placebos(&tr, c) {
		for i := range c {
			c[i] += beta * column[i]
		}
		own, gain := w.d.bestAt(c, beta, tr.variance)
		_, most := w.d.best(c, tr.variance)
		all = append(all, planted{most - gain, own})
	}
	dist := map[int]*placebos{tr.at: &tr.placebos}
	held := 0
	every := max(1, len(all)/60)
	count := 0
	for i := 0; i < len(all); i += every {
		d := dist[all[i].at]
		if d == nil {
			d = &placebos{independent: w.independent}
			w.d.column(column, all[i].at)
			j := 0
			for c := range w.placebos(&tr, c) {
				if j++; j%3 != 0 {
					continue
				}
				for i := range c {
					c[i] += beta * column[i]
				}
				_, gain := w.d.bestAt(c, beta, tr.variance)
				_, most := w.d.best(c, tr.variance)
				d.sorted = append(d.sorted, most-gain)
			}
			slices.Sort(d.sorted)
			dist[all[i].at] = d
		}
		count++
		if d.p(all[i].statistic) > Alpha {
			held++
		}
	}
	return float64(held) / float64(count)
}

// power plants effects into the response, moved by a placebo's shift, judges them
// as Relate does, and returns the share that is found of RelevantShare, and the
// smallest share of those tried that is found with powerMin, 1 for none: over fast
// and slow, early and late kernels. The world has to be the one without an effect.
func (w *world) power() (relevant, detectable float64) {
	const trials, placebosTried = 24, 60
	var kernels []int
	for i := range w.d.atoms {
		a := &w.d.atoms[i]
		part := func(n int) bool {
			return a.HalfLife == int(math.Round(halfLives[n]*float64(w.lags)/halfLifeParts))
		}
		if (part(3) || part(7) || part(10)) && (near(a, w.lags/24) || near(a, w.lags/6) || near(a, w.lags*5/12)) {
			kernels = append(kernels, i)
		}
	}
	unit := w.sumY / w.sumX
	if len(kernels) == 0 || !(unit > 0) || math.IsInf(unit, 1) {
		return 0, 1
	}
	u, judged, c := make([]float64, w.n), make([]float64, w.n), make([]float64, len(w.d.atoms))
	found := func(share float64) float64 {
		hits := 0
		for i := range trials {
			shift := w.shifts[(2*i+1)*len(w.shifts)/(2*trials)]
			w.d.read(u, w.d.white, kernels[i*5%len(kernels)], share/(1-share)*unit)
			for t := range u {
				s := (t + shift) % w.n
				judged[t] = w.judged[s] * w.judged[t]
				u[t] = judged[t] * (u[t] + w.y[s])
			}
			v, _ := bound(u, judged, huberC)
			variance := math.SmallestNonzeroFloat64
			for _, x := range v {
				variance += x * x / float64(w.n)
			}
			products := w.d.products(v)
			w.d.scores(c, products)
			_, most := w.d.best(c, variance)
			d := placebos{independent: w.independent}
			for k := 0; k < len(w.shifts); k += max(1, len(w.shifts)/placebosTried) {
				w.d.shifted(c, products, w.shifts[k])
				_, gain := w.d.best(c, variance)
				d.sorted = append(d.sorted, gain)
			}
			slices.Sort(d.sorted)
			if d.p(most) <= Alpha {
				hits++
			}
		}
		return float64(hits) / trials
	}
	relevant, detectable = found(RelevantShare), 1
	shares := [...]float64{0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8}
	from, to := 0, len(shares) // the first that is found
	for from < to {
		if mid := (from + to) / 2; found(shares[mid]) >= powerMin {
			to, detectable = mid, shares[mid]
		} else {
			from = mid + 1
		}
	}
	return relevant, detectable
}

// near says whether a delay is the one of its half-life's grid next to one.
func near(a *atom, delay int) bool {
	grid := max(1, a.HalfLife/8)
	return a.Delay == delay/grid*grid
}
