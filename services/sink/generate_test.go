package sink_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/avro"

	"flywheel/pkg/event"
	"flywheel/schemas"
)

// generator draws valid records of one contract.
type generator struct {
	rand     *rand.Rand
	contract *avro.SchemaNode
	fresh    func() any
}

func newGenerator(t testing.TB, name string, fresh func() any) *generator {
	t.Helper()
	versions, err := schemas.Versions(name)
	if err != nil {
		t.Fatal(err)
	}
	text, err := schemas.Avro(name, slices.Max(versions))
	if err != nil {
		t.Fatal(err)
	}
	schema, err := avro.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return &generator{rand.New(rand.NewPCG(1, 2)), schema.Root(), fresh}
}

// draw returns a record whose every field is random, and valid together.
func (g *generator) draw(t testing.TB) any {
	t.Helper()
	var err error
	for range 1000 {
		v := g.fresh()
		g.fill(reflect.ValueOf(v).Elem(), g.contract)
		if b, ok := v.(*event.Brand); ok {
			for i := range b.UTCOffsets {
				b.UTCOffsets[i].OffsetMinutes %= 18 * 60
			}
			if err = b.Validate(); err == nil {
				return v
			}
			continue
		}
		r, ok := v.(event.Record)
		if !ok {
			return v
		}
		if r.Type().Info().Mode == event.Fact {
			r.Head().NaturalKey, r.Head().Version = "", 0
		}
		if err = r.Validate(); err == nil {
			return v
		}
	}
	t.Fatalf("drew no valid %s: %v", g.contract.Name, err)
	return nil
}

func (g *generator) fill(v reflect.Value, c *avro.SchemaNode) {
	for _, f := range c.Fields {
		g.set(fieldNamed(v, f.Name), f.Name, &f.Type)
	}
}

// fieldNamed returns the field with an Avro name.
func fieldNamed(v reflect.Value, name string) reflect.Value {
	for _, f := range reflect.VisibleFields(v.Type()) {
		if f.Tag.Get("avro") == name {
			return v.FieldByIndex(f.Index)
		}
	}
	panic(fmt.Sprintf("%s has no field %q", v.Type(), name))
}

func (g *generator) set(v reflect.Value, name string, c *avro.SchemaNode) {
	symbols := c.Symbols
	if v.Type() == reflect.TypeFor[event.NodeName]() { // named, and not repeated
		symbols = []string{"tiktok", "amazon", "shopify", "aisearch", "messaging"}
	}
	switch {
	case len(symbols) > 0:
		v.SetString(symbols[g.rand.IntN(len(symbols))])
	case name == "currency":
		v.SetString("EUR")
	case name == "stars":
		v.SetInt(1 + g.rand.Int64N(5))
	case name == "holidays":
		v.Set(reflect.ValueOf([]int32{0, g.rand.Int32N(47_482), 47_481}))
	case strings.HasPrefix(name, "returned_"), strings.HasPrefix(name, "refunded_"):
		v.SetInt(g.rand.Int64N(3)) // mostly below what was ordered
	case name == "occurred_at", name == "day", name == "window_end": // by whose month tables are parted
		v.SetInt(1_790_000_000_000 + g.rand.Int64N(5_000_000_000))
	case c.LogicalType == "timestamp-millis":
		v.SetInt(1 + g.rand.Int64N(4_102_444_800_000))
	default:
		g.setKind(v, c)
	}
}

func (g *generator) setKind(v reflect.Value, c *avro.SchemaNode) {
	switch v.Kind() {
	case reflect.String:
		v.SetString([]string{"x", "größe \n'\\", strings.Repeat("名", 80), fmt.Sprint(g.rand.Int64())}[g.rand.IntN(4)])
	case reflect.Bool:
		v.SetBool(g.rand.IntN(2) == 0)
	case reflect.Int32:
		v.SetInt(int64(g.rand.Int32N(1 << 20)))
	case reflect.Int64:
		v.SetInt(g.rand.Int64N(1 << 40))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(g.rand.Float64())
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(g.rand.IntN(256)))
		}
	case reflect.Slice:
		n := g.rand.IntN(4)
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(g.rand.IntN(256))
			}
			v.SetBytes(b)
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			if item := v.Index(i); item.Kind() == reflect.Struct {
				g.fill(item, c.Items)
			} else {
				g.set(item, "", c.Items)
			}
		}
	}
}
