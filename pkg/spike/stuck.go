package spike

import "math"

const (
	// A series that has moved less often is constant by nature, and any may stay where
	// it is for so many points.
	stuckMoves, stuckPoints = 24, 4.0
	// The lengths of runs are believed to have a Pareto tail of this exponent.
	stuckTail = 2.0
)

// stuck judges how long a value has not moved at all, as that of a sensor that
// hangs. In n points no run of equal values was longer than the longest, so one as
// long comes once in n points at most, and a longer one, of a Pareto tail, with
//
//	rate(run) = (longest/run)²/n
//
// per point. Small counts have longer and longer runs, but those grow with ln n only,
// less than the law allows for. Zero is no value that hangs: it is what nothing looks like, and silence has
// its expectation. A run is believed to be twice the longest at most, so that one
// failure does not hide the next.
type stuck struct {
	value, run, longest float64
	moves               int
}

// step takes the n-th value in and returns how often, per point, a run gets as long;
// +Inf while it is no longer than others.
func (s *stuck) step(value float64, n int) float64 {
	if value != s.value || value == 0 {
		if s.moves >= stuckMoves {
			s.run = min(s.run, 2*max(s.longest, stuckPoints))
		}
		s.longest = max(s.longest, s.run)
		s.value, s.run = value, 0
		s.moves++
	}
	s.run++
	longest := max(s.longest, stuckPoints)
	if s.run <= longest || s.moves < stuckMoves {
		return math.Inf(1)
	}
	return math.Pow(longest/s.run, stuckTail) / float64(n)
}
