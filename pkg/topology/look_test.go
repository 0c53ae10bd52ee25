package topology

import (
	"fmt"
	"math/rand/v2"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// TestTheDailyTestsAreOneSequence plays six weeks with corrections and crashes. What
// is published of the days that may still be restated is what a batch says, which
// looks at all days at once; and the batch's levels and discoveries are those of one
// tally over its probabilities. One of the brands has a prior.
func TestTheDailyTestsAreOneSequence(t *testing.T) {
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 9))
		tr := truth{days: 44, delay: 8, life: 24, effect: []float64{0, 0.02, 0.06}[seed], perSearch: 400_000, posts: 2, views: 4000}
		world := tr.play(seed)
		prior := map[uint64]map[int]*correlate.Pool{1: planted(t, 1, tr)}[seed]
		stream, batch := newLearned(t, prior), newLearned(t, prior)
		got, changes := make(results), make(log)
		var accepted []event.Record
		apply := func(e event.Record) {
			if stream.Apply(e, taken) == Applied {
				accepted = append(accepted, e)
			}
		}
		for i, e := range world.events {
			apply(e)
			at := e.Head().OccurredAtMs
			switch r.IntN(1500) {
			case 0, 1, 2:
				stream.Refresh(taken, Budget(1+r.IntN(60)), got.take)
			case 3: // a correction of yesterday or before
				apply(searches((at-r.Int64N(70)*window.HourMs)/window.QuarterMs*window.QuarterMs, int64(i)+2, 15, int64(r.IntN(400))))
			case 4:
				apply(citation(fmt.Sprint("c", i), at, int32(r.IntN(5))))
			case 5: // a crash
				changes.take(stream)
				stream = newLearned(t, prior)
				changes.restore(t, stream)
			}
		}
		for stream.Refresh(taken, all, got.take); stream.Stats().Dirty > 0; {
			stream.Refresh(taken, all, got.take)
		}
		byTime(accepted)
		for _, e := range accepted {
			batch.Apply(e, taken)
		}

		compared := 0
		for key, g := range got {
			c, ok := g.(event.Correlation)
			if !ok || c.WindowEndMs < stream.oldestEnd(stream.brands["acme"], int(c.Force)-1)*stream.plan.stepsMs[c.Force-1] {
				continue
			}
			want := make(results)
			batch.RecomputeWindow("acme", int(c.Force), c.WindowEndMs, want.take)
			compared++
			if diff := gocmp.Diff(want[key], g); diff != "" {
				t.Fatalf("seed %d: %s (-batch +stream):\n%s", seed, key, diff)
			}
		}
		for _, force := range []int{1, 2} {
			var tally correlate.Tally
			for day := int64(1); day <= int64(tr.days); day++ {
				batch.RecomputeWindow("acme", force, monday+day*window.DayMs, func(v any) {
					c := v.(*event.Correlation)
					if c.TestLevel == 0 {
						if c.Discovery || c.TestPValue != 1 || c.Verdict == event.VerdictSignificant {
							t.Errorf("seed %d, force %d, day %d: nothing was tested, and it is %+v", seed, force, day, c)
						}
						return
					}
					if c.TestLevel != tally.Level() || c.Discovery != (c.TestPValue <= c.TestLevel) || c.Discovery != (c.Verdict == event.VerdictSignificant) {
						t.Errorf("seed %d, force %d, day %d: p %g, level %g (want %g), discovery %t, %s", seed, force, day, c.TestPValue, c.TestLevel, tally.Level(), c.Discovery, c.Verdict)
					}
					tally = tally.Next(c.Discovery)
				})
			}
			b := stream.brands["acme"]
			stream.look(b, force-1, monday/window.DayMs+int64(tr.days), false)
			looks := b.force(force - 1).looked()
			if now := looks.before(window.After); now != tally {
				t.Errorf("seed %d, force %d: the stream remembers %+v, the batch %+v", seed, force, now, tally)
			}
			t.Logf("seed %d, force %d: %+v, %d windows compared, of %+v only the counts are left", seed, force, tally, compared, looks.final)
			if force == 1 && (tally.Tests < 30 || looks.final.Tests < 15 || (tally.Discoveries > 0) != (seed > 0)) {
				t.Errorf("seed %d: %+v, final %+v", seed, tally, looks.final)
			}
		}
		if compared < 20 {
			t.Errorf("seed %d: only %d windows were compared", seed, compared)
		}
	}
}

// By Bartlett's variance alone bursts that have nothing to do with each other are too often
// far beyond any level. So a force whose window leaves no history for placebos is shown, and
// never called: not even where, as here, one side is made of the other.
func TestLongWindowsAreNotTested(t *testing.T) {
	r, p := rand.New(rand.NewPCG(1, 2)), newPartition(t)
	n := 0
	happens := func(record func(id string) event.Record) {
		n++
		if o := p.Apply(record(fmt.Sprint("e", n)), taken); o != Applied {
			t.Fatalf("event %d: %v", n, o)
		}
	}
	for hour := range int64(62 * 24) {
		at := monday + hour*window.HourMs
		burst := 0
		if r.IntN(40) == 0 {
			burst = 8 + r.IntN(20)
		}
		for i := range int64(burst + r.IntN(2)) {
			happens(func(id string) event.Record { return review(id, at+i) })
		}
		happens(func(id string) event.Record { return citation(id, at+2*window.HourMs, int32(1+burst)) })
	}
	got := make(results)
	for p.Refresh(taken, all, got.take); p.Stats().Dirty > 0; {
		p.Refresh(taken, all, got.take)
	}
	shown := 0
	for _, v := range got {
		c, ok := v.(event.Correlation)
		if !ok || c.Force != 4 {
			continue
		}
		shown++
		if c.PValue > 1e-4 {
			t.Errorf("the window says %g by itself: the test sees nothing", c.PValue)
		}
		if c.Discovery || c.TestLevel != 0 || c.Verdict != event.VerdictInsufficient || c.Reason != correlate.ShortHistory.String() {
			t.Errorf("it is tested: discovery %v at level %g, %s for %q", c.Discovery, c.TestLevel, c.Verdict, c.Reason)
		}
	}
	if shown == 0 {
		t.Error("no window of force 4 is shown")
	}
}
