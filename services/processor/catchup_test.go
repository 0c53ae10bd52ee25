package processor_test

import (
	"context"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"flywheel/pkg/event"
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
