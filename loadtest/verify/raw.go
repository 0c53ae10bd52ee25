package verify

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/event"
)

// raw reads every row of a raw table as the record it came from.
func (c *checker) raw(ctx context.Context, kind event.Type) ([]event.Record, error) {
	info := kind.Info()
	var columns []string
	var fields [][]int
	var visit func(t reflect.Type, at []int)
	visit = func(t reflect.Type, at []int) {
		for i := range t.NumField() {
			f := t.Field(i)
			path := append(slices.Clone(at), i)
			tag := f.Tag.Get("avro")
			switch {
			case tag == ",inline":
				visit(f.Type, path)
				continue
			case f.Type == reflect.TypeFor[event.ID]():
			case strings.HasSuffix(f.Name, "Ms"):
				tag = "toUnixTimestamp64Milli(" + tag + ")"
			}
			columns, fields = append(columns, tag), append(fields, path)
		}
	}
	visit(reflect.TypeOf(info.New()).Elem(), nil)
	var out []event.Record
	err := clickhouse.Each(ctx, c.conn, fmt.Sprintf("SELECT %s FROM %s FINAL", strings.Join(columns, ", "), info.Name), func(rows driver.Rows) error {
		record := info.New()
		v := reflect.ValueOf(record).Elem()
		into := make([]any, len(fields))
		for i, path := range fields {
			f := v.FieldByIndex(path)
			switch {
			case f.Type() == reflect.TypeFor[event.ID]():
				into[i] = (*uuid.UUID)(f.Addr().Interface().(*event.ID))
			case f.Kind() == reflect.String && f.Type() != reflect.TypeFor[string]():
				into[i] = f.Addr().Convert(reflect.TypeFor[*string]()).Interface()
			default:
				into[i] = f.Addr().Interface()
			}
		}
		if err := rows.Scan(into...); err != nil {
			return err //nolint:wrapcheck // Each says what was asked
		}
		out = append(out, record)
		return nil
	})
	return out, err
}
