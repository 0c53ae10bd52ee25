package topology

import (
	"cmp"
	"math"
	"slices"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// responseLagMs is how long a response may still come in: a window does not
// wait longer for buckets that stay empty.
const responseLagMs = 2 * window.HourMs

// newest returns the end of the newest window of a force, in steps: behind the
// last bucket of its response, or two hours behind the brand's clock where the
// response has been silent. There is none before both sides have shown up.
func (p *Partition) newest(b *brand, i int) (end int64, ok bool) {
	f := &p.plan.forces[i]
	step := stepMs(f)
	if !slices.ContainsFunc(f.Stimuli, func(s event.Signal) bool {
		ser := b.find(s, [3]byte{})
		return ser != nil && ser.hours.Any(b.oldestHour, window.After)
	}) {
		return 0, false
	}
	atMs, found := b.clockMs-responseLagMs, false
	for _, s := range f.Responses {
		ser := b.find(s, [3]byte{})
		if ser == nil {
			continue
		}
		last, holds := ser.hours.Last(b.oldestHour, window.After)
		if !holds {
			continue
		}
		found = true
		ms := (last + 1) * window.HourMs
		if q, holds := ser.quarters.Last(last*window.QuartersPerHour, window.After); holds {
			ms = (q + 1) * window.QuarterMs
		}
		atMs = max(atMs, ms)
	}
	if !found {
		return 0, false
	}
	atMs = min(atMs, window.Ceil(b.clockMs+1, window.HourMs)*window.HourMs)
	end = window.Ceil(atMs, step)
	if last, published := b.last(i); published {
		end = max(end, last)
	}
	// A response that comes by the hour needs an end on the hour.
	if per := window.HourMs / step; per > 1 {
		if r := p.response(b, f, end); r != nil && r.signal.Info().Grain != event.QuarterHour || r == nil {
			end = window.Ceil(end, per) * per
		}
	}
	return end, end >= p.oldestEnd(b, i)
}

// response returns the series correlated as response: the first that holds
// anything in the window, of those whose buckets end where it does.
func (p *Partition) response(b *brand, f *event.Force, end int64) *series {
	perHour := window.HourMs / stepMs(f)
	for _, s := range f.Responses {
		ser := b.find(s, [3]byte{})
		switch {
		case ser == nil:
		case perHour == 0: // steps of several hours
			hours := int64(f.WindowHours)
			if e := end * longStep; ser.hours.Any(e-hours, e) {
				return ser
			}
		case s.Info().Grain == event.QuarterHour:
			if ser.quarters.Any(end-shortLags, end) {
				return ser
			}
		case end%perHour == 0:
			if e := end / perHour; ser.hours.Any(e-event.ShortWindowHours, e) {
				return ser
			}
		}
	}
	return nil
}

// stimulus returns the series correlated as stimulus: the first that holds
// anything in the window or the one before, which reaches into it.
func (p *Partition) stimulus(b *brand, f *event.Force, end int64) *series {
	toMs := end * stepMs(f)
	whole := window.Floor(toMs, window.HourMs)
	for _, s := range f.Stimuli {
		ser := b.find(s, [3]byte{})
		if ser == nil {
			continue
		}
		to := window.Ceil(toMs, window.HourMs)
		if s.Info().Grain == event.QuarterHour { // of the last hour only what lies before the end
			if to > whole && ser.quarters.Any(whole*window.QuartersPerHour, window.Floor(toMs, window.QuarterMs)) {
				return ser
			}
			to = whole
		}
		if ser.hours.Any(window.Ceil(toMs, window.HourMs)-2*int64(f.WindowHours), to) {
			return ser
		}
	}
	return nil
}

func grow[T any](buf *[]T, n int) []T {
	if cap(*buf) < n {
		*buf = make([]T, n)
	}
	*buf = (*buf)[:n]
	return *buf
}

// evaluate publishes the window of a force that ends at a step. live says that
// it is the newest one, whose intermediate results are kept for the next time.
//
// Behind it stands a search of the weeks up to its end (correlate.Choose). It is
// evidence of its own: three days alone rarely are. And it is one test a day of a
// sequence (look): significant is what is a discovery in it. Where it has evidence, the
// weeks before the window are studied: that gives the effect, its interval and the
// kernel by which the window is judged, so that nothing is searched in the window
// itself; otherwise it is. Of the two probabilities twice the smaller one counts
// (Bonferroni). Where the weeks before are too few for a study, the search's kernel
// describes the window, but does not judge it: it has seen it.
func (p *Partition) evaluate(b *brand, i int, end int64, live bool, emit func(any)) {
	f := &p.plan.forces[i]
	step := stepMs(f)
	endMs := end * step
	stimulus, response := p.stimulus(b, f, end), p.response(b, f, end)
	out := event.Correlation{
		BrandID: b.id, Force: int32(f.Number),
		WindowStartMs: endMs - int64(f.WindowHours)*window.HourMs, WindowEndMs: endMs,
		StepMinutes: int32(f.StepMinutes()), BestLagMinutes: -1, PValue: 1, TestPValue: 1,
		StimulusSignal: f.Stimuli[0].String(), ResponseSignal: f.Responses[0].String(),
		Verdict: event.VerdictInsufficient, Revision: b.revision, Tier: p.tier(b, f, response, endMs-int64(f.WindowHours)*window.HourMs, endMs),
		Watermarks: p.watermarks(b), CodeVersion: p.version,
	}
	switch {
	case stimulus == nil:
		out.Reason = correlate.FlatStimulus.String()
	case response == nil:
		out.Reason = correlate.FlatResponse.String()
	}
	if stimulus != nil {
		out.StimulusSignal = stimulus.signal.String()
	}
	if response != nil {
		out.ResponseSignal = response.signal.String()
	}
	if out.Reason != "" {
		p.totals(f, end, stimulus, response, &out)
		emit(&out)
		return
	}

	state := b.force(i).state()
	day := window.Floor(endMs, window.DayMs)
	test := p.look(b, i, day, live)
	var evidence correlate.Choice
	var e effect
	if step < window.HourMs { // a longer window leaves no history for a placebo
		evidence = p.choose(b, i, &state.evidence, stimulus, response, day, live)
	}
	var known *correlate.Kernel // the window is described by
	if proves(evidence) {
		known = &evidence.Kernel
		if e = p.study(b, i, stimulus, response, window.Floor(out.WindowStartMs, window.HourMs)); e.known() {
			known = &e.kernel
		}
	}
	in, res := p.profile(b, f, end, stimulus, response, known)
	for _, v := range in.X[len(in.X)/2:] {
		out.StimulusTotal += v
	}
	for _, v := range in.Y {
		out.ResponseTotal += v
	}
	out.LagProfile = res.Lags
	if lag, r := best(&res, in.Given); lag >= 0 {
		out.BestLagMinutes, out.BestLagCorrelation = int32(lag*f.StepMinutes()), r
	}
	out.DelayMinutes, out.HalfLifeMinutes = int32(res.Kernel.Delay*f.StepMinutes()), int32(math.Round(res.Kernel.HalfLife*float64(f.StepMinutes())))
	out.DecayedCorrelation, out.EffectiveN, out.PValue = res.Decayed, res.EffectiveN, res.P
	if evidence.Verdict != correlate.Insufficient {
		own := res.P
		if known == &evidence.Kernel {
			own = 1
		}
		out.PValue = min(1, 2*min(own, evidence.P))
	}
	if test.from == stimulus && test.to == response {
		out.TestPValue, out.TestLevel, out.Discovery = test.p, test.level, test.discovery
		out.Power, out.DetectableShare = test.power, test.detectable
	}
	out.Verdict, out.Reason = conclude(&out, &evidence, &res)
	if e.known() {
		out.Effect, out.EffectLow, out.EffectHigh, out.EffectSignal = e.beta, e.low, e.high, response.signal.String()
		out.RealisedCoverage = e.realised
	}
	if known != nil && out.Discovery && f.Responses[0] == event.BrandedSearches {
		p.mediate(b, i, stimulus, response, *known, day, live, &out)
	}
	p.searches(b, f, response, &out)
	emit(&out)
}

// conclude returns what may be said of a window, given the search of the weeks up to
// it and what it says by itself. Its own probability is one of many: windows follow
// each other every quarter of an hour. So nothing is significant but what the day's test
// has discovered, and nothing is called absent that it would have missed.
func conclude(out *event.Correlation, evidence *correlate.Choice, own *correlate.Result) (v event.Verdict, reason string) {
	tells := evidence.Verdict != correlate.Insufficient || own.Verdict != correlate.Insufficient
	why := correlate.ShortHistory
	switch {
	case out.Discovery && tells:
		return event.VerdictSignificant, ""
	case 0 < out.DetectableShare && out.DetectableShare <= correlate.RelevantShare && tells:
		return event.VerdictNotSignificant, ""
	case evidence.Reason != correlate.NoReason:
		why = evidence.Reason
	case !tells:
		why = own.Reason
	case out.TestLevel > 0:
		why = correlate.LowPower
	}
	return event.VerdictInsufficient, why.String()
}

// profile correlates the window of a force that ends at a step, by the kernel that
// is known, or by one it searches.
func (p *Partition) profile(b *brand, f *event.Force, end int64, stimulus, response *series, known *correlate.Kernel) (correlate.Input, correlate.Result) {
	w := &p.work
	step := stepMs(f)
	endMs := end * step
	day := window.Floor(endMs, window.DayMs)
	lags := f.WindowHours * 60 / f.StepMinutes()
	in := correlate.Input{
		StepMinutes: f.StepMinutes(), Stride: 1, X: grow(&w.x, 2*lags), ExpectedX: grow(&w.ex, 2*lags),
	}
	if known != nil {
		in.Given, in.Kernel = true, known.Finer(60/f.StepMinutes())
	}
	if step < window.HourMs && response.signal.Info().Grain != event.QuarterHour {
		in.Stride = int(window.HourMs / step)
	}
	in.Y, in.ExpectedY = grow(&w.y, lags/in.Stride), grow(&w.ey, lags/in.Stride)
	read(in.X, stimulus, endMs, step)
	read(in.Y, response, endMs, step*int64(in.Stride))
	p.expect(b, stimulus, day, in.ExpectedX, endMs, step)
	p.expect(b, response, day, in.ExpectedY, endMs, step*int64(in.Stride))
	in.HistoryHours = min(p.fit(b, stimulus, day).Hours(), p.fit(b, response, day).Hours())
	return in, correlate.Profile(&in, &w.scratch)
}

// best returns the lag with the highest correlation, −1 for none. With a kernel
// that is known it is looked for up to three half-lives behind the delay, where
// seven eighths of its weight lie: a peak further out belongs to another post.
func best(res *correlate.Result, known bool) (lag int, r float64) {
	if !known {
		return res.BestLag, res.BestCorrelation
	}
	lag = -1
	for i, v := range res.Lags[:min(len(res.Lags), res.Kernel.Delay+int(3*max(1, res.Kernel.HalfLife))+1)] {
		if float64(v) > r {
			lag, r = i, float64(v)
		}
	}
	return lag, r
}

// proves says whether a search is evidence by itself.
func proves(c correlate.Choice) bool {
	return c.Verdict != correlate.Insufficient && 2*c.P <= correlate.Alpha
}

// state returns what was derived before.
func (f *force) state() *cache {
	if f.cache == nil {
		f.cache = new(cache)
	}
	return f.cache
}

// totals fills in the sums of a window that cannot be correlated.
func (p *Partition) totals(f *event.Force, end int64, stimulus, response *series, out *event.Correlation) {
	step := stepMs(f)
	n := f.WindowHours * 60 / f.StepMinutes()
	v := grow(&p.work.x, n)
	for _, side := range [...]struct {
		ser   *series
		total *int64
	}{{stimulus, &out.StimulusTotal}, {response, &out.ResponseTotal}} {
		if side.ser == nil {
			continue
		}
		read(v, side.ser, end*step, step)
		for _, x := range v {
			*side.total += x
		}
	}
}

// read sets dst to the buckets of a width that end at endMs. An hour that is
// all that is known is spread over its quarters, the rest to the first.
func read(dst []int64, ser *series, endMs, width int64) {
	n := int64(len(dst))
	switch per := width / window.HourMs; {
	case width < window.HourMs && ser.signal.Info().Grain == event.QuarterHour:
		ser.quarters.Read(dst, endMs/width-n)
	case width < window.HourMs:
		const quarters = window.QuartersPerHour
		first := endMs/width - n
		for k := range dst {
			q := first + int64(k)
			hour := window.Floor(q, quarters)
			v := ser.hours.Get(hour)
			part := window.Floor(v, quarters)
			if q-hour*quarters < v-part*quarters {
				part++
			}
			dst[k] = part
		}
	case per == 1:
		ser.hours.Read(dst, endMs/width-n)
	default:
		first := endMs/window.HourMs - n*per
		for k := range dst {
			dst[k] = ser.hours.Sum(first+int64(k)*per, first+int64(k+1)*per)
		}
	}
}

// expect sets dst to what the baseline of a series expects of the buckets that end
// at endMs.
func (p *Partition) expect(b *brand, ser *series, day int64, dst []float64, endMs, width int64) {
	base := p.fit(b, ser, day) // before the calendar, which shares its memory
	c := p.calendar(b, ser.signal.Info().Node, len(dst), endMs, width)
	base.Fill(dst, c, int(width/60_000), float64(day*window.DayMs-endMs)/window.HourMs)
}

// calendar says what kind of time n buckets of a width are that end at endMs, for a
// node: what is declared is declared for one.
func (p *Partition) calendar(b *brand, node event.NodeName, n int, endMs, width int64) correlate.Calendar {
	w := &p.work
	c := correlate.Calendar{Bins: grow(&w.bins, n), Days: grow(&w.days, n)}
	var bin, day uint8
	for k := range n {
		at := endMs - int64(n-k)*width
		if k == 0 || width >= window.HourMs || at%window.HourMs == 0 || at%window.HourMs == window.HourMs/2 {
			bin, day = b.entry.zone.Bin(at), b.entry.zone.Weekday(at)
		}
		c.Bins[k], c.Days[k] = bin, day
	}
	firstMs := endMs - int64(n)*width
	for _, d := range b.periods {
		if d.node != node || d.toMs <= firstMs || d.fromMs >= endMs {
			continue
		}
		from, to := window.Floor(d.fromMs-firstMs, width), window.Ceil(d.toMs-firstMs, width)
		from, to = max(0, from), min(int64(n), to)
		kind := declaration(d.kind)
		if kind == 0 { // days off, as the holidays of the brand's entry are
			for k := from; k < to; k++ {
				c.Bins[k] = window.DayOff(c.Bins[k])
			}
			continue
		}
		if c.Declared == nil {
			c.Declared = grow(&w.declared, n)
			clear(c.Declared)
		}
		for k := from; k < to; k++ {
			if c.Declared[k] == 0 { // of several the one that begins first
				c.Declared[k] = kind
			}
		}
	}
	return c
}

// declaration numbers the kinds of what is declared that have a factor of their own, as a
// calendar does; 0 for a holiday.
func declaration(kind event.CalendarKind) uint8 {
	switch kind {
	case event.CalendarKindPromotion:
		return 1
	case event.CalendarKindPriceChange:
		return 2
	case event.CalendarKindStockOut:
		return 3
	default:
		return 0
	}
}

// feed is what the history of a signal begins with: the records that move it, and reports
// of each period by themselves. Before the first of them nothing is known; hours behind
// it in which nothing came hold nothing.
type feed struct {
	record event.Type
	report event.Signal
}

func feedOf(s event.Signal) feed {
	f := feed{record: s.Info().Record}
	if f.record == event.TypeAmazonSearchReport {
		f.report = s
	}
	return f
}

// first returns the first hour from ≤ hour < to in which anything of a feed was
// seen: the history of its signals begins there, also of one which came later. It is to
// when there is none.
func (b *brand) first(f feed, from, to int64) int64 {
	first := to
	for _, ser := range b.series {
		if feedOf(ser.signal) == f {
			if hour, holds := ser.hours.First(max(from, b.oldestHour), first); holds {
				first = hour
			}
		}
	}
	return first
}

// fit returns the baseline of a series by the history that ends with the start
// of a UTC day, and begins with its feed's first data.
func (p *Partition) fit(b *brand, ser *series, day int64) *correlate.Baseline {
	if ser.fit != nil && ser.fit.day == day && ser.fit.valid {
		return &ser.fit.base
	}
	key := pastFit{ser, day}
	if base, ok := p.work.fits[key]; ok {
		return &base
	}
	to := day * 24
	from := b.first(feedOf(ser.signal), to-int64(p.cfg.HistoryHours), to)
	counts := make([]int64, to-from)
	ser.hours.Read(counts, from)
	c := p.calendar(b, ser.signal.Info().Node, len(counts), to*window.HourMs, window.HourMs)
	base := correlate.Fit(correlate.History{Counts: counts, Calendar: c}, &p.work.scratch)
	if ser.fit == nil || day >= ser.fit.day {
		ser.fit = &fit{day: day, valid: true, base: base}
		return &ser.fit.base
	}
	if p.work.fits == nil {
		p.work.fits = make(map[pastFit]correlate.Baseline)
	}
	p.work.fits[key] = base
	return &base
}

// choose searches the kernels of a force over the history up to a UTC day.
func (p *Partition) choose(b *brand, i int, cache *choice, stimulus, response *series, day int64, live bool) correlate.Choice {
	if cache.valid && cache.day == day && cache.from == stimulus && cache.to == response {
		return cache.Choice
	}
	key := pastChoice{stimulus, response, day}
	if c, ok := p.work.choices[key]; ok {
		return c
	}
	above := p.above(b, i, stimulus, response, day*24, day) // before the calendar, which shares its memory
	in := p.history(b, stimulus, response, day*24, day)
	in.Kernel.Lags = event.ShortWindowHours
	in.Confounders = above
	c := correlate.Choose(&in, p.learned.prior(i, b), &p.work.scratch)
	if live {
		*cache = choice{day, true, stimulus, response, c}
		return c
	}
	if p.work.choices == nil {
		p.work.choices = make(map[pastChoice]correlate.Choice)
	}
	p.work.choices[key] = c
	return c
}

// above returns by how much what may confound a force was above what the baselines up to
// a day expect, in the history up to an hour; 0 before anything was told of it.
func (p *Partition) above(b *brand, i int, stimulus, response *series, to, day int64) [][]float64 {
	w := &p.work
	from, n := p.reach(b, stimulus, response, to)
	all := p.confounders(b, i, from, to)
	for k, ser := range all {
		if k == len(w.above) {
			w.above = append(w.above, nil)
		}
		above := grow(&w.above[k], n)
		p.expect(b, ser, day, above, to*window.HourMs, window.HourMs)
		first, _ := ser.hours.First(from, to)
		for t := range above {
			if hour := from + int64(t); hour < first {
				above[t] = 0
			} else {
				above[t] = float64(ser.hours.Get(hour)) - above[t]
			}
		}
	}
	return w.above[:len(all)]
}

// history fills in both sides of the hours up to one, exclusive, from the first
// data of both feeds on, with what the baselines up to a day expect.
func (p *Partition) history(b *brand, stimulus, response *series, hour, day int64) correlate.Hourly {
	from, n := p.reach(b, stimulus, response, hour)
	w := &p.work
	in := correlate.Hourly{X: grow(&w.x, n), ExpectedX: grow(&w.ex, n), Y: grow(&w.y, n), ExpectedY: grow(&w.ey, n)}
	stimulus.hours.Read(in.X, from)
	response.hours.Read(in.Y, from)
	p.expect(b, stimulus, day, in.ExpectedX, hour*window.HourMs, window.HourMs)
	p.expect(b, response, day, in.ExpectedY, hour*window.HourMs, window.HourMs)
	in.Calendar = p.calendar(b, response.signal.Info().Node, n, hour*window.HourMs, window.HourMs)
	return in
}

// tier says whether a time rests on a proxy that the platform's own reports, of
// days or of weeks, have not settled yet.
func (p *Partition) tier(b *brand, f *event.Force, response *series, fromMs, toMs int64) event.Tier {
	if f.To != event.NodeAmazon || response == nil {
		return event.TierSettled
	}
	if s := response.signal; s != event.GlanceViews && s != event.BrandedAdImpressions {
		return event.TierSettled
	}
	if _, covers := p.reports(b, window.Floor(fromMs, window.HourMs), window.Ceil(toMs, window.HourMs)); covers {
		return event.TierSettled
	}
	return event.TierProvisional
}

// watermarks returns how far each source has come, by its name.
func (p *Partition) watermarks(b *brand) []event.SourceWatermark {
	w := grow(&p.work.marks, len(b.sources))
	for i, s := range b.sources {
		w[i] = event.SourceWatermark{Source: s.name.Value(), WatermarkMs: s.watermarkMs}
	}
	slices.SortFunc(w, func(x, y event.SourceWatermark) int { return cmp.Compare(x.Source, y.Source) })
	return w
}
