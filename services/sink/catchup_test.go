package sink_test

import (
	"context"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
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
