package correlate

import "math"

// halfLives are the half-lives searched, in 72nds of the window: from nothing to
// 32 h of 72 h, at most a factor of 3/2 apart from 2 h on.
//
//nolint:gochecknoglobals // a table nobody writes to
var halfLives = [...]float64{0, 0.5, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32}

// halfLifeParts is how many parts of the window halfLives counts in.
const halfLifeParts = 72

// delayPrior is the exponent of the prior weight of a delay, (1 + 12·delay/window)
// to the −delayPrior: an effect after six hours has half the odds of one at once.
const delayPrior = 0.5

// atom is one kernel of a dictionary.
type atom struct {
	Kernel
	half       int // index of its half-life
	gain, tail float64
	prior      float64 // twice the logarithm of its prior weight
	own        float64 // Σ z², z the stimulus through the kernel
}

// dictionary is a whitened stimulus through all kernels searched. A kernel is two
// reads of the stimulus decayed without end, r, less the means that a baseline of
// the response takes out of it (Frisch & Waugh 1933; a delay moves the borders of
// the weeks a little, which is let pass): z(t) = gain·(r(t−delay) −
// tail·r(t−lags−1)). So the products with a response, of all delays and at all
// shifts, come from one Fourier transform for each half-life.
type dictionary struct {
	n, lags int
	freq    *spectrum
	decayed [][]float64    // the stimulus decayed, less the means a baseline takes, by half-life
	white   [][]float64    // the same, whitened
	spectra [][]complex128 // of that
	mutual  [][][]float64  // their cross-products, as they are asked for
	atoms   []atom
}

// decays is a stimulus decayed without end by each half-life, less the means.
type decays struct {
	lags   int
	freq   *spectrum
	halves []int // half-lives in steps
	series [][]float64
}

func newDecays(x []float64, groups []*grouping, lags int) *decays {
	n := len(x)
	all, last := make([]float64, n), -1
	for t := range all {
		all[t] = 1
	}
	d := &decays{lags: lags, freq: newSpectrum(n)}
	for _, part := range halfLives {
		h := int(math.Round(part * float64(lags) / halfLifeParts))
		if h == last {
			continue
		}
		last = h
		decay, acc, r := Kernel{HalfLife: h}.decay(), 0.0, make([]float64, n)
		for t, v := range x {
			acc = v + decay*acc
			r[t] = acc
		}
		centre(r, all, groups)
		d.halves, d.series = append(d.halves, h), append(d.series, r)
	}
	return d
}

// dictionary whitens the decayed stimuli.
func (s *decays) dictionary(phi []float64) *dictionary {
	d := &dictionary{n: s.freq.n, lags: s.lags, freq: s.freq, decayed: s.series}
	for i, h := range s.halves {
		white := filter(s.series[i], phi)
		d.white = append(d.white, white)
		for delay := 0; delay <= s.lags; delay += max(1, h/8) {
			k := Kernel{delay, h, s.lags}
			d.atoms = append(d.atoms, atom{
				Kernel: k, half: i, gain: k.norm(), tail: k.tail(),
				prior: -2 * delayPrior * math.Log1p(12*float64(delay)/float64(s.lags)),
			})
		}
		d.spectra = append(d.spectra, d.freq.transform(white))
	}
	d.mutual = make([][][]float64, len(d.spectra))
	for h := range d.mutual {
		d.mutual[h] = make([][]float64, len(d.spectra))
	}
	for i := range d.atoms {
		d.atoms[i].own = d.gram(i, i)
	}
	return d
}

// read sets dst to beta times the stimulus through a kernel, read from the decayed
// stimuli.
func (d *dictionary) read(dst []float64, decayed [][]float64, at int, beta float64) {
	a := &d.atoms[at]
	r, gain := decayed[a.half], beta*a.gain
	for t := range dst {
		z := 0.0
		if s := t - a.Delay; s >= 0 {
			z = r[s]
		}
		if s := t - d.lags - 1; s >= 0 {
			z -= a.tail * r[s]
		}
		dst[t] = gain * z
	}
}

// gram returns Σ z_i(t)·z_j(t).
func (d *dictionary) gram(i, j int) float64 {
	a, b := &d.atoms[i], &d.atoms[j]
	m := d.mutual[a.half][b.half]
	if m == nil {
		m = make([]float64, 2*d.n)
		d.freq.products(m, d.spectra[a.half], d.spectra[b.half])
		d.mutual[a.half][b.half] = m
	}
	zero, cut := d.n, d.lags+1
	return a.gain * b.gain * (m[zero+a.Delay-b.Delay] - a.tail*m[zero+cut-b.Delay] -
		b.tail*m[zero+a.Delay-cut] + a.tail*b.tail*m[zero])
}

// column sets dst[i] = Σ z_i·z_j.
func (d *dictionary) column(dst []float64, j int) {
	for i := range dst {
		dst[i] = d.gram(i, j)
	}
}

// products returns the cross-products of the decayed stimuli with v.
func (d *dictionary) products(v []float64) [][]float64 {
	f := d.freq.transform(v)
	all := make([][]float64, len(d.spectra))
	for h := range all {
		all[h] = make([]float64, 2*d.n)
		d.freq.products(all[h], d.spectra[h], f)
	}
	return all
}

// scores sets dst[i] = Σ z_i(t)·v(t), from the products with v.
func (d *dictionary) scores(dst []float64, products [][]float64) {
	for i := range dst {
		a := &d.atoms[i]
		m := products[a.half][d.n:]
		dst[i] = a.gain * (m[a.Delay] - a.tail*m[d.lags+1])
	}
}

// shifted sets dst to the scores with v moved by so many steps, what leaves at the
// end coming in at the start.
func (d *dictionary) shifted(dst []float64, products [][]float64, shift int) {
	cut := d.wrap(d.lags + 1 + shift)
	for i := range dst {
		a := &d.atoms[i]
		m := products[a.half]
		at := d.wrap(a.Delay + shift)
		dst[i] = a.gain * (m[d.n+at] + m[at] - a.tail*(m[d.n+cut]+m[cut]))
	}
}

func (d *dictionary) wrap(lag int) int {
	if lag >= d.n {
		return lag - d.n
	}
	return lag
}

// best returns the kernel that explains most, and what it gains: c²/Σz² in units
// of the noise's variance, and its prior. Effects below 0 gain nothing.
func (d *dictionary) best(c []float64, variance float64) (at int, gain float64) {
	gain = math.Inf(-1)
	for i := range d.atoms {
		a := &d.atoms[i]
		g := a.prior
		if c[i] > 0 && a.own > 0 {
			g += c[i] * c[i] / (a.own * variance)
		}
		if g > gain {
			at, gain = i, g
		}
	}
	return at, gain
}

// bestAt is best for an effect of a given size.
func (d *dictionary) bestAt(c []float64, beta, variance float64) (at int, gain float64) {
	gain = math.Inf(-1)
	twice, square := 2*beta/variance, beta*beta/variance
	for i := range d.atoms {
		a := &d.atoms[i]
		if g := a.prior + twice*c[i] - square*a.own; g > gain {
			at, gain = i, g
		}
	}
	return at, gain
}
