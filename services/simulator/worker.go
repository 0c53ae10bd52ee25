package simulator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
)

// worker sends what a world yields. kafka.Producer would not do: it refuses
// records that are too large, and tells no offsets.
type worker struct {
	*Simulator
	client  *kgo.Client
	encoder *codec.Encoder
	arena   []byte

	slots  chan struct{} // one for each record in flight
	failed atomic.Bool
	once   sync.Once
	err    error // of the first record that Kafka refused; set before failed
}

// flushTimeout bounds the wait for the last acknowledgements of a play that was
// asked to stop; it is shorter than what a process has for that.
const flushTimeout = 20 * time.Second

// connect checks what would fail later: broker, topics and contracts.
func (s *Simulator) connect(ctx context.Context) (*worker, error) {
	opts := append([]kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()), // with idempotence, franz-go's default
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
		kgo.MaxBufferedRecords(2 * s.cfg.InFlight), // slots bound it: this never waits
	}, s.options...)
	client, err := kafka.Connect(ctx, s.kafka, s.logger, s.meters, opts...)
	if err != nil {
		return nil, err
	}
	w := &worker{Simulator: s, client: client, slots: make(chan struct{}, s.cfg.InFlight)}
	if err := w.check(ctx); err != nil {
		client.Close()
		return nil, err
	}
	return w, nil
}

func (w *worker) check(ctx context.Context) error {
	topics, err := kafka.NewTopics(w.kafka, w.client)
	if err != nil {
		return err
	}
	if _, err := topics.Check(ctx); err != nil {
		return err
	}
	w.encoder, err = codec.NewEncoder(ctx, w.registry, event.TopicBrand,
		event.TopicTikTok, event.TopicAmazon, event.TopicShopify, event.TopicAISearch, event.TopicMessaging, event.TopicCalendar)
	return err
}

// publish sends the brands' own records and waits for them: what follows is
// counted by their days.
func (w *worker) publish(ctx context.Context) error {
	for b := range w.world.entries() {
		value, err := w.encoder.Encode(nil, b)
		if err != nil {
			return fmt.Errorf("encode the entry of brand %q: %w", b.BrandID, err)
		}
		r := &kgo.Record{Topic: event.TopicBrand, Key: []byte(b.BrandID), Value: value}
		if !w.send(ctx, r, func(*kgo.Record) { w.ledger.entered() }) {
			break
		}
	}
	return w.flush(ctx)
}

// play sends the world's items, each when it is due.
func (w *worker) play(ctx context.Context) error {
	pace := newPace(w.cfg, w.world.live, time.Now())
	w.setPhase(PhaseBackfill)
	complete := true
	for it := range w.world.items() {
		now := time.Now()
		if it.observedMs >= w.world.live && pace.live.IsZero() {
			w.setPhase(PhaseLive)
			w.logger.InfoContext(ctx, "the backfill is sent; live play begins", slog.Int64("flywheel.records", w.sent.Load()))
		}
		due := pace.due(it.observedMs, now)
		if !sleep(ctx, due.Sub(now)) || w.failed.Load() {
			complete = false
			break
		}
		behind := max(0, now.Sub(due))
		taken, err := w.dispatch(ctx, it)
		if err != nil {
			return errors.Join(err, w.flush(ctx))
		}
		if complete = taken; !complete {
			break
		}
		w.behind.Store(int64(behind))
	}
	if complete {
		w.eventMs.Store(w.world.end)
	}
	w.metrics.flush(ctx, time.Duration(w.behind.Load()))
	return w.flush(ctx)
}

// dispatch encodes one item and hands it to Kafka. It is false when ctx ended
// before.
func (w *worker) dispatch(ctx context.Context, it item) (bool, error) {
	const chunk, room = 256 << 10, 4 << 10
	if cap(w.arena)-len(w.arena) < room {
		w.arena = make([]byte, 0, chunk)
	}
	m, arena, err := w.world.mail(w.encoder, &it, w.arena)
	if err != nil {
		return false, err
	}
	w.arena = arena
	r := &kgo.Record{Topic: m.topic, Key: []byte(m.key), Value: m.value}
	taken := w.send(ctx, r, func(r *kgo.Record) {
		w.ledger.acknowledge(&it, receipt{m.topic, m.key, r.Partition, r.Offset, r.Timestamp.UnixMilli()})
	})
	if taken {
		w.sent.Add(1)
		w.eventMs.Store(it.observedMs)
		w.metrics.sent(ctx, m.topic, time.Now(), time.Duration(w.behind.Load()))
	}
	return taken, nil
}

// send hands a record to Kafka once there is room for it, and calls done when it
// is acknowledged. It is false when ctx ended before.
func (w *worker) send(ctx context.Context, r *kgo.Record, done func(*kgo.Record)) bool {
	select {
	case w.slots <- struct{}{}:
	default:
		w.waiting.Store(time.Now().UnixNano())
		defer w.waiting.Store(0)
		select {
		case w.slots <- struct{}{}:
		case <-ctx.Done():
			return false
		}
	}
	// Once handed over, a record is not called back: what became of it would not
	// be known.
	w.client.Produce(context.WithoutCancel(ctx), r, func(r *kgo.Record, err error) {
		<-w.slots
		if err != nil {
			w.once.Do(func() {
				w.err = fmt.Errorf("kafka refused a record of topic %q: %w", r.Topic, err)
				w.failed.Store(true)
			})
			return
		}
		done(r)
	})
	return true
}

// flush waits until Kafka has answered for everything that was handed over: as
// long as it takes, as for sending, but no longer than flushTimeout once ctx has
// ended.
func (w *worker) flush(ctx context.Context) error {
	w.waiting.Store(time.Now().UnixNano())
	defer w.waiting.Store(0)
	patience, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(flushTimeout):
			giveUp()
		case <-patience.Done():
		}
	})()
	if err := w.client.Flush(patience); err != nil {
		return fmt.Errorf("kafka at %v has not answered for %d records within %s, so the ledger may lack them: start the broker and play again, under another simulator.run where one is set",
			w.kafka.Brokers, len(w.slots), flushTimeout)
	}
	if w.failed.Load() {
		return w.err
	}
	return nil
}
