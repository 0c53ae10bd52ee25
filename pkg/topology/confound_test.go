package topology

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// advertised is a brand whose ads on other keywords move its views and its branded
// searches, each by a kernel of its own; views may move searches besides.
type advertised struct {
	days   int
	effect float64 // searches per view
	known  bool    // the ads are told of
}

func (a advertised) play(seed uint64) (events []event.Record, endMs int64) {
	r := rand.New(rand.NewPCG(seed, 9))
	n := a.days * 24
	bursts := func(every, size float64, hours int) []float64 {
		v := make([]float64, n)
		for t := range v {
			if r.Float64() < 1/every {
				total := size * math.Exp(r.NormFloat64())
				for u := t; u < min(n, t+hours); u++ {
					v[u] += math.Round(total / float64(hours))
				}
			}
		}
		return v
	}
	follow := func(k correlate.Kernel, of []float64) []float64 {
		v := make([]float64, n)
		k.Convolve(v, of)
		return v
	}
	ads, views := bursts(30, 600, 6), bursts(20, 1000, 8)
	for t, v := range follow(correlate.Kernel{Delay: 1, HalfLife: 2, Lags: 72}, ads) {
		views[t] = math.Round(views[t] + v)
	}
	moved, caused := follow(correlate.Kernel{Delay: 3, HalfLife: 6, Lags: 72}, ads), follow(correlate.Kernel{Delay: 2, HalfLife: 4, Lags: 72}, views)
	seen := int64(0)
	for t := range n {
		at := int64(monday) + int64(t)*window.HourMs
		season := math.Exp(0.4 * math.Sin(2*math.Pi*float64(t%24)/24))
		volume := poisson(r, (25+5*r.NormFloat64()*r.NormFloat64()*r.NormFloat64()/2)*season+0.6*moved[t]+a.effect*caused[t])
		seen += int64(views[t])
		events = append(events, searches(at, 1, 15, volume), statistics("post", int64(t), at+window.HourMs, monday, seen))
		if ads[t] > 0 && a.known {
			e := adTraffic(fmt.Sprint("ads", t), at, int64(ads[t]))
			e.Branded, e.Keyword = false, "best pan"
			events = append(events, e)
		}
	}
	return events, int64(monday) + int64(n)*window.HourMs
}

// What is known to move views and searches alike is no evidence for views moving
// searches, and no part of how much they do.
func TestWhatElseMovesBothIsTakenOut(t *testing.T) {
	const brands, days = 8, 40
	for name, tc := range map[string]struct {
		effect              float64
		hidden, given, held [2]int // discoveries, and intervals that hold the effect: at least, at most
	}{
		"no effect": {0, [2]int{4, 8}, [2]int{0, 0}, [2]int{0, 8}},
		"an effect": {0.3, [2]int{7, 8}, [2]int{6, 8}, [2]int{6, 8}},
	} {
		t.Run(name, func(t *testing.T) {
			found, held, off := map[bool]int{}, map[bool]int{}, map[bool]float64{}
			for seed := range uint64(brands) {
				for _, known := range [...]bool{false, true} {
					events, endMs := advertised{days, tc.effect, known}.play(seed)
					p := newPartition(t)
					for _, e := range events {
						p.Apply(e, taken)
					}
					p.RecomputeWindow("acme", 1, endMs, func(v any) {
						c := v.(*event.Correlation)
						if c.Discovery {
							found[known]++
						}
						if c.EffectHigh > 0 && c.EffectLow <= tc.effect && tc.effect <= c.EffectHigh {
							held[known]++
						}
						off[known] += (c.Effect - tc.effect) / brands
					})
				}
			}
			t.Logf("of %d brands %d are called without the ads, %d with them; intervals of %d and %d hold the effect, which is off by %.3f and %.3f", brands, found[false], found[true], held[false], held[true], off[false], off[true])
			for _, is := range []struct {
				what string
				n    int
				want [2]int
			}{{"called without the ads", found[false], tc.hidden}, {"called with them", found[true], tc.given}, {"held with them", held[true], tc.held}} {
				if is.n < is.want[0] || is.n > is.want[1] {
					t.Errorf("%d of %d brands are %s, want %v", is.n, brands, is.what, is.want)
				}
			}
		})
	}
}
