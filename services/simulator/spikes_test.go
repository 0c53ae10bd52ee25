package simulator

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"flywheel/pkg/event"
	"flywheel/pkg/topology"
)

// raised is what became of one spike that the core published.
type raised struct {
	brand, post    string
	atMs           int64 // when it was raised, in event time
	startMs, endMs int64
	retracted      bool
}

// live looks every quarter-hour around a planted spike, and every three hours elsewhere.
func live(planted []Spike) func(int64) bool {
	return func(at int64) bool {
		return at%(3*hourMs) == 0 || slices.ContainsFunc(planted, func(s Spike) bool { return at > s.VisibleMs-2*hourMs && at < s.VisibleMs+5*hourMs })
	}
}

// watch plays a world to the core of the processor and returns the spikes it
// published. The core looks at the quarter-hours given and at the end, with a budget
// that leaves time for the newest.
func watch(t *testing.T, w *world, looks func(atMs int64) bool) []raised {
	t.Helper()
	cfg := topology.DefaultConfig()
	cfg.RefreshInterval = 0
	core, err := topology.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for b := range w.entries() {
		core.ApplyBrand(b)
	}
	at := w.start
	spikes := make(map[event.ID]*raised)
	refresh := func() {
		core.Refresh(at, topology.Budget(40*len(w.brands)), func(result any) {
			s, ok := result.(*event.Spike)
			if !ok {
				return
			}
			r := spikes[s.SpikeID]
			if r == nil {
				r = &raised{brand: s.BrandID, atMs: at}
				spikes[s.SpikeID] = r
			}
			r.post, r.startMs, r.endMs, r.retracted = s.LeadingContentID, s.StartedAtMs, s.EndedAtMs, s.Status == event.SpikeStatusRetracted
		})
	}
	for it := range w.items() {
		if it.poison != healthy {
			continue
		}
		for it.observedMs >= at+quarterMs {
			at += quarterMs
			if looks(at) {
				refresh()
			}
		}
		core.Apply(it.record, w.end)
	}
	at = w.end
	for range 3 * len(w.brands) { // a brand at a time, and now and then the past
		refresh()
	}
	var out []raised
	for _, r := range spikes {
		out = append(out, *r)
	}
	return out
}

// TestPlantedSpikesAreFoundLive compares what the core of the processor raises with
// the viral posts that were planted: each is one spike, raised while it rises, with
// the post that drives it, and it stays that spike when the days after it have
// become history. Only a report of its first buckets that comes late or is corrected
// may take it back for another.
func TestPlantedSpikesAreFoundLive(t *testing.T) {
	w := testWorld(t, func(c *Config) { c.Brands, c.Backfill, c.Spikes = 4, 20*24*time.Hour, 1.5 })
	var planted []Spike
	for _, b := range w.brands {
		planted = append(planted, b.spikes...)
	}
	all := watch(t, w, live(planted))
	var found, right, retracted int
	var delays []time.Duration
	met := make([]bool, len(all))
	for _, s := range planted {
		n := 0
		for i, r := range all {
			if r.retracted || r.brand != s.BrandID || r.startMs >= s.EndMs || r.endMs <= s.VisibleMs {
				continue
			}
			met[i] = true
			if n++; n > 1 {
				t.Errorf("%s has a second spike for the post of %s", r.brand, time.UnixMilli(s.PostedMs).UTC())
			}
			if r.post == s.ContentID {
				right++
			}
			if s.VisibleMs > w.start+11*dayMs { // the core knows the seasons by then
				delays = append(delays, time.Duration(r.atMs-s.VisibleMs)*time.Millisecond)
			}
		}
		found += min(n, 1)
	}
	for i, r := range all {
		if r.retracted {
			retracted++
		} else if !met[i] {
			t.Errorf("%s raised a spike at %s that nobody planted", r.brand, time.UnixMilli(r.startMs).UTC())
		}
	}
	slices.Sort(delays)
	if len(planted) < 8 || len(delays) < 4 {
		t.Fatalf("%d spikes are planted, %d of them late enough", len(planted), len(delays))
	}
	t.Logf("%d planted, %d found, %d with the right post, %d taken back; raised %s after they are visible (median of %d), at most %s", len(planted), found, right, retracted, delays[len(delays)/2], len(delays), delays[len(delays)-1])
	if retracted > 1 {
		t.Errorf("%d spikes were taken back", retracted)
	}
	if found < len(planted)-1 || right < found-1 {
		t.Errorf("of %d planted spikes %d are found, %d with the right post", len(planted), found, right)
	}
	if delays[len(delays)/2] > 2*time.Hour {
		t.Errorf("half of them are raised later than %s after they are visible", delays[len(delays)/2])
	}
}

// TestABacklogRaisesTheSpikesOfALiveStream reads what was played a part at a time, each
// longer than one look holds.
func TestABacklogRaisesTheSpikesOfALiveStream(t *testing.T) {
	stand := func(looks func(int64) bool) []raised {
		w := testWorld(t, func(c *Config) { c.Brands, c.Backfill, c.Spikes = 3, 30*24*time.Hour, 1.5 })
		all := slices.DeleteFunc(watch(t, w, looks), func(r raised) bool { return r.retracted })
		slices.SortFunc(all, func(a, b raised) int { return cmp.Or(cmp.Compare(a.brand, b.brand), cmp.Compare(a.startMs, b.startMs)) })
		return all
	}
	want := stand(func(at int64) bool { return at%(3*dayMs) == 0 })
	if len(want) < 1 {
		t.Fatalf("only %d spikes are raised live", len(want))
	}
	for name, every := range map[string]int64{"nine days at a time": 9 * dayMs, "all at once": 1000 * dayMs} {
		t.Run(name, func(t *testing.T) {
			got := stand(func(at int64) bool { return at%every == 0 })
			matched := 0
			for _, r := range want {
				if slices.ContainsFunc(got, func(g raised) bool {
					return g.brand == r.brand && g.startMs < r.endMs && r.startMs < g.endMs && g.post == r.post
				}) {
					matched++
				}
			}
			t.Logf("%d spikes live, %d in the backlog, %d of them the same", len(want), len(got), matched)
			if matched < len(want)-1 || len(got) > len(want)+1 { // what a spike is may hang on the last report of its first bucket
				t.Errorf("of %d spikes raised live the backlog raises %d, and %d others", len(want), matched, len(got)-matched)
			}
		})
	}
}
