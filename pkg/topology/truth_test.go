package topology

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"flywheel/pkg/event"
	"flywheel/pkg/spike"
	"flywheel/pkg/window"
)

// truth is a brand whose branded searches follow its posts' views as planted.
type truth struct {
	days        int
	delay, life int     // quarter-hours
	effect      float64 // searches per view
	perSearch   float64 // micros of revenue per search
	posts       int     // a day
	views       float64 // of a usual post
	viral       int     // the day with a post of fifty times that; 0 for none
	viralHour   int
}

// played is what truth gives.
type played struct {
	events  []event.Record // by time
	base    []float64      // searches without posts, by quarter-hour
	excess  []float64      // searches that follow posts
	revenue []int64        // by quarter-hour
}

func poisson(r *rand.Rand, mean float64) int64 {
	if mean > 200 {
		return int64(max(0, math.Round(mean+math.Sqrt(mean)*r.NormFloat64())))
	}
	limit, product, n := math.Exp(-mean), r.Float64(), int64(0)
	for product > limit {
		product *= r.Float64()
		n++
	}
	return n
}

// play makes the events of a brand; responses are drawn from the views as
// buckets see them, by direct convolution.
func (tr truth) play(seed uint64) played {
	r := rand.New(rand.NewPCG(seed, 1))
	n := tr.days * 96
	views := make([]float64, n)
	var out played
	for day := range tr.days {
		count := tr.posts
		for i := range count {
			at := day*96 + r.IntN(96)
			total := tr.views * math.Exp(r.NormFloat64())
			if day == tr.viral && tr.viral > 0 && i == 0 {
				at, total = day*96+4*tr.viralHour, 50*tr.views
			}
			id := fmt.Sprintf("post-%d-%d", day, i)
			since := int64(monday) + int64(at)*window.QuarterMs
			seen := 0.0
			for q := 0; q < 4*48 && at+q < n; q++ {
				gain := total * math.Exp(-float64(q)/24) / 24.5
				views[at+q] += math.Floor(seen+gain) - math.Floor(seen)
				seen += gain
				out.events = append(out.events, statistics(id, int64(q), since+int64(q+1)*window.QuarterMs, since, int64(math.Floor(seen))))
			}
		}
	}
	out.base, out.excess, out.revenue = make([]float64, n), make([]float64, n), make([]int64, n)
	norm := 0.0
	for lag := tr.delay; lag <= 288; lag++ {
		norm += math.Exp2(-float64(lag-tr.delay) / float64(tr.life))
	}
	seq := 0
	for t := range n {
		hour := float64(t%96) / 4
		out.base[t] = 20 * (1 + 0.6*math.Sin(2*math.Pi*hour/24))
		for lag := tr.delay; lag <= min(t, 288); lag++ {
			out.excess[t] += tr.effect * views[t-lag] * math.Exp2(-float64(lag-tr.delay)/float64(tr.life)) / norm
		}
		at := int64(monday) + int64(t)*window.QuarterMs
		volume := poisson(r, out.base[t]+out.excess[t])
		out.events = append(out.events, searches(at, 1, 15, volume))
		if gross := int64(float64(volume) * tr.perSearch); gross > 0 {
			seq++
			out.events = append(out.events, order(fmt.Sprint(seq), 1, at+1000, gross, 0, event.OrderStatusPlaced))
			out.revenue[t] = gross
		}
		if t%8 == 0 {
			out.events = append(out.events, shopOrder(fmt.Sprint(t), at, 3_000_000, "USD"))
		}
	}
	byTime(out.events)
	return out
}

// TestPlantedEffectIsFound lets four weeks of several brands pass and looks at
// what the last window and the last whole day say.
func TestPlantedEffectIsFound(t *testing.T) {
	const brands = 10
	tr := truth{days: 28, delay: 8, life: 24, effect: 0.06, perSearch: 400_000, posts: 3, views: 4000}
	end := int64(monday) + int64(tr.days)*window.DayMs
	found := 0
	var effects, shares []float64
	for seed := range uint64(brands) {
		world := tr.play(seed)
		p := newPartition(t)
		got := make(results)
		for _, r := range world.events {
			p.Apply(r, taken)
		}
		p.Refresh(taken, all, got.take)
		c, ok := got[fmt.Sprintf("force 01 %d", end)].(event.Correlation)
		if !ok {
			t.Fatalf("there is no window that ends at %d", end)
		}
		credit, ok := got[fmt.Sprintf("day %d amazon USD", end-window.DayMs)].(event.Credit)
		if !ok {
			t.Fatal("the last day has no credits")
		}
		if c.Verdict == event.VerdictSignificant {
			found++
			effects = append(effects, c.Effect/tr.effect)
			// Every search brings its revenue, and nothing else does.
			if whole := tr.effect * tr.perSearch; c.MediatedEffect < 0.5*whole || c.MediatedEffect > 1.5*whole || math.Abs(c.DirectEffect) > 0.1*whole {
				t.Errorf("seed %d: of %.0f micros a view, all by way of searches, %.0f go through them and %.0f past them", seed, whole, c.MediatedEffect, c.DirectEffect)
			}
			if c.DelayMinutes > 360 || c.HalfLifeMinutes < 60 {
				t.Errorf("seed %d: the kernel has a delay of %d and a half-life of %d minutes; 120 and 360 are planted", seed, c.DelayMinutes, c.HalfLifeMinutes)
			}
		}
		share, posts := judge(t, &tr, &world, &credit)
		if credit.Multiplier > 0 {
			shares = append(shares, share)
			if posts < 3 {
				t.Errorf("seed %d: only %d posts have credit", seed, posts)
			}
		}
	}
	slices.Sort(effects)
	slices.Sort(shares)
	t.Logf("found in %d of %d, effect over planted %.2f, credit over planted %.2f", found, brands, effects, shares)
	if found < 7 || len(shares) < 9 {
		t.Errorf("found in %d of %d brands, with credit in %d", found, brands, len(shares))
	}
	if m := effects[len(effects)/2]; m < 0.6 || m > 1.4 {
		t.Errorf("the median effect is %.2f of what is planted", m)
	}
	if m := shares[len(shares)/2]; m < 0.6 || m > 1.4 {
		t.Errorf("the median credit is %.2f of what is planted", m)
	}
}

// TestIntervalsCoverWhatIsPlanted counts how often the published interval of the
// effect holds the effect, over kernels on the grid and off it.
func TestIntervalsCoverWhatIsPlanted(t *testing.T) {
	const seeds = 20
	said, covered := 0, 0
	var widths []float64
	realised := 0.0
	for i, tr := range []truth{
		{days: 28, delay: 8, life: 24, effect: 0.03, posts: 3, views: 4000},
		{days: 28, delay: 8, life: 24, effect: 0.06, posts: 3, views: 4000},
		{days: 28, delay: 4, life: 12, effect: 0.06, posts: 3, views: 4000},
		{days: 28, delay: 16, life: 48, effect: 0.06, posts: 3, views: 4000},
		{days: 28, delay: 4, life: 12, effect: 0.06, posts: 1, views: 12_000},
		{days: 18, delay: 4, life: 12, effect: 0.06, posts: 2, views: 6000},
	} {
		for seed := range uint64(seeds) {
			p := newPartition(t)
			for _, r := range tr.play(100 + seed).events {
				p.Apply(r, taken)
			}
			end := int64(monday) + int64(tr.days)*window.DayMs
			p.RecomputeWindow("acme", 1, end, func(v any) {
				c := v.(*event.Correlation)
				if c.Verdict != event.VerdictSignificant {
					return
				}
				said++
				if c.EffectLow <= tr.effect && tr.effect <= c.EffectHigh {
					covered++
				}
				realised += c.RealisedCoverage
				widths = append(widths, (c.EffectHigh-c.EffectLow)/2/tr.effect)
				if c.EffectLow > c.Effect || c.Effect > c.EffectHigh {
					t.Errorf("case %d, seed %d: the effect is %.3f in [%.3f, %.3f], realised %.3f", i, seed, c.Effect, c.EffectLow, c.EffectHigh, c.RealisedCoverage)
				}
			})
		}
	}
	slices.Sort(widths)
	realised /= float64(said)
	t.Logf("%d of %d intervals hold what is planted, %.3f by what they say; half a width is %.2f of it", covered, said, realised, widths[len(widths)/2])
	if said < 110 || covered*100 < 92*said || math.Abs(realised-0.95) > 0.04 || widths[len(widths)/2] > 0.4 {
		t.Errorf("%d of %d intervals hold what is planted, %.3f by what they say; half a width is %.2f of it", covered, said, realised, widths[len(widths)/2])
	}
}

// judge compares the credits of the last day with what is planted, and returns
// the share of it that was credited, and to how many posts.
func judge(t *testing.T, tr *truth, world *played, credit *event.Credit) (share float64, posts int) {
	t.Helper()
	var revenue int64
	var planted float64
	for q := (tr.days - 1) * 96; q < tr.days*96; q++ {
		revenue += world.revenue[q]
		planted += float64(world.revenue[q]) * world.excess[q] / (world.excess[q] + world.base[q])
	}
	var credited int64
	for _, s := range credit.Credits {
		credited += s.CreditMicros
		if s.Force != 1 || s.Node != event.NodeTikTok {
			t.Errorf("%+v earns credit", s)
		}
		if s.ContentID != "" {
			posts++
		}
	}
	if credit.RevenueMicros != revenue || credited+credit.BaselineMicros != revenue {
		t.Errorf("the revenue %d is split into %d and %d, and %d was made", credit.RevenueMicros, credited, credit.BaselineMicros, revenue)
	}
	if credit.MultiplierLow > credit.Multiplier || credit.Multiplier > credit.MultiplierHigh {
		t.Errorf("the multiplier is %g in [%g, %g]", credit.Multiplier, credit.MultiplierLow, credit.MultiplierHigh)
	}
	return float64(credited) / planted, posts
}

// TestNoEffectEarnsNoCredit plants posts that nobody searches for.
func TestNoEffectEarnsNoCredit(t *testing.T) {
	found, days := 0, 0
	credited := make(map[uint64]bool)
	for seed := range uint64(12) {
		tr := truth{days: 21, delay: 8, life: 24, effect: 0, perSearch: 400_000, posts: 3, views: 4000}
		p := newPartition(t)
		for _, r := range tr.play(seed).events {
			p.Apply(r, taken)
		}
		p.Refresh(taken, all, func(v any) {
			if c, ok := v.(*event.Correlation); ok && c.Force == 1 && c.Verdict == event.VerdictSignificant {
				found++
			}
			if c, ok := v.(*event.Credit); ok && c.Node == event.NodeAmazon {
				days++
				if len(c.Credits) > 0 {
					credited[seed] = true
				}
			}
		})
	}
	if found > 2 {
		t.Errorf("%d of 12 brands without an effect have one", found)
	}
	if len(credited) > 2 || days < 12*20 {
		t.Errorf("of 12 brands without an effect %d have credit on one of %d days", len(credited), days)
	}
}

func TestAnHourThatStillFillsIsExpectedToGoOn(t *testing.T) {
	const hour, expected = 500_000, 60.
	const minute = window.HourMs / 60
	ser := &series{signal: event.BrandedSearches}
	for q, n := range []int64{10, 20, 30, 40} {
		ser.quarters.Add(hour*window.QuartersPerHour+int64(q), n)
		ser.hours.Add(hour, n)
	}
	for name, tc := range map[string]struct {
		clock, end int64 // in minutes of the hour
		want       float64
	}{
		"it is over":                            {70, 75, 100},
		"it is over to the minute":              {60, 60, 100},
		"a look back at its middle":             {600, 30, 10 + 20 + 30},
		"its last minutes are yet to come":      {50, 60, 100 + 10},
		"a quarter-hour of it fills":            {35, 45, 10 + 20 + 30 + 25},
		"and nothing is known of the rest":      {1, 15, 10 + 59},
		"the window ends after it, in the next": {55, 75, 100 + 5},
	} {
		b := &brand{clockMs: hour*window.HourMs + tc.clock*minute}
		if n := b.soFar(ser, hour, hour*window.HourMs+tc.end*minute, expected); n != tc.want {
			t.Errorf("%s: %v, want %v", name, n, tc.want)
		}
	}
}

// TestSpikeLifeCycle lets a post go viral: the spike is raised before its first
// bucket is over by much, names the post, resolves, and is retracted when the
// searches are restated.
func TestSpikeLifeCycle(t *testing.T) {
	tr := truth{days: 18, delay: 4, life: 16, effect: 0.02, perSearch: 400_000, posts: 2, views: 1500, viral: 15, viralHour: 12}
	world := tr.play(3)
	viral := int64(monday) + 15*window.DayMs + 12*window.HourMs
	p := newPartition(t)
	var seen []event.Spike
	var corrected []event.Record
	step := int64(0)
	for _, r := range world.events {
		at := r.Head().OccurredAtMs
		p.Apply(r, taken)
		if s, ok := r.(*event.AmazonSearchReport); ok && at >= viral && at < viral+40*window.HourMs {
			c := *s
			c.Header = entity("amazon_search_report", s.NaturalKey, 2, at, s.Source)
			c.Volume = int64(world.base[(at-monday)/window.QuarterMs])
			corrected = append(corrected, &c)
		}
		if at >= viral-2*window.DayMs && at/window.QuarterMs > step {
			step = at / window.QuarterMs
			p.Refresh(taken, all, func(v any) {
				if s, ok := v.(*event.Spike); ok {
					seen = append(seen, *s)
				}
			})
		}
		if at >= viral+30*window.HourMs {
			break
		}
	}
	if len(seen) == 0 {
		t.Fatal("no spike was raised")
	}
	first, lastSeen := seen[0], seen[len(seen)-1]
	t.Logf("raised for %+d min after the post, led by %s with %d views, z %.1f; %d revisions", (first.StartedAtMs-viral)/60_000, first.LeadingContentID, first.LeadingViews, first.PeakZ, len(seen))
	if first.Status != event.SpikeStatusActive || first.StartedAtMs < viral || first.StartedAtMs > viral+3*window.HourMs {
		t.Errorf("the first is %s and started %d min after the post", first.Status, (first.StartedAtMs-viral)/60_000)
	}
	if first.LeadingContentID != "post-15-0" {
		t.Errorf("it is laid to %q", first.LeadingContentID)
	}
	// The strongest day of the brand so far, among more than a week of others.
	for _, s := range seen {
		if s.LeadPValue > 1.0/8 || s.LeadPValue < 1.0/18 {
			t.Errorf("revision %d: the post is there by chance with probability %v", s.Revision, s.LeadPValue)
		}
	}
	// Its score is that of a series of hours of which nothing else is known.
	hours := make(map[int64]float64)
	for _, r := range world.events {
		if s, ok := r.(*event.AmazonSearchReport); ok {
			hours[s.OccurredAtMs/window.HourMs] += float64(s.Volume)
		}
	}
	var scorer spike.Scorer
	score := 0.0
	for hour := int64(monday) / window.HourMs; hour*window.HourMs < lastSeen.EndedAtMs; hour++ {
		if scorer.Next(hour*window.HourMs, hours[hour]); (hour+1)*window.HourMs > lastSeen.StartedAtMs {
			score = max(score, scorer.Rarity())
		}
	}
	if lastSeen.AnomalyScore != score || score < 0.5 || score > 0.95 {
		t.Errorf("its score is %v, want %v", lastSeen.AnomalyScore, score)
	}
	// A quarter of an hour of its first hour is enough for a score.
	if first.AnomalyScore < score/3 || first.AnomalyScore > score {
		t.Errorf("it is raised with a score of %v and ends with %v", first.AnomalyScore, score)
	}
	if lastSeen.Status != event.SpikeStatusResolved || lastSeen.SpikeID != first.SpikeID {
		t.Errorf("it ends as %s", lastSeen.Status)
	}
	if !slices.IsSortedFunc(seen, func(a, b event.Spike) int { return int(a.Revision - b.Revision) }) {
		t.Error("its revisions do not rise")
	}
	// Looking as if for the first time finds the same, and takes nothing of what was published back.
	recompute := func() map[event.ID]event.Spike {
		found := make(map[event.ID]event.Spike)
		end, _ := p.brands[lastSeen.BrandID].last(spikeForce)
		if from := p.RecomputeSpikes(lastSeen.BrandID, end*window.QuarterMs, func(v any) { found[v.(*event.Spike).SpikeID] = *v.(*event.Spike) }); from > lastSeen.StartedAtMs {
			t.Errorf("the spike is out of sight before %d", from)
		}
		return found
	}
	found := recompute()
	if s := found[lastSeen.SpikeID]; len(found) != 1 || s.Status != lastSeen.Status || s.EndedAtMs != lastSeen.EndedAtMs || s.PeakZ != lastSeen.PeakZ || s.Excess != lastSeen.Excess {
		t.Errorf("a batch finds %+v, the stream %+v", found, lastSeen)
	}
	for _, r := range corrected {
		if got := p.Apply(r, taken); got != Applied {
			t.Fatalf("a correction is %v", got)
		}
	}
	if found = recompute(); len(found) != 0 {
		t.Errorf("after the correction a batch finds %+v", found)
	}
	var after []event.Spike
	p.Refresh(taken, all, func(v any) {
		if s, ok := v.(*event.Spike); ok {
			after = append(after, *s)
		}
	})
	if len(after) != 1 || after[0].Status != event.SpikeStatusRetracted || after[0].SpikeID != first.SpikeID {
		for _, s := range after {
			t.Errorf("after the correction %s from %+d min is %s, peak %.1f at %+d min, excess %d", s.SpikeID, (s.StartedAtMs-viral)/60_000, s.Status, s.PeakZ, (s.PeakAtMs-viral)/60_000, s.Excess)
		}
	}
}

// TestDeclaredPromotionsAreNoSpikes declares what lifts the searches.
func TestDeclaredPromotionsAreNoSpikes(t *testing.T) {
	tr := truth{days: 18, delay: 4, life: 16, effect: 0.02, perSearch: 400_000, posts: 2, views: 1500, viral: 15, viralHour: 12}
	viral := int64(monday) + 15*window.DayMs + 12*window.HourMs
	p := newPartition(t)
	p.Apply(promotion("sale", 1, viral-window.HourMs, viral+window.DayMs, false), taken)
	for _, r := range tr.play(3).events {
		if r.Head().OccurredAtMs < viral+8*window.HourMs {
			p.Apply(r, taken)
		}
	}
	spikes := 0
	count := func(v any) {
		if s, ok := v.(*event.Spike); ok && s.Status == event.SpikeStatusActive {
			spikes++
		}
	}
	p.Refresh(taken, all, count)
	if spikes != 0 {
		t.Errorf("a declared promotion raised %d spikes", spikes)
	}
	p.Apply(promotion("sale", 2, viral-window.HourMs, viral+window.DayMs, true), taken)
	p.Apply(review("a", viral+8*window.HourMs), taken)
	p.brands["acme"].dirty |= 1 << spikeForce
	p.Refresh(taken, all, count)
	if spikes != 1 {
		t.Errorf("once it is withdrawn there are %d spikes, want 1", spikes)
	}
}

// TestDrivenSpikesAreThoseTheStimulusMakes lets searches leap after a viral post: because
// posts move them, by chance at the same time, or by far more than posts make.
func TestDrivenSpikesAreThoseTheStimulusMakes(t *testing.T) {
	const brands = 12
	for name, tc := range map[string]struct {
		effect float64
		burst  int64 // searches a quarter-hour more, for five hours
	}{
		"posts move searches":                    {0.06, 0},
		"posts move no searches, and they burst": {0, 300},
		"posts move searches, which burst more":  {0.06, 3000},
	} {
		t.Run(name, func(t *testing.T) {
			tr := truth{days: 30, delay: 4, life: 12, effect: tc.effect, posts: 2, views: 3000, viral: 28, viralHour: 12}
			viral := int64(monday) + 28*window.DayMs + 12*window.HourMs
			raised, driven := 0, 0
			var shares []float64
			for seed := range uint64(brands) {
				p := newPartition(t)
				last := make(map[event.ID]event.Spike)
				take := func(v any) {
					if s, ok := v.(*event.Spike); ok {
						last[s.SpikeID] = *s
					}
				}
				for _, r := range tr.play(200 + seed).events {
					at := r.Head().OccurredAtMs
					if s, ok := r.(*event.AmazonSearchReport); ok && at >= viral+window.HourMs && at < viral+6*window.HourMs {
						s.Volume += tc.burst
					}
					p.Apply(r, taken)
					if at > viral && at < viral+10*window.HourMs && at%window.HourMs == 0 {
						p.Refresh(taken, all, take)
					}
				}
				for _, s := range last {
					if s.StartedAtMs < viral || s.Status == event.SpikeStatusRetracted {
						continue
					}
					raised++
					if s.ExplainedShare > 0 {
						shares = append(shares, s.ExplainedShare)
					}
					if s.Driven {
						driven++
					}
					if s.Driven != (s.ExplainedShare >= drivenShare) {
						t.Errorf("seed %d: driven is %v with %.2f explained", seed, s.Driven, s.ExplainedShare)
					}
				}
			}
			slices.Sort(shares)
			t.Logf("of %d spikes %d are driven, explained %.2f", raised, driven, shares)
			switch {
			case raised < brands-2:
				t.Errorf("there are %d spikes, want one of each of %d brands", raised, brands)
			case tc.burst > 0 && driven > 1:
				t.Errorf("%d of %d spikes are laid to posts that do not make them", driven, raised)
			case tc.burst > 0:
			case driven < brands-2:
				t.Errorf("%d of %d spikes are laid to the posts that make them", driven, raised)
			case shares[len(shares)/2] < 0.7 || shares[len(shares)/2] > 1.4:
				t.Errorf("of the spikes that posts make %.2f is explained in the middle", shares[len(shares)/2])
			}
		})
	}
}

// TestOnlyADiscoveryDrives has spikes that posts make, of brands with so little history that
// the effect of some is nominal: it explains the spike, but the test of the day has not
// discovered it.
func TestOnlyADiscoveryDrives(t *testing.T) {
	tr := truth{days: 20, delay: 4, life: 12, effect: 0.015, posts: 2, views: 3000, viral: 18, viralHour: 12}
	viral := int64(monday) + 18*window.DayMs + 12*window.HourMs
	nominal, discovered := 0, 0
	for seed := range uint64(8) {
		p := newPartition(t)
		last := make(map[event.ID]event.Spike)
		var effect event.Correlation
		for _, r := range tr.play(200 + seed).events {
			at := r.Head().OccurredAtMs
			p.Apply(r, taken)
			if at <= viral || at >= viral+10*window.HourMs || at%window.HourMs > 0 {
				continue
			}
			p.Refresh(taken, all, func(v any) {
				switch v := v.(type) {
				case *event.Spike:
					last[v.SpikeID] = *v
				case *event.Correlation:
					if v.Force == 1 {
						effect = *v
					}
				}
			})
		}
		for _, s := range last {
			if s.StartedAtMs < viral || s.Status == event.SpikeStatusRetracted || effect.Effect <= 0 {
				continue
			}
			if effect.Discovery {
				discovered++
			} else {
				nominal++
			}
			if s.Driven != effect.Discovery || s.ExplainedShare > 0 != effect.Discovery {
				t.Errorf("seed %d: a spike with a discovery %v, of p %.4f at the level %.4f, is driven %v and explained to %.2f", seed, effect.Discovery, effect.TestPValue, effect.TestLevel, s.Driven, s.ExplainedShare)
			}
		}
	}
	if nominal < 2 || discovered < 1 {
		t.Errorf("%d spikes have a nominal effect and %d a discovered one, want some of both", nominal, discovered)
	}
}
