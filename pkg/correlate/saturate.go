package correlate

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
)

// exponents are those that proportion is held against. What is closer to 1 cannot be told
// from a kernel that is not quite the one.
//
//nolint:gochecknoglobals // a table nobody writes to
var exponents = [...]float64{0.75, 0.5, 0.25}

// knees are where, in units of the median, a logarithm or a share of a most bends: other
// shapes that returns may have, and of which a power is one.
//
//nolint:gochecknoglobals // a table nobody writes to
var knees = [...]float64{1, 4, 16}

const (
	exponentStep = 0.125    // from the likeliest of them to those tried besides
	exponentUnit = 1.0 / 64 // in which exponents are told
	// diminishing is how much likelier than proportion another exponent has to be: the
	// quantile of 97.5 % of ½χ²₀ + ½χ²₁, and of 95 % of χ²₁, for what is no less likely than
	// an interval of 95 % holds.
	diminishing = 3.84
	// beyondDoubt is how much likelier it has to be for the interval of the size to leave out
	// what proportion says. Of effects in proportion one in forty is called something else,
	// and of the intervals of those that are, 95 % are to hold as well (the false coverage
	// rate, Benjamini & Yekutieli 2005): the quantile of 0.1 % of χ²₁.
	beyondDoubt = 10.83
	// longSteps is from how many lags of a window down steps are long beside what happens in
	// them; see limit.
	longSteps = 24
	degrees   = 4
)

// limit returns how much likelier than proportion another exponent has to be. Where the window has few
// steps, no kernel is quite the one: when in a step a burst came is not known, and what it leaves to
// the next is another share each time, the more of the response the larger the burst. That is
// noise in proportion to the effect, which a power is a better fit to than none, however many steps there
// are: of effects in proportion summed to days, of two months to a year, 7.4 % of 796 passed
// diminishing, 3.8 % passed the 99 % of χ²₁ and 1.4 % passed beyondDoubt; of steps of 3 to 12 hours
// 5.4, 2.8 and 1.5 % of 389. And where it passes by as much, proportion is still not beyond doubt.
func (s *study) limit() (least float64, doubt bool) {
	if s.lags <= longSteps {
		return beyondDoubt, true
	}
	return diminishing, false
}

// bend is the fit of an exponent.
type bend struct {
	exponent, deviance float64
	beta               float64 // without the gain of the search
}

// bends is the fits of a study by exponent, the least first.
type bends []bend

// at returns the likeliest.
func (b bends) at() int {
	best := 0
	for i := range b {
		if b[i].deviance < b[best].deviance {
			best = i
		}
	}
	return best
}

// find returns where an exponent is, or belongs.
func (b bends) find(exponent float64) (int, bool) {
	return slices.BinarySearchFunc(b, exponent, func(x bend, e float64) int { return cmp.Compare(x.exponent, e) })
}

// likeliest returns where between the likeliest exponent and its neighbours the parabola
// through the three has its least.
func (b bends) likeliest() float64 {
	i := b.at()
	if i == 0 || i == len(b)-1 {
		return b[i].exponent
	}
	x, y, z := b[i-1], b[i], b[i+1]
	left, right := y.exponent-x.exponent, z.exponent-y.exponent
	down, up := (x.deviance-y.deviance)/left, (z.deviance-y.deviance)/right
	if down+up <= 0 {
		return y.exponent
	}
	return math.Round((y.exponent+(down*right-up*left)/(2*(down+up)))/exponentUnit) * exponentUnit
}

// end is where the exponents end that an interval of 95 % holds, and how much larger the
// size is there than at the likeliest one, as a logarithm.
type end struct{ exponent, size float64 }

// end returns that below the likeliest exponent (step −1) or above it (1). Between two that
// were tried the root of the deviance above the least is taken for a line, as it is where
// that is a parabola, and so is the logarithm of the size. If all that were tried are held,
// it is 0 or 1.
func (b bends) end(step int) end {
	best := b[b.at()]
	from := end{exponent: best.exponent}
	root := 0.0
	for i := b.at() + step; 0 <= i && i < len(b); i += step {
		r := math.Sqrt(max(0, b[i].deviance-best.deviance))
		to := end{b[i].exponent, math.Log(b[i].beta / best.beta)}
		if limit := math.Sqrt(diminishing); r > limit {
			part := (limit - root) / (r - root)
			return end{from.exponent + part*(to.exponent-from.exponent), from.size + part*(to.size-from.size)}
		}
		from, root = to, r
	}
	from.exponent = float64((1 + step) / 2)
	return from
}

// Bend asks whether the returns of the effect screened last diminish, and if so, describes
// it anew, by what acts; Bound then tells what both its size and the exponent may be. P
// stays: it is that of no effect. What acts is taken for a power of the stimulus,
//
//	y(t) = baseline(t) + β·Σ_lag k(lag)·s·x(t − lag)^γ + u(t),  s = Σx/Σx^γ,
//
// so that β is response units in all per stimulus unit on average, whatever γ is. For each
// γ all is fitted anew: the baseline of what acts, the kernel, β, and the baseline and the
// autoregression of what that leaves. The fits are compared by how likely they make what
// they leave, each whitened by its own autoregression: D = −2·log likelihood of steps that
// are Student's t with 4 degrees of freedom (Lange, Little & Taylor, Robust Statistical
// Modeling Using the t Distribution, 1989). A loss that is bounded does not see how wrong
// the few large steps are that tell γ, and with squares only the response's own bursts count.
// Of what acts, that above its own baseline is compared: how a power of the stimulus's weeks
// and seasons goes with the response's own tells nothing of γ.
//
// If γ is 1, D(1) − D(γ̂) is χ² with one degree of freedom (Wilks 1938) where a γ̂ below 1 fits
// better, and 0 in the other half of cases, since 1 is the end of what γ may be (Chernoff
// 1954). It is taken for 1 unless that is refuted.
func (e *Estimator) Bend(rel *Relation) {
	if rel.Verdict != Effective || e.prober != nil || e.fit.beta == 0 || !e.study.bendable() {
		return
	}
	before := e.mem.at
	var all bends
	try := func(exponent float64) {
		i, known := all.find(exponent)
		if known {
			return
		}
		at := e.mem.at
		if w, f := e.study.actingAbove(power(exponent)).around(e.null); f.beta > 0 {
			all = slices.Insert(all, i, bend{exponent, w.deviance(f), f.beta})
		}
		e.mem.release(at)
	}
	try(1)
	for _, exponent := range exponents {
		try(exponent)
	}
	if _, known := all.find(1); !known {
		e.mem.release(before)
		return
	}
	best, proportion := all[all.at()], all[len(all)-1]
	least, doubt := e.study.limit()
	if proportion.deviance-best.deviance <= least {
		rel.ExponentLow = all.end(-1).exponent
		e.mem.release(before)
		return
	}
	try(best.exponent - exponentStep)
	try(best.exponent + exponentStep)
	try(all.likeliest())
	best = all[all.at()]
	below, above := all.end(-1), all.end(1)
	rel.Exponent, rel.ExponentLow, rel.ExponentHigh = best.exponent, below.exponent, above.exponent
	e.doubt(below.size)
	e.doubt(above.size)
	if doubt || proportion.deviance-best.deviance <= beyondDoubt {
		e.doubt(math.Log(proportion.beta / best.beta))
	}
	e.compare(best)
	e.settled, e.fit = e.study.acting(power(rel.Exponent)).around(e.null)
	e.describe(rel)
}

// compare adds to what the exponent may make of the size what other shapes make of it, where
// they fit about as well: log(1 + x/c) and x/(x + c). They say less, since small amounts act
// in proportion, and much of what these do is part of the baseline.
func (e *Estimator) compare(likeliest bend) {
	median := e.study.median()
	for _, knee := range knees {
		for _, act := range [...]func(float64) float64{
			func(x float64) float64 { return math.Log1p(x / (knee * median)) },
			func(x float64) float64 { return x / (x + knee*median) },
		} {
			before := e.mem.at
			if w, f := e.study.actingAbove(act).around(e.null); f.beta > 0 && w.deviance(f)-likeliest.deviance <= diminishing {
				e.doubt(math.Log(f.beta / likeliest.beta))
			}
			e.mem.release(before)
		}
	}
}

// doubt says that the size may be another, as a logarithm of its ratio to the likeliest.
func (e *Estimator) doubt(size float64) { e.less, e.more = max(e.less, -size), max(e.more, size) }

// median returns that of the amounts of a stimulus that are above 0.
func (s *study) median() float64 {
	above := slices.DeleteFunc(slices.Sorted(slices.Values(s.raw)), func(x float64) bool { return x <= 0 })
	return above[len(above)/2]
}

// bendable says whether there are powers of the stimulus.
func (s *study) bendable() bool { return s.sumX > 0 && slices.Min(s.raw) >= 0 }

// acting returns the study with what acts of the stimulus in its place.
func (s *study) acting(act func(x float64) float64) *study {
	b := *s
	b.forward, b.backward, b.dictionary = nil, nil, s.coarse
	b.raw = s.mem.floats(s.n)
	scaled(b.raw, s.raw, act)
	if b.deviate(); len(b.confounding.parts) > 0 {
		b.deconfound()
	}
	b.transform()
	return &b
}

// actingAbove is acting, of what acts above its own baseline alone.
func (s *study) actingAbove(act func(x float64) float64) *study {
	b := s.acting(act)
	b.above = true
	return b
}

func power(exponent float64) func(x float64) float64 {
	return func(x float64) float64 { return math.Pow(x, exponent) }
}

// around returns the best effect in a study, and the world it leaves; null is that without
// one, of the same response.
func (s *study) around(null *world) (*world, fit) {
	first := s.world()
	copy(first.residual, null.residual)
	copy(first.phi, null.phi)
	first.whiten()
	return s.refine(s.settle(first))
}

// scaled sets dst to what acts of amounts, in all as much as there is. What is missing stays
// so.
func scaled(dst, x []float64, act func(x float64) float64) {
	all, acting := 0.0, 0.0
	for t, v := range x {
		dst[t] = act(v)
		if !math.IsNaN(v) {
			all += v
			acting += dst[t]
		}
	}
	if acting > 0 {
		floats.Scale(all/acting, dst)
	}
}

// deviance is −2·log likelihood of what a fit leaves of the whitened response, Student's t
// with the likeliest scale, less the prior of the kernel. The scale is found by the EM
// algorithm, in which each step weighs (ν + 1)/(ν + its square).
func (w *world) deviance(f fit) float64 {
	const rounds, settled = 200, 1e-9
	before := w.mem.at
	defer w.mem.release(before)
	z, squares := w.mem.floats(w.n), w.mem.floats(w.n)[:0]
	if f.beta > 0 {
		w.through(z, f.at)
	}
	variance := 0.0
	for t, j := range w.judged {
		if j > 0 {
			v := w.y[t] - f.beta*z[t]
			squares = append(squares, v*v)
			variance += v * v
		}
	}
	steps := float64(len(squares))
	variance = max(variance/steps, w.negligible)
	for range rounds {
		sum := 0.0
		for _, v := range squares {
			sum += (degrees + 1) * v / (degrees + v/variance)
		}
		last := variance
		variance = max(sum/steps, w.negligible)
		if math.Abs(variance-last) <= settled*variance {
			break
		}
	}
	d := steps*math.Log(variance) - w.atoms[f.at].prior
	for _, v := range squares {
		d += (degrees + 1) * math.Log1p(v/(degrees*variance))
	}
	return d
}

// widen adds to an interval of a size, given its exponent, by how much less and more the
// exponent may make of it: errors that are independent add up as squares, on the scale of
// logarithms, on which what exponents make of sizes is about even.
func (e *Estimator) widen(low, high float64) (least, most float64) {
	beta := e.fit.beta
	least = beta * math.Exp(-math.Hypot(math.Log(low/beta), e.less))
	most = beta * math.Exp(math.Hypot(math.Log(high/beta), e.more))
	return least, min(most, e.settled.largest(e.fit.at))
}

// Acting returns what acts of the stimulus of each step, in all as much as there is. A step
// of the grid that kernels are searched on shares it among those of the pair in proportion.
func (rel *Relation) Acting(x []float64) []float64 {
	if rel.Exponent == 1 {
		return x
	}
	merged := rel.Merged
	first := len(x) % merged
	sums := make([]float64, (len(x)-first)/merged+1) // before the grid begins, and on it
	count := make([]float64, len(sums))
	part := func(t int) int { return (t - first + merged) / merged }
	for t, v := range x {
		if !math.IsNaN(v) {
			sums[part(t)] += v
			count[part(t)]++
		}
	}
	for i := range sums {
		sums[i] *= float64(merged) / max(1, count[i])
	}
	rate := make([]float64, len(sums))
	scaled(rate, sums, power(rel.Exponent))
	for i, sum := range sums {
		rate[i] /= max(sum, math.SmallestNonzeroFloat64)
	}
	acting := make([]float64, len(x))
	for t, v := range x {
		acting[t] = v * rate[part(t)]
	}
	return acting
}
