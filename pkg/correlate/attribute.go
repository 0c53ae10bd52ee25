package correlate

import "math"

// Pulse is the amount of stimulus in one bucket. Buckets are numbered from the
// first bucket of the money; those before it are negative.
type Pulse struct {
	Bucket int
	Amount int64
}

// Stimulus is one claimant to credit: a post, or what is left of a node.
type Stimulus struct {
	Pulses []Pulse // by increasing bucket; amounts below 0 count as 0
	Kernel Kernel  // in buckets of the money
	Beta   float64 // micros per unit of stimulus
}

// Attribution is who earned what.
type Attribution struct {
	Credits  []int64 // micros by stimulus; it lies in the Scratch
	Baseline int64   // micros nobody is responsible for
}

// carrier is the state of one stimulus on its way through the buckets.
type carrier struct {
	decay, first, second, last float64 // see Kernel.terms; λ is gain times as much
	gain                       float64
	in, out                    float64 // decayed sums of the pulses that have acted, and of those cut off
	next, cut                  int     // the first pulse that has not acted, not been cut off
	acting                     int     // pulses above 0 between the two
}

// Attribute splits the money of each bucket by responsibility: stimulus p has
// λ_p(t) = β·Σ_s x_p(s)·kernel(t − s), the baseline base[t], and each gets its
// share of Σλ in whole micros by largest remainder (Split). Hence credits and
// baseline add up to the money in every bucket, whatever the windows overlap,
// and negative money (returns) takes credit back. A bucket nothing is
// responsible for goes to the baseline.
//
// base is the money expected without the stimuli. A Baseline fitted to the money
// contains their average effect: FitRest fits one to what they leave. Where it is below 0
// it counts as 0.
//
// λ moves forward by recursion as in Kernel.Convolve: O(buckets·stimuli + pulses). One
// backward recursion over the buckets (Credit) gives each stimulus the same but for
// rounding, and is faster; here each bucket's shares have to be whole micros that add up.
func Attribute(money []int64, base []float64, stimuli []Stimulus, s *Scratch) Attribution {
	if cap(s.shares) < 2*len(stimuli)+1 {
		s.shares = make([]int64, 2*len(stimuli)+1)
	}
	a := Attribution{Credits: s.shares[:len(stimuli)]}
	clear(a.Credits)
	share := s.shares[len(stimuli) : 2*len(stimuli)+1]
	weight := grow(&s.weights, len(stimuli)+1)
	carriers := grow(&s.carriers, len(stimuli))
	for p := range stimuli {
		carriers[p] = newCarrier(&stimuli[p])
	}
	for t, total := range money {
		weight[0] = base[t]
		for p := range stimuli {
			weight[p+1] = carriers[p].responsibility(&stimuli[p], t)
		}
		Split(total, weight, share, s)
		a.Baseline += share[0]
		for p, c := range share[1:] {
			a.Credits[p] += c
		}
	}
	return a
}

func newCarrier(st *Stimulus) carrier {
	c := carrier{decay: st.Kernel.decay(), gain: max(0, st.Beta)}
	c.first, c.second, c.last = st.Kernel.terms()
	return c
}

// responsibility returns λ(t); t goes up from 0 by 1.
func (c *carrier) responsibility(st *Stimulus, t int) float64 {
	k := st.Kernel
	before := c.in // what had acted a bucket ago
	c.in *= c.decay
	c.out *= c.decay
	for ; c.next < len(st.Pulses) && st.Pulses[c.next].Bucket+k.Delay <= t; c.next++ {
		if p := st.Pulses[c.next]; p.Amount > 0 {
			c.in += left(p, t-k.Delay, k.HalfLife)
			if p.Bucket+k.Delay < t {
				before += left(p, t-1-k.Delay, k.HalfLife)
			}
			c.acting++
		}
	}
	for ; c.cut < c.next && st.Pulses[c.cut].Bucket+k.Lags < t; c.cut++ {
		if p := st.Pulses[c.cut]; p.Amount > 0 {
			c.out += left(p, t-k.Lags-1, k.HalfLife)
			c.acting--
		}
	}
	if c.acting == 0 { // what is left is rounding, and nobody's
		c.in, c.out = 0, 0
		return 0
	}
	return max(0, c.gain*(c.first*c.in+c.second*before-c.last*c.out))
}

// left returns what is left at a bucket of a pulse at or before it.
func left(p Pulse, bucket int, halfLife float64) float64 {
	switch {
	case bucket == p.Bucket:
		return float64(p.Amount)
	case halfLife <= 0:
		return 0
	}
	return float64(p.Amount) * math.Exp2(-float64(bucket-p.Bucket)/halfLife)
}
