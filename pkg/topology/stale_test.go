package topology

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
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
			tr := truth{days: 18 + r.IntN(26), delay: r.IntN(12), life: 8 + r.IntN(24), effect: 0.06, perSearch: 400_000, posts: 2, views: 4000, viral: 12, viralHour: 5}
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
				case 8, 9: // what confounds force 1, told of days later
					for k := range 20 {
						c := citation(fmt.Sprint("c", i, "-", k), at-r.Int64N(9)*window.DayMs, 1+r.Int32N(40))
						c.Source = fmt.Sprint("trials", i)
						p.Apply(c, taken)
					}
				case 10:
					e := adTraffic(fmt.Sprint("ads", i), at-r.Int64N(9)*window.DayMs, 1000)
					e.Source, e.Branded = fmt.Sprint("ads", i), false
					p.Apply(e, taken)
				}
			}
			fresh(t, p, got, changes)
		})
	}
}

// TestDaysBeforeTheEvidenceGetTheirCredit plays weeks of a brand with all results
// published every few hours: days that were published when no force had shown an
// effect are published again once one has, and likewise back.
func TestDaysBeforeTheEvidenceGetTheirCredit(t *testing.T) {
	for seed := range uint64(3) {
		tr := truth{days: 24 + int(seed), delay: 4, life: 16, effect: 0.06, perSearch: 400_000, posts: 2, views: 4000}
		p := newPartition(t)
		got, changes := make(results), make(log)
		turns, plain := 0, false
		for i, e := range tr.play(seed).events {
			p.Apply(e, taken)
			if i%150 > 0 {
				continue
			}
			for more := true; more; more = p.Stats().Dirty > 0 {
				p.Refresh(taken, 1+Budget(i%7), got.take)
			}
			if now := p.brands["acme"].days.plain; now != plain {
				turns++
				plain = now
			}
		}
		if turns < 2 {
			t.Errorf("seed %d: credit came and went %d times, want 2 or more", seed, turns)
		}
		fresh(t, p, got, changes)
	}
}

// TestADayWithoutEffectIsItsMoney has late events come to a brand of which no force
// earns credit: only the day whose money they change is published again.
func TestADayWithoutEffectIsItsMoney(t *testing.T) {
	p := newPartition(t)
	at := func(day, hour int64) int64 { return monday + day*window.DayMs + hour*window.HourMs }
	for day := range int64(4) {
		p.Apply(order(fmt.Sprint(day), 1, at(day, 11), 10_000_000, 0, event.OrderStatusPlaced), taken)
		p.Apply(statistics("post", day+1, at(day, 12), at(0, 0), 1000*(day+1)), taken)
		p.Apply(searches(at(day, 12), 1, 15, 10), taken)
	}
	published := func() (days []int64) {
		for {
			p.Refresh(taken, all, func(v any) {
				if c, ok := v.(*event.Credit); ok {
					days = append(days, (c.DayMs-monday)/window.DayMs)
				}
			})
			if p.Stats().Dirty == 0 {
				return days
			}
		}
	}
	for _, step := range []struct {
		name string
		late event.Record
		want []int64
	}{
		{"at first all days", nil, []int64{3, 2, 1, 0}},
		{"late views", statistics("post", 3, at(1, 18), at(0, 0), 2500), nil},
		{"a late report", searches(at(1, 12), 2, 15, 90), nil},
		{"a late order", order("late", 1, at(2, 1), 5_000_000, 0, event.OrderStatusPlaced), []int64{2}},
		{"an order of today", order("now", 1, at(3, 12), 5_000_000, 0, event.OrderStatusPlaced), []int64{3}},
		{"an order that is returned", order("1", 2, at(1, 11), 10_000_000, 10_000_000, event.OrderStatusReturned), []int64{1}},
		{"the next day", searches(at(4, 1), 1, 15, 10), []int64{4, 3}}, // and the day that has ended
	} {
		if step.late != nil {
			if got := p.Apply(step.late, taken); got != Applied {
				t.Fatalf("%s: %v", step.name, got)
			}
		}
		if got := published(); !slices.Equal(got, step.want) {
			t.Errorf("%s: days %v are published, want %v", step.name, got, step.want)
		}
	}
}

// TestLateEventsOfAFewSecondsAreShownTogether has a late event come before each of
// twelve refreshes of a brand, while another brand always waits: the newest window is
// published each time, the one before it every pastIntervals-th, and at once when
// nothing comes any more.
func TestLateEventsOfAFewSecondsAreShownTogether(t *testing.T) {
	const end = monday + 3*window.DayMs
	p, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	now, newest, past := int64(taken), 0, 0
	refresh := func() {
		p.Refresh(now, all, func(v any) {
			switch c, ok := v.(*event.Correlation); {
			case !ok || c.BrandID != "acme":
			case c.WindowEndMs > end:
				newest++
			default:
				past++
			}
		})
		now += 500
	}
	other := searches(end, 1, 15, 1)
	other.BrandID = "other"
	late := func(version int64) {
		p.Apply(statistics("post", version, end-window.HourMs+version, monday, 100*version), taken)
	}
	busy := func(version int64) {
		other.Version = version
		p.Apply(other, taken)
	}
	p.Apply(searches(end-window.QuarterMs, 1, 15, 10), taken)
	late(1)
	refresh()
	p.Apply(searches(end, 1, 15, 10), taken)
	busy(1)
	refresh() // the other brand's turn is always between those of this one
	const steps = 12
	newest, past = 0, 0
	for i := range int64(steps) {
		late(2 + 2*i)
		busy(2 + i)
		refresh()
		late(3 + 2*i)
		refresh()
	}
	if newest != steps || past < 1 || past > steps/pastIntervals+1 {
		t.Errorf("in %d refreshes the newest window was published %d times and the one before %d times, want every time and every %d-th", steps, newest, past, pastIntervals)
	}
	for range 3 {
		refresh()
	}
	if s := p.Stats(); s.Dirty > 0 {
		t.Errorf("%d brands still wait", s.Dirty)
	}
}
