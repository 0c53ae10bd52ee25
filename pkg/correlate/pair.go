package correlate

import (
	"math"
	"slices"
)

// Pair is a stimulus and a response on one even grid, oldest first, as somebody
// brings them: any step, values with fractions, gaps.
type Pair struct {
	// X and Y are the amounts of each step; NaN where nothing is known.
	X, Y []float64
	// Confounders are other stimuli that may act on both, on the same grid: what they
	// may have added to the response within a window is taken out of both sides.
	Confounders [][]float64
	// Declared numbers what is known to have happened at each step for other
	// reasons, 0 for nothing; nil for nothing at all.
	Declared []int
	// Hours and Days are the seasonal bin of each step (below Bins, the local hours
	// of working days and of free ones) and its day of the week (below 7), on the
	// clock that people live by; nil takes them from UTC, without holidays.
	Hours, Days []uint8
	// StepSeconds is the width of a step, StartS when the first begins, in seconds
	// since 1970.
	StepSeconds, StartS int64
	// Lags is the window in steps: how far an effect may reach.
	Lags int
}

// stepsMax is the most steps a window is cut into where kernels are searched: what
// is finer is summed up.
const stepsMax = 288

// coarse returns the pair on the grid the kernels are searched on, and how many of
// its steps make one there. A sum with up to half of its steps missing is taken
// from the others; with more it is missing.
func (p *Pair) coarse() (*Pair, int) {
	per := (p.Lags + stepsMax - 1) / stepsMax
	if per <= 1 {
		return p, 1
	}
	// Whole sums that end with the series: what is newest counts.
	n := len(p.Y) / per
	first := len(p.Y) - n*per
	c := &Pair{
		X: make([]float64, n), Y: make([]float64, n),
		StepSeconds: p.StepSeconds * int64(per), StartS: p.at(first), Lags: p.Lags / per,
	}
	if len(p.Declared) == len(p.Y) {
		c.Declared = make([]int, n)
	}
	for range p.Confounders {
		c.Confounders = append(c.Confounders, make([]float64, n))
	}
	c.Hours, c.Days = every(p.Hours, first, per), every(p.Days, first, per)
	for t := range n {
		from, to := first+t*per, first+(t+1)*per
		c.X[t], c.Y[t] = total(p.X[from:to]), total(p.Y[from:to])
		for i, v := range p.Confounders {
			c.Confounders[i][t] = total(v[from:to])
		}
		if c.Declared != nil {
			c.Declared[t] = slices.Max(p.Declared[from:to])
		}
	}
	return c, per
}

// less returns the pair with so much less of a response, given on the grid of coarse.
func (p *Pair) less(amounts []float64, per int) *Pair {
	if len(p.Confounders) == 0 {
		return p
	}
	rest := *p
	rest.Y = slices.Clone(p.Y)
	first := len(p.Y) - len(amounts)*per
	for t := first; t < len(p.Y); t++ {
		rest.Y[t] -= amounts[(t-first)/per] / float64(per)
	}
	return &rest
}

// every returns each per-th of some labels, from the first on; nil for none.
func every(labels []uint8, first, per int) []uint8 {
	if len(labels) == 0 {
		return nil
	}
	var some []uint8
	for t := first; t < len(labels); t += per {
		some = append(some, labels[t])
	}
	return some
}

// declaredMax is the share of the steps up to which what is declared is left out.
const declaredMax = 0.25

// excuse takes what is declared from the steps that are judged: on both sides such a
// time has a shape of its own, which no level tells. Where it is most of the history,
// its levels have to do.
func (p *Pair) excuse(judged []float64) {
	if !p.excused() {
		return
	}
	for t, d := range p.Declared {
		if d > 0 {
			judged[t] = 0
		}
	}
}

// excused says whether what is declared is little enough to be taken out.
func (p *Pair) excused() bool {
	declared := 0
	for _, d := range p.Declared {
		declared += min(d, 1)
	}
	return len(p.Declared) == len(p.Y) && float64(declared) <= declaredMax*float64(len(p.Y))
}

// Excused says whether the response of the steps with something declared is no evidence, as
// they are few enough to be left out.
func (p *Pair) Excused() bool {
	c, _ := p.coarse()
	return c.excused()
}

func total(v []float64) float64 {
	sum, n := 0.0, 0
	for _, x := range v {
		if !math.IsNaN(x) {
			sum += x
			n++
		}
	}
	if 2*n < len(v) || n == 0 {
		return math.NaN()
	}
	return sum * float64(len(v)) / float64(n)
}

// known sets values to v with 0 for what is missing, present to 1 where it is not,
// and returns the sum, scaled up to all steps where some are missing.
func known(values, present, v []float64) (sum float64) {
	n := 0
	for t, x := range v {
		values[t], present[t] = 0, 0
		if !math.IsNaN(x) {
			values[t], present[t] = x, 1
			sum += x
			n++
		}
	}
	return sum * float64(len(v)) / float64(max(1, n))
}
