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

// origin is where the record of a row lies in Kafka.
type origin struct {
	Topic     string
	Partition int32
	Offset    int64
	AtMs      int64 // Kafka's timestamp
}

// Correlations reads the rows of the table correlation for which a condition holds, of
// equal keys the newest.
func Correlations(ctx context.Context, conn driver.Conn, where string, f func(row *event.Correlation)) error {
	return rows(ctx, conn, "correlation", where, results()["correlation"], func(record any, _ origin) error {
		f(record.(*event.Correlation))
		return nil
	})
}

func (c *checker) rows(ctx context.Context, table string, empty func() any, f func(record any, from origin) error) error {
	return rows(ctx, c.conn, table, "true", empty, f)
}

// rows reads rows of a table, of equal keys the newest, as the records they hold.
// Whatever field a record has is read: one without a column is an error.
func rows(ctx context.Context, conn driver.Conn, table, where string, empty func() any, f func(record any, from origin) error) error {
	all := columnsOf(reflect.TypeOf(empty()).Elem(), nil)
	names := []string{"kafka_topic", "kafka_partition", "kafka_offset", "toUnixTimestamp64Milli(kafka_at)"}
	for _, one := range all {
		names = append(names, one.sql)
	}
	return clickhouse.Each(ctx, conn, fmt.Sprintf("SELECT %s FROM %s FINAL WHERE %s", strings.Join(names, ", "), table, where), func(rows driver.Rows) error {
		record := empty()
		v := reflect.ValueOf(record).Elem()
		var from origin
		into := []any{&from.Topic, &from.Partition, &from.Offset, &from.AtMs}
		lists := make([]reflect.Value, len(all))
		for i, one := range all {
			field := v.FieldByIndex(one.field)
			if one.part != nil {
				lists[i] = reflect.New(reflect.SliceOf(one.part))
				into = append(into, lists[i].Interface())
				continue
			}
			into = append(into, pointer(field))
		}
		if err := rows.Scan(into...); err != nil {
			return err //nolint:wrapcheck // Each says what was asked
		}
		for i, one := range all {
			if one.part != nil {
				items(v.FieldByIndex(one.field), one.of, lists[i].Elem())
			}
		}
		return f(record, from)
	})
}

// column is a column of a record's table.
type column struct {
	sql   string // that selects it
	field []int  // of the record
	part  reflect.Type
	of    int // where part is set, the field is a list, and the column holds this field of its items
}

// columnsOf returns the columns of a record of type t: a field is called as in
// Avro, a time ends in Ms, and a list of items is a column for each of their fields.
func columnsOf(t reflect.Type, at []int) (all []column) {
	for i := range t.NumField() {
		f := t.Field(i)
		path, name := append(slices.Clone(at), i), f.Tag.Get("avro")
		switch {
		case name == ",inline":
			all = append(all, columnsOf(f.Type, path)...)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			for k := range f.Type.Elem().NumField() {
				part := f.Type.Elem().Field(k)
				c := column{sql: name + "." + part.Tag.Get("avro"), field: path, part: part.Type, of: k}
				switch {
				case part.Type.Kind() == reflect.String:
					c.part = reflect.TypeFor[string]()
				case strings.HasSuffix(part.Name, "Ms"):
					c.sql = "arrayMap(x -> toUnixTimestamp64Milli(x), " + c.sql + ")"
				}
				all = append(all, c)
			}
		case strings.HasSuffix(f.Name, "Ms"):
			all = append(all, column{sql: "toUnixTimestamp64Milli(" + name + ")", field: path})
		case f.Name == "Holidays": // days since 1970
			all = append(all, column{sql: "arrayMap(x -> toInt32(toUInt16(x)), " + name + ")", field: path})
		default:
			all = append(all, column{sql: name, field: path})
		}
	}
	return all
}

// pointer returns a pointer to a field of the type that a row is scanned into.
func pointer(field reflect.Value) any {
	switch at := field.Addr(); {
	case field.Type() == reflect.TypeFor[event.ID]():
		return (*uuid.UUID)(at.Interface().(*event.ID))
	case field.Kind() == reflect.String:
		return at.Convert(reflect.TypeFor[*string]()).Interface()
	default:
		return at.Interface()
	}
}

// items sets one field of the items of a list, which has as many as there are values.
func items(list reflect.Value, field int, values reflect.Value) {
	if n := values.Len(); list.Len() != n {
		list.Set(reflect.MakeSlice(list.Type(), n, n))
	}
	for i := range values.Len() {
		to := list.Index(i).Field(field)
		to.Set(values.Index(i).Convert(to.Type()))
	}
}

// clone copies what a decoder or the core will use again.
func clone[T any](record *T) *T {
	out := *record
	v := reflect.ValueOf(&out).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Slice && !f.IsNil() {
			f.Set(reflect.AppendSlice(reflect.MakeSlice(f.Type(), 0, f.Len()), f))
		}
	}
	return &out
}
