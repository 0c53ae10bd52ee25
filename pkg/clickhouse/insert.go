package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Column is one column of a table, as ClickHouse describes it.
type Column struct {
	Name string
	Type string // such as LowCardinality(String)
}

// Columns returns the columns of a table that an INSERT may give, in their
// order. Its error is an ErrMigrate when there is no such table.
func Columns(ctx context.Context, conn driver.Conn, table string) ([]Column, error) {
	const query = `SELECT name, type FROM system.columns
WHERE database = currentDatabase() AND table = $1 AND default_kind NOT IN ('MATERIALIZED', 'ALIAS', 'EPHEMERAL')
ORDER BY position`
	rows, err := conn.Query(ctx, query, table)
	if err != nil {
		return nil, fmt.Errorf("read the columns of table %q: %w", table, err)
	}
	defer rows.Close()
	var cs []Column
	for rows.Next() {
		var c Column
		if err := rows.Scan(&c.Name, &c.Type); err != nil {
			return nil, fmt.Errorf("read the columns of table %q: %w", table, err)
		}
		cs = append(cs, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the columns of table %q: %w", table, err)
	}
	if len(cs) == 0 {
		return nil, fmt.Errorf("there is no table %q: %w", table, ErrMigrate)
	}
	return cs, nil
}

// Insert writes rows as one native block, and returns nil once ClickHouse has
// acknowledged it. The values of each column are a slice with one element a
// row. FaultOf tells whose fault an error is.
func Insert(ctx context.Context, conn driver.Conn, table string, columns []Column, values []any) error {
	if len(columns) != len(values) {
		return fmt.Errorf("insert into table %q: %d columns, but values of %d", table, len(columns), len(values))
	}
	// Over HTTP the client would otherwise ask for the types before each batch.
	types := make([]clickhouse.ColumnNameAndType, len(columns))
	var query strings.Builder
	query.WriteString("INSERT INTO " + table + " (")
	for i, c := range columns {
		types[i] = clickhouse.ColumnNameAndType{Name: c.Name, Type: c.Type}
		if i > 0 {
			query.WriteString(", ")
		}
		query.WriteString("`" + c.Name + "`")
	}
	query.WriteString(")")
	batch, err := conn.PrepareBatch(clickhouse.Context(ctx, clickhouse.WithColumnNamesAndTypes(types)), query.String())
	if err != nil {
		return fmt.Errorf("insert into table %q: %w", table, brief(err))
	}
	for i, v := range values {
		if err := appendTo(batch.Column(i), v); err != nil {
			_ = batch.Close() // what was not sent is to be forgotten
			return fmt.Errorf("insert into table %q: column %q takes no %T (%w): %w", table, columns[i].Name, v, err, ErrMigrate)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("insert %d rows into table %q: %w", batch.Rows(), table, brief(err))
	}
	return nil
}

// brief leaves out of a failed request its address, which is half a page of
// settings.
func brief(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		return fmt.Errorf("ClickHouse does not answer: %w", request.Err)
	}
	return err
}

// appendTo adds the values of one column. Of arrays the client takes one row at
// a time without reflection.
func appendTo(c driver.BatchColumn, values any) error {
	switch v := values.(type) {
	case [][]string:
		return appendArrays(c, v)
	case [][]int32:
		return appendArrays(c, v)
	case [][]int64:
		return appendArrays(c, v)
	case [][]float32:
		return appendArrays(c, v)
	case [][]time.Time:
		return appendArrays(c, v)
	}
	return c.Append(values) //nolint:wrapcheck // Insert says what and where
}

func appendArrays[T any](c driver.BatchColumn, rows [][]T) error {
	for _, row := range rows {
		if err := c.AppendRow(row); err != nil {
			return err //nolint:wrapcheck // Insert says what and where
		}
	}
	return nil
}
