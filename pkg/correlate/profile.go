package correlate

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// The kernels searched: delays and half-lives in 288ths of the window, that is
// 0–36 h and 0–24 h of 72 h, 0–14 d and 0–9 d of 28 d.
//
//nolint:gochecknoglobals // tables nobody writes to
var (
	kernelDelays    = [...]int{0, 4, 8, 12, 24, 48, 72, 96, 144}
	kernelHalfLives = [...]int{0, 4, 8, 16, 32, 64, 96}
)

const kernelGrid = 288

// Result is the relation of a stimulus and a response over one window.
type Result struct {
	// Lags is the correlation at lag 0, 1 … Lags steps; empty when a series is
	// flat. It lies in the Scratch.
	Lags []float32
	// BestLag is the lag with the highest correlation, in steps; −1 when none is
	// above 0.
	BestLag         int
	BestCorrelation float64
	// Kernel is the kernel searched with the strongest evidence, Decayed the
	// correlation of the response with the stimulus convolved by it.
	Kernel  Kernel
	Decayed float64
	// EffectiveN is the number of independent observations with the same
	// evidence.
	EffectiveN float64
	// P is the one-sided probability of such evidence in the best kernel when
	// the series are independent; 1 when insufficient.
	P       float64
	Verdict Verdict
	Reason  Reason
}

// Profile evaluates one window from its buckets.
//
// The series are residuals: counts less baseline. The profile is Pearson's
// correlation over the response's buckets at every lag; the stimulus is summed
// over the stride, so lags stay one step apart under an hourly response. The
// decayed correlation takes the stimulus through a Kernel.
//
// Significance. For independent series the correlation has variance
//
//	1/n · Σ_k ρx(k)·ρy(k)
//
// (Bartlett, Some Aspects of the Time-Correlation Problem, 1935, and On the
// Theoretical Specification … of Autocorrelated Time Series, 1946; Box &
// Jenkins, Time Series Analysis, ch. 11), so n_eff = n / max(1, Σ). Here ρx is
// that of the convolved stimulus, got from the stimulus's own by running the
// exponential over it in both directions; sums reach to a third of the window,
// which covers a day (a week of the long window). Fisher's
// u = artanh(r)·√(n_eff − 3) is then close to standard normal.
//
// Search. The kernel is the one with the largest u. Along the delays the u form
// a Gaussian chain whose neighbours correlate by g = Σ ρx(k)ρy(k+q) / Σ ρxρy
// at distance q (Bartlett again). With Φ̄ the upper normal tail, a union bound
// over a first crossing gives, for each half-life,
//
//	P(max > u) ≤ Φ̄(u) + Σ_neighbours min(Φ̄(u), arccos(g)/2π · e^(−u²/2))
//
// (the crossing probability is 2·T(u, tan(arccos(g)/2)) with Owen's T; Davies,
// Hypothesis Testing When a Nuisance Parameter Is Present Only Under the
// Alternative, 1977, for the continuous case). Half-lives add up (Bonferroni).
//
// A kernel that was chosen on other data (Input.Given) is one test, and needs no
// such bound.
//
// It is a screen, and nothing calibrates it. On simulated null pairs it stays below its
// nominal 5 %; on real bursts whose day of the week is aligned it has called 14 % of
// impossible pairs significant. Verdicts rest on the placebos of Choose.
func Profile(in *Input, s *Scratch) Result {
	if !in.valid() {
		return Result{BestLag: -1, P: 1, Reason: ShortHistory}
	}
	s.cross.Load(in, s)
	return s.cross.Profile(in, s)
}

// Profile is like the function, from products that are up to date with the input.
func (c *Cross) Profile(in *Input, s *Scratch) Result {
	res := Result{BestLag: -1, P: 1}
	switch {
	case flat(in.X):
		res.Reason = FlatStimulus
	case flat(in.Y):
		res.Reason = FlatResponse
	}
	if res.Reason != NoReason {
		return res
	}
	w := c.window(s)
	w.lagProfile(&res)
	w.search(in, &res)
	if need := max(SeasonalHoursMin, in.Lags()*in.StepMinutes/60); in.HistoryHours < need {
		res.Reason = ShortHistory
	} else if res.EffectiveN < EffectiveMin && !in.Given || res.EffectiveN < EffectiveGivenMin {
		res.Reason = FewObservations
	}
	switch {
	case res.Reason != NoReason:
		res.P = 1
	case res.P <= Alpha:
		res.Verdict = Significant
	default:
		res.Verdict = NotSignificant
	}
	return res
}

func flat(v []int64) bool {
	for _, n := range v[1:] {
		if n != v[0] {
			return false
		}
	}
	return true
}

// window is one evaluation: the centred series and what is derived from them.
type window struct {
	lags, n, stride int
	x               []float64 // moving-summed stimulus about its mean, by first step
	cross           []float64 // Σ x(t−lag)·y(t)
	meanY, varY     float64   // mean of y, Σ (y − mean)²
	rhoX, rhoY      []float64 // autocorrelation at 0, 1 … buckets
	s               *Scratch
}

func (c *Cross) window(s *Scratch) window {
	m := c.moved(s)
	w := window{lags: len(c.products) - 1, n: len(c.y), stride: c.stride, s: s}
	var sum int64
	for _, v := range m {
		sum += v
	}
	mean := float64(sum) / float64(len(m))
	w.x = grow(&s.floats[0], len(m))
	for k, v := range m {
		w.x[k] = float64(v) - mean
	}
	sum = 0
	for _, v := range c.y {
		sum += int64(v)
	}
	w.meanY = float64(sum) / float64(w.n)
	w.cross = grow(&s.floats[1], w.lags+1)
	for lag, p := range c.products {
		w.cross[lag] = float64(p) - mean*float64(sum)
	}

	reach := w.n / 3
	rho := grow(&s.floats[2], 2*(reach+1))
	w.rhoX, w.rhoY = rho[:reach+1], rho[reach+1:]
	sample := grow(&s.floats[3], 2*w.n)
	for k := range sample {
		sample[k] = w.x[k*w.stride]
	}
	autocorrelation(w.rhoX, sample)
	sample = sample[:w.n]
	for j, v := range c.y {
		sample[j] = float64(v)
	}
	w.varY = autocorrelation(w.rhoY, sample)
	return w
}

// autocorrelation centres v, sets rho to its autocorrelation and returns Σ v².
//
// The sample autocorrelation falls short, since the mean it is taken about
// follows the series: E Σ v² = n·γ(0)·(1 − b) and likewise at each lag, with
// b = Var(mean)/γ(0) ≈ Σ_k ρ(k)/n (Marriott & Pope, Bias in the Estimation of
// Autocorrelations, 1954): r ≈ (ρ − b)/(1 − b). The sample's a = Σ_k r(k)/n is so about
// b/(1 − b), and ρ = (1 − b)·r + b = (r + a)/(1 + a).
func autocorrelation(rho, v []float64) float64 {
	mean := 0.0
	for _, x := range v {
		mean += x
	}
	mean /= float64(len(v))
	total := 0.0
	for i := range v {
		v[i] -= mean
		total += v[i] * v[i]
	}
	if total == 0 {
		clear(rho)
		return 0
	}
	k := 0
	for ; k+3 < len(rho); k += 4 {
		var p0, p1, p2, p3 float64
		a := v[: len(v)-k-3 : len(v)-k-3]
		b := v[k:]
		for i, x := range a {
			q := b[i : i+4 : i+4]
			p0 += x * q[0]
			p1 += x * q[1]
			p2 += x * q[2]
			p3 += x * q[3]
		}
		n := len(a) // the last products of the three shorter lags
		p0 += v[n]*v[n+k] + v[n+1]*v[n+1+k] + v[n+2]*v[n+2+k]
		p1 += v[n]*v[n+1+k] + v[n+1]*v[n+2+k]
		p2 += v[n] * v[n+2+k]
		rho[k], rho[k+1], rho[k+2], rho[k+3] = p0/total, p1/total, p2/total, p3/total
	}
	for ; k < len(rho); k++ {
		sum := 0.0
		for i, x := range v[:len(v)-k] {
			sum += x * v[i+k]
		}
		rho[k] = sum / total
	}
	unbias(rho, len(v))
	return total
}

func unbias(rho []float64, n int) {
	// At the first lag not above 0 what follows is noise (Geyer 1992).
	b := 1.0
	for _, r := range rho[1:] {
		if r <= 0 {
			break
		}
		b += 2 * r
	}
	b = min(b/float64(n), 0.5)
	for k, r := range rho {
		rho[k] = (r + b) / (1 + b)
	}
}

// lagProfile fills in the correlation at every lag and the best one.
func (w *window) lagProfile(res *Result) {
	sums := w.s.windowSums(w.x, w.stride)
	res.Lags = grow(&w.s.profile, w.lags+1)
	for lag := range res.Lags {
		sum, squares := sums.over(w.lags-lag, w.lags)
		r := w.correlation(w.cross[lag], sum, squares)
		res.Lags[lag] = float32(r)
		if r > res.BestCorrelation {
			res.BestLag, res.BestCorrelation = lag, r
		}
	}
}

// correlation returns Pearson's from Σ z·y, Σ z and Σ z²; 0 when z is constant.
func (w *window) correlation(cross, sum, squares float64) float64 {
	varZ := squares - sum*sum/float64(w.n)
	if varZ <= 1e-9*squares || w.varY == 0 {
		return 0
	}
	return max(-1, min(1, (cross-sum*w.meanY)/math.Sqrt(varZ*w.varY)))
}

// sums answers Σ v and Σ v² over every stride-th of consecutive values.
type sums struct {
	first, second []float64 // running sums of the values a stride apart
	stride        int
}

func (s *Scratch) windowSums(v []float64, stride int) sums {
	both := grow(&s.floats[3], 2*len(v))
	p := sums{both[:len(v)], both[len(v):], stride}
	for k, x := range v {
		p.first[k], p.second[k] = x, x*x
		if k >= stride {
			p.first[k] += p.first[k-stride]
			p.second[k] += p.second[k-stride]
		}
	}
	return p
}

// over sums v[from], v[from+stride] … below from+length; what lies before v[0] is 0.
func (p *sums) over(from, length int) (sum, squares float64) {
	last, before := from+length-p.stride, from-p.stride
	sum, squares = p.first[last], p.second[last]
	if before >= 0 {
		sum -= p.first[before]
		squares -= p.second[before]
	}
	return sum, squares
}

// search evaluates the kernels and judges the one with the strongest evidence.
func (w *window) search(in *Input, res *Result) {
	if in.Given {
		w.test(in.Kernel, res)
		return
	}
	best, most, n := math.Inf(-1), 0.0, float64(w.n)
	var angles [len(kernelHalfLives)][len(kernelDelays)]float64
	for h, halfLife := range kernelHalfLives {
		k := Kernel{HalfLife: float64(w.steps(halfLife)), Lags: w.lags}
		// Decaying longer never gains independence; an estimate that says so is noise.
		n = min(n, w.effective(k, &angles[h]))
		most = max(most, n)
		if n < EffectiveMin {
			continue
		}
		d := w.decay(k)
		for _, delay := range kernelDelays {
			k.Delay = w.steps(delay)
			r := d.correlation(k)
			if u := math.Atanh(min(r, 1-1e-15)) * math.Sqrt(n-3); u > best {
				best = u
				res.Kernel, res.Decayed, res.EffectiveN = k, r, n
			}
		}
	}
	if math.IsInf(best, -1) {
		res.EffectiveN = most
		return
	}
	tail := math.Erfc(best/math.Sqrt2) / 2
	density := math.Exp(-best * best / 2)
	p := 0.0
	for h := range angles {
		p += tail
		for _, angle := range angles[h][1:] {
			p += min(tail, angle*density)
		}
	}
	res.P = min(1, p)
}

// test evaluates the one kernel given, after whole steps: nothing is searched.
func (w *window) test(k Kernel, res *Result) {
	var angles [len(kernelDelays)]float64
	k = Kernel{Delay: min(int(math.Round(k.Waits())), w.lags), HalfLife: k.HalfLife, Lags: w.lags}
	n := min(float64(w.n), w.effective(k, &angles))
	res.Kernel, res.EffectiveN = k, n
	d := w.decay(k)
	res.Decayed = d.correlation(k)
	if n < EffectiveGivenMin {
		return
	}
	// Student's t of a correlation: unlike Fisher's z it is exact for few normal
	// observations. P(T > t) is half the regularised incomplete beta function
	// I_x(ν/2, 1/2) at x = ν/(ν + t²) = 1 − r² (Abramowitz & Stegun 26.7.1).
	tail := mathext.RegIncBeta((n-2)/2, 0.5, 1-res.Decayed*res.Decayed) / 2
	res.P = tail
	if res.Decayed < 0 {
		res.P = 1 - tail
	}
}

// steps converts 288ths of the window.
func (w *window) steps(part int) int { return part * w.lags / kernelGrid }

// effective returns n_eff of the correlation with the stimulus decayed by k, and
// for each delay arccos(g)/2π, g the correlation with the delay before.
func (w *window) effective(k Kernel, angles *[len(kernelDelays)]float64) float64 {
	// Decaying runs the autocorrelation through the kernel forwards and backwards.
	decay := math.Pow(k.decay(), float64(w.stride))
	rho := grow(&w.s.floats[4], len(w.rhoX))
	acc := 0.0
	for j := len(rho) - 1; j >= 0; j-- {
		acc = w.rhoX[j] + decay*acc
		rho[j] = acc - w.rhoX[j]
	}
	for j := range rho {
		if j > 0 {
			acc = w.rhoX[j] + decay*acc
		}
		rho[j] += acc
	}
	if rho[0] <= 0 { // what the baseline leaves of the stimulus does not vary
		return 0
	}
	bartlett := product(rho, w.rhoY, 0)
	last := -1
	for d := 1; d < len(kernelDelays); d++ {
		q := (w.steps(kernelDelays[d]) - w.steps(kernelDelays[d-1])) / w.stride
		if q == last { // as the delay before
			angles[d] = angles[d-1]
			continue
		}
		g := 0.0
		if bartlett > 0 {
			g = product(rho, w.rhoY, q) / bartlett
		}
		angles[d] = math.Acos(max(-1, min(1, g))) / (2 * math.Pi)
		last = q
	}
	return float64(w.n) / max(1, bartlett/rho[0])
}

// product returns Σ_k a(k)·b(k+q), q ≥ 0, of two even functions given from 0 on.
func product(a, b []float64, q int) float64 {
	sum := 0.0
	for k := 0; k+q < len(b); k++ {
		sum += a[k] * b[k+q]
	}
	for k := 1; k < min(q, len(a)); k++ {
		if q-k < len(b) {
			sum += a[k] * b[q-k]
		}
	}
	for k := max(q, 1); k < len(a); k++ {
		sum += a[k] * b[k-q]
	}
	return sum
}

// decayed is the stimulus under the infinite exponential of one half-life: z(t)
// = x(t) + decay·z(t−1). A kernel with a delay, cut at Lags, is
// z(t−Delay) − tail·z(t−Lags−1); the same recursion over the lag profile, from
// its end, gives the products with the response.
type decayed struct {
	w        *window
	z        []float64
	sums     sums
	products []float64 // Σ_{l ≥ lag} decay^(l−lag)·cross(l)
}

func (w *window) decay(k Kernel) decayed {
	s, decay := w.s, k.decay()
	d := decayed{w: w, z: grow(&s.floats[4], len(w.x)), products: grow(&s.floats[5], len(w.cross))}
	acc := 0.0
	for t, x := range w.x {
		acc = x + decay*acc
		d.z[t] = acc
	}
	acc = 0
	for lag := w.lags; lag >= 0; lag-- {
		acc = w.cross[lag] + decay*acc
		d.products[lag] = acc
	}
	d.sums = s.windowSums(d.z, w.stride)
	return d
}

// correlation returns the correlation of the response with the stimulus decayed
// by k.
func (d *decayed) correlation(k Kernel) float64 {
	w := d.w
	sum, squares := d.sums.over(w.lags-k.Delay, w.lags)
	if tail := k.tail(); tail > negligible {
		cutSum, cutSquares := d.sums.over(-1, w.lags)
		both := d.product(w.lags + 1 - k.Delay)
		sum -= tail * cutSum
		squares -= tail * (2*both - tail*cutSquares)
	}
	return w.correlation(d.products[k.Delay], sum, squares)
}

// negligible is a weight that no sum of z² resolves.
const negligible = 0x1p-50

// product returns Σ z(t)·z(t+ahead) over the window's buckets moved to just
// before the series, in two independent sums.
func (d *decayed) product(ahead int) float64 {
	stride := d.w.stride
	var even, odd float64
	t, end := stride-1, d.w.lags-1
	for ; t+stride < end; t += 2 * stride {
		even += d.z[t] * d.z[t+ahead]
		odd += d.z[t+stride] * d.z[t+stride+ahead]
	}
	if t < end {
		even += d.z[t] * d.z[t+ahead]
	}
	return even + odd
}
