package correlate

// yuleWalker returns the coefficients φ of an autoregression
// v(t) = Σ φ(k)·v(t−k) + e(t), from the autocovariances with divisor n, by the
// recursion of Levinson (1947) and Durbin (1960). v has mean 0. Coefficients of a
// constant series are 0; the process they describe is always stationary.
func yuleWalker(v []float64, order int) []float64 {
	r := make([]float64, order+1)
	for k := range r {
		for i := k; i < len(v); i++ {
			r[k] += v[i] * v[i-k]
		}
	}
	phi, last := make([]float64, order), make([]float64, order)
	left := r[0]
	for k := 1; k <= order && left > 0; k++ {
		sum := r[k]
		for j := 1; j < k; j++ {
			sum -= phi[j-1] * r[k-j]
		}
		reflection := sum / left
		copy(last, phi)
		for j := 1; j < k; j++ {
			phi[j-1] -= reflection * last[k-j-1]
		}
		phi[k-1] = reflection
		left *= 1 - reflection*reflection
	}
	return phi
}

// filter returns v(t) − Σ φ(k)·v(t−k), with nothing before v[0].
func filter(v, phi []float64) []float64 {
	out := make([]float64, len(v))
	for t, x := range v {
		for k, f := range phi {
			if t-k-1 < 0 {
				break
			}
			x -= f * v[t-k-1]
		}
		out[t] = x
	}
	return out
}
