package correlate

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
)

// Normal95 is the 97.5th percentile of the standard normal: half of an interval of 95 %, in
// standard deviations.
const Normal95 = 1.959964

// mediationHoursMin is the history that a mediation needs, beyond what the kernels of its
// ways look back on.
const mediationHoursMin = 5 * 24

// wayLags is how many hours either way of an effect may take, and wayDelay after how many it
// begins at the latest.
const (
	wayLags  = 24
	wayDelay = 12
)

// wayHalfLives are the half-lives by which either may go on, in hours: who searches orders at
// once, or sleeps on it. Around the likeliest of them others are tried, wayNear times as long.
//
//nolint:gochecknoglobals // tables nobody writes to
var (
	wayHalfLives = [...]float64{0, 0.5, 0.8, 1.25, 2, 3.2, 5, 8}
	wayNear      = [...]float64{0.8, 0.86, 0.93, 1, 1.08, 1.16, 1.25}
)

// MediationInput is what a mediation is estimated from: hourly residuals, oldest
// first, from which the same baseline has been taken. The first wayLags hours are
// looked back on, and not judged.
type MediationInput struct {
	Stimulus []float64 // decayed by the kernel of its effect
	Mediator []float64
	Outcome  []float64
}

// Mediation returns what a mediation needs of a history: the stimulus by a kernel,
// the response as the mediator and an outcome, so that of the hours that are judged the
// whole kernel is known, less their baselines and the means that these take with them
// (see within).
func (in *Hourly) Mediation(k Kernel, outcome []int64, expected []float64, s *Scratch) *MediationInput {
	n := len(in.X)
	m := &MediationInput{make([]float64, n), make([]float64, n), make([]float64, n)}
	excess := make([]float64, n)
	for t := range excess {
		excess[t] = float64(in.X[t]) - in.ExpectedX[t]
		m.Mediator[t] = float64(in.Y[t]) - in.ExpectedY[t]
		m.Outcome[t] = float64(outcome[t]) - expected[t]
	}
	k.Convolve(m.Stimulus, excess)
	from := min(max(0, k.Lags-wayLags), n)
	m.Stimulus, m.Mediator, m.Outcome = m.Stimulus[from:], m.Mediator[from:], m.Outcome[from:]
	in.within(m.Stimulus, from, s)
	in.within(m.Mediator, from, s)
	in.within(m.Outcome, from, s)
	return m
}

// Mediation says which part of an effect takes the way through a mediator: views
// move searches, searches move revenue. All are outcome units per unit of
// stimulus; Total = Mediated + Direct.
type Mediation struct {
	Total, Mediated, Direct float64
	// The nominal 95 % intervals of both parts.
	MediatedLow, MediatedHigh float64
	DirectLow, DirectHigh     float64
}

// Mediate splits an effect, by the product of coefficients (Baron & Kenny 1986;
// VanderWeele, Explanation in Causal Inference, 2015, ch. 2). With stimulus z,
// mediator m and outcome y, all less their baselines, and for each way a kernel that sums to 1,
//
//	m = a·z + e₁,  y = c'·Σ_lag d(lag)·z(t − lag) + b·Σ_lag k(lag)·m(t − lag) + e₂:
//	Mediated = a·b, Direct = c'
//
// and Total is their sum: what a unit of z adds to y in all. Where neither way takes
// time, it is the slope of y on z alone. So the total effect is never controlled for the mediator,
// which would take the effect out with it. All three sides are whitened by the
// autocorrelation of e₂ at one hour, the weights are Huber's of e₂ (c = 2), and the variances
// are those of Newey & West, since hours depend on each other; Mediated's is Sobel's (1982),
// a²·var b + b²·var a.
//
// b and k are sought beside z at every lag up to wayLags, each with a coefficient of its own, so
// that b rests on e₁ alone (Frisch & Waugh 1933): what goes past the mediator is not taken for its
// doing, however long it takes. With one coefficient for z at once, where orders come an hour
// after either, two thirds of a direct effect were told to be mediated. c' and d are sought in
// what b then leaves.
//
// The kernels are those that leave least. Which they are is not known; so the intervals
// hold those of all that are not refuted: that leave more by no more than 7.81 variances
// of their score, the 95th percentile of χ²₃ (a delay, a half-life and a size). If b is 0, all
// kernels are right, and the best of many shows more than there is: but some of those not
// refuted beside it show nothing, and hold 0.
//
// What it rests on, beyond what an effect does: nothing that was not declared
// moves mediator and outcome, at once or one after the other. Where something does, b is too
// large, and Direct too small, even negative. That is why both
// parts are published beside Total, and not instead.
//
// It is false when there are too few hours or nothing varies.
func Mediate(in *MediationInput) (Mediation, bool) {
	n := len(in.Stimulus)
	if n < wayLags+mediationHoursMin || len(in.Mediator) != n || len(in.Outcome) != n {
		return Mediation{}, false
	}
	grid := dictionary{lags: wayLags}
	for _, h := range wayHalfLives {
		grid.add(h, 0, wayDelay, 1, 2)
	}
	kernels := newWays(grid.atoms)
	const rounds = 6
	direct, mediated := kernels[0].atom, kernels[0].atom
	var w *mediating
	for range rounds {
		var ok bool
		if w, ok = in.by(&direct, &mediated); !ok || !w.search(kernels) {
			return Mediation{}, false
		}
		settled := w.direct[0].atom == direct && w.mediated[0].atom == mediated
		if direct, mediated = w.direct[0].atom, w.mediated[0].atom; settled {
			break
		}
	}
	return w.split(), true
}

// refuted is what a kernel has to leave more than the best, in variances of its score, not to
// be the one (see Mediate).
const refuted = 7.81

// way is a kernel, and how an outcome goes by it.
type way struct {
	atom
	weights  [wayLags + 1]float64 // of each lag
	own      float64              // Σ weight·(what acts by it)²
	size     float64              // the coefficient
	explains float64              // size²·own
}

// newWays returns those of some kernels, yet without a size.
func newWays(kernels []atom) []way {
	ways := make([]way, len(kernels))
	impulse := make([]float64, wayLags+1)
	impulse[0] = 1
	for i, k := range kernels {
		ways[i].atom = k
		k.Convolve(ways[i].weights[:], impulse)
	}
	return ways
}

// near returns the kernels around one, closer together: what lies between two of a grid is
// fitted by one of them, and direct effects beside orders that smear were off by more than
// their interval.
func (w *way) near() []way {
	d := dictionary{lags: wayLags}
	for _, part := range wayNear {
		d.add(part*max(w.HalfLife, 0.3), max(0, w.Delay-1), min(w.Delay+1, wayDelay), 1, 4)
	}
	return newWays(d.atoms)
}

// mediating is the sides of a mediation, whitened and weighed by what two kernels leave.
type mediating struct {
	z, m      []float64 // with what is looked back on
	y, weight []float64
	sum       float64 // of the weights
	// products are those of z at lags 0 … wayLags, of m at the same, and of y, less their
	// means; beside are the same of what z at all lags leaves of m and y.
	products, beside [][]float64
	direct, mediated []way // that were tried; the likeliest is the first
}

// columns is how many series there are products of.
const columns = 2*(wayLags+1) + 1

// by returns the sides, given the kernels of the direct way and of the mediator; false if
// nothing varies.
func (in *MediationInput) by(direct, mediated *atom) (w *mediating, ok bool) {
	n := len(in.Stimulus)
	z, m := make([]float64, n), make([]float64, n)
	direct.Convolve(z, in.Stimulus)
	mediated.Convolve(m, in.Mediator)
	z, m, y := z[wayLags:], m[wayLags:], in.Outcome[wayLags:]
	residual, weight := make([]float64, len(y)), make([]float64, len(y))
	for t := range weight {
		weight[t] = 1
	}
	if !leave(residual, z, m, y, weight) {
		return nil, false
	}
	phi := autocorrelated(residual)
	w = &mediating{z: difference(in.Stimulus, phi), m: difference(in.Mediator, phi), y: difference(y, phi), weight: weight[1:]}
	z, m = difference(z, phi), difference(m, phi)
	residual, size := residual[1:], make([]float64, len(y)-1)
	for range iterations {
		if !leave(residual, z, m, w.y, w.weight) {
			return nil, false
		}
		for t, r := range residual {
			size[t] = math.Abs(r)
		}
		limit := huberC * madToSigma * median(size)
		for t, r := range residual {
			w.weight[t] = 1
			if limit > 0 && math.Abs(r) > limit {
				w.weight[t] = limit / math.Abs(r)
			}
		}
	}
	w.sum = floats.Sum(w.weight)
	w.multiply()
	return w, true
}

// column returns the series of a product.
func (w *mediating) column(i int) []float64 {
	switch n := len(w.y); {
	case i <= wayLags:
		return w.z[wayLags-i:][:n]
	case i < columns-1:
		return w.m[2*wayLags+1-i:][:n]
	default:
		return w.y
	}
}

// multiply sets the products.
func (w *mediating) multiply() {
	weighted, means := make([]float64, len(w.y)), make([]float64, columns)
	w.products, w.beside = make([][]float64, columns), make([][]float64, columns)
	for i := range columns {
		means[i] = floats.Dot(w.weight, w.column(i)) / w.sum
		w.products[i] = make([]float64, columns)
	}
	for i := range columns {
		floats.MulTo(weighted, w.weight, w.column(i))
		for j := range i + 1 {
			p := floats.Dot(weighted, w.column(j)) - w.sum*means[i]*means[j]
			w.products[i][j], w.products[j][i] = p, p
		}
	}
	for i := range w.beside {
		w.beside[i] = slices.Clone(w.products[i])
	}
	for i := range wayLags + 1 {
		pivot := w.beside[i][i]
		if pivot <= collinear*w.products[i][i] {
			continue // the lags before it say the same
		}
		for j := i + 1; j < columns; j++ {
			floats.AddScaled(w.beside[j][i+1:], -w.beside[j][i]/pivot, w.beside[i][i+1:])
		}
	}
}

// search seeks the kernel of the mediator, and then of the direct way, each among some and
// then around the best of these; false if nothing varies.
func (w *mediating) search(kernels []way) bool {
	const m, y = wayLags + 1, columns - 1
	with, against := make([][]float64, m), make([]float64, m)
	for i := range with {
		with[i], against[i] = w.beside[m+i][m:y], w.beside[m+i][y]
	}
	var ok bool
	if w.mediated, ok = tried(kernels, with, against); !ok {
		return false
	}
	best := &w.mediated[0]
	// A mediator that is the stimulus, at some lag, leaves nothing but rounding.
	for i := range with {
		with[i] = w.products[m+i][m:y]
	}
	if best.own <= collinear*quadratic(with, best.weights[:]) {
		return false
	}
	for i := range with {
		with[i] = w.products[i][:m]
		against[i] = w.products[i][y] - best.size*floats.Dot(w.products[i][m:y], best.weights[:])
	}
	w.direct, ok = tried(kernels, with, against)
	return ok
}

// tried fits ways, and those near the best of them, given the products of what acts at each
// lag with each other and with an outcome; false if what acts is nothing. The best is the first.
func tried(kernels []way, with [][]float64, against []float64) ([]way, bool) {
	all, best := slices.Clone(kernels), 0
	for i := 0; i < len(all); i++ {
		w := &all[i]
		if w.own = quadratic(with, w.weights[:]); !(w.own > 0) {
			return nil, false
		}
		w.size = floats.Dot(against, w.weights[:]) / w.own
		if w.explains = w.size * w.size * w.own; w.explains > all[best].explains {
			best = i
		}
		if i == len(kernels)-1 {
			all = append(all, all[best].near()...)
		}
	}
	all[0], all[best] = all[best], all[0]
	return all, true
}

// quadratic returns vᵀ·A·v.
func quadratic(a [][]float64, v []float64) (sum float64) {
	for i, row := range a {
		if v[i] != 0 {
			sum += v[i] * floats.Dot(row, v)
		}
	}
	return sum
}

// split returns what goes by either way.
func (w *mediating) split() Mediation {
	const m = wayLags + 1
	n := len(w.y)
	c, b := &w.direct[0], &w.mediated[0]
	z, mediator := make([]float64, len(w.z)), make([]float64, len(w.z))
	c.Convolve(z, w.z)
	b.Convolve(mediator, w.m)
	zz := w.products[0][0]
	a := w.products[m][0] / zz
	// What of the mediator the stimulus does not tell is what b rests on.
	e := make([]float64, len(w.z))
	for t, v := range w.m {
		e[t] = v - a*w.z[t]
	}
	news := make([]float64, len(e))
	b.Convolve(news, e)
	residual := make([]float64, n)
	for t, v := range w.y {
		residual[t] = v - c.size*z[wayLags+t] - b.size*mediator[wayLags+t]
	}
	for _, v := range [...][]float64{residual, z[wayLags:], news[wayLags:], e[wayLags:]} {
		floats.AddConst(-floats.Dot(w.weight, v)/w.sum, v)
	}
	score := make([]float64, n)
	scatter := func(left, of []float64) float64 {
		for t, weight := range w.weight {
			score[t] = weight * left[t] * of[t]
		}
		return longRun(score)
	}
	first := slices.Clone(w.column(0))
	floats.AddConst(-floats.Dot(w.weight, first)/w.sum, first)
	varA := scatter(e[wayLags:], first) / (zz * zz)
	ofB, ofDirect := scatter(residual, news[wayLags:])/b.own, scatter(residual, z[wayLags:])/c.own
	out := Mediation{
		Total: a*b.size + c.size, Mediated: a * b.size, Direct: c.size,
		MediatedLow: math.Inf(1), MediatedHigh: math.Inf(-1), DirectLow: math.Inf(1), DirectHigh: math.Inf(-1),
	}
	// What goes past the mediator, by a kernel, depends on what it does, by another.
	past := func(c, b *way) {
		size, together := 0.0, 0.0
		for lag, weight := range c.weights {
			size += weight * w.products[lag][columns-1]
			together += weight * floats.Dot(w.products[lag][m:columns-1], b.weights[:])
		}
		size, together = (size-b.size*together)/c.own, together/c.own
		half := Normal95 * math.Sqrt(ofDirect/c.own+together*together*ofB/b.own)
		out.DirectLow, out.DirectHigh = min(out.DirectLow, size-half), max(out.DirectHigh, size+half)
	}
	for i := range w.mediated {
		if k := &w.mediated[i]; k.explains >= b.explains-refuted*ofB {
			half := Normal95 * math.Sqrt(a*a*ofB/k.own+k.size*k.size*varA)
			out.MediatedLow, out.MediatedHigh = min(out.MediatedLow, a*k.size-half), max(out.MediatedHigh, a*k.size+half)
			past(c, k)
		}
	}
	for i := range w.direct {
		if d := &w.direct[i]; d.explains >= c.explains-refuted*ofDirect {
			past(d, b)
		}
	}
	return out
}

// collinear is the share of a series that others have to leave.
const collinear = 1e-9

// leave sets residual to what a weighted regression of y on z and m leaves; false if these are
// the same.
func leave(residual, z, m, y, weight []float64) bool {
	var w, sz, sm, sy float64
	for t := range z {
		w += weight[t]
		sz += weight[t] * z[t]
		sm += weight[t] * m[t]
		sy += weight[t] * y[t]
	}
	meanZ, meanM, meanY := sz/w, sm/w, sy/w
	var zz, zm, mm, zy, my float64
	for t := range z {
		dz, dm, dy := z[t]-meanZ, m[t]-meanM, y[t]-meanY
		zz += weight[t] * dz * dz
		zm += weight[t] * dz * dm
		mm += weight[t] * dm * dm
		zy += weight[t] * dz * dy
		my += weight[t] * dm * dy
	}
	det := zz*mm - zm*zm
	if !(det > collinear*zz*mm) {
		return false
	}
	direct, b := (zy*mm-my*zm)/det, (my*zz-zy*zm)/det
	for t := range z {
		residual[t] = y[t] - meanY - direct*(z[t]-meanZ) - b*(m[t]-meanM)
	}
	return true
}

// autocorrelated is the autocorrelation of residuals at one step, bounded.
func autocorrelated(residual []float64) float64 {
	var cross, own float64
	for t := 1; t < len(residual); t++ {
		cross += residual[t-1] * residual[t]
		own += residual[t-1] * residual[t-1]
	}
	if own == 0 {
		return 0
	}
	return max(-0.97, min(0.97, cross/own))
}

// difference returns v(t) − phi·v(t−1), from the second step on.
func difference(v []float64, phi float64) []float64 {
	out := make([]float64, len(v)-1)
	for t := range out {
		out[t] = v[t+1] - phi*v[t]
	}
	return out
}
