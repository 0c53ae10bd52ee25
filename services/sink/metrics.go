package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"flywheel/pkg/event"
)

// metrics are the sink's instruments. Their attributes have few values.
type metrics struct {
	rows       metric.Int64Counter
	skipped    metric.Int64Counter
	retries    metric.Int64Counter
	lookups    metric.Int64Counter
	commits    metric.Int64Counter
	reads      metric.Int64Counter
	flushS     metric.Float64Histogram
	flushN     metric.Int64Histogram
	freshnessS metric.Float64Histogram
	lag        metric.Int64Gauge
}

// newMetrics returns the instruments; staleness tells for how long a record may have
// waited.
func newMetrics(provider metric.MeterProvider, staleness func() time.Duration) (*metrics, error) {
	meter := provider.Meter("flywheel/services/sink")
	var (
		m    metrics
		errs []error
	)
	counter := func(to *metric.Int64Counter, name, unit, doc string) {
		var err error
		*to, err = meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(doc))
		errs = append(errs, err)
	}
	seconds := func(to *metric.Float64Histogram, name, doc string, bounds ...float64) {
		var err error
		*to, err = meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(doc), metric.WithExplicitBucketBoundaries(bounds...))
		errs = append(errs, err)
	}
	counter(&m.rows, "flywheel.sink.rows", "{row}", "Rows that ClickHouse has acknowledged, by table.")
	counter(&m.skipped, "flywheel.sink.skipped", "{record}", "Records without a row, by topic and reason: the reason of the refusal, or parked when ClickHouse refuses the row.")
	counter(&m.retries, "flywheel.sink.retries", "{attempt}", "Inserts, and connections at start, that failed and were tried again.")
	counter(&m.lookups, "flywheel.sink.schema.retries", "{lookup}", "Look-ups in the schema registry that failed and were tried again, while a record waited.")
	counter(&m.commits, "flywheel.sink.commit.retries", "{commit}", "Commits of offsets that failed and are tried again with the next flush; the rows are written.")
	counter(&m.reads, "flywheel.sink.read.retries", "{attempt}", "Attempts to read from Kafka, to ask it for the ends of the topics or to be a member of the group that failed and were made again.")
	seconds(&m.flushS, "flywheel.sink.flush.duration", "Time from the first insert of a flush to its commit.", .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 300)
	seconds(&m.freshnessS, "flywheel.sink.freshness", "Age of the oldest row of a flush when it is written, since Kafka took it.", .05, .1, .2, .5, 1, 1.5, 2, 3, 5, 10, 30, 60, 300, 3600)
	var err error
	m.flushN, err = meter.Int64Histogram("flywheel.sink.flush.rows", metric.WithUnit("{row}"),
		metric.WithDescription("Rows of a flush."), metric.WithExplicitBucketBoundaries(0, 1, 10, 100, 1_000, 10_000, 50_000, 100_000, 500_000))
	errs = append(errs, err)
	m.lag, err = meter.Int64Gauge("flywheel.sink.lag", metric.WithUnit("{record}"),
		metric.WithDescription("Records in Kafka that were not taken yet, of the partitions of this sink, as of Kafka's last answer: it is asked once a second."))
	errs = append(errs, err)
	_, err = meter.Float64ObservableGauge("flywheel.sink.staleness", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest row that was taken and is not written yet, since Kafka took it; while Kafka is not read, at least the time since it last answered before; otherwise 0."),
		metric.WithFloat64Callback(func(_ context.Context, to metric.Float64Observer) error {
			to.Observe(staleness().Seconds())
			return nil
		}))
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("create the sink's instruments: %w", err)
	}
	return &m, nil
}

// begin has the counters there before the first event, which a rate would miss
// otherwise.
func (m *metrics) begin(topics, tables []string) {
	ctx := context.Background()
	m.retries.Add(ctx, 0)
	m.lookups.Add(ctx, 0)
	m.commits.Add(ctx, 0)
	m.reads.Add(ctx, 0)
	for _, table := range tables {
		m.written(ctx, table, 0)
	}
	for _, topic := range topics {
		for _, reason := range append(event.Reasons(), outcomeParked) {
			m.skip(ctx, skip{topic, reason}, 0)
		}
	}
}

// tally counts records without a row, so that the instruments are touched once
// a flush.
type tally map[skip]int64

type skip struct {
	topic  string
	reason event.Reason
}

// outcomeParked is the reason of a record whose row ClickHouse refuses.
const outcomeParked = event.Reason("parked")

func (m *metrics) written(ctx context.Context, table string, rows int) {
	m.rows.Add(ctx, int64(rows), metric.WithAttributes(attribute.String("db.collection.name", table)))
}

func (m *metrics) skip(ctx context.Context, k skip, records int64) {
	m.skipped.Add(ctx, records, metric.WithAttributes(
		attribute.String("messaging.destination.name", k.topic), attribute.String("flywheel.reason", string(k.reason))))
}

func (m *metrics) flushed(ctx context.Context, s *session, took time.Duration) {
	m.flushS.Record(ctx, took.Seconds())
	m.flushN.Record(ctx, int64(s.rows))
	if !s.oldest.IsZero() {
		m.freshnessS.Record(ctx, time.Since(s.oldest).Seconds())
	}
	for k, n := range s.counts {
		m.skip(ctx, k, n)
	}
	m.lag.Record(ctx, s.lag())
}

// lag returns how many records of the partitions that are this sink's were not taken
// yet.
func (s *session) lag() int64 {
	s.places.Lock()
	defer s.places.Unlock()
	var sum int64
	for _, partitions := range s.taken {
		for _, at := range partitions {
			sum += max(0, at.end-max(0, at.next))
		}
	}
	return sum
}
