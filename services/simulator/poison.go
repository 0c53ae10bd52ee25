package simulator

import (
	"bytes"
	"encoding/binary"

	"flywheel/pkg/event"
)

// poison is what is wrong with a record.
type poison uint8

// The poisons. Each has exactly one reason.
const (
	healthy poison = iota
	garbage
	empty
	truncated
	trailing
	unknownSchema
	wrongTopic
	wrongKey
	impossible
	fromFuture
	oversized
	poisons
)

// reason returns why a record with the poison is refused; none for a healthy
// record, whose outcome follows from what came before it.
func (p poison) reason() event.Reason {
	return [poisons]event.Reason{
		garbage: event.ReasonMalformed, empty: event.ReasonMalformed, truncated: event.ReasonMalformed, trailing: event.ReasonMalformed,
		unknownSchema: event.ReasonUnknownSchema, wrongTopic: event.ReasonWrongTopic, wrongKey: event.ReasonWrongKey,
		impossible: event.ReasonInvalid, fromFuture: event.ReasonFuture, oversized: event.ReasonOversized,
	}[p]
}

// poisonous puts a poisonous relative of a record into the queue.
func (b *brand) poisonous(r event.Record) {
	f := b.faults
	kind := garbage + poison(f.IntN(int(oversized-garbage)))
	if f.chance(0.02) { // 64 KiB each, so they are rare
		kind = oversized
	}
	it := item{observedMs: r.Head().ObservedAtMs + f.Int64N(60_000), record: r, poison: kind, bits: f.Uint64()}
	switch kind {
	case impossible:
		it.record = clone(r)
		spoil(it.record, it.bits)
	case fromFuture:
		it.record = clone(r)
		h := it.record.Head()
		h.OccurredAtMs = futureMs + int64(b.emitted)
		key := "future/" + h.EventID.String()
		if h.NaturalKey != "" {
			h.NaturalKey = key
		}
		if c, ok := it.record.(*event.CalendarEvent); ok {
			c.EndsAtMs = h.OccurredAtMs + hourMs
		}
		h.EventID = event.NewID(r.Type().String(), h.BrandID, h.Source, key, h.Version)
	}
	b.push(it)
}

// spoil gives one field of a record a value that cannot be.
func spoil(r event.Record, bits uint64) {
	if bits%2 == 0 {
		switch r := r.(type) {
		case *event.TikTokContentStatistics:
			r.Views = -r.Views - 1
			return
		case *event.TikTokShopOrder:
			r.ReturnedUnits = r.Units + 1
			return
		case *event.AmazonOrder:
			r.RefundedMicros = r.GrossMicros + 1
			return
		case *event.ShopifyOrder:
			r.Currency = "dollars"
			return
		case *event.AmazonSearchReport:
			r.ClickShare = 1.5
			return
		case *event.AmazonReview:
			r.Stars = 6
			return
		case *event.CalendarEvent:
			r.EndsAtMs = r.OccurredAtMs
			return
		}
	}
	h := r.Head()
	switch bits / 2 % 4 {
	case 0:
		h.OccurredAtMs = 0
	case 1:
		h.Source = ""
	case 2:
		h.EventID = event.ID{}
	default:
		h.Version = -1
	}
}

// mail is what Kafka is given.
type mail struct {
	topic, key string
	value      []byte
}

// mangle spoils the mail of an item by its poison. The value may share memory
// with what it was made of.
func (w *world) mangle(it *item, m mail) mail {
	n := uint64(len(m.value))
	switch it.poison {
	case garbage:
		text := []byte(`{"event":"order","brand":"` + m.key + `"}`) // what another serializer would send
		if it.bits%2 == 0 {
			for i := range text {
				text[i] = byte(mix(it.bits + uint64(i)))
			}
			text[0] |= 1 // never the frame's zero
		}
		m.value = text
	case empty:
		m.value = nil
	case truncated:
		m.value = m.value[:5+it.bits%(n-5)]
	case trailing:
		m.value = append(bytes.Clone(m.value), byte(it.bits), 0)
	case unknownSchema:
		m.value = bytes.Clone(m.value)
		binary.BigEndian.PutUint32(m.value[1:], uint32(0x7fff_fff0+it.bits%4))
	case wrongTopic:
		topics := [...]string{event.TopicTikTok, event.TopicAmazon, event.TopicShopify, event.TopicAISearch, event.TopicMessaging, event.TopicCalendar}
		for i, t := range topics {
			if t == m.topic {
				m.topic = topics[(i+1+int(it.bits%uint64(len(topics)-1)))%len(topics)]
				break
			}
		}
	case wrongKey:
		m.key = "nobody"
		if n := len(w.brands); n > 1 && it.bits%4 != 0 {
			m.key = w.brands[(it.brand+1+int(it.bits%uint64(n-1)))%n].id
		}
	case oversized:
		m.value = append(bytes.Clone(m.value), make([]byte, event.RecordBytesMax)...)
	}
	return m
}
