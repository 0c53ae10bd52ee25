package codec

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/linkedin/goavro/v2"
	"github.com/twmb/avro"
	"pgregory.net/rapid"

	"flywheel/pkg/event"
	"flywheel/schemas"
)

// symbols returns the symbols of every enum of the contracts, by its name,
// which is also the name of its Go type.
func symbols(t testing.TB) map[string][]string {
	t.Helper()
	found := make(map[string][]string)
	var walk func(n *avro.SchemaNode)
	walk = func(n *avro.SchemaNode) {
		if n == nil {
			return
		}
		if n.Type == "enum" {
			found[n.Name] = n.Symbols
		}
		walk(n.Items)
		for i := range n.Fields {
			walk(&n.Fields[i].Type)
		}
	}
	for _, c := range must(contracts())(t) {
		walk(c.schema.Root())
	}
	return found
}

// must unwraps a call that may not fail in a test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// fill draws a random value for everything in v. With symbols, enums hold one
// of theirs.
func fill(t *rapid.T, v reflect.Value, symbols map[string][]string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), symbols)
		}
	case reflect.String:
		if s, ok := symbols[v.Type().Name()]; ok {
			v.SetString(rapid.SampledFrom(s).Draw(t, v.Type().Name()))
			return
		}
		v.SetString(rapid.StringN(-1, 40, event.TextBytesMax).Draw(t, "string"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int32:
		v.SetInt(int64(rapid.Int32().Draw(t, "int")))
	case reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "long"))
	case reflect.Uint8:
		v.SetUint(uint64(rapid.Byte().Draw(t, "byte")))
	case reflect.Float32:
		v.SetFloat(float64(rapid.Float32().Draw(t, "float")))
	case reflect.Float64:
		v.SetFloat(rapid.Float64().Draw(t, "double"))
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i), symbols)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rapid.IntRange(0, 5).Draw(t, "length"), 5))
		for i := range v.Len() {
			fill(t, v.Index(i), symbols)
		}
	default:
		t.Fatalf("no way to draw a %s", v.Type())
	}
}

// forEachRecord runs a subtest for every record of the contracts.
func forEachRecord(t *testing.T, f func(t *testing.T, c *contract)) {
	t.Helper()
	for _, c := range must(contracts())(t) {
		t.Run(c.name, func(t *testing.T) { f(t, c) })
	}
}

func newPair(t testing.TB) (*Encoder, *Decoder) {
	t.Helper()
	r := must(NewStatic())(t)
	return must(NewEncoder(t.Context(), r))(t), must(NewDecoder(r))(t)
}

func TestEveryRecordReadsBackAsItWasWritten(t *testing.T) {
	enc, dec := newPair(t)
	fast := must(NewFastEncoder(t.Context(), must(NewStatic())(t)))(t)
	enums := symbols(t)
	forEachRecord(t, func(t *testing.T, c *contract) {
		rapid.Check(t, func(rt *rapid.T) {
			want := c.new()
			fill(rt, reflect.ValueOf(want).Elem(), enums)
			prefix := rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(rt, "prefix")
			value, err := enc.Encode(slices.Clone(prefix), want)
			if err != nil {
				rt.Fatal(err)
			}
			if !bytes.HasPrefix(value, prefix) {
				rt.Fatal("Encode changed what was in the buffer")
			}
			if same, err := fast.Encode(slices.Clone(prefix), want); err != nil || !bytes.Equal(same, value) {
				rt.Fatalf("the fast encoder writes %x instead of %x: %v", same, value, err)
			}
			got, err := dec.Decode(t.Context(), c.topic, value[len(prefix):])
			if err != nil {
				rt.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				rt.Fatalf("read back (-written +read):\n%s", diff)
			}
		})
	})
}

// The two libraries check each other: whichever encodes, the bytes are the same.
func TestBothLibrariesWriteTheSameBytes(t *testing.T) {
	enums := symbols(t)
	forEachRecord(t, func(t *testing.T, c *contract) {
		lib := must(goavro.NewCodec(c.text))(t)
		p := must(newPlan(reflect.TypeOf(c.new()).Elem()))(t)
		rapid.Check(t, func(rt *rapid.T) {
			record := c.new()
			fill(rt, reflect.ValueOf(record).Elem(), enums)
			m := make(map[string]any)
			p.fill(m, reflect.ValueOf(record).Elem())
			byGoavro, err := lib.BinaryFromNative(nil, m)
			if err != nil {
				rt.Fatal(err)
			}
			byTwmb, err := c.schema.AppendEncode(nil, record)
			if err != nil {
				rt.Fatal(err)
			}
			if !bytes.Equal(byGoavro, byTwmb) {
				rt.Fatalf("goavro writes %x\ntwmb/avro writes %x", byGoavro, byTwmb)
			}
		})
	})
}

func TestEveryTopicHasTheContractsOfItsRecords(t *testing.T) {
	records := must(schemas.Records())(t)
	var names []string
	for _, c := range must(contracts())(t) {
		names = append(names, c.name)
	}
	slices.Sort(names)
	if diff := cmp.Diff(records, names); diff != "" {
		t.Errorf("records with a contract (-), records with a topic (+):\n%s", diff)
	}
}
