package sink

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/clickhouse"
)

// table gathers the rows of one table, column by column.
type table struct {
	name    string
	columns []clickhouse.Column
	cells   []cells
	records []*kgo.Record // that the rows came from
}

// provenance are the columns that say where a row came from, in the order in
// which insert gives them. ClickHouse itself fills in inserted_at.
func provenance() []string {
	return []string{"kafka_topic", "kafka_partition", "kafka_offset", "kafka_at"}
}

// newTable plans how records like sample, a pointer to a struct of pkg/event,
// become rows of the table as it is in ClickHouse. Columns it knows nothing of
// are left to their defaults: a newer program may have added them.
func newTable(ctx context.Context, conn driver.Conn, name string, sample any) (*table, error) {
	existing, err := clickhouse.Columns(ctx, conn, name)
	if err != nil {
		return nil, err
	}
	types := make(map[string]string, len(existing))
	for _, c := range existing {
		types[c.Name] = c.Type
	}
	t, of := &table{name: name}, reflect.TypeOf(sample).Elem()
	fields := columnsOf(of)
	for i, column := range slices.Concat(fields, provenance()) {
		c := clickhouse.Column{Name: column, Type: types[column]}
		if c.Type == "" {
			return nil, fmt.Errorf("table %q has no column %q: %w", name, column, clickhouse.ErrMigrate)
		}
		t.columns = append(t.columns, c)
		if i >= len(fields) {
			continue
		}
		cells, err := newCells(of, c)
		if err != nil {
			return nil, fmt.Errorf("column %q of table %q is not what this program needs, since %w: %w", column, name, err, clickhouse.ErrAltered)
		}
		t.cells = append(t.cells, cells)
	}
	return t, nil
}

// add appends a record as a row. What it holds of the record's texts must not
// change until the row is gone. On error the table is as before.
func (t *table) add(record any, from *kgo.Record) error {
	v := reflect.ValueOf(record).Elem()
	for i, c := range t.cells {
		if err := c.add(v); err != nil {
			for _, c := range t.cells[:i] {
				c.truncate(len(t.records))
			}
			return fmt.Errorf("column %s: %w", t.columns[i].Name, err)
		}
	}
	t.records = append(t.records, from)
	return nil
}

// insert writes some rows, and returns nil once ClickHouse has acknowledged them.
func (t *table) insert(ctx context.Context, conn driver.Conn, rows span) error {
	values := make([]any, 0, len(t.columns))
	for _, c := range t.cells {
		values = append(values, c.slice(rows.from, rows.to))
	}
	var (
		n          = rows.to - rows.from
		topics     = make([]string, n)
		partitions = make([]int32, n)
		offsets    = make([]int64, n)
		at         = make([]int64, n)
	)
	for i, r := range t.records[rows.from:rows.to] {
		topics[i], partitions[i], offsets[i] = r.Topic, r.Partition, r.Offset
		at[i] = min(max(r.Timestamp.UnixMilli(), timeMsMin), timeMsMax)
	}
	return clickhouse.Insert(ctx, conn, t.name, t.columns, append(values, topics, partitions, offsets, at))
}

// reset forgets all rows.
func (t *table) reset() {
	for _, c := range t.cells {
		c.truncate(0)
	}
	t.records = truncate(t.records, 0)
}
