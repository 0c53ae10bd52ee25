package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
)

// row adds one record to its table, or passes it over. Its error is not the
// record's fault.
func (s *session) row(ctx context.Context, r *kgo.Record) error {
	s.bytes += len(r.Value) + len(r.Key)
	value, err := s.decode(ctx, r)
	if err != nil {
		refused := new(codec.Error)
		if !errors.As(err, &refused) {
			return err
		}
		s.refuse(ctx, r, refused)
		return nil
	}
	if reason, _ := event.Judge(value, r.Key); reason != "" { // the processor publishes its dead letter
		s.counts[skip{r.Topic, reason}]++
		return nil
	}
	t := s.tables[reflect.TypeOf(value)]
	if err := t.add(value, r); err != nil {
		s.park(ctx, t.name, r, fmt.Errorf("table %q cannot hold the record: %w", t.name, err))
		return nil
	}
	s.rows++
	if s.oldest.IsZero() || r.Timestamp.Before(s.oldest) {
		s.oldest = r.Timestamp
		s.oldestMs.Store(r.Timestamp.UnixMilli())
	}
	return nil
}

// decode reads a record, and waits while the schema registry is away. Meanwhile
// nothing is polled, and the group may take partitions away, that of the record
// among them.
func (s *session) decode(ctx context.Context, r *kgo.Record) (any, error) {
	value, err := s.decoder.Decode(ctx, r.Topic, r.Value)
	if err == nil {
		return value, nil
	}
	for again := newPause(s.cfg.RetryPause); ; {
		if refused := new(codec.Error); err == nil || errors.As(err, &refused) {
			s.finds(ctx)
			return value, err
		}
		err = fmt.Errorf("decode offset %d of %q: %w", r.Offset, r.Topic, err)
		s.unfound(ctx, err)
		s.oldestMs.CompareAndSwap(0, r.Timestamp.UnixMilli()) // it waits as a row does
		s.metrics.lookups.Add(ctx, 1)
		s.client.AllowRebalance()
		if again.wait(ctx) != nil {
			return nil, errStopped
		}
		value, err = s.decoder.Decode(ctx, r.Topic, r.Value)
	}
}

// refuse passes a record over that cannot be read. The processor publishes the
// dead letters of its inputs; nobody but the sink publishes those of results.
func (s *session) refuse(ctx context.Context, r *kgo.Record, why *codec.Error) {
	s.counts[skip{r.Topic, why.Reason}]++
	switch {
	case s.answered[r.Topic]:
	case r.Topic == event.TopicDeadLetter: // it would come back for ever
		s.logger.ErrorContext(ctx, "a dead letter cannot be read and was passed over",
			slog.String("messaging.destination.partition.id", strconv.Itoa(int(r.Partition))), slog.Int64("messaging.kafka.offset", r.Offset), slog.String("error.message", why.Detail))
	default:
		s.parked = append(s.parked, letter{r, why.Record, why.Reason, why.Detail})
	}
}

// parkedLogMax bounds how many of the rows given up in one flush are logged; the
// dead letters tell of all.
const parkedLogMax = 10

// park gives up a row that its table refuses. It goes to the dead letters, from
// where it can be sent again.
func (s *session) park(ctx context.Context, table string, r *kgo.Record, why error) {
	s.counts[skip{r.Topic, outcomeParked}]++
	at := []slog.Attr{
		slog.String("db.collection.name", table), slog.String("messaging.destination.name", r.Topic),
		slog.String("messaging.destination.partition.id", strconv.Itoa(int(r.Partition))), slog.Int64("messaging.kafka.offset", r.Offset),
		slog.Any("error.message", why),
	}
	if r.Topic == event.TopicDeadLetter { // it would come back for ever
		s.logger.LogAttrs(ctx, slog.LevelError, "clickhouse cannot hold a dead letter, which was passed over", at...)
		return
	}
	if len(s.parked) < parkedLogMax {
		s.logger.LogAttrs(ctx, slog.LevelError, "clickhouse cannot hold a record; it goes to the dead letters", at...)
	}
	s.parked = append(s.parked, letter{r, table, event.ReasonInvalid, why.Error() + "; correct the value, or the table, and send it again"})
}

// letter is a record that goes to the dead letters.
type letter struct {
	from   *kgo.Record
	record string
	reason event.Reason
	detail string
}

// publish writes the letters to the dead-letter topic, and returns once Kafka
// has acknowledged them.
func (s *session) publish(ctx context.Context) error {
	if len(s.parked) == 0 {
		return nil
	}
	records := make([]*kgo.Record, len(s.parked))
	for i, l := range s.parked {
		value, err := s.encoder.Encode(nil, s.deadLetter(ctx, l))
		if err != nil {
			return fmt.Errorf("publish the dead letter of offset %d of %q: %w", l.from.Offset, l.from.Topic, err)
		}
		records[i] = &kgo.Record{Topic: event.TopicDeadLetter, Key: l.from.Key[:min(len(l.from.Key), event.TextBytesMax)], Value: value}
	}
	if err := s.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("publish %d dead letters: %w", len(records), err)
	}
	return nil
}

func (s *session) deadLetter(ctx context.Context, l letter) *event.DeadLetter {
	r := l.from
	var head *event.Header
	// A record that could be read before can be read now.
	if value, err := s.decoder.Decode(ctx, r.Topic, r.Value); err == nil {
		if v, ok := value.(event.Record); ok {
			head = v.Head()
		}
	}
	from := event.Origin{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, AtMs: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
	d := event.NewDeadLetter(from, head, l.record, l.reason, l.detail)
	return &d
}
