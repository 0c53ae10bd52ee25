package main

import "flywheel/pkg/correlate"

// rule is a way to call tests discoveries: by brand and look.
type rule struct {
	name  string
	calls func(all []looks) [][]bool
}

// rules are those that are compared.
func rules() []rule {
	return []rule{
		{"uncorrected, p ≤ 5 %", func(all []looks) [][]bool {
			return each(all, func(l looks) []bool {
				var calls []bool
				for _, p := range l.normal {
					calls = append(calls, p <= correlate.Alpha)
				}
				return calls
			})
		}},
		{"online, normal tails", func(all []looks) [][]bool {
			return each(all, func(l looks) []bool { return online(l.normal) })
		}},
		{"online", func(all []looks) [][]bool { return each(all, func(l looks) []bool { return online(l.tail) }) }},
		{"online, pooled", pooled},
		{"Benjamini–Yekutieli, each day", yekutieli},
		{"online and Benjamini–Yekutieli", func(all []looks) [][]bool {
			both := yekutieli(all)
			for i, l := range all {
				for d, found := range online(l.tail) {
					both[i][d] = both[i][d] && found
				}
			}
			return both
		}},
	}
}

func each(all []looks, judge func(looks) []bool) [][]bool {
	calls := make([][]bool, len(all))
	for i, l := range all {
		calls[i] = judge(l)
	}
	return calls
}

// online takes the looks at one brand for a sequence.
func online(p []float64) []bool {
	var tally correlate.Tally
	calls := make([]bool, len(p))
	for d, v := range p {
		calls[d] = v <= tally.Level()
		tally = tally.Next(calls[d])
	}
	return calls
}

// relearnDays is how often a prior is learned anew.
const relearnDays = 7

// pooled is online with a prior, as an operator has it who learns every so many days:
// from what the brands have shown so far that were found by this rule.
func pooled(all []looks) [][]bool {
	calls := each(all, func(l looks) []bool { return make([]bool, len(l.tail)) })
	tallies := make([]correlate.Tally, len(all))
	shown := make([]*correlate.Kernel, len(all)) // at the last discovery
	var priors [correlate.Folds]*correlate.Prior
	for d := range all[0].tail {
		if d%relearnDays == 0 {
			var pool correlate.Pool
			for i, kernel := range shown {
				if kernel != nil {
					pool.Learn(name(i), *kernel)
				}
			}
			for fold := range priors {
				priors[fold] = pool.Prior(fold)
			}
		}
		for i := range all {
			e := &all[i].evidence[d]
			found := e.Choose(priors[correlate.Fold(name(i))]).P <= tallies[i].Level()
			tallies[i] = tallies[i].Next(found)
			if calls[i][d] = found; found {
				alone := e.Choose(nil) // a study takes no prior either
				shown[i] = &alone.Kernel
			}
		}
	}
	return calls
}

// yekutieli takes the looks of one day at all brands for a batch.
func yekutieli(all []looks) [][]bool {
	calls := each(all, func(l looks) []bool { return make([]bool, len(l.tail)) })
	day := make([]float64, len(all))
	for d := range all[0].tail {
		for i, l := range all {
			day[i] = l.tail[d]
		}
		for i, q := range correlate.QValues(day, day) {
			calls[i][d] = q <= correlate.FDR
		}
	}
	return calls
}

// score is how a rule did.
type score struct {
	discoveries, wrong int
	// rate is the mean over brands of the share of wrong ones among a brand's
	// discoveries: the false discovery rate of a stream. Ever is the share of brands
	// without an effect of which one was called at any time.
	rate, ever float64
	// power is the share found on the last look, by the size of the effect: 10, 20 and
	// 30 % of the response.
	power [3]float64
	// days is the mean number of days that pass until a brand with an effect is found,
	// from the first look that has seen it; those that never are count until the end.
	days float64
}

// judge compares the calls with the truth: acts says from which look on a brand has an
// effect in what is looked at, none if that is beyond the last.
func judge(calls [][]bool, brands []brand, acts []int) (s score) {
	var sizes [3]float64
	without, with, brandRate := 0, 0, 0.0
	for i, days := range calls {
		found, wrong := 0, 0
		for d, called := range days {
			if called {
				found++
				if d < acts[i] {
					wrong++
				}
			}
		}
		s.discoveries, s.wrong = s.discoveries+found, s.wrong+wrong
		brandRate += float64(wrong) / float64(max(1, found))
		if acts[i] >= len(days) {
			without++
			if found > 0 {
				s.ever++
			}
			continue
		}
		first := acts[i]
		for first < len(days) && !days[first] {
			first++
		}
		s.days += float64(first - acts[i])
		with++
		k := min(2, int(10*brands[i].share+0.5)-1)
		sizes[k]++
		if days[len(days)-1] {
			s.power[k]++
		}
	}
	s.rate = brandRate / float64(len(calls))
	s.ever /= float64(max(1, without))
	s.days /= float64(max(1, with))
	for k := range s.power {
		s.power[k] /= max(1, sizes[k])
	}
	return s
}
