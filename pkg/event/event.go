// Package event holds the domain types of the pipeline: what connectors
// publish, what the processor answers, and how each record moves the signals
// of its brand. It is pure: no I/O, no clock, no goroutine, no randomness.
//
// The Avro contracts in schemas/avro are the law; a test keeps these structs,
// the contracts and the ClickHouse tables the same, field by field.
package event

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// ID is the deterministic 128-bit identity of an event: the same event seen
// twice, by whatever road, has the same ID.
type ID [16]byte

// String returns the ID in the 8-4-4-4-12 form that ClickHouse prints.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	b[8] = '-'
	hex.Encode(b[9:13], id[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], id[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], id[8:10])
	b[23] = '-'
	hex.Encode(b[24:36], id[10:16])
	return string(b[:])
}

// NewID derives the ID of an event: the first 16 bytes of SHA-256 over the
// record name, the brand, the source, the key (the natural key, or the
// source's own id of a fact) and the version. Every text is preceded by its
// length, so that no two different tuples share their bytes.
func NewID(record, brandID, source, key string, version int64) ID {
	var room [256]byte // more than nearly every tuple takes
	b := room[:0]
	for _, s := range [...]string{record, brandID, source, key} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(version))
	sum := sha256.Sum256(b)
	return ID(sum[:16])
}

// Bounds on what an event may hold. Larger values are refused as invalid.
const (
	TextBytesMax   = 256     // ids, names, sources, keys
	CountMax       = 1 << 40 // any count: about 10^12
	MicrosMax      = 1 << 53 // any amount: about 9·10^9 units of the currency
	RecordBytesMax = 64 << 10
)

// Record is one channel event.
type Record interface {
	// Head returns the record's header.
	Head() *Header
	// Type returns the entry of the record's kind in the catalogue.
	Type() Type
	// Validate reports the first field whose value is out of bounds.
	Validate() error
	// Contribute appends what the event adds to the signals of its brand.
	Contribute([]Contribution) []Contribution
}

// Head returns the header itself, so that every record has the method.
func (h *Header) Head() *Header { return h }

// FieldError says which field of an event has a value that cannot be.
type FieldError struct {
	Field string // Avro name of the field
	Value any    // what it holds
	Want  string // what it may hold
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("field %s is %v, want %s", e.Field, e.Value, e.Want)
}

// check collects the first fault found in a record's fields.
type check struct{ err error }

func (c *check) fail(field string, value any, want string) {
	if c.err == nil {
		c.err = &FieldError{field, value, want}
	}
}

func (c *check) header(h *Header, m Mode) {
	if h.EventID == (ID{}) {
		c.fail("event_id", "all zero", "the id derived by event.NewID")
	}
	c.id("brand_id", h.BrandID)
	c.id("source", h.Source)
	if h.OccurredAtMs <= 0 || h.OccurredAtMs > timeMsMax {
		c.fail("occurred_at", h.OccurredAtMs, "a time between 1970 and 2100, in milliseconds")
	}
	if h.ObservedAtMs <= 0 || h.ObservedAtMs > timeMsMax {
		c.fail("observed_at", h.ObservedAtMs, "a time between 1970 and 2100, in milliseconds")
	}
	c.text("natural_key", h.NaturalKey)
	switch m {
	case Fact:
		if h.NaturalKey != "" || h.Version != 0 {
			c.fail("natural_key", h.NaturalKey, "empty, with version 0: the record is a fact")
		}
	default:
		c.id("natural_key", h.NaturalKey)
		if h.Version < 0 {
			c.fail("version", h.Version, "0 or more")
		}
	}
}

const timeMsMax = 4_102_444_800_000 // 2100-01-01

func (c *check) id(field, v string) {
	if v == "" || len(v) > TextBytesMax {
		c.fail(field, fmt.Sprintf("%d bytes long", len(v)), fmt.Sprintf("1 to %d bytes", TextBytesMax))
	}
}

func (c *check) text(field, v string) {
	if len(v) > TextBytesMax {
		c.fail(field, fmt.Sprintf("%d bytes long", len(v)), fmt.Sprintf("at most %d bytes", TextBytesMax))
	}
}

func (c *check) count(field string, v int64) {
	if v < 0 || v > CountMax {
		c.fail(field, v, fmt.Sprintf("a count from 0 to %d", int64(CountMax)))
	}
}

func (c *check) delta(field string, v int64) {
	if v < -CountMax || v > CountMax {
		c.fail(field, v, fmt.Sprintf("a difference within ±%d", int64(CountMax)))
	}
}

func (c *check) micros(field string, v int64) {
	if v < 0 || v > MicrosMax {
		c.fail(field, v, fmt.Sprintf("an amount from 0 to %d millionths", int64(MicrosMax)))
	}
}

func (c *check) share(field string, v float64) {
	if !(v >= 0 && v <= 1) {
		c.fail(field, v, "a share from 0 to 1")
	}
}

func (c *check) currency(v string) {
	if len(v) != 3 || v[0] < 'A' || v[0] > 'Z' || v[1] < 'A' || v[1] > 'Z' || v[2] < 'A' || v[2] > 'Z' {
		c.fail("currency", v, "a currency code of ISO 4217 such as USD")
	}
}

// order checks what the orders of the three shops have in common.
func (c *check) order(units, returned int32, gross, refunded int64) {
	c.count("units", int64(units))
	if returned < 0 || returned > units {
		c.fail("returned_units", returned, fmt.Sprintf("0 to the %d units ordered", units))
	}
	c.micros("gross_micros", gross)
	if refunded < 0 || refunded > gross {
		c.fail("refunded_micros", refunded, fmt.Sprintf("0 to the %d micros of the order", gross))
	}
}
