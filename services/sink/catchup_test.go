package sink_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/otel/sdk/trace"

	"flywheel/pkg/event"
	"flywheel/services/sink"
)

func (w *world) catchUp(ctx context.Context) (sink.Report, error) {
	w.t.Helper()
	s, err := sink.New(w.config(), w.kafka, w.clickhouse, w.registry, logger(w.t), w.provider, trace.NewTracerProvider())
	if err != nil {
		w.t.Fatal(err)
	}
	return s.CatchUp(ctx)
}

func TestCatchingUpEndsWithEverythingWritten(t *testing.T) {
	w := newWorld(t)
	w.load(300)
	// A record that is passed over, and one in a transaction: its partition ends
	// with a control record.
	w.send(&kgo.Record{Topic: event.TopicAmazon, Key: []byte("acme"), Value: []byte("{}")})
	source := kgoTransaction(t, w, w.record(w.review(brand(1))))
	if err := source.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	r, err := w.catchUp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.drained()
	w.reviews()
	if r.Records != 302 || r.Rows != 301 || r.Tables["amazon_review"] == 0 || r.Skipped[string(event.ReasonMalformed)] != 1 || r.Flushes == 0 {
		t.Errorf("the report says %+v, want 302 records, 301 rows and one that is malformed", r)
	}
	if r.Seconds <= 0 || r.RowsPerSecond <= 0 || r.CPUSeconds <= 0 || r.CPUSecondsPerMillion <= 0 || r.RSSBytesMax < r.HeapBytes || r.HeapBytes <= 0 {
		t.Errorf("figures of the report cannot be: %+v", r)
	}
	if again, err := w.catchUp(t.Context()); err != nil || again.Records != 0 {
		t.Errorf("a second time %d records are read: %v", again.Records, err)
	}
}

// kgoTransaction sends a record and leaves its transaction open.
func kgoTransaction(t *testing.T, w *world, r *kgo.Record) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.Brokers...), kgo.TransactionalID("source"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return client
}

func TestCatchingUpSaysThatItWasStopped(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := w.catchUp(ctx); err == nil || !strings.Contains(err.Error(), "run it again for the rest") {
		t.Errorf("a sink that was stopped early says %v", err)
	}
}

// TestASinkWithoutPartitionsCatchesUpWithItsGroup has one sink hold all partitions, with
// rows that wait for ClickHouse, and held up before it hands any of them over: the first
// assignment of the one that joins is empty, as it would stay in a group that has more
// sinks than partitions.
func TestASinkWithoutPartitionsCatchesUpWithItsGroup(t *testing.T) {
	w := newWorld(t)
	direct := w.clickhouse
	g := w.throughGate()
	one := w.start(nil)
	w.load(100)
	w.drained()
	g.set(shut)
	w.load(200)
	w.eventually("rows wait", func() bool { return one.Check(t.Context()) != nil })
	var joins atomic.Int64
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	w.cluster.ControlKey(int16(kmsg.JoinGroup), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if name := req.(*kmsg.JoinGroupRequest).InstanceID; name != nil && *name == "sink-1" && joins.Add(1) > 1 {
			w.cluster.SleepControl(func() { <-held })
		}
		return nil, nil, false
	})
	t.Cleanup(release) // the cluster would not end otherwise
	w.clickhouse = direct
	ended := make(chan error, 1)
	go func() {
		_, err := w.catchUp(t.Context())
		ended <- err
	}()
	w.eventually("the first lets go of partitions", func() bool { return joins.Load() > 1 })
	var asked atomic.Int64
	w.cluster.ControlKey(int16(kmsg.OffsetFetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		asked.Add(1)
		return nil, nil, false
	})
	w.eventually("the other asks how far the group is", func() bool { return asked.Load() > 1 })
	select {
	case err := <-ended:
		t.Fatalf("it ended with rows of the group unwritten: %v", err)
	default:
	}
	release()
	g.set(open)
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it waits on")
	}
	w.end(one)
}
