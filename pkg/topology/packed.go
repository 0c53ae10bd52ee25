package topology

import "flywheel/pkg/event"

// snapshots are the snapshots of a brand by id, packed: there are thousands of
// them, and each is looked at only when a version of it comes.
type snapshots struct {
	index  index  // of places in data
	data   []byte // snapshots, one after the other
	logged int    // data[:logged] is in the changelog
	live   int    // snapshots
	dead   int    // bytes of data that belong to none
}

// A snapshot in data is its id, a byte of flags, and numbers of varying length.
const (
	idBytes      = len(event.ID{})
	flagDropped  = 0x80
	flagPeriod   = 0x40
	flagSources  = 0x3f // the number of the source
	snapshotData = 64   // bytes that a snapshot takes, at most about
)

// find returns where in the index an id is or belongs, and its place in data.
func (s *snapshots) find(id []byte) (entry, place int, found bool) {
	return s.index.find(hashOf(id), func(place int) bool { return string(s.data[place:place+idBytes]) == string(id) })
}

// get returns a snapshot. Its contributions are appended to contribs, which it
// returns as well when there is none.
func (s *snapshots) get(id event.ID, contribs []contrib) (snapshot, bool) {
	if s.live > 0 {
		if _, place, found := s.find(id[:]); found && !s.dropped(place) {
			v, _ := s.read(place, contribs)
			return v, true
		}
	}
	return snapshot{contribs: contribs}, false
}

// read returns the snapshot at a place and where the next one is.
func (s *snapshots) read(place int, contribs []contrib) (snapshot, int) {
	r := reader{left: s.data[place:]}
	var id event.ID
	copy(id[:], r.bytes(idBytes))
	flags := r.byte()
	v := snapshot{src: sourceNumber(flags & flagSources), version: r.int(), atMs: r.int(), lateMs: r.int(), contribs: contribs}
	for range r.uint() {
		c := contrib{signal: event.Signal(r.byte())}
		if c.signal.Info().Money {
			c.currency = r.currency()
		}
		c.atMs, c.value = v.atMs+r.int(), r.int()
		v.contribs = append(v.contribs, c)
	}
	if flags&flagPeriod != 0 {
		v.period = &period{id: id, kind: event.CalendarKind(r.text()), node: event.NodeName(r.text()), fromMs: r.int(), toMs: r.int()}
	}
	return v, len(s.data) - len(r.left)
}

// put adds or replaces a snapshot.
func (s *snapshots) put(id event.ID, v *snapshot) {
	s.room()
	entry, old, found := s.find(id[:])
	if found {
		s.discard(old)
		s.index.places[entry] = uint32(len(s.data)) + 1
	} else {
		s.index.put(entry, len(s.data))
	}
	s.live++
	w := writer(s.data)
	w.bytes(id[:])
	flags := byte(v.src)
	if v.period != nil {
		flags |= flagPeriod
	}
	w.byte(flags)
	w.int(v.version)
	w.int(v.atMs)
	w.int(v.lateMs)
	w.uint(uint64(len(v.contribs)))
	for _, c := range v.contribs {
		w.byte(byte(c.signal))
		if c.signal.Info().Money {
			w.bytes(c.currency[:])
		}
		w.int(c.atMs - v.atMs)
		w.int(c.value)
	}
	if v.period != nil {
		w.text(string(v.period.kind))
		w.text(string(v.period.node))
		w.int(v.period.fromMs)
		w.int(v.period.toMs)
	}
	s.data = w
}

// drop takes a snapshot out. Its entry stays in the index, for those behind it,
// until it is built anew.
func (s *snapshots) drop(id event.ID) {
	if _, place, found := s.find(id[:]); found {
		s.discard(place)
	}
}

// discard takes out the snapshot at a place, unless it was already.
func (s *snapshots) discard(place int) {
	if !s.dropped(place) {
		s.data[place+idBytes] |= flagDropped
		s.live--
		s.dead += length(s.data[place:])
	}
}

// length returns the bytes of the first snapshot in data.
func length(data []byte) int {
	r := reader{left: data[idBytes:]}
	flags := r.byte()
	r.int()
	r.int()
	r.int()
	for range r.uint() {
		if event.Signal(r.byte()).Info().Money {
			r.currency()
		}
		r.int()
		r.int()
	}
	if flags&flagPeriod != 0 {
		r.bytes(int(r.uint()))
		r.bytes(int(r.uint()))
		r.int()
		r.int()
	}
	return len(data) - len(r.left)
}

// room makes room for one more, in the index and in data. Data grows by a
// quarter, or is built anew where that would keep more dead bytes than that.
func (s *snapshots) room() {
	if cap(s.data)-len(s.data) < snapshotData && s.dead > len(s.data)/4 {
		s.rebuild()
	}
	if s.index.full() {
		s.reindex()
	}
	if cap(s.data)-len(s.data) < snapshotData {
		grown := make([]byte, len(s.data), len(s.data)+len(s.data)/4+2*snapshotData)
		copy(grown, s.data)
		s.data = grown
	}
}

// reindex makes room in the index.
func (s *snapshots) reindex() {
	old := s.index.places
	s.index.reset(s.live)
	for _, at := range old {
		if place := int(at) - 1; place >= 0 && !s.dropped(place) {
			s.index.add(hashOf(s.data[place:]), place)
		}
	}
}

// rebuild leaves out what was dropped.
func (s *snapshots) rebuild() {
	old, logged := s.data, s.logged
	s.data = make([]byte, 0, len(old)-s.dead+snapshotData)
	s.logged, s.dead = 0, 0
	s.index.reset(s.live)
	for place := 0; place < len(old); {
		next := place + length(old[place:])
		if old[place+idBytes]&flagDropped == 0 {
			s.index.add(hashOf(old[place:]), len(s.data))
			s.data = append(s.data, old[place:next]...)
		}
		if place = next; place <= logged {
			s.logged = len(s.data)
		}
	}
}

// expireSnapshots takes out the snapshots of which no version can be applied any more, and
// returns their ids.
func (b *brand) expireSnapshots() (gone []event.ID) {
	s := &b.snapshots
	var contribs []contrib
	for place := 0; place < len(s.data); {
		v, next := s.read(place, contribs[:0])
		contribs = v.contribs
		if !s.dropped(place) && b.ended(&v) {
			gone = append(gone, s.id(place))
			s.discard(place)
		}
		place = next
	}
	if 2*s.dead > len(s.data) {
		s.rebuild()
	}
	return gone
}

// places returns where the snapshots are, from a place on.
func (s *snapshots) places(from int) (places []int) {
	for place := from; place < len(s.data); place += length(s.data[place:]) {
		if !s.dropped(place) {
			places = append(places, place)
		}
	}
	return places
}

// dropped says whether the snapshot at a place was taken out.
func (s *snapshots) dropped(place int) bool { return s.data[place+idBytes]&flagDropped != 0 }

// id returns the id of the snapshot at a place.
func (s *snapshots) id(place int) event.ID { return event.ID(s.data[place:]) }

// bytes is the memory they take.
func (s *snapshots) bytes() int { return s.index.bytes() + cap(s.data) }
