package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"flywheel/loadtest/workload"
	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
)

// afterKill kills a processor that has the whole state in memory, sends events
// while it is dead, starts it again, and returns how long it takes from the start
// of the process to the first result that rests on one of them: a correlation with a
// watermark that only they can have raised, and a revision not below those before the kill.
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
	sentMs, err := e.few(ctx, 1)
	if err != nil {
		return 0, err
	}
	if err := results.show(ctx, sentMs); err != nil {
		return 0, err
	}
	err, p = p.Kill(), nil
	if err != nil {
		return 0, err
	}
	if sentMs, err = e.few(ctx, 2); err != nil {
		return 0, err
	}
	began := time.Now()
	if p, err = e.service("processor", "--log.level=info"); err != nil {
		return 0, err
	}
	if err := results.show(ctx, sentMs); err != nil {
		return 0, err
	}
	return time.Since(began).Seconds(), nil
}

// few sends a few events of the largest brand, all of which occur after everything sent
// before, and returns the moment after which that is.
func (e *engines) few(ctx context.Context, seed uint64) (afterMs int64, err error) {
	const span = time.Second
	afterMs = time.Now().UnixMilli()
	time.Sleep(span + span/5)
	load := workload.Flywheel72(1, 50, time.Now())
	load.Seed, load.Span = seed, span
	load.DelayP50, load.DelayP99, load.Late, load.TooLate = time.Millisecond, 2*time.Millisecond, 0, 0
	return afterMs, e.fill(ctx, load)
}

// results follows what the processor publishes of the largest brand.
type results struct {
	client   *kgo.Client
	decoder  *codec.Decoder
	revision int64 // the highest so far
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
		kgo.ConsumeTopics(event.TopicCorrelation), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
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

// show waits for the first correlation that rests on an event after a moment. One of a
// lower revision than was seen is an error.
func (r *results) show(ctx context.Context, afterMs int64) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		fetches := r.client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("wait for a result: %w", err)
		}
		for _, record := range fetches.Records() {
			if string(record.Key) != largest {
				continue
			}
			v, err := r.decoder.Decode(ctx, record.Topic, record.Value)
			if err != nil {
				return err
			}
			c, ok := v.(*event.Correlation)
			if !ok {
				continue
			}
			last := r.revision
			r.revision = max(last, c.Revision)
			rests := slices.ContainsFunc(c.Watermarks, func(w event.SourceWatermark) bool { return w.WatermarkMs > afterMs })
			switch {
			case rests && c.Revision < last:
				return fmt.Errorf("a result of revision %d follows one of %d", c.Revision, last)
			case rests:
				return nil
			}
		}
	}
}
