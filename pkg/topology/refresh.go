package topology

import (
	"math/bits"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/spike"
	"flywheel/pkg/window"
)

// Budget is an amount of work, in evaluations of one force over one window.
type Budget int

// Refresh derives the results of brands with new input, the longest waiting
// first and none more often than Config.RefreshInterval, and hands each to
// emit: *event.Correlation, *event.Credit or *event.Spike, valid until emit
// returns. What is left of the budget goes to restated windows, which at every
// pastTurn-th call come first: so they, and what is forgotten after them, get
// their turn under any load. It returns the work done, which exceeds the budget
// by at most one brand.
//
// A window is published when it is the newest at a refresh. From then on
// whatever changes its input has it published again, with a higher revision, as
// long as its buckets are kept.
func (p *Partition) Refresh(nowMs int64, budget Budget, emit func(result any)) (spent Budget) {
	p.settle()
	p.work.forget()
	p.work.studied = 0
	p.refreshes++
	if p.refreshes%pastTurn == 0 {
		spent = p.refreshPast(nowMs, budget, emit)
		spent += p.refreshNewest(nowMs, budget-spent, emit)
	} else {
		spent = p.refreshNewest(nowMs, budget, emit)
		spent += p.refreshPast(nowMs, budget-spent, emit)
	}

	p.staleMs = 0
	for i := range p.queue {
		w := &p.queue[i]
		if w.sinceMs == unknownMs {
			w.sinceMs = nowMs
		}
		p.staleMs = max(p.staleMs, nowMs-w.sinceMs)
	}
	return spent
}

// pastTurn is how often restated windows come before the newest.
const pastTurn = 4

// refreshNewest derives the newest results of brands with new input.
func (p *Partition) refreshNewest(nowMs int64, budget Budget, emit func(any)) (spent Budget) {
	intervalMs := p.cfg.RefreshInterval.Milliseconds()
	left := p.queue[:0]
	for _, w := range p.queue {
		b := w.brand
		if spent >= budget || nowMs < b.refreshedMs+intervalMs && b.refreshedMs <= nowMs {
			left = append(left, w)
			continue
		}
		b.queued, b.refreshedMs = false, nowMs
		if b.entry.retired {
			p.tidy(b)
			continue
		}
		spent += p.refresh(b, nowMs, emit)
		if b.due() && !b.restating {
			b.restating = true
			p.past = append(p.past, b)
		} else if !b.restating {
			p.tidy(b)
		}
	}
	clear(p.queue[len(left):])
	p.queue = left
	return spent
}

// pastIntervals is how many refresh intervals lie between two restatements of a
// brand's past, while input keeps coming: what is late comes in pieces, a few
// a second, and each is to be shown with the next.
const pastIntervals = 4

// refreshPast publishes restated windows, brand after brand.
func (p *Partition) refreshPast(nowMs int64, budget Budget, emit func(any)) (spent Budget) {
	intervalMs := pastIntervals * p.cfg.RefreshInterval.Milliseconds()
	if len(p.queue) == 0 {
		intervalMs = 0
	}
	left := p.past[:0]
	for _, b := range p.past {
		if spent >= budget || nowMs < b.restatedMs+intervalMs && b.restatedMs <= nowMs {
			left = append(left, b)
			continue
		}
		if !b.entry.retired {
			spent += p.restate(b, nowMs, budget-spent, emit)
			if b.due() { // the budget is spent
				left = append(left, b)
				continue
			}
		}
		b.restating, b.restatedMs = false, nowMs
		p.tidy(b)
	}
	clear(p.past[len(left):])
	p.past = left
	return spent
}

// due says whether a result published before is out of date, but for the newest
// of each force.
func (b *brand) due() bool {
	for _, f := range b.forces {
		if f != nil && !f.due.Empty() {
			return true
		}
	}
	return !b.days.due.Empty()
}

// revise begins the next revision of what a brand has published. It is not below
// the time: a state that was deleted and built anew replaces what the one before
// had published.
func (b *brand) revise(nowMs int64) { b.revision = max(b.revision+1, nowMs) }

// refresh publishes the newest window of every force that moved, the credits
// of the day, and what has become of the spikes.
func (p *Partition) refresh(b *brand, nowMs int64, emit func(any)) (spent Budget) {
	b.revise(nowMs)
	p.touch(b)
	p.derive(b)
	seen := b.seenSpikes()
	dirty := b.dirty
	b.dirty = 0
	for ; dirty != 0; dirty &= dirty - 1 {
		i := bits.TrailingZeros16(dirty)
		end, ok := p.newest(b, i)
		if !ok && b.forces[i] == nil {
			continue
		}
		f := b.force(i)
		if f.lastDue && (!ok || end > f.published.Last()) {
			f.due.Add(f.published.Last(), f.published.Last()+1)
		}
		f.lastDue = false
		if !ok {
			continue
		}
		f.due.Remove(end, end+1)
		f.published.Add(end, end+1)
		p.evaluate(b, i, end, true, emit)
		spent++
	}
	spent += p.refreshDays(b, emit)
	spent += p.refreshSpikes(b, seen, nowMs, emit)
	return spent + p.work.studies() + 1
}

// restate publishes windows again that were published before and have changed,
// the newest first, for as long as the budget lasts.
func (p *Partition) restate(b *brand, nowMs int64, budget Budget, emit func(any)) (spent Budget) {
	b.revise(nowMs)
	p.touch(b)
	p.derive(b)
	for i, f := range b.forces {
		for spent < budget && f != nil && !f.due.Empty() {
			end := f.due.Last()
			f.due.Remove(end, end+1)
			p.evaluate(b, i, end, false, emit)
			spent += 1 + p.work.studies()
		}
	}
	if spent >= budget {
		return spent
	}
	p.sift(b)
	for spent < budget && !b.days.due.Empty() {
		day := b.days.due.Last()
		b.days.due.Remove(day, day+1)
		spent += p.publishDay(b, day, emit) + p.work.studies()
	}
	p.plain(b)
	return spent
}

// tidy forgets what no result and no late event needs any more. What came since the
// last refresh is yet to be looked through for spikes.
func (p *Partition) tidy(b *brand) {
	hour := window.Floor(b.clockMs, window.HourMs)
	if seen := b.seenSpikes(); b.queued && seen != window.Before {
		hour = min(hour, window.Floor(seen, window.QuartersPerHour))
	}
	if hour >= b.sweptHour+sweepHours || b.sweptHour == window.Before {
		b.sweptHour = hour
		p.sweep(b, hour)
	}
	p.measure(b)
}

// RecomputeWindow derives the window of one force of a brand that ends at endMs
// from the state and hands it to emit, whether it was published or not: what a
// batch over the same events gives. Nothing is emitted when the brand is not
// known or the window's buckets are not kept.
func (p *Partition) RecomputeWindow(brandID string, number int, endMs int64, emit func(result any)) {
	p.settle()
	b := p.brands[brandID]
	if b == nil || number < 1 || number > forcesMax {
		return
	}
	end := window.Floor(endMs, p.plan.stepsMs[number-1])
	if end >= p.oldestEnd(b, number-1) {
		p.derive(b)
		p.evaluate(b, number-1, end, false, emit)
	}
}

// RecomputeDay does the same for the credits of the local day that begins at
// dayMs.
func (p *Partition) RecomputeDay(brandID string, dayMs int64, emit func(result any)) {
	p.settle()
	if b := p.brands[brandID]; b != nil && dayMs >= b.entry.zone.DayStart(b.entry.zone.Day(b.oldestDayMs())) {
		p.derive(b)
		p.publishDay(b, b.entry.zone.Day(dayMs), emit)
	}
}

// RecomputeSpikes looks for the spikes of a brand up to the end of a window of force 1
// as if it had never looked before, and hands each to emit, as often as a look changes it
// and retracted where a later look takes it back: the last of an id counts. It returns
// the moment from which on a spike that starts is in sight of the last look: if that was
// published up to the same end, and of the same state, these are what it has published
// and not retracted.
func (p *Partition) RecomputeSpikes(brandID string, endMs int64, emit func(result any)) (fromMs int64) {
	p.settle()
	b := p.brands[brandID]
	if b == nil {
		return endMs
	}
	p.derive(b)
	episodes, revision := b.episodes, b.revision
	b.episodes = nil
	_, fromMs = p.followSpikes(b, window.Before, window.Floor(endMs, p.plan.stepsMs[spikeForce]), 0, emit)
	b.episodes, b.revision = episodes, revision
	return fromMs
}

// sweepHours of event time lie between two looks for what can be forgotten.
const sweepHours = 6

func (p *Partition) sweep(b *brand, hour int64) {
	p.touch(b)
	p.derive(b)
	quarter := (hour+1)*window.QuartersPerHour - 2*shortLags - int64(p.cfg.RestateHours)*window.QuartersPerHour
	oldest := hour - hoursKept
	for i := range b.forces {
		first := p.firstEnd(i, max(quarter, b.oldestQuarter), max(oldest, b.oldestHour))
		p.closeLooks(b, i, window.Floor(first*p.plan.stepsMs[i], window.DayMs))
	}
	if quarter > b.oldestQuarter {
		b.settleViews(quarter)
		b.oldestQuarter = quarter
	}
	for _, ser := range b.series {
		ser.quarters.Drop(b.oldestQuarter)
		for h, more := ser.hours.First(b.oldestHour, oldest); more; h, more = ser.hours.First(h+1, oldest) {
			b.hours.Add(h, h+1)
		}
		ser.hours.Drop(oldest)
	}
	b.oldestHour = max(b.oldestHour, oldest)
	for i, f := range b.forces {
		if f == nil {
			continue
		}
		f.published.Remove(window.Before, p.oldestEnd(b, i))
		f.due.Remove(window.Before, p.oldestEnd(b, i))
		f.lastDue = f.lastDue && !f.published.Empty()
	}
	firstDay := b.entry.zone.Day(b.oldestDayMs())
	b.days.published.Remove(window.Before, firstDay)
	b.days.due.Remove(window.Before, firstDay)
	b.days.hit.Remove(window.Before, firstDay)
	p.closeStudies(b)
	b.expireFacts()
	b.gone = append(b.gone, b.expireSnapshots()...)
	b.forgetting = true
	b.contents.remove(func(c *content) bool {
		b.prune(c, b.oldestQuarter*window.QuarterMs)
		if c.nodes[len(c.nodes)-1].atMs >= oldest*window.HourMs {
			return false
		}
		for _, number := range c.slots {
			b.moved = append(b.moved, slot{c, number}) // Changes sorts them
		}
		return true
	})
	live := b.periods[:0]
	for _, s := range b.periods {
		if s.toMs > oldest*window.HourMs {
			live = append(live, s)
		}
	}
	clear(b.periods[len(live):])
	b.periods = live
}

// settleViews has the views of the hours written that will not follow from the
// observations any more, once quarter-hours before one are forgotten.
func (b *brand) settleViews(quarter int64) {
	views := b.find(event.TikTokViews, [3]byte{})
	if views == nil {
		return
	}
	from, to := b.oldestHour, window.Ceil(quarter, window.QuartersPerHour)
	if b.oldestQuarter != window.Before {
		from = max(from, window.Ceil(b.oldestQuarter, window.QuartersPerHour))
	}
	for hour, more := views.hours.First(from, to); more; hour, more = views.hours.First(hour+1, to) {
		b.hours.Add(hour, hour+1)
	}
}

// oldestEnd is the first end of a force's window whose buckets are all kept.
func (p *Partition) oldestEnd(b *brand, i int) int64 {
	return p.firstEnd(i, b.oldestQuarter, b.oldestHour)
}

// firstEnd is the same where buckets are kept from a quarter-hour and an hour on. A
// long window's day is tested by the window that ends with its start, so of such a
// day all are kept or none.
func (p *Partition) firstEnd(i int, quarter, hour int64) int64 {
	if p.plan.forces[i].WindowHours == event.ShortWindowHours {
		return max(quarter, window.Before/2) + 2*shortLags
	}
	const perDay = 24 / longStep
	return window.Ceil(window.Floor(max(hour, window.Before/2), longStep)+1+2*longLags, perDay) * perDay
}

// oldestDayMs is the start of the first day whose credits can be derived: the
// forces' windows at its end are kept.
func (b *brand) oldestDayMs() int64 {
	return (max(b.oldestQuarter, window.Before/(2*window.QuarterMs)) + 2*shortLags) * window.QuarterMs
}

func (p *Partition) measure(b *brand) {
	now := b.measure()
	p.bytes += now - b.bytes
	b.bytes = now
}

// workspace is memory that one evaluation after the other uses.
type workspace struct {
	scratch  correlate.Scratch
	x, y     []int64
	ex, ey   []float64
	sx, sy   []float64 // scales
	halves   []float64
	bins     []uint8
	days     []uint8
	declared []uint8
	// What confounds a force, and by how much it was above what was expected.
	confounders []*series
	above       [][]float64
	fits        map[pastFit]correlate.Baseline // of days before the newest, until the state changes
	choices     map[pastChoice]correlate.Choice
	looks       map[pastLook]look
	ways        map[pastWays]correlate.Mediation
	marks       []event.SourceWatermark
	studied     int // studies made that are not reckoned yet
	credit      creditWork
	series      spike.Series
	episodes    []spike.Episode
	steps       []spike.Transition
	gained      gained
	told        told
	contribs    []contrib // of the snapshot that is replaced
}

// forget drops what was derived of the state before it changes.
func (w *workspace) forget() {
	if len(w.fits)+len(w.choices)+len(w.looks)+len(w.ways) == 0 {
		return // as for all but the first event after a refresh
	}
	clear(w.fits)
	clear(w.choices)
	clear(w.looks)
	clear(w.ways)
}

// studies returns what the studies cost that were made since the last time.
func (w *workspace) studies() Budget {
	n := w.studied
	w.studied = 0
	return Budget(n) * studyCost
}

type pastFit struct {
	ser *series
	day int64
}

type pastChoice struct {
	from, to *series
	day      int64
}
