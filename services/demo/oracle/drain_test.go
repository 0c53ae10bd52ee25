package oracle

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/pkg/testkit"
)

// pipeline is a broker with topics, on which the test plays processor and sink.
type pipeline struct {
	t      *testing.T
	groups *Groups
	client *kgo.Client
}

func newPipeline(t *testing.T) *pipeline {
	t.Helper()
	cluster, cfg := testkit.Kafka(t), kafka.DefaultConfig()
	cfg.Brokers, cfg.Topics.Partitions = cluster.ListenAddrs(), 2
	topics, err := kafka.NewTopics(cfg, testkit.KafkaClient(t, cluster))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topics.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	g, err := NewGroups(t.Context(), cfg, "processor", "sink", slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	if g.settle != Settle {
		t.Fatalf("waits %s for the last result, want %s", g.settle, Settle)
	}
	g.settle = 300 * time.Millisecond
	p := &pipeline{t, g, testkit.KafkaClient(t, cluster, kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))}
	// An event, read by both; a result, whose transaction ends behind it.
	p.publish(event.TopicAmazon)
	p.publish(event.TopicCredit)
	return p
}

func (p *pipeline) publish(topic string) {
	p.t.Helper()
	if err := p.client.BeginTransaction(); err != nil {
		p.t.Fatal(err)
	}
	if err := p.client.ProduceSync(p.t.Context(), &kgo.Record{Topic: topic, Partition: 1}).FirstErr(); err != nil {
		p.t.Fatal(err)
	}
	if err := p.client.EndTransaction(p.t.Context(), kgo.TryCommit); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pipeline) commit(group, topic string, at int64) {
	p.t.Helper()
	offsets := make(kadm.Offsets)
	offsets.AddOffset(topic, 1, at, -1)
	if err := p.groups.admin.CommitAllOffsets(p.t.Context(), group, offsets); err != nil {
		p.t.Fatal(err)
	}
}

func TestDraining(t *testing.T) {
	for name, c := range map[string]struct {
		processor, sink, results int64 // committed offsets
		missing                  string
	}{
		"everything is committed":               {2, 2, 1, ""},
		"the end of a transaction is committed": {2, 2, 2, ""},
		"the processor is behind":               {0, 2, 1, `the group "processor" is 2 records behind in partition 1 of "channel.amazon"`},
		"the sink is behind with events":        {2, 0, 1, `the group "sink" is 2 records behind in partition 1 of "channel.amazon"`},
		"the sink is behind with results":       {2, 2, 0, `the group "sink" has not committed the last results in partition 1 of "flywheel.credit"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t)
			for _, at := range []struct {
				group, topic string
				at           int64
			}{{"processor", event.TopicAmazon, c.processor}, {"sink", event.TopicAmazon, c.sink}, {"sink", event.TopicCredit, c.results}} {
				if at.at > 0 {
					p.commit(at.group, at.topic, at.at)
				}
			}
			err := p.groups.Wait(t.Context(), 3*time.Second, func(Standing) {})
			if c.missing == "" && err != nil || c.missing != "" && (err == nil || !strings.Contains(err.Error(), c.missing)) {
				t.Errorf("%v; want %q", err, c.missing)
			}
		})
	}
}

func TestDrainingWaitsWhileResultsCome(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.commit("processor", event.TopicAmazon, 2)
	p.commit("sink", event.TopicAmazon, 2)
	published := 0
	err := p.groups.Wait(t.Context(), time.Minute, func(Standing) {
		if published < 8 { // as a processor does that refreshes brand after brand
			published++
			p.publish(event.TopicCredit)
			p.commit("sink", event.TopicCredit, int64(2*published+1))
		}
	})
	if err != nil || published < 8 {
		t.Errorf("finished after %d results, %v", published, err)
	}
}

func TestDrainingStopsWhenAsked(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	ctx, stop := context.WithCancel(t.Context())
	if err := p.groups.Wait(ctx, time.Minute, func(Standing) { stop() }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
