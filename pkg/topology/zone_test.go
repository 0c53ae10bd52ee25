package topology

import (
	"fmt"
	"testing"
	"time"
	_ "time/tzdata" // wherever it runs

	"pgregory.net/rapid"

	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// offsetsOf returns the offsets of a time zone over a span of time.
func offsetsOf(t *testing.T, name string, fromMs, toMs int64) []event.UTCOffset {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	var out []event.UTCOffset
	for ms := fromMs; ms < toMs; ms += window.QuarterMs {
		_, seconds := time.UnixMilli(ms).In(zone).Zone()
		if minutes := int32(seconds / 60); len(out) == 0 || out[len(out)-1].OffsetMinutes != minutes {
			out = append(out, event.UTCOffset{FromMs: ms, OffsetMinutes: minutes})
		}
	}
	return out
}

// revenueOf adds up the newest credits of every day.
func revenueOf(got results) (sum int64) {
	for _, v := range got {
		if c, ok := v.(event.Credit); ok {
			sum += c.RevenueMicros
		}
	}
	return sum
}

// sell applies an order every quarter-hour, and publishes once a day.
func sell(p *Partition, fromMs int64, days int64, got results) (revenue int64) {
	for q := range days * 96 {
		p.Apply(order(fmt.Sprint(q), 1, fromMs+q*window.QuarterMs, 1000+q, 0, event.OrderStatusPlaced), taken)
		revenue += 1000 + q
		if q%96 == 0 {
			p.Refresh(taken, all, got.take)
		}
	}
	settleAll(p, got)
	return revenue
}

func settleAll(p *Partition, got results) {
	p.Refresh(taken, all, got.take)
	for p.Stats().Dirty > 0 {
		p.Refresh(taken, all, got.take)
	}
}

// TestCreditsHoldEveryMomentOnce sells through changes of clocks: by an hour, by
// half an hour, at midnight, and over a whole day.
func TestCreditsHoldEveryMomentOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		zone string
		from time.Time
	}{
		"an hour forth":             {"America/New_York", time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)},
		"an hour back":              {"Europe/Berlin", time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)},
		"half an hour forth":        {"Australia/Lord_Howe", time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)},
		"half an hour back":         {"Australia/Lord_Howe", time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)},
		"an hour forth at midnight": {"Asia/Beirut", time.Date(2026, 3, 22, 0, 0, 0, 0, time.UTC)},
		"an hour back at midnight":  {"Asia/Beirut", time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)},
		"a day that was skipped":    {"Pacific/Apia", time.Date(2011, 12, 25, 0, 0, 0, 0, time.UTC)},
	} {
		t.Run(name, func(t *testing.T) {
			from := tc.from.UnixMilli()
			p, got := newPartition(t), make(results)
			p.ApplyBrand(&event.Brand{
				BrandID: "acme", Version: 1, Currency: "USD",
				UTCOffsets: offsetsOf(t, tc.zone, from-30*window.DayMs, from+30*window.DayMs),
			})
			want := sell(p, from, 14, got)
			if sum := revenueOf(got); sum != want {
				t.Errorf("the days hold %d, sold was %d", sum, want)
			}
		})
	}
}

// TestHostileOffsetsDoNotHurt publishes under whatever offsets an entry claims.
func TestHostileOffsetsDoNotHurt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, got := newTestPartition(t), make(results)
		b := &event.Brand{BrandID: "acme", Version: 1, Currency: "USD"}
		for range rapid.IntRange(0, 6).Draw(t, "offsets") {
			b.UTCOffsets = append(b.UTCOffsets, event.UTCOffset{
				FromMs: rapid.OneOf(rapid.Int64(), rapid.Int64Range(monday-window.DayMs, monday+3*window.DayMs)).Draw(t, "from"), OffsetMinutes: rapid.Int32().Draw(t, "minutes"),
			})
		}
		p.ApplyBrand(b)
		want := sell(p, monday, 2, got)
		if sum := revenueOf(got); sum != want {
			t.Errorf("the days hold %d, sold was %d", sum, want)
		}
	})
}

// TestAnotherZoneMovesTheDays changes the time zone of a brand that has sold for
// days: the days of the old one are taken back, those of the new one hold all.
func TestAnotherZoneMovesTheDays(t *testing.T) {
	entry := func(version int64, minutes int32) *event.Brand {
		return &event.Brand{BrandID: "acme", Version: version, Currency: "USD", UTCOffsets: []event.UTCOffset{{OffsetMinutes: minutes}}}
	}
	for name, tc := range map[string]struct {
		minutes []int32 // of one entry after the other
		days    int64
	}{
		"a brand without an entry gets one": {[]int32{-300}, 5},
		"to the east":                       {[]int32{0, 600}, 5},
		"to the west and back":              {[]int32{0, -480, 0}, 5},
		"by a quarter of an hour":           {[]int32{330, 345}, 5},
		"by nothing":                        {[]int32{60, 60}, 5},
		"within the first day":              {[]int32{0, 60}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p, got, changes := newPartition(t), make(results), make(log)
			first := 0
			if len(tc.minutes) > 1 {
				p.ApplyBrand(entry(1, tc.minutes[0]))
				first = 1
			}
			want := sell(p, monday, tc.days, got)
			for i, minutes := range tc.minutes[first:] {
				p.ApplyBrand(entry(int64(2+i), minutes))
				changes.take(p)
				p = newPartition(t) // a crash before anything of it is published
				changes.restore(t, p)
				settleAll(p, got)
				if sum := revenueOf(got); sum != want {
					t.Errorf("at UTC%+d minutes the days hold %d, sold was %d", minutes, sum, want)
				}
			}
		})
	}
}

// TestAnotherZoneDoublesNothing changes the zone when the first days are final:
// once, and to and fro. No more than the days at their border may go missing.
func TestAnotherZoneDoublesNothing(t *testing.T) {
	for name, minutes := range map[string][]int32{
		"to the west":            {-300},
		"to the east":            {300},
		"to and fro":             {300, -300, 300, -300},
		"to and fro many times":  {330, 0, 60, -300, 330, -300, 60, -300, 330, 0},
		"further and further":    {60, 120, 180, 240, 300, 360},
		"back and back to where": {-60, -120, -180, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p, got := newPartition(t), make(results)
			want := sell(p, monday, 40, got)
			for version, m := range minutes {
				p.ApplyBrand(&event.Brand{BrandID: "acme", Version: int64(version + 1), Currency: "USD", UTCOffsets: []event.UTCOffset{{OffsetMinutes: m}}})
				settleAll(p, got)
			}
			if sum, least := revenueOf(got), want-2*96*(1000+40*96); sum > want || sum < least {
				t.Errorf("the days hold %d, want at most %d, and at least %d", sum, want, least)
			}
		})
	}
}
