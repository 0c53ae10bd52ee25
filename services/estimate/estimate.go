// Package estimate says from two series in files whether one follows the other:
// at what lag, how strongly, with what certainty, and what it was worth.
package estimate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"flywheel/pkg/correlate"
	"flywheel/pkg/series"
)

// Input is what is judged. Revenue, Calendar and Confounders may be left out (nil).
type Input struct {
	Stimulus, Response Source
	Revenue, Calendar  *Source
	Confounders        []Source // other stimuli that may act on both
}

// Estimate is what was found, and the series it was found in.
type Estimate struct {
	Result   Result
	relation correlate.Relation
	grid     grid
	x, y     []float64
	acting   []float64 // what the stimulus adds to each step of the response
	spans    []span
	names    [2]string // of stimulus and response
}

// Run reads the input and judges it. The error names the file, the line, and what
// to do.
func Run(ctx context.Context, in Input, cfg Config) (*Estimate, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	stimulus, err := readPoints(ctx, in.Stimulus)
	if err != nil {
		return nil, err
	}
	response, err := readPoints(ctx, in.Response)
	if err != nil {
		return nil, err
	}
	var confounders []*points
	for _, from := range in.Confounders {
		c, err := readPoints(ctx, from)
		if err != nil {
			return nil, err
		}
		confounders = append(confounders, c)
	}
	var revenue *points
	if in.Revenue != nil {
		if revenue, err = readPoints(ctx, *in.Revenue); err != nil {
			return nil, err
		}
	}
	e := &Estimate{names: [2]string{filepath.Base(in.Stimulus.Name), filepath.Base(in.Response.Name)}}
	if in.Calendar != nil {
		if e.spans, err = readCalendar(*in.Calendar); err != nil {
			return nil, err
		}
	}
	if e.grid, err = common(stimulus, response, confounders, cfg.Window); err != nil {
		return nil, err
	}
	r := &e.Result
	step := time.Duration(e.grid.step) * time.Millisecond
	var gapsX, gapsY gaps
	e.x, gapsX = stimulus.onto(e.grid)
	e.y, gapsY = response.onto(e.grid)
	declared, used := declare(e.spans, e.grid)
	lags := int(cfg.Window.Milliseconds() / e.grid.step)
	if lags < 2 {
		return nil, fmt.Errorf("%w: %s is less than two steps of %s: give a longer window or finer series", ErrWindow, series.Short(cfg.Window), series.Short(step))
	}
	if lags > lagsMax {
		return nil, fmt.Errorf("%w: %s is more than %d steps of %s: give a shorter window or coarser series", ErrWindow, series.Short(cfg.Window), lagsMax, series.Short(step))
	}
	var earned *earnings
	if revenue != nil {
		if earned, err = revenue.earn(e.grid, e.y); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	pair := correlate.Pair{
		X: e.x, Y: e.y, Declared: declared, StepSeconds: e.grid.step / 1000, StartS: e.grid.start / 1000, Lags: lags,
	}
	sides := []side{{stimulus, gapsX}, {response, gapsY}}
	for _, c := range confounders {
		v, gaps := c.onto(e.grid)
		pair.Confounders, sides = append(pair.Confounders, v), append(sides, side{c, gaps})
	}
	e.relation = correlate.Relate(&pair)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}

	r.note("judged are %d steps of %s from %s to %s UTC, which all series cover; the stimulus may come first by one window",
		e.grid.n, series.Short(step), stamp(e.grid.at(0)), stamp(e.grid.at(e.grid.n)))
	for _, side := range sides {
		if side.repeated > 0 {
			r.note("%d lines of %s say again what another one says, and count once", side.repeated, side.name)
		}
		if e.grid.step > side.spacing {
			r.note("%s has a point every %s, and is summed", side.name, series.Short(time.Duration(side.spacing)*time.Millisecond))
		}
		if side.civil {
			r.note("the days of %s have 23 to 25 hours, as its clocks have them, and count as days of 24", side.name)
		}
		if side.missing > 0 {
			instead := "there what its baseline expects is taken for it, and nothing is credited to it"
			switch side.points {
			case response:
				instead = "they are no evidence, and nothing of them is credited"
			case stimulus:
			default:
				instead = "there its mean is taken for it"
			}
			r.note("%s has no value in %d of these steps; %s", side.name, side.missing, instead)
		}
		if every := min(side.spacing, e.grid.step); (side.first()-e.grid.start)%every != 0 {
			off, way := side.first()-e.grid.start, "after"
			if off -= floor(off, every) * every; e.grid.days(side.points) && 2*off >= every {
				off, way = every-off, "before"
			}
			r.note("the points of %s begin %s %s the steps do, and count as if with them: lags are off by that; align the series to tell lags more exactly",
				side.name, series.Short(time.Duration(off)*time.Millisecond), way)
		}
		if side.partial > 0 {
			r.note("%s has only some of its values in %d of these steps; they are scaled up to the whole step", side.name, side.partial)
		}
	}
	if revenue != nil && revenue.spacing > e.grid.step {
		r.note("%s has a point every %s, which is split among its steps as their response is", revenue.name, series.Short(time.Duration(revenue.spacing)*time.Millisecond))
	}
	if in.Calendar != nil {
		r.note("%d of %d declared spans lie in this time%s", used, len(e.spans), becomes(used, pair.Excused()))
	}
	if len(confounders) > 0 && e.relation.Reason == correlate.NoReason {
		r.note("what the confounders (%d) may have added within %s is taken out of both sides; credit leaves it to the baseline", len(confounders), series.Short(cfg.Window))
	}
	if steps, sum := negative(e.y); steps > 0 {
		r.note("the response is below 0 in %d of these steps, by %s in all: is it a count? there it takes credit back", steps, number(-sum))
	}
	r.fill(e, step, cfg.Window)
	e.credit(earned)
	return e, nil
}

// negative returns how many values lie below 0, and their sum.
func negative(v []float64) (count int, sum float64) {
	for _, v := range v {
		if v < 0 {
			count++
			sum += v
		}
	}
	return count, sum
}

// becomes says what becomes of the days of declared spans, if there are any.
func becomes(used int, excused bool) string {
	switch {
	case used == 0:
		return ""
	case excused:
		return ": the response of their days is left out, and is no evidence; stimuli of these days count"
	default:
		return ": their days are more than a quarter of it, too many to leave out, so each has a level of its own and all count; declare less, or give a longer history, to have them left out"
	}
}

// side is a series that was read, and how many steps it has no value for.
type side struct {
	*points
	gaps
}

// common returns the grid all series are on: the finest that they can be summed to,
// over the time they share, the others from up to a window before the response.
func common(stimulus, response *points, confounders []*points, window time.Duration) (grid, error) {
	others := append([]*points{stimulus}, confounders...)
	all := append([]*points{response}, others...)
	coarse := slices.MaxFunc(all, func(a, b *points) int { return cmp.Compare(a.spacing, b.spacing) })
	step := coarse.spacing
	for slices.ContainsFunc(all, func(p *points) bool { return step%p.spacing != 0 }) {
		if step += coarse.spacing; step > SpacingMax.Milliseconds() {
			return grid{}, unfit(all)
		}
	}
	late := slices.MaxFunc(all, func(a, b *points) int { return cmp.Compare(a.first(), b.first()) })
	early := slices.MinFunc(all, func(a, b *points) int { return cmp.Compare(a.end(), b.end()) })
	from := response.first() - window.Milliseconds()/step*step
	for _, p := range others {
		from = max(from, p.first())
	}
	g := grid{step: step}
	phase := coarse.first()
	g.start = phase + floor(from-phase+step-1, step)*step
	g.n = int(max(0, floor(early.end()-g.start, step)))
	if late.first() >= early.end() || g.n < 2 {
		return grid{}, fmt.Errorf("%s covers %s to %s and %s covers %s to %s UTC: they have no time in common",
			early.name, stamp(time.UnixMilli(early.first())), stamp(time.UnixMilli(early.end())),
			late.name, stamp(time.UnixMilli(late.first())), stamp(time.UnixMilli(late.end())))
	}
	return g, nil
}

// unfit is the error of series that no step of up to a day has in common.
func unfit(all []*points) error {
	var named []string
	for _, p := range all {
		named = append(named, fmt.Sprintf("%s has a point every %s", p.name, series.Short(time.Duration(p.spacing)*time.Millisecond)))
	}
	return fmt.Errorf("%s, and no step of up to a day is a multiple of all these: sum one of them so that its steps are a multiple of the other's", strings.Join(named, ", "))
}

// credit splits response and revenue among the steps of the stimulus, if there is
// an effect; without evidence all is the baseline's.
func (e *Estimate) credit(revenue *earnings) {
	r, n := &e.Result, e.grid.n
	beta, k, base := 0.0, correlate.Kernel{Lags: 1}, make([]float64, n)
	if e.relation.Verdict == correlate.Effective {
		beta, k, base = e.relation.Beta, e.relation.Kernel, e.relation.Expected
	} else {
		r.note("no effect is told, so that nothing is credited to the stimulus")
	}
	acting := e.relation.Acting(e.x)
	units, baseline := correlate.Credit(acting, e.y, base, k, beta)
	r.BaselineUnits = baseline
	r.Credit = make([]Credit, n)
	for t := range r.Credit {
		r.Credit[t] = Credit{Timestamp: e.grid.at(t), Units: units[t]}
	}
	if beta > 0 {
		e.acting = make([]float64, n)
		stimulus := make([]float64, n)
		for t, v := range acting {
			if v > 0 {
				stimulus[t] = v * beta
			}
		}
		k.Convolve(e.acting, stimulus)
	}
	if revenue == nil {
		return
	}
	earned, rest := correlate.Money(acting, revenue.steps, base, k, beta)
	for t := range earned {
		r.Credit[t].RevenueMicros = &earned[t]
	}
	rest += revenue.outside
	r.BaselineRevenueMicros, r.RevenueMicros = &rest, &revenue.all
	if revenue.outside != 0 {
		r.note("revenue of %s lies outside the time that is judged: it is the baseline's", money(revenue.outside))
	}
	if revenue.returned < 0 {
		r.note("revenue below 0, such as returns, makes %s in all: it takes credit back", money(revenue.returned))
	}
}

// earnings is revenue on a grid, in micros.
type earnings struct {
	steps    []int64
	all      int64
	outside  int64 // of it, outside the grid
	returned int64 // of it, what is below 0
}

// earn puts revenue on a grid, with which it has to have some time in common. What is
// known of several steps only in all is split among them as their response is: a day's
// revenue was not made at midnight.
func (p *points) earn(g grid, response []float64) (*earnings, error) {
	e := &earnings{steps: make([]int64, g.n)}
	inside := false
	width := max(1, int(p.spacing/g.step))
	parts, weights := make([]int64, width), make([]float64, width)
	var scratch correlate.Scratch
	for i, at := range p.atMs {
		v := p.value[i]
		if math.IsNaN(v) {
			continue
		}
		rounded := math.Round(v * 1e6)
		if math.Abs(rounded) > moneyMax || math.Abs(float64(e.all)+rounded) > moneyMax {
			return nil, errors.New(p.name + ": the revenue adds up to more than can be counted in millionths: give it in larger units")
		}
		micros := int64(rounded)
		e.all += micros
		e.returned += min(micros, 0)
		from := int(g.stepOf(p, at))
		weigh(weights, response, from)
		correlate.Split(micros, weights, parts, &scratch)
		for i, part := range parts {
			if t := from + i; t >= 0 && t < g.n {
				e.steps[t] += part
				inside = true
			} else {
				e.outside += part
			}
		}
	}
	if !inside {
		return nil, fmt.Errorf("%s has no value from %s to %s UTC, the time that is judged: give the revenue of that time, or leave --revenue out",
			p.name, stamp(g.at(0)), stamp(g.at(g.n)))
	}
	return e, nil
}

// weigh sets weights to the response of the steps from one on: their mean where it is not
// known, and all alike where there is none.
func weigh(weights, response []float64, from int) {
	sum, n := 0.0, 0
	for i := range weights {
		weights[i] = math.NaN()
		if t := from + i; t >= 0 && t < len(response) && !math.IsNaN(response[t]) {
			weights[i] = max(0, response[t])
			sum, n = sum+weights[i], n+1
		}
	}
	for i := range weights {
		switch {
		case !(sum > 0):
			weights[i] = 1
		case math.IsNaN(weights[i]):
			weights[i] = sum / float64(n)
		}
	}
}

// moneyMax leaves room for sums in 64 bits.
const moneyMax = 1 << 62
