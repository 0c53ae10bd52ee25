package codec

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/linkedin/goavro/v2"
)

// Encoder writes records with the newest version of their contracts. It is
// safe for concurrent use.
type Encoder struct {
	encodings map[reflect.Type]*encoding
}

// encoding is how records of one Go type are written.
type encoding struct {
	*contract
	frame  [frameBytes]byte
	goavro *goavro.Codec // nil where the other library writes
	plan   plan
	maps   sync.Pool // of map[string]any, filled anew for every record
}

// NewEncoder returns an encoder of the records that the topics carry; without
// topics, of all. It asks the registry for the id of each.
func NewEncoder(ctx context.Context, r Registry, topics ...string) (*Encoder, error) {
	return newEncoder(ctx, r, false, topics)
}

// NewFastEncoder returns an encoder of the same bytes that writes channel
// records by the library that writes results: five times as fast, for who makes
// a load.
func NewFastEncoder(ctx context.Context, r Registry, topics ...string) (*Encoder, error) {
	return newEncoder(ctx, r, true, topics)
}

func newEncoder(ctx context.Context, r Registry, fast bool, topics []string) (*Encoder, error) {
	cs, err := contracts()
	if err != nil {
		return nil, err
	}
	for _, t := range topics {
		if !slices.ContainsFunc(cs, func(c *contract) bool { return c.topic == t }) {
			return nil, fmt.Errorf("no contract belongs to topic %q: take one of schemas/topics.yaml", t)
		}
	}
	e := &Encoder{encodings: make(map[reflect.Type]*encoding, len(cs))}
	for _, c := range cs {
		if len(topics) > 0 && !slices.Contains(topics, c.topic) {
			continue
		}
		id, err := r.ID(ctx, c.subject(), c.text)
		switch {
		case errors.Is(err, ErrUnknownSchema):
			return nil, fmt.Errorf("find the newest contract of %s in the registry: %w: run `flywheel topics apply`", c.name, err)
		case err != nil:
			return nil, fmt.Errorf("find the newest contract of %s in the registry: %w", c.name, err)
		}
		n, t := &encoding{contract: c, frame: frame(id)}, reflect.TypeOf(c.new())
		if !c.result && !fast {
			if n.goavro, err = goavro.NewCodec(c.text); err != nil {
				return nil, fmt.Errorf("read the contract of record %q: %w", c.name, err)
			}
			if n.plan, err = newPlan(t.Elem()); err != nil {
				return nil, fmt.Errorf("plan the encoding of record %q: %w", c.name, err)
			}
			n.maps.New = func() any { return make(map[string]any, len(n.plan)) }
		}
		e.encodings[t] = n
	}
	return e, nil
}

// Encode appends the Kafka value of a record, a pointer to one of the structs
// of pkg/event, to dst. On error it returns dst as it was.
func (e *Encoder) Encode(dst []byte, record any) ([]byte, error) {
	n, ok := e.encodings[reflect.TypeOf(record)]
	if !ok {
		return dst, fmt.Errorf("encode %T: no topic of this encoder carries it", record)
	}
	out := append(dst, n.frame[:]...)
	out, err := n.append(out, record)
	if err != nil {
		return dst, fmt.Errorf("encode record %s: %w", n.name, err)
	}
	if size := len(out) - len(dst); size > n.bytesMax {
		return dst, fmt.Errorf("encode record %s: it takes %d bytes, and at most %d are allowed: shorten its longest field", n.name, size, n.bytesMax)
	}
	return out, nil
}

func (n *encoding) append(dst []byte, record any) ([]byte, error) {
	if n.goavro == nil {
		return n.schema.AppendEncode(dst, record) //nolint:wrapcheck // its only caller says what was attempted
	}
	m := n.maps.Get().(map[string]any)
	defer n.maps.Put(m)
	n.plan.fill(m, reflect.ValueOf(record).Elem())
	return n.goavro.BinaryFromNative(dst, m) //nolint:wrapcheck // as above
}

// plan lists the fields of a struct as goavro wants them: by Avro name, each
// with the conversion to goavro's native value. There are no unions in the
// contracts, so a value needs no wrapping.
type plan []planField

type planField struct {
	name   string
	index  []int
	native func(reflect.Value) any
}

// fill sets every field of the record in m.
func (p plan) fill(m map[string]any, record reflect.Value) {
	for i := range p {
		m[p[i].name] = p[i].native(record.FieldByIndex(p[i].index))
	}
}

func newPlan(t reflect.Type) (plan, error) {
	var p plan
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("avro")
		if f.Anonymous && tag == ",inline" {
			continue // its fields follow by themselves
		}
		if tag == "" {
			return nil, fmt.Errorf("field %s of %s has no avro tag", f.Name, t)
		}
		native, err := nativeOf(f.Type)
		if err != nil {
			return nil, fmt.Errorf("field %s of %s: %w", f.Name, t, err)
		}
		p = append(p, planField{tag, f.Index, native})
	}
	return p, nil
}

func nativeOf(t reflect.Type) (func(reflect.Value) any, error) {
	switch t.Kind() {
	case reflect.String:
		return func(v reflect.Value) any { return v.String() }, nil
	case reflect.Bool:
		return func(v reflect.Value) any { return v.Bool() }, nil
	case reflect.Int32:
		return func(v reflect.Value) any { return int32(v.Int()) }, nil
	case reflect.Int64:
		return func(v reflect.Value) any { return v.Int() }, nil
	case reflect.Float32:
		return func(v reflect.Value) any { return float32(v.Float()) }, nil
	case reflect.Float64:
		return func(v reflect.Value) any { return v.Float() }, nil
	case reflect.Struct:
		p, err := newPlan(t)
		return func(v reflect.Value) any {
			m := make(map[string]any, len(p))
			p.fill(m, v)
			return m
		}, err
	case reflect.Array, reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return func(v reflect.Value) any { return v.Bytes() }, nil
		}
		item, err := nativeOf(t.Elem())
		return func(v reflect.Value) any {
			items := make([]any, v.Len())
			for i := range items {
				items[i] = item(v.Index(i))
			}
			return items
		}, err
	default:
		return nil, fmt.Errorf("%s has no Avro type", t)
	}
}
