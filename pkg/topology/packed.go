package topology

import (
	"encoding/binary"

	"flywheel/pkg/event"
)

// snapshots are the snapshots of a brand by id, packed: there are thousands of
// them, and each is looked at only when a version of it comes. Beside them lies a
// table of their places, by open addressing: the ids are hashes already.
type snapshots struct {
	table []uint32 // a place in data + 1; 0 where there is none
	data  []byte   // snapshots, one after the other
	live  int      // snapshots
	used  int      // entries of the table, those dropped among them
	dead  int      // bytes of data that belong to none
}

// A snapshot in data is its id, a byte of flags, and numbers of varying length.
const (
	idBytes      = len(event.ID{})
	flagDropped  = 0x80
	flagPeriod   = 0x40
	flagSources  = 0x3f // the number of the source
	tableMin     = 8
	snapshotData = 64 // bytes that a snapshot takes, at most about
)

func hashOf(id []byte) uint32 { return binary.LittleEndian.Uint32(id) }

// find returns where in the table an id is or belongs, and its place in data.
func (s *snapshots) find(id []byte) (slot int, place int, found bool) {
	mask := len(s.table) - 1
	for slot = int(hashOf(id)) & mask; ; slot = (slot + 1) & mask {
		at := s.table[slot]
		if at == 0 {
			return slot, 0, false
		}
		if place = int(at - 1); string(s.data[place:place+idBytes]) == string(id) {
			return slot, place, true
		}
	}
}

// get returns a snapshot. Its contributions are appended to contribs, which it
// returns as well when there is none.
func (s *snapshots) get(b *brand, id event.ID, contribs []contrib) (snapshot, bool) {
	if s.live > 0 {
		if _, place, found := s.find(id[:]); found && s.data[place+idBytes]&flagDropped == 0 {
			v, _ := s.read(b, place, contribs)
			return v, true
		}
	}
	return snapshot{contribs: contribs}, false
}

// read returns the snapshot at a place and where the next one is.
func (s *snapshots) read(b *brand, place int, contribs []contrib) (snapshot, int) {
	r := reader{left: s.data[place:]}
	var id event.ID
	copy(id[:], r.bytes(idBytes))
	flags := r.byte()
	v := snapshot{src: b.sourceNumbered(flags & flagSources), version: r.int(), atMs: r.int(), lateMs: r.int(), contribs: contribs}
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
	slot, _, found := s.find(id[:])
	if found {
		s.drop(id)
	} else {
		s.used++
	}
	s.live++
	place := len(s.data)
	s.table[slot] = uint32(place) + 1
	w := writer(s.data)
	w.bytes(id[:])
	flags := v.src.number
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

// drop takes a snapshot out. Its entry stays in the table, for those behind it,
// until it is built anew.
func (s *snapshots) drop(id event.ID) {
	if s.live == 0 {
		return
	}
	_, place, found := s.find(id[:])
	if !found || s.data[place+idBytes]&flagDropped != 0 {
		return
	}
	s.data[place+idBytes] |= flagDropped
	s.live--
	s.dead += s.length(place)
}

// length returns the bytes of the snapshot at a place.
func (s *snapshots) length(place int) int {
	r := reader{left: s.data[place+idBytes:]}
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
	return len(s.data) - len(r.left) - place
}

// room makes room for one more, in the table and in data. Data grows by a
// quarter, or is built anew where that would keep more dead bytes than that.
func (s *snapshots) room() {
	if 4*(s.used+1) > 3*len(s.table) || cap(s.data)-len(s.data) < snapshotData && s.dead > len(s.data)/4 {
		s.rebuild()
	}
	if cap(s.data)-len(s.data) < snapshotData {
		grown := make([]byte, len(s.data), len(s.data)+len(s.data)/4+2*snapshotData)
		copy(grown, s.data)
		s.data = grown
	}
}

// rebuild leaves out what was dropped.
func (s *snapshots) rebuild() {
	old := *s
	size := tableMin
	for 4*(old.live+1) > 2*size {
		size *= 2
	}
	*s = snapshots{table: make([]uint32, size), data: make([]byte, 0, len(old.data)-old.dead+snapshotData)}
	for place := 0; place < len(old.data); {
		next := place + old.length(place)
		if old.data[place+idBytes]&flagDropped == 0 {
			slot, _, _ := s.find(old.data[place : place+idBytes])
			s.table[slot] = uint32(len(s.data)) + 1
			s.data = append(s.data, old.data[place:next]...)
			s.live++
			s.used++
		}
		place = next
	}
}

// expire takes out the snapshots of which no version can be applied any more, and
// returns their ids.
func (s *snapshots) expire(b *brand) (gone []event.ID) {
	var contribs []contrib
	for place := 0; place < len(s.data); {
		v, next := s.read(b, place, contribs[:0])
		contribs = v.contribs
		if s.data[place+idBytes]&flagDropped == 0 && v.expired(b.clockMs) {
			gone = append(gone, event.ID(s.data[place:]))
			s.data[place+idBytes] |= flagDropped
			s.live--
			s.dead += next - place
		}
		place = next
	}
	if 2*s.dead > len(s.data) {
		s.rebuild()
	}
	return gone
}

// ids returns the ids of all snapshots, in no order.
func (s *snapshots) ids() (ids []event.ID) {
	for place := 0; place < len(s.data); place += s.length(place) {
		if s.data[place+idBytes]&flagDropped == 0 {
			ids = append(ids, event.ID(s.data[place:]))
		}
	}
	return ids
}

// bytes is the memory they take.
func (s *snapshots) bytes() int { return 4*cap(s.table) + cap(s.data) }
