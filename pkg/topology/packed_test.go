package topology

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// TestPackedSnapshotsAreThoseOfAMap does to the packed snapshots and to a map what
// is done to them, with ids that meet in the table.
func TestPackedSnapshotsAreThoseOfAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBrand("acme")
		for i := range 5 {
			b.sources[b.addSource(fmt.Sprint("source ", i))].watermarkMs = monday
		}
		want := make(map[event.ID]snapshot)
		since := make(map[event.ID]bool) // put since the changelog was written
		id := rapid.Custom(func(t *rapid.T) (id event.ID) {
			id[0], id[15] = byte(rapid.IntRange(0, 3).Draw(t, "place")), byte(rapid.IntRange(0, 20).Draw(t, "id"))
			return id
		})
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				k := id.Draw(t, "drop")
				b.snapshots.drop(k)
				delete(want, k)
				delete(since, k)
			case 1:
				b.snapshots.logged = len(b.snapshots.data)
				clear(since)
			case 2:
				b.clockMs = monday
				gone := make(map[event.ID]bool)
				for k, s := range want {
					if b.ended(&s) {
						gone[k] = true
						delete(want, k)
						delete(since, k)
					}
				}
				for _, k := range b.expireSnapshots() {
					if !gone[k] {
						t.Fatalf("%v has expired, or has twice", k)
					}
					delete(gone, k)
				}
				if len(gone) > 0 {
					t.Fatalf("%d have not expired", len(gone))
				}
			default:
				k := id.Draw(t, "put")
				s := snapshot{
					src: sourceNumber(rapid.IntRange(0, 4).Draw(t, "source")), version: rapid.Int64().Draw(t, "version"),
					atMs: monday - rapid.Int64Range(0, 200*window.HourMs).Draw(t, "before"), lateMs: 72 * window.HourMs,
				}
				for range rapid.IntRange(0, 3).Draw(t, "contributions") {
					c := contrib{signal: event.Signal(rapid.IntRange(1, event.SignalsMax-1).Draw(t, "signal")), atMs: s.atMs + rapid.Int64Range(0, window.HourMs).Draw(t, "at"), value: rapid.Int64().Draw(t, "value")}
					if c.signal.Info().Money {
						c.currency = code("USD")
					}
					s.contribs = append(s.contribs, c)
				}
				if rapid.Bool().Draw(t, "declares") {
					s.period = &period{id: k, kind: event.CalendarKindPromotion, node: event.NodeAmazon, fromMs: s.atMs, toMs: s.atMs + window.HourMs}
				}
				b.snapshots.put(k, &s)
				want[k] = s
				since[k] = true
			}
			if places := b.snapshots.places(0); len(places) != len(want) || b.snapshots.live != len(want) {
				t.Fatalf("there are %d places and %d snapshots, want %d", len(places), b.snapshots.live, len(want))
			}
			unlogged := make(map[event.ID]bool)
			for _, place := range b.snapshots.places(b.snapshots.logged) {
				unlogged[b.snapshots.id(place)] = true
			}
			if diff := cmp.Diff(since, unlogged); diff != "" {
				t.Fatalf("put since the changelog was written (-want +got):\n%s", diff)
			}
			if n := b.snapshots.bytes(); n > 1000+len(want)*400 {
				t.Fatalf("%d snapshots take %d bytes", len(want), n)
			}
		}
		for k, s := range want {
			got, known := b.snapshots.get(k, nil)
			if diff := cmp.Diff(s, got, cmp.AllowUnexported(snapshot{}, period{}, contrib{}), cmpopts.EquateEmpty()); diff != "" || !known {
				t.Fatalf("%v (-map +packed):\n%s", k, diff)
			}
		}
		if _, known := b.snapshots.get(event.ID{9}, nil); known {
			t.Fatal("a snapshot is known that never was there")
		}
	})
}
