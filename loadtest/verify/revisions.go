package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
)

// pollMax bounds how long nothing may come of what is there: behind a transaction that nobody
// ends nothing does.
const pollMax = time.Minute

// log reads everything that is committed in some topics, and hands it over with what
// it says, or why that cannot be read. Both are valid until f returns.
func (c *checker) log(ctx context.Context, topics []string, f func(k *kgo.Record, v any, refused *codec.Error)) error {
	decoder, err := codec.NewDecoder(c.registry)
	if err != nil {
		return err
	}
	client, err := kafka.Connect(ctx, c.kafka, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider(),
		kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topics...)
	if err = errors.Join(err, ends.Error()); err != nil {
		return fmt.Errorf("find the end of the topics %v: %w", topics, err)
	}
	left := make(map[string]int64)
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[fmt.Sprint(o.Topic, o.Partition)] = o.Offset - 1
		}
	})
	for len(left) > 0 {
		polling, stop := context.WithTimeout(ctx, pollMax)
		fetches := client.PollFetches(polling)
		stop()
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read the topics %v up to %v, the last offsets by partition (a transaction may be open before): %w", topics, left, err)
		}
		for k := range fetches.RecordsAll() {
			if at := fmt.Sprint(k.Topic, k.Partition); left[at] <= k.Offset {
				delete(left, at)
			}
			if k.Attrs.IsControl() {
				continue
			}
			v, err := decoder.Decode(ctx, k.Topic, k.Value)
			var refused *codec.Error
			if err != nil && !errors.As(err, &refused) {
				return fmt.Errorf("decode offset %d of %q: %w", k.Offset, k.Topic, err)
			}
			f(k, v, refused)
		}
	}
	return nil
}

// results are the tables of what the processor publishes, and an empty record of each.
func results() map[string]func() any {
	return map[string]func() any{
		"correlation": func() any { return new(event.Correlation) },
		"credit":      func() any { return new(event.Credit) },
		"spike":       func() any { return new(event.Spike) },
		"dead_letter": func() any { return new(event.DeadLetter) },
	}
}

// KeyOf returns under which key a result replaces another, and its revision: "" for
// what is no result.
func KeyOf(result any) (key string, revision int64) {
	switch v := result.(type) {
	case *event.Correlation:
		return fmt.Sprint("correlation ", v.BrandID, " ", v.Force, " ", v.WindowEndMs), v.Revision
	case *event.Credit:
		return fmt.Sprint("credit ", v.BrandID, " ", v.DayMs, " ", v.Node, " ", v.Currency), v.Revision
	case *event.Spike:
		return fmt.Sprint("spike ", v.BrandID, " ", v.SpikeID), v.Revision
	}
	return "", 0
}

// row is a result with where it lies in Kafka.
type row struct {
	record any
	from   origin
}

// committed reads the committed results back from Kafka. Their revisions and watermarks
// must rise, a spike must be raised before it is retracted, a record must have one dead
// letter each time it was processed, and ClickHouse must hold the newest of each, in every
// column.
func (c *checker) committed(ctx context.Context) error {
	newest := make(map[string]row)
	c.letters = make(map[string]int)
	marks := make(map[string][]event.SourceWatermark)
	lives := make(map[string]event.SpikeStatus)
	err := c.log(ctx, []string{event.TopicCorrelation, event.TopicCredit, event.TopicSpike, event.TopicDeadLetter}, func(k *kgo.Record, v any, refused *codec.Error) {
		if refused != nil {
			c.fail(OracleNewest, "%s is no result: %v", recordAt(k.Topic, k.Partition, k.Offset), refused)
			return
		}
		key, revision := KeyOf(v)
		var brand string
		var watermarks []event.SourceWatermark
		var record any
		switch v := v.(type) {
		case *event.Correlation:
			record, brand, watermarks = clone(v), v.BrandID, v.Watermarks
		case *event.Credit:
			record, brand, watermarks = clone(v), v.BrandID, v.Watermarks
		case *event.Spike:
			record, brand, watermarks = clone(v), v.BrandID, v.Watermarks
			life := fmt.Sprint(key, revision >= c.since) // one for each state
			if !Follows(lives[life], v.Status) {
				c.fail(OracleRising, "%s: %s comes after %q", key, v.Status, lives[life])
			}
			lives[life] = v.Status
		case *event.DeadLetter:
			key := letterAt(v)
			newest[key] = row{clone(v), originOf(k)}
			c.letters[key]++
			return
		}
		if old, known := newest[key]; known {
			if _, was := KeyOf(old.record); revision <= was {
				c.fail(OracleRising, "%s: revision %d comes after %d", key, revision, was)
			}
		}
		newest[key] = row{record, originOf(k)}
		of := fmt.Sprint(k.Topic, brand, revision >= c.since) // a state that is built anew begins anew
		if text := Behind(marks[of], watermarks); text != "" {
			c.fail(OracleRising, "%s, revision %d: %s", key, revision, text)
		}
		marks[of] = append(marks[of][:0], watermarks...)
	})
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(c.letters)) {
		if n := c.letters[key]; n > 1+c.replays {
			c.fail(OracleNewest, "%s is in Kafka %d times, and the record was processed %d times", key, n, 1+c.replays)
		}
	}
	maps.DeleteFunc(newest, func(_ string, r row) bool {
		s, is := r.record.(*event.Spike)
		return is && s.Revision < c.since
	})
	for _, table := range slices.Sorted(maps.Keys(results())) {
		if err := c.rows(ctx, table, results()[table], func(record any, from origin) error {
			key, _ := KeyOf(record)
			if l, is := record.(*event.DeadLetter); is {
				key = letterAt(l)
			}
			want, known := newest[key]
			delete(newest, key)
			if !known {
				c.fail(OracleNewest, "%s is in ClickHouse, and not in Kafka", key)
			} else if diff := differ(want.record, record, nil) + cmp.Diff(want.from, from); diff != "" {
				c.fail(OracleNewest, "%s (-Kafka +ClickHouse):\n%s", key, diff)
			}
			c.Rows++
			return nil
		}); err != nil {
			return err
		}
	}
	for key := range newest {
		c.fail(OracleNewest, "%s is in Kafka, and not in ClickHouse", key)
	}
	return nil
}

func originOf(k *kgo.Record) origin {
	return origin{k.Topic, k.Partition, k.Offset, k.Timestamp.UnixMilli()}
}

// letterAt names the record that a dead letter is about.
func letterAt(l *event.DeadLetter) string {
	return "dead letter of " + recordAt(l.Topic, l.Partition, l.Offset)
}

func recordAt(topic string, partition int32, offset int64) string {
	return fmt.Sprintf("offset %d in partition %d of %q", offset, partition, topic)
}
