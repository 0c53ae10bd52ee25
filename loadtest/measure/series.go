package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"flywheel/pkg/correlate"
	"flywheel/pkg/series"
)

const (
	stepSeconds = 15 * 60
	stepsHour   = 4
	stepsDay    = 24 * stepsHour
	stepsWeek   = 7 * stepsDay
	windowSteps = 72 * stepsHour
)

// monday is when every series begins.
func monday() time.Time { return time.Date(2015, 3, 2, 0, 0, 0, 0, time.UTC) }

// mentions reads whole weeks of all series of a folder, by quarters of an hour.
func mentions(dir string) ([][]float64, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	if err != nil || len(files) < 2 {
		return nil, fmt.Errorf("there are no series in %q: leave --data out for generated ones", dir)
	}
	var all [][]float64
	for _, file := range files {
		v, err := readMentions(file)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func readMentions(file string) ([]float64, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read a series: %w", err)
	}
	defer f.Close()
	var v []float64
	for r := series.NewReader(file, f); ; {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return v[:len(v)/stepsWeek*stepsWeek], nil
		}
		if err != nil {
			return nil, err
		}
		i := int((p.AtMs/1000 - monday().Unix()) / stepSeconds)
		if p.AtMs/1000 < monday().Unix() || math.IsNaN(p.Value) {
			continue
		}
		for len(v) <= i {
			v = append(v, 0)
		}
		v[i] += p.Value
	}
}

// pair is a stimulus and a response that have nothing to do with each other.
type pair struct{ x, y []float64 }

// impossible pairs each series with those of other brands in other weeks.
func impossible(all [][]float64, weeks int) []pair {
	var pairs []pair
	whole := len(all[0]) / stepsWeek
	for shift := 1; shift < whole; shift++ {
		for i, x := range all {
			for j, y := range all {
				if i == j || weeks > whole {
					continue
				}
				moved := make([]float64, 0, weeks*stepsWeek)
				for w := range weeks {
					k := (w + shift) % whole
					moved = append(moved, y[k*stepsWeek:(k+1)*stepsWeek]...)
				}
				pairs = append(pairs, pair{x[:weeks*stepsWeek], moved})
			}
		}
	}
	return pairs
}

// unrelated generates pairs of bursty series.
func unrelated(seed uint64, days, count int) []pair {
	r := rand.New(rand.NewPCG(seed, 5))
	pairs := make([]pair, count)
	for i := range pairs {
		pairs[i] = pair{bursty(r, days*stepsDay), bursty(r, days*stepsDay)}
	}
	return pairs
}

// bursty draws counts as brands are mentioned: a daily and a weekly season, a
// level that wanders, noise that lasts for hours, and bursts two days out of
// three whose sizes have a Pareto tail of exponent 1.3 (no variance), that decay
// within minutes to days.
func bursty(r *rand.Rand, n int) []float64 {
	level := math.Exp(math.Log(20) + 3*r.Float64())
	season, phase := 0.3+0.5*r.Float64(), r.Float64()*24
	var days [7]float64
	for i := range days {
		days[i] = math.Exp(0.15 * r.NormFloat64())
		if i >= 5 {
			days[i] *= 0.6
		}
	}
	burst := make([]float64, n)
	for t := range burst {
		if r.Float64() >= 1/(1.5*stepsDay) {
			continue
		}
		size := min(60, 1.5*(math.Pow(r.Float64(), -1/1.3)-0.5)) * level
		last := 4 * math.Exp(1.2*r.NormFloat64()+0.5)
		for u := t; u < n && u < t+int(8*last)+1; u++ {
			burst[u] += size * math.Exp(-float64(u-t)/last)
		}
	}
	slow, fast := 0.0, 0.0
	out := make([]float64, n)
	for t := range out {
		slow = 0.999*slow + math.Sqrt(1-0.999*0.999)*r.NormFloat64()
		fast = 0.9*fast + math.Sqrt(1-0.9*0.9)*r.NormFloat64()
		hour := float64(t%stepsDay) / stepsHour
		s := math.Exp(season*math.Sin(2*math.Pi*(hour-phase)/24)) * days[t/stepsDay%7]
		out[t] = poisson(r, level*s*math.Exp(0.15*slow+0.25*fast)+burst[t]*s)
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

// planted adds an effect to a pair that makes up a share of the response, and
// returns the pair and the effect's size.
func planted(p pair, delayHours, halfLifeHours, share float64) (pair, float64) {
	k := correlate.Kernel{Delay: int(delayHours * stepsHour), HalfLife: int(halfLifeHours * stepsHour), Lags: windowSteps}
	z := make([]float64, len(p.x))
	k.Convolve(z, p.x)
	var stimulus, response float64
	for t := range z {
		stimulus += z[t]
		response += p.y[t]
	}
	beta := share / (1 - share) * response / stimulus
	y := make([]float64, len(z))
	for t := range y {
		y[t] = p.y[t] + math.Round(beta*z[t])
	}
	return pair{p.x, y}, beta
}

func (p pair) input() correlate.Pair {
	return correlate.Pair{X: p.x, Y: p.y, StepSeconds: stepSeconds, StartS: monday().Unix(), Lags: windowSteps}
}

func (p pair) relate() correlate.Relation {
	in := p.input()
	return correlate.Relate(&in)
}
