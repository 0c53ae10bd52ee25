package simulator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// metrics are the simulator's instruments.
type metrics struct {
	records metric.Int64Counter
	behind  metric.Float64Gauge

	pending map[string]int64 // records by topic since the instruments were touched
	touched time.Time
}

func newMetrics(provider metric.MeterProvider) (*metrics, error) {
	meter := provider.Meter("flywheel/services/simulator")
	m := &metrics{pending: make(map[string]int64)}
	var err1, err2 error
	m.records, err1 = meter.Int64Counter("flywheel.simulator.records", metric.WithUnit("{record}"),
		metric.WithDescription("Records handed to Kafka by topic, poison included."))
	m.behind, err2 = meter.Float64Gauge("flywheel.simulator.behind", metric.WithUnit("s"),
		metric.WithDescription("How far sending is behind its schedule."))
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("create the simulator's instruments: %w", err)
	}
	return m, nil
}

// metricsEvery is how often the instruments are touched.
const metricsEvery = time.Second

func (m *metrics) sent(ctx context.Context, topic string, now time.Time, behind time.Duration) {
	m.pending[topic]++
	if now.Sub(m.touched) < metricsEvery {
		return
	}
	m.touched = now
	m.flush(ctx, behind)
}

func (m *metrics) flush(ctx context.Context, behind time.Duration) {
	m.behind.Record(ctx, behind.Seconds())
	for topic, n := range m.pending {
		m.records.Add(ctx, n, metric.WithAttributes(attribute.String("messaging.destination.name", topic)))
	}
	clear(m.pending)
}
