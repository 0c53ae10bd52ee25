package window

import (
	"encoding/binary"
	"math"
	"slices"
)

// BlockBuckets is the number of buckets of one block of a Series: a day of hours.
const BlockBuckets = 24

// Series is an integer for every bucket, 0 where nothing was added. It keeps
// blocks of 24 buckets, each as wide as its largest value needs: 1, 2, 4 or 8
// bytes a bucket, and none for a block of zeros. All of them lie in one piece of
// memory, four bytes a block before them. The zero Series is empty.
type Series struct {
	first int64  // number of the first block
	n     int    // blocks
	data  []byte // of each block where it ends, behind these; then the blocks
}

const endBytes = 4

// Get returns the value of a bucket.
func (s *Series) Get(bucket int64) int64 {
	n := Floor(bucket, BlockBuckets)
	b := s.block(n)
	return load(b, len(b)/BlockBuckets, int(bucket-n*BlockBuckets))
}

// Add adds to the value of a bucket. Memory is taken for every block between the
// first and the last that hold anything.
func (s *Series) Add(bucket, value int64) { s.AddAll(bucket, []int64{value}) }

// AddAll adds values to the buckets from, from+1 ….
func (s *Series) AddAll(from int64, values []int64) {
	for len(values) > 0 {
		n := Floor(from, BlockBuckets)
		i := int(from - n*BlockBuckets)
		part := values[:min(len(values), widenedMax*BlockBuckets-i)]
		s.add(n, i, part)
		values, from = values[len(part):], from+int64(len(part))
	}
}

// widenedMax is how many blocks become wider at once: each time all are copied.
const widenedMax = 16

// add adds values to the buckets from the i-th of block n on, of widenedMax blocks at
// most.
func (s *Series) add(n int64, i int, values []int64) {
	var widths [widenedMax]int
	narrow := false
	for k := 0; k < len(values); {
		at := (i + k) / BlockBuckets
		b := s.block(n + int64(at))
		width, need, shift := len(b)/BlockBuckets, 0, i-at*BlockBuckets
		for end := min(len(values), BlockBuckets-shift); k < end; k++ {
			if values[k] != 0 {
				need = max(need, widthOf(load(b, width, shift+k)+values[k]))
			}
		}
		if need > width {
			widths[at], narrow = need, true
		}
	}
	if narrow {
		s.widen(n, widths[:]...)
	}
	for k := 0; k < len(values); {
		at := (i + k) / BlockBuckets
		b := s.block(n + int64(at))
		width, shift := len(b)/BlockBuckets, i-at*BlockBuckets
		for end := min(len(values), BlockBuckets-shift); k < end; k++ {
			if values[k] != 0 {
				store(b, width, shift+k, load(b, width, shift+k)+values[k])
			}
		}
	}
}

// Set sets the value of a bucket; see Add.
func (s *Series) Set(bucket, value int64) {
	n := Floor(bucket, BlockBuckets)
	b := s.block(n)
	if value == 0 && len(b) == 0 {
		return
	}
	if need := widthOf(value); len(b) < need*BlockBuckets {
		s.widen(n, need)
		b = s.block(n)
	}
	store(b, len(b)/BlockBuckets, int(bucket-n*BlockBuckets), value)
}

// Read sets dst to the values of the buckets from, from+1 ….
func (s *Series) Read(dst []int64, from int64) {
	for len(dst) > 0 {
		n := Floor(from, BlockBuckets)
		i := int(from - n*BlockBuckets)
		part := dst[:min(len(dst), BlockBuckets-i)]
		if b := s.block(n); len(b) == 0 {
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
	to = min(to, (s.first+int64(s.n))*BlockBuckets)
	for from < to {
		n := Floor(to-1, BlockBuckets)
		if b := s.block(n); len(b) > 0 {
			for at := to - 1; at >= max(from, n*BlockBuckets); at-- {
				if load(b, len(b)/BlockBuckets, int(at-n*BlockBuckets)) != 0 {
					return at, true
				}
			}
		}
		to = n * BlockBuckets
	}
	return 0, false
}

// each calls f for the buckets from ≤ bucket < to that are not 0, ascending,
// until it returns false.
func (s *Series) each(from, to int64, f func(bucket, value int64) bool) {
	from = max(from, s.first*BlockBuckets)
	to = min(to, (s.first+int64(s.n))*BlockBuckets)
	for from < to {
		n := Floor(from, BlockBuckets)
		end := min(to, (n+1)*BlockBuckets)
		if b := s.block(n); len(b) > 0 {
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
	n := int(max(0, min(Floor(before, BlockBuckets)-s.first, int64(s.n))))
	if n == 0 {
		return
	}
	cut := s.end(n - 1)
	left := Series{first: s.first + int64(n), n: s.n - n, data: slices.Concat(s.data[endBytes*n:endBytes*s.n], s.data[endBytes*s.n+cut:])}
	for i := range left.n {
		binary.LittleEndian.PutUint32(left.data[endBytes*i:], uint32(left.end(i)-cut))
	}
	*s = left
}

// Bytes is the memory the values take.
func (s *Series) Bytes() int { return cap(s.data) }

// block returns the buckets of block n, none of a block of zeros.
func (s *Series) block(n int64) []byte {
	if n < s.first || n >= s.first+int64(s.n) {
		return nil
	}
	i := int(n - s.first)
	values := s.data[endBytes*s.n:]
	return values[s.end(i-1):s.end(i)]
}

// widen makes the buckets of the blocks n, n+1 … as wide as is given, where that is
// wider.
func (s *Series) widen(n int64, widths ...int) {
	for widths[0] == 0 {
		n, widths = n+1, widths[1:]
	}
	for widths[len(widths)-1] == 0 {
		widths = widths[:len(widths)-1]
	}
	first, last := n, n+int64(len(widths))
	if s.n > 0 {
		first, last = min(first, s.first), max(last, s.first+int64(s.n))
	}
	size := len(s.data) - endBytes*s.n
	for i, width := range widths {
		size += max(0, width*BlockBuckets-len(s.block(n+int64(i))))
	}
	count := int(last - first)
	wide := Series{first: first, n: count, data: make([]byte, endBytes*count+size)}
	values, end := wide.data[endBytes*count:], 0
	for i := range count {
		old := s.block(first + int64(i))
		width := len(old) / BlockBuckets
		wider := 0
		if k := first + int64(i) - n; k >= 0 && k < int64(len(widths)) {
			wider = widths[k]
		}
		switch {
		case wider <= width:
			end += copy(values[end:], old)
		case width == 0:
			end += wider * BlockBuckets
		default:
			for k := range BlockBuckets {
				store(values[end:], wider, k, load(old, width, k))
			}
			end += wider * BlockBuckets
		}
		binary.LittleEndian.PutUint32(wide.data[endBytes*i:], uint32(end))
	}
	*s = wide
}

// end returns where the i-th block ends, and the next one begins, behind the ends.
func (s *Series) end(i int) int {
	if i = min(i, s.n-1); i < 0 {
		return 0
	}
	return int(binary.LittleEndian.Uint32(s.data[endBytes*i:]))
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

func load(b []byte, width, i int) int64 {
	switch width {
	case 0:
		return 0
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
