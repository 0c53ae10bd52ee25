package correlate

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
)

const (
	responseOrder  = 8 // of the autoregression that whitens
	taps           = responseOrder + 1
	outlier        = 4    // robust standard deviations at which it is bounded
	independentMin = 2.9  // placebos: those of four windows of history
	placeboParts   = 18   // placebos in a window
	presentMin     = 0.25 // share of the steps that must be known
)

// study is a pair on the grid that kernels are searched on.
type study struct {
	n, lags int
	y       []float64 // the response, 0 where it is missing
	present []float64 // 1 for the steps of the response that its baseline is fitted to
	judged  []float64 // and 1 for those that are judged as well
	raw     []float64 // the stimulus, 0 where it is missing
	known   []float64 // 1 where it is not
	x       []float64 // the stimulus less its baseline
	// own and whole are autocovariances of what each kernel makes of it, at lags below
	// taps: where it is judged, less the means a baseline takes, and what
	// that is on average over the shifts.
	own, whole []float64
	expectedX  []float64
	above      bool    // what the stimulus's baseline adds is left to the response's
	sumX, sumY float64 // of all steps, where some are missing in proportion
	// smallSize is what a quarter do not exceed of the steps of the response that hold
	// anything, usualSize what nine of ten do not; 0 where these are half of all.
	smallSize, usualSize float64
	groups               []*grouping // of the response
	usual                []*grouping // of the stimulus: nothing is declared
	untimed              float64     // see untimed
	shifts               []int       // of the placebos
	mirrored             []int       // of those with the stimulus run backwards
	// independent is how many placebos there are in effect.
	independent float64
	counted     bool         // neither side has a value below 0
	negligible  float64      // variance of what is left that is as good as none
	forward     []complex128 // the spectrum of x
	backward    []complex128 // and of x run backwards: as bursty, and nothing can follow it
	centring    *centring    // of what is judged
	confounding confounding
	coarse      *dictionary // that is searched first
	*dictionary
	freq    *spectrum
	mem     *memory
	scratch []complex128
	terms   []term
}

func (s *study) load(p *Pair) Reason {
	s.n, s.lags = len(p.Y), p.Lags
	if s.n < 2*s.lags || s.lags < 1 {
		return ShortHistory
	}
	s.raw, s.known = s.mem.floats(s.n), s.mem.floats(s.n)
	s.y, s.present, s.judged = s.mem.floats(s.n), s.mem.floats(s.n), s.mem.floats(s.n)
	s.sumX, s.sumY = known(s.raw, s.known, p.X), known(s.y, s.present, p.Y)
	// Before one window has passed, not all that may have acted is known.
	clear(s.present[:s.lags])
	copy(s.judged, s.present)
	p.excuse(s.judged)
	stride := max(1, s.lags/placeboParts)
	s.shifts, s.mirrored = s.shifts[:0], s.mirrored[:0]
	for shift := s.lags + s.lags/12 + 1; shift < s.n-s.lags; shift += stride {
		s.shifts = append(s.shifts, shift)
	}
	for shift := 0; shift < s.n; shift += stride {
		s.mirrored = append(s.mirrored, shift)
	}
	// Windows overlap, and a burst that is all of the evidence lies in several.
	s.independent = float64(len(s.shifts)*stride+s.n) / float64(2*s.lags)
	used, seen := 0.0, 0.0
	for t := range s.judged {
		used += s.judged[t]
		seen += s.known[t]
	}
	steps := float64(s.n - s.lags)
	switch {
	case len(s.shifts) == 0 || s.independent < independentMin || used < presentMin*steps || seen < presentMin*float64(s.n):
		return ShortHistory
	case steady(s.raw, s.known):
		return FlatStimulus
	case steady(s.y, s.judged):
		return FlatResponse
	case p.confounded():
		return Confounded
	}
	s.groups, s.untimed = p.groupings(), untimed(p.StepSeconds)
	// What a promotion made of the stimulus acts as any other: only the response has
	// levels of its own for what is declared.
	usual := *p
	usual.Declared = nil
	s.usual = usual.groupings()
	s.counted = s.sumX > 0 && s.sumY > 0 && slices.Min(s.raw) >= 0 && slices.Min(s.y) >= 0
	s.negligible = negligiblePart * negligiblePart * variance(s.y, s.judged)
	s.usualSize, s.smallSize = sparseSize(s.y, s.judged, 0.9, s.mem), sparseSize(s.y, s.present, smallPart, s.mem)
	s.deviate()
	s.prepare(p)
	if len(s.confounding.parts) > 0 && s.explained() {
		return Confounded
	}
	return NoReason
}

// largest returns the largest effect that a kernel may have: where nothing is below 0, what it
// adds makes up no more than there is. What a stimulus adds after the end is none of it: of
// all of the stimulus a response that follows it later holds less than it brings.
func (s *study) largest(at int) float64 {
	if !s.counted {
		return math.Inf(1)
	}
	before := s.mem.at
	adds := s.mem.floats(s.n)
	s.atoms[at].Convolve(adds, s.raw)
	within := floats.Sum(adds) / floats.Sum(s.raw)
	s.mem.release(before)
	return s.sumY / (s.sumX * within)
}

// negligiblePart is the part of the response's own deviation below which what an effect
// leaves is taken for as much. Of a response that is its stimulus over again nothing is left,
// and in units of nothing no kernel does better than another: all that is reckoned from it
// would be 0/0, or rounding. What is told apart are differences of about 1 between sums of
// (effect/left)² over all steps, which floating point and its Fourier transforms hold to
// about 1e-15 of their size: with 1e-4 they are at most 1e8 a step, and right to a hundredth for
// 1e5 steps. No series is known that well: what is left of one is more, and none of this is seen.
const negligiblePart = 1e-4

// variance returns that of the judged values, about their mean.
func variance(v, judged []float64) float64 {
	sum, squares, n := 0.0, 0.0, 0.0
	for t, j := range judged {
		sum += j * v[t]
		n += j
	}
	for t, j := range judged {
		squares += j * (v[t] - sum/n) * (v[t] - sum/n)
	}
	return squares / n
}

// deviate takes the baseline out of the stimulus.
func (s *study) deviate() {
	s.expectedX, s.x = s.mem.floats(s.n), s.mem.floats(s.n)
	factors(s.expectedX, s.raw, s.known, sparseSize(s.raw, s.known, smallPart, s.mem), s.usual, s.mem)
	for t, x := range s.raw {
		s.x[t] = s.known[t] * (x - s.expectedX[t])
	}
}

// prepare makes ready what depends on the response, and then the stimulus.
func (s *study) prepare(p *Pair) {
	if s.coarse == nil || s.coarse.lags != s.lags {
		s.coarse = newDictionary(s.lags)
	}
	s.dictionary = s.coarse
	if s.freq == nil || s.freq.n != s.n {
		s.freq = newSpectrum(s.n)
	}
	s.centring = newCentring(s.groups, s.judged, s.mem)
	if s.confounders(p); len(s.confounding.parts) > 0 {
		s.deconfound()
	}
	s.transform()
}

// deconfound takes what confounders explain out of the stimulus. Of what an effect adds
// they take that anyway; but where they made the largest bursts, these would still be
// those of its placebos, which are then of another kind than what is left to judge by.
func (s *study) deconfound() {
	before := s.mem.at
	left, adds := s.mem.floats(s.n), s.mem.floats(s.n)
	for t, j := range s.judged {
		left[t] = j * s.x[t]
	}
	s.explain(adds, left)
	for t, k := range s.known {
		s.x[t] -= k * adds[t]
		s.expectedX[t] += k * adds[t]
	}
	s.mem.release(before)
}

// transform decays and transforms the stimulus.
func (s *study) transform() {
	s.covariances()
	s.forward = s.freq.transform(s.forward, s.x)
	slices.Reverse(s.x)
	s.backward = s.freq.transform(s.backward, s.x)
	slices.Reverse(s.x)
}

// covariances sets those of what each kernel makes of the stimulus, from which its
// energy follows for any filter: as the pair judges it, and on average over the
// shifts of it, where no step is judged more than another.
func (s *study) covariances() {
	s.own, s.whole = s.mem.floats(taps*len(s.atoms)), s.mem.floats(taps*len(s.atoms))
	before := s.mem.at
	every := s.mem.floats(s.n)
	for t := range every {
		every[t] = 1
	}
	usual := newCentring(s.usual, every, s.mem)
	r, round := s.mem.floats(s.n), s.mem.floats(s.n+s.lags+taps)
	// Of a series that has nothing to do with them, confounders explain one step each.
	share := (s.steps() - float64(len(s.centring.basis))) / float64(s.n)
	for i := range s.halves {
		h := &s.halves[i]
		acc := 0.0
		for t, v := range s.x {
			acc = v + h.decay*acc
			r[t] = acc
		}
		for kind := range h.each {
			s.ownCovariances(h, h.from+kind, r)
		}
		usual.apply(r)
		s.scratch = s.freq.transform(s.scratch, r)
		s.freq.circular(round[:s.n], s.freq.products(s.scratch, s.scratch))
		copy(round[s.n:], round)
		for at := h.from; at < h.to; at += h.each {
			a := &s.atoms[at]
			apart := s.lags + 1 - a.Delay
			for k := range taps {
				s.whole[at*taps+k] = share * ((a.first*a.first+a.cut*a.cut)*round[k] -
					a.first*a.cut*(round[apart+k]+round[max(apart-k, k-apart)]))
			}
		}
	}
	s.mem.release(before)
}

// ownCovariances sets those of the kernels of a half-life, given the stimulus
// decayed by it: those of the delays, or those between them, from the first on. The
// share that the means of the baseline take of them changes little from one delay to
// the next: it is reckoned twelve times a window.
func (s *study) ownCovariances(h *half, first int, r []float64) {
	before := s.mem.at
	z, taken, last := s.mem.floats(s.n), s.mem.floats(taps), s.mem.floats(taps)
	stride, done := h.each*max(1, s.lags/(12*h.step)), first
	for at := first; at < h.to; at += h.each {
		a := &s.atoms[at]
		for t, j := range s.judged {
			z[t] = 0
			if j > 0 {
				z[t] = a.first*r[t-a.Delay] + a.second*r[max(0, t-a.Delay-1)]
				if t > s.lags {
					z[t] -= a.cut * r[t-s.lags-1]
				}
			}
		}
		own := s.own[at*taps:][:taps]
		for k := range own {
			own[k] = floats.Dot(z[k:], z[:s.n-k])
		}
		if (at-first)%stride > 0 && at+h.each < h.to {
			continue
		}
		s.centring.apply(z)
		for k := range taken {
			taken[k] = (own[k] - floats.Dot(z[k:], z[:s.n-k])) / max(own[0], math.SmallestNonzeroFloat64)
		}
		for ; done <= at; done += h.each {
			part := min(1, float64(at-done)/float64(stride))
			own := s.own[done*taps:][:taps]
			whole := own[0]
			for k := range own {
				own[k] -= whole * ((1-part)*taken[k] + part*last[k])
			}
		}
		copy(last, taken)
	}
	s.mem.release(before)
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
	expected []float64 // the response's baseline
	phi      []float64
	residual []float64 // the response less its baseline, the effect in it
	y        []float64 // the same, whitened
	// own is Σ z² of each kernel, whole what it is on average over the shifts.
	own, whole []float64
}

// refine searches again, around an effect that was found, among kernels that are close
// enough together for what is known of it.
func (s *study) refine(w *world, f fit) (*world, fit) {
	const rounds = 4
	u, variance := w.target(f)
	for range rounds {
		gains := s.mem.floats(len(s.atoms))
		w.score(gains, u)
		for i, c := range gains {
			gains[i] = s.atoms[i].prior
			if c > 0 && w.own[i] > 0 {
				gains[i] += c * c / (w.own[i] * variance)
			}
		}
		d, closer := s.dictionary.refine(gains)
		if !closer {
			break
		}
		s.dictionary = d
		s.covariances()
		next := s.world()
		copy(next.residual, w.residual)
		copy(next.phi, w.phi)
		next.whiten()
		w = next
	}
	if s.dictionary == s.coarse {
		return w, f
	}
	return w, w.settle(w)
}

// target returns the whitened response, what a fit leaves of it bounded, and the mean
// square of that over all steps.
func (w *world) target(f fit) (u []float64, variance float64) {
	u, variance = w.rest(f)
	if f.beta > 0 {
		before := w.mem.at
		z := w.mem.floats(w.n)
		w.through(z, f.at)
		floats.AddScaled(u, f.beta, z)
		w.mem.release(before)
	}
	return u, variance
}

// world returns one that is yet to be fitted.
func (s *study) world() *world {
	return &world{
		study: s, expected: s.mem.floats(s.n), residual: s.mem.floats(s.n), phi: s.mem.floats(responseOrder),
		y: s.mem.floats(s.n), own: s.mem.floats(len(s.atoms)), whole: s.mem.floats(len(s.atoms)),
	}
}

// assume takes an effect for true: it fits the baseline to what that leaves of the
// response, and the autoregression to the residuals.
//
// What the effect leaves is reckoned from all of the stimulus, its own baseline as well. If
// that part were left to the response's baseline, it would have to hold a sum: of seasons
// of its own, and of what the effect makes of the stimulus's, which goes with the weeks of
// the stimulus. Factors hold no sum. What they miss of it grows with the effect and goes
// with the bursts of a week.
func (w *world) assume(f fit) {
	before := w.mem.at
	defer w.mem.release(before)
	effect, bounded, rest := w.mem.floats(w.n), w.mem.floats(w.n), w.residual
	w.without(rest, f)
	for t, p := range w.present {
		rest[t] *= p
	}
	factors(w.expected, rest, w.present, w.smallSize, w.groups, w.mem)
	w.unconfounded(rest)
	for t := range rest {
		rest[t] = w.judged[t] * (rest[t] - w.expected[t])
	}
	w.centring.apply(rest)
	bound(bounded, rest, w.judged, outlier, w.usualSize, w.mem)
	yuleWalker(w.phi, bounded)
	if f.beta != 0 { // The effect comes back as a baseline leaves it.
		w.atoms[f.at].Convolve(effect, w.x)
		for t, j := range w.judged {
			effect[t] *= f.beta * j
		}
		w.centring.apply(effect)
		floats.Add(rest, effect)
	}
	w.whiten()
}

// unconfounded fits the baseline anew to what confounders leave of the response too, as
// fitted beside the baseline before. It is for the same reason: what they add to a week
// goes with its bursts, and those of the stimulus that they made.
func (w *world) unconfounded(rest []float64) {
	const rounds = 2
	if len(w.confounding.parts) == 0 {
		return
	}
	before := w.mem.at
	left, added := w.mem.floats(w.n), w.mem.floats(w.n)
	for range rounds {
		for t, j := range w.judged {
			left[t] = j * (rest[t] - w.expected[t])
		}
		w.explain(added, left)
		for t, p := range w.present {
			left[t] = p * (rest[t] - added[t])
		}
		factors(w.expected, left, w.present, w.smallSize, w.groups, w.mem)
	}
	w.mem.release(before)
}

// without sets dst to what an effect leaves of the response; of a study of what is above, that
// of the stimulus above its own baseline.
func (s *study) without(dst []float64, f fit) {
	copy(dst, s.y)
	if f.beta == 0 {
		return
	}
	before := s.mem.at
	stimulus, effect := s.mem.floats(s.n), s.mem.floats(s.n)
	copy(stimulus, s.x)
	if !s.above {
		floats.Add(stimulus, s.expectedX)
	}
	s.atoms[f.at].Convolve(effect, stimulus)
	floats.AddScaled(dst, -f.beta, effect)
	s.mem.release(before)
}

// whiten takes the autoregression out of both sides.
func (w *world) whiten() {
	w.filter(w.y, w.residual)
	before := w.mem.at
	weight := w.mem.floats(taps)
	energyWeights(weight, w.phi)
	for i := range w.own {
		w.own[i] = energy(w.study.own[i*taps:][:taps], weight)
		w.whole[i] = energy(w.study.whole[i*taps:][:taps], weight)
	}
	w.mem.release(before)
}

// filter whitens v and leaves what is judged.
func (w *world) filter(out, v []float64) {
	filter(out, v, w.phi)
	for t, j := range w.judged {
		out[t] *= j
	}
}

// bound sets out to v cut at c robust standard deviations of its judged values, and
// returns those; what is cut is divided by the share not cut: a pseudo-value, whose
// mean moves with the effect as the value's own does (Huber 1964).
//
// What is below least is not cut. A response of which most steps are 0 has a robust
// deviation near 0, and all that ever comes is far beyond it: cut, it would tell of
// effects that are too small by as much as it is.
func bound(out, v, judged []float64, c, least float64, m *memory) (sigma float64) {
	before := m.at
	size := m.floats(len(v))[:0]
	for t, x := range v {
		if judged[t] > 0 {
			size = append(size, math.Abs(x))
		}
	}
	sigma = madToSigma * median(size)
	limit, whole := max(c*sigma, least), 0.0
	if sigma == 0 {
		limit = math.Inf(1)
	}
	for t, x := range v {
		switch {
		case judged[t] == 0:
			out[t] = 0
		case math.Abs(x) <= limit:
			out[t] = x
			whole++
		default:
			out[t] = math.Copysign(limit, x)
		}
	}
	scale := float64(len(size)) / max(whole, 1)
	for t := range out {
		out[t] *= scale
	}
	m.release(before)
	return sigma
}

// products returns those of the stimulus with a whitened response, at every lag,
// valid until the next use. The means that a baseline takes out of both sides
// (Frisch & Waugh 1933) and the whitening are taken to the response's side: they are
// linear, and this is through transposed.
func (w *world) products(v []float64) []float64 {
	before := w.mem.at
	u := w.mem.floats(w.n)
	filterBack(u, v, w.phi)
	for t, j := range w.judged {
		u[t] *= j
	}
	w.centring.apply(u)
	w.scratch = w.freq.transform(w.scratch, u)
	w.mem.release(before)
	return w.freq.products(w.forward, w.scratch)
}

// score sets dst to the scores of all kernels with a whitened response.
func (w *world) score(dst, v []float64) {
	before := w.mem.at
	w.scores(dst, w.products(v)[:w.n], w.mem.floats(w.lags+2))
	w.mem.release(before)
}

// through sets z to what one unit of an effect adds to the whitened response, and
// returns Σ z².
func (w *world) through(z []float64, at int) (own float64) {
	before := w.mem.at
	acting := w.mem.floats(w.n)
	w.atoms[at].Convolve(acting, w.x)
	for t, j := range w.judged {
		acting[t] *= j
	}
	w.centring.apply(acting)
	w.filter(z, acting)
	w.mem.release(before)
	return floats.Dot(z, z)
}

// best returns the kernel that explains most, and what it gains: c²/Σz² in units
// of the noise's variance, and its prior. Effects below 0 gain nothing.
func (w *world) best(c []float64, variance float64) (at int, gain float64) {
	gain = math.Inf(-1)
	for i, v := range c {
		g := w.atoms[i].prior
		if v > 0 && w.own[i] > 0 {
			g += v * v / (w.own[i] * variance)
		}
		if g > gain {
			at, gain = i, g
		}
	}
	return at, gain
}

// bestAt is best for an effect of a given size.
func (w *world) bestAt(c []float64, beta, variance float64) (at int, gain float64) {
	gain = math.Inf(-1)
	twice, square := 2*beta/variance, beta*beta/variance
	for i, v := range c {
		if g := w.atoms[i].prior + twice*v - square*w.own[i]; g > gain {
			at, gain = i, g
		}
	}
	return at, gain
}

// settled is the share of an effect by which it may still move.
const settled = 1e-3

// fit is an effect of one kernel in a world.
type fit struct {
	at   int
	beta float64
}

// improve moves an effect towards Huber's estimate, bounding the residuals at each
// of cs in turn.
func (w *world) improve(f fit, cs ...float64) fit {
	before := w.mem.at
	u, z, c := w.mem.floats(w.n), w.mem.floats(w.n), w.mem.floats(len(w.atoms))
	if f.beta > 0 {
		w.through(z, f.at)
	}
	for _, limit := range cs {
		for t := range u {
			u[t] = w.y[t] - f.beta*z[t]
		}
		sigma := bound(u, u, w.judged, limit, w.usualSize, w.mem)
		for t := range u {
			u[t] += f.beta * z[t]
		}
		w.score(c, u)
		last := f
		f = fit{}
		f.at, _ = w.best(c, max(sigma*sigma, w.negligible))
		if own := w.through(z, f.at); own > 0 {
			f.beta = min(max(0, c[f.at]/own), w.largest(f.at))
		}
		if limit == huberC && f.at == last.at && math.Abs(f.beta-last.beta) <= settled*f.beta {
			break
		}
	}
	w.mem.release(before)
	return f
}

// settle finds the effect and the world it leaves, each given the other in turn.
// There are several such pairs: what a fast kernel leaves of a slow effect passes
// for autocorrelation, and then hides it. So the search starts twice, as if the
// residuals had all the autocorrelation of the response and as if they had none,
// and the pair that leaves less to chance is taken.
func (s *study) settle(null *world) (*world, fit) {
	first, second := s.world(), s.world()
	copy(second.residual, null.residual)
	second.whiten() // by nothing
	f, g := first.settle(null), second.settle(second)
	if second.left(g) < first.left(f) {
		return second, g
	}
	return first, f
}

// settle starts in a given world, and ends in w.
func (w *world) settle(in *world) fit {
	const rounds = 5
	var f fit
	for round := range rounds {
		before := f
		f = in.improve(f, huberC, huberC, huberC)
		if round < 2 {
			cold := in.improve(fit{}, 1e9, 6, huberC, huberC)
			if in.left(cold) < in.left(f) {
				f = cold
			}
		}
		if round > 0 && (round == rounds-1 || f.at == before.at && math.Abs(f.beta-before.beta) <= settled*f.beta) {
			break
		}
		w.assume(f)
		in = w
	}
	return f
}

// steps is how many are judged.
func (s *study) steps() float64 {
	n := 0.0
	for _, j := range s.judged {
		n += j
	}
	return n
}

// left is the logarithm of the size of what a fit leaves, a step, less its prior.
func (w *world) left(f fit) float64 {
	steps, before := w.steps(), w.mem.at
	_, variance := w.rest(f)
	w.mem.release(before)
	return math.Log(variance*float64(w.n)/steps) - w.atoms[f.at].prior/steps
}

// rest returns what a fit leaves of the whitened response, bounded, and its mean
// square over all steps, or what is negligible.
func (w *world) rest(f fit) (v []float64, variance float64) {
	v = w.mem.floats(w.n)
	if f.beta > 0 {
		w.through(v, f.at)
	}
	for t := range v {
		v[t] = w.y[t] - f.beta*v[t]
	}
	bound(v, v, w.judged, huberC, w.usualSize, w.mem)
	for _, x := range v {
		variance += x * x
	}
	return v, max(variance/float64(w.n), w.negligible)
}
