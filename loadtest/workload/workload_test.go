package workload_test

import (
	"bytes"
	"math"
	"slices"
	"testing"
	"time"

	"flywheel/loadtest/workload"
	"flywheel/pkg/codec"
	"flywheel/pkg/event"
)

func end() time.Time { return time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC) }

func encoder(t testing.TB) (*codec.Encoder, *codec.Decoder) {
	t.Helper()
	static, err := codec.NewStatic()
	if err != nil {
		t.Fatal(err)
	}
	enc, err := codec.NewFastEncoder(t.Context(), static)
	if err != nil {
		t.Fatal(err)
	}
	dec, err := codec.NewDecoder(static)
	if err != nil {
		t.Fatal(err)
	}
	return enc, dec
}

func generator(t testing.TB, cfg workload.Config) *workload.Generator {
	t.Helper()
	enc, _ := encoder(t)
	g, err := workload.New(cfg, enc)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func next(t testing.TB, g *workload.Generator) (workload.Record, bool) {
	t.Helper()
	r, more, err := g.Next()
	if err != nil {
		t.Fatal(err)
	}
	return r, more
}

const records = 400_000

// TestTheLoadIsWhatItIsSaidToBe counts the shares and the quantiles.
func TestTheLoadIsWhatItIsSaidToBe(t *testing.T) {
	g := generator(t, workload.Flywheel72(1000, records, end()))
	var all, fresh, late, tooLate, duplicates, poison, first, tenth float64
	kinds := make(map[workload.Kind]float64)
	var delays []int64
	for r, more := next(t, g); more; r, more = next(t, g) {
		all++
		switch {
		case r.Duplicate:
			duplicates++
			continue
		case r.Kind == workload.Poison:
			poison++
			continue
		}
		fresh++
		kinds[r.Kind]++
		switch r.Brand {
		case 0:
			first++
		case 9:
			tenth++
		}
		if r.Kind == workload.Correction || r.Topic == event.TopicTikTok {
			continue // some are about something older, of purpose
		}
		delay := r.ArrivesMs - r.OccurredMs
		switch {
		case delay > 72*time.Hour.Milliseconds():
			tooLate++
		case delay >= time.Hour.Milliseconds() && delay <= 24*time.Hour.Milliseconds():
			late++
		}
		delays = append(delays, delay)
	}
	slices.Sort(delays)
	dated := float64(len(delays))
	onTime := delays[:int(dated*0.989)] // the two kinds of late ones are the slowest
	var weights float64
	for k := 1; k <= 1000; k++ {
		weights += math.Pow(float64(k), -1.1)
	}
	for name, c := range map[string]struct{ got, want, within float64 }{
		"records in all":                      {all, records, 0},
		"share of TikTok":                     {kinds[workload.TikTok] / fresh, 0.60, 0.005},
		"share of Amazon searches, traffic":   {kinds[workload.Amazon] / fresh, 0.15, 0.004},
		"share of orders":                     {kinds[workload.Orders] / fresh, 0.10, 0.003},
		"share of ads":                        {kinds[workload.Ads] / fresh, 0.10, 0.003},
		"share of corrections":                {kinds[workload.Correction] / fresh, 0.05, 0.002},
		"share of duplicates":                 {duplicates / all, 0.02, 0.001},
		"share of poison":                     {poison / all, 0.0001, 0.00006},
		"share that is 1 to 24 hours late":    {late / dated, 0.01, 0.001},
		"share that is more than 72 h late":   {tooLate / dated, 0.001, 0.0004},
		"median of the delay, s":              {float64(onTime[len(onTime)/2]) / 1000, 2, 0.1},
		"99 % of the delay, s":                {float64(onTime[len(onTime)*99/100]) / 1000, 300, 25},
		"share of the largest brand":          {first / fresh, 1 / weights, 0.01},
		"share of the tenth brand, of that":   {tenth / first, math.Pow(10, -1.1), 0.005},
		"kinds that are there beside the mix": {float64(len(kinds)), 5, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if math.Abs(c.got-c.want) > c.within {
				t.Errorf("%v, want %v ± %v", c.got, c.want, c.within)
			}
		})
	}
}

// TestEveryRecordIsValid decodes what is made, and checks what the processor
// would refuse it for.
func TestEveryRecordIsValid(t *testing.T) {
	cfg := workload.Flywheel72(50, 30_000, end())
	g := generator(t, cfg)
	_, dec := encoder(t)
	ids, types := make(map[event.ID]bool), make(map[event.Type]int)
	for r, more := next(t, g); more; r, more = next(t, g) {
		if r.ArrivesMs < cfg.End.Add(-cfg.Span).UnixMilli() || r.ArrivesMs > cfg.End.UnixMilli() || r.OccurredMs > r.ArrivesMs {
			t.Fatalf("a record of %d arrives at %d", r.OccurredMs, r.ArrivesMs)
		}
		v, err := dec.Decode(t.Context(), r.Topic, r.Value)
		if r.Kind == workload.Poison {
			if err == nil {
				t.Fatalf("poison %x can be read", r.Value)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		e := v.(event.Record)
		h := e.Head()
		if err := e.Validate(); err != nil || h.BrandID != string(r.Key) || h.OccurredAtMs > r.OccurredMs || e.Type().Info().Topic != r.Topic {
			t.Fatalf("%s of %s on %s: %v", e.Type(), r.Key, r.Topic, err)
		}
		if ids[h.EventID] != r.Duplicate {
			t.Fatalf("the id %s was there before: %v", h.EventID, !r.Duplicate)
		}
		ids[h.EventID] = true
		types[e.Type()]++
	}
	if len(types) != 9 {
		t.Errorf("there are %d types of records, want 9: %v", len(types), types)
	}
}

func TestTheSameSeedMakesTheSameLoad(t *testing.T) {
	cfg := workload.Flywheel72(100, 5_000, end())
	a, b := generator(t, cfg), generator(t, cfg)
	cfg.Seed++
	other, differs := generator(t, cfg), false
	for {
		x, more := next(t, a)
		y, _ := next(t, b)
		z, _ := next(t, other)
		if !more {
			break
		}
		if x.Topic != y.Topic || !bytes.Equal(x.Key, y.Key) || !bytes.Equal(x.Value, y.Value) || x.ArrivesMs != y.ArrivesMs {
			t.Fatalf("record %d differs", a.Made())
		}
		differs = differs || !bytes.Equal(x.Value, z.Value)
	}
	if !differs {
		t.Error("another seed makes the same load")
	}
}

// A load that follows another must not repeat its ids: they would count as sent twice.
func TestNoTwoSeedsShareAnID(t *testing.T) {
	cfg := workload.Flywheel72(10, 500, end())
	_, dec := encoder(t)
	ids := make(map[event.ID]uint64)
	for cfg.Seed = 0; cfg.Seed < 4; cfg.Seed++ {
		g := generator(t, cfg)
		for r, more := next(t, g); more; r, more = next(t, g) {
			if r.Kind == workload.Poison {
				continue
			}
			v, err := dec.Decode(t.Context(), r.Topic, r.Value)
			if err != nil {
				t.Fatal(err)
			}
			id := v.(event.Record).Head().EventID
			if seed, there := ids[id]; there && seed != cfg.Seed || id == (event.ID{}) {
				t.Fatalf("seed %d has the id %s, which seed %d has", cfg.Seed, id, seed)
			}
			ids[id] = cfg.Seed
		}
	}
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	enc, _ := encoder(t)
	for name, change := range map[string]func(*workload.Config){
		"no brands":                       func(c *workload.Config) { c.Brands = 0 },
		"a negative number of records":    func(c *workload.Config) { c.Records = -1 },
		"no time":                         func(c *workload.Config) { c.Span = 0 },
		"an end before all time":          func(c *workload.Config) { c.End = time.Unix(0, 0) },
		"shares that do not add up":       func(c *workload.Config) { c.Ads = 0.5 },
		"a share that is none":            func(c *workload.Config) { c.Late = 2 },
		"a share that is no number":       func(c *workload.Config) { c.Poison = math.NaN() },
		"an exponent that is negative":    func(c *workload.Config) { c.Zipf = -1 },
		"delays that are not in order":    func(c *workload.Config) { c.DelayP99 = time.Millisecond },
		"late ones that are not in order": func(c *workload.Config) { c.LateMax = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := workload.Flywheel72(10, 10, end())
			change(&cfg)
			if _, err := workload.New(cfg, enc); err == nil {
				t.Error("it was accepted")
			}
		})
	}
}

// BenchmarkNext makes records: the load must cost less than what it measures.
func BenchmarkNext(b *testing.B) {
	g := generator(b, workload.Flywheel72(100_000, math.MaxInt32, end()))
	b.ReportAllocs()
	bytes := 0
	for b.Loop() {
		r, _, err := g.Next()
		if err != nil {
			b.Fatal(err)
		}
		bytes += len(r.Value)
	}
	b.ReportMetric(float64(bytes)/float64(b.N), "B/record")
}
