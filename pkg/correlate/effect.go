package correlate

import "math"

// EffectInput is the hourly history an effect is estimated from, oldest first.
type EffectInput struct {
	X         []int64 // stimulus of each hour
	ExpectedX []float64
	Y         []int64 // response of each hour
	ExpectedY []float64
	// Calendar is that of the response; an empty one takes no means out.
	Calendar
	Kernel Kernel // in hours
}

// Effect is the size of a stimulus's effect.
type Effect struct {
	// Beta is the response per unit of stimulus, in all, at least 0.
	Beta float64
	// StandardError is robust to autocorrelation; Low and High bound the nominal
	// 95 % interval, cut at 0.
	StandardError, Low, High float64
	EffectiveN               float64
	Verdict                  Verdict
	Reason                   Reason
}

// Placebo widens the interval by what the search for the kernel is worth: over
// the lags at which there can be no effect, the correlation that the effect was
// found with has the standard deviation Sigma, which is the share
// Sigma/Correlation of the effect. The two parts add in squares. Realised in
// 97 % of 180 planted cases at a nominal 95 %, where the interval of Estimate
// alone realised 7 % (topology's TestIntervalsCoverWhatIsPlanted).
func (e Effect) Placebo(c Choice) Effect {
	if e.Beta <= 0 || c.Correlation <= 0 {
		return e
	}
	half := math.Hypot(e.High-e.Beta, normal95*e.Beta*c.Sigma/c.Correlation)
	e.Low, e.High = max(0, e.Beta-half), e.Beta+half
	e.Verdict = NotSignificant
	if e.Low > 0 {
		e.Verdict = Significant
	}
	return e
}

// normal95 is the 97.5th percentile of the standard normal.
const normal95 = 1.959964

// effectHoursMin is the history beyond the kernel an estimate needs.
const effectHoursMin = 5 * 24

// Estimate regresses the excess response on the excess stimulus convolved by
// the kernel, over the hours the whole kernel has seen:
//
//	y(t) = a + β·z(t) + u(t),  u(t) = φ·u(t−1) + e(t)
//
// A baseline fitted to the response takes with it what the effect adds to its
// weeks and its seasonal bins; a stimulus that keeps that share would make the
// effect too small, by a third where it lasts for days. So the same is taken out
// of both sides: the means of the weeks and of the bins (Frisch & Waugh, Partial
// Time Regressions as Compared with Individual Trends, 1933; Lovell 1963).
//
// One Cochrane–Orcutt step (1949) takes φ from the least-squares residuals and
// whitens both sides; Huber's loss (c = 2, IRLS) bounds what unmodelled bursts
// can do to β. The variance is the sandwich with Bartlett weights of Newey &
// West (A Simple, Positive Semi-Definite … Covariance Matrix, 1987) and
// bandwidth 1.3·√n, prewhitening and HAC together after Andrews & Monahan
// (1992); the interval uses the fixed-b critical value of Kiefer & Vogelsang
// (2005), wider than the normal one, as Lazarus, Lewis, Stock & Watson (2018)
// recommend. It is nominal: it knows neither the kernel's search nor other
// causes. The verdict is NotSignificant where the interval reaches 0.
func Estimate(in *EffectInput, s *Scratch) Effect {
	n := len(in.X)
	start := in.Kernel.Lags
	if len(in.Y) != n || len(in.ExpectedX) != n || len(in.ExpectedY) != n || start < 0 || n-start < effectHoursMin {
		return Effect{Reason: ShortHistory}
	}
	if flat(in.X) {
		return Effect{Reason: FlatStimulus}
	}
	if flat(in.Y) {
		return Effect{Reason: FlatResponse}
	}
	x := grow(&s.floats[0], n)
	for t := range x {
		x[t] = float64(in.X[t]) - in.ExpectedX[t]
	}
	z := grow(&s.floats[1], n)
	in.Kernel.Convolve(z, x)
	z = z[start:]
	n -= start
	y := grow(&s.floats[2], n)
	for t := range y {
		y[t] = float64(in.Y[start+t]) - in.ExpectedY[start+t]
	}
	weight := grow(&s.floats[3], n)
	for t := range weight {
		weight[t] = 1
	}
	in.within(z, start, s)
	in.within(y, start, s)
	fit := regress(z, y, weight)
	if fit.szz <= 0 {
		return Effect{Reason: FlatStimulus}
	}
	var cross, own float64
	for t := 1; t < n; t++ {
		before, now := fit.residual(z[t-1], y[t-1]), fit.residual(z[t], y[t])
		cross += before * now
		own += before * before
	}
	if own > 0 {
		phi := max(-0.97, min(0.97, cross/own))
		for t := n - 1; t > 0; t-- {
			z[t] -= phi * z[t-1]
			y[t] -= phi * y[t-1]
		}
		z, y, weight = z[1:], y[1:], weight[1:]
		n--
	}
	residual := grow(&s.floats[4], n)
	for range iterations {
		fit = regress(z, y, weight)
		if fit.szz <= 0 {
			return Effect{Reason: FlatStimulus}
		}
		for t := range residual {
			residual[t] = math.Abs(fit.residual(z[t], y[t]))
		}
		copy(weight, residual)
		sigma := madToSigma * median(weight)
		for t, r := range residual {
			weight[t] = 1
			if sigma > 0 && r > huberC*sigma {
				weight[t] = huberC * sigma / r
			}
		}
	}
	return fit.effect(z, y, weight, residual)
}

// within takes the mean of each week, each seasonal bin, each day of the week and
// each kind of declared time out of v, by turns; v begins with an hour of the history.
func (in *EffectInput) within(v []float64, from int, s *Scratch) {
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

// line is a weighted regression line.
type line struct {
	meanZ, meanY, szz, slope float64
}

func regress(z, y, weight []float64) line {
	var w, sz, sy float64
	for t := range z {
		w += weight[t]
		sz += weight[t] * z[t]
		sy += weight[t] * y[t]
	}
	l := line{meanZ: sz / w, meanY: sy / w}
	var szy float64
	for t := range z {
		d := z[t] - l.meanZ
		l.szz += weight[t] * d * d
		szy += weight[t] * d * y[t]
	}
	l.slope = szy / l.szz
	return l
}

func (l line) residual(z, y float64) float64 { return y - l.meanY - l.slope*(z-l.meanZ) }

// effect judges the final fit; score is room for n values.
func (l line) effect(z, y, weight, score []float64) Effect {
	n := len(z)
	var bread float64 // Σ ψ'(r)·(z−z̄)²: clipped residuals carry no information
	for t := range z {
		d := z[t] - l.meanZ
		score[t] = weight[t] * l.residual(z[t], y[t]) * d
		if weight[t] == 1 {
			bread += d * d
		}
	}
	variance, white, bandwidth := longRun(score)
	if bread <= 0 || variance <= 0 {
		return Effect{Reason: FewObservations}
	}
	e := Effect{StandardError: math.Sqrt(variance) / bread, EffectiveN: float64(n) * white / variance}
	if e.EffectiveN < EffectiveMin {
		return Effect{EffectiveN: e.EffectiveN, Reason: FewObservations}
	}
	b := float64(bandwidth) / float64(n)
	critical := 1.96 + 2.9694*b + 0.4160*b*b - 0.5324*b*b*b
	e.Beta = max(0, l.slope)
	e.Low = max(0, l.slope-critical*e.StandardError)
	e.High = max(0, l.slope+critical*e.StandardError)
	e.Verdict = NotSignificant
	if e.Low > 0 {
		e.Verdict = Significant
	}
	return e
}

// longRun returns the variance of the sum of a score, with Bartlett's weights (Newey
// & West 1987) and the bandwidth 1.3·√n, and that of independent hours, white, which
// it is not below: negative autocorrelation is not relied on.
func longRun(score []float64) (variance, white float64, bandwidth int) {
	n := len(score)
	bandwidth = min(n/2, int(math.Ceil(1.3*math.Sqrt(float64(n)))))
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
	return max(variance, white), white, bandwidth
}
