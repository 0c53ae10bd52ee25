package correlate

import "gonum.org/v1/gonum/dsp/fourier"

// spectrum computes cross-products at every lag by way of the Fourier
// transform: O(n·log n) for all of them. It is no oracle: the rounding of a sum
// is shared by all lags, about 1e-16 of the largest.
type spectrum struct {
	n    int
	fft  *fourier.FFT
	real []float64
	work []complex128
}

// newSpectrum is for series of up to n values; lags reach to n on both sides.
func newSpectrum(n int) *spectrum {
	size := smooth(2 * n)
	return &spectrum{n: n, fft: fourier.NewFFT(size), real: make([]float64, size), work: make([]complex128, size/2+1)}
}

// smooth returns the least even size ≥ n that is a product of 2, 3 and 5: those are fast.
func smooth(n int) int {
	for ; ; n++ {
		m := n
		for _, p := range [...]int{2, 3, 5} {
			for m%p == 0 {
				m /= p
			}
		}
		if m == 1 && n%2 == 0 {
			return n
		}
	}
}

// transform returns the spectrum of v, padded with zeros, in dst if it is large
// enough.
func (s *spectrum) transform(dst []complex128, v []float64) []complex128 {
	clear(s.real[copy(s.real, v):])
	if cap(dst) < len(s.work) {
		dst = make([]complex128, len(s.work))
	}
	return s.fft.Coefficients(dst[:len(s.work)], s.real)
}

// products returns Σ_t x(t−lag)·y(t) for −n < lag < n, given the spectra of x and
// y: that of a lag from 0 on at the lag, that of a lag below 0 so many from the
// end. It is valid until the next use.
func (s *spectrum) products(x, y []complex128) []float64 {
	scale := 1 / float64(len(s.real))
	for i, c := range y {
		a := x[i]
		s.work[i] = complex(scale*(real(c)*real(a)+imag(c)*imag(a)), scale*(imag(c)*real(a)-real(c)*imag(a)))
	}
	return s.fft.Sequence(s.real, s.work)
}

// circular sets dst[lag] = Σ_t x((t−lag) mod n)·y(t) for 0 ≤ lag < n, given what
// products returned.
func (s *spectrum) circular(dst, products []float64) {
	dst[0] = products[0]
	before := products[len(products)-s.n:]
	for lag := 1; lag < s.n; lag++ {
		dst[lag] = products[lag] + before[lag]
	}
}
