package spike

import (
	"math"
	"testing"
)

// Where nothing follows from the stimulus, however bursty, a probability of at most
// α comes up at most that often.
func TestChanceIsHonest(t *testing.T) {
	const lead, blocks, trials = 23, 39, 4000
	var below [3]float64
	alphas := [3]float64{0.05, 0.2, 0.5}
	for seed := range uint64(trials) {
		r := lots(seed)
		hours, burst := make([]int64, (lead+1)*(blocks+1)+int(seed%11)), 0.0
		for i := range hours {
			if burst *= 0.7; r.Float64() < 0.02 {
				burst += 5000 * math.Pow(r.Float64(), -0.8) // heavy tails
			}
			hours[i] = int64(burst + 100*r.ExpFloat64())
		}
		p := Chance(hours, lead)
		for k, alpha := range alphas {
			if p <= alpha {
				below[k]++
			}
		}
	}
	for k, alpha := range alphas {
		rate := below[k] / trials
		t.Logf("at most %.2f: %.3f", alpha, rate)
		if tolerance := 4 * math.Sqrt(alpha*(1-alpha)/trials); rate > alpha+tolerance || rate < alpha-tolerance-1.0/(blocks+1) {
			t.Errorf("a probability of at most %v comes up in %v of the cases", alpha, rate)
		}
	}
}

func TestChanceComparesWithOtherDays(t *testing.T) {
	month := make([]int64, 30*24)
	for i := range month {
		month[i] = int64(100 + i%24)
	}
	viral := func(days ...int) []int64 {
		out := append([]int64(nil), month...)
		for _, day := range days {
			out[day*24+12] = 5000
		}
		return out
	}
	for name, tc := range map[string]struct {
		hours []int64
		want  float64
	}{
		"a day like any other":             {month, 1},
		"the one viral day":                {viral(29), 1.0 / 30},
		"one of three":                     {viral(3, 17, 29), 3.0 / 30},
		"a viral day long before":          {viral(3), 1},
		"no history before the lead":       {viral(29)[29*24:], 1},
		"less than a lead":                 {month[:5], 1},
		"a block that is not whole before": {viral(29)[11:], 1.0 / 29},
	} {
		if got := Chance(tc.hours, 23); math.Abs(got-tc.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
