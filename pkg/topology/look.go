package topology

import (
	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// looks is what is remembered of the daily tests of one force, the sequence that
// is under online control (correlate.Tally). The outcome of a day is a function of
// the buckets and of the outcomes before it; so days are only remembered one by one
// as long as their windows may be restated, and as two counts behind that.
type looks struct {
	final         correlate.Tally // of the days before from
	from          int64           // first UTC day whose outcome may change
	stale         int64           // first day whose outcome is not known
	tested, found window.Set      // days from there on with a test, and with a discovery
}

// looked returns what is remembered of a force's tests.
func (f *force) looked() *looks {
	if f.looks == nil {
		f.looks = new(looks)
	}
	return f.looks
}

// moved notes that an hour has changed: every later midnight looks back on it.
func (l *looks) moved(hour int64) {
	if l == nil {
		return // there was no test
	}
	l.stale = max(l.from, min(l.stale, window.Floor(hour, 24)+1))
}

// before returns the tests before a day, none before from.
func (l *looks) before(day int64) correlate.Tally {
	return correlate.Tally{Tests: l.final.Tests + l.tested.Below(day), Discoveries: l.final.Discoveries + l.found.Below(day)}
}

// look is the test of a force at a UTC midnight.
type look struct {
	from, to  *series // stimulus and response; nil where nothing could be tested
	p, level  float64
	discovery bool
	// power is the probability that an effect of correlate.RelevantShare of the response
	// would be a discovery, detectable the least share that would be one with 80 %; 0
	// where that is not known.
	power, detectable float64
}

// look returns the test of a force at the start of a UTC day, and first finds out
// about every day before it that is not known.
func (p *Partition) look(b *brand, i int, day int64, live bool) look {
	l := b.force(i).looked()
	if l.stale <= day {
		l.tested.Remove(l.stale, window.After)
		l.found.Remove(l.stale, window.After)
		tally := l.before(l.stale)
		first := window.Floor(b.clockMs, window.DayMs) - hoursKept/24 // no bucket lies before it
		for d := max(l.stale, first); d <= day; d++ {
			t := p.test(b, i, d, live && d == day)
			if t.from == nil {
				continue
			}
			l.tested.Add(d, d+1)
			discovery := t.p <= tally.Level()
			if discovery {
				l.found.Add(d, d+1)
			}
			tally = tally.Next(discovery)
		}
		l.stale = day + 1
	}
	if !l.tested.Has(day) {
		return look{}
	}
	t := p.test(b, i, day, live)
	if level := l.before(day).Level(); t.level != level { // it was not held to one before
		t.level, t.discovery = level, l.found.Has(day)
		c := p.choose(b, i, &b.force(i).state().evidence, t.from, t.to, day, live)
		t.power, t.detectable = c.Power(correlate.RelevantShare, level), c.Detectable(level)
		p.keep(b, i, day, live, t)
	}
	return t
}

// keep remembers a test until something changes.
func (p *Partition) keep(b *brand, i int, day int64, live bool, t look) {
	if live {
		b.force(i).state().look = lastLook{day, true, t}
		return
	}
	if p.work.looks == nil {
		p.work.looks = make(map[pastLook]look)
	}
	p.work.looks[pastLook{b.force(i), day}] = t
}

// closeLooks makes the outcomes before a day final: no window is restated that
// rests on one of them.
func (p *Partition) closeLooks(b *brand, i int, day int64) {
	f := b.forces[i]
	if f == nil || f.published.Empty() && (f.looks == nil || f.looks.tested.Empty()) {
		return
	}
	l := f.looked()
	if day <= l.from {
		return
	}
	p.look(b, i, day-1, false)
	l.final = l.before(day)
	l.tested.Remove(window.Before, day)
	l.found.Remove(window.Before, day)
	l.from, l.stale = day, max(l.stale, day)
}

// test returns the probability that is tested at the start of a UTC day: that of
// the search over the history up to it. A window that is so long that it leaves no
// history for placebos has no test: by Bartlett's variance alone, 2 % of bursty pairs
// that have nothing to do with each other are below 1 in 10 000 (TestLongWindowsAreNotTested).
// Series are those that such a window has; hours tell, since quarter-hours are forgotten
// sooner.
func (p *Partition) test(b *brand, i int, day int64, live bool) look {
	f := &p.plan.forces[i]
	if f.WindowHours > event.ShortWindowHours {
		return look{}
	}
	state := b.force(i).state()
	if state.look.valid && state.look.day == day {
		return state.look.look
	}
	if t, ok := p.work.looks[pastLook{b.forces[i], day}]; ok {
		return t
	}
	hour, reach := day*24, int64(f.WindowHours)
	t := look{from: b.holding(f.Stimuli, hour-2*reach, hour), to: b.holding(f.Responses, hour-reach, hour)}
	if t.from == nil || t.to == nil {
		return look{}
	}
	c := p.choose(b, i, &state.evidence, t.from, t.to, day, live)
	if t.p = c.P; c.Verdict == correlate.Insufficient {
		t = look{}
	}
	p.keep(b, i, day, live, t)
	return t
}

// holding returns the first of some signals that holds anything between two hours.
func (b *brand) holding(signals []event.Signal, from, to int64) *series {
	for _, s := range signals {
		if ser := b.find(s, [3]byte{}); ser != nil && ser.hours.Any(from, to) {
			return ser
		}
	}
	return nil
}

type pastLook struct {
	force *force
	day   int64
}

// lastLook is a cached test.
type lastLook struct {
	day   int64
	valid bool
	look
}
