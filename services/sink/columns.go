package sink

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/event"
)

// cells are the values of one column of a batch.
type cells interface {
	// add appends the column's value of a record. Its error says that the column
	// cannot hold the value.
	add(record reflect.Value) error
	// truncate keeps the first n values.
	truncate(n int)
	// slice returns the values of some rows, as package clickhouse takes them.
	slice(from, to int) any
}

// getter reads one value out of a field.
type getter[T any] func(reflect.Value) (T, error)

// scalars are cells with one value.
type scalars[T any] struct {
	field []int
	get   getter[T]
	rows  []T
}

func (c *scalars[T]) add(record reflect.Value) error {
	v, err := c.get(record.FieldByIndex(c.field))
	if err != nil {
		return err
	}
	c.rows = append(c.rows, v)
	return nil
}

func (c *scalars[T]) truncate(n int) { c.rows = truncate(c.rows, n) }

func (c *scalars[T]) slice(from, to int) any { return c.rows[from:to] }

// arrays are cells with any number of values: the items of a list, or one field
// of each. A decoder reuses its lists, so the values are copied.
type arrays[T any] struct {
	field []int
	part  int // of an item; −1 for the item itself
	get   getter[T]
	all   func(list reflect.Value) []T // instead of get, for lists that are long
	rows  [][]T
	items []T // of all rows since the last growth
}

func (c *arrays[T]) add(record reflect.Value) error {
	list := record.FieldByIndex(c.field)
	from := len(c.items)
	if c.all != nil {
		c.items = append(c.items, c.all(list)...)
		c.rows = append(c.rows, c.items[from:len(c.items):len(c.items)])
		return nil
	}
	for i := range list.Len() {
		item := list.Index(i)
		if c.part >= 0 {
			item = item.Field(c.part)
		}
		v, err := c.get(item)
		if err != nil {
			c.items = c.items[:from]
			return err
		}
		c.items = append(c.items, v)
	}
	c.rows = append(c.rows, c.items[from:len(c.items):len(c.items)])
	return nil
}

func (c *arrays[T]) truncate(n int) {
	c.rows = truncate(c.rows, n)
	if n == 0 {
		c.items = truncate(c.items, 0)
	}
}

func (c *arrays[T]) slice(from, to int) any { return c.rows[from:to] }

// spareMax is how many times the memory that was needed last is kept.
const spareMax = 4

// truncate keeps the first n values and lets go of what the others point to.
func truncate[T any](s []T, n int) []T {
	if n == 0 && cap(s) > spareMax*len(s) {
		return nil
	}
	clear(s[n:])
	return s[:n]
}

// columnsOf returns the names of the columns that hold a record of type t.
func columnsOf(t reflect.Type) []string {
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		switch name := f.Tag.Get("avro"); {
		case f.Anonymous: // its fields follow by themselves
		case isList(f.Type) && f.Type.Elem().Kind() == reflect.Struct:
			for _, part := range columnsOf(f.Type.Elem()) {
				names = append(names, name+"."+part)
			}
		default:
			names = append(names, name)
		}
	}
	return names
}

// newCells plans a column: where its values are in a record of type t, and how
// they are read. A column named a.b holds field b of the items of list a.
func newCells(t reflect.Type, column clickhouse.Column) (cells, error) {
	name, part, nested := strings.Cut(column.Name, ".")
	field, ok := fieldOf(t, name)
	if !ok {
		return nil, fmt.Errorf("%s has no field %q", t, name)
	}
	kind := column.Type
	if !isList(field.Type) {
		return newScalars(field.Index, field.Type, plain(kind))
	}
	item, index := field.Type.Elem(), -1
	if nested {
		f, ok := fieldOf(item, part)
		if !ok {
			return nil, fmt.Errorf("%s has no field %q", item, part)
		}
		item, index = f.Type, f.Index[0]
	}
	kind, ok = strings.CutPrefix(kind, "Array(")
	if !ok {
		return nil, fmt.Errorf("the list %s does not fit type %s", field.Type, column.Type)
	}
	return newArrays(field.Index, index, item, plain(strings.TrimSuffix(kind, ")")))
}

// fieldOf returns the field with an Avro name.
func fieldOf(t reflect.Type, name string) (reflect.StructField, bool) {
	if t.Kind() != reflect.Struct {
		return reflect.StructField{}, false
	}
	for _, f := range reflect.VisibleFields(t) {
		if f.Tag.Get("avro") == name {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func isList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8
}

// plain returns a column's type without what is only about how it is stored.
func plain(kind string) string {
	inner, ok := strings.CutPrefix(kind, "LowCardinality(")
	if !ok {
		return kind
	}
	return strings.TrimSuffix(inner, ")")
}

// Types of columns that say more than the Go type of a field.
const (
	typeTime = "DateTime64(3, 'UTC')"
	typeDate = "Date"
)

func newScalars(field []int, t reflect.Type, kind string) (cells, error) {
	switch fit := [2]string{kindOf(t), kind}; fit {
	case [2]string{"text", "String"}:
		return &scalars[string]{field: field, get: text}, nil
	case [2]string{"bytes", "String"}:
		return &scalars[[]byte]{field: field, get: raw}, nil
	case [2]string{"id", "UUID"}:
		return &scalars[uuid.UUID]{field: field, get: id}, nil
	case [2]string{"bool", "Bool"}:
		return &scalars[bool]{field: field, get: boolean}, nil
	case [2]string{"int32", "Int32"}:
		return &scalars[int32]{field: field, get: int32s}, nil
	case [2]string{"int64", "Int64"}:
		return &scalars[int64]{field: field, get: int64s}, nil
	case [2]string{"int64", typeTime}:
		return &scalars[int64]{field: field, get: milliseconds}, nil
	case [2]string{"float64", "Float64"}:
		return &scalars[float64]{field: field, get: float64s}, nil
	}
	return nil, fmt.Errorf("%s does not fit type %s", t, kind)
}

func newArrays(field []int, part int, t reflect.Type, kind string) (cells, error) {
	switch fit := [2]string{kindOf(t), kind}; fit {
	case [2]string{"text", "String"}:
		return &arrays[string]{field: field, part: part, get: text}, nil
	case [2]string{"int32", "Int32"}:
		return &arrays[int32]{field: field, part: part, get: int32s}, nil
	case [2]string{"int32", typeDate}:
		return &arrays[time.Time]{field: field, part: part, get: days}, nil
	case [2]string{"int64", "Int64"}:
		return &arrays[int64]{field: field, part: part, get: int64s}, nil
	case [2]string{"int64", typeTime}:
		return &arrays[int64]{field: field, part: part, get: milliseconds}, nil
	case [2]string{"float32", "Float32"}:
		if part < 0 {
			return &arrays[float32]{field: field, all: floats}, nil
		}
	}
	return nil, fmt.Errorf("a list of %s does not fit type Array(%s)", t, kind)
}

func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[event.ID]():
		return "id"
	case t.Kind() == reflect.Slice:
		return "bytes"
	case t.Kind() == reflect.String:
		return "text"
	}
	return t.Kind().String()
}

func text(v reflect.Value) (string, error)      { return v.String(), nil }
func raw(v reflect.Value) ([]byte, error)       { return v.Bytes(), nil }
func id(v reflect.Value) (uuid.UUID, error)     { return uuid.UUID(v.Bytes()), nil }
func boolean(v reflect.Value) (bool, error)     { return v.Bool(), nil }
func int32s(v reflect.Value) (int32, error)     { return int32(v.Int()), nil }
func int64s(v reflect.Value) (int64, error)     { return v.Int(), nil }
func float64s(v reflect.Value) (float64, error) { return v.Float(), nil }

func floats(v reflect.Value) []float32 { return *v.Addr().Interface().(*[]float32) }

// What a DateTime64(3) and a Date can hold, beyond which ClickHouse would store
// another time without a word.
const (
	timeMsMin = -2_208_988_800_000 // 1900-01-01
	timeMsMax = 9_214_646_400_000  // 2262-01-01
	dayMax    = 1<<16 - 1          // 2149-06-06
)

func milliseconds(v reflect.Value) (int64, error) {
	ms := v.Int()
	if ms < timeMsMin || ms > timeMsMax {
		return 0, fmt.Errorf("the time %d ms is not between the years 1900 and 2262", ms)
	}
	return ms, nil
}

func days(v reflect.Value) (time.Time, error) {
	day := v.Int()
	if day < 0 || day > dayMax {
		return time.Time{}, fmt.Errorf("the day %d is not between 0 (1970) and %d (2149)", day, dayMax)
	}
	return time.Unix(day*secondsPerDay, 0).UTC(), nil
}

const secondsPerDay = 86_400
