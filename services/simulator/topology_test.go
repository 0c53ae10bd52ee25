package simulator

import (
	"maps"
	"strconv"
	"testing"
	"time"

	"flywheel/pkg/event"
	"flywheel/pkg/topology"
)

// TestTheProcessorsCoreObeysTheSameRules plays a world with many faults to the
// ledger and to the core of the processor, and compares what became of every
// record, and the revenue of every day. Neither knows the other.
func TestTheProcessorsCoreObeysTheSameRules(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			compareWithCore(t, testWorld(t, func(c *Config) { withFaults(c); c.Seed, c.Backfill = seed, 9*24*time.Hour }))
		})
	}
}

func compareWithCore(t *testing.T, w *world) {
	t.Helper()
	l := newLedger(w)
	cfg := topology.DefaultConfig()
	cfg.RefreshInterval = 0
	core, err := topology.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for b := range w.entries() {
		core.ApplyBrand(b)
	}
	type key struct {
		brand    string
		dayMs    int64
		node     event.NodeName
		currency string
	}
	revenue := make(map[key]int64)
	refresh := func() {
		core.Refresh(w.end, 1<<30, func(result any) {
			if c, ok := result.(*event.Credit); ok {
				revenue[key{c.BrandID, c.DayMs, c.Node, c.Currency}] = c.RevenueMicros
			}
		})
	}
	want := map[topology.Outcome]func(before, after Summary) bool{
		topology.Applied:    func(b, a Summary) bool { return a.Applied == b.Applied+1 },
		topology.Superseded: func(b, a Summary) bool { return a.Superseded == b.Superseded+1 },
		topology.Late:       func(b, a Summary) bool { return a.Late == b.Late+1 },
		topology.Duplicate:  func(b, a Summary) bool { return a.Duplicate == b.Duplicate+1 },
		topology.Future:     func(b, a Summary) bool { return a.Reasons[event.ReasonFuture] == b.Reasons[event.ReasonFuture]+1 },
	}
	counts := func() Summary {
		s := l.summary
		s.Reasons = maps.Clone(s.Reasons)
		return s
	}
	seen := make(map[topology.Outcome]int)
	lastDay := w.start
	for it := range w.items() {
		before := counts()
		l.acknowledge(&it, receipt{timestampMs: w.end})
		if it.poison != healthy && it.poison != fromFuture {
			continue // never reaches the core
		}
		outcome := core.Apply(it.record, w.end)
		if !want[outcome](before, counts()) {
			t.Fatalf("the core says %s of a %s: %+v", outcome, it.record.Type(), it.record)
		}
		seen[outcome]++
		if it.observedMs >= lastDay+dayMs {
			lastDay = it.observedMs
			refresh()
		}
	}
	refresh()
	for outcome := range want {
		if seen[outcome] == 0 {
			t.Errorf("nothing is %s", outcome)
		}
	}
	days := 0
	for _, r := range l.Detail().Revenue {
		if got := revenue[key{r.BrandID, r.DayMs, r.Node, r.Currency}]; got != r.Micros {
			t.Errorf("the core has %d micros of %+v", got, r)
		}
		delete(revenue, key{r.BrandID, r.DayMs, r.Node, r.Currency})
		days++
	}
	for k, micros := range revenue {
		if micros != 0 {
			t.Errorf("the core has %d micros of %+v, which the ledger lacks", micros, k)
		}
	}
	if days < 80 {
		t.Errorf("%d days were compared", days)
	}
}
