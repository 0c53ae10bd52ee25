package topology

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// TestTheCurrencyOfABrandWithoutAnEntry lets the currency that credits are given
// in change under days that have them: they must be as a batch has them.
func TestTheCurrencyOfABrandWithoutAnEntry(t *testing.T) {
	tr := truth{days: 21, delay: 8, life: 24, effect: 0.3, perSearch: 400_000, posts: 3, views: 4000}
	world := tr.play(2) // one with an effect that can be told
	end := int64(monday) + int64(tr.days)*window.DayMs
	euros := func(version, gross int64) *event.AmazonOrder {
		o := order("euros", version, end, gross, 0, event.OrderStatusPlaced)
		o.Currency = "EUR"
		return o
	}
	for name, tc := range map[string]struct {
		later   []event.Record
		credits bool
	}{
		"only one currency comes in":              {nil, true},
		"one that is before it by name comes in":  {[]event.Record{euros(1, 5_000_000)}, false},
		"such a one comes in and is taken back":   {[]event.Record{euros(1, 5_000_000), euros(2, 0)}, true},
		"such a one is taken back before it came": {[]event.Record{euros(2, 0), euros(1, 5_000_000)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			stream, batch := newPartition(t), newPartition(t)
			got, want := make(results), make(results)
			for _, r := range world.events {
				stream.Apply(r, taken)
			}
			stream.Refresh(taken, all, got.take)
			for _, r := range tc.later {
				stream.Apply(r, taken)
				for stream.Stats().Dirty > 0 {
					stream.Refresh(taken, all, got.take)
				}
			}
			for _, r := range slices.Concat(world.events, tc.later) {
				batch.Apply(r, taken)
			}
			with := 0
			for day := range int64(9) {
				key := fmt.Sprintf("day %d amazon USD", end-(day+1)*window.DayMs)
				batch.RecomputeDay("acme", end-(day+1)*window.DayMs, want.take)
				if diff := gocmp.Diff(want[key], got[key]); diff != "" {
					t.Errorf("%s (-batch +stream):\n%s", key, diff)
				}
				if c, ok := got[key].(event.Credit); ok && len(c.Credits) > 0 {
					with++
				}
			}
			if with > 0 != tc.credits {
				t.Errorf("%d days have credits: %v", with, slices.Sorted(maps.Keys(got)))
			}
		})
	}
}
