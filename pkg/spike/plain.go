package spike

import (
	"math"
	"slices"
)

// plainMax bounds what a value is worth in sizes, so that squares stay finite.
const plainMax = 1e9

// plain is a scale of values by themselves, which knows no seasons and draws no
// logarithm: 0 is the median of the warm-up, 1 what half of it is off.
type plain struct{ centre, size float64 }

func newPlain(points []point, of shape) plain {
	v := make([]float64, len(points))
	for i, p := range points {
		v[i] = p.value
	}
	slices.Sort(v)
	p := plain{centre: v[len(v)/2]}
	for i := range v {
		v[i] = math.Abs(v[i] - p.centre)
	}
	slices.Sort(v)
	p.size = v[len(v)/2]
	if p.size == 0 { // more than half is the same
		p.size = max(1e-9, 0.01*math.Abs(p.centre), v[len(v)-1])
	}
	if of.size == 0 { // counts have Poisson's noise
		p.size = max(p.size, 1, math.Sqrt(math.Abs(p.centre)))
	}
	return p
}

func (p plain) of(value float64) float64 {
	return max(-plainMax, min(plainMax, (value-p.centre)/p.size))
}
