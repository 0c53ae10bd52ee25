package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"flywheel/pkg/correlate"
	"flywheel/pkg/series"
)

// monday is when every series begins.
func monday() time.Time { return time.Date(2015, 3, 2, 0, 0, 0, 0, time.UTC) }

// source draws pairs that have nothing to do with each other.
type source struct {
	real [][]float64 // whole weeks of each; none: they are generated
	week int         // steps of it
}

// newSource reads whole weeks of all series of a folder, if one is given.
func newSource(dir string, step time.Duration) (*source, error) {
	s := &source{week: int(7 * 24 * time.Hour / step)}
	if dir == "" {
		return s, nil
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	if err != nil || len(files) < 2 {
		return nil, fmt.Errorf("there are no series in %q: leave --data out for generated ones", dir)
	}
	for _, file := range files {
		v, err := readSeries(file, step)
		if err != nil {
			return nil, err
		}
		s.real = append(s.real, v[:len(v)/s.week*s.week])
	}
	return s, nil
}

func readSeries(file string, step time.Duration) ([]float64, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read a series: %w", err)
	}
	defer f.Close()
	var v []float64
	for r := series.NewReader(file, f); ; {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return v, nil
		}
		if err != nil {
			return nil, err
		}
		if p.AtMs < monday().UnixMilli() || math.IsNaN(p.Value) {
			continue
		}
		i := int((p.AtMs - monday().UnixMilli()) / step.Milliseconds())
		for len(v) <= i {
			v = append(v, 0)
		}
		v[i] += p.Value
	}
}

// pair returns two generated series, or one brand's with another's of other weeks.
func (s *source) pair(r *rand.Rand, days, perDay int) (x, y []float64, err error) {
	if s.real == nil {
		return bursty(r, days, perDay), bursty(r, days, perDay), nil
	}
	i, j := r.IntN(len(s.real)), r.IntN(len(s.real)-1)
	if j >= i {
		j++
	}
	whole, weeks := min(len(s.real[i]), len(s.real[j]))/s.week, days/7
	if weeks > whole || whole < 2 {
		return nil, nil, fmt.Errorf("--days: the series hold %d whole weeks: ask for at most %d days", whole, 7*whole)
	}
	from, shift := r.IntN(whole-weeks+1), 1+r.IntN(whole-1)
	return s.weeks(i, from, weeks, whole), s.weeks(j, from+shift, weeks, whole), nil
}

// weeks returns some weeks of a real series, in a circle of so many.
func (s *source) weeks(series, from, weeks, whole int) (v []float64) {
	for w := range weeks {
		at := (from + w) % whole * s.week
		v = append(v, s.real[series][at:at+s.week]...)
	}
	return v
}

// third returns another series beside a pair: a generated one, or that of any brand,
// from any week on and backwards, so that it is none of the two.
func (s *source) third(r *rand.Rand, days, perDay int) []float64 {
	if s.real == nil {
		return bursty(r, days, perDay)
	}
	i := r.IntN(len(s.real))
	whole := len(s.real[i]) / s.week
	v := s.weeks(i, r.IntN(whole), days/7, whole)
	slices.Reverse(v)
	return v
}

// bursty draws counts as brands are mentioned: a daily and a weekly season, a
// level that wanders, noise that lasts for hours, and bursts two days out of
// three whose sizes have a Pareto tail of exponent 1.3 (no variance), that decay
// within minutes to days. It is drawn by quarters of an hour, or finer, and summed.
func bursty(r *rand.Rand, days, perDay int) []float64 {
	const quarters = 96
	fine := max(1, quarters/perDay) // drawn steps in one that is returned
	day := perDay * fine
	n, hour := days*day, float64(day)/24
	part := float64(quarters) / float64(day)
	level := math.Exp(math.Log(20)+3*r.Float64()) * part
	season, phase := 0.3+0.5*r.Float64(), r.Float64()*24
	var week [7]float64
	for i := range week {
		week[i] = math.Exp(0.15 * r.NormFloat64())
		if i >= 5 {
			week[i] *= 0.6
		}
	}
	burst := make([]float64, n)
	for t := range burst {
		if r.Float64() >= 1/(1.5*float64(day)) {
			continue
		}
		size := min(60, 1.5*(math.Pow(r.Float64(), -1/1.3)-0.5)) * level
		last := math.Exp(1.2*r.NormFloat64()+0.5) * hour
		for u := t; u < n && u < t+int(8*last)+1; u++ {
			burst[u] += size * math.Exp(-float64(u-t)/last)
		}
	}
	slow, fast := 0.0, 0.0
	slowKept, fastKept := math.Pow(0.999, part), math.Pow(0.9, part)
	out := make([]float64, days*perDay)
	for t := range n {
		slow = slowKept*slow + math.Sqrt(1-slowKept*slowKept)*r.NormFloat64()
		fast = fastKept*fast + math.Sqrt(1-fastKept*fastKept)*r.NormFloat64()
		s := math.Exp(season*math.Sin(2*math.Pi*(float64(t%day)/hour-phase)/24)) * week[t/day%7]
		out[t/fine] += poisson(r, level*s*math.Exp(0.15*slow+0.25*fast)+burst[t]*s)
	}
	return out
}

func poisson(r *rand.Rand, mean float64) float64 {
	if mean > 200 {
		return max(0, math.Round(mean+math.Sqrt(mean)*r.NormFloat64()))
	}
	limit, product, n := math.Exp(-mean), r.Float64(), 0.0
	for product > limit {
		product *= r.Float64()
		n++
	}
	return n
}

// gasFurnace draws from the model that Box & Jenkins (Time Series Analysis, 1970,
// ch. 11) fitted to their gas furnace: gas rate in, carbon dioxide out, 296 readings,
//
//	(1 − 0.57B)·y(t) = (0.53 + 0.37B + 0.51B²)·x(t−3) + n(t),
//
// with the sign turned, the input an autoregression of order 3 and the noise one of
// order 2. The answer known is a delay of 3 and a gain of 1.41/0.43 = 3.28. A reading
// takes the place of an hour here.
func gasFurnace(r *rand.Rand) (correlate.Pair, float64) {
	const readings, before, lags = 296, 100, 24
	n := readings + before
	x, clean, noise := make([]float64, n), make([]float64, n), make([]float64, n)
	for t := 5; t < n; t++ {
		x[t] = 1.97*x[t-1] - 1.37*x[t-2] + 0.34*x[t-3] + math.Sqrt(0.0353)*r.NormFloat64()
		clean[t] = 0.57*clean[t-1] + 0.53*x[t-3] + 0.37*x[t-4] + 0.51*x[t-5]
		noise[t] = 1.53*noise[t-1] - 0.63*noise[t-2] + math.Sqrt(0.0561)*r.NormFloat64()
	}
	p := correlate.Pair{X: x[before:], Y: clean[before:], StepSeconds: 3600, StartS: monday().Unix(), Lags: lags}
	for t := range p.Y {
		p.Y[t] += noise[before+t]
	}
	return p, (0.53 + 0.37 + 0.51) / (1 - 0.57)
}
