package topology

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/spike"
	"flywheel/pkg/window"
)

// The changelog is the state as a compacted map. A key is the brand's id, the
// kind of slot and what it holds:
//
//	m                           clocks, sources, what was published
//	b                           what the processor needs of the brand's entry
//	h hour                      every signal of one hour, by quarter-hours, but for
//	                            the views that follow from the observations
//	f hour seq source           ids of facts that one transaction added
//	s id                        one snapshot
//	c number content            observations of a content over six hours
//	e hour force stimulus response  the size of an effect: dear, not new
//
// Values begin with the version of the format; an empty one is a tombstone.
const (
	kindMeta     = 'm'
	kindEntry    = 'b'
	kindHour     = 'h'
	kindFacts    = 'f'
	kindSnapshot = 's'
	kindContent  = 'c'
	kindStudy    = 'e'

	format = 1
)

// Changes hands out the changelog of everything that changed since the last
// call, a nil value being a tombstone. Key and value are valid until f returns.
func (p *Partition) Changes(f func(key, value []byte)) {
	p.settle()
	l := changelog{f: f, statistics: p.statistics, version: p.version}
	for _, b := range p.touched {
		forgot := b.forgetting
		l.changes(b)
		if b.touched = false; forgot {
			p.measure(b)
		}
	}
	p.touched = p.touched[:0]
}

// State hands out what memory holds in the form of the changelog, each slot once
// and in one order: two partitions in the same state give the same. It does not
// replace the changelog, which keeps more of the posts' observations.
func (p *Partition) State(f func(key, value []byte)) {
	p.settle()
	l := changelog{f: f, statistics: p.statistics, version: p.version}
	for _, id := range slices.Sorted(maps.Keys(p.brands)) {
		b := p.brands[id]
		p.derive(b)
		l.state(b)
	}
}

// changelog builds slots.
type changelog struct {
	f          func(key, value []byte)
	key, value writer
	contribs   []contrib
	list       []factID
	order      []sourceNumber
	none       force  // one that nothing is known of
	statistics string // that studies are of
	version    string // of the program and the prior that looks are of
}

func (l *changelog) begin(b *brand, kind byte) {
	l.key = l.key[:0]
	l.key.text(b.id)
	l.key.byte(kind)
	l.value = append(l.value[:0], format)
}

func (l *changelog) put()    { l.f(l.key, l.value) }
func (l *changelog) delete() { l.f(l.key, nil) }

func (l *changelog) changes(b *brand) {
	if b.entryTouched {
		l.entry(b)
		b.entryTouched = false
	}
	for _, r := range b.hours.Spans() {
		for hour := r.From; hour < r.To; hour++ {
			l.hour(b, hour, false)
		}
	}
	b.hours = window.Set{}
	l.facts(b, b.facts.list[b.facts.logged:], func(src sourceNumber, hour int32) uint64 {
		c := chunk{hour, src, b.facts.seq}
		b.facts.chunks = append(b.facts.chunks, c)
		b.facts.seq++
		return c.seq
	})
	b.facts.logged = len(b.facts.list)
	for _, c := range b.expired {
		l.factKey(b, c)
		l.delete()
	}
	b.expired = emptied(b.expired)
	for _, id := range b.gone { // first: one that came again is written behind
		l.snapshotKey(b, id)
		l.delete()
	}
	b.gone = emptied(b.gone)
	for place := b.snapshots.logged; place < len(b.snapshots.data); {
		place = l.snapshot(b, place)
	}
	b.snapshots.logged = len(b.snapshots.data)
	slices.SortFunc(b.moved, func(x, y slot) int {
		return cmp.Or(cmp.Compare(x.content.id, y.content.id), cmp.Compare(x.number, y.number))
	})
	for i, s := range b.moved {
		if i == 0 || s != b.moved[i-1] {
			l.content(b, s)
			s.content.moved = window.Before
		}
	}
	b.moved = emptied(b.moved)
	if b.forgetting {
		b.forgetObservations()
		b.forgetting = false
	}
	l.studies(b)
	l.meta(b)
}

// emptied returns an empty slice: the same, unless it is so large that a brand
// should not keep it.
func emptied[T any](s []T) []T {
	const lenMax = 32
	if cap(s) > lenMax {
		return nil
	}
	clear(s) // what it points to may go
	return s[:0]
}

func (l *changelog) state(b *brand) {
	if b.entry.known {
		l.entry(b)
	}
	var hours window.Set
	for _, ser := range b.series {
		for hour, more := ser.hours.First(b.oldestHour, window.After); more; hour, more = ser.hours.First(hour+1, window.After) {
			hours.Add(hour, hour+1)
		}
	}
	for _, r := range hours.Spans() {
		for hour := r.From; hour < r.To; hour++ {
			l.hour(b, hour, true)
		}
	}
	byID := slices.SortedFunc(slices.Values(b.facts.list), func(x, y factID) int { return compareIDs(x.id, y.id) })
	l.facts(b, byID, func(sourceNumber, int32) uint64 { return 0 })
	places := b.snapshots.places(0)
	slices.SortFunc(places, func(x, y int) int { return compareIDs(b.snapshots.id(x), b.snapshots.id(y)) })
	for _, place := range places {
		l.snapshot(b, place)
	}
	byText := slices.SortedFunc(slices.Values(b.contents.list), func(x, y *content) int { return cmp.Compare(x.id, y.id) })
	for _, c := range byText {
		for _, number := range c.slots {
			if number >= b.kept(c) {
				l.content(b, slot{c, number})
			}
		}
	}
	for i := range b.studies {
		if x := &b.studies[i]; x.valid {
			l.study(b, x)
		}
	}
	l.meta(b)
}

func (l *changelog) entry(b *brand) {
	l.begin(b, kindEntry)
	l.value.bool(b.entry.retired)
	l.value.int(b.entry.version)
	l.value.bytes(b.entry.currency[:])
	l.value.uint(uint64(len(b.entry.offsets)))
	for _, o := range b.entry.offsets {
		l.value.int(o.FromMs)
		l.value.int(o.OffsetMs)
	}
	l.value.uint(uint64(len(b.entry.holidays)))
	for _, day := range b.entry.holidays {
		l.value.int(day)
	}
	l.put()
}

func (b *brand) restoreEntry(r *reader) {
	e := entry{known: true, retired: r.bool(), version: r.int(), currency: r.currency()}
	for range r.count(2) {
		e.offsets = append(e.offsets, window.Offset{FromMs: r.int(), OffsetMs: r.int()})
	}
	for range r.count(1) {
		e.holidays = append(e.holidays, r.int())
	}
	e.zone = window.NewZone(e.offsets, e.holidays)
	b.entry = e
}

// hour writes one hour: for each signal that holds anything its number, a mask
// of the quarters that do, and their values. The mask 0 says that only the hour
// is known. The views are left out where they are derived from the observations.
func (l *changelog) hour(b *brand, hour int64, derived bool) {
	l.begin(b, kindHour)
	l.key.int(hour)
	if hour < b.oldestHour {
		l.delete()
		return
	}
	empty := true
	for _, ser := range b.series {
		if ser.signal == event.TikTokViews && !derived && b.derives(hour) {
			continue
		}
		total := ser.hours.Get(hour)
		var quarters [window.QuartersPerHour]int64
		fine := ser.signal.Info().Grain == event.QuarterHour && hour*window.QuartersPerHour >= b.oldestQuarter
		mask := byte(0)
		if fine {
			ser.quarters.Read(quarters[:], hour*window.QuartersPerHour)
			for q, v := range quarters {
				if v != 0 {
					mask |= 1 << q
				}
			}
		}
		if total == 0 && mask == 0 {
			continue
		}
		empty = false
		l.value.uint(uint64(ser.signal))
		if ser.signal.Info().Money {
			l.value.bytes(ser.currency[:])
		}
		l.value.byte(mask)
		if mask == 0 {
			l.value.int(total)
			continue
		}
		for q, v := range quarters {
			if mask>>q&1 == 1 {
				l.value.int(v)
			}
		}
	}
	if empty {
		l.delete()
		return
	}
	l.put()
}

func (b *brand) restoreHour(hour int64, r *reader) {
	for _, ser := range b.series { // what is not mentioned is 0
		ser.hours.Set(hour, 0)
		for q := range int64(window.QuartersPerHour) {
			ser.quarters.Set(hour*window.QuartersPerHour+q, 0)
		}
	}
	for len(r.left) > 0 {
		signal := r.signal()
		if signal == event.NoSignal {
			return
		}
		info := signal.Info()
		var currency [3]byte
		if info.Money {
			currency = r.currency()
		}
		ser := b.obtain(signal, currency)
		mask := r.byte()
		if mask == 0 {
			ser.hours.Set(hour, r.int())
		}
		var total int64
		for q := range int64(window.QuartersPerHour) {
			if mask>>q&1 == 1 {
				v := r.int()
				total += v
				ser.quarters.Set(hour*window.QuartersPerHour+q, v)
			}
		}
		if mask != 0 {
			ser.hours.Set(hour, total)
		}
	}
}

func (l *changelog) factKey(b *brand, c chunk) {
	l.begin(b, kindFacts)
	l.key.int(int64(c.hour))
	l.key.uint(c.seq)
	l.key.text(b.sources[c.src].name.Value())
}

// facts writes facts in chunks of one source and hour, to each of which seq gives
// its number.
func (l *changelog) facts(b *brand, list []factID, seq func(src sourceNumber, hour int32) uint64) {
	l.list = append(l.list[:0], list...)
	b.byHour(l.list)
	for i := 0; i < len(l.list); {
		src, hour := l.list[i].src, l.list[i].hour
		l.factKey(b, chunk{hour, src, seq(src, hour)})
		for ; i < len(l.list) && l.list[i].src == src && l.list[i].hour == hour; i++ {
			l.value.bytes(l.list[i].id[:])
		}
		l.put()
	}
}

func (b *brand) restoreFacts(key, value *reader, tombstone bool) {
	c := chunk{hour: int32(key.number(window.HourMs)), seq: key.uint(), src: b.addSource(key.text())}
	f := &b.facts
	f.seq = max(f.seq, c.seq+1)
	hour := chunk{hour: c.hour, src: c.src}
	if tombstone {
		// Chunks of one source and hour expire together.
		all := len(f.chunks)
		f.chunks = slices.DeleteFunc(f.chunks, func(o chunk) bool { return o.src == c.src && o.hour == c.hour })
		if n := all - len(f.chunks); n > 0 {
			f.expire(hour, n)
		}
		return
	}
	if f.gone[hour] {
		f.sweep()
	}
	for len(value.left) > 0 {
		var id event.ID
		copy(id[:], value.bytes(len(id)))
		if !f.add(id, c.src, int64(c.hour)) && len(f.gone) > 0 {
			f.sweep() // it may be one that has expired and came again
			f.add(id, c.src, int64(c.hour))
		}
	}
	f.logged = len(f.list)
	if !slices.Contains(f.chunks, c) {
		f.chunks = append(f.chunks, c)
	}
}

func (l *changelog) snapshotKey(b *brand, id event.ID) {
	l.begin(b, kindSnapshot)
	l.key.bytes(id[:])
}

// snapshot writes the snapshot at a place, unless it was taken out, and returns where
// the next one is.
func (l *changelog) snapshot(b *brand, place int) (next int) {
	if b.snapshots.dropped(place) {
		return place + length(b.snapshots.data[place:])
	}
	s, next := b.snapshots.read(place, l.contribs[:0])
	l.contribs = s.contribs
	l.snapshotKey(b, b.snapshots.id(place))
	w := &l.value
	w.text(b.sources[s.src].name.Value())
	w.int(s.version)
	w.int(s.atMs)
	w.int(s.lateMs)
	w.uint(uint64(len(s.contribs)))
	for _, c := range s.contribs {
		w.uint(uint64(c.signal))
		w.bytes(c.currency[:])
		w.int(c.atMs - s.atMs)
		w.int(c.value)
	}
	w.bool(s.period != nil)
	if s.period != nil {
		w.text(string(s.period.kind))
		w.text(string(s.period.node))
		w.int(s.period.fromMs)
		w.int(s.period.toMs)
	}
	l.put()
	return next
}

func (b *brand) restoreSnapshot(key, r *reader, tombstone bool, contribs *[]contrib) {
	var id event.ID
	copy(id[:], key.bytes(len(id)))
	b.undeclare(id)
	if tombstone {
		b.snapshots.drop(id)
		return
	}
	s := snapshot{contribs: (*contribs)[:0], src: b.addSource(r.text()), version: r.int(), atMs: r.moment(), lateMs: r.moment()}
	for range r.count(6) {
		c := contrib{signal: r.signal(), currency: r.currency()}
		c.atMs, c.value = s.atMs+r.within(-s.atMs, momentMs-s.atMs), r.int()
		s.contribs = append(s.contribs, c)
	}
	if r.bool() {
		s.period = &period{id: id, kind: event.CalendarKind(r.text()), node: event.NodeName(r.text()), fromMs: r.moment(), toMs: r.moment()}
		b.addPeriod(s.period)
	}
	b.snapshots.put(id, &s)
	*contribs = s.contribs
}

func (l *changelog) content(b *brand, s slot) {
	l.begin(b, kindContent)
	l.key.int(s.number)
	l.key.text(s.content.id)
	c := s.content
	if _, holds := slices.BinarySearch(c.slots, s.number); !holds || b.contents.get(c.id) != c {
		l.delete()
		return
	}
	nodes := c.nodes
	in := func(n node) bool { return slotOf(n.atMs) == s.number }
	from := slices.IndexFunc(nodes, in)
	if from < 0 {
		return // it was written when memory still had it, and has not changed
	}
	w := &l.value
	w.text(b.sources[c.src].name.Value())
	head := s.number == c.slots[0]
	w.bool(head)
	if head {
		w.bool(c.pruned)
		w.int(c.sinceMs)
	}
	last := node{atMs: s.number * slotQuarters * window.QuarterMs}
	for _, n := range nodes[from:] {
		if !in(n) {
			break
		}
		w.int(n.atMs - last.atMs)
		w.int(n.version - last.version)
		w.int(n.count - last.count)
		last = n
	}
	l.put()
}

func (b *brand) restoreContent(key, r *reader, tombstone bool) {
	number, id := key.number(slotQuarters*window.QuarterMs), key.text()
	c := b.contents.get(id)
	if c == nil {
		c = newContent(id, noSource)
		c.head = window.After
		b.contents.add(c)
	}
	c.nodes = slices.DeleteFunc(c.nodes, func(n node) bool { return slotOf(n.atMs) == number })
	c.slots = slices.DeleteFunc(c.slots, func(n int64) bool { return n == number })
	if tombstone {
		return
	}
	c.holds(number)
	c.src = b.addSource(r.text())
	if r.bool() {
		if pruned, sinceMs := r.bool(), r.moment(); number <= c.head {
			c.pruned, c.sinceMs, c.head = pruned, sinceMs, number
		}
	}
	last, first := node{atMs: number * slotQuarters * window.QuarterMs}, true
	i, _ := slices.BinarySearchFunc(c.nodes, last.atMs, func(m node, at int64) int { return cmp.Compare(m.atMs, at) })
	for len(r.left) > 0 {
		next := node{last.atMs + r.int(), last.version + r.int(), last.count + r.int()}
		if slotOf(next.atMs) != number || next.atMs <= last.atMs && !first || next.count < 0 || next.count > event.CountMax {
			r.refuse(fmt.Errorf("%d views at %d cannot follow %d at %d", next.count, next.atMs, last.count, last.atMs))
			return
		}
		last, first = next, false
		c.nodes = slices.Insert(c.nodes, i, last)
		i++
	}
}

func (l *changelog) meta(b *brand) {
	l.begin(b, kindMeta)
	w := &l.value
	w.int(b.clockMs)
	w.int(b.oldestQuarter)
	w.int(b.oldestHour)
	w.int(b.revision)
	w.uint(uint64(len(b.sources)))
	l.order = b.byName(l.order)
	for _, src := range l.order {
		w.text(b.sources[src].name.Value())
		w.int(b.sources[src].watermarkMs)
	}
	for i, f := range b.forces {
		if f == nil {
			f = &l.none
		}
		w.bool(b.dirty>>i&1 == 1)
		w.bool(f.lastDue)
		w.set(&f.published)
		w.set(&f.due)
	}
	w.set(&b.days.published)
	w.set(&b.days.due)
	w.int(b.days.basis)
	w.set(&b.days.void)
	for _, ser := range b.series {
		if ser.published {
			w.uint(uint64(ser.signal))
			w.bytes(ser.currency[:])
		}
	}
	w.uint(uint64(event.NoSignal))
	w.uint(uint64(len(b.episodes)))
	for _, e := range b.episodes {
		w.byte(byte(e.Status))
		for _, v := range [...]int64{e.Start, e.Peak, e.End, e.Excess, e.Revision, e.Evidence.From, e.Evidence.Peak, e.Evidence.Excess} {
			w.int(v)
		}
		w.float(e.PeakZ)
		w.float(e.Evidence.PeakZ)
		w.bool(e.Evidence.Attributed)
	}
	w.uint(versionMark)
	w.text(l.version)
	for i := range b.forces {
		if f := b.forces[i]; f != nil && f.looks != nil && f.looks.stale > 0 {
			o := f.looks
			w.uint(uint64(i) + 1)
			w.int(o.final.Tests)
			w.int(o.final.Discoveries)
			w.int(o.from)
			w.int(o.stale)
			w.set(&o.tested)
			w.set(&o.found)
		}
	}
	l.put()
}

// versionMark stands before the name of the program and the prior that the tests are of,
// where the number of a force is expected.
const versionMark = forcesMax + 1

func (b *brand) restoreMeta(r *reader, version string) {
	b.clockMs, b.oldestQuarter, b.oldestHour, b.revision = r.moment(), r.oldest(window.QuarterMs), r.oldest(window.HourMs), r.int()
	for range r.count(2) {
		src := b.addSource(r.text())
		b.sources[src].watermarkMs = r.moment()
	}
	b.dirty, b.forces = 0, [forcesMax]*force{}
	for i := range b.forces {
		if r.bool() {
			b.dirty |= 1 << i
		}
		f := force{lastDue: r.bool(), published: r.set(window.QuarterMs), due: r.set(window.QuarterMs)}
		if f.lastDue && f.published.Empty() {
			r.refuse(errNothingPublished)
		}
		if !f.published.Empty() || !f.due.Empty() {
			*b.force(i) = f
		}
	}
	b.days.published, b.days.due, b.days.basis = r.set(window.DayMs), r.set(window.DayMs), r.number(window.DayMs)
	b.days.void = r.set(window.QuarterMs)
	for {
		signal := r.signalOrNone()
		if signal == event.NoSignal {
			break
		}
		b.obtain(signal, r.currency()).published = true
	}
	b.restoreEpisodes(r)
	was := ""
	for len(r.left) > 0 { // a program before them wrote none
		i := r.uint()
		if i == versionMark {
			was = r.text()
			continue
		}
		if i < 1 || i > forcesMax {
			r.refuse(fmt.Errorf("force %d has no tests", i))
			return
		}
		b.force(int(i - 1)).looks = &looks{
			final: correlate.Tally{Tests: r.within(0, testsMax), Discoveries: r.within(0, testsMax)},
			from:  r.within(0, momentMs/window.DayMs), stale: r.within(0, momentMs/window.DayMs),
			tested: r.set(window.DayMs), found: r.set(window.DayMs),
		}
	}
	if was == version {
		return
	}
	for _, f := range b.forces { // other outcomes follow, of the days that are not final
		if f != nil && f.looks != nil {
			f.looks.stale = f.looks.from
		}
	}
}

// restoreEpisodes reads the episodes that were published. A program before them counted
// their buckets in hours where the response came by the hour: what would be in the past
// by hours is, since quarter-hours taken for hours are four times as far from 1970 as the
// brand's clock.
func (b *brand) restoreEpisodes(r *reader) {
	b.episodes = b.episodes[:0]
	for range r.count(26) {
		e := spike.Episode{Status: spike.Status(min(r.byte(), byte(spike.Retracted)))}
		for _, v := range [...]*int64{&e.Start, &e.Peak, &e.End, &e.Excess, &e.Revision, &e.Evidence.From, &e.Evidence.Peak, &e.Evidence.Excess} {
			*v = r.int()
		}
		if e.Start < 0 || e.Start > momentMs/window.QuarterMs {
			r.refuse(fmt.Errorf("an episode cannot start with bucket %d", e.Start))
		}
		e.PeakZ, e.Evidence.PeakZ, e.Evidence.Attributed = r.float(), r.float(), r.bool()
		if e.Start*window.HourMs <= b.clockMs {
			for _, bucket := range [...]*int64{&e.Start, &e.Peak, &e.End, &e.Evidence.From, &e.Evidence.Peak} {
				*bucket *= window.QuartersPerHour
			}
		}
		b.episodes = append(b.episodes, e)
	}
	// Hours and quarter-hours beside each other came in the order of their numbers.
	slices.SortStableFunc(b.episodes, func(x, y spike.Episode) int { return cmp.Compare(x.Start, y.Start) })
	b.episodes = slices.CompactFunc(b.episodes, func(x, y spike.Episode) bool { return x.Start == y.Start })
}

// testsMax bounds how many tests are counted, which is one a day.
const testsMax = momentMs / window.DayMs

// Restore applies one record of the changelog, in the order of the log; a nil
// value is a tombstone. An error says that the changelog is damaged or was
// written by a newer program.
func (p *Partition) Restore(key, value []byte) error {
	k := reader{left: key}
	id, kind := k.text(), k.byte()
	if k.fault != nil {
		return fmt.Errorf("read the changelog's key %x: %w", key, k.fault)
	}
	b := p.brands[id]
	if b == nil {
		b = newBrand(id)
		p.brands[id] = b
	}
	tombstone := len(value) == 0
	v := reader{left: value}
	if !tombstone {
		if f := v.byte(); f != format {
			return fmt.Errorf("read the changelog of brand %q: format %d is not known: a newer program wrote it", id, f)
		}
	}
	switch kind {
	case kindMeta:
		b.restoreMeta(&v, p.version)
	case kindEntry:
		b.restoreEntry(&v)
	case kindHour:
		b.restoreHour(k.number(window.HourMs), &v)
	case kindFacts:
		b.restoreFacts(&k, &v, tombstone)
	case kindSnapshot:
		b.restoreSnapshot(&k, &v, tombstone, &p.work.contribs)
	case kindContent:
		b.restoreContent(&k, &v, tombstone)
	case kindStudy:
		b.restoreStudy(&k, &v, tombstone, p.statistics)
	default:
		return fmt.Errorf("read the changelog of brand %q: kind %q is not known: a newer program wrote it", id, kind)
	}
	if err := cmp.Or(k.end(), v.end()); err != nil {
		return fmt.Errorf("read the changelog of brand %q, kind %q: %w", id, kind, err)
	}
	if !b.restored {
		b.restored = true
		p.restored = append(p.restored, b)
	}
	return nil
}

// settle derives, once the changelog was read, what is not in it.
func (p *Partition) settle() {
	for _, b := range p.restored {
		b.restored = false
		b.snapshots.logged = len(b.snapshots.data)
		b.facts.sweep()
		b.restoreViews()
		for _, ser := range b.series {
			ser.quarters.Drop(b.oldestQuarter)
			ser.hours.Drop(b.oldestHour)
			b.begins[p.plan.feeds[ser.signal]] = b.begun(feedOf(ser.signal))
		}
		if b.due() || b.dirty != 0 {
			p.enqueue(b, unknownMs)
		}
		p.measure(b)
	}
	p.restored = p.restored[:0]
}

// restoreViews derives from the observations what each post has gained, and of
// that the buckets of the brand's views that no slot holds.
func (b *brand) restoreViews() {
	views := b.find(event.TikTokViews, [3]byte{})
	if views != nil {
		from := b.oldestHour
		if b.oldestQuarter != window.Before {
			from = max(from, window.Ceil(b.oldestQuarter, window.QuartersPerHour))
		}
		for hour, more := views.hours.First(from, window.After); more; hour, more = views.hours.First(hour+1, window.After) {
			views.hours.Set(hour, 0)
			for q := range int64(window.QuartersPerHour) {
				views.quarters.Set(hour*window.QuartersPerHour+q, 0)
			}
		}
	}
	b.contents.remove(func(c *content) bool { return len(c.nodes) == 0 })
	for _, c := range b.contents.list {
		if c.head != c.slots[0] { // what came before is gone from the changelog
			c.pruned = true
		}
		c.gains = window.Series{}
		for i := range c.nodes {
			c.between(i, func(quarter, gained int64) bool {
				hour := window.Floor(quarter, window.QuartersPerHour)
				c.gains.Add(hour, gained)
				if hour < b.oldestHour || !b.derives(hour) {
					return true
				}
				if views == nil {
					views = b.obtain(event.TikTokViews, [3]byte{})
				}
				views.hours.Add(hour, gained)
				views.quarters.Add(quarter, gained)
				return true
			})
		}
		c.counted = len(c.nodes)
	}
	b.forgetObservations()
}
