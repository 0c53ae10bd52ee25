package topology

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// fresh holds every result published last against what a partition gives that
// knows the changelog and nothing else: nothing cached, nothing forgotten, no study kept.
func fresh(t *testing.T, p *Partition, got results, changes log) {
	t.Helper()
	p.Refresh(taken, all, got.take)
	for p.Stats().Dirty > 0 {
		p.Refresh(taken, all, got.take)
	}
	changes.take(p)
	restored := newPartition(t)
	buckets := maps.Clone(changes)
	maps.DeleteFunc(buckets, func(key string, _ []byte) bool { return key[len("\x04acme")] == kindStudy })
	if len(buckets) == len(changes) {
		t.Error("no study is kept")
	}
	buckets.restore(t, restored)
	bad, n := 0, 0
	for key, g := range got {
		want := make(results)
		switch g := g.(type) {
		case event.Correlation:
			restored.RecomputeWindow("acme", int(g.Force), g.WindowEndMs, want.take)
		case event.Credit:
			restored.RecomputeDay("acme", g.DayMs, want.take)
		default:
			continue
		}
		if want[key] == nil {
			continue
		}
		n++
		if diff := gocmp.Diff(want[key], g); diff != "" {
			bad++
			if bad < 2 {
				t.Errorf("%s (-restored +published):\n%s", key, diff)
			}
		}
	}
	if bad > 0 {
		t.Errorf("%d of %d results are stale", bad, n)
	}
}

// TestNothingPublishedGoesStale plays weeks of a brand in disorder, with sources
// that lag by weeks, restated orders, new time zones and currencies, promotions
// declared afterwards, and crashes.
func TestNothingPublishedGoesStale(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 5))
			tr := truth{days: 14 + r.IntN(30), delay: r.IntN(12), life: 8 + r.IntN(24), effect: 0.06, perSearch: 400_000, posts: 2, views: 4000, viral: 12, viralHour: 5}
			world := tr.play(seed)
			for i := range world.events {
				k := min(len(world.events)-1, i+r.IntN(1+r.IntN(2000)))
				world.events[i], world.events[k] = world.events[k], world.events[i]
			}
			p := newPartition(t)
			got, changes := make(results), make(log)
			for i, e := range world.events {
				p.Apply(e, taken)
				at := e.Head().OccurredAtMs
				if r.IntN(400) == 0 {
					p.Refresh(taken, Budget(r.IntN(40)), got.take)
				}
				switch r.IntN(3000) {
				case 0: // another source, that lags
					c := &event.TikTokCreatorJoined{Header: fact("tiktok_creator_joined", fmt.Sprint(i), at-r.Int64N(20)*window.DayMs, fmt.Sprint("creators", i)), CreatorID: "x"}
					p.Apply(c, taken)
				case 1:
					s := shopOrder(fmt.Sprint("x", i), at-r.Int64N(9)*window.DayMs, 5_000_000, []string{"USD", "EUR"}[r.IntN(2)])
					s.Source = fmt.Sprint("lag", i)
					p.Apply(s, taken)
				case 2:
					p.ApplyBrand(&event.Brand{BrandID: "acme", Version: int64(i), Currency: []string{"USD", "EUR"}[r.IntN(2)], UTCOffsets: []event.UTCOffset{{OffsetMinutes: int32(r.IntN(24)*60 - 720)}}})
				case 3:
					p.Apply(promotion(fmt.Sprint(i), 1, at, at+6*window.HourMs, false), taken)
				case 4: // an order restated at another time
					p.Apply(order(fmt.Sprint(1+r.IntN(500)), 2+int64(i), at, 7_000_000, 0, event.OrderStatusPlaced), taken)
				case 5:
					p.Apply(searches(at-r.Int64N(10)*window.DayMs, 2, 1440, 900), taken)
				case 6: // a crash
					changes.take(p)
					p = newPartition(t)
					changes.restore(t, p)
				case 7:
					rv := review(fmt.Sprint("rv", i), at-r.Int64N(30)*window.DayMs)
					rv.Source = fmt.Sprint("rv", i)
					p.Apply(rv, taken)
				}
			}
			fresh(t, p, got, changes)
		})
	}
}
