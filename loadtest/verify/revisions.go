package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
)

// log reads everything that is committed in some topics; it hands over what can
// be decoded.
func (c *checker) log(ctx context.Context, topics []string, f func(v any)) error {
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
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read the topics %v: %w", topics, err)
		}
		for k := range fetches.RecordsAll() {
			if at := fmt.Sprint(k.Topic, k.Partition); left[at] <= k.Offset {
				delete(left, at)
			}
			if k.Attrs.IsControl() {
				continue
			}
			v, err := decoder.Decode(ctx, k.Topic, k.Value)
			if refused := new(codec.Error); err != nil && !errors.As(err, &refused) {
				return fmt.Errorf("decode offset %d of %q: %w", k.Offset, k.Topic, err)
			}
			if err == nil {
				f(v)
			}
		}
	}
	return nil
}

// revisions reads the committed results back from Kafka: their revisions must
// rise, and ClickHouse must hold the newest of each.
func (c *checker) revisions(ctx context.Context) error {
	want := make(map[string]int64)
	err := c.log(ctx, []string{event.TopicCorrelation, event.TopicCredit, event.TopicSpike}, func(v any) {
		var key string
		var revision int64
		switch v := v.(type) {
		case *event.Correlation:
			key, revision = fmt.Sprint("correlation ", v.BrandID, " ", v.Force, " ", v.WindowEndMs), v.Revision
		case *event.Credit:
			key, revision = fmt.Sprint("credit ", v.BrandID, " ", v.DayMs, " ", v.Node, " ", v.Currency), v.Revision
		case *event.Spike:
			key, revision = fmt.Sprint("spike ", v.BrandID, " ", v.SpikeID), v.Revision
		}
		if revision <= want[key] {
			c.fail(OracleRising, "%s: revision %d comes after %d", key, revision, want[key])
		}
		want[key] = revision
	})
	maps.DeleteFunc(want, func(key string, revision int64) bool { return strings.HasPrefix(key, "spike ") && revision < c.since })
	if err != nil {
		return err
	}
	got := make(map[string]int64)
	for _, sql := range []string{
		"SELECT concat('correlation ', brand_id, ' ', toString(force), ' ', toString(toUnixTimestamp64Milli(window_end))), revision FROM correlation FINAL",
		"SELECT concat('credit ', brand_id, ' ', toString(toUnixTimestamp64Milli(day)), ' ', node, ' ', currency), revision FROM credit FINAL",
		"SELECT concat('spike ', brand_id, ' ', toString(spike_id)), revision FROM spike FINAL",
	} {
		if err := clickhouse.Each(ctx, c.conn, sql, func(rows driver.Rows) error {
			var key string
			var revision int64
			if err := rows.Scan(&key, &revision); err != nil {
				return err //nolint:wrapcheck // Each says what was asked
			}
			got[key] = revision
			return nil
		}); err != nil {
			return err
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.fail(OracleNewest, "-Kafka +ClickHouse:\n%s", diff)
	}
	return nil
}
