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
	Proxies [ProxiesMax]int64 // 0 where a proxy was not there
}

// Nowcast says what a report that is still to come will say, from proxies that
// are there at once. The zero value knows nothing.
type Nowcast struct {
	level  [ProxiesMax]float64 // ln of the units reported per unit of a proxy
	weight [ProxiesMax]float64 // of each in the sum, 0 for one without a level: 1 over its mean squared error
	count  [ProxiesMax]int     // of the errors behind it, without the prior
	// Error is the root mean square of ln(nowcast/report) one period ahead, over
	// Periods nowcasts that a report has settled since, and the prior.
	Error   float64
	Periods int
}

// Prediction is a nowcast's value and its 95 % interval, in units reported.
type Prediction struct {
	Value, Low, High float64
}

// Settings of the nowcast.
const (
	// nowcastMemory is the share of the newest report in a ratio: a level with
	// exponential smoothing remembers about two reports.
	nowcastMemory = 0.4
	// The prior of every error: that of so many periods, as far off as a ratio
	// commonly moves from week to week.
	nowcastPriorPeriods = 2
	nowcastPriorError   = 0.1
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
// 1969, without the correlations, which few periods cannot tell), and the
// combination has an error of its own, by the weights of its time. Every mean
// square begins with a prior, and one half is added to every count, so that an
// empty period has a logarithm.
func FitNowcast(reports []Report) Nowcast {
	const prior = nowcastPriorPeriods * nowcastPriorError * nowcastPriorError
	var n Nowcast
	var squares, seen [ProxiesMax]float64
	sum := prior
	for i := range reports {
		r := &reports[i]
		reported := math.Log(float64(max(0, r.Total)) + 0.5)
		if p, ok := n.value(&r.Proxies); ok {
			e := reported - math.Log(p)
			sum += e * e
			n.Periods++
		}
		for j, v := range r.Proxies {
			if v <= 0 {
				continue
			}
			ratio := reported - math.Log(float64(v)+0.5)
			if seen[j] > 0 {
				e := ratio - n.level[j]
				squares[j] += e * e
			}
			seen[j]++
			n.level[j] += max(1/seen[j], nowcastMemory) * (ratio - n.level[j])
			n.count[j] = int(seen[j]) - 1
			n.weight[j] = (nowcastPriorPeriods + seen[j] - 1) / (prior + squares[j])
		}
	}
	n.Error = math.Sqrt(sum / float64(nowcastPriorPeriods+n.Periods))
	return n
}

// Known says whether any report was learned from.
func (n *Nowcast) Known() bool { return n.weight != [ProxiesMax]float64{} }

// value returns the weighted mean of what the proxies say.
func (n *Nowcast) value(proxies *[ProxiesMax]int64) (float64, bool) {
	var sum, weights float64
	for j, v := range proxies {
		if v > 0 {
			sum += n.weight[j] * math.Exp(n.level[j]) * (float64(v) + 0.5)
			weights += n.weight[j]
		}
	}
	return sum / weights, weights > 0
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
// with the degrees of freedom of the error. The counts' own (Poisson's) noise is
// added, one half to every count as before: a time shorter than a report's has more of it. It is false when
// nothing is known of the proxies that are there.
func (n *Nowcast) Predict(proxies [ProxiesMax]int64) (Prediction, bool) {
	v, ok := n.value(&proxies)
	if !ok {
		return Prediction{}, false
	}
	var largest int64
	for j, p := range proxies {
		if n.weight[j] > 0 {
			largest = max(largest, p)
		}
	}
	spread := math.Exp(student(n.Periods) * math.Sqrt(n.Error*n.Error+1/(v+0.5)+1/(float64(largest)+0.5)))
	return Prediction{v, v / spread, v * spread}, true
}

// Widen returns an interval around value that was known up to low and high in the
// unit of one proxy, in units reported: the relative errors of both sides add in
// squares. That of the ratio is the proxy's own, which may be far worse than that of
// the combination.
func (n *Nowcast) Widen(proxy int, value, low, high float64) Prediction {
	ratio := n.Ratio(proxy)
	if ratio == 0 || value <= 0 {
		return Prediction{value * ratio, low * ratio, high * ratio}
	}
	own := math.Expm1(student(n.count[proxy]) / math.Sqrt(n.weight[proxy]))
	return Prediction{
		value * ratio,
		max(0, value-math.Hypot(value-low, value*own/(1+own))) * ratio,
		(value + math.Hypot(high-value, value*own)) * ratio,
	}
}

// student is the 97.5th percentile of Student's distribution with the degrees of
// freedom of an error that is known from so many periods and the prior.
func student(periods int) float64 {
	df := float64(nowcastPriorPeriods + periods)
	x := mathext.InvRegIncBeta(df/2, 0.5, Alpha)
	return math.Sqrt(df * (1 - x) / x)
}
