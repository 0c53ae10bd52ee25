package ingest

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// metrics counts what was sent.
type metrics struct {
	records metric.Int64Counter
	topic   metric.MeasurementOption
}

func newMetrics(meters metric.MeterProvider, topic string) (*metrics, error) {
	m := &metrics{topic: metric.WithAttributeSet(attribute.NewSet(attribute.String("messaging.destination.name", topic)))}
	var err error
	m.records, err = meters.Meter("flywheel/services/ingest").Int64Counter("flywheel.ingest.records",
		metric.WithDescription("Records of a series that Kafka has acknowledged."), metric.WithUnit("{record}"))
	if err != nil {
		return nil, fmt.Errorf("make the metrics of the ingest: %w", err)
	}
	return m, nil
}

func (m *metrics) acknowledged() { m.records.Add(context.Background(), 1, m.topic) }
