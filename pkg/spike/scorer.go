package spike

import (
	"math"
	"slices"
	"time"
)

// Lengths of time, in milliseconds.
const (
	minuteMs = 60_000
	hourMs   = 60 * minuteMs
	dayMs    = 24 * hourMs
)

// What a Scorer wants to have seen before it judges: a day, and no fewer than
// WarmUpPoints.
const (
	WarmUpMs     = dayMs
	WarmUpPoints = 24
)

// The time that a score is told by, a month: 30 days, or MonthPoints where those
// take longer. While a series is younger it is the time that was seen, and no less
// than youngest of a month.
const (
	MonthMs     = 30 * dayMs
	MonthPoints = 1000
	youngest    = 0.25
)

const (
	horizonsMax = 5
	horizonStep = 4 // each horizon is so many times the one before
	looks       = 2 // how many independent looks the horizons and both sides are worth

	// A point is at most so many deviations to the horizons that average.
	pointMax = 4.0

	// Of the rates by residual and by plain value the smaller one counts, drawn
	// towards the other: more so the one by plain value, which knows no seasons.
	// Neither is more than commonest a point.
	residualDoubt, plainDoubt, commonest = 0.1, 0.4, 0.1

	// An episode goes on while chance does worse less than ongoing times a month,
	// and is over after quietMs without.
	ongoing = 10
	quietMs = 3 * hourMs
	// Within an episode a point is news that chance shows a third as often as all
	// before (a tenth, once one of them came once a month or less), or the first that
	// it shows once a month or less; below surest there is none.
	rarer, rarerTold = 3, 10
	surest           = 1e-3
	stale            = 0.05 // what a score is multiplied by that is no news
)

// Scorer scores the points of one series as they come, each from those before it
// alone: the score of a point never depends on what follows. It has no settings.
// The zero value is ready. It takes any spacing from a minute to a day, best a
// regular one, and about 25 KB.
//
// # What a score says
//
// A score lies in [0, 1] and stands for a rate. If episodes in which this series
// departs as far from what was expected come about n times in 30 days, by what
// was seen of it so far, then
//
//	score = 1 / (1 + n)
//
// so that 0.5 is once a month, 0.9 once in nine months, 0.99 once in eight years:
// whoever acts on every score from s up acts for nothing about (1 − s)/s times a
// month, and mostly half as often, since n is rounded up where little is known.
// (Where 1000 points take longer than 30 days, as those of a day or of an hour do,
// read 1000 points for a month.) In its first month a series is measured by what it
// has shown: read the time so far, and a week at least, for a month. Both sides
// count: a brand that falls silent is an anomaly as well.
//
// Only news scores high. A burst scores at its start, and again where it becomes
// much less likely than it was; in between, and until it has been quiet for three
// hours, its points score a twentieth. One event is so one alarm, or few.
//
// # How it is found
//
//  1. Shape. A value becomes x = shape(value), in which noise is about as large
//     at noon as at night, whether it is Poisson's or in proportion (shape.go).
//  2. Expectation. x is expected to be a slow level plus what the hour of the
//     day, the kind of day and the hour of the week add, all learnt point by point
//     from residuals that are cut at 2.5 deviations (expectation.go). So a burst
//     moves nothing by more than a noisy point does; a new level is learnt in days.
//  3. Horizons. The standardised residual is averaged exponentially over 1, 4, 16,
//     64 and 256 points (up to half a day): the shortest sees a jump at once, the
//     longest a little more that lasts (horizon.go): what one point does is cut at
//     four deviations for the averages. This is the short and the
//     long memory of Lavin & Ahmad (Evaluating Real-time Anomaly Detection
//     Algorithms, 2015) without its normal distribution. A series that wanders
//     is judged by its steps as well (change.go).
//  4. Plain values. So are the values themselves, without seasons and shape
//     (plain.go): higher or lower than ever is news whatever the hour, and a
//     logarithm hides by how much where small values are noisy.
//  5. Tails. How rarely a horizon goes as far is read from its own past: from the
//     maxima of its excursions, of which the highest follow the generalised Pareto
//     law of peaks over a threshold (Pickands 1975; on streams Siffer et al.,
//     Anomaly Detection in Streams with Extreme Value Theory, 2017), with what its
//     parameters may be off (tail.go). A series that bursts each day teaches that
//     it does; what looked like an event counts for less, or events would hide
//     each other.
//  6. Of residual and value the rarer counts, r^0.9·v^0.1 or v^0.6·r^0.4: what both
//     find rare ranks before what one does, and what was to be expected at its hour
//     is little news however high. Then the rarest horizon, times two: they are up
//     to twenty looks, but at much the same thing, and each is on the safe side.
//  7. A value that does not move is rare by how long none ever stayed (stuck.go).
//
// What that is worth is in testdata/evidence.golden, beside a rolling z-score and
// Holt–Winters; 'go test ./pkg/spike -run "Evidence|FalseAlarms" -v' measures it
// again, and 'go run ./loadtest/measure --nab FOLDER' on the series of the Numenta
// Anomaly Benchmark: 67.4 of 100 at the best threshold for all of them (Numenta's
// own detector 70.1, a windowed Gaussian 39.6), 59.4 at 0.5, which there finds two
// windows of three, with 0.8 false alarms a month. The half of its series that the
// numbers above were chosen by has 68.4, the other, which was watched, 66.5.
//
// Where it fails: a spike no larger than what the series does by itself every week
// is not told from that; what comes at one hour of the week alone, ten times the level,
// still alarms in every other week after five; a slow rise over weeks is learnt and never told; the calendar is
// UTC's and knows no holidays; the second event of an episode that has not been
// quiet for three hours goes unnoticed unless it is far larger; where single points
// have power-law tails around a level far from zero, as Student's t has, weeks pass
// before that is learnt, and about five alarms in the first month; and of what happens less
// than once a day there is little to learn from, so such series alarm up to twice a
// month at 0.5.
//
// A value that is missing (NaN, ±Inf) and a point that is not later than the one
// before score 0 and teach nothing. A gap shortens what the horizons remember and
// nothing else. Values may be negative or fractions. Of counts half of Poisson's
// noise is assumed at least, so a first one after zeros is no certain alarm.
type Scorer struct {
	points    int
	lastMs    int64
	spacingMs int64   // the median step of the warm-up, once that is over
	waiting   []point // the warm-up
	shape     shape
	expected  expectation
	horizons  []horizon // of residuals
	plain     plain
	values    []horizon // of plain values, as many
	change    change
	stuck     stuck
	episode   episode
	rarity    float64 // of the last point
}

type point struct {
	atMs  int64
	value float64
}

// Next returns the score of the next point: a value at a time in milliseconds
// since 1970, UTC.
func (s *Scorer) Next(atMs int64, value float64) float64 {
	s.rarity = 0
	if math.IsNaN(value) || math.IsInf(value, 0) || s.points > 0 && atMs <= s.lastMs {
		return 0
	}
	stepMs := atMs - s.lastMs
	s.lastMs = atMs
	s.points++
	if s.horizons == nil {
		s.waiting = append(s.waiting, point{atMs, value})
		if n := len(s.waiting); n >= WarmUpPoints && float64(atMs-s.waiting[0].atMs)*float64(n) >= float64(n-1)*WarmUpMs {
			s.start()
		}
		return 0
	}
	x, steps := s.shape.of(value), float64(stepMs)/float64(s.spacingMs)
	residual, distance := s.expected.residual(atMs, x), s.plain.of(value)
	rate := s.change.step(x, residual, steps)
	for i := range s.horizons {
		rate = min(rate, agree(s.horizons[i].step(residual, steps), s.values[i].step(distance, steps)))
		residual = max(-pointMax, min(pointMax, residual)) // for those that average
	}
	rate = min(rate, s.stuck.step(value, s.points))
	s.expected.learn(atMs, x)
	month := monthPoints(s.spacingMs)
	rate *= looks * min(month, max(youngest*month, float64(s.points)))
	s.rarity = 1 / (1 + rate)
	return s.episode.score(rate, stepMs)
}

// Rarity is what the score of the last point would be, were it news: how rare it is,
// whether or not something as rare came just before it. It is for who knows already which
// points belong together.
func (s *Scorer) Rarity() float64 { return s.rarity }

// agree weighs the rates per point of a residual and of a plain value.
func agree(residual, plain float64) float64 {
	residual, plain = min(residual, commonest), min(plain, commonest)
	if plain < residual {
		return math.Pow(plain, 1-plainDoubt) * math.Pow(residual, plainDoubt)
	}
	return math.Pow(residual, 1-residualDoubt) * math.Pow(plain, residualDoubt)
}

// Spacing is the usual step between two points: the median of the warm-up's, and 0
// before its end.
func (s *Scorer) Spacing() time.Duration {
	if s.horizons == nil {
		return 0
	}
	return time.Duration(s.spacingMs) * time.Millisecond
}

// monthPoints is how many points a month has.
func monthPoints(spacingMs int64) float64 { return max(MonthPoints, MonthMs/float64(spacingMs)) }

// start ends the warm-up: it takes the shape and a first level from all of it but what is
// wild, and goes through it once more.
func (s *Scorer) start() {
	steps := make([]int64, 0, len(s.waiting))
	for i := 1; i < len(s.waiting); i++ {
		steps = append(steps, s.waiting[i].atMs-s.waiting[i-1].atMs)
	}
	slices.Sort(steps)
	s.spacingMs = steps[len(steps)/2]
	tame(s.waiting)
	s.shape = shapeOf(s.waiting)
	x := make([]float64, len(s.waiting))
	for i, p := range s.waiting {
		x[i] = s.shape.of(p.value)
	}
	s.expected = newExpectation(slices.Clone(x), s.spacingMs, s.shape)
	for points := 1; len(s.horizons) < horizonsMax && (points == 1 || int64(points)*s.spacingMs <= dayMs/2); points *= horizonStep {
		s.horizons = append(s.horizons, newHorizon(points, s.spacingMs, residualShape))
		s.values = append(s.values, newHorizon(points, s.spacingMs, plainShape))
	}
	s.change = newChange(x[0], s.spacingMs)
	s.plain = newPlain(s.waiting, s.shape)
	for i, p := range s.waiting {
		residual, distance := s.expected.residual(p.atMs, x[i]), s.plain.of(p.value)
		for k := range s.horizons {
			s.horizons[k].average(residual, 1)
			s.values[k].average(distance, 1)
		}
		s.change.horizon.average(x[i]-s.change.level, 1)
		s.change.average(x[i], residual)
		s.stuck.step(p.value, i+1)
		s.expected.learn(p.atMs, x[i])
	}
	s.waiting = nil
	s.episode.rarest = math.Inf(1)
}

// episode tells what is news from what goes on.
type episode struct {
	rarest  float64 // rate a month of what was told of it; +Inf when there is none
	quietMs int64
}

// score turns a rate a month into a score, stepMs after the last one.
func (e *episode) score(rate float64, stepMs int64) float64 {
	score := 1 / (1 + rate)
	if rate < ongoing {
		e.quietMs = 0
	} else if e.quietMs += stepMs; e.quietMs >= max(quietMs, 3*stepMs) {
		e.rarest = math.Inf(1)
	}
	by, known := float64(rarer), max(rate, surest)
	switch {
	case e.rarest <= 1:
		by = rarerTold
	case rate <= 1:
		by = 1
	}
	if known*by > e.rarest {
		return stale * score
	}
	if rate < ongoing {
		e.rarest = known
	}
	return score
}
