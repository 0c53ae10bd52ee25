package sink_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/event"
	"flywheel/schemas"
)

func TestEveryRecordReadsBackAsItWasSent(t *testing.T) {
	const each = 30
	w := newWorld(t)
	names, err := schemas.Records()
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]map[string]map[string]any) // by table and origin
	for _, name := range names {
		g := newGenerator(t, name, func() any { return event.New(name) })
		want[name] = make(map[string]map[string]any)
		sent, records := make([]any, each), make([]*kgo.Record, each)
		for i := range sent {
			sent[i] = g.draw(t)
			reflect.ValueOf(sent[i]).Elem().FieldByName("BrandID").SetString(fmt.Sprintf("brand-%d", i)) // the brand is a key
			records[i] = w.record(sent[i])
		}
		w.send(records...)
		for i, r := range records {
			row := expect(reflect.ValueOf(sent[i]).Elem())
			row["kafka_topic"], row["kafka_partition"], row["kafka_offset"] = r.Topic, int64(r.Partition), r.Offset
			row["kafka_at"] = r.Timestamp.UnixMilli()
			want[name][origin(r.Topic, int64(r.Partition), r.Offset)] = row
		}
	}
	m := w.start(nil)
	w.drained()
	w.end(m)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(want[name], w.rows(name)); diff != "" {
				t.Errorf("rows (-sent +read):\n%s", diff)
			}
		})
	}
}

func origin(topic, partition, offset any) string {
	return fmt.Sprintf("%v/%v/%v", topic, partition, offset)
}

// expect returns the columns that a record must have, in plain values: text,
// int64, float64, bool and lists of them.
func expect(record reflect.Value) map[string]any {
	row := make(map[string]any)
	for _, f := range reflect.VisibleFields(record.Type()) {
		name := f.Tag.Get("avro")
		if f.Anonymous {
			continue
		}
		v := record.FieldByIndex(f.Index)
		if v.Kind() != reflect.Slice || v.Type().Elem().Kind() != reflect.Struct {
			row[name] = simple(v)
			continue
		}
		item := v.Type().Elem()
		for i := range item.NumField() {
			list := make([]any, v.Len())
			for j := range list {
				list[j] = simple(v.Index(j).Field(i))
			}
			row[name+"."+item.Field(i).Tag.Get("avro")] = list
		}
	}
	return row
}

func simple(v reflect.Value) any {
	if at, ok := v.Interface().(time.Time); ok {
		return at.UnixMilli()
	}
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Float32, reflect.Float64:
		return v.Float()
	case reflect.Array, reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return string(v.Bytes())
		}
		list := make([]any, v.Len())
		for i := range list {
			list[i] = simple(v.Index(i))
		}
		return list
	}
	panic(fmt.Sprintf("no plain value of %s", v.Type()))
}

// rows returns a table as expect does, by the origin of the rows.
func (w *world) rows(table string) map[string]map[string]any {
	w.t.Helper()
	result, err := w.conn.Query(w.t.Context(), "SELECT * EXCEPT (inserted_at) FROM "+table+" FINAL")
	if err != nil {
		w.t.Fatal(err)
	}
	defer result.Close()
	rows := make(map[string]map[string]any)
	types := result.ColumnTypes()
	for result.Next() {
		into := make([]any, len(types))
		for i, c := range types {
			into[i] = reflect.New(c.ScanType()).Interface()
		}
		if err := result.Scan(into...); err != nil {
			w.t.Fatal(err)
		}
		row := make(map[string]any)
		for i, c := range types {
			v := reflect.ValueOf(into[i]).Elem()
			if v.Kind() == reflect.Array {
				v = v.Slice(0, v.Len()) // an id
			}
			row[c.Name()] = simple(v)
			if list, ok := row[c.Name()].([]any); ok && strings.Contains(c.DatabaseTypeName(), "Array(Date)") {
				for i, ms := range list {
					list[i] = ms.(int64) / 86_400_000 // days, as in the contract
				}
			}
		}
		rows[origin(row["kafka_topic"], row["kafka_partition"], row["kafka_offset"])] = row
	}
	if err := result.Err(); err != nil {
		w.t.Fatal(err)
	}
	return rows
}
