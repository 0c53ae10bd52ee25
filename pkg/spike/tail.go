package spike

import "math"

const (
	binsPerOctave = 8
	tailBins      = 10*binsPerOctave + 1 // up to 1024 deviations
	tailHalfMs    = 60 * dayMs
	// What is known of a tail beforehand: some excursions in a time, and how they
	// lie: above priorFrom deviations like an exponential of mean priorMean. For the
	// slope alone they count priorWeight excursions.
	priorExcursions = 8.0
	priorPoints     = 192.0
	priorFrom       = 1.5
	priorMean       = 0.7
	priorWeight     = 12.0
	// The exponential law holds for the highest share, of some excursions at least.
	tailShare, tailLeast = 0.4, 8.0
	// The mean excess is no smaller a part of the threshold: the few different
	// values of small counts look like a tail that is steeper than any is.
	steepest = 0.25
	// An excursion that chance shows less than doubtful times a month may be an event
	// and no chance: it counts by doubt only, and as no further out than what comes
	// surely times more rarely than once a month. So one event does not hide the next, and what comes again and
	// again is learnt after all.
	doubtful, doubt, surely = 3, 1.0 / 3, 10
)

// tail knows how often a horizon goes how far to one side: a histogram of the
// maxima of its excursions, the deviations in eighths of octaves from 1 on, that
// forgets with a half-life of sixty days. An excursion begins at a point above
// what is left of the last one, which halves every half hour (three points, a
// horizon's length); a higher point within a half-life belongs to the same.
type tail struct {
	weight   [tailBins]float64 // in units of grown
	sum      float64           // of the weights
	points   float64           // as many as were seen, in the same units
	grown    float64           // weight of a new excursion; the old ones keep theirs
	growth   float64
	monthly  float64 // once a month, per point
	left     float64 // of the last excursion
	top      float64 // its maximum
	topBin   int
	topGrown float64 // its weight
	fit      fit
}

// fit is the part of a tail that the exponential law holds for.
type fit struct {
	bin          int     // where it begins
	above, reach float64 // its weight, and the weighted sum of its deviations
}

func newTail(spacingMs int64) tail {
	t := tail{
		sum: priorExcursions, points: priorPoints, grown: 1, growth: 1 / (1 - gain(spacingMs, tailHalfMs, 500)),
		monthly: float64(spacingMs) / float64(monthMs(spacingMs)),
	}
	above := 1.0
	for i := range t.weight {
		next := math.Exp(-max(0, edge(i+1)-priorFrom) / priorMean)
		t.weight[i] = priorExcursions * (above - next)
		above = next
	}
	t.refit()
	return t
}

// refit finds the highest tailShare of the excursions.
func (t *tail) refit() {
	t.fit = fit{bin: tailBins}
	for least := max(tailShare*t.sum, tailLeast*t.grown); t.fit.above < least && t.fit.bin > 0; {
		t.fit.bin--
		w := t.weight[t.fit.bin]
		t.fit.above += w
		t.fit.reach += w * (edge(t.fit.bin) + edge(t.fit.bin+1)) / 2
	}
}

// edge is the lower edge of a bin.
func edge(bin int) float64 { return math.Exp2(float64(bin) / binsPerOctave) }

func binOf(z float64) int { return max(0, min(tailBins-1, int(math.Log2(z)*binsPerOctave))) }

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
	goesOn := t.left > t.top/2
	t.left = z
	if goesOn && z <= t.top {
		return
	}
	bin, weight := binOf(z), t.grown
	if t.rate(z) < doubtful*t.monthly {
		weight *= doubt
	}
	for bin > 0 && t.rate(edge(bin)) < t.monthly/surely {
		bin--
	}
	if goesOn {
		t.weight[t.topBin] -= t.topGrown
		t.sum -= t.topGrown
	}
	t.weight[bin] += weight
	t.sum += weight
	t.top, t.topBin, t.topGrown = z, bin, weight
	t.refit()
}

// rescale keeps the weights finite.
func (t *tail) rescale() {
	for i := range t.weight {
		t.weight[i] /= t.grown
	}
	t.sum /= t.grown
	t.points /= t.grown
	t.topGrown /= t.grown
	t.grown = 1
	t.refit()
}

// rate returns how often, per point, an excursion reaches z, which is above 1.
// Beyond the threshold that tailShare of them reach, the excess is exponential;
// with a gamma prior on its slope the chance to exceed it by d is
//
//	((b + excesses) / (b + excesses + d))^(a + n)
//
// with n excesses seen, a = priorWeight and b = a·priorMean: an exponential in
// the long run, and a heavier tail while little is known.
func (t *tail) rate(z float64) float64 {
	above, threshold := t.fit.above, edge(t.fit.bin)
	if z < threshold {
		for i := binOf(z); i < t.fit.bin; i++ {
			above += t.weight[i]
		}
		return above / t.points
	}
	n := above/t.grown + priorWeight
	excess := (t.fit.reach-above*threshold)/t.grown + priorWeight*priorMean
	excess = max(excess, n*steepest*threshold)
	return above / t.points * math.Pow(excess/(excess+z-threshold), n)
}
