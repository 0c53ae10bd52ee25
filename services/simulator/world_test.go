package simulator

import (
	"errors"
	"hash/fnv"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
)

func testWorld(t testing.TB, change func(*Config)) *world {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Brands, cfg.Backfill, cfg.For, cfg.Run = 4, 14*24*time.Hour, 0, "test"
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(cfg, time.Date(2026, 3, 31, 10, 7, 3, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func testEncoder(t testing.TB) (*codec.Static, *codec.Encoder) {
	t.Helper()
	static, err := codec.NewStatic()
	if err != nil {
		t.Fatal(err)
	}
	e, err := codec.NewEncoder(t.Context(), static)
	if err != nil {
		t.Fatal(err)
	}
	return static, e
}

// withoutFaults leaves the world as it is.
func withoutFaults(c *Config) { c.Late, c.Duplicates, c.Corrected, c.Poison = 0, 0, 0, 0 }

// withFaults makes small worlds in which much goes wrong.
func withFaults(c *Config) {
	c.Brands, c.Backfill = 3, 5*24*time.Hour
	c.Late, c.Duplicates, c.Corrected, c.Poison = 0.1, 0.1, 0.1, 0.1
}

// fingerprint is a hash of everything a world sends, in its order.
func fingerprint(t testing.TB, w *world, e *codec.Encoder) (sum uint64, n int) {
	t.Helper()
	h := fnv.New64a()
	for it := range w.items() {
		m, _, err := w.mail(e, &it, nil)
		if err != nil {
			t.Fatal(err)
		}
		h.Write([]byte(m.topic))
		h.Write([]byte(m.key))
		h.Write(m.value)
		n++
	}
	return h.Sum64(), n
}

func TestTheSameSeedSendsTheSameBytes(t *testing.T) {
	_, e := testEncoder(t)
	once, n := fingerprint(t, testWorld(t, withFaults), e)
	again, _ := fingerprint(t, testWorld(t, withFaults), e)
	if once != again || n < 10_000 {
		t.Errorf("%d records: %x, then %x", n, once, again)
	}
	for name, change := range map[string]func(*Config){
		"another seed": func(c *Config) { c.Seed++ },
		"another run":  func(c *Config) { c.Run = "other" },
	} {
		other, _ := fingerprint(t, testWorld(t, func(c *Config) { withFaults(c); change(c) }), e)
		if other == once {
			t.Errorf("%s sends the same", name)
		}
	}
}

func TestABrandDoesNotDependOnItsNeighbours(t *testing.T) {
	first := func(brands int) (out []event.ID) {
		w := testWorld(t, func(c *Config) { withoutFaults(c); c.Brands, c.Backfill = brands, 48*time.Hour })
		for it := range w.items() {
			if it.brand == 0 {
				out = append(out, it.record.Head().EventID)
			}
		}
		return out
	}
	if alone, among := first(1), first(5); !slices.Equal(alone, among) {
		t.Errorf("alone it sends %d records, among others %d", len(alone), len(among))
	}
}

func TestFaultsDoNotChangeTheWorld(t *testing.T) {
	searches := func(faults float64) map[int64]int64 {
		w := testWorld(t, func(c *Config) {
			c.Brands, c.Backfill = 1, 5*24*time.Hour
			c.Late, c.Duplicates, c.Corrected, c.Poison = 0, faults, faults, faults
		})
		newest, volume := map[int64]int64{}, map[int64]int64{}
		for it := range w.items() {
			r, ok := it.record.(*event.AmazonSearchReport)
			if ok && it.poison == healthy && r.PeriodMinutes == 15 && r.Version >= newest[r.OccurredAtMs] && r.OccurredAtMs < w.end-24*hourMs {
				newest[r.OccurredAtMs], volume[r.OccurredAtMs] = r.Version, r.Volume
			}
		}
		return volume
	}
	clean, faulty := searches(0), searches(0.15)
	if len(clean) < 300 || len(clean) != len(faulty) {
		t.Fatalf("%d quarters without faults, %d with", len(clean), len(faulty))
	}
	for at, n := range clean {
		if faulty[at] != n {
			t.Fatalf("at %d: %d searches without faults, %d with, after corrections", at, n, faulty[at])
		}
	}
}

func TestRecordsAreSentWhenTheyAreObserved(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := testWorld(t, func(c *Config) {
			withFaults(c)
			c.Seed = rapid.Uint64().Draw(rt, "seed")
			c.Brands = rapid.IntRange(1, 4).Draw(rt, "brands")
			c.Backfill = time.Duration(rapid.IntRange(1, 36).Draw(rt, "hours")) * time.Hour
		})
		last := int64(0)
		for it := range w.items() {
			h := it.record.Head()
			switch {
			case it.observedMs < last:
				rt.Fatalf("sent at %d after one of %d", it.observedMs, last)
			case it.observedMs < w.start || it.observedMs >= w.end:
				rt.Fatalf("sent at %d, outside of %d to %d", it.observedMs, w.start, w.end)
			case it.poison == healthy && h.ObservedAtMs < h.OccurredAtMs:
				rt.Fatalf("%s observed at %d, before it occurred at %d", it.record.Type(), h.ObservedAtMs, h.OccurredAtMs)
			case it.poison == healthy && !it.resent && it.observedMs != h.ObservedAtMs:
				rt.Fatalf("%s sent at %d, observed at %d", it.record.Type(), it.observedMs, h.ObservedAtMs)
			}
			last = it.observedMs
		}
	})
}

// TestEveryRecordIsWhatItIsSaidToBe reads back what is sent as the pipeline
// would: healthy records are valid, and every poison has its reason.
func TestEveryRecordIsWhatItIsSaidToBe(t *testing.T) {
	static, e := testEncoder(t)
	rapid.Check(t, func(rt *rapid.T) {
		w := testWorld(t, func(c *Config) {
			withFaults(c)
			c.Seed = rapid.Uint64().Draw(rt, "seed")
			c.Backfill = 20 * time.Hour
		})
		decoder, err := codec.NewDecoder(static)
		if err != nil {
			rt.Fatal(err)
		}
		ids := map[event.ID]event.Record{}
		for it := range w.items() {
			m, _, err := w.mail(e, &it, nil)
			if err != nil {
				rt.Fatal(err)
			}
			if got := verdict(t, decoder, m); got != it.poison.reason() {
				rt.Fatalf("poison %d of a %s is refused as %q, want %q", it.poison, it.record.Type(), got, it.poison.reason())
			}
			if it.poison != healthy {
				continue
			}
			h := it.record.Head()
			if other, known := ids[h.EventID]; known != it.resent && known {
				rt.Fatalf("two records have one id: %+v and %+v", other, it.record)
			}
			ids[h.EventID] = it.record
		}
	})
}

// verdict says why a single record is refused, whatever came before it.
func verdict(t testing.TB, d *codec.Decoder, m mail) event.Reason {
	v, err := d.Decode(t.Context(), m.topic, m.value)
	if err != nil {
		var refused *codec.Error
		if !errors.As(err, &refused) {
			t.Fatal(err)
		}
		return refused.Reason
	}
	r := v.(event.Record)
	switch {
	case r.Validate() != nil:
		return event.ReasonInvalid
	case r.Head().BrandID != m.key:
		return event.ReasonWrongKey
	case r.Head().OccurredAtMs > time.Now().UnixMilli()+60_000:
		return event.ReasonFuture
	}
	return ""
}

func TestEveryKindOfRecordAppearsAboutAsOftenAsConfigured(t *testing.T) {
	for _, events := range []int{800, 1_000, 4_000} {
		w := testWorld(t, func(c *Config) { withoutFaults(c); c.Events, c.Brands = events, 10 })
		seen, n := map[event.Type]int{}, 0
		for it := range w.items() {
			seen[it.record.Type()]++
			n++
		}
		for _, typ := range event.Types() {
			if seen[typ] == 0 {
				t.Errorf("%d a day: there is no %s", events, typ)
			}
		}
		perDay := float64(n) / 10 / (float64(w.end-w.start) / dayMs)
		if perDay < 0.85*float64(events) || perDay > 1.15*float64(events) {
			t.Errorf("%.0f records per brand and day, want about %d", perDay, events)
		}
	}
}

// TestThePlantedEffectCanBeRecovered regresses branded searches on the decayed
// views by hand: bins of the hour and weekend, promotions left out, ordinary
// least squares. Views come from the counters as polled, searches from the
// reports.
func TestThePlantedEffectCanBeRecovered(t *testing.T) {
	w := testWorld(t, func(c *Config) {
		withoutFaults(c)
		c.Brands, c.Backfill, c.NullShare, c.WeeklyShare = 20, 28*24*time.Hour, 0.3, 0
	})
	n := int((w.end - w.start) / quarterMs)
	searches, views := make([][]float64, len(w.brands)), make([][]float64, len(w.brands))
	for i := range w.brands {
		searches[i], views[i] = make([]float64, n+1), make([]float64, n+1)
	}
	counters := map[string]*event.TikTokContentStatistics{}
	for it := range w.items() {
		switch r := it.record.(type) {
		case *event.AmazonSearchReport:
			if r.PeriodMinutes == 15 {
				searches[it.brand][(r.OccurredAtMs-w.start)/quarterMs] = float64(r.Volume)
			}
		case *event.TikTokContentStatistics:
			before, gain := counters[r.ContentID], r.Views
			if before != nil {
				gain -= before.Views
			}
			if gain < 0 {
				t.Fatalf("a counter falls: %+v after %+v", r, before)
			}
			counters[r.ContentID] = r
			views[it.brand][max(0, (r.OccurredAtMs-w.start)/quarterMs-1)] += float64(gain)
		}
	}
	var ratios []float64
	nulls := 0
	for i, b := range w.brands {
		k := newKernel(b.delay, b.halfLife, shortQuarters)
		bins := map[int64][]int{}
		x := make([]float64, n)
		for q := range n - 1 {
			x[q] = k.at(views[i], q)
			at := w.start + int64(q)*quarterMs
			if q < 2*quartersPerDay || b.lift(event.CalendarKindPromotion, at) != 1 {
				continue
			}
			bin := (b.local(at) - b.day(at)*dayMs) / hourMs
			if b.free(b.day(at)) {
				bin += 24
			}
			bins[bin] = append(bins[bin], q)
		}
		var xx, xy float64
		for _, qs := range bins {
			var mx, my float64
			for _, q := range qs {
				mx += x[q] / float64(len(qs))
				my += searches[i][q] / float64(len(qs))
			}
			for _, q := range qs {
				xx += (x[q] - mx) * (x[q] - mx)
				xy += (x[q] - mx) * (searches[i][q] - my)
			}
		}
		slope := xy / xx / b.persuasion()
		if b.null {
			nulls++
			if math.Abs(slope) > 0.15 {
				t.Errorf("%s is null, and shows %.2f of an effect", b.id, slope)
			}
			continue
		}
		ratios = append(ratios, slope)
		if math.Abs(slope-1) > 0.25 {
			t.Errorf("%s shows %.2f times its planted effect", b.id, slope)
		}
	}
	var mean float64
	for _, r := range ratios {
		mean += r / float64(len(ratios))
	}
	if nulls != 6 || math.Abs(mean-1) > 0.06 {
		t.Errorf("%d null brands; the others show %.3f times their planted effects on average", nulls, mean)
	}
}

func TestSpikesAreSeenAboveTheBrandsUsualLevel(t *testing.T) {
	w := testWorld(t, func(c *Config) { withoutFaults(c); c.Brands, c.For = 20, 2*time.Minute })
	for range w.items() { // plays
	}
	var planted, inLive int
	for _, b := range w.brands {
		if b.null && len(b.spikes) > 0 {
			t.Errorf("%s is null and has spikes", b.id)
		}
		for _, s := range b.spikes {
			planted++
			if s.VisibleMs >= w.live {
				inLive++
			}
			var most float64
			for at := s.VisibleMs; at < min(s.EndMs, w.end); at += quarterMs {
				most = max(most, b.effect*b.kernel.at(b.gained, int((at-w.start)/quarterMs))/b.level)
			}
			full := s.EndMs < w.end
			if s.StartMs > s.VisibleMs || s.VisibleMs >= s.EndMs || s.ContentID == "" || full && most < 3.5 {
				t.Errorf("%s: %+v rises to %.1f times the level", b.id, s, most)
			}
		}
	}
	if planted < 20 || inLive < 4 {
		t.Errorf("%d spikes are planted, %d of them begin while somebody watches", planted, inLive)
	}
}

func TestAKernelWaitsAndThenHalves(t *testing.T) {
	k := newKernel(2, 1, 4)
	for lag, want := range []float64{0, 0, 4.0 / 7, 2.0 / 7, 1.0 / 7} {
		if math.Abs(k[lag]-want) > 1e-12 {
			t.Errorf("the weight at lag %d is %v, want %v", lag, k[lag], want)
		}
	}
	if got := k.at([]float64{7, 0, 0, 14}, 3); math.Abs(got-2) > 1e-12 {
		t.Errorf("one step after the delay 7 has become %v, want 2", got)
	}
}

func TestAnEchoIsItsKernel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		last := rapid.IntRange(1, 40).Draw(t, "last")
		delay := rapid.IntRange(0, last).Draw(t, "delay")
		halfLife := rapid.IntRange(1, 30).Draw(t, "half-life")
		xs := rapid.SliceOfN(rapid.IntRange(0, 1000), 1, 120).Draw(t, "stimulus")
		k, e := newKernel(delay, halfLife, last), newEcho(delay, halfLife, last)
		var f32 []float32
		var f64 []float64
		var sum float64
		for _, w := range k {
			sum += w
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Fatalf("the weights sum to %v", sum)
		}
		for i, x := range xs {
			f32, f64 = append(f32, float32(x)), append(f64, float64(x))
			if want, got := k.at(f64, i), e.next(f32, i); math.Abs(got-want) > 1e-6*max(1, want) {
				t.Fatalf("at %d: %v, term by term %v", i, got, want)
			}
		}
	})
}

func TestTheQueueGivesTheEarliestFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		for i, at := range rapid.SliceOf(rapid.Int64Range(0, 20)).Draw(t, "moments") {
			q.push(item{observedMs: at, serial: uint64(i)})
		}
		var last item
		for i := 0; len(q) > 0; i++ {
			it := q.pop()
			if i > 0 && !last.before(&it) {
				t.Fatalf("%d/%d after %d/%d", it.observedMs, it.serial, last.observedMs, last.serial)
			}
			last = it
		}
	})
}

func TestDrawsHaveTheirMeansAndSpreads(t *testing.T) {
	const n = 40_000
	for name, tc := range map[string]struct {
		draw           func(draw) float64
		mean, variance float64
	}{
		"a small Poisson count":  {func(d draw) float64 { return float64(d.poisson(0.3)) }, 0.3, 0.3},
		"a Poisson count":        {func(d draw) float64 { return float64(d.poisson(20)) }, 20, 20},
		"a large Poisson count":  {func(d draw) float64 { return float64(d.poisson(400)) }, 400, 400},
		"an overdispersed count": {func(d draw) float64 { return float64(d.count(30, 15)) }, 30, 30 + 30*30/15},
		"a gamma number":         {func(d draw) float64 { return d.gamma(8) }, 1, 1.0 / 8},
		"a share of few":         {func(d draw) float64 { return float64(d.share(10, 0.3)) }, 3, 2.1},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDraw(5, 1, streamCounts)
			var sum, squares float64
			for range n {
				x := tc.draw(d)
				sum += x
				squares += x * x
			}
			mean := sum / n
			variance := squares/n - mean*mean
			if math.Abs(mean-tc.mean) > 5*math.Sqrt(tc.variance/n) || math.Abs(variance/tc.variance-1) > 0.06 {
				t.Errorf("mean %.3f and variance %.3f, want %.3f and %.3f", mean, variance, tc.mean, tc.variance)
			}
		})
	}
}

func TestLocalDaysFollowTheClocksOfTheZone(t *testing.T) {
	// Over the end of March 2026 clocks change in Europe, and in April in Australia.
	w := testWorld(t, func(c *Config) { c.Brands, c.Backfill = 12, 40*24*time.Hour })
	changes := 0
	for _, b := range w.brands {
		zone, err := time.LoadLocation(b.place.zone)
		if err != nil {
			t.Fatal(err)
		}
		for at := w.start - 3*dayMs; at < w.end+3*dayMs; at += quarterMs {
			y, m, d := time.UnixMilli(at).In(zone).Date()
			if want := int64(localDay(y, int(m), d)); b.day(at) != want {
				t.Fatalf("%s: %d is on day %d, want %d", b.place.zone, at, b.day(at), want)
			}
		}
		if day := b.day(w.end); b.dayStart(day) != startOf(zone, w.end) {
			t.Errorf("%s: the day starts at %d, want %d", b.place.zone, b.dayStart(day), startOf(zone, w.end))
		}
		for _, o := range b.offsets {
			if o.FromMs > w.start && o.FromMs < w.end {
				changes++
			}
		}
	}
	if changes < 3 {
		t.Errorf("%d changes of clocks, want some", changes)
	}
}

func startOf(zone *time.Location, at int64) int64 {
	y, m, d := time.UnixMilli(at).In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone).UnixMilli()
}

// BenchmarkWorld plays and encodes on one core; it reports records per second.
func BenchmarkWorld(b *testing.B) {
	_, e := testEncoder(b)
	var n int
	for b.Loop() {
		w := testWorld(b, func(c *Config) { c.Brands = 20 })
		var buf []byte
		var err error
		for it := range w.items() {
			if _, buf, err = w.mail(e, &it, buf[:0]); err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
}
