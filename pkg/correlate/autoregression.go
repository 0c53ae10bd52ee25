package correlate

// yuleWalker sets phi to the coefficients φ of an autoregression
// v(t) = Σ φ(k)·v(t−k) + e(t), from the autocovariances with divisor n, by the
// recursion of Levinson (1947) and Durbin (1960). v has mean 0. Coefficients of a
// constant series are 0; the process they describe is always stationary.
func yuleWalker(phi, v []float64) {
	order := len(phi)
	r := make([]float64, order+1)
	for k := range r {
		sum, ahead := 0.0, v[min(k, len(v)):]
		for i, x := range ahead {
			sum += x * v[i]
		}
		r[k] = sum
	}
	last := make([]float64, order)
	clear(phi)
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
}

// filter sets out(t) = v(t) − Σ φ(k)·v(t−k), with nothing before v[0]. The slices
// must not overlap.
func filter(out, v, phi []float64) {
	copy(out, v)
	for k, f := range phi {
		if k+1 >= len(v) {
			return
		}
		later := out[k+1:]
		for t, x := range v[:len(later)] {
			later[t] -= f * x
		}
	}
}

// filterBack sets out(t) = v(t) − Σ φ(k)·v(t+k), with nothing behind v: the
// transpose of filter.
func filterBack(out, v, phi []float64) {
	copy(out, v)
	for k, f := range phi {
		if k+1 >= len(v) {
			return
		}
		for t, x := range v[k+1:] {
			out[t] -= f * x
		}
	}
}
