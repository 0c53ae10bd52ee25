package correlate

import "math"

// Hourly is the hourly history of a stimulus and a response, oldest first.
type Hourly struct {
	X         []int64 // stimulus of each hour
	ExpectedX []float64
	Y         []int64 // response of each hour
	ExpectedY []float64
	// Confounders are other stimuli that may act on both, less what is expected of them;
	// 0 where nothing is known.
	Confounders [][]float64
	// Calendar is that of the response; an empty one takes no means out.
	Calendar
	Kernel Kernel // in hours
}

// within takes the mean of each week, each seasonal bin, each day of the week and
// each kind of declared time out of v, by turns; v begins with an hour of the history.
//
// A baseline fitted to the response takes with it what the effect adds to its weeks
// and its seasonal bins; a stimulus that keeps that share would make the effect too
// small, by a third where it lasts for days. So the same is taken out of both sides
// (Frisch & Waugh, Partial Time Regressions as Compared with Individual Trends, 1933;
// Lovell 1963).
func (in *Hourly) within(v []float64, from int, s *Scratch) {
	const sweeps = 4
	n := len(v)
	if len(in.Bins) != from+n {
		return
	}
	weeks := max(1, (n+weekHours/2)/weekHours)
	room := grow(&s.floats[5], 2*(weeks+Bins+weekdays+Declarations))
	sums, counts := room[:len(room)/2], room[len(room)/2:]
	groups := []func(t int) int{
		func(t int) int { return min((n-1-t)/weekHours, weeks-1) },
		func(t int) int { return weeks + int(in.Bins[from+t]) },
	}
	if len(in.Days) == from+n && from+n >= weekdayHoursMin {
		groups = append(groups, func(t int) int { return weeks + Bins + int(in.Days[from+t]) })
	}
	if len(in.Declared) == from+n {
		groups = append(groups, func(t int) int { return weeks + Bins + weekdays + int(in.Declared[from+t]) })
	}
	for range sweeps {
		for _, group := range groups {
			clear(sums)
			clear(counts)
			for t, x := range v {
				sums[group(t)] += x
				counts[group(t)]++
			}
			for t := range v {
				v[t] -= sums[group(t)] / counts[group(t)]
			}
		}
	}
}

// longRun returns the variance of the sum of a score, with Bartlett's weights (Newey
// & West 1987) and the bandwidth 1.3·√n. It is not below that of independent hours:
// negative autocorrelation is not relied on.
func longRun(score []float64) float64 {
	n := len(score)
	bandwidth := min(n/2, int(math.Ceil(1.3*math.Sqrt(float64(n)))))
	white, variance := 0.0, 0.0
	for k := range bandwidth {
		sum := 0.0
		for t := k; t < n; t++ {
			sum += score[t] * score[t-k]
		}
		if k == 0 {
			white, variance = sum, sum
			continue
		}
		variance += 2 * (1 - float64(k)/float64(bandwidth)) * sum
	}
	return max(variance, white)
}
