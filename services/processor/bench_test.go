package processor_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/services/processor"
)

// brokerVariable makes the test binary a broker that runs until its input ends,
// so that its work is not counted as the processor's.
const brokerVariable = "FLYWHEEL_TEST_BROKER"

func TestMain(m *testing.M) {
	if os.Getenv(brokerVariable) == "" {
		os.Exit(m.Run())
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(cluster.ListenAddrs()[0])
	_, _ = bufio.NewReader(os.Stdin).ReadByte() // ends with the parent
	cluster.Close()
}

// broker starts a broker in a process of its own.
func broker(b *testing.B) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), brokerVariable+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return addr[:len(addr)-1]
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDrain lets the processor take a backlog of 1 000 brands, in the mix
// that a busy brand has: observations of posts, hourly and quarter-hourly
// reports, orders, and facts. It reports the processor's own CPU time; the
// broker is another process.
func BenchmarkDrain(b *testing.B) {
	const brands, events = 1000, 500_000
	for b.Loop() {
		b.StopTimer()
		w := &world{t: b, kafka: kafka.DefaultConfig()}
		w.kafka.Brokers, w.kafka.BufferRecords = []string{broker(b)}, 100_000
		topics, err := kafka.NewTopics(w.kafka, w.connect())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := topics.Apply(b.Context()); err != nil {
			b.Fatal(err)
		}
		w.client = w.connect(kgo.ProducerBatchCompression(kgo.Lz4Compression()))
		if w.static, err = codec.NewStatic(); err != nil {
			b.Fatal(err)
		}
		if w.encoder, err = codec.NewEncoder(b.Context(), w.static); err != nil {
			b.Fatal(err)
		}
		start := time.Now().Add(-30 * time.Hour).Truncate(15 * time.Minute).UnixMilli()
		for i := range events {
			r := w.record(busy(i, brands, start))
			w.client.Produce(b.Context(), r, func(_ *kgo.Record, err error) {
				if err != nil {
					b.Error(err)
				}
			})
		}
		if err := w.client.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		cfg := processor.DefaultConfig()
		cfg.InstanceID = "bench"
		p, err := processor.New(cfg, w.kafka, w.static, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider())
		if err != nil {
			b.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		b.StartTimer()
		began, before := time.Now(), cpu()
		go func() { done <- p.Run(ctx) }()
		for {
			if end, committed := w.offsets(); end == committed {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		took, used := time.Since(began), cpu()-before
		b.StopTimer()
		stop()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(events/took.Seconds(), "events/s")
		b.ReportMetric(used.Seconds()*1e6/events, "cpu-s/Mevents")
		b.StartTimer()
	}
}

// busy returns the i-th event, 30 hours of event time in all.
func busy(i, brands int, start int64) event.Record {
	b := fmt.Sprintf("brand-%04d", i%brands)
	n := i / brands // of the brand
	at := start + int64(n)*200_000
	head := func(record, source, key string, version int64) event.Header {
		h := event.Header{BrandID: b, OccurredAtMs: at, ObservedAtMs: at, Source: source, NaturalKey: key, Version: version}
		h.EventID = event.NewID(record, b, source, fmt.Sprint(key, n), version)
		return h
	}
	switch n % 8 {
	case 0, 1, 2:
		return &event.TikTokContentStatistics{
			Header:    head("tiktok_content_statistics", "poll", fmt.Sprint("post", n%3), int64(n)+1),
			ContentID: fmt.Sprint("post", n%3), PublishedAtMs: start - 1, Views: int64(n) * 100,
		}
	case 3:
		return &event.AmazonSearchReport{
			Header: head("amazon_search_report", "search", fmt.Sprint("q", at/900_000), int64(n)+1),
			Query:  "acme", Branded: true, PeriodMinutes: 15, Volume: int64(n % 40),
		}
	case 4:
		return &event.AmazonTrafficHour{
			Header: head("amazon_traffic_hour", "traffic", fmt.Sprint("h", at/3_600_000), int64(n)+1), ASIN: "B0", GlanceViews: int64(n % 90),
		}
	case 5:
		return &event.AmazonOrder{
			Header:  head("amazon_order", "orders", fmt.Sprint("o", n), 1),
			OrderID: fmt.Sprint("o", n), Status: event.OrderStatusPlaced, Units: 1, GrossMicros: 25_000_000, Branded: true, Currency: "USD",
		}
	case 6:
		return &event.ShopifySession{Header: head("shopify_session", "sessions", "", 0), SessionID: fmt.Sprint("s", n), Referrer: event.ReferrerAI}
	default:
		return &event.MessageEvent{
			Header:    head("message_event", "messages", "", 0),
			MessageID: fmt.Sprint("m", n), CustomerID: "c", Channel: event.MessageChannelEmail,
			Action: event.MessageActionSent, Purpose: event.MessagePurposeReplenishment,
		}
	}
}
