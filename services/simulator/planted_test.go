package simulator

import (
	"flag"
	"testing"
	"time"

	"flywheel/pkg/event"
	"flywheel/pkg/topology"
)

var worldsFlag = flag.Int("worlds", 8, "look for the spikes planted into this many worlds (TestPlantedSpikesAreFoundByABatch)")

// TestPlantedSpikesAreFoundByABatch plays worlds as the load test does, each with other
// brands and on another day, and counts the planted spikes that a batch over what was sent
// misses or finds twice. With -worlds 400 it gives the figures that the bounds of
// loadtest/verify rest on.
func TestPlantedSpikesAreFoundByABatch(t *testing.T) {
	var planted, missed, doubled, twoMissed, twoDoubled int
	for seed := range *worldsFlag {
		w := chaosWorld(t, seed)
		spikes := batchSpikes(t, w)
		m, d := 0, 0
		for _, b := range w.brands {
			for _, s := range b.spikes {
				if s.Early || s.VisibleMs >= w.end {
					continue
				}
				planted++
				found := 0
				for _, a := range spikes {
					if a.BrandID == s.BrandID && a.StartedAtMs < s.EndMs && a.EndedAtMs > s.VisibleMs {
						found++
					}
				}
				switch {
				case found == 0:
					m++
				case found > 1:
					d++
				}
			}
		}
		missed, doubled = missed+m, doubled+d
		if m > 1 {
			twoMissed++
		}
		if d > 1 {
			twoDoubled++
		}
	}
	t.Logf("of %d spikes planted into %d worlds %d are missed and %d found twice; two or more of one world are missed in %d and found twice in %d", planted, *worldsFlag, missed, doubled, twoMissed, twoDoubled)
	if planted < 4**worldsFlag {
		t.Errorf("only %d are planted", planted)
	}
	if allowed := 1 + planted/100; missed > allowed || doubled > allowed {
		t.Errorf("that is more than 1 %%")
	}
}

// chaosWorld is a world as loadtest/chaos plays it.
func chaosWorld(t *testing.T, seed int) *world {
	t.Helper()
	cfg := TrialConfig()
	cfg.Seed, cfg.Run = uint64(seed), "planted"
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(cfg, time.Date(2026, time.November, 20, 0, 0, 0, 0, time.UTC).Add(time.Duration(seed)*(3*time.Hour+42*time.Minute)))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// batchSpikes returns the spikes that a batch finds in what a world sends.
func batchSpikes(t *testing.T, w *world) (all []event.Spike) {
	t.Helper()
	core, err := topology.New(topology.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	for b := range w.entries() {
		core.ApplyBrand(b)
	}
	for it := range w.items() {
		if it.poison == healthy {
			core.Apply(it.record, w.end)
		}
	}
	for _, b := range w.brands {
		newest := make(map[event.ID]event.Spike)
		core.RecomputeSpikes(b.id, w.end, func(v any) { newest[v.(*event.Spike).SpikeID] = *v.(*event.Spike) })
		for _, s := range newest {
			if s.Status != event.SpikeStatusRetracted {
				all = append(all, s)
			}
		}
	}
	return all
}

// TestALiveStreamHasTheSpikesOfABatch looks at a world every six hours, and in the end at
// all of it at once: a spike stands as it was last in sight, and by then all that can tell
// of it has come.
func TestALiveStreamHasTheSpikesOfABatch(t *testing.T) {
	type key struct {
		brand          string
		startMs, endMs int64
	}
	all, differ := 0, 0
	for seed := range 1 + *worldsFlag/16 {
		want := make(map[key]bool)
		for _, s := range batchSpikes(t, chaosWorld(t, seed)) {
			want[key{s.BrandID, s.StartedAtMs, s.EndedAtMs}] = true
		}
		for _, r := range watch(t, chaosWorld(t, seed), func(at int64) bool { return at%(6*hourMs) == 0 }) {
			k := key{r.brand, r.startMs, r.endMs}
			switch {
			case !r.retracted && want[k]:
				all++
				delete(want, k)
			case !r.retracted:
				differ++
				t.Logf("the stream raises one at %s for %s: %+v", time.UnixMilli(r.startMs).UTC(), time.Duration(r.endMs-r.startMs)*time.Millisecond, r)
			}
		}
		for k := range want {
			differ++
			t.Logf("the batch finds one at %s for %s: %+v", time.UnixMilli(k.startMs).UTC(), time.Duration(k.endMs-k.startMs)*time.Millisecond, k)
		}
	}
	t.Logf("%d spikes are the same, %d are not", all, differ)
	if all < 4 || differ > all/100 {
		t.Errorf("of %d spikes %d differ", all+differ, differ)
	}
}
