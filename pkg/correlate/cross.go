package correlate

import "math"

// Input is one window of a stimulus and a response. With W = Lags steps, the
// stimulus covers [end − 2W, end), the response [end − W, end).
type Input struct {
	// X is the stimulus of each step, 2·Lags values, ExpectedX its baseline.
	X         []int64
	ExpectedX []float64
	// Y is the response of each bucket, Lags/Stride values, ExpectedY its baseline.
	Y         []int64
	ExpectedY []float64
	// Stride is the number of steps in a response bucket, at least 1.
	Stride int
	// StepMinutes is the width of a step.
	StepMinutes int
	// HistoryHours is the length of the shorter history the baselines rest on.
	HistoryHours int
	// Given says that only Kernel, in steps, is to be judged, after whole steps: one that was
	// chosen on data from before the window.
	Given  bool
	Kernel Kernel
}

// Lags is the window in steps: lags 0 … Lags are searched.
func (in *Input) Lags() int { return len(in.X) / 2 }

// valid says whether the lengths agree and lie within the bounds.
func (in *Input) valid() bool {
	lags := in.Lags()
	return lags >= 1 && lags <= LagsMax && in.Stride >= 1 && in.Stride <= StrideMax &&
		len(in.X) == 2*lags && len(in.ExpectedX) == len(in.X) &&
		len(in.Y)*in.Stride == lags && len(in.ExpectedY) == len(in.Y)
}

// quantumBits is the resolution of a residual against the largest of its
// series. LagsMax products of two residuals summed over a stride stay in 61 bits.
const quantumBits = 25

// Cross holds the integer cross-products of one window, C(lag) = Σ x(t − lag)·y(t)
// over the response's buckets, x summed over the stride. x and y are the
// residuals in integer multiples of a power of two, at most 2^25 of them: so
// the products are centred on the baseline and yet exact, in any order.
type Cross struct {
	x, y         []int32
	products     []int64
	stride       int
	unitX, unitY float64
}

// Load computes all products from the input: (Lags + 1)·buckets multiply-adds.
func (c *Cross) Load(in *Input, s *Scratch) {
	lags := in.Lags()
	c.x, c.y = grow(&c.x, len(in.X)), grow(&c.y, len(in.Y))
	c.products = grow(&c.products, lags+1)
	c.stride = in.Stride
	c.unitX = quantise(c.x, in.X, in.ExpectedX, unit(in.X, in.ExpectedX))
	c.unitY = quantise(c.y, in.Y, in.ExpectedY, unit(in.Y, in.ExpectedY))
	c.direct(s)
}

// moved returns the stimulus summed over the stride from each step on.
func (c *Cross) moved(s *Scratch) []int64 {
	m := grow(&s.moving, len(c.x)-c.stride+1)
	for k := range m {
		sum := int64(0)
		for _, v := range c.x[k : k+c.stride] {
			sum += int64(v)
		}
		m[k] = sum
	}
	return m
}

// direct evaluates every product, four lags at a time: the four sums are
// independent, so the processor overlaps them.
func (c *Cross) direct(s *Scratch) {
	m := c.moved(s)
	lags, stride := len(c.products)-1, c.stride
	lag := 0
	for ; lag+3 <= lags; lag += 4 {
		var p0, p1, p2, p3 int64
		at := lags - lag
		for _, y := range c.y {
			v := int64(y)
			w := m[at-3 : at+1 : at+1]
			p0 += w[3] * v
			p1 += w[2] * v
			p2 += w[1] * v
			p3 += w[0] * v
			at += stride
		}
		c.products[lag], c.products[lag+1], c.products[lag+2], c.products[lag+3] = p0, p1, p2, p3
	}
	for ; lag <= lags; lag++ {
		var p int64
		for j, y := range c.y {
			p += m[lags-lag+j*stride] * int64(y)
		}
		c.products[lag] = p
	}
}

// unit returns the power of two that takes the largest residual into
// (2^24, 2^25], 1 when all are 0.
func unit(counts []int64, expected []float64) float64 {
	largest := 0.0
	for i, n := range counts {
		largest = max(largest, math.Abs(float64(n)-expected[i]))
	}
	if largest == 0 {
		return 1
	}
	fraction, exponent := math.Frexp(largest)
	if fraction == 0.5 {
		exponent--
	}
	return math.Ldexp(1, quantumBits-exponent)
}

func quantise(dst []int32, counts []int64, expected []float64, unit float64) float64 {
	for i, n := range counts {
		dst[i] = quantum(n, expected[i], unit)
	}
	return unit
}

func quantum(n int64, expected, unit float64) int32 {
	return int32(math.RoundToEven((float64(n) - expected) * unit))
}
