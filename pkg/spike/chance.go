package spike

import "slices"

// Chance returns the probability that a stimulus as strong as the one before an
// episode comes up there by chance: hours are its hourly counts, oldest first, and
// the last is the hour in which the episode starts; lead is how many hours before
// that may be its reason. The strongest hour of the lead is compared with placebos,
// the strongest hours of the blocks of as many hours before it. With a lead of a day each
// holds every hour of the day, one of them twice:
//
//	p = (1 + placebos that are no weaker) / (1 + placebos)
//
// If the start has nothing to do with the stimulus, the lead is a block like any
// other, and p is at most α with a probability of at most α (Phipson & Smyth,
// Permutation P-values Should Never Be Zero, 2010). Placebos hold earlier spikes as
// well: of a brand of which a post goes viral every third day, one more is no
// evidence. Nothing is assumed of the counts' distribution, so p is never below 1 in
// the number of blocks: what says more has to come from many episodes together.
func Chance(hours []int64, lead int) float64 {
	block := lead + 1
	if len(hours) < block {
		return 1
	}
	own := slices.Max(hours[len(hours)-block:])
	all, atLeast := 1, 1
	for end := len(hours) - block; end >= block; end -= block {
		all++
		if slices.Max(hours[end-block:end]) >= own {
			atLeast++
		}
	}
	return float64(atLeast) / float64(all)
}
