package topology

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"unique"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/spike"
	"flywheel/pkg/window"
)

const (
	forcesMax = 10
	feedsMax  = 24 // numbers for feeds
)

// Steps of the two kinds of windows, and the windows in steps.
const (
	shortLags = event.ShortWindowHours * window.QuartersPerHour
	longStep  = 2 // hours
	longLags  = event.LongWindowHours / longStep
)

// hoursKept is how long hours are kept behind a brand's newest event: the
// longest history, for every window that may still be restated.
const hoursKept = correlate.HistoryHoursMax + event.LatenessHours

// brand is the state of one brand.
type brand struct {
	id           string
	entry        entry
	entryTouched bool

	clockMs   int64           // highest time of an event accepted from any source
	sources   []source        // in the order of their first event
	series    []*series       // by signal and currency
	keys      []seriesKey     // of the series, in their order
	begins    [feedsMax]int64 // first hour in which anything of a feed was seen; window.Before: nothing was
	facts     facts
	snapshots snapshots
	gone      []event.ID // snapshots taken out since Changes
	contents  contents
	moved     []slot // content slots changed since Changes
	periods   []*period
	hours     window.Set // hours whose slot changed since Changes
	studies   studies
	rests     []rest
	studyHour int64 // of the day, at which studies end

	// What was published, and is to be published again.
	revision int64
	forces   [forcesMax]*force // nil of one that nothing is known of
	dirty    uint16            // those a signal of which has moved, as bits from 0
	days     days
	episodes []spike.Episode // whose buckets are quarter-hours, whatever the response

	oldestQuarter int64 // quarters before it are gone
	oldestHour    int64 // and hours
	sweptHour     int64 // when what is forgotten by source was looked for last

	expired []chunk // of facts, since Changes

	touched, queued, restating, restored bool
	forgetting                           bool // observations, once their slots are written
	refreshedMs, restatedMs              int64
	bytes                                int64
}

// source is one feed of a brand. Brands share the memory of its name.
type source struct {
	name        unique.Handle[string]
	watermarkMs int64 // highest time of an event accepted from it
}

// sourceNumber is the place of a source among those of its brand.
type sourceNumber uint8

// Room that a brand begins with.
const (
	seriesMin  = 8
	sourcesMin = 4
)

const noSource = sourceNumber(math.MaxUint8)

// seriesKey is the signal of a series and the currency, in the order of both.
type seriesKey uint32

func keyOf(s event.Signal, currency [3]byte) seriesKey {
	return seriesKey(s)<<24 | seriesKey(currency[0])<<16 | seriesKey(currency[1])<<8 | seriesKey(currency[2])
}

func (k seriesKey) signal() event.Signal { return event.Signal(k >> 24) }

func (k seriesKey) currency() [3]byte { return [3]byte{byte(k >> 16), byte(k >> 8), byte(k)} }

// series is one signal of a brand; one currency of it where it is money.
type series struct {
	signal   event.Signal
	currency [3]byte
	quarters window.Series // empty for signals of a coarser grain
	hours    window.Series
	// published says that credits of it were: they are again when nothing is
	// left of it.
	published bool
	fit       *fit // nil until it was needed
	ahead     []dayAhead
}

// fit is the baseline of a series by the history that ends with a UTC day.
type fit struct {
	day   int64 // that ends the history; it is not part of it
	valid bool
	base  correlate.Baseline
}

// force returns what is known of a force, to add to it.
func (b *brand) force(i int) *force {
	if b.forces[i] == nil {
		b.forces[i] = new(force)
	}
	return b.forces[i]
}

// last returns the end of the newest window that was published of a force.
func (b *brand) last(i int) (end int64, published bool) {
	f := b.forces[i]
	if f == nil || f.published.Empty() {
		return 0, false
	}
	return f.published.Last(), true
}

// force is what was published of one force.
type force struct {
	published, due window.Set // window ends, in steps
	lastDue        bool       // the newest published end is due
	looks          *looks     // the daily tests; nil before the first
	*cache                    // nil until it was evaluated
}

// cache is what was derived for the newest window of a force, for the next time.
type cache struct {
	evidence choice // by the history up to the day of the newest end
	look     lastLook
	basis    choice // of the credits
	ways     ways   // of the effect on the revenue
}

// choice is a cached search for the kernel.
type choice struct {
	day      int64 // end of the history
	valid    bool
	from, to *series // stimulus and response
	correlate.Choice
}

// days is what was published of the credits, by local day.
type days struct {
	published, due window.Set
	basis          int64 // UTC day that ends the history they rest on
	// void are the starts, in quarter-hours, of days published that the brand's
	// calendar does not know any more.
	void window.Set
	// plain says that no effect is behind a day published that is not due: it is what
	// its money is. Then a day that is due comes out the same, unless it is in hit.
	plain bool
	hit   window.Set // days whose money has changed since they were published
}

// entry is what the processor needs of a brand's entry.
type entry struct {
	known    bool
	retired  bool // nothing is published of it any more
	version  int64
	currency [3]byte
	offsets  []window.Offset
	holidays []int64
	zone     window.Zone
}

// Bounds on an entry; what is beyond is cut off.
const (
	offsetsMax  = 1000
	holidaysMax = 10_000
)

func newEntry(b *event.Brand) entry {
	e := entry{known: true, retired: b.Retired, version: b.Version, currency: code(b.Currency)}
	for _, o := range b.UTCOffsets[:min(len(b.UTCOffsets), offsetsMax)] {
		e.offsets = append(e.offsets, window.Offset{FromMs: o.FromMs, OffsetMs: int64(o.OffsetMinutes) * 60_000})
	}
	for _, day := range b.Holidays[:min(len(b.Holidays), holidaysMax)] {
		e.holidays = append(e.holidays, int64(day))
	}
	e.zone = window.NewZone(e.offsets, e.holidays)
	return e
}

// code is a currency as the state keeps it.
func code(currency string) (c [3]byte) {
	copy(c[:], currency)
	return c
}

func newBrand(id string) *brand {
	b := &brand{id: id, studyHour: studyHour(id), oldestQuarter: window.Before, oldestHour: window.Before, sweptHour: window.Before}
	for i := range b.begins {
		b.begins[i] = window.Before
	}
	return b
}

// source returns the number of a source, noSource when it is new.
func (b *brand) source(name string) sourceNumber {
	for i := range b.sources {
		if b.sources[i].name.Value() == name {
			return sourceNumber(i)
		}
	}
	if len(b.sources) >= sourcesMax { // they share one watermark
		return b.source(otherSources)
	}
	return noSource
}

// otherSources stands for the sources beyond sourcesMax.
const otherSources = "(other sources)"

// accept moves the clocks to an event that is applied, and returns its source.
func (b *brand) accept(h *event.Header, src sourceNumber, takenMs int64) sourceNumber {
	if src == noSource {
		src = b.addSource(h.Source)
	}
	at := min(h.OccurredAtMs, takenMs) // never into the future
	of := &b.sources[src]
	of.watermarkMs = max(of.watermarkMs, at)
	b.clockMs = max(b.clockMs, at)
	return src
}

func (b *brand) addSource(name string) sourceNumber {
	if len(b.sources) == sourcesMax-1 {
		name = otherSources
	}
	if src := b.source(name); src != noSource {
		return src
	}
	if b.sources == nil {
		b.sources = make([]source, 0, sourcesMin)
	}
	b.sources = append(b.sources, source{name: unique.Make(name)})
	return sourceNumber(len(b.sources) - 1)
}

// byName sets order to the sources in the order of their names.
func (b *brand) byName(order []sourceNumber) []sourceNumber {
	order = order[:0]
	for src := range b.sources {
		order = append(order, sourceNumber(src))
	}
	slices.SortFunc(order, b.compareSources)
	return order
}

// compareSources compares two sources by name.
func (b *brand) compareSources(x, y sourceNumber) int {
	return cmp.Compare(b.sources[x].name.Value(), b.sources[y].name.Value())
}

// find returns the series of a signal and currency, nil when nothing was ever
// added to it.
func (b *brand) find(s event.Signal, currency [3]byte) *series {
	key := keyOf(s, currency)
	for i, k := range b.keys {
		if k == key {
			return b.series[i]
		}
	}
	return nil
}

func (b *brand) obtain(s event.Signal, currency [3]byte) *series {
	if ser := b.find(s, currency); ser != nil {
		return ser
	}
	ser := &series{signal: s, currency: currency}
	key := keyOf(s, currency)
	if b.keys == nil { // a brand has several
		b.keys, b.series = make([]seriesKey, 0, seriesMin), make([]*series, 0, seriesMin)
	}
	i, _ := slices.BinarySearch(b.keys, key)
	b.keys = slices.Insert(b.keys, i, key)
	b.series = slices.Insert(b.series, i, ser)
	return ser
}

// currency is the one results are reported in: the entry's, and without an
// entry the first by name that there is money of.
func (b *brand) currency() [3]byte {
	if b.entry.known {
		return b.entry.currency
	}
	var least [3]byte
	for _, ser := range b.series {
		if ser.signal.Info().Money && (least == [3]byte{} || slices.Compare(ser.currency[:], least[:]) < 0) && ser.hours.Any(b.oldestHour, window.After) {
			least = ser.currency
		}
	}
	return least
}

// contrib is what an event adds to a series at a moment.
type contrib struct {
	signal   event.Signal
	currency [3]byte
	atMs     int64
	value    int64
}

// add adds a contribution to the buckets and notes which results it moves.
func (p *Partition) add(b *brand, c contrib) {
	if c.value == 0 {
		return
	}
	hour := window.Floor(c.atMs, window.HourMs)
	if hour < window.Floor(b.clockMs, window.HourMs)-hoursKept || hour < b.oldestHour {
		return // no result looks there any more
	}
	var was [3]byte
	guessed := c.signal.Info().Money && !b.entry.known
	if guessed {
		was = b.currency()
	}
	ser := b.obtain(c.signal, c.currency)
	ser.hours.Add(hour, c.value)
	quarter := window.Floor(c.atMs, window.QuarterMs)
	if quarter >= b.oldestQuarter && c.signal.Info().Grain == event.QuarterHour {
		ser.quarters.Add(quarter, c.value)
	}
	b.hours.Add(hour, hour+1)
	atMs := c.atMs
	if c.signal.Info().Grain != event.QuarterHour { // it is spread over its hour
		atMs = hour * window.HourMs
	}
	p.moves(b, ser, atMs)
	p.begin(b, ser, hour, true)
	// As long as some of the first currency is left, it stays the first.
	if guessed && (c.currency != was || !ser.hours.Any(b.oldestHour, window.After)) && b.currency() != was { // whose money earns credit
		b.forget()
	}
}

// begin notes that an hour of a series has changed: where the history of its feed
// begins, all that rests on it changes too. With added something was only added to
// the hour: if it was empty, it no longer is.
func (p *Partition) begin(b *brand, ser *series, hour int64, added bool) {
	begin := &b.begins[p.plan.feeds[ser.signal]]
	was := *begin
	if was != window.Before && hour > was {
		return
	}
	if *begin = hour; !added || hour == was {
		p.derive(b)
		*begin = b.begun(feedOf(ser.signal))
	}
	if was != window.Before && *begin != was {
		b.forget()
	}
}

// begun returns the first hour in which anything of a feed was seen, window.Before when
// nothing was: so it is again when all of it was taken back.
func (b *brand) begun(f feed) int64 {
	if hour := b.first(f, b.oldestHour, window.After); hour != window.After {
		return hour
	}
	return window.Before
}

// moves notes which results change with a series from a moment on.
func (p *Partition) moves(b *brand, ser *series, atMs int64) {
	hour := window.Floor(atMs, window.HourMs)
	if fit := ser.fit; fit != nil && hour < fit.day*24 {
		fit.valid = false
	}
	ser.ahead = slices.DeleteFunc(ser.ahead, func(a dayAhead) bool { return hour < a.by*24 })
	confounds := p.plan.confounds[ser.signal]
	b.studies.moved(ser, hour, confounds, p.plan.besides[p.plan.feeds[ser.signal]])
	b.rests = slices.DeleteFunc(b.rests, func(r rest) bool { return hour < r.day*24 })
	touches := p.plan.touches[ser.signal]
	b.dirty |= touches
	spreadMs := b.spreadMs(ser.signal, atMs)
	for mask := touches; mask != 0; mask &= mask - 1 {
		i := bits.TrailingZeros16(mask)
		f := b.forces[i]
		if f == nil {
			continue
		}
		f.past(hour)
		fromMs := atMs
		if p.plan.nowcasts&(1<<i) != 0 {
			fromMs = spreadMs
		}
		f.moved(window.Floor(fromMs, p.plan.stepsMs[i]) + 1)
	}
	for mask := confounds; mask != 0; mask &= mask - 1 {
		i := bits.TrailingZeros16(mask)
		f := b.forces[i]
		if f == nil {
			continue
		}
		f.past(hour)
		midnight := (window.Floor(hour, 24) + 1) * window.DayMs / p.plan.stepsMs[i]
		if last, published := b.last(i); published && midnight <= last {
			f.moved(midnight)
			b.dirty |= 1 << i
		}
	}
	d := &b.days
	if d.published.Empty() {
		return
	}
	day := b.entry.zone.Day(atMs)
	if ser.signal.Info().Money {
		d.hit.Add(day, day+1)
	}
	if day > d.published.Last() && hour >= d.basis*24 {
		return
	}
	if ser.signal.Info().Money && day <= d.published.Last() && atMs >= b.oldestDayMs() { // maybe the first of its day
		d.published.Add(day, day+1)
	}
	if (touches|confounds)&p.plan.credits != 0 && hour < d.basis*24 { // what all days rest on
		day = window.Before
	}
	d.due.AddCommon(&d.published, day, window.After)
}

// past drops what was derived of the days up to a midnight behind an hour that changes.
func (f *force) past(hour int64) {
	if c := f.cache; c != nil {
		c.evidence.valid = c.evidence.valid && hour >= c.evidence.day*24
		c.basis.valid = c.basis.valid && hour >= c.basis.day*24
		c.ways.valid = c.ways.valid && hour >= c.ways.day*24
		c.look.valid = c.look.valid && hour >= c.look.day*24
	}
	f.looks.moved(hour)
}

// moved notes that windows that end at a step or later have changed.
func (f *force) moved(end int64) {
	if f.published.Empty() {
		return
	}
	switch last := f.published.Last(); {
	case end == last:
		f.lastDue = true
	case end < last:
		f.lastDue = true
		f.due.AddCommon(&f.published, end, last)
	}
}

// forget drops everything derived: the brand's entry or the begin of a history
// has changed, and everything is to be evaluated anew.
func (b *brand) forget() {
	for _, ser := range b.series {
		if ser.fit != nil {
			ser.fit.valid = false
		}
		ser.ahead = nil
	}
	b.dirty = 1<<forcesMax - 1
	for _, f := range b.forces {
		if f == nil {
			continue
		}
		f.cache = nil
		if f.looks != nil {
			f.looks.stale = f.looks.from
		}
		f.moved(window.Before)
	}
	b.studies.drop(func(*study) bool { return true })
	b.rests = nil
	b.days.due.AddCommon(&b.days.published, window.Before, window.After)
	b.days.plain = false
}

// stepMs is the width of a lag step of a force.
func stepMs(f *event.Force) int64 { return int64(f.StepMinutes()) * 60_000 }

// measure returns roughly the memory the brand takes.
func (b *brand) measure() int64 {
	const header, perForce, perCache, perLooks, perSeries, perFit, perDay, perContent, perStudy = 1320, 80, 520, 80, 152, 640, 216, 180, 96
	n := header + len(b.id) + b.snapshots.bytes() + b.facts.bytes() + b.contents.index.bytes() + perStudy*cap(b.studies) + perFit*cap(b.rests)
	for _, f := range b.forces {
		if f == nil {
			continue
		}
		n += perForce
		if f.cache != nil {
			n += perCache
		}
		if f.looks != nil {
			n += perLooks
		}
	}
	for _, ser := range b.series {
		n += perSeries + ser.quarters.Bytes() + ser.hours.Bytes() + perDay*cap(ser.ahead)
		if ser.fit != nil {
			n += perFit
		}
	}
	for _, c := range b.contents.list {
		n += perContent + len(c.id) + 24*cap(c.nodes) + 8*cap(c.slots) + c.gains.Bytes()
	}
	return int64(n)
}
