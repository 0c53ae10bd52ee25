package topology

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// planted is a prior of brands that follow the kernel of a truth, 20 of each of the two
// nearest half-lives, of a fold that the brand learns from.
func planted(t testing.TB, force int, tr truth) map[int]*correlate.Pool {
	t.Helper()
	return counted(t, force, tr.delay/4, tr.delay/4, 20)
}

// counted is a prior of two counts with half-lives of 4 and 8 hours.
func counted(t testing.TB, force, first, second, brands int) map[int]*correlate.Pool {
	t.Helper()
	var pool correlate.Pool
	for _, c := range []correlate.Count{{Fold: 0, Delay: first, HalfLife: 4, Brands: brands}, {Fold: 0, Delay: second, HalfLife: 8, Brands: brands}} {
		if err := pool.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	return map[int]*correlate.Pool{force: &pool}
}

// weak is an effect that one brand alone shows late.
func weak() truth {
	return truth{days: 26, delay: 8, life: 24, effect: 0.012, perSearch: 400_000, posts: 2, views: 4000}
}

// midnights returns what the windows of force 1 say that end with the days, from one on.
func midnights(p *Partition, from, days int64) (all []event.Correlation) {
	for day := from; day <= days; day++ {
		p.RecomputeWindow("acme", 1, monday+day*window.DayMs, func(v any) { all = append(all, *v.(*event.Correlation)) })
	}
	return all
}

// TestAPriorFindsAPlantedBrandEarlier looks every day at brands with a weak effect,
// alone, with what others like them have shown, and with what unlike ones have.
func TestAPriorFindsAPlantedBrandEarlier(t *testing.T) {
	const brands = 6
	tr := weak()
	if correlate.Fold("acme") == 0 {
		t.Fatal("the brand learns from nobody")
	}
	// The days on which nothing is found, and the power said on the last one.
	play := func(pools map[int]*correlate.Pool) (waits int, power float64) {
		for seed := range uint64(brands) {
			p := newLearned(t, pools)
			for _, e := range tr.play(seed).events {
				p.Apply(e, taken)
			}
			b, end := p.brands["acme"], int64(monday)/window.DayMs+int64(tr.days)
			p.derive(b)
			power += p.look(b, 0, end, false).power / brands
			for day := end - int64(tr.days); day <= end && !b.forces[0].looks.found.Has(day); day++ {
				waits++
			}
		}
		return waits, power
	}
	alone, powerAlone := play(nil)
	like, powerLike := play(planted(t, 1, tr))
	unlike, _ := play(counted(t, 1, 24, 36, 20))
	t.Logf("%d brands wait %d days alone, %d with brands like them, %d with others; power for one of 10 %% %.2f and %.2f", brands, alone, like, unlike, powerAlone, powerLike)
	if like > alone-brands || unlike < alone {
		t.Errorf("%d brands wait %d days alone, %d with brands like them and %d with others", brands, alone, like, unlike)
	}
	if powerLike <= powerAlone {
		t.Errorf("the power is said to be %.3f with brands like it, %.3f alone", powerLike, powerAlone)
	}
}

// TestAPriorOfNobodyIsNone compares all that is published, to the bit.
func TestAPriorOfNobodyIsNone(t *testing.T) {
	tr := weak()
	events := tr.play(3).events
	later := correlate.Count{Fold: correlate.Folds - 1, Delay: 2, HalfLife: 8, Brands: 9} // nobody is in a higher one
	for name, pools := range map[string]map[int]*correlate.Pool{
		"a pool without brands": {1: {}},
		"another force's":       planted(t, 9, tr),
		"a later fold's":        {1: pool(t, later)},
	} {
		t.Run(name, func(t *testing.T) {
			publish := func(p *Partition) results {
				got := make(results)
				for i, e := range events {
					p.Apply(e, taken)
					if i%5000 == 0 {
						p.Refresh(taken, all, func(v any) { got.take(unversioned(v)) })
					}
				}
				p.Refresh(taken, all, func(v any) { got.take(unversioned(v)) })
				return got
			}
			none, some := publish(newPartition(t)), publish(newLearned(t, pools))
			if diff := gocmp.Diff(none, some); diff != "" || len(none) < 20 {
				t.Errorf("%d results (-none +prior):\n%s", len(none), diff)
			}
		})
	}
	if empty := newLearned(t, map[int]*correlate.Pool{1: {}}); empty.version != correlate.Version {
		t.Errorf("results of a prior that says nothing are of %q", empty.version)
	}
}

func pool(t testing.TB, c correlate.Count) *correlate.Pool {
	t.Helper()
	var p correlate.Pool
	if err := p.Add(c); err != nil {
		t.Fatal(err)
	}
	return &p
}

// unversioned takes out what says which prior a result is of.
func unversioned(v any) any {
	switch v := v.(type) {
	case *event.Correlation:
		v.CodeVersion = ""
	case *event.Credit:
		v.CodeVersion = ""
	case *event.Spike:
		v.CodeVersion = ""
	}
	return v
}

// TestARestartWithAnotherPriorIsABatchWithIt lets days pass with a prior by which a brand
// is found, and restarts with one by which it is not yet, and the other way around: the
// outcomes of days that are not final are those of the second.
func TestARestartWithAnotherPriorIsABatchWithIt(t *testing.T) {
	tr := weak()
	tr.effect = 0.02
	world := tr.play(3)
	const restart = 17 // days; no day with a test is final yet
	like, unlike := planted(t, 1, tr), counted(t, 1, 24, 36, 200)
	for name, priors := range map[string][2]map[int]*correlate.Pool{
		"from one that finds it to one that does not": {like, unlike},
		"the other way around":                        {unlike, like},
		"from one that finds it to none":              {like, nil},
		"from none":                                   {nil, like},
	} {
		t.Run(name, func(t *testing.T) {
			stream, batch, changes := newLearned(t, priors[0]), newLearned(t, priors[1]), make(log)
			var before []event.Correlation
			got := make(results)
			for _, e := range world.events {
				if at := e.Head().OccurredAtMs; before == nil && at >= monday+restart*window.DayMs {
					stream.Refresh(taken, all, func(any) {})
					before = midnights(stream, 1, restart)
					changes.take(stream)
					stream = newLearned(t, priors[1])
					changes.restore(t, stream)
				}
				stream.Apply(e, taken)
				batch.Apply(e, taken)
			}
			stream.Refresh(taken, all, got.take)
			after, want := midnights(stream, 1, int64(tr.days)), midnights(batch, 1, int64(tr.days))
			was := want[len(want)-tr.days+restart-len(before):]
			if diff := gocmp.Diff(want[len(want)-len(after):], after, gocmp.FilterPath(func(p gocmp.Path) bool { return p.String() == "Revision" }, gocmp.Ignore())); diff != "" {
				t.Errorf("-batch +stream:\n%s", diff)
			}
			changed := 0
			for i := range before {
				if v := want[i].CodeVersion; (priors[1] == nil) != (v == correlate.Version) || !strings.HasPrefix(v, correlate.Version) {
					t.Errorf("a result is of %q", v)
				}
				if before[i].WindowEndMs != was[i].WindowEndMs {
					t.Fatalf("the window that ends at %d is compared with that at %d", was[i].WindowEndMs, before[i].WindowEndMs)
				}
				if before[i].Discovery != was[i].Discovery {
					changed++
				}
				if before[i].CodeVersion == was[i].CodeVersion {
					t.Errorf("both priors call their results %q", was[i].CodeVersion)
				}
			}
			t.Logf("of %d days %d have another outcome", len(before), changed)
			if changed == 0 || len(got) == 0 {
				t.Errorf("of %d days none has another outcome, %d results were published", len(before), len(got))
			}
		})
	}
}

func TestAPriorOfAForceThatHasNoneIsRefused(t *testing.T) {
	for _, number := range []int{0, 2, 11} {
		cfg := DefaultConfig()
		cfg.Pools = map[int]*correlate.Pool{number: {}}
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "force") {
			t.Errorf("force %d: %v", number, err)
		}
	}
}
