// Package ingest sends a series of counts from a file down the road of the
// connectors: as exposure on TikTok, or as branded searches on Amazon. The
// events keep the times of the file. They follow from the file alone, so
// sending it twice counts it once.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/metric"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/pkg/progress"
)

// Ingest sends one series.
type Ingest struct {
	cfg      Config
	series   *Series
	period   time.Duration
	kafka    kafka.Config
	registry codec.Registry
	logger   *slog.Logger
	meters   metric.MeterProvider
	metrics  *metrics
	options  []kgo.Opt
	meter    *progress.Meter
	encoder  *codec.Encoder

	rows         int64 // taken from the file
	sent         int64 // records handed to the producer
	acknowledged atomic.Int64
	failure      atomic.Pointer[error] // the first record that was not delivered
	took         time.Duration
}

// New checks the configuration and starts nothing. The series stays the
// caller's. Progress goes to show; nil shows none. The options are appended to
// those of the Kafka client.
func New(cfg Config, series *Series, kafkaConfig kafka.Config, registry codec.Registry,
	logger *slog.Logger, meters metric.MeterProvider, show io.Writer, options ...kgo.Opt,
) (*Ingest, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	period, err := cfg.Fits(series)
	if err != nil {
		return nil, err
	}
	if _, err := kafka.Options(kafkaConfig, logger, meters); err != nil {
		return nil, err
	}
	i := &Ingest{
		cfg: cfg, series: series, period: period, kafka: kafkaConfig, registry: registry, logger: logger, meters: meters, options: options,
		meter: progress.New(show, "rows", 1),
	}
	i.metrics, err = newMetrics(meters, cfg.topic())
	return i, err
}

// Summary is what became of a series.
type Summary struct {
	Topic        string
	Rows         int64 // taken from the file
	RowsTotal    int64
	Acknowledged int64 // records that Kafka has
	Complete     bool  // whether all of the file was sent and acknowledged
	Took         time.Duration
}

// Summary tells what has become of the series, once Run has returned.
func (i *Ingest) Summary() Summary {
	acknowledged := i.acknowledged.Load()
	return Summary{
		Topic: i.cfg.topic(), Rows: i.rows, RowsTotal: i.series.Rows, Acknowledged: acknowledged,
		Complete: i.rows == i.series.Rows && acknowledged == i.sent, Took: i.took,
	}
}

// flushTimeout bounds how long Run waits, once it was asked to stop, for what
// is on its way.
const flushTimeout = 10 * time.Second

// Run sends the series and returns when Kafka has acknowledged all of it, or
// when ctx ends: it then stops reading, waits a little for what is on its way,
// and returns nil; Summary tells how far it came. Sending the series again
// completes it.
func (i *Ingest) Run(ctx context.Context) error {
	encoder, err := codec.NewEncoder(ctx, i.registry, i.cfg.topic())
	if err != nil {
		return asked(ctx, err)
	}
	producer, err := kafka.NewProducer(ctx, i.kafka, i.logger, i.meters, i.options...)
	if err != nil {
		return asked(ctx, err)
	}
	defer producer.Close()
	i.encoder = encoder
	begin := time.Now()
	defer func() { i.took = time.Since(begin) }()
	err = i.stream(ctx, producer.Produce)
	flush, cancel := ctx, context.CancelFunc(func() {})
	if ctx.Err() != nil {
		flush, cancel = context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	}
	defer cancel()
	err = errors.Join(asked(ctx, err), asked(ctx, producer.Flush(flush)))
	i.meter.End()
	if failed := i.failure.Load(); failed != nil {
		return errors.Join(fmt.Errorf("%d records have arrived, then one did not: %w: run the same command again, what has arrived counts once", i.acknowledged.Load(), *failed), err)
	}
	return err
}

// asked returns nil for an error that only says that ctx has ended.
func asked(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// errStopped ends the reading of the file when a record was not delivered.
var errStopped = errors.New("stopped")

// stream reads the series and hands its records to produce as they are due.
func (i *Ingest) stream(ctx context.Context, produce func(ctx context.Context, topic, brandID string, value []byte, done func(error)) error) error {
	task := "sending " + i.series.Name
	i.meter.Set(task, 0, i.series.Rows)
	hold := pace{speed: i.cfg.Speed}
	m := maker{cfg: i.cfg, spacing: i.series.Spacing, period: i.period, emit: func(r event.Record) error {
		if i.failure.Load() != nil {
			return errStopped
		}
		if err := hold.wait(ctx, time.UnixMilli(r.Head().OccurredAtMs)); err != nil {
			return err
		}
		value, err := i.encoder.Encode(nil, r)
		if err != nil {
			return fmt.Errorf("encode a record of the series: %w", err)
		}
		if err := produce(ctx, i.cfg.topic(), i.cfg.BrandID, value, i.done); err != nil {
			return err
		}
		i.sent++
		return nil
	}}
	err := i.series.Points(func(p Point) error {
		if err := m.add(p); err != nil {
			return err
		}
		i.rows++
		i.meter.Set(task, i.rows, i.series.Rows)
		return nil
	})
	if err == nil {
		err = m.end()
	}
	if errors.Is(err, errStopped) {
		return nil // the failure itself is told
	}
	return err
}

// done hears what became of a record, from another goroutine.
func (i *Ingest) done(err error) {
	if err != nil {
		i.failure.CompareAndSwap(nil, &err)
		return
	}
	i.acknowledged.Add(1)
	i.metrics.acknowledged()
}
