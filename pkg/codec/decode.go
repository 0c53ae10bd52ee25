package codec

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/avro"

	"flywheel/pkg/event"
)

// Decoder reads values into the structs of pkg/event, whatever version of the
// contract they were written with. It is not safe for concurrent use: make one
// for each goroutine; they may share a Registry.
type Decoder struct {
	registry  Registry
	contracts map[string]*contract
	reused    map[string]any     // by record name: what Decode returns
	writers   map[uint32]*writer // by schema id
	alias     []avro.Opt
}

// writer is how values written with one schema are read.
type writer struct {
	*contract
	schema  *avro.Schema // resolved from the writer's contract to ours
	direct  direct       // for values written with ours; nil where there is none
	into    any          // reused; nil for a record that is made anew
	refused *Error       // set when no value of this schema can be read
}

// NewDecoder returns a decoder of all records of the contracts.
func NewDecoder(r Registry) (*Decoder, error) {
	cs, err := contracts()
	if err != nil {
		return nil, err
	}
	d := &Decoder{
		registry:  r,
		contracts: make(map[string]*contract, len(cs)),
		reused:    make(map[string]any, len(cs)),
		writers:   make(map[uint32]*writer),
		alias:     []avro.Opt{avro.AliasInput()},
	}
	for _, c := range cs {
		d.contracts[c.name] = c
		if c.name != "brand" {
			d.reused[c.name] = c.new()
		}
	}
	return d, nil
}

// Decode reads one value of a topic and returns a pointer to the struct of
// pkg/event it holds: an event.Record, *event.Brand or a result.
//
// The struct is the decoder's own and is overwritten by the next value of its
// type, and its texts and bytes share the memory of value: use it before the
// next call, write to neither, and copy (strings.Clone) what has to stay.
// Brands are rare and kept, so each is new and owns its memory.
//
// An *Error says that the value itself is at fault. Any other error comes from
// the registry or ctx, and the same value may well be readable later.
func (d *Decoder) Decode(ctx context.Context, topic string, value []byte) (any, error) {
	if len(value) < frameBytes || value[0] != 0 {
		return nil, &Error{Reason: event.ReasonMalformed, Detail: fmt.Sprintf(
			"the value of %d bytes on topic %s does not begin with a zero byte and a schema id: write it with a serializer that knows the schema registry", len(value), topic)}
	}
	id := binary.BigEndian.Uint32(value[1:])
	w, ok := d.writers[id]
	if !ok {
		var err error
		if w, err = d.resolve(ctx, id); err != nil {
			return nil, err
		}
	}
	switch {
	case w.refused != nil:
		return nil, w.refused
	case w.topic != topic:
		return nil, &Error{Reason: event.ReasonWrongTopic, Record: w.name, Detail: fmt.Sprintf(
			"record %s is on topic %s: publish it to %s", w.name, topic, w.topic)}
	case len(value) > w.bytesMax:
		return nil, &Error{Reason: event.ReasonOversized, Record: w.name, Detail: fmt.Sprintf(
			"record %s on topic %s takes %d bytes, and at most %d are allowed: shorten its longest field", w.name, topic, len(value), w.bytesMax)}
	}

	if w.direct != nil && w.direct.read(value[frameBytes:]) {
		return w.into, nil
	}
	into, opts := w.into, d.alias
	if into == nil {
		into, opts = w.new(), nil
	}
	rest, err := w.schema.Decode(value[frameBytes:], into, opts...)
	switch {
	case err != nil:
		return nil, &Error{Reason: event.ReasonMalformed, Record: w.name, Detail: fmt.Sprintf(
			"the value on topic %s does not read as %s written with schema %d (%v): check its serializer", topic, w.name, id, err)}
	case len(rest) > 0:
		return nil, &Error{Reason: event.ReasonMalformed, Record: w.name, Detail: fmt.Sprintf(
			"%d bytes follow the %s in the value on topic %s: check its serializer", len(rest), w.name, topic)}
	}
	return into, nil
}

// resolve finds out how values of a schema are read, and remembers it unless
// the registry does not know the schema: it may, later.
func (d *Decoder) resolve(ctx context.Context, id uint32) (*writer, error) {
	text, err := d.registry.Schema(ctx, id)
	if errors.Is(err, ErrUnknownSchema) {
		return nil, &Error{Reason: event.ReasonUnknownSchema, Detail: fmt.Sprintf(
			"the schema registry does not hold schema %d: register the producer's contract, then send the record again", id)}
	}
	if err != nil {
		return nil, fmt.Errorf("find how to read values of schema %d: %w", id, err)
	}
	w := d.newWriter(id, text)
	remember(d.writers, id, w)
	return w, nil
}

func (d *Decoder) newWriter(id uint32, text string) *writer {
	theirs, err := avro.Parse(text)
	if err != nil {
		return &writer{refused: &Error{Reason: event.ReasonUnknownSchema, Detail: fmt.Sprintf(
			"schema %d of the registry is not an Avro contract on its own (%v): write the record with one of schemas/avro", id, err)}}
	}
	root := theirs.Root()
	name := strings.TrimPrefix(strings.TrimPrefix(root.Namespace+"."+root.Name, "flywheel.v1."), ".")
	c, ok := d.contracts[name]
	if !ok {
		name = name[:min(len(name), event.TextBytesMax)]
		return &writer{refused: &Error{Reason: event.ReasonUnknownRecord, Record: name, Detail: fmt.Sprintf(
			"schema %d of the registry is of %q, which no topic carries: write one of the records of schemas/topics.yaml", id, name)}}
	}
	schema, err := avro.Resolve(theirs, c.schema)
	if err != nil {
		return &writer{refused: &Error{Reason: event.ReasonUnknownSchema, Record: name, Detail: fmt.Sprintf(
			"schema %d of the registry does not fit our contract of %s (%v): upgrade this program, then send the record again", id, name, err)}}
	}
	w := &writer{contract: c, schema: schema, into: d.reused[name]}
	if w.into != nil {
		w.direct = newDirect(theirs, c.schema, w.into)
	}
	return w
}
