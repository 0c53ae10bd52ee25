package nab

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"

	"flywheel/pkg/spike"
)

// Detector scores the points of a series, each from those before it.
type Detector struct {
	Name  string
	Score func(*Series) []float64
}

// Detectors returns ours, and simple ones beside it. A deviation of z counts as
// z/(z+4), so that theirs alarm at 4 deviations where ours does at 0.5.
func Detectors() []Detector {
	return []Detector{
		{"flywheel detect", scorer},
		{"windowed Gaussian", windowedGaussian},
		{"rolling z-score, a day", rollingZ},
		{"Holt–Winters, a day", holtWinters},
		{"random", random},
	}
}

const usual = 4.0

func scorer(s *Series) []float64 {
	var sc spike.Scorer
	out := make([]float64, len(s.Values))
	for i, v := range s.Values {
		out[i] = sc.Next(s.AtMs[i], v)
	}
	return out
}

// windowedGaussian is 1 − the upper tail of the normal distribution, folded at its
// mean, of a window of the last 6400 points that moves by a hundred: the
// benchmark's own baseline, which it tuned on its corpus.
func windowedGaussian(s *Series) []float64 {
	const size, step = 6400, 100
	out := make([]float64, len(s.Values))
	from, to := 0, 0
	var m moments
	for i, v := range s.Values {
		if i > 0 {
			mean, sd := m.of()
			if sd == 0 {
				sd = 1e-6
			}
			out[i] = 1 - 0.5*math.Erfc(math.Abs(v-mean)/sd/math.Sqrt2)
		}
		switch {
		case i < size:
			m.add(v, 1)
			to = i + 1
		case i+1-to == step:
			for ; to <= i; to++ {
				m.add(s.Values[to], 1)
				m.add(s.Values[from], -1)
				from++
			}
		}
	}
	return out
}

// moments are of a window of values.
type moments struct{ n, sum, squares float64 }

func (m *moments) add(v, times float64) {
	m.n += times
	m.sum += times * v
	m.squares += times * v * v
}

func (m *moments) of() (mean, sd float64) {
	mean = m.sum / m.n
	return mean, math.Sqrt(max(0, m.squares/m.n-mean*mean))
}

// day is how many points there are in a day: by the median step.
func day(s *Series) int {
	steps := make([]int64, 0, len(s.AtMs))
	for i := 1; i < len(s.AtMs); i++ {
		steps = append(steps, s.AtMs[i]-s.AtMs[i-1])
	}
	slices.Sort(steps)
	return max(2, int(math.Round(24*3600e3/float64(max(1, steps[len(steps)/2])))))
}

// rollingZ is by how many deviations a value is off the mean of the day before.
func rollingZ(s *Series) []float64 {
	out := make([]float64, len(s.Values))
	n := day(s)
	var m moments
	for i, v := range s.Values {
		if i >= n {
			mean, sd := m.of()
			z := math.Abs(v-mean) / max(sd, 1e-6)
			out[i] = z / (z + usual)
			m.add(s.Values[i-n], -1)
		}
		m.add(v, 1)
	}
	return out
}

// holtWinters is by how many deviations a value is off the forecast of additive
// exponential smoothing with a daily season (Winters 1960).
func holtWinters(s *Series) []float64 {
	const alpha, beta, gamma, delta = 0.1, 0.001, 0.2, 0.005
	out := make([]float64, len(s.Values))
	n := day(s)
	season := make([]float64, n)
	level, trend, variance := 0.0, 0.0, 0.0
	for i, v := range s.Values {
		if i < n {
			level += v / float64(n)
			season[i] = v
			continue
		}
		if i == n {
			for k := range season {
				season[k] -= level
			}
		}
		at := &season[i%n]
		residual := v - level - trend - *at
		if i >= 2*n {
			z := math.Abs(residual) / max(1e-6, math.Sqrt(variance))
			out[i] = z / (z + usual)
		}
		variance += max(delta, 1/float64(i-n+1)) * (residual*residual - variance)
		before := level
		level = alpha*(v-*at) + (1-alpha)*(level+trend)
		trend = beta*(level-before) + (1-beta)*trend
		*at = gamma*(v-level) + (1-gamma)**at
	}
	return out
}

// random knows nothing, the same each time.
func random(s *Series) []float64 {
	h := fnv.New64()
	h.Write([]byte(s.Name))
	r := rand.New(rand.NewPCG(h.Sum64(), 72))
	out := make([]float64, len(s.Values))
	for i := range out {
		out[i] = r.Float64()
	}
	return out
}
