package correlate

import (
	"math"
	"slices"
)

// grouping sorts the steps of a series into groups that share a factor.
type grouping struct {
	of     []int // the group of each step
	factor []float64
	shrunk bool // the factors are held near 1 where there is little to tell them by
}

func newGrouping(n, groups int, shrunk bool, of func(step int) int) *grouping {
	g := &grouping{of: make([]int, n), factor: make([]float64, groups), shrunk: shrunk}
	for t := range g.of {
		g.of[t] = of(t)
	}
	return g
}

// Days of history from which a baseline has factors for the hours of weekdays and
// of weekends, and for the days of the week.
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
	if span >= hoursFromDays*daySeconds && p.StepSeconds <= 12*3600 {
		all = append(all, newGrouping(n, Bins, true, func(t int) int {
			bin := int(p.at(t) % daySeconds / 3600)
			if day(t) >= 5 {
				bin += Bins / 2
			}
			return bin
		}))
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
// instead of weeks and seasonal bins, any step, and gaps (present 0). It returns
// what is expected of each step.
func factors(y, present []float64, all []*grouping) []float64 {
	n := len(y)
	expected, weight := make([]float64, n), slices.Clone(present)
	residual, sorted := make([]float64, n), make([]float64, 0, n)
	for t := range expected {
		expected[t] = 1
	}
	for _, g := range all {
		for i := range g.factor {
			g.factor[i] = 1
		}
	}
	small := smallStep(y, present)
	scale := 0.0
	for range iterations {
		for _, g := range all {
			g.fit(y, weight, expected, scale)
		}
		sorted = sorted[:0]
		for t, mu := range expected {
			weight[t] = math.Sqrt(max(mu, expectedMin))
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
	return expected
}

// fit solves for the factors of one grouping, given the others.
func (g *grouping) fit(y, weight, expected []float64, scale float64) {
	sum, norm := make([]float64, len(g.factor)), make([]float64, len(g.factor))
	for t, i := range g.of {
		sum[i] += weight[t] * y[t]
		norm[i] += weight[t] * expected[t] / g.factor[i]
	}
	ratio := make([]float64, len(g.factor))
	for i, before := range g.factor {
		prior := 0.0
		if g.shrunk {
			prior = scale * scale
		}
		if norm[i]+prior > 0 {
			g.factor[i] = max(factorMin, (sum[i]+prior)/(norm[i]+prior))
		}
		ratio[i] = g.factor[i] / before
	}
	for t, i := range g.of {
		expected[t] *= ratio[i]
	}
}

// factorMin keeps a factor from vanishing, after which nothing could raise it.
const factorMin = 1e-6

// smallStep is smallHour for a series with gaps.
func smallStep(y, present []float64) float64 {
	v, n := make([]float64, 0, len(y)), 0
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
	return selectKth(v, len(v)/4)
}

// centre takes the mean of every group out of the present values of v, by turns.
func centre(v, present []float64, all []*grouping) {
	const sweeps = 4
	for range sweeps {
		for _, g := range all {
			sum, count := make([]float64, len(g.factor)), make([]float64, len(g.factor))
			for t, i := range g.of {
				sum[i] += present[t] * v[t]
				count[i] += present[t]
			}
			for t, i := range g.of {
				if present[t] > 0 {
					v[t] -= sum[i] / count[i]
				}
			}
		}
	}
}
