package bench_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"flywheel/loadtest/workload"
	"flywheel/pkg/event"
	"flywheel/pkg/topology"
)

// BenchmarkLive plays ten seconds of events as they come, at 78 000 a second of 1 000
// brands, to one partition of twelve that holds 72 hours, without Kafka: how long
// refreshing takes in a second of the load, for how many results, and how stale they get.
func BenchmarkLive(b *testing.B) {
	const (
		brands, backlog = 83, 166_666
		rate, seconds   = 78_000 / 12, 10
		stepMs          = 100
		perStep         = 60 // evaluations
	)
	enc, dec := codecs(b)
	at := time.Date(2026, time.March, 4, 11, 7, 0, 0, time.UTC)
	var refreshing, applying, changing time.Duration
	results := make(map[string]int)
	slots := 0
	n, stale := 0, int64(0)
	for b.Loop() {
		b.StopTimer()
		n++
		p, err := topology.New(topology.DefaultConfig())
		if err != nil {
			b.Fatal(err)
		}
		var records []event.Record
		apply := func(nowMs int64) {
			slices.SortStableFunc(records, func(x, y event.Record) int { return strings.Compare(x.Head().BrandID, y.Head().BrandID) })
			for _, r := range records {
				p.Apply(r, nowMs)
			}
			records = records[:0]
		}
		play := func(load workload.Config, step func(nowMs int64)) {
			g, err := workload.New(load, enc)
			if err != nil {
				b.Fatal(err)
			}
			nowMs := load.End.Add(-load.Span).UnixMilli() + stepMs
			for {
				r, more, err := g.Next()
				if err != nil {
					b.Fatal(err)
				}
				if !more {
					break
				}
				for step != nil && r.ArrivesMs >= nowMs {
					step(nowMs)
					nowMs += stepMs
				}
				if r.Kind == workload.Poison {
					continue
				}
				v, err := dec.Decode(context.Background(), r.Topic, r.Value)
				if err != nil {
					b.Fatal(err)
				}
				records = append(records, clone(v.(event.Record)))
			}
		}
		play(workload.Flywheel72(brands, backlog, at), nil)
		apply(at.UnixMilli())
		for nowMs := at.UnixMilli(); p.Stats().Dirty > 0; nowMs += 1000 {
			p.Refresh(nowMs, 1<<30, func(any) {})
		}
		p.Changes(func([]byte, []byte) {})
		load := workload.Flywheel72(brands, rate*seconds, at.Add(seconds*time.Second))
		load.Seed, load.Span = load.Seed+1, seconds*time.Second
		b.StartTimer()
		play(load, func(nowMs int64) {
			from := cpu()
			apply(nowMs)
			applying += cpu() - from
			from = cpu()
			results["budget"] += int(p.Refresh(nowMs, perStep, func(v any) {
				switch v.(type) {
				case *event.Correlation:
					results["correlation"]++
				case *event.Credit:
					results["credit"]++
				case *event.Spike:
					results["spike"]++
				}
			}))
			refreshing += cpu() - from
			stale = max(stale, p.Stats().StalenessMs)
			from = cpu()
			p.Changes(func([]byte, []byte) { slots++ })
			changing += cpu() - from
		})
	}
	perSecond := float64(n * seconds)
	b.ReportMetric(refreshing.Seconds()*1000/perSecond, "refresh-ms/s")
	b.ReportMetric(applying.Seconds()*1000/perSecond, "apply-ms/s")
	b.ReportMetric(changing.Seconds()*1000/perSecond, "changes-ms/s")
	b.ReportMetric(float64(stale), "stale-ms")
	b.ReportMetric(float64(slots)/perSecond, "slots/s")
	for k, v := range results {
		b.Logf("%s: %.0f a second", k, float64(v)/perSecond)
	}
	for _, k := range []string{"correlation", "credit", "budget"} {
		b.ReportMetric(float64(results[k])/perSecond, k+"/s")
	}
}
