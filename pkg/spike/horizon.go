package spike

import "math"

// horizon is one exponential average of residuals or plain values, and the tails of how far
// it went.
type horizon struct {
	points   float64
	keep     float64
	gain     float64
	mean     float64
	variance float64
	least    float64 // variance that is believed
	seen     float64
	hold     float64 // what is left of an excursion a point later
	up, down tail
}

// excursionHalfMs is after which time of a lower level the next rise is another
// excursion.
const excursionHalfMs = hourMs / 2

func newHorizon(points int, spacingMs int64, prior float64) horizon {
	doubt := max(doubt, 1/math.Sqrt(float64(points)))
	h := horizon{
		points: float64(points), keep: 1 - 1/float64(points), gain: gain(spacingMs, noiseHalfMs, 20),
		hold: 1 - gain(spacingMs, excursionHalfMs, int64(max(3, points))),
		up:   newTail(spacingMs, doubt, prior), down: newTail(spacingMs, doubt, prior),
	}
	h.variance = 1 / (2*h.points - 1) // of independent residuals
	h.least = h.variance / 2
	return h
}

// average takes a residual in, steps after the last, and returns the average in
// its own deviations.
func (h *horizon) average(residual, steps float64) float64 {
	if h.keep == 0 {
		h.mean = residual
	} else {
		h.mean = h.mean*math.Pow(h.keep, steps) + (1-h.keep)*residual
	}
	h.seen++
	z := h.mean / math.Sqrt(max(h.variance, h.least))
	square := h.mean * h.mean
	if h.seen > WarmUpPoints {
		square = min(square, cut*cut*h.variance)
	}
	h.variance += max(1/h.seen, h.gain) * (square/cutVariance - h.variance)
	return z
}

// step takes a residual in and returns how often, per point, an excursion goes
// as far.
func (h *horizon) step(residual, steps float64) float64 {
	z, hold := h.average(residual, steps), math.Pow(h.hold, steps)
	return min(h.up.step(z, hold), h.down.step(-z, hold))
}
