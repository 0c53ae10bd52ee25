package clickhouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Each hands every row of the query's answer to f. The error, f's as well, names
// the query.
func Each(ctx context.Context, conn driver.Conn, query string, f func(driver.Rows) error) (err error) {
	fail := func(err error) error {
		return fmt.Errorf("ask ClickHouse %q: %w", strings.Join(strings.Fields(query), " "), err)
	}
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return fail(err)
	}
	for rows.Next() {
		if err := f(rows); err != nil {
			rows.Close() //nolint:errcheck // the first error says more
			return fail(err)
		}
	}
	if err := rows.Err(); err != nil {
		rows.Close() //nolint:errcheck // the first error says more
		return fail(err)
	}
	if err := rows.Close(); err != nil {
		return fail(err)
	}
	return nil
}
