package correlate

import "gonum.org/v1/gonum/stat"

// naiveCorrelation convolves by definition and correlates with gonum.
func naiveCorrelation(in *Input, k Kernel) float64 {
	lags := in.Lags()
	var z, y []float64
	for j := range in.Y {
		y = append(y, float64(in.Y[j])-in.ExpectedY[j])
		sum := 0.0
		for step := lags + j*in.Stride; step < lags+(j+1)*in.Stride; step++ {
			for lag := 0; lag <= lags; lag++ {
				sum += k.Weight(lag) * (float64(in.X[step-lag]) - in.ExpectedX[step-lag])
			}
		}
		z = append(z, sum)
	}
	return stat.Correlation(z, y, nil)
}
