package correlate

// gapChance is the probability below which hours without a value are a gap: with a week
// of hours in which they may begin, less than one week in a hundred has one by chance.
const gapChance = 0.01 / weekHours

// Gaps sets gaps, as long as values, to the hours of a proxy in which it was not there,
// as when its feed was down or not yet connected: nothing distinguishes them from those
// in which nothing happened but how rarely so many follow each other.
//
// That a proxy shows nothing in an hour is usual at night, at the weekend, or always where
// there is little of it. So what is usual is learned for each hour of the week by itself.
// If of n other weeks s had nothing in it, then this one has nothing with the probability
//
//	max((s + ½)/(n + 1), share of all hours with nothing)
//
// (the predictive one by Jeffreys' prior, which takes an hour for one that is always silent
// or never; where hours are alike and few weeks known, those on average tell better), and a
// run of hours with the product of theirs. It is a gap where that is below gapChance. Values
// play no part, since bursts have no bound that is known. What was found to be a gap is then
// no week that counts, and all is looked at once more, so that one long gap does not make the
// next one usual.
//
// Of a proxy that shows something in every hour, six hours are seen in three weeks of it
// and four in eight: of three days up to a twentieth passes unseen then, less than a
// nowcast is off. One that is silent a third of the time is seen when nine hours are
// missing, a sparse one after days. Where silent hours follow each other more than this
// assumes, as where on some days the budget is spent by noon, a gap is seen too early: that
// costs a proxy, not the truth.
func Gaps(gaps []bool, values []int64) {
	clear(gaps)
	for range 2 {
		var silent, weeks [weekHours]int
		none, all := 0, 0
		for t, v := range values {
			if gaps[t] {
				continue
			}
			weeks[t%weekHours]++
			all++
			if v == 0 {
				silent[t%weekHours]++
				none++
			}
		}
		share := float64(none) / float64(max(1, all))
		for from := 0; from < len(values); from++ {
			chance, to := 1.0, from
			for ; to < len(values) && values[to] == 0; to++ {
				s, n := silent[to%weekHours], weeks[to%weekHours]
				if !gaps[to] { // others
					s, n = s-1, n-1
				}
				chance *= max((float64(s)+0.5)/float64(n+1), share)
			}
			for t := from; t < to && chance < gapChance; t++ {
				gaps[t] = true
			}
			from = to
		}
	}
}
