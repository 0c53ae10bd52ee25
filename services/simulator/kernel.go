package simulator

import "math"

// Steps of the world: quarter-hours of event time.
const (
	quarterMs       = 15 * 60_000
	hourMs          = 60 * 60_000
	dayMs           = 24 * hourMs
	quartersPerHour = 4
	quartersPerDay  = 96
	shortQuarters   = 72 * quartersPerHour
	longQuarters    = 28 * quartersPerDay
)

// kernel is how a stimulus acts over time: nothing for delay quarters, then
// a weight that halves every halfLife quarters, cut after last quarters. The
// weights sum to 1.
type kernel []float64 // by lag

func newKernel(delay, halfLife, last int) kernel {
	k := make(kernel, last+1)
	var sum float64
	for lag := delay; lag <= last; lag++ {
		k[lag] = math.Exp2(-float64(lag-delay) / float64(halfLife))
		sum += k[lag]
	}
	for lag := range k {
		k[lag] /= sum
	}
	return k
}

// at returns the response at time t to a stimulus known up to t, term by term.
func (k kernel) at(x []float64, t int) float64 {
	var sum float64
	for lag := 0; lag < len(k) && lag <= t; lag++ {
		sum += k[lag] * x[t-lag]
	}
	return sum
}

// echo is the same response as of a kernel, one quarter after the other: an
// exponential decay is a recursion.
type echo struct {
	delay, last       int
	decay, tail, norm float64
	acc, cut          float64
}

func newEcho(delay, halfLife, last int) *echo {
	e := &echo{delay: delay, last: last, decay: math.Exp2(-1 / float64(halfLife))}
	e.tail = math.Pow(e.decay, float64(last-delay+1))
	e.norm = (1 - e.decay) / (1 - e.tail)
	return e
}

// next returns the response at time t, which is the time after that of the call
// before, to a stimulus known up to t.
func (e *echo) next(x []float32, t int) float64 {
	e.acc *= e.decay
	if s := t - e.delay; s >= 0 {
		e.acc += float64(x[s])
	}
	e.cut *= e.decay
	if s := t - e.last - 1; s >= 0 {
		e.cut += float64(x[s])
	}
	return max(0, e.norm*(e.acc-e.tail*e.cut))
}
