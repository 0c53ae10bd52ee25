package correlate

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// ProxiesMax bounds the proxies of one report.
const ProxiesMax = 4

// Report is what a platform said of one past period, and what its proxies had
// shown in the same.
type Report struct {
	Total   int64             // units reported
	Proxies [ProxiesMax]int64 // 0 where a proxy was not there, or not all of the time (Gaps)
}

// Nowcast says what a report that is still to come will say, from proxies that
// are there at once. The zero value knows nothing.
type Nowcast struct {
	level  [ProxiesMax]float64     // ln of the units reported per unit of a proxy
	seen   [ProxiesMax]int         // reports behind it
	weight [ProxiesMax]float64     // of each in a mean, 0 for one without a level: 1 over its mean squared error
	errors [1 << ProxiesMax]misses // of the mean of some proxies, by their bits
}

// misses are how far off the nowcasts of one kind were that a report has settled since.
type misses struct {
	squares float64 // of ln(nowcast/report)
	periods int
}

// square is the mean squared error, with the prior's.
func (m *misses) square() float64 {
	return (nowcastPriorPeriods*nowcastPriorError*nowcastPriorError + m.squares) / float64(nowcastPriorPeriods+m.periods)
}

// Prediction is a nowcast's value and its 95 % interval, in units reported.
type Prediction struct {
	Value, Low, High float64
	// Error is the root mean square of ln(nowcast/report) one period ahead, of nowcasts
	// by the same proxies.
	Error float64
}

// Settings of the nowcast.
const (
	// nowcastMemory is the share of the newest report in a ratio: a level with
	// exponential smoothing remembers about two reports.
	nowcastMemory = 0.4
	// The prior of every error: that of one period, as far off as a ratio commonly
	// moves from week to week. With two, the intervals of ratios that move four times as
	// far held in 90 % after four reports.
	nowcastPriorPeriods = 1
	nowcastPriorError   = 0.1
	// nowcastTrials is how often a proxy was off before it is taken beside others: by
	// fewer the error of all would be known so badly that it costs more than it brings.
	nowcastTrials = 3
)

// FitNowcast learns from the reports of past periods of one length, oldest
// first. It knows nothing before the first of them.
//
// Let V be what is reported of a period and P_j what proxy j shows in it. The
// ratio V/P_j drifts slowly (assortment, ad budget, how people search), so
//
//	ln V(i) = l_j(i) + ln P_j(i) + e_j(i)
//
// with a level l_j by exponential smoothing, which is optimal for a random walk
// seen through noise (Muth 1960); the first levels are plain means. Before a
// report is taken in, it is predicted from those before it: so the errors e_j are
// honest ones, one period ahead. The proxies are weighted by the inverse of
// their mean squared errors (Bates & Granger, The Combination of Forecasts,
// 1969, without the correlations, which few periods cannot tell), by the weights of its
// time. The mean of some of them has an error of its own, which says nothing of that of
// others: so it is counted of every choice of proxies, as if no other had been there. Every mean
// square begins with a prior, and one half is added to every count, so that an
// empty period has a logarithm.
func FitNowcast(reports []Report) Nowcast {
	var n Nowcast
	for i := range reports {
		r := &reports[i]
		reported := math.Log(float64(max(0, r.Total)) + 0.5)
		there := n.there(&r.Proxies)
		for mask := there; mask != 0; mask = (mask - 1) & there {
			e := reported - math.Log(n.value(mask, &r.Proxies))
			n.errors[mask].squares += e * e
			n.errors[mask].periods++
		}
		for j, v := range r.Proxies {
			if v <= 0 {
				continue
			}
			n.seen[j]++
			n.level[j] += max(1/float64(n.seen[j]), nowcastMemory) * (reported - math.Log(float64(v)+0.5) - n.level[j])
			n.weight[j] = 1 / n.errors[1<<j].square()
		}
	}
	return n
}

// Known says whether any report was learned from.
func (n *Nowcast) Known() bool { return n.weight != [ProxiesMax]float64{} }

// there returns the proxies that show something and have a level, as bits.
func (n *Nowcast) there(proxies *[ProxiesMax]int64) (mask int) {
	for j, v := range proxies {
		if v > 0 && n.weight[j] > 0 {
			mask |= 1 << j
		}
	}
	return mask
}

// value returns the weighted mean of what some proxies say.
func (n *Nowcast) value(mask int, proxies *[ProxiesMax]int64) float64 {
	var sum, weights float64
	for j, v := range proxies {
		if mask>>j&1 != 0 {
			sum += n.weight[j] * math.Exp(n.level[j]) * (float64(v) + 0.5)
			weights += n.weight[j]
		}
	}
	return sum / weights
}

// off returns the mean squared error of the mean of some proxies, and the periods it
// is known from. Where these were seen together less often than each of them, it is that
// of each at least, on average: no weighted mean is further off than that, by squares of
// logarithms, however they err together, as long as none tells more than e times the
// truth (Jensen: (ln v)² is convex up to there).
func (n *Nowcast) off(mask int) (square float64, periods int) {
	m := &n.errors[mask]
	each, weights, least := 0.0, 0.0, math.MaxInt
	for j, w := range n.weight {
		if mask>>j&1 != 0 {
			each, weights, least = each+1, weights+w, min(least, n.errors[1<<j].periods)
		}
	}
	square = m.square()
	if m.periods < least {
		square = max(square, each/weights)
	}
	return square, m.periods
}

// Ratio returns the units reported per unit of one proxy, 0 when it is unknown.
func (n *Nowcast) Ratio(proxy int) float64 {
	if n.weight[proxy] == 0 {
		return 0
	}
	return math.Exp(n.level[proxy])
}

// Predict returns what a report of a time with these proxies will say, and the
// interval that is to hold it in 95 of 100 cases: Student's, of the logarithm,
// with the degrees of freedom of the error, which is that of these proxies; one that is too
// new is left out where there is another. The counts' own (Poisson's) noise is added, one half
// to every count as before: a time shorter than a report's has more of it. It is false when nothing is known of the proxies that are there.
func (n *Nowcast) Predict(proxies [ProxiesMax]int64) (Prediction, bool) {
	mask, tried := n.there(&proxies), 0
	for j := range proxies {
		if n.errors[1<<j].periods >= nowcastTrials {
			tried |= 1 << j
		}
	}
	if mask&tried != 0 {
		mask &= tried
	}
	if mask == 0 {
		return Prediction{}, false
	}
	var largest int64
	for j, p := range proxies {
		if mask>>j&1 != 0 {
			largest = max(largest, p)
		}
	}
	v := n.value(mask, &proxies)
	square, periods := n.off(mask)
	spread := math.Exp(student(periods) * math.Sqrt(square+1/(v+0.5)+1/(float64(largest)+0.5)))
	return Prediction{v, v / spread, v * spread, math.Sqrt(square)}, true
}

// Share returns which part of a report belongs to a part of its time, in proportion to
// what the proxies show in both (Denton, Adjustment of Monthly or Quarterly Series to
// Annual Totals, 1971): those that are there all of the report's time, and known. It is
// false when there is none.
func (n *Nowcast) Share(part, whole [ProxiesMax]int64) (float64, bool) {
	var some, all float64
	for j, v := range whole {
		if v > 0 && n.weight[j] > 0 {
			some += n.weight[j] * n.Ratio(j) * float64(part[j])
			all += n.weight[j] * n.Ratio(j) * float64(v)
		}
	}
	return max(0, min(1, some/all)), all > 0
}

// Widen returns an interval around value that was known up to low and high in the
// unit of one proxy, in units reported: the relative errors of both sides add in
// squares. That of the ratio is the proxy's own, which may be far worse than that of
// the mean of several.
func (n *Nowcast) Widen(proxy int, value, low, high float64) Prediction {
	ratio := n.Ratio(proxy)
	square, periods := n.off(1 << proxy)
	off := math.Sqrt(square)
	if ratio == 0 || value <= 0 {
		return Prediction{value * ratio, low * ratio, high * ratio, off}
	}
	own := math.Expm1(student(periods) * off)
	return Prediction{
		value * ratio,
		max(0, value-math.Hypot(value-low, value*own/(1+own))) * ratio,
		(value + math.Hypot(high-value, value*own)) * ratio,
		off,
	}
}

// student is the 97.5th percentile of Student's distribution with the degrees of
// freedom of an error that is known from so many periods and the prior.
func student(periods int) float64 {
	df := float64(nowcastPriorPeriods + periods)
	x := mathext.InvRegIncBeta(df/2, 0.5, Alpha)
	return math.Sqrt(df * (1 - x) / x)
}
