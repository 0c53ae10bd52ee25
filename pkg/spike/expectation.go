package spike

import (
	"math"
	"slices"
)

const (
	cut = 2.5 // deviations at which a residual is cut
	// What a variance of residuals that are cut is divided by. Z, a normal one, has
	// E min(Z², cut²) = 0.978; a little less takes noise to be 2 % larger than it is, where
	// tails are heavier than normal ones: 1.21 false alarms a month instead of 1.25
	// (testdata/evidence.golden, series with bursts of their own).
	cutVariance = 0.936
	levelHalfMs = 2 * dayMs
	noiseHalfMs = 10 * dayMs
)

// expectation is what a series is expected to be: x ≈ level + hour of the day +
// kind of day and hour + hour of the week, in UTC, with noise whose size depends
// on the hour of the day.
//
// Each part takes its share of every residual, after that was cut to ±cut
// deviations (Huber's ψ): a stochastic approximation of the M-estimate. A share
// falls like 1/n down to one that forgets: the level has a half-life of two
// days; an hour of the day has settled after a week and remembers two; what sets
// weekends apart, and single hours of the week, are learnt more carefully, since
// there is less to learn them from, and a wrong one is worse than none. A gap
// ages nothing.
//
// A new level looks like a burst that does not end. Its residuals are cut at
// first, but they also make the noise look larger, hence the cut wider, and the
// level follows within days.
type expectation struct {
	visit      float64 // what a point is of a visit to an hour
	levelGain  float64 // in the long run
	noiseGain  float64
	shape      shape
	level      float64
	variance   float64
	points     float64
	hours      [24]part
	kinds      [48]part // of working days, then of weekends
	week       [168]part
	volatility [24]part // relative variance of an hour of the day, less 1
}

// part is one additive part of an expectation.
type part struct{ value, visits float64 }

// learn moves the part towards a residual; care is how many visits its start at
// 0 is worth, memory how many are remembered.
func (p *part) learn(residual, visit, care, memory float64) {
	p.value += residual * visit / (min(p.visits, memory) + care)
	p.visits += visit
}

// gain is the weight of a new point in an average of that half-life, which is
// some points at least.
func gain(spacingMs, halfMs, points int64) float64 {
	return -math.Expm1(-math.Ln2 * float64(spacingMs) / float64(max(halfMs, points*spacingMs)))
}

// newExpectation starts at the median and the deviation from it of some values,
// which it reorders.
func newExpectation(x []float64, spacingMs int64, of shape) expectation {
	e := expectation{
		visit:     min(1, float64(spacingMs)/hourMs),
		levelGain: gain(spacingMs, levelHalfMs, 8),
		noiseGain: gain(spacingMs, noiseHalfMs, 20),
		shape:     of,
		points:    float64(len(x)),
	}
	slices.Sort(x)
	e.level = x[len(x)/2]
	for i := range x {
		x[i] = math.Abs(x[i] - e.level)
	}
	slices.Sort(x)
	limit := cut * max(of.floor(e.level), 1.4826*x[len(x)/2])
	for _, d := range x {
		d = min(d, limit)
		e.variance += d * d / cutVariance / e.points
	}
	return e
}

// hoursOf returns the hour of the day, the same among kinds of days, and the
// hour of the week from Monday on.
func hoursOf(atMs int64) (hour, kind, week int) {
	n := atMs / hourMs
	if atMs%hourMs < 0 {
		n--
	}
	const mondayToEpoch = 3 * 24 // 1970 began on a Thursday
	week = int(((n+mondayToEpoch)%168 + 168) % 168)
	hour = week % 24
	kind = hour
	if week >= 5*24 {
		kind += 24
	}
	return hour, kind, week
}

func (e *expectation) at(hour, kind, week int) float64 {
	return e.level + e.hours[hour].value + e.kinds[kind].value + e.week[week].value
}

// residual returns by how many deviations x is off.
func (e *expectation) residual(atMs int64, x float64) float64 {
	hour, kind, week := hoursOf(atMs)
	mean := e.at(hour, kind, week)
	return (x - mean) / max(e.shape.floor(mean), math.Sqrt(e.variance*(1+e.volatility[hour].value)))
}

func (e *expectation) learn(atMs int64, x float64) {
	hour, kind, week := hoursOf(atMs)
	mean := e.at(hour, kind, week)
	limit := cut * max(e.shape.floor(mean), math.Sqrt(e.variance))
	r := max(-limit, min(limit, x-mean))
	e.points++
	share := max(1/e.points, e.levelGain)
	e.level += share * r
	r *= 1 - share
	e.hours[hour].learn(r, e.visit, 1.5, 10)
	e.kinds[kind].learn(r, e.visit, 6, 20)
	e.week[week].learn(r, e.visit, 4, 6)

	square := r * r / cutVariance
	e.variance += max(1/e.points, e.noiseGain) * (square - e.variance)
	if e.variance > 0 {
		v := &e.volatility[hour]
		v.learn(square/e.variance-1-v.value, e.visit, 4, 14)
	}
}
