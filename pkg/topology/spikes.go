package topology

import (
	"math"
	"slices"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/spike"
	"flywheel/pkg/window"
)

// spikeForce is the force whose response is watched: tiktok → amazon.
const spikeForce = 0

// spikeHours is the series an episode is looked for in: six days, and one for the
// stimulus before them.
const spikeHours = 7 * 24

// halfMs is the width of what is expected of a day: a local hour may begin at half
// past one of UTC's.
const halfMs = window.HourMs / 2

// settledDays is how long late events and corrections keep changing a day.
const settledDays = 3

// dayAhead is what a series is expected to bring in each half-hour of a UTC day by
// the history up to the start of another: settledDays before it, once there is
// enough. So an event does not teach what to expect of it, and late data of other
// days rarely move its start: an episode stays the one it was.
type dayAhead struct {
	day, by int64
	scale   float64
	halves  [window.DayMs / halfMs]float32
}

// defaultHalfLifeHours decays the views a spike is laid to, where the force's
// kernel is not known.
const defaultHalfLifeHours = 3

// spikeStride lies between two ends up to which episodes are looked for, in quarter-hours.
// One of spike.Config.EpisodeBucketsMax or less that begins since the last look then lies
// within the next view, and so does what leads it.
const spikeStride = 3 * 24 * window.QuartersPerHour

// refreshSpikes looks for episodes up to the newest end of a window, and publishes
// what has changed. Where more time has passed since the last end seen than one view
// holds, as in a backlog, it looks at what lies between as well: what is found does
// not depend on how often there was time to look.
func (p *Partition) refreshSpikes(b *brand, seen, nowMs int64, emit func(any)) (spent Budget) {
	newest, published := b.last(spikeForce)
	if !published {
		return 0
	}
	spent, _ = p.followSpikes(b, seen, newest, nowMs, emit)
	return spent
}

// followSpikes looks for episodes from the last end seen up to the newest: a stride at a
// time, and no further than to where another response takes over. It returns the work
// done, and the moment from which on an episode is in sight of the last look.
func (p *Partition) followSpikes(b *brand, seen, newest, nowMs int64, emit func(any)) (spent Budget, fromMs int64) {
	for seen = max(seen, p.oldestSpikes(b)); ; b.revise(nowMs) { // one spike may change with every end
		end := min(newest, window.Floor(seen+spikeStride, window.QuartersPerHour)*window.QuartersPerHour)
		relieved := p.relieved(b, end)
		for ; seen < relieved && relieved < end; relieved = p.relieved(b, end) {
			end = relieved
		}
		fromMs = p.findSpikes(b, end, relieved, end == newest, emit)
		spent += scoreCost * Budget(len(p.work.steps))
		if end == newest {
			return spent, fromMs
		}
		seen = end
		spent++
	}
}

// watched returns the response in which episodes are looked for up to an hour: the first
// that holds anything in the window, and has a history of its own by which to know its
// seasons: others are watched in the stead of one that was connected beside them until it
// has one. Unlike what a window is correlated with, it is told by hours, which are kept for
// longer than any episode stays in sight.
func (p *Partition) watched(b *brand, hour int64) *series {
	today := window.Floor(hour-1, 24)
	for _, s := range p.plan.forces[spikeForce].Responses {
		ser := b.find(s, [3]byte{})
		if ser == nil || !ser.hours.Any(hour-event.ShortWindowHours, hour) {
			continue
		}
		if _, enough := p.judged(b, ser, today); enough <= today {
			return ser
		}
	}
	return nil
}

// relieved returns the end, in quarter-hours, up to which episodes were looked for in
// another response than at a given end, as far as that sees; window.Before if they were not.
func (p *Partition) relieved(b *brand, end int64) int64 {
	hour := window.Ceil(end, window.QuartersPerHour)
	response, first := p.watched(b, hour), hour-spikeHours
	if !slices.ContainsFunc(p.plan.forces[spikeForce].Responses, func(s event.Signal) bool {
		ser := b.find(s, [3]byte{})
		return ser != nil && ser != response && ser.hours.Any(first-event.ShortWindowHours, hour)
	}) {
		return window.Before
	}
	for hour--; hour > first; hour-- {
		if other := p.watched(b, hour); other != nil && other != response {
			return hour * window.QuartersPerHour
		}
	}
	return window.Before
}

// oldestSpikes is the quarter-hour with which begins what episodes can be looked for in.
func (p *Partition) oldestSpikes(b *brand) int64 {
	oldest := window.Floor(b.clockMs, window.QuarterMs) - hoursKept*window.QuartersPerHour
	begin := int64(window.After)
	for _, s := range p.plan.forces[spikeForce].Responses {
		if at := b.begins[p.plan.feeds[s]]; at != window.Before {
			begin = min(begin, at)
		}
	}
	if begin != window.After {
		oldest = max(oldest, begin*window.QuartersPerHour)
	}
	return max(oldest, b.oldestQuarter)
}

// seenSpikes is the end up to which episodes were looked for, window.Before when they
// never were.
func (b *brand) seenSpikes() int64 {
	if last, published := b.last(spikeForce); published {
		return last
	}
	return window.Before
}

// findSpikes looks for episodes in the response up to the end of a window, the newest or
// one before it, from the end at which another response was relieved. An episode without
// a stimulus before it, or that a declared promotion, price change or stock-out explains,
// is none. It returns the moment from which on one that starts is in sight: what it says of
// these is a function of the state. What started while another response was watched is out
// of sight, and stands as that has shown it: each has buckets of its own, so neither can
// say when an episode of the other began. Nor is one raised again that goes on when the
// other takes over.
func (p *Partition) findSpikes(b *brand, end, relieved int64, newest bool, emit func(any)) (fromMs int64) {
	f := &p.plan.forces[spikeForce]
	p.work.steps = p.work.steps[:0]
	response := p.watched(b, window.Ceil(end, window.QuartersPerHour))
	if response == nil {
		return end * window.QuarterMs
	}
	width, cfg := bucketMs(response), p.plan.spikes
	if width == window.HourMs {
		end = window.Ceil(end, window.QuartersPerHour) * window.QuartersPerHour
		cfg.ClearBuckets, cfg.EpisodeBucketsMax, cfg.Lead = 2, cfg.EpisodeBucketsMax/4, cfg.Lead/4
	}
	endMs, stimulus := end*window.QuarterMs, p.stimulus(b, f, end)
	today := window.Floor(endMs-1, window.DayMs)
	begin, enough := p.judged(b, response, today)
	firstMs := max(begin*window.HourMs, endMs-spikeHours*window.HourMs)
	if width < window.HourMs {
		firstMs = max(firstMs, b.oldestQuarter*width)
	}
	n := int((endMs - firstMs) / width)
	w := &p.work
	s := &w.series
	*s = spike.Series{
		First: endMs/width - int64(n), Counts: grow(&w.y, n), Expected: grow(&w.ey, n), Scales: grow(&w.sy, n),
		Open: newest && b.clockMs < endMs,
	}
	read(s.Counts, response, endMs, width)
	p.foresee(b, response, s.Expected, s.Scales, enough, endMs, width)
	per := width / window.QuarterMs
	s.Skip = int(max(relieved/per, s.First) - s.First)
	if stimulus != nil {
		s.Stimulus, s.StimulusExpected, s.StimulusScales = grow(&w.x, n), grow(&w.ex, n), grow(&w.sx, n)
		read(s.Stimulus, stimulus, endMs, width)
		_, enough := p.judged(b, stimulus, today)
		p.foresee(b, stimulus, s.StimulusExpected, s.StimulusScales, min(enough, today), endMs, width)
	}
	episodes, from := spike.Detect(w.episodes[:0], s, &cfg)
	if firstMs > begin*window.HourMs { // whose stimulus is not all there any more is out of sight
		from = max(from, s.First+int64(cfg.Lead))
	}
	from, first := from*per, s.First*per
	for i := range episodes {
		e := &episodes[i]
		for _, bucket := range [...]*int64{&e.Start, &e.Peak, &e.End, &e.Evidence.From, &e.Evidence.Peak} {
			*bucket *= per
		}
	}
	leadHours := int(int64(cfg.Lead) * width / window.HourMs)
	w.episodes = slices.DeleteFunc(episodes, func(e spike.Episode) bool {
		startMs := e.Start * window.QuarterMs
		return e.Start < from || !e.Evidence.Attributed || b.explained(f.To, startMs) || p.chance(b, stimulus, startMs, leadHours) > cfg.LeadChance
	})
	w.steps = spike.Diff(w.steps, b.episodes, w.episodes, from)
	for _, t := range w.steps {
		p.publishSpike(b, &t.Episode, stimulus, response, endMs, leadHours, newest, emit)
	}
	b.episodes = spike.Apply(b.episodes, w.steps, first)
	return from * window.QuarterMs
}

// bucketMs is the width of the buckets that episodes of a response are made of.
func bucketMs(response *series) int64 {
	if response.signal.Info().Grain == event.QuarterHour {
		return window.QuarterMs
	}
	return window.HourMs
}

// chance returns the probability that the stimulus in the hours up to a moment is
// there by chance (spike.Chance); 1 without one.
func (p *Partition) chance(b *brand, stimulus *series, startMs int64, leadHours int) float64 {
	if stimulus == nil {
		return 1
	}
	to := window.Floor(startMs, window.HourMs) + 1
	from := b.first(feedOf(stimulus.signal), to-int64(p.cfg.HistoryHours), to)
	hours := grow(&p.work.x, int(to-from)) // the episodes' stimulus is not needed any more
	stimulus.hours.Read(hours, from)
	return spike.Chance(hours, leadHours)
}

// drivenShare is the least part of a spike's excess that the stimulus makes where it
// drives it.
const drivenShare = 0.5

// explain returns the part of an episode's excess that its stimulus makes by the
// effect that the force has. From drivenShare on, the stimulus drives it.
//
// With β and k the size and kernel of the newest study of hours before the window that
// ends with the episode's start, and x(t) − μ(t) what the stimulus has above its own
// expectation,
//
//	share = Σ_t β·Σ_lag k(lag)·(x − μ)(t − lag) / excess,  t over the episode's buckets
//
// since what the stimulus usually does is in the response's expectation already. The
// share is known where the force is a discovery at the midnight before (look), of hours
// that end before the episode begins, and is 0 elsewhere. So a brand
// on which the force does not act has, in all its life, one of its spikes called
// driven with a probability of at most correlate.FDR, however many it has: one that is
// would be a false discovery of the tests along its days, and where all discoveries are
// false, the probability of any is the false discovery rate.
func (p *Partition) explain(b *brand, e *spike.Episode, stimulus, response *series, endMs int64, newest bool) (share float64) {
	if stimulus == nil || e.Excess <= 0 {
		return 0
	}
	startMs, width := e.Start*window.QuarterMs, bucketMs(response)
	day := window.Floor(startMs, window.DayMs)
	test := p.look(b, spikeForce, day, newest && day == window.Floor(endMs, window.DayMs))
	if !test.discovery || test.from != stimulus || test.to != response {
		return 0
	}
	effect := p.study(b, spikeForce, stimulus, response, window.Floor(startMs, window.HourMs)-event.ShortWindowHours)
	if !effect.known() {
		return 0
	}
	w := &p.work
	kernel := effect.kernel.Finer(int(window.HourMs / width))
	toMs := e.End * window.QuarterMs
	n := kernel.Lags + int((toMs-startMs)/width)
	x, above, acts := grow(&w.x, n), grow(&w.ex, n), grow(&w.ey, n)
	read(x, stimulus, toMs, width)
	today := window.Floor(endMs-1, window.DayMs)
	_, enough := p.judged(b, stimulus, today)
	p.foresee(b, stimulus, above, grow(&w.sx, n), min(enough, today), toMs, width)
	for i := range x {
		above[i] = float64(x[i]) - above[i]
	}
	kernel.Convolve(acts, above)
	for _, v := range acts[kernel.Lags:] {
		share += effect.beta * v / float64(e.Excess)
	}
	return max(0, share)
}

// scoreCost is the score of an episode in evaluations of a window, for the budget of
// refreshing: each of the hours before it is gone through.
const scoreCost = 6

// score returns how rare an episode is by what its response has done by itself, in [0, 1]
// (spike.Scorer): of its hours that are above what is expected, that of the rarest. Each hour is judged
// by those before it alone, up to HistoryHours before the episode. An hour that still fills has
// what has come of it, and of the rest of it what is expected: so a burst scores from its first minutes on,
// and one that has just begun does not seem to be a fall.
func (p *Partition) score(b *brand, e *spike.Episode, response *series, endMs int64) (highest float64) {
	first, to := window.Floor(e.Start, window.QuartersPerHour), window.Ceil(e.End, window.QuartersPerHour)
	from := b.first(feedOf(response.signal), first-int64(p.cfg.HistoryHours), to)
	w := &p.work
	hours := grow(&w.x, int(to-from))
	response.hours.Read(hours, from)
	expected := grow(&w.ey, int(to-first))
	_, enough := p.judged(b, response, window.Floor(endMs-1, window.DayMs))
	p.foresee(b, response, expected, grow(&w.sy, len(expected)), enough, to*window.HourMs, window.HourMs)
	var scorer spike.Scorer
	for i, n := range hours {
		hour, count := from+int64(i), float64(n)
		if hour == to-1 && bucketMs(response) < window.HourMs {
			count = b.soFar(response, hour, endMs, expected[hour-first])
		}
		scorer.Next(hour*window.HourMs, count)
		if hour >= first && count > expected[hour-first] {
			highest = max(highest, scorer.Rarity())
		}
	}
	return highest
}

// soFar returns what an hour has of a response in quarter-hours up to the end of a window, and
// of the part of it that was yet to come what is expected of that.
func (b *brand) soFar(response *series, hour, endMs int64, expected float64) float64 {
	untilMs := (hour + 1) * window.HourMs
	leftMs := untilMs - min(endMs, b.clockMs)
	if leftMs <= 0 {
		return float64(response.hours.Get(hour))
	}
	held := response.quarters.Sum(hour*window.QuartersPerHour, min(endMs, untilMs)/window.QuarterMs)
	return float64(held) + expected*float64(leftMs)/window.HourMs
}

// judged returns the hour in which the history of a series begins, and the first
// UTC day before which there is enough of it to know the seasons.
func (p *Partition) judged(b *brand, ser *series, today int64) (begin, enough int64) {
	begin = b.first(feedOf(ser.signal), today*24-int64(p.cfg.HistoryHours), today*24)
	return begin, window.Ceil(begin+correlate.SeasonalHoursMin, 24)
}

// foresee fills in what is expected of the buckets of a width that end at endMs, and
// at what scale, each by the history that had settled before its day, or before the
// first day that has enough.
func (p *Partition) foresee(b *brand, ser *series, expected, scales []float64, enough, endMs, width int64) {
	atMs := endMs - int64(len(expected))*width
	for i := 0; i < len(expected); {
		day := window.Floor(atMs, window.DayMs)
		ahead := p.ahead(b, ser, day, max(day-settledDays, enough))
		for ; i < len(expected) && atMs < (day+1)*window.DayMs; i++ {
			half := (atMs - day*window.DayMs) / halfMs
			if expected[i] = float64(ahead.halves[half]); width == window.HourMs {
				expected[i] += float64(ahead.halves[half+1])
			} else {
				expected[i] *= float64(width) / halfMs
			}
			scales[i] = ahead.scale
			atMs += width
		}
	}
}

// ahead returns what is expected of a day by the history up to another, valid until
// the next call.
func (p *Partition) ahead(b *brand, ser *series, day, by int64) *dayAhead {
	ser.ahead = slices.DeleteFunc(ser.ahead, func(a dayAhead) bool {
		return a.day < day-spikeHours/24-1 || a.day == day && a.by != by
	})
	for i := range ser.ahead {
		if ser.ahead[i].day == day {
			return &ser.ahead[i]
		}
	}
	a := dayAhead{day: day, by: by, scale: p.fit(b, ser, by).Scale()}
	halves := grow(&p.work.halves, len(a.halves))
	p.expect(b, ser, by, halves, (day+1)*window.DayMs, halfMs)
	for i, v := range halves {
		a.halves[i] = float32(v)
	}
	ser.ahead = append(ser.ahead, a)
	return &ser.ahead[len(ser.ahead)-1]
}

// publishSpike publishes what has become of an episode, with what is known beside it now.
// One that is out of sight is of the response that was watched when it started.
func (p *Partition) publishSpike(b *brand, e *spike.Episode, stimulus, response *series, endMs int64, leadHours int, newest bool, emit func(any)) {
	f := &p.plan.forces[spikeForce]
	startMs := e.Start * window.QuarterMs
	if then := p.watched(b, window.Floor(startMs, window.HourMs)+1); then != nil {
		response = then
	}
	explained, score := 0.0, 0.0
	if e.Status != spike.Retracted {
		explained = p.explain(b, e, stimulus, response, endMs, newest)
		score = p.score(b, e, response, endMs)
	}
	out := event.Spike{
		BrandID: b.id, SpikeID: event.NewID("spike", b.id, f.Responses[0].String(), "", startMs),
		Force: int32(f.Number), Status: event.SpikeStatus(e.Status.String()),
		StartedAtMs: startMs, PeakAtMs: e.Peak * window.QuarterMs, EndedAtMs: e.End * window.QuarterMs, PeakZ: e.PeakZ, Excess: e.Excess,
		ResponseSignal: response.signal.String(),
		Revision:       b.revision, Tier: p.tier(b, f, response, startMs, e.End*window.QuarterMs), Watermarks: p.watermarks(b), CodeVersion: p.version,
		LeadPValue: p.chance(b, stimulus, startMs, leadHours), ExplainedShare: explained, Driven: explained >= drivenShare, AnomalyScore: score,
	}
	out.LeadingContentID, out.LeadingViews = b.leading(
		window.Floor(e.Evidence.From, window.QuartersPerHour), window.Floor(e.Peak, window.QuartersPerHour), p.basis(b, spikeForce).Choice)
	emit(&out)
}

// leading returns the post with most responsibility for an hour: its views
// gained from the hour from on, decayed by the force's kernel, and how many
// they were.
func (b *brand) leading(from, peak int64, evidence correlate.Choice) (id string, views int64) {
	k := correlate.Kernel{HalfLife: defaultHalfLifeHours}
	if proves(evidence) {
		k = evidence.Kernel
	}
	best := 0.0
	for _, c := range b.contents.list {
		var sum, gained float64
		for hour, more := c.gains.First(from, peak+1); more; hour, more = c.gains.First(hour+1, peak+1) {
			gain := max(0, float64(c.gains.Get(hour)))
			gained += gain
			switch age := float64(peak - hour - int64(k.Delay)); {
			case age < 0:
			case k.HalfLife > 0:
				sum += gain * math.Exp2(-age/k.HalfLife)
			case age == 0:
				sum += gain
			}
		}
		if sum > best || sum == best && sum > 0 && c.id < id {
			best, id, views = sum, c.id, int64(gained)
		}
	}
	return id, views
}
