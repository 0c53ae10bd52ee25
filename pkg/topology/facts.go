package topology

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// facts are the ids of the facts applied, exactly, for as long as an equal one
// could still be applied: those further behind their source are refused as late.
// The changelog holds them in chunks, one a transaction, source and hour: what was
// written is never written again.
type facts struct {
	index  index
	list   []factID // in the order they came
	logged int      // list[:logged] are in the changelog,
	chunks []chunk
	seq    uint64 // of the next chunk

	// Of a changelog that is read: sources and hours that have expired since, whose ids
	// are still in the list, and how many chunks those were. Their seq is 0.
	gone       map[chunk]bool
	goneChunks int
}

// factID is one id, with the source and hour of event time that it is forgotten with.
type factID struct {
	id   event.ID
	hour int32
	src  sourceNumber
}

// chunk is ids of one source and hour in the changelog.
type chunk struct {
	hour int32
	src  sourceNumber
	seq  uint64
}

// hashOf takes all of an id into account: who made it may have put a number there.
func hashOf(id []byte) uint32 {
	const odd = 0x9e3779b97f4a7c15 // 2^64 over the golden ratio
	halves := binary.LittleEndian.Uint64(id) ^ binary.LittleEndian.Uint64(id[8:])*odd
	return uint32(halves * odd >> 32)
}

// find returns where in the index an id is or belongs, and its place in the list.
func (f *facts) find(id event.ID) (entry, place int, found bool) {
	return f.index.find(hashOf(id[:]), func(place int) bool { return f.list[place].id == id })
}

// add adds an id, and says whether it is new.
func (f *facts) add(id event.ID, src sourceNumber, hour int64) bool {
	if f.index.full() {
		f.reindex()
	}
	entry, _, found := f.find(id)
	if !found {
		f.index.put(entry, len(f.list))
		f.list = append(f.list, factID{id, int32(hour), src})
	}
	return !found
}

func (f *facts) reindex() {
	f.index.reset(len(f.list))
	for place := range f.list {
		f.index.add(hashOf(f.list[place].id[:]), place)
	}
}

// known says whether a fact was applied before. What could only come late now is
// forgotten first, whenever it was looked for last.
func (p *Partition) known(b *brand, id event.ID) bool {
	_, place, known := b.facts.find(id)
	if !known {
		return false
	}
	if x := &b.facts.list[place]; !b.expiredFact(x.src, x.hour) {
		return true
	}
	b.expireFacts()
	p.touch(b)
	return false
}

// expiredFact says whether no fact of a source and hour can be applied any more.
func (b *brand) expiredFact(src sourceNumber, hour int32) bool {
	return (int64(hour)+1)*window.HourMs <= b.sources[src].watermarkMs-event.DedupHorizonHours*window.HourMs
}

// expireFacts takes out the hours that no fact can come from any more.
func (b *brand) expireFacts() {
	f := &b.facts
	f.chunks = slices.DeleteFunc(f.chunks, func(c chunk) bool {
		if !b.expiredFact(c.src, c.hour) {
			return false
		}
		b.expired = append(b.expired, c)
		return true
	})
	f.remove(func(x *factID) bool { return b.expiredFact(x.src, x.hour) })
}

// remove takes out the ids that gone wants out.
func (f *facts) remove(gone func(*factID) bool) {
	left, logged := f.list[:0], 0
	for i := range f.list {
		if gone(&f.list[i]) {
			continue
		}
		if left = append(left, f.list[i]); i < f.logged {
			logged++
		}
	}
	if len(left) < len(f.list) {
		f.list, f.logged = left, logged
		f.reindex()
	}
}

// expire notes that nothing of a source and hour is left, of so many chunks. To take ids out costs as
// much as all that there are, and a log that was never compacted has expired hour by hour: so that
// waits until as many chunks are gone as are left.
func (f *facts) expire(hour chunk, chunks int) {
	if f.gone == nil {
		f.gone = make(map[chunk]bool)
	}
	f.gone[hour] = true
	if f.goneChunks += chunks; f.goneChunks >= len(f.chunks) {
		f.sweep()
	}
}

// sweep takes out what expire has noted.
func (f *facts) sweep() {
	if len(f.gone) > 0 {
		f.remove(func(x *factID) bool { return f.gone[x.expiresWith()] })
	}
	f.gone, f.goneChunks = nil, 0
}

// expiresWith is the source and hour of an id, as a chunk of no number.
func (x *factID) expiresWith() chunk { return chunk{hour: x.hour, src: x.src} }

// bytes is the memory they take.
func (f *facts) bytes() int { return f.index.bytes() + 24*cap(f.list) + 16*cap(f.chunks) }

// byHour sorts facts by source and hour, for the changelog.
func (b *brand) byHour(list []factID) {
	slices.SortStableFunc(list, func(x, y factID) int {
		return cmp.Or(b.compareSources(x.src, y.src), cmp.Compare(x.hour, y.hour))
	})
}

func compareIDs(a, b event.ID) int { return bytes.Compare(a[:], b[:]) }
