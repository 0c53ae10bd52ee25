//go:build integration

package apache_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"flywheel/loadtest/apache"
	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	flykafka "flywheel/pkg/kafka"
	"flywheel/pkg/setup"
	"flywheel/services/processor"
)

const partitions = 4

// review returns a fact.
func review(brand, id string) *event.AmazonReview {
	now := time.Now().UnixMilli()
	return &event.AmazonReview{
		Header: event.Header{
			EventID: event.NewID("amazon_review", brand, "amazon", id, 0), BrandID: brand,
			OccurredAtMs: now, ObservedAtMs: now, Source: "amazon",
		},
		ReviewID: id, ASIN: "B0001", Stars: 5,
	}
}

// order returns a snapshot.
func order(brand, id string) *event.AmazonOrder {
	now := time.Now().UnixMilli()
	return &event.AmazonOrder{
		Header: event.Header{
			EventID: event.NewID("amazon_order", brand, "orders", id, 1), BrandID: brand,
			OccurredAtMs: now, ObservedAtMs: now, Source: "orders", NaturalKey: id, Version: 1,
		},
		OrderID: id, Status: event.OrderStatusPlaced, ASIN: "B0001", Units: 1, GrossMicros: 25_000_000, Branded: true, Currency: "USD",
	}
}

// log collects what a processor says, and shows it with the test.
type log struct {
	out io.Writer

	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	return l.out.Write(p)
}

func (l *log) says(what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), what)
}

// pipeline is a broker with the topics, and clients.
type pipeline struct {
	*testing.T
	kafka  flykafka.Config
	client *kgo.Client
}

func newPipeline(t *testing.T) *pipeline {
	t.Helper()
	return newPipelineOn(t, kafka(t, 1))
}

// newPipelineOn gives every node a replica of everything.
func newPipelineOn(t *testing.T, k *apache.Kafka) *pipeline {
	t.Helper()
	p := &pipeline{T: t, kafka: flykafka.DefaultConfig()}
	p.kafka.Brokers, p.kafka.Topics.Partitions, p.kafka.Topics.Replication = k.Brokers(), partitions, int16(k.Nodes())
	topics, err := setup.Topics(t.Context(), p.kafka, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider())
	if err != nil {
		t.Fatal(err)
	}
	p.client = connect(t, p.kafka.Brokers)
	for _, node := range p.client.SeedBrokers() { // one knows of a new topic before another does
		eventually(t, "a node knows all topics", func() bool {
			resp, err := node.Request(t.Context(), kmsg.NewPtrMetadataRequest())
			return err == nil && len(resp.(*kmsg.MetadataResponse).Topics) >= len(topics)
		})
	}
	return p
}

// start runs a processor until the test ends; done receives what it returns.
func (p *pipeline) start(registry codec.Registry) (one *processor.Processor, says *log, stop func(), done chan error) {
	p.Helper()
	cfg := processor.DefaultConfig()
	cfg.InstanceID = "one"
	says = &log{out: p.Output()}
	one, err := processor.New(cfg, p.kafka, registry, slog.New(slog.NewTextHandler(says, nil)), metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider(),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond))
	if err != nil {
		p.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done = make(chan error, 1)
	var ended sync.WaitGroup
	ended.Go(func() { done <- one.Run(ctx) })
	stop = func() { cancel(); ended.Wait() }
	p.Cleanup(stop)
	return one, says, stop, done
}

func (p *pipeline) ready(one *processor.Processor, done chan error) {
	p.Helper()
	select {
	case <-one.Ready():
	case err := <-done:
		p.Fatalf("the processor returned %v", err)
	case <-time.After(time.Minute):
		p.Fatal("the processor does not begin")
	}
}

// send publishes a record with what the registry gives it.
func (p *pipeline) send(encoder *codec.Encoder, v event.Record) {
	p.Helper()
	value, err := encoder.Encode(nil, v)
	if err != nil {
		p.Fatal(err)
	}
	r := &kgo.Record{Topic: v.Type().Info().Topic, Key: []byte(v.Head().BrandID), Value: value}
	if err := p.client.ProduceSync(p.Context(), r).FirstErr(); err != nil {
		p.Fatal(err)
	}
}

// committed is how many records of a topic the processor has taken.
func (p *pipeline) committed(topic string) (n int64) {
	p.Helper()
	offsets, err := kadm.NewClient(p.client).FetchOffsets(p.Context(), processor.DefaultConfig().Group)
	if err != nil {
		return 0 // the group may not be there yet
	}
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Topic == topic {
			n += max(o.At, 0)
		}
	})
	return n
}

// letters is how many records were refused.
func (p *pipeline) letters() (n int64) {
	p.Helper()
	ends, err := kadm.NewClient(p.client).ListEndOffsets(p.Context(), event.TopicDeadLetter)
	if err != nil {
		p.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

// TestCopartitioningIsHeld has a topic grow under a processor that runs, and starts another one.
func TestCopartitioningIsHeld(t *testing.T) {
	p := newPipeline(t)
	static, err := codec.NewStatic()
	if err != nil {
		t.Fatal(err)
	}
	one, says, stop, done := p.start(static)
	p.ready(one, done)
	if !says.says("flywheel.transaction.version=2") {
		t.Error("it does not say which transactions the cluster has")
	}
	if _, err := kadm.NewClient(p.client).CreatePartitions(t.Context(), 1, event.TopicAmazon); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the rebalance is refused", func() bool {
		err := one.Check(t.Context())
		return err != nil && strings.Contains(err.Error(), "the group assigned partition 4 without that of topic") && strings.Contains(err.Error(), "'flywheel topics check'")
	})
	stop()

	_, _, _, done = p.start(static)
	select {
	case err := <-done:
		const want = `topic "channel.amazon" has 5 partitions on `
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "co-partitioned topics must have equally many, so delete and re-create with 4") {
			t.Errorf("got %v, want %q and what to do", err, want)
		}
	case <-time.After(time.Minute):
		t.Fatal("a processor runs although a topic has another partition count")
	}
}

// TestAProcessorOutlivesItsRegistry takes the registry away, gives it back empty, and fills it.
func TestAProcessorOutlivesItsRegistry(t *testing.T) {
	p := newPipeline(t)
	server, cfg := registry(t)
	contracts(t, cfg)
	encoder, err := codec.NewEncoder(t.Context(), codecClient(t, cfg))
	if err != nil {
		t.Fatal(err)
	}
	one, _, stop, done := p.start(codecClient(t, cfg))
	p.ready(one, done)
	p.send(encoder, review("brand", "1"))
	eventually(t, "the first record is taken", func() bool { return p.committed(event.TopicAmazon) == 1 })

	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	p.send(encoder, review("brand", "2"))
	eventually(t, "a record of a known schema is taken without the registry", func() bool { return p.committed(event.TopicAmazon) == 2 })
	p.send(encoder, order("brand", "1"))
	eventually(t, "the processor says what it waits for", func() bool {
		err := one.Check(t.Context())
		return err != nil && strings.Contains(err.Error(), "reach the schema registry at "+server.URL())
	})

	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the processor says that the registry has forgotten", func() bool {
		err := one.Check(t.Context())
		return err != nil && strings.Contains(err.Error(), "has forgotten schema")
	})
	if n, letters := p.committed(event.TopicAmazon), p.letters(); n != 2 || letters != 0 {
		t.Errorf("%d records were taken and %d refused while nothing could be known of the third", n, letters)
	}

	contracts(t, cfg)
	eventually(t, "the record that waited is taken", func() bool { return p.committed(event.TopicAmazon) == 3 })
	if letters := p.letters(); letters != 0 {
		t.Errorf("%d records were refused for the registry's fault", letters)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}

	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _, _, done = p.start(codecClient(t, cfg))
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "start it, or set registry.urls") {
			t.Errorf("a processor without a registry at start returned %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("a processor without a registry at start does not return")
	}
}
