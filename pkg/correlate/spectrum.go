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

// smooth returns the least size ≥ n that is a product of 2, 3 and 5: those are fast.
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

// transform returns the spectrum of v, padded with zeros.
func (s *spectrum) transform(v []float64) []complex128 {
	clear(s.real)
	copy(s.real, v)
	return s.fft.Coefficients(nil, s.real)
}

// products sets dst[n+lag] = Σ_t x(t−lag)·y(t) for −n < lag < n, given the
// spectra of x and y; dst has 2n values and dst[0] is 0.
func (s *spectrum) products(dst []float64, x, y []complex128) {
	for i, c := range y {
		s.work[i] = c * complex(real(x[i]), -imag(x[i]))
	}
	size := len(s.real)
	s.fft.Sequence(s.real, s.work)
	scale := 1 / float64(size)
	dst[0] = 0
	for lag := range s.n {
		dst[s.n+lag] = s.real[lag] * scale
	}
	for lag := 1; lag < s.n; lag++ {
		dst[s.n-lag] = s.real[size-lag] * scale
	}
}
