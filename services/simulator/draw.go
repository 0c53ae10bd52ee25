package simulator

import (
	"math"
	"math/rand/v2"
)

// stream separates the randomness of a brand by purpose, so that more draws of
// one kind do not shift the others.
type stream uint64

const (
	streamTraits stream = iota + 1
	streamPlan
	streamCounts
	streamDetails
	streamFaults
)

// draw is a source of randomness that follows from seed, brand and stream.
type draw struct{ *rand.Rand }

func newDraw(seed uint64, brand int, s stream) draw {
	a := mix(seed ^ mix(uint64(brand)<<8|uint64(s)))
	return draw{rand.New(rand.NewPCG(a, mix(a)))}
}

// mix spreads the bits of x over all of the result (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// chance is true with probability p.
func (d draw) chance(p float64) bool { return d.Float64() < p }

// uniform returns a number from low to high.
func (d draw) uniform(low, high float64) float64 { return low + (high-low)*d.Float64() }

// logUniform returns a number from low to high, all orders of magnitude alike.
func (d draw) logUniform(low, high float64) float64 {
	return math.Exp(d.uniform(math.Log(low), math.Log(high)))
}

// logNormal returns a number of that median.
func (d draw) logNormal(median, sigma float64) float64 {
	return median * math.Exp(sigma*d.NormFloat64())
}

// poisson returns a count of mean mu.
func (d draw) poisson(mu float64) int64 {
	switch {
	case !(mu > 0):
		return 0
	case mu > 50: // the normal distribution is close enough
		return max(0, int64(math.Round(mu+math.Sqrt(mu)*d.NormFloat64())))
	}
	n, p, limit := int64(0), d.Float64(), math.Exp(-mu)
	for p > limit {
		n++
		p *= d.Float64()
	}
	return n
}

// gamma returns a number of mean 1 and variance 1/shape, for a shape from 1
// (Marsaglia and Tsang).
func (d draw) gamma(shape float64) float64 {
	a := shape - 1.0/3
	c := 1 / math.Sqrt(9*a)
	for {
		x := d.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v *= v * v
		if u := d.Float64(); math.Log(u) < x*x/2+a-a*v+a*math.Log(v) {
			return a * v / shape
		}
	}
}

// count returns a count of mean mu that varies more than a Poisson one:
// variance mu + mu²/shape.
func (d draw) count(mu, shape float64) int64 {
	if !(mu > 0) {
		return 0
	}
	return d.poisson(mu * d.gamma(shape))
}

// share returns how many of n happen with probability p each.
func (d draw) share(n int64, p float64) int64 {
	if n > 40 {
		return min(n, d.poisson(float64(n)*p))
	}
	var k int64
	for range n {
		if d.chance(p) {
			k++
		}
	}
	return k
}

// hex returns 32 hexadecimal digits made of two numbers, as a keyed pseudonym
// looks.
func hex(a, b uint64) string {
	const digits = "0123456789abcdef"
	var out [32]byte
	for i := range 16 {
		out[i], out[16+i] = digits[a>>(60-4*i)&15], digits[b>>(60-4*i)&15]
	}
	return string(out[:])
}
