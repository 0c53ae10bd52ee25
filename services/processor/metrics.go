package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"flywheel/pkg/event"
)

// metrics are the processor's instruments. Their attributes have few values.
type metrics struct {
	records     metric.Int64Counter
	commitS     metric.Float64Histogram
	commitN     metric.Int64Histogram
	aborts      metric.Int64Counter
	restarts    metric.Int64Counter
	interrupts  metric.Int64Counter
	silences    metric.Int64Counter
	restoreS    metric.Float64Histogram
	brands      metric.Int64Gauge
	stateBytes  metric.Int64Gauge
	dirty       metric.Int64Gauge
	lag         metric.Int64Gauge
	evaluations metric.Int64Counter
}

func newMetrics(provider metric.MeterProvider, staleness func() time.Duration) (*metrics, error) {
	meter := provider.Meter("flywheel/services/processor")
	var (
		m    metrics
		errs []error
	)
	counter := func(to *metric.Int64Counter, name, unit, doc string) {
		var err error
		*to, err = meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(doc))
		errs = append(errs, err)
	}
	gauge := func(to *metric.Int64Gauge, name, unit, doc string) {
		var err error
		*to, err = meter.Int64Gauge(name, metric.WithUnit(unit), metric.WithDescription(doc))
		errs = append(errs, err)
	}
	seconds := func(to *metric.Float64Histogram, name, doc string, bounds ...float64) {
		var err error
		*to, err = meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(doc), metric.WithExplicitBucketBoundaries(bounds...))
		errs = append(errs, err)
	}
	counter(&m.records, "flywheel.processor.records", "{record}", "Input records by topic and outcome: applied, superseded, or the reason of the refusal.")
	counter(&m.aborts, "flywheel.processor.aborts", "{transaction}", "Transactions that did not commit.")
	counter(&m.restarts, "flywheel.processor.restarts", "{restart}", "Times the processor started over from the last commit.")
	counter(&m.interrupts, "flywheel.processor.interruptions", "{interruption}", "Runs that found a transaction of the run before them open: it was killed, or is replaced.")
	counter(&m.silences, "flywheel.processor.silences", "{silence}", "Times that Kafka ceased to answer for every partition, for longer than a third of the session timeout.")
	counter(&m.evaluations, "flywheel.processor.evaluations", "{evaluation}", "Evaluations of one force of one brand.")
	seconds(&m.commitS, "flywheel.processor.commit.duration", "Time a commit takes, and delivering what it holds.", .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10)
	seconds(&m.restoreS, "flywheel.processor.restore.duration", "Time it takes to restore the partitions of an assignment.", .01, .03, .1, .3, 1, 3, 10, 30, 100, 300)
	var err error
	m.commitN, err = meter.Int64Histogram("flywheel.processor.commit.records", metric.WithUnit("{record}"),
		metric.WithDescription("Input records of a transaction."), metric.WithExplicitBucketBoundaries(0, 1, 10, 100, 1_000, 10_000, 100_000))
	errs = append(errs, err)
	gauge(&m.brands, "flywheel.processor.brands", "{brand}", "Brands in memory.")
	gauge(&m.stateBytes, "flywheel.processor.state.size", "By", "Estimated memory of the state.")
	gauge(&m.dirty, "flywheel.processor.brands.dirty", "{brand}", "Brands with input that no result shows yet.")
	gauge(&m.lag, "flywheel.processor.lag", "{record}", "Input records in Kafka that are not committed yet, as of the last commit.")
	_, err = meter.Float64ObservableGauge("flywheel.processor.staleness", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest input that no result shows yet; while nothing is committed, or Kafka does not answer, it grows with the clock."),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(staleness().Seconds())
			return nil
		}))
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("create the processor's instruments: %w", err)
	}
	return &m, nil
}

// begin has the counters there before the first event, which a rate would miss
// otherwise.
func (m *metrics) begin(inputs []string) {
	var none tally
	for _, topic := range inputs {
		for _, outcome := range append(event.Reasons(), outcomeApplied, outcomeSuperseded) {
			none = append(none, tallied{topic, outcome, 0})
		}
	}
	ctx := context.Background()
	m.count(ctx, none)
	m.aborts.Add(ctx, 0)
	m.restarts.Add(ctx, 0)
	m.interrupts.Add(ctx, 0)
	m.silences.Add(ctx, 0)
	m.evaluations.Add(ctx, 0)
}

// tally counts records by topic and outcome, so that the instruments are
// touched once a batch. There are few, so that looking for one costs less than
// a hash.
type tally []tallied

type tallied struct {
	topic   string
	outcome event.Reason
	n       int64
}

func (c *tally) add(topic string, outcome event.Reason) {
	for i := range *c {
		if at := &(*c)[i]; at.outcome == outcome && at.topic == topic {
			at.n++
			return
		}
	}
	*c = append(*c, tallied{topic, outcome, 1})
}

func (m *metrics) restored(ctx context.Context, took time.Duration) {
	m.restoreS.Record(ctx, took.Seconds())
}

func (m *metrics) restarted(ctx context.Context) { m.restarts.Add(ctx, 1) }

func (m *metrics) interrupted(ctx context.Context) { m.interrupts.Add(ctx, 1) }

func (m *metrics) count(ctx context.Context, counts tally) {
	for _, k := range counts {
		m.records.Add(ctx, k.n, metric.WithAttributes(
			attribute.String("messaging.destination.name", k.topic),
			attribute.String("flywheel.outcome", string(k.outcome))))
	}
}

func (m *metrics) committed(ctx context.Context, t *transaction, took time.Duration) {
	m.commitS.Record(ctx, took.Seconds())
	m.commitN.Record(ctx, int64(t.records))
}

// holds tells of the partitions that are this processor's; without any there is
// nothing it could be behind with.
func (s *session) holds(ctx context.Context, workers []*worker) {
	m := s.metrics
	var brands, bytes, dirty, staleMs, lag int64
	for _, w := range workers {
		lag += w.behind()
		stats := w.state.Stats()
		brands += int64(stats.Brands)
		bytes += stats.Bytes
		dirty += int64(stats.Dirty)
		staleMs = max(staleMs, stats.StalenessMs)
	}
	m.brands.Record(ctx, brands)
	m.stateBytes.Record(ctx, bytes)
	m.dirty.Record(ctx, dirty)
	m.lag.Record(ctx, lag)
	s.aged(staleMs)
	if len(workers) == 0 { // as in every rebalance
		return
	}
	s.overdue.tell(ctx, s.logger, time.Now(), time.Duration(staleMs)*time.Millisecond, s.backlog)
}
