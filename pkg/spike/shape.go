package spike

import "math"

// dispersion is the part of a count's variance that grows with its square.
const dispersion = 0.1

// shape is a transformation after which the noise of a series has about the same
// size everywhere, and which bursts cannot run away from: it grows like a
// logarithm.
//
// Counts are taken for negative binomial, of variance μ + μ²/10: Poisson's when
// few, in proportion when many. The transformation that makes it 1 is
//
//	x = 2·asinh(√(v/10))·√10
//
// (Anscombe, The Transformation of Poisson, Binomial and Negative-Binomial Data,
// 1948): 2√v for small v, √10·ln v + … for large. Of other measures nothing is
// known but their size: x = asinh(v/size), with the mean of |v| for the size. Both
// are odd, so negative values (returns, degrees) are welcome.
type shape struct {
	size float64 // 0 for counts
}

// shapeOf takes values that are all whole for counts.
func shapeOf(points []point) shape {
	whole, size := true, 0.0
	for _, p := range points {
		whole = whole && p.value == math.Trunc(p.value)
		size += math.Abs(p.value) / float64(len(points))
	}
	if whole {
		return shape{}
	}
	return shape{size: size}
}

func (s shape) of(v float64) float64 {
	if s.size > 0 {
		return math.Asinh(v / s.size)
	}
	return math.Copysign(2/math.Sqrt(dispersion)*math.Asinh(math.Sqrt(dispersion*math.Abs(v))), v)
}

// floor is the least standard deviation that is believed around x: of counts half
// of Poisson's, of others a thousandth of their size.
func (s shape) floor(x float64) float64 {
	if s.size > 0 {
		return 1e-3
	}
	return 0.5 / math.Cosh(x*math.Sqrt(dispersion)/2)
}
