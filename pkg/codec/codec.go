// Package codec turns records into Kafka values and back: Confluent's wire
// format (a zero byte, the schema's id in four bytes, big-endian, and the Avro
// datum), with the contracts of schemas/avro and a schema registry.
//
// Two libraries share the work. goavro encodes what connectors publish and
// never sees a byte from outside: it has no reader/writer resolution, and five
// hostile bytes make it allocate without end. twmb/avro decodes everything,
// resolving the writer's contract to ours, and encodes the results on the
// processor's hot path. A property test holds both encoders to the same bytes.
package codec

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/twmb/avro"

	"flywheel/pkg/event"
	"flywheel/schemas"
)

// ValueBytesMax bounds the value of a record that is not a channel record;
// those are bounded by event.RecordBytesMax. It is what a broker takes by
// default.
const ValueBytesMax = 1 << 20

// frameBytes is the length of what precedes the datum.
const frameBytes = 5

// frame returns what precedes a datum written with the schema of that id.
func frame(id uint32) [frameBytes]byte {
	var f [frameBytes]byte
	binary.BigEndian.PutUint32(f[1:], id)
	return f
}

// Error says why a value was refused. It is the record's own fault: trying
// again gives the same answer, so the record belongs on the dead-letter topic.
// Every other error of this package is not the record's fault and may pass.
type Error struct {
	Reason event.Reason
	Record string // name of the record, empty when it could not be told
	Detail string // what, where and what to do next, in one sentence
}

func (e *Error) Error() string { return e.Detail }

// contract is the newest version of one Avro record and where it is carried.
type contract struct {
	name     string
	topic    string
	text     string
	schema   *avro.Schema
	new      func() any
	bytesMax int
	result   bool // written by the processor, on its hot path
}

func (c *contract) subject() string { return schemas.Subject(c.topic, c.name) }

// contracts returns the contract of every record, in the order of the topic
// file.
func contracts() ([]*contract, error) {
	topics, err := schemas.LoadTopics()
	if err != nil {
		return nil, err
	}
	var cs []*contract
	for _, t := range topics.Topics {
		for _, name := range t.Records {
			c := &contract{name: name, topic: t.Name, bytesMax: ValueBytesMax, new: func() any { return event.New(name) }}
			switch c.new().(type) {
			case nil:
				return nil, fmt.Errorf("topic %s carries record %q, which pkg/event does not know", t.Name, name)
			case event.Record:
				c.bytesMax = event.RecordBytesMax
			case *event.Brand:
			default:
				c.result = true
			}
			versions, err := schemas.Versions(name)
			if err != nil {
				return nil, err
			}
			text, err := schemas.Avro(name, slices.Max(versions))
			if err != nil {
				return nil, err
			}
			c.text = string(text)
			if c.schema, err = avro.Parse(c.text); err != nil {
				return nil, fmt.Errorf("parse the contract of record %q: %w", name, err)
			}
			cs = append(cs, c)
		}
	}
	return cs, nil
}
