package bench_test

import (
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
	at := time.Date(2026, time.March, 4, 11, 7, 0, 0, time.UTC)
	var refreshing, applying, changing time.Duration
	results := make(map[string]int)
	slots := 0
	n, stale := 0, int64(0)
	for b.Loop() {
		b.StopTimer()
		n++
		p := empty(b)
		var records []event.Record
		apply := func(nowMs int64) {
			byBrand(records)
			for _, r := range records {
				p.Apply(r, nowMs)
			}
			records = records[:0]
		}
		play(b, workload.Flywheel72(brands, backlog, at), func(_ int64, r event.Record) { records = append(records, r) })
		apply(at.UnixMilli())
		settle(p, at.UnixMilli())
		load := workload.Flywheel72(brands, rate*seconds, at.Add(seconds*time.Second))
		load.Seed, load.Span = load.Seed+1, seconds*time.Second
		nowMs := load.End.Add(-load.Span).UnixMilli()
		step := func() {
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
		}
		b.StartTimer()
		play(b, load, func(arrivesMs int64, r event.Record) {
			for arrivesMs >= nowMs+stepMs {
				nowMs += stepMs
				step()
			}
			records = append(records, r)
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

// settle publishes every result that is due.
func settle(p *topology.Partition, nowMs int64) {
	for ; p.Stats().Dirty > 0; nowMs += 1000 {
		p.Refresh(nowMs, 1<<30, func(any) {})
	}
	p.Changes(func([]byte, []byte) {})
}

// BenchmarkMonth applies as many events as 72 hours have to one partition of twelve, but
// over 30 days, without Kafka, and then publishes all that is due. Where the time goes
// says a CPU profile (go test -cpuprofile).
func BenchmarkMonth(b *testing.B) {
	const brands, events, transaction = 83, 333_333, 20_000
	at := time.Date(2026, time.March, 4, 11, 7, 0, 0, time.UTC)
	load := workload.Flywheel72(brands, events, at)
	load.Span = 30 * 24 * time.Hour
	var refreshing, applying time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		n++
		p := empty(b)
		var records []event.Record
		apply := func() {
			byBrand(records)
			b.StartTimer()
			from := cpu()
			for _, r := range records {
				p.Apply(r, at.UnixMilli())
			}
			p.Changes(func([]byte, []byte) {})
			applying += cpu() - from
			b.StopTimer()
			records = records[:0]
		}
		play(b, load, func(_ int64, r event.Record) {
			if records = append(records, r); len(records) == transaction {
				apply()
			}
		})
		apply()
		b.StartTimer()
		from := cpu()
		settle(p, at.UnixMilli())
		refreshing += cpu() - from
	}
	b.ReportMetric(applying.Seconds()/float64(n), "apply-s")
	b.ReportMetric(refreshing.Seconds()/float64(n), "refresh-s")
}
