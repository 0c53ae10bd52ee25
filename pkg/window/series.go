package window

import (
	"encoding/binary"
	"math"
)

// BlockBuckets is the number of buckets of one block of a Series: a day of
// quarter-hours.
const BlockBuckets = 96

// BlocksMax bounds the blocks a Series holds at once, and so how far apart its
// buckets may lie.
const BlocksMax = 1024

// Series is an integer for every bucket, 0 where nothing was added. It keeps
// blocks of 96 buckets, each as wide as its largest value needs: 1, 2, 4 or 8
// bytes a bucket, and none for a block of zeros. The zero Series is empty.
type Series struct {
	first  int64 // number of blocks[0]
	blocks [][]byte
}

// Get returns the value of a bucket.
func (s *Series) Get(bucket int64) int64 {
	b := s.block(Floor(bucket, BlockBuckets))
	if b == nil {
		return 0
	}
	return load(b, len(b)/BlockBuckets, int(bucket-Floor(bucket, BlockBuckets)*BlockBuckets))
}

// Add adds to the value of a bucket, which must lie less than BlocksMax blocks
// from every other that was not dropped.
func (s *Series) Add(bucket, value int64) {
	if value == 0 {
		return
	}
	n := Floor(bucket, BlockBuckets)
	b := s.block(n)
	if b == nil {
		s.Set(bucket, value)
		return
	}
	i, width := int(bucket-n*BlockBuckets), len(b)/BlockBuckets
	value += load(b, width, i)
	if need := widthOf(value); width < need {
		b = widen(b, need)
		s.blocks[n-s.first], width = b, need
	}
	store(b, width, i, value)
}

// Set sets the value of a bucket; see Add.
func (s *Series) Set(bucket, value int64) {
	n := Floor(bucket, BlockBuckets)
	b := s.block(n)
	if b == nil {
		if value == 0 {
			return
		}
		s.cover(n)
	}
	i := int(bucket - n*BlockBuckets)
	at := &s.blocks[n-s.first]
	if need := widthOf(value); len(*at) < need*BlockBuckets {
		*at = widen(*at, need)
	}
	store(*at, len(*at)/BlockBuckets, i, value)
}

// Read sets dst to the values of the buckets from, from+1 ….
func (s *Series) Read(dst []int64, from int64) {
	for len(dst) > 0 {
		n := Floor(from, BlockBuckets)
		i := int(from - n*BlockBuckets)
		part := dst[:min(len(dst), BlockBuckets-i)]
		if b := s.block(n); b == nil {
			clear(part)
		} else {
			read(part, b, i)
		}
		dst, from = dst[len(part):], from+int64(len(part))
	}
}

// Sum returns the sum of the buckets from ≤ bucket < to.
func (s *Series) Sum(from, to int64) int64 {
	var sum int64
	s.each(from, to, func(_, value int64) bool {
		sum += value
		return true
	})
	return sum
}

// Any says whether a bucket from ≤ bucket < to is not 0.
func (s *Series) Any(from, to int64) bool {
	_, found := s.First(from, to)
	return found
}

// First returns the first bucket from ≤ bucket < to that is not 0.
func (s *Series) First(from, to int64) (bucket int64, found bool) {
	s.each(from, to, func(b, _ int64) bool {
		bucket, found = b, true
		return false
	})
	return bucket, found
}

// Last returns the last bucket from ≤ bucket < to that is not 0.
func (s *Series) Last(from, to int64) (bucket int64, found bool) {
	from = max(from, s.first*BlockBuckets)
	to = min(to, (s.first+int64(len(s.blocks)))*BlockBuckets)
	for at := to - 1; at >= from; at-- {
		n := Floor(at, BlockBuckets)
		b := s.block(n)
		if b == nil {
			at = n * BlockBuckets // nothing in the whole block
			continue
		}
		if load(b, len(b)/BlockBuckets, int(at-n*BlockBuckets)) != 0 {
			return at, true
		}
	}
	return 0, false
}

// each calls f for the buckets from ≤ bucket < to that are not 0, ascending,
// until it returns false.
func (s *Series) each(from, to int64, f func(bucket, value int64) bool) {
	from = max(from, s.first*BlockBuckets)
	to = min(to, (s.first+int64(len(s.blocks)))*BlockBuckets)
	for from < to {
		n := Floor(from, BlockBuckets)
		end := min(to, (n+1)*BlockBuckets)
		if b := s.block(n); b != nil {
			for at := from; at < end; at++ {
				if v := load(b, len(b)/BlockBuckets, int(at-n*BlockBuckets)); v != 0 && !f(at, v) {
					return
				}
			}
		}
		from = end
	}
}

// Drop forgets the buckets before a bucket, as far as whole blocks of them.
func (s *Series) Drop(before int64) {
	n := min(Floor(before, BlockBuckets)-s.first, int64(len(s.blocks)))
	if n <= 0 {
		return
	}
	s.first += n
	s.blocks = append(s.blocks[:0:0], s.blocks[n:]...)
}

// Bytes is the memory the values take.
func (s *Series) Bytes() int {
	n := 24 * cap(s.blocks)
	for _, b := range s.blocks {
		n += len(b)
	}
	return n
}

func (s *Series) block(n int64) []byte {
	if n < s.first || n >= s.first+int64(len(s.blocks)) {
		return nil
	}
	return s.blocks[n-s.first]
}

// cover makes room for block n.
func (s *Series) cover(n int64) {
	switch {
	case len(s.blocks) == 0:
		s.first = n
		s.blocks = append(s.blocks, nil)
	case n < s.first:
		front := make([][]byte, s.first-n, s.first-n+int64(len(s.blocks)))
		s.first, s.blocks = n, append(front, s.blocks...)
	default:
		for int64(len(s.blocks)) <= n-s.first {
			s.blocks = append(s.blocks, nil)
		}
	}
}

func widthOf(v int64) int {
	switch {
	case v == int64(int8(v)):
		return 1
	case v == int64(int16(v)):
		return 2
	case v == int64(int32(v)):
		return 4
	}
	return 8
}

func widen(b []byte, width int) []byte {
	wide := make([]byte, width*BlockBuckets)
	if old := len(b) / BlockBuckets; old > 0 {
		for i := range BlockBuckets {
			store(wide, width, i, load(b, old, i))
		}
	}
	return wide
}

func load(b []byte, width, i int) int64 {
	switch width {
	case 1:
		return int64(int8(b[i]))
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(b[2*i:])))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b[4*i:])))
	}
	return int64(binary.LittleEndian.Uint64(b[8*i:]))
}

func store(b []byte, width, i int, v int64) {
	switch width {
	case 1:
		b[i] = byte(v)
	case 2:
		binary.LittleEndian.PutUint16(b[2*i:], uint16(v))
	case 4:
		binary.LittleEndian.PutUint32(b[4*i:], uint32(v))
	default:
		binary.LittleEndian.PutUint64(b[8*i:], uint64(v))
	}
}

// read is load for consecutive buckets from the i-th on.
func read(dst []int64, b []byte, i int) {
	switch len(b) / BlockBuckets {
	case 1:
		for k, v := range b[i:][:len(dst)] {
			dst[k] = int64(int8(v))
		}
	case 2:
		b = b[2*i:]
		for k := range dst {
			dst[k] = int64(int16(binary.LittleEndian.Uint16(b[2*k:])))
		}
	case 4:
		b = b[4*i:]
		for k := range dst {
			dst[k] = int64(int32(binary.LittleEndian.Uint32(b[4*k:])))
		}
	default:
		b = b[8*i:]
		for k := range dst {
			dst[k] = int64(binary.LittleEndian.Uint64(b[8*k:]))
		}
	}
}

// Before is earlier than every bucket, After later.
const (
	Before = math.MinInt64
	After  = math.MaxInt64
)
