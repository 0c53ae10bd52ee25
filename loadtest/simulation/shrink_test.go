package simulation

import "slices"

// shrinksMax bounds how many plans are tried to make one smaller.
const shrinksMax = 600

// shrink leaves out of a plan what it does not need to fail, by delta debugging:
// ever smaller parts of the steps, until no single one can go.
func shrink(p *plan, fails func(*plan) bool) *plan {
	tries := 0
	without := func(p *plan, from, to int) *plan {
		smaller := *p
		smaller.steps = slices.Concat(p.steps[:from], p.steps[to:])
		return &smaller
	}
	for size := len(p.steps) / 2; size > 0; {
		progress := false
		for from := len(p.steps) - size; from > -size && tries < shrinksMax; from -= size {
			at := max(0, from)
			tries++
			if smaller := without(p, at, min(at+size, len(p.steps))); fails(smaller) {
				p, progress = smaller, true
			}
		}
		if tries >= shrinksMax {
			break
		}
		if !progress || size > len(p.steps) {
			if size == 1 {
				break
			}
			size = max(1, size/2)
		}
	}
	return p
}
