package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"gonum.org/v1/gonum/floats"

	"flywheel/pkg/correlate"
)

// testCase is a pair with a known truth, drawn from its seed and number alone.
type testCase struct {
	Part   string        `json:"part"`
	Source string        `json:"source"`
	Days   int           `json:"days"`
	Step   time.Duration `json:"step"`
	Share  float64       `json:"share"` // of the response that the effect makes up
	Seed   uint64        `json:"seed"`
	Number int           `json:"number"`
	Of     int           `json:"of"`
}

// outcome is what was said of a case.
type outcome struct {
	Case       testCase `json:"case"`
	Truth      float64  `json:"truth"` // the effect's size
	DelayS     float64  `json:"delay_s"`
	P          float64  `json:"p"`
	Bartlett   float64  `json:"p_autocorrelation"`
	Naive      float64  `json:"p_naive"`
	Beta       float64  `json:"per_unit"`
	Low        float64  `json:"low"`
	High       float64  `json:"high"`
	Realised   float64  `json:"realised_coverage"`
	Exponent   float64  `json:"exponent"` // of the stimulus
	BestLagS   float64  `json:"best_lag_s"`
	Detectable float64  `json:"detectable"`
	Verdict    string   `json:"verdict"`
	Credited   float64  `json:"credited"` // to the stimulus in all, over what it brought; 0 without an effect
}

// window is how far an effect may reach.
const window = 72 * time.Hour

// promotionDays is how long both sides are up, promotionFactor how much.
const (
	promotionDays   = 2
	promotionFactor = 3
)

func (c testCase) run(e *correlate.Estimator, from *source) (outcome, error) {
	o := outcome{Case: c}
	perDay := int(24 * time.Hour / c.Step)
	r := rand.New(rand.NewPCG(c.Seed, uint64(c.Number)<<16|uint64(c.Days)))
	var in correlate.Pair
	switch c.Part {
	case "classic":
		in, o.Truth = gasFurnace(r)
		o.DelayS = 3 * float64(in.StepSeconds)
	case "counted":
		in, o.Truth, o.DelayS = counted(r, c.Days, c.Step, c.Share)
	default:
		x, y, err := from.pair(r, c.Days, perDay)
		if err != nil {
			return o, err
		}
		in = correlate.Pair{X: x, Y: y, StepSeconds: int64(c.Step / time.Second), StartS: monday().Unix(), Lags: int(window / c.Step)}
		// A promotion that everybody posts about: both sides are up, without an effect.
		if c.Part == "promotion" || c.Part == "undeclared" {
			spans := make([]int, len(x))
			first := (c.Days/3 + r.IntN(c.Days/3)) * perDay
			for t := first; t < first+promotionDays*perDay; t++ {
				x[t], y[t] = promotionFactor*x[t], promotionFactor*y[t]
				spans[t] = 1 + (t-first)/perDay
			}
			if c.Part == "promotion" {
				in.Declared = spans
			}
		}
		hour := float64(time.Hour) / float64(c.Step)
		// Something else acts on both sides, and is given or not.
		if c.Part == "confounder" || c.Part == "hidden" {
			other := from.third(r, c.Days, perDay)
			confound(r, &in, other, hour)
			if c.Part == "confounder" {
				in.Confounders = [][]float64{other}
			}
		}
		k := kernel(r, hour, in.Lags)
		if c.Part == "lag" {
			k.Delay, k.HalfLife = int(math.Round(window.Hours()*hour*float64(c.Number)/float64(max(1, c.Of-1)))), 0
		}
		o.DelayS = float64(k.Delay) * c.Step.Seconds()
		acting := in
		if act := returns(c.Part); act != nil {
			acting.X = saturated(in.X, act)
		}
		o.Truth = plant(&acting, k, c.Share)
	}
	rel := e.Screen(&in)
	if c.Part != "power" && c.Part != "lag" {
		e.Bend(&rel)
		e.Bound(&rel)
		e.Assess(&rel)
	}
	o.P, o.Bartlett, o.Naive = rel.P, rel.Profile.PAutocorrelation, rel.Profile.PNaive
	o.Beta, o.Low, o.High, o.Realised = rel.Beta, rel.Low, rel.High, rel.Realised
	o.Exponent = rel.Exponent
	o.BestLagS = float64(rel.Profile.BestLag) * float64(in.StepSeconds)
	o.Detectable, o.Verdict = rel.Detectable, string(rel.Verdict)
	if rel.Verdict == correlate.Effective && c.Share > 0 {
		earned, _ := correlate.Credit(rel.Acting(in.X), in.Y, rel.Expected, rel.Kernel, rel.Beta)
		o.Credited = floats.Sum(earned) / (c.Share * floats.Sum(in.Y))
	}
	return o, nil
}

// kernel draws one.
func kernel(r *rand.Rand, hour float64, lags int) correlate.Kernel {
	delay := [...]float64{0, 3, 12, 30}[r.IntN(4)]
	half := [...]float64{0, 0.3, 0.5, 0.7, 1, 2, 8, 24}[r.IntN(8)]
	return correlate.Kernel{Delay: int(math.Round(delay * hour)), HalfLife: half * hour, Lags: lags}
}

// counted draws a pair of which all noise of the response comes with what there is: counts
// drawn around a daily wave and an effect, by a kernel that knows nothing of the steps
// (any delay, any half-life from one hour to a day), in quarters of a step, summed up.
func counted(r *rand.Rand, days int, step time.Duration, share float64) (p correlate.Pair, beta, delayS float64) {
	const parts = 4
	perDay := parts * int(24*time.Hour/step)
	hour := float64(perDay) / 24
	x := bursty(r, days, perDay)
	z, base := make([]float64, len(x)), make([]float64, len(x))
	level, wave := math.Exp(math.Log(20)+3*r.Float64())*4/hour, 0.3+0.5*r.Float64()
	for t := range base {
		base[t] = level * (1 + wave*math.Sin(2*math.Pi*float64(t%perDay)/float64(perDay)))
	}
	k := kernel(r, hour, int(window.Hours()*hour))
	k.Delay += r.IntN(int(math.Ceil(hour)))
	k.HalfLife = hour * math.Exp(r.Float64()*math.Log(24))
	k.Convolve(z, x)
	beta = share / (1 - share) * floats.Sum(base) / floats.Sum(z)
	n := len(x) / parts
	p = correlate.Pair{X: make([]float64, n), Y: make([]float64, n), StepSeconds: int64(step / time.Second), StartS: monday().Unix(), Lags: k.Lags / parts}
	for t := range x {
		p.X[t/parts] += x[t]
		p.Y[t/parts] += poisson(r, base[t]+beta*z[t])
	}
	return p, beta, float64(k.Delay) / hour * time.Hour.Seconds()
}

// confoundedShare is the share of each side that follows a confounder.
const confoundedShare = 0.6

// confound adds to both sides of a pair what follows another series, each by a
// kernel of its own.
func confound(r *rand.Rand, p *correlate.Pair, other []float64, hour float64) {
	for _, side := range [...][]float64{p.X, p.Y} {
		plant(&correlate.Pair{X: other, Y: side}, kernel(r, hour, p.Lags), confoundedShare)
	}
}

// returns is how those of a stimulus diminish, if they do: what acts of an amount, given the
// median of all.
func returns(part string) func(amount, median float64) float64 {
	switch part {
	case "saturated":
		return func(amount, _ float64) float64 { return math.Sqrt(amount) }
	case "logarithm":
		return func(amount, median float64) float64 { return math.Log1p(amount / median) }
	case "capped":
		return func(amount, median float64) float64 { return min(amount, 3*median) }
	}
	return nil
}

// saturated is what acts of a stimulus whose returns diminish, in all as much as there is:
// an effect planted with it has the same size on average.
func saturated(x []float64, act func(amount, median float64) float64) []float64 {
	median := max(1, slices.Sorted(slices.Values(x))[len(x)/2])
	out := make([]float64, len(x))
	for t, v := range x {
		out[t] = act(v, median)
	}
	floats.Scale(floats.Sum(x)/floats.Sum(out), out)
	return out
}

// plant adds an effect to a pair that makes up a share of the response, and returns
// its size.
func plant(p *correlate.Pair, k correlate.Kernel, share float64) (beta float64) {
	z := make([]float64, len(p.X))
	k.Convolve(z, p.X)
	var stimulus, response float64
	for t := range z {
		stimulus += z[t]
		response += p.Y[t]
	}
	beta = share / (1 - share) * response / stimulus
	for t := range z {
		p.Y[t] += math.Round(beta * z[t])
	}
	return beta
}
