package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"flywheel/loadtest/workload"
	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
)

// afterKill kills a processor that has the whole state in memory, sends an event
// while it is dead, starts it again, and returns how long it takes from the start
// of the process to the first result that shows the event: one that follows the
// last revision before the kill.
func (e *engines) afterKill(ctx context.Context) (seconds float64, err error) {
	p, err := e.service("processor", "--log.level=info")
	if err != nil {
		return 0, err
	}
	defer func() {
		if p != nil {
			err = errors.Join(err, p.Kill())
		}
	}()
	if err := p.Says(ctx, "consuming", readyTimeout); err != nil {
		return 0, err
	}
	results, err := e.results(ctx)
	if err != nil {
		return 0, err
	}
	defer results.client.Close()
	if err := e.one(ctx, 1); err != nil {
		return 0, err
	}
	before, err := results.after(ctx, 0)
	if err != nil {
		return 0, err
	}
	err, p = p.Kill(), nil
	if err != nil {
		return 0, err
	}
	if err := e.one(ctx, 2); err != nil {
		return 0, err
	}
	began := time.Now()
	if p, err = e.service("processor", "--log.level=info"); err != nil {
		return 0, err
	}
	// What was committed shortly before the kill may still come.
	if _, err = results.after(ctx, before); err != nil {
		return 0, err
	}
	return time.Since(began).Seconds(), nil
}

// one sends a few events of the largest brand.
func (e *engines) one(ctx context.Context, seed uint64) error {
	load := workload.Flywheel72(1, 50, time.Now())
	load.Seed, load.Span = seed, time.Second
	return e.fill(ctx, load)
}

// results follows what the processor publishes of the largest brand.
type results struct {
	client  *kgo.Client
	decoder *codec.Decoder
}

func (e *engines) results(ctx context.Context) (*results, error) {
	registry, err := codec.NewClient(e.targets.Registry)
	if err != nil {
		return nil, err
	}
	r := new(results)
	if r.decoder, err = codec.NewDecoder(registry); err != nil {
		return nil, err
	}
	r.client, err = kafka.Connect(ctx, e.targets.Kafka, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider(),
		kgo.ConsumeTopics(event.TopicCredit), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(20*time.Millisecond))
	if err != nil {
		return nil, err
	}
	// The first poll finds the ends; nothing is published meanwhile.
	settle, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r.client.PollFetches(settle)
	return r, nil
}

// largest is the id of the largest brand of every load.
const largest = "brand-0000000"

// after returns the first revision above one.
func (r *results) after(ctx context.Context, revision int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		fetches := r.client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 0, fmt.Errorf("wait for a result: %w", err)
		}
		for _, record := range fetches.Records() {
			if string(record.Key) != largest {
				continue
			}
			v, err := r.decoder.Decode(ctx, record.Topic, record.Value)
			if err != nil {
				return 0, err
			}
			if c, ok := v.(*event.Credit); ok && c.Revision > revision {
				return c.Revision, nil
			}
		}
	}
}
