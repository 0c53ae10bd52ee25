package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
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
	flushS     metric.Float64Histogram
	flushN     metric.Int64Histogram
	freshnessS metric.Float64Histogram
	lag        metric.Int64Gauge
}

// measureTimeout bounds how long Kafka is asked for the lag.
const measureTimeout = 2 * time.Second

// newMetrics returns the instruments; waiting tells how long the oldest row has
// waited to be written.
func newMetrics(provider metric.MeterProvider, waiting func() time.Duration) (*metrics, error) {
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
	counter(&m.retries, "flywheel.sink.retries", "{insert}", "Inserts that failed and were tried again.")
	counter(&m.lookups, "flywheel.sink.schema.retries", "{lookup}", "Look-ups in the schema registry that failed and were tried again, while a record waited.")
	seconds(&m.flushS, "flywheel.sink.flush.duration", "Time from the first insert of a flush to its commit.", .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 300)
	seconds(&m.freshnessS, "flywheel.sink.freshness", "Age of the oldest row of a flush when it is written, since Kafka took it.", .05, .1, .2, .5, 1, 1.5, 2, 3, 5, 10, 30, 60, 300, 3600)
	var err error
	m.flushN, err = meter.Int64Histogram("flywheel.sink.flush.rows", metric.WithUnit("{row}"),
		metric.WithDescription("Rows of a flush."), metric.WithExplicitBucketBoundaries(0, 1, 10, 100, 1_000, 10_000, 50_000, 100_000, 500_000))
	errs = append(errs, err)
	m.lag, err = meter.Int64Gauge("flywheel.sink.lag", metric.WithUnit("{record}"),
		metric.WithDescription("Records in Kafka that were not taken yet, as of the last flush, attempt to write or rebalance."))
	errs = append(errs, err)
	_, err = meter.Float64ObservableGauge("flywheel.sink.staleness", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest row that was taken and is not written yet, since Kafka took it; 0 when there is none."),
		metric.WithFloat64Callback(func(_ context.Context, to metric.Float64Observer) error {
			to.Observe(waiting().Seconds())
			return nil
		}))
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("create the sink's instruments: %w", err)
	}
	return &m, nil
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

func (m *metrics) flushed(ctx context.Context, s *session, took time.Duration) {
	m.flushS.Record(ctx, took.Seconds())
	m.flushN.Record(ctx, int64(s.rows))
	if !s.oldest.IsZero() {
		m.freshnessS.Record(ctx, time.Since(s.oldest).Seconds())
	}
	for k, n := range s.counts {
		m.skipped.Add(ctx, n, metric.WithAttributes(
			attribute.String("messaging.destination.name", k.topic), attribute.String("flywheel.reason", string(k.reason))))
	}
	m.lag.Record(ctx, s.lag())
}

// lag returns how many records of the partitions held were not taken yet.
func (s *session) lag() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum int64
	for _, partitions := range s.taken {
		for _, at := range partitions {
			sum += max(0, at.end-at.next)
		}
	}
	return sum
}

// measure finds out how far the partitions have grown while nothing is polled.
// What keeps Kafka from answering is no affair of the flush that waits.
func (s *session) measure(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	ends, err := kadm.NewClient(s.client).ListCommittedOffsets(ctx, s.topics...)
	if err != nil {
		s.logger.DebugContext(ctx, "the lag is not known", slog.Any("error.message", err))
		return
	}
	s.mu.Lock()
	for topic, partitions := range s.taken {
		for p, at := range partitions {
			if end, ok := ends.Lookup(topic, p); ok && end.Err == nil {
				partitions[p] = place{at.next, end.Offset}
			}
		}
	}
	s.mu.Unlock()
	s.metrics.lag.Record(ctx, s.lag())
}
