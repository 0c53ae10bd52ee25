package correlate

import (
	"math"
	"slices"
)

// grouping sorts the steps of a series into groups that share a factor.
type grouping struct {
	of     []int32 // the group of each step
	factor []float64
	shrunk bool // the factors are held near 1 where there is little to tell them by
}

func newGrouping(n, groups int, shrunk bool, of func(step int) int) *grouping {
	g := &grouping{of: make([]int32, n), factor: make([]float64, groups), shrunk: shrunk}
	for t := range g.of {
		g.of[t] = int32(of(t))
	}
	return g
}

// Days of history from which a baseline has factors for the hours of weekdays and
// of weekends, and for the days of the week: a week sooner than Fit, which has to expect the days
// to come where this explains those that were.
const (
	hoursFromDays = 10
	weekFromDays  = 14
)

const (
	daySeconds  = 24 * 3600
	weekSeconds = 7 * daySeconds
)

// groupings returns the factors of a series' baseline: a level each week (the
// oldest remainder of less than half a week joins the next), the hours of weekdays
// and weekends, the days of the week, and each day of what is declared.
func (p *Pair) groupings() []*grouping {
	n := len(p.Y)
	span := int64(n) * p.StepSeconds
	weeks := max(1, int((span+weekSeconds/2)/weekSeconds))
	all := []*grouping{newGrouping(n, weeks, false, func(t int) int {
		return min(int(int64(n-1-t)*p.StepSeconds/weekSeconds), weeks-1)
	})}
	day := func(t int) int { // Monday is 0; 1970 began on a Thursday
		return int((p.at(t)/daySeconds + 3) % 7)
	}
	hour := func(t int) int {
		bin := int(p.at(t) % daySeconds / 3600)
		if day(t) >= 5 {
			bin += Bins / 2
		}
		return bin
	}
	if len(p.Hours) == n {
		hour = func(t int) int { return int(p.Hours[t]) }
	}
	if len(p.Days) == n {
		day = func(t int) int { return int(p.Days[t]) }
	}
	if span >= hoursFromDays*daySeconds && p.StepSeconds <= 12*3600 {
		all = append(all, newGrouping(n, Bins, true, hour))
	}
	if span >= weekFromDays*daySeconds {
		all = append(all, newGrouping(n, 7, true, day))
	}
	if len(p.Declared) == n {
		all = append(all, newGrouping(n, slices.Max(p.Declared)+1, false, func(t int) int { return p.Declared[t] }))
	}
	return all
}

// at returns the moment a step begins, in seconds since 1970.
func (p *Pair) at(step int) int64 { return p.StartS + int64(step)*p.StepSeconds }

// factors fits y ≈ Π factors, robust to bursts: the model of Fit (quasi-Poisson,
// Huber weights, a prior of weight φ around 1, solved in turn), for any groupings
// instead of weeks and seasonal bins, any step, and gaps (present 0). It sets
// expected to what is expected of each step. A residual up to small is no burst: where most
// steps are 0, that of one event; of what is left of a series it is the series'.
func factors(expected, y, present []float64, small float64, all []*grouping, m *memory) {
	n := len(y)
	before := m.at
	defer m.release(before)
	weight, residual, sorted := m.floats(n), m.floats(n), m.floats(n)
	copy(weight, present)
	for t := range expected {
		expected[t] = 1
	}
	for _, g := range all {
		for i := range g.factor {
			g.factor[i] = 1
		}
	}
	scale, least := 0.0, expectedMin*min(1, meanSize(y, present)) // of fractions a part of them
	for range iterations {
		for _, g := range all {
			g.fit(y, weight, expected, scale, m)
		}
		sorted = sorted[:0]
		for t, mu := range expected {
			weight[t] = math.Sqrt(max(mu, least))
			residual[t] = math.Abs(y[t]-mu) / weight[t]
			if present[t] > 0 {
				sorted = append(sorted, residual[t])
			}
		}
		sigma := madToSigma * median(sorted)
		squares := 0.0
		for t, r := range residual {
			limit := max(huberC*sigma, small/weight[t])
			weight[t] = present[t]
			if r > limit {
				weight[t] *= limit / r
				r = limit
			}
			squares += present[t] * r * r
		}
		scale = math.Sqrt(squares / float64(len(sorted)) / winsorised)
	}
}

// fit solves for the factors of one grouping, given the others.
func (g *grouping) fit(y, weight, expected []float64, scale float64, m *memory) {
	before := m.at
	defer m.release(before)
	k := len(g.factor)
	sum, norm, ratio := m.floats(k), m.floats(k), m.floats(k)
	for t, i := range g.of {
		sum[i] += weight[t] * y[t]
		norm[i] += weight[t] * expected[t]
	}
	for i, factor := range g.factor {
		prior := 0.0
		if g.shrunk {
			prior = scale * scale
		}
		if norm[i] /= factor; norm[i]+prior > 0 {
			g.factor[i] = max(factorMin, (sum[i]+prior)/(norm[i]+prior))
		}
		ratio[i] = g.factor[i] / factor
	}
	for t, i := range g.of {
		expected[t] *= ratio[i]
	}
}

// factorMin keeps a factor from vanishing, after which nothing could raise it.
const factorMin = 1e-12

// meanSize is the mean size of what is present, 1 where there is nothing.
func meanSize(y, present []float64) float64 {
	sum, n := 0.0, 0.0
	for t, v := range y {
		sum += present[t] * math.Abs(v)
		n += present[t]
	}
	if sum == 0 {
		return 1
	}
	return sum / n
}

// smallPart is the part of the steps that hold anything which hold little.
const smallPart = 0.25

// sparseSize returns what a part of the sizes do not exceed that are not 0, where these are
// fewer than half of the steps present; else 0. Of a quarter it is smallHour for a series
// with gaps.
func sparseSize(y, present []float64, part float64, m *memory) float64 {
	before := m.at
	defer m.release(before)
	v, n := m.floats(len(y))[:0], 0
	for t, x := range y {
		if present[t] > 0 {
			n++
			if x != 0 {
				v = append(v, math.Abs(x))
			}
		}
	}
	if len(v) == 0 || 2*len(v) > n {
		return 0
	}
	return selectKth(v, int(part*float64(len(v))))
}

// centring takes the means of groups out of a series, where it is present, and what
// confounders explain.
type centring struct {
	all     []*grouping
	present []float64
	// Of each grouping: 1/size, and room for sums and means.
	inverse, sum, mean [][]float64
	basis              [][]float64 // of what confounders explain
}

func newCentring(all []*grouping, present []float64, m *memory) *centring {
	c := &centring{all: all, present: present}
	for _, g := range all {
		k := len(g.factor)
		inverse := m.floats(k)
		for t, i := range g.of {
			inverse[i] += present[t]
		}
		for i, size := range inverse {
			if size > 0 {
				inverse[i] = 1 / size
			}
		}
		c.inverse, c.sum, c.mean = append(c.inverse, inverse), append(c.sum, m.floats(k)), append(c.mean, m.floats(k))
	}
	return c
}

// apply takes all of it out of v, which is 0 where nothing is present.
func (c *centring) apply(v []float64) {
	c.means(v)
	explain(nil, v, c.basis)
}

// means centres v by each grouping in turn. A pass takes out the means of one and
// sums up for the next.
func (c *centring) means(v []float64) {
	const sweeps = 4
	if len(c.all) == 0 {
		return
	}
	clear(c.sum[0])
	for t, i := range c.all[0].of {
		c.sum[0][i] += v[t]
	}
	for turn := range sweeps * len(c.all) {
		this, next := turn%len(c.all), (turn+1)%len(c.all)
		mean, inverse := c.mean[this], c.inverse[this]
		for i, sum := range c.sum[this] {
			mean[i] = sum * inverse[i]
		}
		sum, of, ofNext := c.sum[next], c.all[this].of, c.all[next].of
		clear(sum)
		present, v := c.present[:len(of)], v[:len(of)]
		ofNext = ofNext[:len(of)]
		for t, i := range of {
			x := v[t] - present[t]*mean[i]
			v[t] = x
			sum[ofNext[t]] += x
		}
	}
}
