package topology

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/spike"
	"flywheel/pkg/window"
)

// written returns a changelog with every kind of slot.
func written(t testing.TB) log {
	p, changes := newPartition(t), make(log)
	p.ApplyBrand(&event.Brand{
		BrandID: "acme", Version: 1, Currency: "USD",
		UTCOffsets: []event.UTCOffset{{OffsetMinutes: 60}, {FromMs: monday, OffsetMinutes: 120}}, Holidays: []int32{20_000},
	})
	for i := range int64(40) {
		at := monday + i*window.HourMs
		p.Apply(order(fmt.Sprint(i), 1, at, 1000, 0, event.OrderStatusPlaced), taken)
		p.Apply(review(fmt.Sprint(i), at), taken)
		p.Apply(statistics("c", i, at, monday, i*10), taken)
		p.Apply(searches(at, 1, 15, i*7), taken)
		p.Apply(promotion(fmt.Sprint(i), 1, at, at+window.HourMs, false), taken)
		if i%10 == 0 {
			p.Refresh(taken, 3, func(any) {})
			changes.take(p)
		}
	}
	views, searches := keyOf(event.TikTokViews, [3]byte{}), keyOf(event.BrandedSearches, [3]byte{})
	p.brands["acme"].studies.put(study{
		studyKey: studyKey{end: monday / window.HourMs, stimulus: views, response: searches}, from: monday/window.HourMs - 840, valid: true, changed: true,
		effect: effect{correlate.Kernel{Delay: 2, HalfLife: 6, Lags: event.ShortWindowHours, Later: 0.375}, 0.06, 0.04, 0.08, 0.96},
	})
	changes.take(p)
	return changes
}

// FuzzRestore restores a changelog in which one slot is damaged. That is an
// error, or a state with which the processor can live: it goes on, in bounded
// time and memory, and what it writes can be restored.
func FuzzRestore(f *testing.F) {
	changes := written(f)
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		f.Add([]byte(key), changes[key])
		f.Add([]byte(key), []byte(nil))
		f.Add([]byte(key), changes[key][:len(changes[key])/2])
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		p := newPartition(t)
		changes.restore(t, p)
		if err := p.Restore(key, value); err != nil {
			return
		}
		at := int64(monday + 50*window.HourMs)
		p.Apply(order("1", 2, at, 1000, 0, event.OrderStatusPlaced), taken)
		p.Apply(statistics("c", 99, at, monday, 1000), taken)
		p.Apply(review("z", at), taken)
		for range 3 {
			p.Refresh(taken, 100, func(any) {})
		}
		p.Changes(func(_, _ []byte) {})
		again := newPartition(t)
		p.State(func(key, value []byte) {
			if err := again.Restore(slices.Clone(key), slices.Clone(value)); err != nil {
				t.Fatalf("what was written cannot be restored: %v", err)
			}
		})
		again.Refresh(taken, 100, func(any) {})
	})
}

// TestADamagedChangelogIsAnError damages one value each.
func TestADamagedChangelogIsAnError(t *testing.T) {
	slot := func(kind byte, key func(w *writer), value func(w *writer)) (k, v []byte) {
		l := changelog{}
		l.begin(&brand{id: "acme"}, kind)
		key(&l.key)
		value(&l.value)
		return l.key, l.value
	}
	none := func(*writer) {}
	searchesByViews := func(w *writer) {
		w.int(0)
		w.uint(0)
		for _, s := range [...]event.Signal{event.TikTokViews, event.BrandedSearches} {
			w.uint(uint64(s))
			w.bytes([]byte("USD"))
		}
	}
	studied := func(delay int64, numbers ...float64) func(w *writer) {
		return func(w *writer) {
			w.text(correlate.Version)
			w.int(0)
			w.int(delay)
			w.int(0)
			for _, v := range numbers {
				w.float(v)
			}
		}
	}
	for name, tc := range map[string]struct {
		kind       byte
		key, value func(w *writer)
		want       string
	}{
		"an hour that never comes": {kindHour, func(w *writer) { w.int(1 << 60) }, none, "not between"},
		"a signal of the future":   {kindHour, func(w *writer) { w.int(9) }, func(w *writer) { w.uint(uint64(event.SignalsMax)) }, "newer program"},
		"no signal":                {kindHour, func(w *writer) { w.int(9) }, func(w *writer) { w.uint(0) }, "signal 0"},
		"a clock that never comes": {kindMeta, none, func(w *writer) { w.int(1 << 60) }, "not between"},
		"a kind of the future":     {'z', none, none, "newer program"},
		"half an id":               {kindSnapshot, func(w *writer) { w.bytes([]byte("half")) }, none, "ends early"},
		"an endless offset list":   {kindEntry, none, func(w *writer) { w.bool(false); w.int(1); w.bytes([]byte("USD")); w.uint(1 << 40) }, "ends early"},
		"two observations at once": {kindContent, func(w *writer) { w.int(0); w.text("c") }, func(w *writer) {
			w.text("poll")
			w.bool(false)
			for range 2 {
				w.int(0)
				w.int(1)
				w.int(5)
			}
		}, "cannot follow"},
		"a study of no force":                                      {kindStudy, func(w *writer) { w.int(0); w.uint(10) }, none, "no such force"},
		"a study of no interval":                                   {kindStudy, searchesByViews, studied(0, 0.06, 0.04, math.NaN(), 0.96, 0), "no interval"},
		"a study of which more than all acts later":                {kindStudy, searchesByViews, studied(0, 0.06, 0.04, 0.08, 0.96, 1.5), "no share"},
		"a study of which some acts later than the window reaches": {kindStudy, searchesByViews, studied(72, 0.06, 0.04, 0.08, 0.96, 0.5), "no share"},
		"an observation of another slot": {kindContent, func(w *writer) { w.int(0); w.text("c") }, func(w *writer) {
			w.text("poll")
			w.bool(false)
			w.int(slotQuarters * window.QuarterMs)
			w.int(1)
			w.int(5)
		}, "cannot follow"},
	} {
		t.Run(name, func(t *testing.T) {
			key, value := slot(tc.kind, tc.key, tc.value)
			err := newPartition(t).Restore(key, value)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "acme") {
				t.Errorf("got %v, want %q about acme", err, tc.want)
			}
		})
	}
}

// TestObservationsAreWrittenBeforeTheyAreForgotten lets ten days of a post pass in
// one transaction.
func TestObservationsAreWrittenBeforeTheyAreForgotten(t *testing.T) {
	p, changes := newPartition(t), make(log)
	for hour := range int64(10 * 24) {
		p.Apply(statistics("c", hour, monday+(hour+1)*window.HourMs, monday, (hour+1)*100), taken)
	}
	p.Refresh(taken, all, func(any) {})
	changes.take(p)
	restored := newPartition(t)
	changes.restore(t, restored)
	restored.settle()
	want, got := p.brands["acme"].contents.get("c"), restored.brands["acme"].contents.get("c")
	for hour := int64(monday / window.HourMs); hour < monday/window.HourMs+10*24; hour++ {
		if w, g := want.gains.Get(hour), got.gains.Get(hour); w != g {
			t.Fatalf("hour %d gained %d, restored %d", hour-monday/window.HourMs, w, g)
		}
	}
}

func TestAStateBuiltAnewReplacesWhatTheOneBeforePublished(t *testing.T) {
	last := int64(0)
	for life := range int64(3) {
		p := newPartition(t) // its changelog was deleted
		newest := last
		for i := range int64(5) {
			p.Apply(order(fmt.Sprint(i), 1, monday+i*window.HourMs, 1000, 0, event.OrderStatusPlaced), taken)
			p.Refresh(taken+life*window.HourMs+i*2000, all, func(v any) {
				if c, ok := v.(*event.Credit); ok {
					if c.Revision <= newest {
						t.Errorf("revision %d of life %d does not replace %d", c.Revision, life, newest)
					}
					newest = c.Revision
				}
			})
		}
		if newest == last {
			t.Fatal("nothing was published")
		}
		last = newest
	}
}

// TestViewsFollowFromWhatTheChangelogKeeps lets weeks pass over a post that is
// observed now and then: at first its views follow from the observations, later
// from the hours.
func TestViewsFollowFromWhatTheChangelogKeeps(t *testing.T) {
	p, changes := newPartition(t), make(log)
	for hour := int64(1); hour < 40*24; hour += 7 {
		at := monday + hour*window.HourMs
		p.Apply(statistics("c", hour, at, monday, hour*hour), taken)
		p.Apply(searches(at, hour, 15, 5), taken)
		p.Refresh(taken, all, func(any) {})
		changes.take(p)
		if hour%5 != 0 {
			continue
		}
		restored := newPartition(t)
		changes.restore(t, restored)
		if diff := cmp.Diff(dump(p), dump(restored)); diff != "" {
			t.Fatalf("after %d hours (-before +restored):\n%s", hour, diff)
		}
	}
	b := p.brands["acme"]
	fine, coarse := 0, 0
	for key := range changes {
		if k := (reader{left: []byte(key)}); k.text() == "acme" && k.byte() == kindHour {
			if b.derives(k.int()) {
				fine++
			} else {
				coarse++
			}
		}
	}
	// One in seven hours has a search; the old ones have views as well.
	if views := 40*24 - 16*24; fine > 16*24/6 || coarse < views*9/10 {
		t.Errorf("%d recent and %d old hours are in the changelog, want those with a search and about %d", fine, coarse, views)
	}
}

// TestAStudyOfAnotherProgramIsNotUsed restores what older statistics have found.
func TestAStudyOfAnotherProgramIsNotUsed(t *testing.T) {
	changes := written(t)
	for _, tc := range []struct {
		statistics string
		valid      bool
	}{{"", true}, {"correlate/1, 840 h", false}} {
		p := newPartition(t)
		if tc.statistics != "" {
			p.statistics = tc.statistics
		}
		changes.restore(t, p)
		p.Apply(searches(monday+50*window.HourMs, 1, 15, 3), taken)
		left := maps.Clone(changes)
		left.take(p)
		slots := 0
		for key := range left {
			if key[len("\x04acme")] == kindStudy {
				slots++
			}
		}
		if n := len(p.brands["acme"].studies); slots != n || (n == 1) != tc.valid {
			t.Errorf("statistics %q: of one study there are %d, and %d slots", tc.statistics, n, slots)
		}
	}
}

// TestEpisodesThatWereCountedInHoursAreRestored reads what a program wrote that counted the
// buckets of an episode in hours where its response came by the hour, beside others.
func TestEpisodesThatWereCountedInHoursAreRestored(t *testing.T) {
	const noon = int64(monday/window.QuarterMs + 48)
	episode := func(start int64, unit int64) spike.Episode {
		return spike.Episode{
			Status: spike.Active, Start: start / unit, Peak: start/unit + 4/unit, End: start/unit + 8/unit, PeakZ: 6, Excess: 70, Revision: 3,
			Evidence: spike.Evidence{From: (start - 96) / unit, Peak: (start - 4) / unit, PeakZ: 9, Excess: 900, Attributed: true},
		}
	}
	const hour, quarter = window.QuartersPerHour, 1
	for name, tc := range map[string]struct{ was, want []spike.Episode }{
		"quarter-hours": {[]spike.Episode{episode(noon+1, quarter)}, []spike.Episode{episode(noon+1, quarter)}},
		"hours":         {[]spike.Episode{episode(noon, hour)}, []spike.Episode{episode(noon, quarter)}},
		"hours, and before them quarter-hours, which were kept behind them": {
			[]spike.Episode{episode(noon, hour), episode(noon-40, quarter)}, []spike.Episode{episode(noon-40, quarter), episode(noon, quarter)},
		},
		"the same in both": {[]spike.Episode{episode(noon, hour), episode(noon, quarter)}, []spike.Episode{episode(noon, quarter)}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBrand("acme")
			b.clockMs, b.episodes = monday+2*window.DayMs, tc.was
			changes := make(log)
			l := changelog{f: func(key, value []byte) { changes[string(key)] = slices.Clone(value) }}
			l.meta(b)
			restored := newPartition(t)
			changes.restore(t, restored)
			if got := restored.brands["acme"].episodes; !slices.Equal(got, tc.want) {
				t.Errorf("got %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

// TestWhatExpiresAndComesAgainIsRestored has a natural key used again in the transaction
// in which its old snapshot is forgotten.
func TestWhatExpiresAndComesAgainIsRestored(t *testing.T) {
	p, changes := newPartition(t), make(log)
	later := int64(monday + 30*window.DayMs)
	const orders = 20 // so many that what is left is built anew
	for i := range orders {
		p.Apply(order(fmt.Sprint(i), 1, monday, 1000, 0, event.OrderStatusPlaced), taken)
	}
	p.Refresh(taken, 100, func(any) {})
	changes.take(p)
	p.Apply(order("later", 1, later, 2000, 0, event.OrderStatusPlaced), taken)
	p.Refresh(taken+window.HourMs, 100, func(any) {})
	if gone := len(p.brands["acme"].gone); gone != orders {
		t.Fatalf("%d snapshots have expired, want %d", gone, orders)
	}
	p.Apply(order("1", 2, later, 3000, 0, event.OrderStatusPlaced), taken)
	changes.take(p)
	restored := newPartition(t)
	changes.restore(t, restored)
	if diff := cmp.Diff(dump(p), dump(restored)); diff != "" {
		t.Errorf("the restored state differs (-memory +restored):\n%s", diff)
	}
	if got := restored.Apply(order("1", 2, later, 3000, 0, event.OrderStatusPlaced), taken); got != Duplicate {
		t.Errorf("order 1 came again and is %v, want a duplicate", got)
	}
}
