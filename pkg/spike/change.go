package spike

import "math"

const (
	// A series wanders when the mean of the last few residuals foretells the next by
	// this part; a weak prior keeps early ones from that.
	wandering      = 0.98
	wanderingPrior = 0.002
)

// change judges a series that wanders, such as a temperature or a price, by its
// steps: there a residual says little, because the level is never long what it was,
// and the same jump that drowns in the wandering stands out against the points just
// before. Series that do not wander are not judged so: every burst of theirs begins
// with a jump, and how far it goes says more.
type change struct {
	recent, level   float64 // exponential means of the last residuals, and of x
	product, square float64 // of recent with the next residual, and with itself
	gain            float64
	horizon         horizon
}

func newChange(x float64, spacingMs int64) change {
	c := change{level: x, gain: gain(spacingMs, noiseHalfMs, 20), horizon: newHorizon(1, spacingMs, residualShape)}
	c.horizon.least = 1e-6 // steps are as small as they are
	return c
}

// average takes a point in.
func (c *change) average(x, residual float64) {
	of, next := max(-cut, min(cut, c.recent)), max(-cut, min(cut, residual))
	c.product += c.gain * (of*next - c.product)
	c.square += c.gain * (of*of - c.square)
	c.recent += (residual - c.recent) / horizonStep
	c.level += (x - c.level) / horizonStep
}

// step takes a point in and returns how often, per point, the series steps as far;
// +Inf when it does not wander, or after a gap.
func (c *change) step(x, residual, steps float64) float64 {
	defer c.average(x, residual)
	if steps > horizonStep {
		return math.Inf(1)
	}
	rate := c.horizon.step(x-c.level, steps)
	if c.product < wandering*(c.square+wanderingPrior) {
		return math.Inf(1)
	}
	return rate
}
