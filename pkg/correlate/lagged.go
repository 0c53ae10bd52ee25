package correlate

import "math"

// Lagged is the lag profile of a pair: how what is new in the response correlates
// with what was new in the stimulus so many steps before, the stimulus decayed by
// the kernel's half-life.
type Lagged struct {
	// Correlation is that at lag 0, 1 … Lags steps; nil when a series is flat.
	Correlation []float64
	// StandardError is Bartlett's, of a correlation of independent series with the
	// autocorrelation of these.
	StandardError float64
	// BestLag is the lag with the highest correlation, −1 for none above 0. Where
	// there is an effect, it is looked for around its kernel's delay.
	BestLag int
	// PNaive is what a plain correlation of the excesses at its best lag says: as
	// if the steps were independent, and no other lag had been looked at.
	// PAutocorrelation takes autocorrelation and the search of the lags into account.
	PNaive, PAutocorrelation float64
}

// lagged returns the lag profile for a half-life in steps.
func lagged(p *Pair, halfLife float64, m *memory) Lagged {
	defer m.release(m.at)
	l := Lagged{BestLag: -1, PNaive: 1, PAutocorrelation: 1}
	n := len(p.Y)
	x, presentX, y, presentY := m.floats(n), m.floats(n), m.floats(n), m.floats(n)
	known(x, presentX, p.X)
	known(y, presentY, p.Y)
	if n < 3 || p.Lags >= n-2 || steady(x, presentX) || steady(y, presentY) {
		return l
	}
	groups, expected := p.groupings(), m.floats(n)
	excess := func(v, present []float64) {
		factors(expected, v, present, sparseSize(v, present, smallPart, m), groups, m)
		for t := range v {
			v[t] = present[t] * (v[t] - expected[t])
		}
		newCentring(groups, present, m).apply(v)
	}
	excess(x, presentX)
	excess(y, presentY)
	plain := crossCorrelation(x, y, p.Lags)
	if best := highest(plain); best >= 0 {
		l.PNaive = upperNormal(math.Atanh(min(plain[best], 1-1e-15)) * math.Sqrt(float64(n-3)))
	}
	decay, acc := Kernel{HalfLife: halfLife}.decay(), 0.0
	for t, v := range x {
		acc = v + decay*acc
		x[t] = acc
	}
	bounded, phi := m.floats(n), m.floats(responseOrder)
	bound(bounded, y, presentY, outlier, 0, m)
	yuleWalker(phi, bounded)
	whiteX, whiteY := m.floats(n), bounded
	filter(whiteX, x, phi)
	filter(whiteY, y, phi)
	bound(whiteY, whiteY, presentY, outlier, 0, m)
	x, y = whiteX, whiteY
	l.Correlation = crossCorrelation(x, y, p.Lags)
	l.BestLag = highest(l.Correlation)
	l.judge(x, y, p.Lags)
	return l
}

// upperNormal is the probability that a standard normal is at least u.
func upperNormal(u float64) float64 { return math.Erfc(u/math.Sqrt2) / 2 }

// highest returns the index of the highest value above 0, −1 for none.
func highest(v []float64) int {
	at, most := -1, 0.0
	for i, x := range v {
		if x > most {
			at, most = i, x
		}
	}
	return at
}

// near takes for the best lag the highest of those around a delay that is known.
func (l *Lagged) near(delay, reach int) {
	from, to := max(0, delay-reach), min(len(l.Correlation), delay+reach+1)
	if from < to {
		if best := highest(l.Correlation[from:to]); best >= 0 {
			l.BestLag = from + best
		}
	}
}

// crossCorrelation returns Σ x(t−lag)·y(t) / √(Σx²·Σy²) of lags 0 … lags: x and y
// have mean 0, and what lies outside is left out, so that far lags shrink as the
// sample does (Box & Jenkins, ch. 11).
func crossCorrelation(x, y []float64, lags int) []float64 {
	n := len(x)
	f := newSpectrum(n)
	m := f.products(f.transform(nil, x), f.transform(nil, y))
	var xx, yy float64
	for t := range x {
		xx += x[t] * x[t]
		yy += y[t] * y[t]
	}
	r := make([]float64, lags+1)
	if scale := math.Sqrt(xx * yy); scale > 0 {
		for lag := range r {
			r[lag] = m[lag] / scale
		}
	}
	return r
}

// judge fills in the standard error and the probabilities.
func (l *Lagged) judge(x, y []float64, lags int) {
	n := len(x)
	const reachMax = 300 // of what is whitened, nothing is left beyond
	reach := min(n/3, max(lags, 2), reachMax) + 1
	rhoX, rhoY := make([]float64, reach), make([]float64, reach)
	autocorrelation(rhoX, append([]float64(nil), x...))
	autocorrelation(rhoY, append([]float64(nil), y...))
	bartlett := product(rhoX, rhoY, 0)
	l.StandardError = math.Sqrt(max(1, bartlett) / float64(n))
	if l.BestLag < 0 {
		return
	}
	// A first crossing along the lags, as in Profile.
	u := l.Correlation[l.BestLag] / l.StandardError
	angle := math.Acos(max(-1, min(1, product(rhoX, rhoY, 1)/max(1, bartlett)))) / (2 * math.Pi)
	tail := upperNormal(u)
	l.PAutocorrelation = min(1, tail+float64(lags)*min(tail, angle*math.Exp(-u*u/2)))
}
