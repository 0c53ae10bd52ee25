package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kotel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"

	"flywheel/pkg/event"
)

// ErrOversized says that a record is larger than event.RecordBytesMax.
var ErrOversized = errors.New("record is too large")

// Producer publishes records, each keyed by its brand: acknowledged by all
// replicas, without duplicates by retries, in the order given per brand.
type Producer struct{ client *kgo.Client }

// NewProducer connects to Kafka. The extra options come last and win.
func NewProducer(ctx context.Context, cfg Config, logger *slog.Logger, meters metric.MeterProvider, extra ...kgo.Opt) (*Producer, error) {
	opts := []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()), // with idempotence, franz-go's default
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
	}
	client, err := Connect(ctx, cfg, logger, meters, append(opts, extra...)...)
	if err != nil {
		return nil, err
	}
	return &Producer{client}, nil
}

// Produce sends one record and returns at once, or waits while the buffer is
// full. It calls done, from another goroutine, when the record is acknowledged
// or has failed for good; value must not change until then. The trace of ctx,
// if it is sampled, travels in the record's headers. The returned error says
// why a record was not even taken; done is not called then.
func (p *Producer) Produce(ctx context.Context, topic, brandID string, value []byte, done func(error)) error {
	switch {
	case brandID == "" || len(brandID) > event.TextBytesMax:
		return fmt.Errorf("produce to %q: the key is the brand's id, of 1 to %d bytes, not %d", topic, event.TextBytesMax, len(brandID))
	case len(value) > event.RecordBytesMax:
		return fmt.Errorf("produce to %q for brand %q: %d bytes, at most %d: %w", topic, brandID, len(value), event.RecordBytesMax, ErrOversized)
	}
	r := &kgo.Record{Topic: topic, Key: []byte(brandID), Value: value}
	propagation.TraceContext{}.Inject(ctx, kotel.NewRecordCarrier(r))
	p.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
		if err != nil {
			err = fmt.Errorf("produce to %q for brand %q: %w", topic, brandID, err)
		}
		done(err)
	})
	return nil
}

// Flush waits until every record taken so far was acknowledged or has failed.
func (p *Producer) Flush(ctx context.Context) error {
	if err := p.client.Flush(ctx); err != nil {
		return fmt.Errorf("flush what was produced: %w", err)
	}
	return nil
}

// Close fails what was not flushed and ends the connections.
func (p *Producer) Close() { p.client.Close() }
