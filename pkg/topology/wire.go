package topology

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// The bytes of the changelog: variable-length integers, and texts preceded by
// their length. writer appends them, reader takes them apart; after the first
// fault a reader gives zeros, and fault says what it was.

type writer []byte

func (w *writer) uint(v uint64)   { *w = binary.AppendUvarint(*w, v) }
func (w *writer) int(v int64)     { *w = binary.AppendVarint(*w, v) }
func (w *writer) byte(v byte)     { *w = append(*w, v) }
func (w *writer) bytes(v []byte)  { *w = append(*w, v...) }
func (w *writer) text(v string)   { w.uint(uint64(len(v))); *w = append(*w, v...) }
func (w *writer) float(v float64) { *w = binary.BigEndian.AppendUint64(*w, math.Float64bits(v)) }

func (w *writer) bool(v bool) {
	if v {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

func (w *writer) set(s *window.Set) {
	w.uint(uint64(len(s.Spans())))
	for _, r := range s.Spans() {
		w.int(r.From)
		w.uint(uint64(r.To - r.From))
	}
}

// Faults of a changelog.
var (
	errTruncated        = errors.New("it ends early")
	errNoSignal         = errors.New("signal 0 holds nothing")
	errNothingPublished = errors.New("the last window is due, but none was published")
)

type reader struct {
	left  []byte
	fault error
}

func (r *reader) fail() { r.refuse(errTruncated) }

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.left)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.left = r.left[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.left)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.left = r.left[n:]
	return v
}

// count reads how many things of at least bytesMin bytes follow.
func (r *reader) count(bytesMin int) int {
	n := r.uint()
	if n > uint64(len(r.left)/bytesMin) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.left) {
		r.fail()
		return make([]byte, n)
	}
	b := r.left[:n]
	r.left = r.left[n:]
	return b
}

func (r *reader) byte() byte     { return r.bytes(1)[0] }
func (r *reader) bool() bool     { return r.byte() != 0 }
func (r *reader) text() string   { return string(r.bytes(r.count(1))) }
func (r *reader) float() float64 { return math.Float64frombits(binary.BigEndian.Uint64(r.bytes(8))) }

func (r *reader) currency() (c [3]byte) {
	copy(c[:], r.bytes(3))
	return c
}

// Bounds on what a changelog can hold; what is beyond is damage, and would cost
// memory or time without end.
const (
	momentMs = 4_200_000_000_000 // behind every event, either side of 1970
	setMax   = 1 << 20           // numbers of a set
)

// within reads a number between two bounds.
func (r *reader) within(least, most int64) int64 {
	v := r.int()
	if v < least || v > most {
		r.refuse(fmt.Errorf("%d is not between %d and %d", v, least, most))
		return least
	}
	return v
}

// refuse notes that what was read cannot be.
func (r *reader) refuse(why error) {
	if r.fault == nil {
		r.fault = why
	}
	r.left = nil
}

// moment reads an event's time, number that of a bucket of a width.
func (r *reader) moment() int64            { return r.within(0, momentMs) }
func (r *reader) number(width int64) int64 { return r.within(-momentMs/width, momentMs/width) }

// oldest reads the number of the first bucket of a width that is kept, or
// window.Before where none was forgotten.
func (r *reader) oldest(width int64) int64 {
	v := r.int()
	if v == window.Before || -momentMs/width <= v && v <= momentMs/width {
		return v
	}
	r.refuse(fmt.Errorf("%d is not the number of a bucket of %d ms", v, width))
	return 0
}

// signal reads the number of a signal that this program knows.
func (r *reader) signal() event.Signal {
	s := r.signalOrNone()
	if s == event.NoSignal {
		r.refuse(errNoSignal)
	}
	return s
}

func (r *reader) signalOrNone() event.Signal {
	v := r.uint()
	if v >= uint64(event.SignalsMax) {
		r.refuse(fmt.Errorf("signal %d is not known: a newer program wrote it", v))
		return event.NoSignal
	}
	return event.Signal(v)
}

// set reads a set of buckets of a width.
func (r *reader) set(width int64) (s window.Set) {
	for range r.count(2) {
		from := r.number(width)
		n := r.uint()
		if n > setMax {
			r.refuse(fmt.Errorf("a run of %d numbers is longer than %d", n, setMax))
			return s
		}
		s.Add(from, from+int64(n))
	}
	if s.Len() > setMax {
		r.refuse(fmt.Errorf("a set of %d numbers is larger than %d", s.Len(), setMax))
	}
	return s
}

// end returns the first fault, or that something is left over.
func (r *reader) end() error {
	if r.fault == nil && len(r.left) > 0 {
		return errors.New("it goes on after its end")
	}
	return r.fault
}
