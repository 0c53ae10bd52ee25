package spike

import (
	"math"
	"slices"
)

const (
	// A value is wild that is so many times further from the median than the next one, and than
	// the median from 0: no burst, but an error of units or of a sensor.
	wild = 1000
	// wildMax is one in how many values may be.
	wildMax = 10
)

// tame puts wild values of the warm-up where the furthest of the others is. They are where scale
// and noise start from: one of 1e300 made all that followed look like nothing for ever, as the
// scale of fractions was that of their mean, and the noise of all horizons that of one point.
// Behind the warm-up what one point does is bounded.
func tame(points []point) {
	values := make([]float64, len(points))
	whole := true
	for i, p := range points {
		values[i] = p.value
		whole = whole && p.value == math.Trunc(p.value)
	}
	slices.Sort(values)
	centre := values[len(values)/2]
	off := values
	for i, v := range off {
		off[i] = math.Abs(v - centre)
	}
	slices.Sort(off)
	least := math.Abs(centre)
	if whole {
		least = max(least, 1) // of counts
	}
	for i := len(off) - 1; i > 0 && len(off)-i <= len(off)/wildMax; i-- {
		furthest := off[i-1]
		if usual := max(furthest, least); usual == 0 || off[i]/wild <= usual {
			continue
		}
		for k := range points {
			// Where v − centre overflows, so does off, and the bounds do not.
			points[k].value = max(centre-furthest, min(centre+furthest, points[k].value))
		}
	}
}
