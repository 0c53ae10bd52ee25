package topology

import (
	"encoding/binary"
	"errors"
	"math"

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

var errTruncated = errors.New("it ends early")

type reader struct {
	left  []byte
	fault error
}

func (r *reader) fail() {
	if r.fault == nil {
		r.fault = errTruncated
	}
	r.left = nil
}

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

func (r *reader) set() (s window.Set) {
	for range r.count(2) {
		from := r.int()
		s.Add(from, from+int64(r.uint()))
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
