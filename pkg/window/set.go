package window

import "slices"

// Span is the numbers From ≤ n < To.
type Span struct{ From, To int64 }

// Set is a set of numbers that come in runs. The zero Set is empty.
type Set struct{ spans []Span } // ascending, apart from each other

// Spans returns the runs, ascending. The caller may not change them.
func (s *Set) Spans() []Span { return s.spans }

// Empty says whether the set has no number.
func (s *Set) Empty() bool { return len(s.spans) == 0 }

// Len returns how many numbers the set has.
func (s *Set) Len() int64 {
	var n int64
	for _, r := range s.spans {
		n += r.To - r.From
	}
	return n
}

// Below returns how many numbers of the set are less than n.
func (s *Set) Below(n int64) int64 {
	var count int64
	for _, r := range s.spans {
		count += max(0, min(r.To, n)-r.From)
	}
	return count
}

// Has says whether n is in the set.
func (s *Set) Has(n int64) bool {
	i := s.search(n + 1)
	return i > 0 && s.spans[i-1].To > n
}

// Last returns the greatest number; the set must not be empty.
func (s *Set) Last() int64 { return s.spans[len(s.spans)-1].To - 1 }

// First returns the least number; the set must not be empty.
func (s *Set) First() int64 { return s.spans[0].From }

// search returns the first run that begins at n or later.
func (s *Set) search(n int64) int {
	i, _ := slices.BinarySearchFunc(s.spans, n, func(r Span, n int64) int {
		switch {
		case r.From < n:
			return -1
		case r.From > n:
			return 1
		}
		return 0
	})
	return i
}

// Add adds the numbers from ≤ n < to.
func (s *Set) Add(from, to int64) {
	if from >= to {
		return
	}
	i := s.search(from)
	if i > 0 && s.spans[i-1].To >= from {
		i--
		from = s.spans[i].From
	}
	k := i
	for k < len(s.spans) && s.spans[k].From <= to {
		to = max(to, s.spans[k].To)
		k++
	}
	s.spans = slices.Replace(s.spans, i, k, Span{from, to})
}

// Remove removes the numbers from ≤ n < to.
func (s *Set) Remove(from, to int64) {
	if from >= to {
		return
	}
	i := s.search(from)
	if i > 0 && s.spans[i-1].To > from {
		i--
	}
	var rest [2]Span
	left := rest[:0]
	k := i
	for k < len(s.spans) && s.spans[k].From < to {
		if r := s.spans[k]; r.From < from {
			left = append(left, Span{r.From, from})
		}
		if r := s.spans[k]; r.To > to {
			left = append(left, Span{to, r.To})
		}
		k++
	}
	s.spans = slices.Replace(s.spans, i, k, left...)
}

// AddCommon adds the numbers of other from ≤ n < to, and says whether there
// was one.
func (s *Set) AddCommon(other *Set, from, to int64) bool {
	found := false
	for _, r := range other.spans {
		if a, b := max(r.From, from), min(r.To, to); a < b {
			s.Add(a, b)
			found = true
		}
	}
	return found
}
