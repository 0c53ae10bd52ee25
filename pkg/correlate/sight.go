package correlate

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// sight says what effects a history could show, by half-life of the kernel: the size
// of an effect as large as all of the response against that of the response, both
// whitened; the placebo's standard deviation; and its degrees of freedom. The prior is
// that of the search, nil for none.
type sight struct {
	size, sigma, freedom [len(kernelHalfLives)]float32
	prior                *Prior
}

// Power returns the probability that an effect which makes up a share of the response
// would be found in such a history at a level: that P is at most that. It is the
// mean over the kernels searched, since nobody knows which it would be, by the weights
// of the prior.
//
// Through one kernel the effect has the size u = share/(1 − share)·size of the
// response, and so the correlation u/√(1 + u²) with it: Z is about normal around
// that over σ with variance 1, and is found beyond the quantile of Student's t at
// the kernel's share of the level. Outliers are bounded, and a baseline takes its part,
// so at levels far below Alpha up to a tenth fewer are found than it says
// (TestPowerIsWhatIsFound).
func (c *Choice) Power(share, level float64) float64 {
	limits := c.sight.limits(level)
	return c.sight.power(share, &limits)
}

// Detectable returns the smallest share of the response that would be found with a
// probability of 80 %, to a thousandth; 1 when there is none.
func (c *Choice) Detectable(level float64) float64 {
	const parts = 1000
	limits := c.sight.limits(level)
	from, to := 0, parts
	for from < to {
		if mid := (from + to) / 2; c.sight.power(float64(mid)/parts, &limits) >= powerMin {
			to = mid
		} else {
			from = mid + 1
		}
	}
	return float64(from) / parts
}

// limits returns the least Z that is found, by kernel.
func (s *sight) limits(level float64) (limits [Kernels]float64) {
	for h, freedom := range s.freedom {
		last, z := 0.0, math.Inf(1)
		for i := range kernelDelays {
			k := h*len(kernelDelays) + i
			p := level / float64(Kernels)
			if s.prior != nil {
				p = level * s.prior[k]
			}
			if p = min(p, 0.5); freedom > 0 && p != last { // P(T > t) is half of I_x(ν/2, 1/2) at x = ν/(ν + t²)
				nu := float64(freedom)
				x := mathext.InvRegIncBeta(nu/2, 0.5, 2*p)
				last, z = p, math.Sqrt(nu*(1-x)/x)
			}
			limits[k] = z
		}
	}
	return limits
}

func (s *sight) power(share float64, limits *[Kernels]float64) float64 {
	sum := 0.0
	for h, sigma := range s.sigma {
		u := math.Inf(1)
		if share < 1 {
			u = share / (1 - share) * float64(s.size[h])
		}
		r := 1.0
		if !math.IsInf(u, 1) {
			r = u / math.Sqrt(1+u*u)
		}
		if sigma == 0 || s.size[h] == 0 {
			continue
		}
		found := func(limit float64) float64 { return math.Erfc((limit-r/float64(sigma))/math.Sqrt2) / 2 }
		first := h * len(kernelDelays)
		if s.prior == nil { // all delays have one limit
			sum += found(limits[first])
			continue
		}
		for i := range kernelDelays {
			sum += s.prior[first+i] * found(limits[first+i])
		}
	}
	if s.prior == nil {
		sum /= float64(len(s.sigma))
	}
	return sum
}
