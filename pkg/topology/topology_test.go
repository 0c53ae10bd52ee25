package topology

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

func TestOutcomes(t *testing.T) {
	const hour = window.HourMs
	now := int64(monday + 200*hour)
	for name, tc := range map[string]struct {
		before []event.Record
		then   event.Record
		want   Outcome
	}{
		"the first of a brand is applied":                         {nil, review("a", now), Applied},
		"a fact seen before is a duplicate":                       {[]event.Record{review("a", now)}, review("a", now), Duplicate},
		"a fact of the same time is another one":                  {[]event.Record{review("a", now)}, review("b", now), Applied},
		"a fact within 72 hours of its source is applied":         {[]event.Record{review("a", now)}, review("b", now-72*hour), Applied},
		"a fact behind that is late":                              {[]event.Record{review("a", now)}, review("b", now-72*hour-1), Late},
		"what no bucket is kept for is late, whatever its source": {[]event.Record{review("a", now+64*24*hour)}, citation("b", now, 1), Late},
		"another source does not make it late":                    {[]event.Record{citation("a", now, 1)}, review("b", now-100*hour), Applied},
		"a minute ahead of Kafka is a difference of clocks":       {nil, review("a", taken+FutureToleranceMs), Applied},
		"more is the future":                                      {nil, review("a", taken+FutureToleranceMs+1), Future},
		"what is refused does not move the clock":                 {[]event.Record{review("a", now), review("x", taken+hour)}, review("b", now-72*hour), Applied},
		"a newer version of an order is applied":                  {[]event.Record{order("o", 1, now, 10, 0, event.OrderStatusPlaced)}, order("o", 2, now, 10, 5, event.OrderStatusReturned), Applied},
		"an older one is superseded":                              {[]event.Record{order("o", 2, now, 10, 0, event.OrderStatusPlaced)}, order("o", 1, now, 10, 0, event.OrderStatusPlaced), Superseded},
		"the same is a duplicate":                                 {[]event.Record{order("o", 2, now, 10, 0, event.OrderStatusPlaced)}, order("o", 2, now, 10, 0, event.OrderStatusPlaced), Duplicate},
		"a weekly report is late only a week later":               {[]event.Record{searches(now, 1, 10080, 5)}, searches(now-(168+72)*hour, 1, 10080, 5), Applied},
		"and then it is":                                          {[]event.Record{searches(now, 1, 10080, 5)}, searches(now-(168+72)*hour-1, 1, 10080, 5), Late},
		"an observation is applied":                               {[]event.Record{statistics("c", 1, now, now-hour, 5)}, statistics("c", 2, now+hour, now-hour, 9), Applied},
		"the same observation is a duplicate":                     {[]event.Record{statistics("c", 1, now, now-hour, 5)}, statistics("c", 1, now, now-hour, 5), Duplicate},
		"an older one of the same quarter-hour is superseded":     {[]event.Record{statistics("c", 2, now+60_000, now-hour, 5)}, statistics("c", 1, now, now-hour, 5), Superseded},
		"an older one of another quarter-hour is applied":         {[]event.Record{statistics("c", 2, now, now-2*hour, 5)}, statistics("c", 1, now-hour, now-2*hour, 3), Applied},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPartition(t)
			for _, r := range tc.before {
				p.Apply(r, taken)
			}
			before := dump(p)
			if got := p.Apply(tc.then, taken); got != tc.want {
				t.Fatalf("it is %v, want %v", got, tc.want)
			}
			if same := gocmp.Equal(before, dump(p)); same == (tc.want == Applied) {
				t.Errorf("outcome %v, but the state stayed the same: %t", tc.want, same)
			}
			if p.Apply(tc.then, taken) == Applied {
				t.Error("applied twice")
			}
		})
	}
}

func TestBrandEntriesReplaceEachOther(t *testing.T) {
	p := newPartition(t)
	entry := func(version int64, currency string) *event.Brand {
		return &event.Brand{BrandID: "acme", Version: version, Currency: currency, UTCOffsets: []event.UTCOffset{{OffsetMinutes: 60}}, Holidays: []int32{20_000}}
	}
	for i, step := range []struct {
		entry *event.Brand
		want  Outcome
	}{{entry(2, "EUR"), Applied}, {entry(2, "EUR"), Duplicate}, {entry(1, "USD"), Superseded}, {entry(3, "GBP"), Applied}} {
		if got := p.ApplyBrand(step.entry); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
	if got := p.brands["acme"].currency(); string(got[:]) != "GBP" {
		t.Errorf("the currency is %s", got)
	}
}

func TestARetiredBrandPublishesNothing(t *testing.T) {
	p := newPartition(t)
	p.Apply(order("o", 1, monday, 1000, 0, event.OrderStatusPlaced), taken)
	p.ApplyBrand(&event.Brand{BrandID: "acme", Version: 1, Currency: "USD", Retired: true})
	results := 0
	count := func(any) { results++ }
	p.Refresh(taken, all, count)
	if results != 0 || p.Stats().Dirty != 0 {
		t.Errorf("%d results, %+v", results, p.Stats())
	}
	changes := make(log)
	changes.take(p)
	p = newPartition(t)
	changes.restore(t, p)
	p.Refresh(taken, all, count)
	if results != 0 {
		t.Errorf("after a restart there are %d results", results)
	}
	p.ApplyBrand(&event.Brand{BrandID: "acme", Version: 2, Currency: "USD"})
	p.Refresh(taken, all, count)
	if results == 0 {
		t.Error("once it is back it still publishes nothing")
	}
}

// TestStateIsAFunctionOfTheSet applies the same events in any order, some of
// them several times: the state and every result stay the same.
func TestStateIsAFunctionOfTheSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t, monday, 71*window.HourMs)
		byTime(events)
		once := newTestPartition(t)
		for _, r := range events {
			once.Apply(r, taken)
		}
		want := make(results)
		once.Refresh(taken, all, want.take)

		again := rapid.SliceOf(rapid.SampledFrom(events)).Draw(t, "again")
		shuffled := rapid.Permutation(append(slices.Clone(events), again...)).Draw(t, "order")
		other := newTestPartition(t)
		for _, r := range shuffled {
			other.Apply(r, taken)
		}
		got := make(results)
		other.Refresh(taken, all, got.take)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("results (-in order +shuffled):\n%s", diff)
		}
		if diff := gocmp.Diff(dump(once), dump(other)); diff != "" {
			t.Errorf("state (-in order +shuffled):\n%s", diff)
		}
	})
}

func newTestPartition(t rapid.TB) *Partition {
	cfg := DefaultConfig()
	cfg.RefreshInterval = 0
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRestoredStateIsTheSame stops and restores at any moment, over months in
// which old things are forgotten.
func TestRestoredStateIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newTestPartition(t)
		changes := make(log)
		at := int64(monday)
		for range rapid.IntRange(1, 8).Draw(t, "spans") {
			events := drawEvents(t, at, 60*window.HourMs)
			for _, r := range rapid.Permutation(events).Draw(t, "order") {
				p.Apply(r, taken)
			}
			if rapid.Bool().Draw(t, "refresh") {
				p.Refresh(taken, Budget(rapid.IntRange(1, 40).Draw(t, "budget")), func(any) {})
			}
			changes.take(p)
			restored := newTestPartition(t)
			changes.restore(t, restored)
			if diff := gocmp.Diff(dump(p), dump(restored)); diff != "" {
				t.Fatalf("state (-before +restored):\n%s", diff)
			}
			if rapid.Bool().Draw(t, "go on restored") {
				p = restored
			}
			at += rapid.Int64Range(1, 40*24).Draw(t, "pause") * window.HourMs
		}
		// The restored one gives what the other would.
		restored := newTestPartition(t)
		changes.restore(t, restored)
		next := drawEvents(t, at, 60*window.HourMs)
		want, got := make(results), make(results)
		for _, r := range next {
			if a, b := p.Apply(r, taken), restored.Apply(r, taken); a != b {
				t.Fatalf("%s is %v, restored %v", r.Type(), a, b)
			}
		}
		p.Refresh(taken, all, want.take)
		restored.Refresh(taken, all, got.take)
		for key, w := range want { // what was due before may have been published already
			if g, ok := got[key]; ok && !gocmp.Equal(w, g) {
				t.Errorf("%s (-before +restored):\n%s", key, gocmp.Diff(w, g))
			}
		}
	})
}

// TestStreamEqualsBatch publishes at any moment while events come late, twice
// and corrected. In the end every published window and day is what a batch over
// the accepted events gives.
func TestStreamEqualsBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stream, batch := newTestPartition(t), newTestPartition(t)
		got := make(results)
		var accepted []event.Record
		at := int64(monday)
		for range rapid.IntRange(1, 6).Draw(t, "spans") {
			for _, r := range rapid.Permutation(drawEvents(t, at, 48*window.HourMs)).Draw(t, "order") {
				if stream.Apply(r, taken) == Applied {
					accepted = append(accepted, r)
				}
				if rapid.IntRange(0, 20).Draw(t, "refresh") == 0 {
					stream.Refresh(taken, Budget(rapid.IntRange(1, 30).Draw(t, "budget")), got.take)
				}
			}
			at += rapid.Int64Range(0, 48).Draw(t, "pause") * window.HourMs
		}
		for stream.Stats().Dirty > 0 {
			stream.Refresh(taken, all, got.take)
		}
		byTime(accepted) // nothing is late or superseded that was not before
		for _, r := range accepted {
			batch.Apply(r, taken)
		}
		b := batch.brands["acme"]
		if b == nil {
			return
		}
		for key, g := range got {
			want := make(results)
			switch g := g.(type) {
			case event.Correlation:
				f := int(g.Force) - 1
				if g.WindowEndMs < stream.oldestEnd(stream.brands["acme"], f)*stream.plan.stepsMs[f] {
					continue // it is final
				}
				batch.RecomputeWindow("acme", f+1, g.WindowEndMs, want.take)
			case event.Credit:
				day := b.entry.zone.Day(g.DayMs)
				if day < b.entry.zone.Day(stream.brands["acme"].oldestDayMs()) {
					continue // it is final
				}
				batch.RecomputeDay("acme", g.DayMs, want.take)
				if want[key] == nil && g.RevenueMicros == 0 && g.BaselineMicros == 0 && len(g.Credits) == 0 {
					continue // the stream has seen money that was taken back
				}
			default:
				continue
			}
			if diff := gocmp.Diff(want[key], g); diff != "" {
				t.Errorf("%s (-batch +stream):\n%s", key, diff)
			}
		}
	})
}

// TestCreditsConserveRevenue adds up what every accepted order is worth, by
// hand, and compares it with the credits of its day.
func TestCreditsConserveRevenue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newTestPartition(t)
		offset := rapid.SampledFrom([]int32{0, -300, 330, 345, 765}).Draw(t, "offset")
		p.ApplyBrand(&event.Brand{BrandID: "acme", Version: 1, Currency: "USD", UTCOffsets: []event.UTCOffset{{OffsetMinutes: offset}}})
		newest := make(map[string]*event.AmazonOrder)
		got := make(results)
		check := func(v any) {
			if c, ok := v.(*event.Credit); ok {
				sum := c.BaselineMicros
				for _, s := range c.Credits {
					sum += s.CreditMicros
				}
				if sum != c.RevenueMicros {
					t.Fatalf("credits and baseline are %d, the revenue %d", sum, c.RevenueMicros)
				}
			}
			got.take(v)
		}
		for _, r := range rapid.Permutation(drawEvents(t, monday, 71*window.HourMs)).Draw(t, "order") {
			o, isOrder := r.(*event.AmazonOrder)
			if p.Apply(r, taken) == Applied && isOrder {
				newest[o.OrderID] = o
			}
			if rapid.IntRange(0, 9).Draw(t, "refresh") == 0 {
				p.Refresh(taken, 1, check)
			}
		}
		for p.Stats().Dirty > 0 {
			p.Refresh(taken, all, check)
		}
		want := make(map[int64]int64)
		for _, o := range newest {
			local := time.UnixMilli(o.OccurredAtMs).UTC().Add(time.Duration(offset) * time.Minute)
			day := local.Truncate(24 * time.Hour).Add(-time.Duration(offset) * time.Minute).UnixMilli()
			if o.Status != event.OrderStatusCancelled {
				want[day] += o.GrossMicros - o.RefundedMicros
			}
		}
		for day, revenue := range want {
			key := fmt.Sprintf("day %d amazon USD", day)
			c, ok := got[key].(event.Credit)
			if !ok && revenue != 0 {
				t.Errorf("%s has no record, want %d", key, revenue)
			}
			if c.RevenueMicros != revenue {
				t.Errorf("%s has %d, want %d", key, c.RevenueMicros, revenue)
			}
		}
	})
}

// TestViewsAreSharedBetweenObservations compares the buckets with the
// definition: a count that is linear between observations.
func TestViewsAreSharedBetweenObservations(t *testing.T) {
	p := newPartition(t)
	const q = window.QuarterMs
	since := int64(monday + q/2)
	p.Apply(statistics("c", 1, monday+3*q, since, 100), taken)
	p.Apply(statistics("c", 2, monday+3*q+q/3, since, 103), taken) // in the same quarter-hour
	p.Apply(statistics("c", 3, monday+6*q+q/2, since, 50), taken)  // views taken back
	ser := p.brands["acme"].find(event.TikTokViews, [3]byte{})
	got := make([]int64, 8)
	ser.quarters.Read(got, monday/q)
	// From 0 to 103 over 2 5/6 quarters: 18.2, 54.5, 90.9, 103; then down to 50
	// over 3 1/6: 91.8, 75.1, 58.4, 50; rounded down.
	want := []int64{18, 36, 36, 1, -16, -17, -8, 0}
	if !slices.Equal(got, want) {
		t.Errorf("the quarters hold %v, want %v", got, want)
	}
	if hours := ser.hours.Sum(monday/window.HourMs, monday/window.HourMs+2); hours != 50 {
		t.Errorf("the hours hold %d views, want 50", hours)
	}
}

// TestViewsAtTheMomentOfPublicationCount observes posts at the very moment they
// are published.
func TestViewsAtTheMomentOfPublicationCount(t *testing.T) {
	for name, at := range map[string]int64{
		"within a quarter-hour":      monday + 1,
		"on a quarter-hour's border": monday,
	} {
		t.Run(name, func(t *testing.T) {
			p := newPartition(t)
			p.Apply(statistics("c", 1, at, at, 7), taken)
			p.Apply(statistics("none", 1, at, at, 0), taken)
			p.Apply(statistics("c", 2, at+window.HourMs, at, 9), taken)
			ser := p.brands["acme"].find(event.TikTokViews, [3]byte{})
			if got := ser.hours.Sum(window.Before, window.After); got != 9 {
				t.Errorf("%d views were gained, want 9", got)
			}
			if got := ser.quarters.Get(monday / window.QuarterMs); got < 7 {
				t.Errorf("%d views were gained in the first quarter-hour, want at least 7", got)
			}
		})
	}
}

func TestTheStateIsForgotten(t *testing.T) {
	p := newPartition(t)
	changes := make(log)
	var largest int
	for hour := range int64(150 * 24) {
		at := monday + hour*window.HourMs
		p.Apply(review(fmt.Sprint("r", hour), at), taken)
		p.Apply(order(fmt.Sprint("o", hour), 1, at, 1000, 0, event.OrderStatusPlaced), taken)
		p.Apply(statistics(fmt.Sprint("c", hour/100), hour, at, monday+hour/100*100*window.HourMs, hour), taken)
		if hour%5 == 0 {
			p.Refresh(taken, all, func(any) {})
			changes.take(p)
			largest = max(largest, len(changes))
		}
	}
	// Hours for 63 days, ids and orders for three to four days, posts for 63.
	if limit := hoursKept + 2*5*24 + 40*20 + 50; largest > limit {
		t.Errorf("the changelog grew to %d slots, want at most %d", largest, limit)
	}
	if mem := p.Stats().Bytes; mem > 64<<10 {
		t.Errorf("the brand takes %d bytes, want at most 64 KiB", mem)
	}
	changes.take(p)
	restored := newPartition(t)
	changes.restore(t, restored)
	if diff := gocmp.Diff(dump(p), dump(restored)); diff != "" {
		t.Errorf("state (-before +restored):\n%s", diff)
	}
}

func TestTooManySourcesShareAWatermark(t *testing.T) {
	p := newPartition(t)
	for i := range 3 * sourcesMax {
		r := review(fmt.Sprint(i), monday)
		r.Source = fmt.Sprintf("source %03d", i)
		if got := p.Apply(r, taken); got != Applied {
			t.Fatalf("source %d: %v", i, got)
		}
	}
	if n := len(p.brands["acme"].sources); n != sourcesMax {
		t.Errorf("%d sources are kept, want %d", n, sourcesMax)
	}
}

func TestRefreshKeepsToItsBudgetAndInterval(t *testing.T) {
	cfg := DefaultConfig()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		r := order("o", 1, monday, 1000, 0, event.OrderStatusPlaced)
		r.BrandID = fmt.Sprintf("brand-%02d", i)
		p.Apply(r, monday)
	}
	brands := make(map[string]int)
	count := func(v any) {
		if c, ok := v.(*event.Credit); ok {
			brands[c.BrandID]++
		}
	}
	p.Refresh(monday+500, 10, count)
	first := len(brands)
	if first == 0 || first > 10 {
		t.Errorf("a budget of 10 refreshed %d brands", first)
	}
	if s := p.Stats(); s.Dirty != 50-first || s.StalenessMs != 500 || s.Brands != 50 {
		t.Errorf("stats are %+v after %d brands", s, first)
	}
	p.Refresh(monday+600, all, count)
	if len(brands) != 50 {
		t.Errorf("%d brands were refreshed, want 50", len(brands))
	}
	again := order("o", 2, monday, 1000, 1, event.OrderStatusReturned)
	again.BrandID = "brand-00"
	p.Apply(again, monday)
	p.Refresh(monday+1000, all, count)
	if brands["brand-00"] != 1 {
		t.Error("a brand was refreshed again within its interval")
	}
	p.Refresh(monday+1500, all, count)
	if brands["brand-00"] != 2 {
		t.Error("a brand was not refreshed after its interval")
	}
}

// TestRestatedWindowsGetTheirTurn lets more brands change all the time than the
// budget is enough for.
func TestRestatedWindowsGetTheirTurn(t *testing.T) {
	p, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	now := int64(monday)
	send := func(brand, i int, atMs int64) {
		o := order(fmt.Sprint(i), 1, atMs, 1000, 0, event.OrderStatusPlaced)
		o.BrandID = fmt.Sprintf("brand-%02d", brand)
		p.Apply(o, now)
	}
	const brands = 20
	for brand := range brands {
		send(brand, 0, monday-1) // the day before is due with the first result
	}
	yesterday := make(map[string]bool)
	for round := range 600 {
		now += 1000
		for brand := range brands {
			send(brand, 1+round, now)
		}
		p.Refresh(now, 2, func(v any) {
			if c, ok := v.(*event.Credit); ok && c.DayMs < monday {
				yesterday[c.BrandID] = true
			}
		})
	}
	if len(yesterday) != brands {
		t.Errorf("of %d brands of %d the day before was published", len(yesterday), brands)
	}
	if p.Stats().Bytes == 0 {
		t.Error("nothing was looked through for what can be forgotten")
	}
}

// TestAWrongClockDoesNotPublishDecades sends an order of 1970 before those of
// today.
func TestAWrongClockDoesNotPublishDecades(t *testing.T) {
	p := newPartition(t)
	old := order("old", 1, 1, 1000, 0, event.OrderStatusPlaced)
	old.Source = "wrong clock"
	p.Apply(old, taken)
	p.Apply(order("new", 1, monday, 1000, 0, event.OrderStatusPlaced), taken)
	n := 0
	for p.Stats().Dirty > 0 {
		p.Refresh(taken, all, func(any) { n++ })
	}
	if n > 100 {
		t.Errorf("%d results were published", n)
	}
}

// TestRecomputingSeesWhatWasApplied asks for a window of the past before and
// after an event changes it, without a Refresh between them.
func TestRecomputingSeesWhatWasApplied(t *testing.T) {
	p := newPartition(t)
	for hour := range int64(20 * 24) {
		at := monday + hour*window.HourMs
		p.Apply(searches(at, 1, 60, 100+hour%24), taken)
		p.Apply(statistics("c", hour, at, monday, hour*hour), taken)
	}
	end := int64(monday + 18*window.DayMs)
	ask := func() results {
		got := make(results)
		p.RecomputeWindow("acme", 1, end, got.take)
		return got
	}
	ask()
	late := searches(monday+17*window.DayMs+1000, 1, 15, 5000)
	late.Source, late.NaturalKey = "late", "late"
	if got := p.Apply(late, taken); got != Applied {
		t.Fatal(got)
	}
	got := ask()
	changes := make(log)
	changes.take(p)
	restored := newPartition(t)
	changes.restore(t, restored)
	want := make(results)
	restored.RecomputeWindow("acme", 1, end, want.take)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("window (-restored +applied):\n%s", diff)
	}
}

// TestForgettingDoesNotDependOnRefreshing moves entities and facts by more than
// their horizon, with and without a look before at what can be forgotten.
func TestForgettingDoesNotDependOnRefreshing(t *testing.T) {
	const later = monday + 80*window.HourMs
	for name, tc := range map[string]struct {
		first, again event.Record
		want         Outcome
	}{
		"an order of another time is another order": {order("a", 1, monday, 1000, 0, event.OrderStatusPlaced), order("a", 1, later, 1000, 0, event.OrderStatusPlaced), Applied},
		"a fact of another time is another fact":    {review("a", monday), review("a", later), Applied},
		"within the horizon the order is the same":  {order("a", 1, monday+20*window.HourMs, 1000, 0, event.OrderStatusPlaced), order("a", 1, later, 1000, 0, event.OrderStatusPlaced), Duplicate},
		"within the horizon the fact is the same":   {review("a", monday+20*window.HourMs), review("a", later), Duplicate},
	} {
		t.Run(name, func(t *testing.T) {
			var revenue [2]int64
			for i, refresh := range []bool{false, true} {
				p := newPartition(t)
				p.Apply(tc.first, taken)
				for hour := range int64(80) {
					p.Apply(review(fmt.Sprint(hour), monday+hour*window.HourMs), taken)
					p.Apply(order(fmt.Sprint(hour), 1, monday+hour*window.HourMs, 10, 0, event.OrderStatusPlaced), taken)
				}
				if refresh {
					p.Refresh(taken, all, func(any) {})
				}
				if got := p.Apply(tc.again, taken); got != tc.want {
					t.Errorf("refreshed before %t: it is %v, want %v", refresh, got, tc.want)
				}
				revenue[i] = p.brands["acme"].find(event.BrandedRevenue, code("USD")).hours.Sum(window.Before, window.After)
			}
			if revenue[0] != revenue[1] {
				t.Errorf("the revenue is %d, and %d where it was refreshed before", revenue[0], revenue[1])
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"an interval below nothing":           {func(c *Config) { c.RefreshInterval = -1 }, "refresh_interval"},
		"restating less than what is late":    {func(c *Config) { c.RestateHours = 71 }, "restate_hours"},
		"a history without a season":          {func(c *Config) { c.HistoryHours = 100 }, "history_hours"},
		"more history than is kept":           {func(c *Config) { c.HistoryHours, c.RestateHours = 50*24, 28*24 }, "restate_hours 672"},
		"a negative number of credited posts": {func(c *Config) { c.CreditPosts = -1 }, "credit_posts"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			tc.change(&cfg)
			if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
