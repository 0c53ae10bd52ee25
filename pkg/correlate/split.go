package correlate

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

type remainder struct {
	left  uint64
	index int
}

// weightOne is the integer a weight equal to the sum of all is quantised to:
// all that a float64 resolves.
const weightOne = 1 << 52

// Split divides total among weights in proportion, exactly: Σ out == total for
// any total. Negative, NaN and infinite weights count as 0; when no weight is
// left everything goes to out[0]. len(out) == len(weights) ≥ 1.
//
// It is the method of largest remainders (Hamilton; Balinski & Young, Fair
// Representation, 1982): everybody gets the whole part of his quota, what is
// left goes one by one to the largest fractional parts, ties to the lower
// index. Weights become integers once; quotas are exact 128-bit arithmetic.
func Split(total int64, weights []float64, out []int64, s *Scratch) {
	_ = out[len(weights)-1]
	largest := 0.0
	for _, w := range weights {
		if usable(w) {
			largest = max(largest, w)
		}
	}
	if largest == 0 || total == 0 {
		clear(out)
		out[0] = total
		return
	}
	sum := 0.0
	for _, w := range weights {
		if usable(w) {
			sum += w / largest
		}
	}
	var whole uint64
	for i, w := range weights {
		out[i] = 0
		if usable(w) {
			out[i] = int64(w / largest / sum * weightOne)
		}
		whole += uint64(out[i])
	}
	amount, sign := uint64(total), int64(1)
	if total < 0 {
		amount, sign = -amount, -1
	}
	order := grow(&s.order, len(weights))[:0]
	rest := amount
	for i := range weights {
		hi, lo := bits.Mul64(amount, uint64(out[i]))
		quota, left := bits.Div64(hi, lo, whole)
		out[i] = sign * int64(quota)
		rest -= quota
		if left > 0 {
			order = append(order, remainder{left, i})
		}
	}
	if rest == 0 {
		return
	}
	slices.SortFunc(order, func(a, b remainder) int {
		if a.left != b.left {
			return cmp.Compare(b.left, a.left)
		}
		return cmp.Compare(a.index, b.index)
	})
	for _, r := range order[:rest] {
		out[r.index] += sign
	}
}

func usable(w float64) bool { return w > 0 && w <= math.MaxFloat64 }
