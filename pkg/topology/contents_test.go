package topology

import (
	"fmt"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// TestViewsThatCancelBeginNoHistory replaces the first observation so that what is
// gained and lost in its quarter-hour adds up to nothing: whether that was counted
// before, the node has seen nothing.
func TestViewsThatCancelBeginNoHistory(t *testing.T) {
	now, later := newTestPartition(t), newTestPartition(t)
	for version, o := range []struct{ minutes, views int64 }{{0, 0}, {21, 0}, {0, 1}} {
		r := statistics("post", int64(version), monday+o.minutes*60_000, monday, o.views)
		now.Apply(r, taken)
		later.Apply(r, taken)
		now.derive(now.brands["acme"])
	}
	a, b := now.brands["acme"], later.brands["acme"]
	later.derive(b)
	if tiktok := now.plan.feeds[event.TikTokViews]; a.begins[tiktok] != window.Before || b.begins[tiktok] != window.Before {
		t.Errorf("the feed begins in hour %d, counted later %d, want none", a.begins[tiktok], b.begins[tiktok])
	}
}

// TestViewsAreTheSameWheneverTheyAreCounted applies observations in any order to
// two partitions, of which one counts the views after each: the buckets, where the
// feed's history begins and what is due must not tell when they were counted.
func TestViewsAreTheSameWheneverTheyAreCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Custom(func(t *rapid.T) int64 {
			return monday + int64(rapid.IntRange(0, 4*60).Draw(t, "minutes"))*7*60_000 // 28 h
		})
		now, later := newTestPartition(t), newTestPartition(t)
		for version := range int64(rapid.IntRange(1, 40).Draw(t, "observations")) {
			post := fmt.Sprint("post ", rapid.IntRange(0, 1).Draw(t, "post"))
			observed, published, views := at.Draw(t, "at"), at.Draw(t, "published"), rapid.Int64Range(0, 12).Draw(t, "views")
			r := event.Record(statistics(post, version/2, observed, min(published, observed), views))
			if rapid.IntRange(0, 5).Draw(t, "other") == 0 {
				r = shopOrder(fmt.Sprint(version), observed, views, "USD") // of the same node
			}
			if of, counted := now.Apply(r, taken), later.Apply(r, taken); of != counted {
				t.Fatalf("%v, counted later %v", of, counted)
			}
			a, b := now.brands["acme"], later.brands["acme"]
			if now.derive(a); rapid.IntRange(0, 9).Draw(t, "count") == 0 {
				later.derive(b)
			}
			if a.begins != b.begins {
				t.Fatalf("the nodes begin in the hours %d, counted later %d", a.begins, b.begins)
			}
		}
		a, b := now.brands["acme"], later.brands["acme"]
		later.derive(b)
		for _, c := range a.contents.list {
			other := b.contents.get(c.id)
			for hour := int64(monday / window.HourMs); hour < monday/window.HourMs+28; hour++ {
				if w, g := c.gains.Get(hour), other.gains.Get(hour); w != g {
					t.Fatalf("%s gained %d in hour %d, counted later %d", c.id, w, hour-monday/window.HourMs, g)
				}
			}
		}
		if diff := gocmp.Diff(dump(now), dump(later)); diff != "" {
			t.Fatalf("state (-counted at once +later):\n%s", diff)
		}
	})
}
