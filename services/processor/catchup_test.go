package processor_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"flywheel/pkg/event"
	"flywheel/pkg/testkit"
	"flywheel/services/processor"
)

func (w *world) catchUp(ctx context.Context) (processor.Report, error) {
	w.t.Helper()
	p, err := processor.New(w.config(), w.kafka, w.static, logger(w.t, "one"), metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider())
	if err != nil {
		w.t.Fatal(err)
	}
	return p.CatchUp(ctx)
}

func TestCatchingUpEndsWithEverythingProcessedAndPublished(t *testing.T) {
	w := newWorld(t)
	w.load(600)
	twice := *w.sent[0]
	w.send(&kgo.Record{Topic: twice.Topic, Key: twice.Key, Value: twice.Value})
	r, err := w.catchUp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if end, committed := w.offsets(); end != committed {
		t.Errorf("%d of %d offsets are committed", committed, end)
	}
	counted := map[string]int64{
		event.TopicCorrelation: r.Correlations, event.TopicCredit: r.Credits, event.TopicSpike: r.Spikes,
		event.TopicDeadLetter: r.DeadLetters, event.TopicState: r.ChangelogRecords,
	}
	for topic, n := range counted {
		if got := int64(len(w.committed(topic))); got != n {
			t.Errorf("%s holds %d records, the report says %d", topic, got, n)
		}
	}
	var bytes int64
	for _, r := range w.committed(event.TopicState) {
		bytes += int64(len(r.Key) + len(r.Value))
	}
	if r.Events != 601 || r.DeadLetters != 1 || r.Brands != 16 || r.Credits == 0 || r.ChangelogBytes != bytes {
		t.Errorf("the report says %+v, want 601 events, 1 dead letter, 16 brands, %d bytes of changelog, and credits", r, bytes)
	}
	if r.Seconds <= 0 || r.SettledSeconds < r.Seconds || r.CPUSeconds <= 0 || r.SettledCPUSeconds < r.CPUSeconds ||
		r.EventsPerSecond <= 0 || r.CPUSecondsPerMillion <= 0 || r.StateBytes <= 0 || r.HeapBytes <= 0 || r.RSSBytesMax < r.HeapBytes {
		t.Errorf("figures of the report cannot be: %+v", r)
	}

	// The next one has nothing to process, but the state to restore.
	again, err := w.catchUp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again.Events != 0 || again.Brands != 16 || again.RestoredRecords == 0 || again.RestoreSeconds <= 0 {
		t.Errorf("the report after a restart says %+v, want no events and 16 brands restored", again)
	}
}

// TestCatchingUpPassesControlRecords sends the input in transactions: a
// partition then ends with a control record, and one of them, of an aborted
// transaction, with nothing but that.
func TestCatchingUpPassesControlRecords(t *testing.T) {
	w := newWorld(t)
	client := w.connect(kgo.TransactionalID("source"))
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if err := client.ProduceSync(t.Context(), w.record(w.review(brand(i)))).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	r, err := w.catchUp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Events != 20 || r.Brands != 1 {
		t.Errorf("%d events of %d brands were processed, want 20 of 1", r.Events, r.Brands)
	}
}

func TestCatchingUpSaysThatItWasStopped(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := w.catchUp(ctx); err == nil || !strings.Contains(err.Error(), "run it again for the rest") {
		t.Errorf("a processor that was stopped early says %v", err)
	}
}

// TestASpareProcessorCatchesUpWithItsGroup has as many processors as partitions, whose
// commits are held up for a while, and one more.
func TestASpareProcessorCatchesUpWithItsGroup(t *testing.T) {
	w := newWorld(t)
	var owners []*member
	for i := range partitions {
		owners = append(owners, w.start(func(c *processor.Config) {
			c.InstanceID, c.TransactionTimeout = fmt.Sprintf("owner-%d", i), 2*time.Second // for so long they hold up a rebalance
		}))
	}
	w.load(60)
	w.drained()
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	w.cluster.ControlKey(int16(kmsg.TxnOffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		w.cluster.SleepControl(func() { <-held })
		return nil, nil, false
	})
	t.Cleanup(release) // the cluster would not end otherwise
	w.load(60)
	var log testkit.Log
	cfg := w.config()
	cfg.InstanceID = "spare" // behind the owners, so that the group has nothing left for it
	p, err := processor.New(cfg, w.kafka, w.static, slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), &log), nil)), metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider())
	if err != nil {
		t.Fatal(err)
	}
	type ending struct {
		report processor.Report
		err    error
	}
	ended := make(chan ending, 1)
	go func() {
		report, err := p.CatchUp(t.Context())
		ended <- ending{report, err}
	}()
	w.eventually("it says that it waits", func() bool {
		return strings.Contains(log.String(), "the group has no partition to spare; waiting until the others have caught up")
	})
	var asked atomic.Int64
	w.cluster.ControlKey(int16(kmsg.OffsetFetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if !req.(*kmsg.OffsetFetchRequest).RequireStable { // as the owners do, of their places
			asked.Add(1)
		}
		return nil, nil, false
	})
	w.eventually("it asks how far the group is", func() bool { return asked.Load() > 1 })
	if end, committed := w.offsets(); committed == end {
		t.Fatal("the owners have committed all the same")
	}
	select {
	case e := <-ended:
		t.Fatalf("it ended before the others had caught up: %+v, %v", e.report, e.err)
	default:
	}
	release()
	select {
	case e := <-ended:
		if e.err != nil || e.report != (processor.Report{}) {
			t.Errorf("it did nothing, and reports %+v, %v", e.report, e.err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it waits on")
	}
	if end, committed := w.offsets(); committed != end {
		t.Errorf("it ended with %d of %d offsets committed", committed, end)
	}
	if !strings.Contains(log.String(), "the other processors of the group have caught up; this one has no partition") {
		t.Error("it does not say why it ends")
	}
	for _, m := range owners {
		w.end(m)
	}
}
