package processor

import "github.com/twmb/franz-go/pkg/kgo"

// arena holds what a worker produces until its transaction has ended, so that a
// transaction of thousands of small records costs few allocations.
type arena struct {
	bytes   []byte
	records []kgo.Record
}

// Sizes beyond which an arena is given back to the garbage collector instead
// of being kept for the next transaction, and of its first piece.
const (
	arenaBytesMax   = 16 << 20
	arenaBytesMin   = 16 << 10
	arenaRecordsMax = 64 << 10
	arenaRecordsMin = 64
)

// record returns an empty record that stays where it is.
func (a *arena) record() *kgo.Record {
	if len(a.records) == cap(a.records) {
		// What was handed out stays in the old piece, alive through its users.
		a.records = make([]kgo.Record, 0, max(arenaRecordsMin, 2*cap(a.records)))
	}
	a.records = append(a.records, kgo.Record{})
	return &a.records[len(a.records)-1]
}

// copy returns a copy of b; nil stays nil, which is a tombstone as a value.
func (a *arena) copy(b []byte) []byte {
	if b == nil {
		return nil
	}
	a.room(len(b))
	from := len(a.bytes)
	a.bytes = append(a.bytes, b...)
	return a.bytes[from:len(a.bytes):len(a.bytes)]
}

// append returns the bytes that f appends.
func (a *arena) append(f func(dst []byte) ([]byte, error)) ([]byte, error) {
	a.room(arenaBytesMin / 4)
	from := len(a.bytes)
	out, err := f(a.bytes)
	if err != nil {
		return nil, err
	}
	a.bytes = out
	return out[from:len(out):len(out)], nil
}

// room starts a new piece when n bytes do not fit in the old one.
func (a *arena) room(n int) {
	if cap(a.bytes)-len(a.bytes) < n {
		a.bytes = make([]byte, 0, max(arenaBytesMin, 2*cap(a.bytes), n))
	}
}

// reset makes the memory free for the next transaction. Nothing handed out may
// be used any more.
func (a *arena) reset() {
	if cap(a.bytes) > arenaBytesMax || cap(a.records) > arenaRecordsMax {
		*a = arena{}
		return
	}
	clear(a.records)
	a.bytes, a.records = a.bytes[:0], a.records[:0]
}
