package correlate

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// Choice is the kernel that a history speaks for.
type Choice struct {
	Kernel Kernel // in hours
	// Z is the largest correlation of any kernel in standard deviations of its
	// placebo.
	Z float64
	// P is the probability of such a Z in the best kernel without an effect, which
	// holds far below Alpha too, where the levels of a control over many tests lie; 1
	// when there is no evidence.
	P       float64
	Verdict Verdict
	Reason  Reason

	sight sight
}

// placeboHoursMin is the least number of lags a placebo distribution rests on.
const placeboHoursMin = 96

// placeboLags is about how many lags of a longer history are taken: neighbours
// say little more.
const placeboLags = 192

// winsorZ bounds what one hour of the whitened response may contribute.
const winsorZ = 4.0

// Choose searches the kernels over an hourly history, typically of weeks. The
// kernel of the input says only how far an effect reaches (Lags).
//
// Both sides are residuals, whitened by the response's autocorrelation at one
// hour, the response bounded at four robust standard deviations. For a half-life
// h let r_h(l) be the circular correlation of the response with the stimulus
// decayed by h, at lag l. At the delays of the grid an effect shows in it. At
// lags beyond the window, in either direction, none can: there it is a placebo,
// with the series' own autocorrelation, season and bursts, and
//
//	σ_h² = mean of r_h(l)² over Lags + delay < l < n − Lags
//
// is the variance that Bartlett's formula estimates from autocorrelations, here
// taken from the series themselves (a randomisation by shifts; Ljung & Box would
// divide by n). Z = max r_h(l)/σ_h over half-lives and delays.
//
// Far below Alpha r/σ_h is not normal. It is a sum in which a few bursts decide: for
// independent values its kurtosis exceeds 3 by (κ_y·κ_z − 3)/n, κ being that of
// either side, which is that of Student's t with 4 + 6n/(κ_y·κ_z − 3) degrees of
// freedom. And σ_h is taken from few independent lags, m = count/(1 + 2Σρ²) of
// them, ρ being the autocorrelation of the placebo (Satterthwaite 1946; Bartlett). P is
// Bonferroni's bound with Student's t, one over whose degrees of freedom is the sum of
// both; it is above the truth since neighbouring kernels are correlated. On 30 000 null pairs of two to five weeks, of five kinds, it is at most 1e-3 in
// 0.63 and at most 1e-4 in 1.3 times as many as it says, on the burstiest kind in 1.5
// times; by normal tails it would be in 9 and 35 times as many.
//
// The kernel is the one with the largest r: of all it leaves least of the
// whitened response unexplained, so it is the likeliest under normal errors. The
// largest r/σ would prefer short half-lives: an effect that lasts shows at lags
// beyond the window too, as far as posts follow each other, and widens σ.
//
// What confounders may have added is taken out of the whitened response, each of their
// lags by a coefficient of its own (around). Only the response is freed of it: so at the
// lags of an effect the part of the stimulus that confounders made adds nothing to r,
// while at those of the placebo it still adds to σ, which errs on the safe side.
//
// A prior (nil is none) gives each kernel its own share of the level, and the kernel is
// then the one with the largest weight once the history is seen; see Prior.
func Choose(in *Hourly, prior *Prior, s *Scratch) Choice {
	e := Weigh(in, s)
	return e.Choose(prior)
}

// Evidence is what a history says of each of the kernels, before anybody says which of
// them to expect.
type Evidence struct {
	none Choice // where there is none, why
	n    float64
	lags int
	r    [Kernels]float64 // correlation of the whitened sides
	// The same as in Choice.sight, which is read less often.
	size, sigma, freedom [len(kernelHalfLives)]float64
}

// Weigh returns what Choose judges.
func Weigh(in *Hourly, s *Scratch) (e Evidence) {
	n := len(in.X)
	e.n, e.lags, e.none.P = float64(n), in.Kernel.Lags, 1
	switch {
	case len(in.Y) != n || len(in.ExpectedX) != n || len(in.ExpectedY) != n || in.short():
		e.none.Reason = ShortHistory
	case flat(in.X):
		e.none.Reason = FlatStimulus
	case flat(in.Y):
		e.none.Reason = FlatResponse
	}
	if e.none.Reason != NoReason {
		return e
	}
	which := in.Confounding(s)
	y := grow(&s.floats[0], n)
	x := grow(&s.floats[1], n)
	above(y, in.Y, in.ExpectedY)
	above(x, in.X, in.ExpectedX)
	odds := max(0, float64(sum(in.Y))/float64(max(1, sum(in.X)))) // an effect as large as the response
	e.weigh(in, which, odds, s)
	return e
}

// lastDelay returns the longest delay that is searched within so many lags.
func lastDelay(lags int) int { return lags * kernelDelays[len(kernelDelays)-1] / kernelGrid }

// short says whether too few lags are left for a placebo.
func (in *Hourly) short() bool {
	return len(in.Y)-2*in.Kernel.Lags-lastDelay(in.Kernel.Lags) < placeboHoursMin
}

// above sets dst to by how much counts are above what is expected.
func above(dst []float64, counts []int64, expected []float64) {
	for t := range dst {
		dst[t] = float64(counts[t]) - expected[t]
	}
}

// weigh weighs what is above the expected of both sides, which s.floats hold: the
// response and the stimulus. Some of the confounders are taken out.
func (e *Evidence) weigh(in *Hourly, which []int, odds float64, s *Scratch) {
	n, lags := len(in.Y), e.lags
	last := lastDelay(lags)
	y, x := grow(&s.floats[0], n), grow(&s.floats[1], n)
	phi := whiten(y)
	others := in.confounders(which, phi)
	others.explain(y, true)
	winsorise(y, grow(&s.floats[2], n))
	others.explain(y, true)
	height := normalise(y)
	if height == 0 {
		e.none.Reason = FlatResponse
		return
	}
	kurtosis := fourth(y)
	z := grow(&s.floats[3], 2*n)
	varies := false
	for h, part := range kernelHalfLives {
		k := Kernel{HalfLife: float64(part * lags / kernelGrid), Lags: lags}
		decayCircular(z[:n], x, k.decay())
		whitenBy(z[:n], phi)
		length := normalise(z[:n])
		if length == 0 {
			continue
		}
		copy(z[n:], z[:n])
		left := 1 - others.explain(z[:n], false) // of the stimulus's square, beside the confounders
		placebo, squares := s.floats[4][:0], 0.0
		for l := lags + last + 1; l < n-lags; l += max(1, (n-2*lags-last)/placeboLags) {
			r := shifted(y, z, l)
			squares += r * r
			placebo = append(placebo, r)
		}
		s.floats[4] = placebo
		sigma := math.Sqrt(squares / float64(len(placebo)))
		e.size[h], e.sigma[h] = left*odds*k.norm()*length/height, sigma
		e.freedom[h] = freedom(placebo, kurtosis, fourth(z[:n]), n)
		for i, delay := range kernelDelays {
			e.r[h*len(kernelDelays)+i] = shifted(y, z, delay*lags/kernelGrid)
		}
		varies = varies || sigma > 0
	}
	if !varies {
		e.none.Reason = FlatStimulus
	}
}

// Choose judges the evidence by a prior, nil for none; see the function.
func (e *Evidence) Choose(prior *Prior) Choice {
	if e.none.Reason != NoReason {
		return e.none
	}
	best := Choice{P: 1, Z: math.Inf(-1), sight: sight{prior: prior}}
	weight := math.Inf(-1)
	for h, sigma := range e.sigma {
		if sigma == 0 {
			continue
		}
		best.sight.size[h], best.sight.sigma[h], best.sight.freedom[h] = float32(e.size[h]), float32(sigma), float32(e.freedom[h])
		most := math.Inf(-1)
		for i := range kernelDelays {
			k := h*len(kernelDelays) + i
			z, likely := e.r[k]/sigma, e.r[k]
			if prior != nil { // of white noise, n·r²/2 is the gain in log-likelihood
				likely = e.n*likely*math.Abs(likely)/2 + math.Log(prior[k])
				if z > 0 {
					best.P = min(best.P, studentTail(z, e.freedom[h])/prior[k])
				}
			}
			if likely > weight {
				best.Kernel, weight = kernelAt(k, e.lags), likely
			}
			most = max(most, z)
		}
		if prior == nil && most > 0 { // the tails of all others are larger
			best.P = min(best.P, float64(Kernels)*studentTail(most, e.freedom[h]))
		}
		best.Z = max(best.Z, most)
	}
	best.Verdict = NotSignificant
	if best.P <= Alpha {
		best.Verdict = Significant
	}
	return best
}

func sum(v []int64) (total int64) {
	for _, x := range v {
		total += x
	}
	return total
}

// fourth returns the kurtosis of a normalised series.
func fourth(v []float64) float64 {
	total := 0.0
	for _, x := range v {
		total += x * x * x * x
	}
	return total * float64(len(v))
}

// freedom returns the degrees of freedom of a correlation over the root of the mean
// square of its placebo, n being those of the series; see Choose.
func freedom(placebo []float64, kurtosisY, kurtosisZ float64, n int) float64 {
	own := 0.0
	for _, r := range placebo {
		own += r * r
	}
	lags := 1.0
	for k := 1; k < len(placebo); k++ {
		cross := 0.0
		for i, r := range placebo[k:] {
			cross += r * placebo[i]
		}
		if cross <= 0 {
			break
		}
		lags += 2 * (cross / own) * (cross / own)
	}
	bursts := 4 + 6*float64(n)/max(kurtosisY*kurtosisZ-3, 1e-9)
	return 1 / (1/bursts + lags/float64(len(placebo)))
}

// studentTail returns P(T > t) for t > 0: half of I_x(ν/2, 1/2) at x = ν/(ν + t²)
// (Abramowitz & Stegun 26.7.1).
func studentTail(t, freedom float64) float64 {
	return mathext.RegIncBeta(freedom/2, 0.5, freedom/(freedom+t*t)) / 2
}

// shifted returns Σ y(t)·z(t−lag), circular; z stands twice.
func shifted(y, z []float64, lag int) float64 {
	n := len(y)
	w := z[n-lag : 2*n-lag]
	var even, odd float64
	t := 0
	for ; t+1 < n; t += 2 {
		even += y[t] * w[t]
		odd += y[t+1] * w[t+1]
	}
	if t < n {
		even += y[t] * w[t]
	}
	return even + odd
}

// decayCircular sets z(t) = x(t) + decay·z(t−1), with z before the first that
// after the last.
func decayCircular(z, x []float64, decay float64) {
	acc := 0.0
	for range 2 { // the second time it starts with what the first has left
		for t, v := range x {
			acc = v + decay*acc
			z[t] = acc
		}
	}
}

// whiten takes the autocorrelation at one step out of v and returns it.
func whiten(v []float64) float64 {
	mean := 0.0
	for _, x := range v {
		mean += x
	}
	mean /= float64(len(v))
	var cross, own float64
	for t := range v {
		v[t] -= mean
		own += v[t] * v[t]
		if t > 0 {
			cross += v[t] * v[t-1]
		}
	}
	if own == 0 {
		return 0
	}
	phi := max(-0.97, min(0.97, cross/own))
	whitenBy(v, phi)
	return phi
}

// whitenBy sets v(t) to v(t) − phi·v(t−1), circular.
func whitenBy(v []float64, phi float64) {
	before := v[len(v)-1]
	for t, x := range v {
		v[t] = x - phi*before
		before = x
	}
}

// winsorise bounds v at winsorZ robust standard deviations, where there are any.
func winsorise(v, room []float64) {
	for t, x := range v {
		room[t] = math.Abs(x)
	}
	limit := winsorZ * madToSigma * median(room)
	if limit == 0 {
		return
	}
	for t, x := range v {
		v[t] = max(-limit, min(limit, x))
	}
}

// normalise takes the mean out of v and scales it to length 1; 0 when v is
// constant.
func normalise(v []float64) float64 {
	mean := 0.0
	for _, x := range v {
		mean += x
	}
	mean /= float64(len(v))
	squares := 0.0
	for t := range v {
		v[t] -= mean
		squares += v[t] * v[t]
	}
	length := math.Sqrt(squares)
	if length == 0 {
		return 0
	}
	for t := range v {
		v[t] /= length
	}
	return length
}
