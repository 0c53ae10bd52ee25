package topology

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// byWeek takes the quarter-hourly reports out of a play and gives what Amazon has
// instead: ad impressions and glance views at once, whose ratios to the searches
// wander, and the week's report, two days after its end.
func byWeek(world *played, seed uint64) (events []event.Record, volume []int64) {
	r := rand.New(rand.NewPCG(seed, 2))
	volume = make([]int64, len(world.base))
	var glanced, week int64
	perSearch := 1.5
	for _, e := range world.events {
		s, ok := e.(*event.AmazonSearchReport)
		if !ok {
			events = append(events, e)
			continue
		}
		at := s.OccurredAtMs
		q := (at - monday) / window.QuarterMs
		if q%(7*96) == 0 {
			perSearch *= math.Exp(0.05 * r.NormFloat64())
		}
		volume[q] = s.Volume
		week += s.Volume
		glanced += poisson(r, perSearch*float64(s.Volume)+1)
		events = append(events, adTraffic(fmt.Sprint(q), at, poisson(r, 0.6*float64(s.Volume))))
		if q%4 == 3 {
			events = append(events, glances(fmt.Sprint(q), at-3*window.QuarterMs, glanced))
			glanced = 0
		}
		if q%(7*96) == 7*96-1 {
			report := searches(at+window.QuarterMs-7*window.DayMs, 1, 10080, week)
			events = append(events, report)
			week = 0
		}
	}
	return events, volume
}

// A brand whose searches are reported by the week: until the report is there the
// nowcast stands in for it, with an interval that holds what comes, and the effect
// is one on branded searches.
func TestBrandedSearchesAreNowcastUntilTheReport(t *testing.T) {
	const seeds = 20
	tr := truth{days: 35, delay: 8, life: 24, effect: 0.06, perSearch: 400_000, posts: 3, views: 4000}
	end := int64(monday) + int64(tr.days)*window.DayMs
	held, covered := 0, 0
	for seed := range uint64(seeds) {
		world := tr.play(seed)
		events, volume := byWeek(&world, seed)
		var total float64
		for _, v := range volume[(tr.days-3)*96:] {
			total += float64(v)
		}
		p := newPartition(t)
		var report event.Record
		for _, e := range events {
			if s, ok := e.(*event.AmazonSearchReport); ok && s.OccurredAtMs == end-7*window.DayMs {
				report = e
				continue
			}
			p.Apply(e, taken)
		}
		look := func() (c event.Correlation) {
			got := make(results)
			p.Refresh(taken, all, got.take)
			c, ok := got[fmt.Sprintf("force 01 %d", end)].(event.Correlation)
			if !ok {
				t.Fatalf("there is no window that ends at %d", end)
			}
			return c
		}
		live := look()
		if live.ResponseSignal != "branded_ad_impressions" || live.Tier != event.TierProvisional || live.SettledTotal != 0 || live.EffectSignal != "branded_searches" {
			t.Fatalf("before the report: response %s, effect on %s, %s, settled %g", live.ResponseSignal, live.EffectSignal, live.Tier, live.SettledTotal)
		}
		if live.NowcastLow <= total && total <= live.NowcastHigh {
			held++
		}
		if off := math.Abs(math.Log(live.NowcastTotal / total)); off > 0.2 || live.NowcastHigh > 2*live.NowcastLow {
			t.Errorf("seed %d: the nowcast of %g searches is %g in [%g, %g]", seed, total, live.NowcastTotal, live.NowcastLow, live.NowcastHigh)
		}
		if live.EffectLow <= tr.effect && tr.effect <= live.EffectHigh {
			covered++
		}
		if got := p.Apply(report, taken); got != Applied {
			t.Fatalf("the report is %v", got)
		}
		settled := look()
		if settled.Tier != event.TierSettled || math.Abs(math.Log(settled.SettledTotal/total)) > 0.05 {
			t.Errorf("seed %d: after the report %s, settled %g of %g", seed, settled.Tier, settled.SettledTotal, total)
		}
		if before, after := live.EffectHigh-live.EffectLow, settled.EffectHigh-settled.EffectLow; live.Effect > 0 && after/settled.Effect >= before/live.Effect {
			t.Errorf("seed %d: the report does not narrow the interval of the effect: %g, then %g", seed, before/live.Effect, after/settled.Effect)
		}
	}
	t.Logf("%d of %d nowcasts hold what was searched, %d intervals the effect", held, seeds, covered)
	if held < seeds-2 || covered < seeds-3 {
		t.Errorf("%d of %d nowcasts hold what was searched, %d intervals the effect", held, seeds, covered)
	}
}

// A proxy that is away for hours says nothing of them: the nowcast is by the others, and as
// wide as they are off; and what a report says is spread by these.
func TestNowcastsHoldWhileAProxyIsAway(t *testing.T) {
	const seeds = 6
	tr := truth{days: 42, delay: 8, life: 24, effect: 0.06, perSearch: 400_000, posts: 3, views: 4000}
	end := int64(monday) + int64(tr.days)*window.DayMs
	ads := func(e event.Record) bool { _, is := e.(*event.AmazonAdStream); return is }
	views := func(e event.Record) bool { _, is := e.(*event.AmazonTrafficHour); return is }
	for name, tt := range map[string]struct {
		of       func(event.Record) bool
		from, to int64 // hours before the end
	}{
		"none is":                         {ads, 0, 0},
		"ads for the last 36 hours":       {ads, 36, 0},
		"ads in the middle of the window": {ads, 48, 36},
		"views for the last 36 hours":     {views, 36, 0},
		"ads before the fourth week":      {ads, 42 * 24, 17 * 24},
	} {
		t.Run(name, func(t *testing.T) {
			held, settled := 0, 0
			for seed := range uint64(seeds) {
				world := tr.play(seed)
				events, volume := byWeek(&world, seed)
				p := newPartition(t)
				var report event.Record // that covers the window
				for _, e := range events {
					at := e.Head().OccurredAtMs
					if s, is := e.(*event.AmazonSearchReport); is && at == end-7*window.DayMs {
						report = s
					} else if !tt.of(e) || at < end-tt.from*window.HourMs || at >= end-tt.to*window.HourMs {
						p.Apply(e, taken)
					}
				}
				got := make(results)
				look := func() (c event.Correlation, searched float64) {
					p.Refresh(taken, all, got.take)
					last, _ := p.brands["acme"].last(0)
					c = got[fmt.Sprintf("force 01 %d", last*window.QuarterMs)].(event.Correlation)
					whole := window.Floor(c.WindowEndMs, window.HourMs)*window.QuartersPerHour - monday/window.QuarterMs
					for _, v := range volume[whole-72*window.QuartersPerHour : min(whole, int64(len(volume)))] {
						searched += float64(v)
					}
					return c, searched
				}
				c, searched := look()
				if c.Tier != event.TierProvisional || c.NowcastHigh > 3*c.NowcastLow {
					t.Fatalf("%s, nowcast in [%g, %g]", c.Tier, c.NowcastLow, c.NowcastHigh)
				}
				if c.NowcastLow <= searched && searched <= c.NowcastHigh {
					held++
				}
				p.Apply(report, taken)
				if c, searched = look(); c.Tier != event.TierSettled {
					t.Fatalf("by the report it is %s", c.Tier)
				}
				if off := math.Abs(math.Log(c.SettledTotal / searched)); off < 0.06 {
					settled++
				}
			}
			t.Logf("%d of %d nowcasts hold, and %d settled totals come near", held, seeds, settled)
			if held < seeds-1 || settled < seeds-1 {
				t.Errorf("%d of %d nowcasts hold, and %d settled totals come near", held, seeds, settled)
			}
		})
	}
}

// Where there are reports of days and of weeks, one kind of them tells of a window: that
// which covers it, or else of more of the history. Its tier is by the same.
func TestReportsOfOneKindTellOfAWindow(t *testing.T) {
	const days, perDay = 42, 2400
	const byDays, byWeeks, byPrior = 0.26, 0.46, 0.1 // how far off the nowcasts are then
	end := int64(monday) + days*window.DayMs
	for name, tt := range map[string]struct {
		days, weeks func(i int) bool // reported
		tier        event.Tier
		off         float64
	}{
		"weeks, not of the window":        {none, but(5), event.TierProvisional, byWeeks},
		"and a stray day":                 {only(8), but(5), event.TierProvisional, byWeeks},
		"and a stray day of the window":   {only(40), but(5), event.TierProvisional, byWeeks},
		"weeks, and of the window":        {none, every, event.TierSettled, byWeeks},
		"and two stray days of it":        {only(40, 41), every, event.TierSettled, byWeeks},
		"and the days of it":              {only(39, 40, 41), but(5), event.TierSettled, byDays},
		"days, not the last":              {but(41), none, event.TierProvisional, byDays},
		"and a stray week":                {but(41), only(1), event.TierProvisional, byDays},
		"and the week of the window":      {but(41), only(5), event.TierSettled, byPrior},
		"days and weeks, all of them":     {every, every, event.TierSettled, byDays},
		"weeks until there were days":     {func(i int) bool { return i >= 35 }, but(5), event.TierSettled, byDays},
		"days that came to an end":        {func(i int) bool { return i < 14 }, func(i int) bool { return i >= 2 }, event.TierSettled, byWeeks},
		"no report of either kind at all": {none, none, event.TierProvisional, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var reports []event.Record
			for day := range days {
				v := int64(perDay)
				if day%2 == 0 {
					v = perDay * 2 / 3
				}
				if at := int64(monday) + int64(day)*window.DayMs; tt.days(day) {
					reports = append(reports, searches(at, 1, 24*60, v))
				}
			}
			for week := range days / 7 {
				v := int64(7 * perDay)
				if week%2 == 0 {
					v /= 2
				}
				if at := int64(monday) + int64(week)*7*window.DayMs; tt.weeks(week) {
					reports = append(reports, searches(at, 1, 7*24*60, v))
				}
			}
			p := newPartition(t)
			for hour := range int64(days * 24) {
				at := int64(monday) + hour*window.HourMs
				p.Apply(glances(fmt.Sprint(hour), at, 100), taken)
				p.Apply(statistics(fmt.Sprint("post", hour), 1, at+window.HourMs-1, at, 1000), taken)
			}
			got := make(results)
			p.Refresh(taken, all, got.take)
			for _, r := range reports { // to what is published
				if o := p.Apply(r, taken); o != Applied && o != Late {
					t.Fatalf("%d minutes at %d: %s", r.(*event.AmazonSearchReport).PeriodMinutes, r.Head().OccurredAtMs, o)
				}
			}
			for p.Refresh(taken, all, got.take); p.Stats().Dirty > 0; {
				p.Refresh(taken, all, got.take)
			}
			c := got[fmt.Sprintf("force 01 %d", end)].(event.Correlation)
			if c.Tier != tt.tier || (c.SettledTotal > 0) != (tt.tier == event.TierSettled) {
				t.Errorf("it is %s, with %g settled, want it %s", c.Tier, c.SettledTotal, tt.tier)
			}
			if math.Abs(c.NowcastError-tt.off) > 0.05*tt.off {
				t.Errorf("nowcasts are off by %.3f, want about %.2f", c.NowcastError, tt.off)
			}
			want := make(results)
			p.RecomputeWindow("acme", 1, end, want.take)
			if diff := gocmp.Diff(want[fmt.Sprintf("force 01 %d", end)], any(c)); diff != "" {
				t.Errorf("(-batch +stream):\n%s", diff)
			}
		})
	}
}

func none(int) bool { return false }

func every(int) bool { return true }

func only(which ...int) func(int) bool {
	return func(i int) bool { return slices.Contains(which, i) }
}

func but(which ...int) func(int) bool {
	return func(i int) bool { return !slices.Contains(which, i) }
}

// A report that reaches beyond the end of a window is spread over its hours as the proxies
// are, also as those are that come later: what it settles of the window changes with them.
func TestWhatAReportSettlesMovesWithLaterProxies(t *testing.T) {
	for name, minutes := range map[string]int32{"a day's": 24 * 60, "a week's": 7 * 24 * 60} {
		t.Run(name, func(t *testing.T) {
			const days = 21
			stream := newPartition(t)
			got := make(results)
			end := int64(monday) + days*window.DayMs
			for hour := range int64(days*24 - 6) {
				at := int64(monday) + hour*window.HourMs
				for _, r := range []event.Record{
					glances(fmt.Sprint(hour), at, 300+hour%24), statistics(fmt.Sprint("post", hour), 1, at+window.HourMs-1, at, 1000),
				} {
					if o := stream.Apply(r, taken); o != Applied {
						t.Fatalf("%s is %s", r.Type(), o)
					}
				}
			}
			for at := end - int64(minutes)*60_000; at >= monday; at -= int64(minutes) * 60_000 {
				stream.Apply(searches(at, 1, minutes, 100*int64(minutes)/60), taken)
			}
			stream.Refresh(taken, all, got.take)
			last, _ := stream.brands["acme"].last(0)
			key := fmt.Sprintf("force 01 %d", last*window.QuarterMs)
			before := got[key].(event.Correlation)
			if before.SettledTotal == 0 || before.WindowEndMs >= end-4*window.HourMs {
				t.Fatalf("the window that ends %d h before the report does is settled at %v", (end-before.WindowEndMs)/window.HourMs, before.SettledTotal)
			}
			stream.Apply(glances("late", end-3*window.HourMs, 3000), taken)
			for stream.Refresh(taken, all, got.take); stream.Stats().Dirty > 0; {
				stream.Refresh(taken, all, got.take)
			}
			want := make(results)
			stream.RecomputeWindow("acme", 1, before.WindowEndMs, want.take)
			after := got[key].(event.Correlation)
			if diff := gocmp.Diff(want[key], got[key]); diff != "" || after.SettledTotal >= before.SettledTotal {
				t.Errorf("the window settles at %v, and before at %v (-batch +stream):\n%s", after.SettledTotal, before.SettledTotal, diff)
			}
		})
	}
}
