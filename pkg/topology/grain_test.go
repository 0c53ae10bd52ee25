package topology

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// byHour sums the quarter-hourly reports of a play by the hour, and may tell them as four
// equal quarters.
func byHour(world *played, posing bool) (events []event.Record) {
	var hour int64
	for _, e := range world.events {
		s, ok := e.(*event.AmazonSearchReport)
		if !ok {
			events = append(events, e)
			continue
		}
		if hour += s.Volume; s.OccurredAtMs%window.HourMs != 3*window.QuarterMs {
			continue
		}
		if at := s.OccurredAtMs - 3*window.QuarterMs; posing {
			for q := range int64(4) {
				events = append(events, searches(at+q*window.QuarterMs, 1, 15, (hour+3-q)/4))
			}
		} else {
			events = append(events, searches(at, 1, 60, hour))
		}
		hour = 0
	}
	return events
}

// Searches that are reported by the hour join at that grain: a window has as many
// observations as there are hours, its ends are on the hour, and so are spikes.
func TestHourlySearchesDoNotPoseAsQuarters(t *testing.T) {
	tr := truth{days: 28, delay: 8, life: 24, effect: 0.06, perSearch: 400_000, posts: 3, views: 4000, viral: 25, viralHour: 10}
	end := int64(monday) + int64(tr.days)*window.DayMs
	world := tr.play(1)
	look := func(posing bool) (c event.Correlation, spikes []event.Spike) {
		p := newPartition(t)
		for _, e := range byHour(&world, posing) {
			p.Apply(e, taken)
		}
		got := make(results)
		p.Refresh(taken, all, func(v any) {
			got.take(v)
			if s, ok := v.(*event.Spike); ok {
				spikes = append(spikes, *s)
			}
		})
		c, ok := got[fmt.Sprintf("force 01 %d", end)].(event.Correlation)
		if !ok {
			t.Fatalf("there is no window that ends at %d", end)
		}
		return c, spikes
	}
	hours, spikes := look(false)
	if hours.ResponseSignal != "branded_searches_hour" || hours.EffectSignal != "branded_searches" || hours.Tier != event.TierSettled {
		t.Errorf("the response is %s, the effect in %s, %s", hours.ResponseSignal, hours.EffectSignal, hours.Tier)
	}
	quarters, _ := look(true)
	if hours.EffectLow > tr.effect || hours.EffectHigh < tr.effect || hours.Effect != quarters.Effect {
		t.Errorf("the effect of %g is %g in [%g, %g], and %g by the quarter-hour", tr.effect, hours.Effect, hours.EffectLow, hours.EffectHigh, quarters.Effect)
	}
	if len(hours.LagProfile) != len(quarters.LagProfile) || hours.WindowEndMs%window.HourMs != 0 || hours.ResponseTotal != quarters.ResponseTotal {
		t.Errorf("the window to %d holds %d searches at %d lags, and by quarters %d at %d", hours.WindowEndMs, hours.ResponseTotal, len(hours.LagProfile), quarters.ResponseTotal, len(quarters.LagProfile))
	}
	viral, found := int64(monday)+int64(tr.viral)*window.DayMs+int64(tr.viralHour)*window.HourMs, false
	for _, s := range spikes {
		if s.StartedAtMs%window.HourMs != 0 || s.EndedAtMs%window.HourMs != 0 || s.ResponseSignal != "branded_searches_hour" {
			t.Errorf("a spike of %s from %d to %d", s.ResponseSignal, s.StartedAtMs, s.EndedAtMs)
		}
		found = found || s.StartedAtMs > viral && s.StartedAtMs < viral+6*window.HourMs
	}
	if !found {
		t.Errorf("none of %d spikes begins soon after %d", len(spikes), viral)
	}
}

// Of noise an hour is one observation, not four.
func TestAnHourOfNoiseIsOneObservation(t *testing.T) {
	for minutes, least := range map[int32]float64{60: 40, 15: 160} {
		r := rand.New(rand.NewPCG(7, 7))
		p := newPartition(t)
		const days = 20
		seen := int64(0)
		for q := range int64(days * 96) {
			at := int64(monday) + q*window.QuarterMs
			seen += poisson(r, 500)
			p.Apply(statistics("post", q, at+window.QuarterMs-1, monday, seen), taken)
			if n := int64(minutes / 15); q%n == n-1 {
				p.Apply(searches(at-(n-1)*window.QuarterMs, 1, minutes, poisson(r, 50*float64(n))), taken)
			}
		}
		got := make(results)
		p.Refresh(taken, all, got.take)
		c := got[fmt.Sprintf("force 01 %d", int64(monday)+days*window.DayMs)].(event.Correlation)
		if most := float64(event.ShortWindowHours*60) / float64(minutes); c.EffectiveN < least || c.EffectiveN > most {
			t.Errorf("%.1f observations of %d minutes count, want %.0f to %.0f", c.EffectiveN, minutes, least, most)
		}
	}
}

// The history of a signal begins when its feed is connected, whatever else of its node was
// there before: hours that nobody has reported are none in which nothing was searched.
func TestAHistoryBeginsWithItsFeed(t *testing.T) {
	const days, connected = 45, 20
	tr := truth{days: days, delay: 8, life: 24, effect: 0.06, perSearch: 400_000, posts: 3, views: 4000}
	end := int64(monday) + days*window.DayMs
	for seed := range uint64(3) {
		world := tr.play(seed)
		look := func(drops func(e event.Record) bool) event.Correlation {
			p := newPartition(t)
			for _, e := range world.events {
				if e.Head().OccurredAtMs >= monday+connected*window.DayMs || !drops(e) {
					p.Apply(e, taken)
				}
			}
			got := make(results)
			p.Refresh(taken, all, got.take)
			c := got[fmt.Sprintf("force 01 %d", end)].(event.Correlation)
			return c
		}
		late := look(func(e event.Record) bool { return e.Type() == event.TypeAmazonSearchReport })
		alone := look(func(e event.Record) bool {
			return e.Type() == event.TypeAmazonSearchReport || e.Type() == event.TypeAmazonOrder
		})
		if late.Effect != alone.Effect || late.EffectLow != alone.EffectLow || late.EffectHigh != alone.EffectHigh || late.TestPValue != alone.TestPValue {
			t.Errorf("seed %d: the effect is %g in [%g, %g] and p %g, and without orders from before the reports %g in [%g, %g] and p %g", seed,
				late.Effect, late.EffectLow, late.EffectHigh, late.TestPValue, alone.Effect, alone.EffectLow, alone.EffectHigh, alone.TestPValue)
		}
		if late.EffectLow > tr.effect || late.EffectHigh < tr.effect {
			t.Errorf("seed %d: the effect of %g is %g in [%g, %g]", seed, tr.effect, late.Effect, late.EffectLow, late.EffectHigh)
		}
		t.Logf("seed %d: %g in [%g, %g]", seed, late.Effect, late.EffectLow, late.EffectHigh)
	}
}
