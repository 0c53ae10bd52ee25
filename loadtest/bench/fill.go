package bench

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"flywheel/loadtest/workload"
	"flywheel/pkg/codec"
	"flywheel/pkg/kafka"
)

// producer sends a workload.
type producer struct {
	client *kgo.Client
	made   *workload.Generator
	failed atomic.Pointer[error]
}

func (e *engines) producer(ctx context.Context, load workload.Config) (*producer, error) {
	registry, err := codec.NewClient(e.targets.Registry)
	if err != nil {
		return nil, err
	}
	defer registry.Close()
	encoder, err := codec.NewFastEncoder(ctx, registry)
	if err != nil {
		return nil, err
	}
	p := new(producer)
	if p.made, err = workload.New(load, encoder); err != nil {
		return nil, err
	}
	p.client, err = kafka.Connect(ctx, e.targets.Kafka, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider(),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.ProducerLinger(5*time.Millisecond))
	return p, err
}

// send sends one record, and says whether there was one.
func (p *producer) send(ctx context.Context) (bool, error) {
	r, more, err := p.made.Next()
	if err != nil || !more {
		return false, err
	}
	p.produce(ctx, r)
	return true, nil
}

func (p *producer) produce(ctx context.Context, r workload.Record) {
	p.client.Produce(ctx, &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value}, func(_ *kgo.Record, err error) {
		if err != nil {
			p.failed.CompareAndSwap(nil, &err)
		}
	})
}

// finish waits until everything sent was acknowledged.
func (p *producer) finish(ctx context.Context) error {
	defer p.client.Close()
	err := p.client.Flush(ctx)
	if lost := p.failed.Load(); lost != nil {
		err = *lost
	}
	if err != nil {
		return fmt.Errorf("send the load: %w", err)
	}
	return nil
}

// fill sends a whole workload, as fast as the broker takes it.
func (e *engines) fill(ctx context.Context, load workload.Config) error {
	p, err := e.producer(ctx, load)
	if err != nil {
		return err
	}
	for {
		more, err := p.send(ctx)
		if err != nil || !more {
			if done := p.finish(ctx); err == nil {
				err = done
			}
			return err
		}
	}
}
