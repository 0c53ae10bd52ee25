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

// selling is a brand of which some orders come by themselves, and others of its posts.
type selling struct {
	events  []event.Record
	brought []int64 // by posts, by hour
}

// newSelling draws one: aDay orders a day by themselves, and half as many by posts.
func newSelling(seed uint64, days int, aDay float64) (s selling) {
	r := rand.New(rand.NewPCG(seed, 11))
	n := days * 24
	views, caused := make([]float64, n), make([]float64, n)
	for t := range views {
		if r.Float64() < 1.0/15 {
			total := 1000 * math.Exp(r.NormFloat64())
			for u := t; u < min(n, t+48); u++ {
				views[u] += math.Round(total * math.Exp(-float64(u-t)/6) / 6.5)
			}
		}
	}
	correlate.Kernel{Delay: 2, HalfLife: 5, Lags: 72}.Convolve(caused, views)
	all := 0.0
	for _, v := range caused {
		all += v / float64(n)
	}
	s.brought = make([]int64, n)
	seen, orders := int64(0), 0
	for t := range n {
		at := int64(monday) + int64(t)*window.HourMs
		season := math.Exp(0.4 * math.Sin(2*math.Pi*float64(t%24)/24))
		by := caused[t] / all / 2
		seen += int64(views[t])
		s.events = append(s.events,
			searches(at, 1, 15, poisson(r, 60*(season+by))), statistics("post", int64(t), at+window.HourMs, monday, seen),
			shopOrder(fmt.Sprint(t), at, 5_000_000, "USD"))
		for i, mean := range [...]float64{season, by} {
			for range poisson(r, aDay/24*mean) {
				orders++
				value := int64(30_000_000 * math.Exp(0.5*r.NormFloat64()))
				s.events = append(s.events, order(fmt.Sprint(orders), 1, at+r.Int64N(window.HourMs), value, 0, event.OrderStatusPlaced))
				if i == 1 {
					s.brought[t] += value
				}
			}
		}
	}
	byTime(s.events)
	return s
}

// A multiplier says what posts brought in 72 hours, not what they bring on average: its
// interval holds that whether orders are few or many.
func TestMultipliersHoldWhatPostsBrought(t *testing.T) {
	const brands, days, looks = 24, 42, 4
	for name, tc := range map[string]struct {
		aDay, least float64
	}{"hardly any orders": {2, 0.92}, "few orders": {10, 0.92}, "many orders": {300, 0.92}} {
		t.Run(name, func(t *testing.T) {
			n, held, above, below, width, sumM, sumT := 0, 0, 0, 0, 0.0, 0.0, 0.0
			for seed := range uint64(brands) {
				s := newSelling(seed, days, tc.aDay)
				p := newPartition(t)
				for _, e := range s.events {
					p.Apply(e, taken)
				}
				for k := range looks {
					last := days - 3*k
					brought, direct := int64(0), int64(0)
					for _, v := range s.brought[24*(last-3) : 24*last] {
						brought += v
						direct += 5_000_000
					}
					p.RecomputeDay("acme", int64(monday)+int64(last-1)*window.DayMs, func(v any) {
						c, ok := v.(*event.Credit)
						if !ok || c.Node != event.NodeAmazon || c.Multiplier == 0 {
							return
						}
						truth := float64(brought) / float64(direct)
						n++
						sumM, sumT = sumM+c.Multiplier, sumT+truth
						width += (c.MultiplierHigh - c.MultiplierLow) / 2
						switch {
						case c.MultiplierLow > truth:
							above++
						case c.MultiplierHigh < truth:
							below++
						default:
							held++
						}
					})
				}
			}
			t.Logf("%d of %d multipliers hold what posts brought, %d are above and %d below; half width over all %.2f, all over truth %.3f", held, n, above, below, width/sumT, sumM/sumT)
			if n < brands*looks/2 || float64(held) < tc.least*float64(n) {
				t.Errorf("%d of %d multipliers hold what posts brought, want %.0f %% of at least %d", held, n, 100*tc.least, brands*looks/2)
			}
		})
	}
}
