package oracle

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/event"
)

// Facts is what ClickHouse holds in the end.
type Facts struct {
	// Replays is how often the whole input was processed again from its start,
	// which publishes every dead letter once more. [Gather] cannot know it.
	Replays int

	tables  []table
	results uint64
	letters []letter
	cells   []cell
	alerts  []alert
}

// table is one raw table.
type table struct {
	name      string
	rows, ids uint64 // under FINAL; distinct event ids
}

// letter is one dead letter. Times is how often the processor has published it.
type letter struct {
	letterKey
	reason, brand, event string
	times                uint64
}

// letterKey is the record a dead letter is about.
type letterKey struct {
	topic     string
	partition int32
	offset    int64
}

// cell is one credit row: the revenue of a brand, day, node and currency, and
// what its credits and baseline miss of it.
type cell struct {
	cellKey
	micros, residual int64
}

type cellKey struct {
	brand    string
	dayMs    int64
	node     string
	currency string
}

// alert is one spike that was not retracted.
type alert struct {
	brand, post    string
	driven         bool
	startMs, endMs int64
}

// Gather reads all of it, under FINAL.
func Gather(ctx context.Context, conn driver.Conn) (Facts, error) {
	var f Facts
	for _, t := range event.Types() {
		c := table{name: t.String()}
		if err := conn.QueryRow(ctx, "SELECT count(), uniqExact(event_id) FROM "+c.name+" FINAL").Scan(&c.rows, &c.ids); err != nil {
			return f, fmt.Errorf("count the rows of %s: %w", c.name, err)
		}
		f.tables = append(f.tables, c)
	}
	if err := conn.QueryRow(ctx, `SELECT (SELECT count() FROM correlation FINAL) + (SELECT count() FROM credit FINAL) + (SELECT count() FROM spike FINAL)`).Scan(&f.results); err != nil {
		return f, fmt.Errorf("count the results: %w", err)
	}
	// What was published twice has two offsets, as long as the rows have not been
	// merged; the same offset twice is a sink that wrote again, which is harmless.
	err := clickhouse.Each(ctx, conn, `
		SELECT topic, partition, offset, argMax(reason, kafka_offset), argMax(brand_id, kafka_offset), toString(argMax(event_id, kafka_offset)), uniqExact(brand_id, kafka_partition, kafka_offset)
		FROM dead_letter GROUP BY topic, partition, offset`,
		func(rows driver.Rows) error {
			var l letter
			if err := rows.Scan(&l.topic, &l.partition, &l.offset, &l.reason, &l.brand, &l.event, &l.times); err != nil {
				return err //nolint:wrapcheck // Each says what was asked
			}
			f.letters = append(f.letters, l)
			return nil
		})
	if err != nil {
		return f, err
	}
	err = clickhouse.Each(ctx, conn, `
		SELECT brand_id, toUnixTimestamp64Milli(day), node, currency, revenue_micros, arraySum(credits.credit_micros) + baseline_micros - revenue_micros
		FROM credit FINAL`,
		func(rows driver.Rows) error {
			var c cell
			if err := rows.Scan(&c.brand, &c.dayMs, &c.node, &c.currency, &c.micros, &c.residual); err != nil {
				return err //nolint:wrapcheck // Each says what was asked
			}
			f.cells = append(f.cells, c)
			return nil
		})
	if err != nil {
		return f, err
	}
	err = clickhouse.Each(ctx, conn, `
		SELECT brand_id, leading_content_id, driven, toUnixTimestamp64Milli(started_at), toUnixTimestamp64Milli(ended_at)
		FROM brand_spike WHERE force = 1 AND status != 'retracted' ORDER BY brand_id, started_at`,
		func(rows driver.Rows) error {
			var a alert
			if err := rows.Scan(&a.brand, &a.post, &a.driven, &a.startMs, &a.endMs); err != nil {
				return err //nolint:wrapcheck // Each says what was asked
			}
			f.alerts = append(f.alerts, a)
			return nil
		})
	return f, err
}
