package spike

import "math"

const (
	tailHalfMs = 60 * dayMs
	tailTop    = 48 // excursions that are kept
	// The law holds for the highest share of all excursions, of some at least.
	tailShare, tailLeast = 0.4, 8.0
	// What is known of a tail beforehand, and how many excursions that is worth: how
	// many there are, their mean excess in deviations, and the law's shape: of
	// residuals, and of plain values, which are not cut down to size by a logarithm.
	priorExcursions, priorPoints = 4.0, 96.0
	priorMean, priorMeanWeight   = 0.7, 4.0
	priorShapeWeight             = 20.0
	residualShape, plainShape    = 0.1, 0.5
	shapeMin, shapeMax           = -0.5, 0.9
	// The mean excess is no smaller a part of the threshold: the few different
	// values of small counts look like a tail that is steeper than any is.
	steepest = 0.1
	// An excursion that chance shows less than doubtful times a month may be an event and
	// no chance. An event lasts, and a point far out may be no more than the tail of the
	// noise: it counts in full, and an average of n by 1/√n, doubt at least. So one event
	// does not hide the next, and what comes again and again is learnt after all. None
	// counts as further out than what comes once in surely months.
	doubtful, doubt, surely = 3.0, 0.4, 100
)

// excursion is the maximum of one, and what it counts.
type excursion struct{ z, weight float64 }

// tail knows how often a horizon goes how far to one side, by the maxima of its
// excursions, forgotten with a half-life of sixty days. An excursion begins at a
// point above what is left of the last one, which halves every half hour (three
// points, a horizon's length); a higher point within a half-life belongs to the
// same.
type tail struct {
	top    [tailTop]excursion // the highest, falling
	kept   int
	sum    float64   // weight of all excursions, in units of grown
	points float64   // as many as were seen, in the same units
	grown  float64   // weight of a new excursion; the old ones keep theirs
	growth float64   // of grown, per point
	month  float64   // in points
	doubt  float64   // what an excursion counts that may be an event
	prior  float64   // shape
	left   float64   // of the last excursion
	peak   float64   // how far that went
	last   excursion // what was noted of it
	fit    fit
}

// fit is the generalised Pareto law of the excesses over a threshold.
type fit struct{ threshold, above, scale, shape float64 }

func newTail(spacingMs int64, doubt, prior float64) tail {
	t := tail{
		sum: priorExcursions, points: priorPoints, grown: 1, growth: 1 / (1 - gain(spacingMs, tailHalfMs, 500)),
		month: monthPoints(spacingMs), doubt: doubt, prior: prior,
	}
	t.refit()
	return t
}

// refit fits the law to the highest excursions: a threshold, and by how much they
// exceed it. With y the excesses, a₀ their mean and a₁ that of y·(1 − F(y)),
//
//	shape = 2 − a₀/(a₀ − 2a₁)    scale = a₀·(1 − shape)
//
// (probability-weighted moments, Hosking & Wallis, Parameter and Quantile
// Estimation for the Generalized Pareto Distribution, 1987). Both are drawn
// towards what is known beforehand. Since the parameters are estimates, the excess
// to come has a heavier tail than the law that fits best; of an exponential one
// with n excesses seen it is Pareto's with shape 1/n, which is added. No tail is
// believed to have an end.
func (t *tail) refit() {
	f := fit{threshold: 1}
	k, least := 0, max(tailShare*t.sum, tailLeast*t.grown)
	for ; k < t.kept && f.above < least; k++ {
		f.above += t.top[k].weight
	}
	switch {
	case k < t.kept:
		f.threshold = t.top[k].z
	case k == tailTop:
		f.threshold = t.top[k-1].z
	}
	var mean, weighted, higher float64
	for _, e := range t.top[:k] {
		part := e.weight / f.above
		mean += part * (e.z - f.threshold)
		weighted += part * (e.z - f.threshold) * (higher + part/2)
		higher += part
	}
	n, shape := f.above/t.grown, 0.0
	if weighted > 0 && mean > 2*weighted {
		shape = max(-1, min(1, 2-mean/(mean-2*weighted)))
	}
	shape = (n*shape + priorShapeWeight*t.prior) / (n + priorShapeWeight)
	shape = max(shapeMin, min(shapeMax, shape))
	mean = max(steepest*f.threshold, (n*mean+priorMeanWeight*priorMean)/(n+priorMeanWeight))
	f.scale = mean * (1 - shape)
	f.shape = max(0, shape) + 1/(n+priorMeanWeight)
	if k == t.kept && k < tailTop { // all that there are, from 1 on
		f.above = t.sum
	}
	t.fit = f
}

// step takes z deviations in, when hold is left of the last excursion, and
// returns how often, per point, an excursion went as far before.
func (t *tail) step(z, hold float64) float64 {
	t.left *= hold
	rate := math.Inf(1)
	if z > 1 {
		rate = t.rate(z)
	}
	t.grown *= t.growth
	t.points += t.grown
	if z > 1 && z > t.left {
		t.take(z)
	}
	if t.grown > 1e9 {
		t.rescale()
	}
	return rate
}

// take notes an excursion, or that the last one goes further.
func (t *tail) take(z float64) {
	goesOn := t.left > t.peak/2
	t.left = z
	if goesOn && z <= t.peak {
		return
	}
	t.peak = z
	weight := t.grown
	if t.rate(z)*t.month < doubtful {
		weight *= t.doubt
		z = min(z, t.reach(1/t.month/surely))
	}
	if goesOn {
		t.remove(t.last)
	}
	t.last = excursion{z, weight}
	t.insert(t.last)
	t.refit()
}

func (t *tail) remove(e excursion) {
	t.sum -= e.weight
	for i := range t.top[:t.kept] {
		if t.top[i] == e {
			copy(t.top[i:], t.top[i+1:t.kept])
			t.kept--
			return
		}
	}
}

func (t *tail) insert(e excursion) {
	t.sum += e.weight
	i := t.kept
	for i > 0 && t.top[i-1].z < e.z {
		i--
	}
	if i == tailTop {
		return
	}
	t.kept = min(t.kept+1, tailTop)
	copy(t.top[i+1:t.kept], t.top[i:])
	t.top[i] = e
}

// rescale keeps the weights finite.
func (t *tail) rescale() {
	for i := range t.top[:t.kept] {
		t.top[i].weight /= t.grown
	}
	t.sum /= t.grown
	t.points /= t.grown
	t.last.weight /= t.grown
	t.grown = 1
	t.refit()
}

// rate returns how often, per point, an excursion reaches z, which is above 1.
// Below the threshold it is what the threshold's is at least.
func (t *tail) rate(z float64) float64 {
	f := t.fit
	if z >= f.threshold {
		return f.above / t.points * math.Pow(1+f.shape*(z-f.threshold)/f.scale, -1/f.shape)
	}
	above := 0.0
	for i := 0; i < t.kept && t.top[i].z >= z; i++ {
		above += t.top[i].weight
	}
	return max(above, f.above) / t.points
}

// reach is how far an excursion goes that comes so often.
func (t *tail) reach(rate float64) float64 {
	f := t.fit
	return f.threshold + f.scale/f.shape*max(0, math.Pow(f.above/t.points/rate, f.shape)-1)
}
