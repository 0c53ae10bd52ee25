package bench_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"flywheel/loadtest/workload"
	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/topology"
)

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// codecs returns an encoder and a decoder of our contracts that ask no registry.
func codecs(b *testing.B) (*codec.Encoder, *codec.Decoder) {
	b.Helper()
	static, err := codec.NewStatic()
	if err != nil {
		b.Fatal(err)
	}
	enc, err := codec.NewFastEncoder(context.Background(), static)
	if err != nil {
		b.Fatal(err)
	}
	dec, err := codec.NewDecoder(static)
	if err != nil {
		b.Fatal(err)
	}
	return enc, dec
}

// empty returns a partition without state.
func empty(b *testing.B) *topology.Partition {
	b.Helper()
	p, err := topology.New(topology.DefaultConfig())
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// play hands out the records of a load that can be read, in the order in which they
// arrive, and tells when before each.
func play(b *testing.B, load workload.Config, f func(arrivesMs int64, r event.Record)) {
	b.Helper()
	enc, dec := codecs(b)
	g, err := workload.New(load, enc)
	if err != nil {
		b.Fatal(err)
	}
	for {
		r, more, err := g.Next()
		if err != nil {
			b.Fatal(err)
		}
		if !more {
			return
		}
		if r.Kind == workload.Poison {
			continue
		}
		// A decoder reuses what it returns: each has to be a record of its own.
		v, err := dec.Decode(context.Background(), r.Topic, r.Value)
		if err != nil {
			b.Fatal(err)
		}
		f(r.ArrivesMs, clone(v.(event.Record)))
	}
}

// byBrand sorts records brand after brand, as the processor does.
func byBrand(records []event.Record) {
	slices.SortStableFunc(records, func(x, y event.Record) int { return strings.Compare(x.Head().BrandID, y.Head().BrandID) })
}

// BenchmarkCore applies FLYWHEEL-72 to one partition of twelve, without Kafka: a
// twelfth of 4 million events of 1 000 brands and more, and the changelog of every
// transaction.
func BenchmarkCore(b *testing.B) {
	const transaction = 20_000
	for _, c := range []struct{ brands, events int }{{83, 333_333}, {833, 333_333}, {8_333, 333_333}} {
		b.Run(fmt.Sprintf("brands=%d", c.brands), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				p := empty(b)
				var records []event.Record
				kinds := make(map[byte]int)
				var changes, bytes int
				var applying, changing time.Duration
				batch := func() {
					byBrand(records)
					b.StartTimer()
					from := cpu()
					for _, r := range records {
						p.Apply(r, 1<<42)
					}
					applying += cpu() - from
					from = cpu()
					p.Changes(func(key, value []byte) {
						changes++
						bytes += len(key) + len(value)
						kinds[key[1+len("brand-0000000")]]++
					})
					changing += cpu() - from
					b.StopTimer()
					records = records[:0]
				}
				play(b, workload.Flywheel72(c.brands, c.events, time.Now()), func(_ int64, r event.Record) {
					if records = append(records, r); len(records) == transaction {
						batch()
					}
				})
				batch()
				n := float64(c.events)
				b.ReportMetric(float64(applying.Nanoseconds())/n, "apply-ns/event")
				b.ReportMetric(float64(changing.Nanoseconds())/n, "changes-ns/event")
				b.ReportMetric(float64(changes)/n, "slots/event")
				b.ReportMetric(float64(bytes)/n, "B/event")
				s := p.Stats()
				b.Logf("%d brands; slots by kind: %v", s.Brands, kindsText(kinds))
				b.StartTimer()
			}
		})
	}
}

func kindsText(k map[byte]int) (t string) {
	for kind, n := range k {
		t += fmt.Sprintf("%c:%d ", kind, n)
	}
	return t
}

func clone(r event.Record) event.Record {
	switch v := r.(type) {
	case *event.TikTokContentStatistics:
		c := *v
		return &c
	case *event.TikTokContentPublished:
		c := *v
		return &c
	case *event.AmazonSearchReport:
		c := *v
		return &c
	case *event.AmazonTrafficHour:
		c := *v
		return &c
	case *event.AmazonOrder:
		c := *v
		return &c
	case *event.TikTokShopOrder:
		c := *v
		return &c
	case *event.ShopifyOrder:
		c := *v
		return &c
	case *event.AmazonAdStream:
		c := *v
		return &c
	case *event.TikTokAdReportHour:
		c := *v
		return &c
	}
	panic("no such record")
}
