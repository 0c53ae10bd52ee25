package sink_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/pkg/testkit"
	"flywheel/pkg/testkit/tables"
	"flywheel/schemas"
	"flywheel/services/sink"
)

const partitions = 4

// world is a broker with topics, a registry, and a ClickHouse with the tables.
type world struct {
	t          testing.TB
	cluster    *kfake.Cluster
	kafka      kafka.Config
	clickhouse clickhouse.Config
	conn       driver.Conn
	registry   codec.Registry
	encoder    *codec.Encoder
	client     *kgo.Client
	meters     *metric.ManualReader
	provider   *metric.MeterProvider
	spans      *tracetest.SpanRecorder
	seq        int
	members    int
	journal    *testkit.Log // what its sinks log
}

// Tests that have one mostly wait, so they do it side by side.
func newWorld(t testing.TB) *world {
	t.Helper()
	if t, ok := t.(*testing.T); ok {
		t.Parallel()
	}
	cluster := testkit.Kafka(t, kfake.GroupMinSessionTimeout(time.Second),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	w := &world{t: t, cluster: cluster, kafka: kafka.DefaultConfig(), meters: metric.NewManualReader(), journal: new(testkit.Log)}
	w.provider = metric.NewMeterProvider(metric.WithReader(w.meters))
	w.spans = tracetest.NewSpanRecorder()
	w.kafka.Brokers, w.kafka.Topics.Partitions = cluster.ListenAddrs(), partitions
	w.client = testkit.KafkaClient(t, cluster)
	topics, err := kafka.NewTopics(w.kafka, w.client)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topics.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	static, err := codec.NewStatic()
	if err != nil {
		t.Fatal(err)
	}
	w.registry = static
	if w.encoder, err = codec.NewEncoder(t.Context(), static); err != nil {
		t.Fatal(err)
	}
	w.conn, w.clickhouse = tables.New(t)
	return w
}

func (w *world) config() sink.Config {
	cfg := sink.DefaultConfig()
	cfg.FlushInterval, cfg.RetryPause, cfg.SessionTimeout = 20*time.Millisecond, 100*time.Millisecond, 1500*time.Millisecond
	return cfg
}

// member is a sink that runs.
type member struct {
	*sink.Sink
	stop context.CancelFunc
	done chan error
}

// start runs a sink until the test ends or end is called.
func (w *world) start(change func(*sink.Config), options ...kgo.Opt) *member {
	w.t.Helper()
	cfg := w.config()
	if change != nil {
		change(&cfg)
	}
	if cfg.InstanceID == "" { // they would all have the host's
		w.members++
		cfg.InstanceID = fmt.Sprintf("sink-%d", w.members)
	}
	return w.launch(cfg, options...)
}

// launch runs a sink that is configured so.
func (w *world) launch(cfg sink.Config, options ...kgo.Opt) *member {
	w.t.Helper()
	log := slog.New(slog.NewTextHandler(io.MultiWriter(w.t.Output(), w.journal), &slog.HandlerOptions{Level: slog.LevelInfo}))
	s, err := sink.New(cfg, w.kafka, w.clickhouse, w.registry, log, w.provider, trace.NewTracerProvider(trace.WithSpanProcessor(w.spans)), options...)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(context.Background()) // with a cause, as run.Group stops it
	m := &member{s, func() { stop(errors.New("the process was asked to stop")) }, make(chan error, 1)}
	go func() { m.done <- s.Run(ctx) }()
	w.t.Cleanup(func() { m.stop() })
	return m
}

// end stops a sink and waits for it.
func (w *world) end(m *member) {
	w.t.Helper()
	m.stop()
	if err := w.wait(m); err != nil {
		w.t.Errorf("a stopped sink returned %v", err)
	}
}

// wait returns what a sink returns.
func (w *world) wait(m *member) error {
	w.t.Helper()
	select {
	case err := <-m.done:
		return err
	case <-time.After(20 * time.Second):
		w.t.Fatal("the sink does not return")
		return nil
	}
}

// line is what a log has of a line of a level with a message.
func line(level slog.Level, message string) string {
	return fmt.Sprintf("level=%s msg=%q", level, message)
}

// lines returns how many lines of a level a log has with a message.
func lines(log *testkit.Log, level slog.Level, message string) int {
	return strings.Count(log.String(), line(level, message))
}

// told expects that a trouble was told of once when it began, and once when it was over.
func (w *world) told(begins, ends string) {
	w.t.Helper()
	for level, message := range map[slog.Level]string{slog.LevelWarn: begins, slog.LevelInfo: ends} {
		if n := lines(w.journal, level, message); n != 1 {
			w.t.Errorf("%q was logged %d times, want once", message, n)
		}
	}
}

// toldFrom expects that, from a place in the journal on, a trouble was told of once when it
// began, and when it was over. A pause of the machine may look like another one after that.
func (w *world) toldFrom(place int, begins, ends string) {
	w.t.Helper()
	log, _, over := strings.Cut(w.journal.String()[place:], line(slog.LevelInfo, ends))
	if n := strings.Count(log, line(slog.LevelWarn, begins)); n != 1 || !over {
		w.t.Errorf("%q was logged %d times, want once, and %q after it: %t", begins, n, ends, over)
	}
}

// logger writes to the test's log, which shows when the test fails.
func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// send publishes encoded values as they are.
func (w *world) send(records ...*kgo.Record) {
	w.t.Helper()
	if err := w.client.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// record returns the Kafka record of an event or result.
func (w *world) record(v any) *kgo.Record {
	w.t.Helper()
	value, err := w.encoder.Encode(nil, v)
	if err != nil {
		w.t.Fatal(err)
	}
	topic, brandID := addressOf(v)
	return &kgo.Record{Topic: topic, Key: []byte(brandID), Value: value}
}

func addressOf(v any) (topic, brandID string) {
	switch v := v.(type) {
	case event.Record:
		return v.Type().Info().Topic, v.Head().BrandID
	case *event.Brand:
		return event.TopicBrand, v.BrandID
	case *event.Correlation:
		return event.TopicCorrelation, v.BrandID
	case *event.Credit:
		return event.TopicCredit, v.BrandID
	case *event.Spike:
		return event.TopicSpike, v.BrandID
	case *event.DeadLetter:
		return event.TopicDeadLetter, v.BrandID
	}
	panic(fmt.Sprintf("%T is carried by no topic", v))
}

// review returns a fact that nobody has sent before.
func (w *world) review(brand string) *event.AmazonReview {
	w.seq++
	id := fmt.Sprintf("review-%d", w.seq)
	now := time.Now().UnixMilli()
	return &event.AmazonReview{
		Header: event.Header{
			EventID: event.NewID("amazon_review", brand, "amazon", id, 0), BrandID: brand,
			OccurredAtMs: now, ObservedAtMs: now, Source: "amazon",
		},
		ReviewID: id, ASIN: "B0001", Stars: 5,
	}
}

// views returns an observation that nobody has sent before.
func (w *world) views(brand string) *event.TikTokContentStatistics {
	w.seq++
	now := time.Now().UnixMilli()
	return &event.TikTokContentStatistics{
		Header: event.Header{
			EventID: event.NewID("tiktok_content_statistics", brand, "tiktok", "video", int64(w.seq)), BrandID: brand,
			OccurredAtMs: now, ObservedAtMs: now, Source: "tiktok", NaturalKey: "video", Version: int64(w.seq),
		},
		ContentID: "video", PublishedAtMs: now - 1000, Views: int64(w.seq),
	}
}

func brand(i int) string { return fmt.Sprintf("brand-%02d", i) }

// load sends n valid events of many brands.
func (w *world) load(n int) {
	w.t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = w.record(w.review(brand(i % 16)))
	}
	w.send(records...)
}

// drained waits until the group has committed all input.
func (w *world) drained() {
	w.t.Helper()
	w.drainedBy(w.config().Group)
}

func (w *world) drainedBy(name string) {
	w.t.Helper()
	admin := kadm.NewClient(w.client)
	file, err := schemas.LoadTopics()
	if err != nil {
		w.t.Fatal(err)
	}
	var inputs []string
	for _, t := range file.Topics {
		if len(t.Records) > 0 {
			inputs = append(inputs, t.Name)
		}
	}
	w.eventually("all input is committed", func() bool {
		ends, err := admin.ListEndOffsets(w.t.Context(), inputs...)
		if err != nil {
			w.t.Fatal(err)
		}
		group, err := admin.FetchOffsets(w.t.Context(), name)
		if err != nil {
			return false
		}
		all := true
		ends.Each(func(o kadm.ListedOffset) {
			at, ok := group.Lookup(o.Topic, o.Partition)
			all = all && (o.Offset == 0 || ok && at.At >= o.Offset)
		})
		return all
	})
}

func (w *world) eventually(what string, cond func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			w.t.Fatalf("after 20 s it does not hold that %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// count returns the number of rows a query counts.
func (w *world) count(query string, args ...any) uint64 {
	w.t.Helper()
	var n uint64
	if err := w.conn.QueryRow(w.t.Context(), query, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// largest returns the largest value a histogram of the sinks has seen.
func (w *world) largest(name string) int64 {
	w.t.Helper()
	var most int64
	for _, p := range w.metric(name).(metricdata.Histogram[int64]).DataPoints {
		value, _ := p.Max.Value()
		most = max(most, value)
	}
	return most
}

// points returns what a counter of the sinks has counted, where that is something.
func (w *world) points(name string) []metricdata.DataPoint[int64] {
	w.t.Helper()
	return slices.DeleteFunc(w.metric(name).(metricdata.Sum[int64]).DataPoints, func(p metricdata.DataPoint[int64]) bool { return p.Value == 0 })
}

func (w *world) metric(name string) metricdata.Aggregation {
	w.t.Helper()
	var all metricdata.ResourceMetrics
	if err := w.meters.Collect(w.t.Context(), &all); err != nil {
		w.t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name == name {
				return m.Data
			}
		}
	}
	w.t.Fatalf("no metric is called %s", name)
	return nil
}

// reviews expects all events of load to be there, each once.
func (w *world) reviews() {
	w.t.Helper()
	if n := w.count("SELECT count() FROM amazon_review FINAL"); n != uint64(w.seq) {
		w.t.Errorf("%d reviews in the table, %d were sent", n, w.seq)
	}
	if n := w.count("SELECT uniqExact(event_id) FROM amazon_review"); n != uint64(w.seq) {
		w.t.Errorf("%d different reviews in the table, %d were sent", n, w.seq)
	}
}

func TestTheEndOfATransactionIsNoLag(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	source := kgoTransaction(t, w, w.record(w.review(brand(1))))
	if err := source.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	w.drained() // its last offset is that of a control record
	w.reviews()
	w.eventually("nothing lags", func() bool { return w.metric("flywheel.sink.lag").(metricdata.Gauge[int64]).DataPoints[0].Value == 0 })
	w.end(m)
}

func TestEventsBecomeRows(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	w.load(500)
	w.drained()
	w.reviews()
	if rows := w.points("flywheel.sink.rows"); len(rows) != 1 || rows[0].Value != 500 || !rows[0].Attributes.HasValue("db.collection.name") {
		t.Errorf("the rows were counted as %v", rows)
	}
	if err := m.Check(t.Context()); err != nil {
		t.Errorf("a sink that delivers is not ready: %v", err)
	}
	w.end(m)
	if m.Check(t.Context()) == nil {
		t.Error("a stopped sink is ready")
	}
}

func TestBatchesKeepTheirBounds(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*sink.Config)
		most   int64
	}{
		"rows":  {func(c *sink.Config) { c.FlushRows = 25 }, 25},
		"bytes": {func(c *sink.Config) { c.FlushBytes = 1 << 20 }, 16}, // the first is taken before their size is known
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			letter := &event.DeadLetter{BrandID: "acme", Reason: event.ReasonMalformed, Topic: "t", Payload: make([]byte, 100_000)}
			for i := range 60 {
				letter.Offset = int64(i)
				w.send(w.record(letter))
			}
			m := w.start(func(c *sink.Config) {
				c.FlushInterval = time.Second // long enough for the bounds to end most batches
				tc.change(c)
			}, kgo.FetchMaxPartitionBytes(300_000))
			w.drained()
			w.end(m)
			if n := w.count("SELECT count() FROM dead_letter FINAL"); n != 60 {
				t.Errorf("%d of 60 dead letters are there", n)
			}
			if n := w.largest("flywheel.sink.flush.rows"); n > tc.most || n < 10 {
				t.Errorf("the largest flush had %d rows, at most %d are allowed", n, tc.most)
			}
		})
	}
}

func TestAFlushContinuesTheTracesOfItsRows(t *testing.T) {
	w := newWorld(t)
	r := w.record(w.review("acme"))
	r.Headers = []kgo.RecordHeader{{Key: "traceparent", Value: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")}}
	w.send(r)
	m := w.start(nil)
	w.drained()
	w.end(m)
	for _, s := range w.spans.Ended() {
		if s.Name() == "flush rows" && len(s.Links()) == 1 && s.Links()[0].SpanContext.TraceID().String() == "0af7651916cd43dd8448eb211c80319c" {
			return
		}
	}
	t.Errorf("no span of a flush links to the row's trace: %v", w.spans.Ended())
}
