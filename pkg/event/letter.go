package event

import (
	"strconv"
	"strings"
)

// Bounds of a dead letter; together with its other fields it stays below what a Kafka
// client sends by default, a batch of 1 000 012 bytes: a letter that is refused would stop its
// partition for ever.
const (
	letterKeyBytesMax     = 1 << 10
	letterPayloadBytesMax = 960 << 10
	letterDetailBytesMax  = 4 << 10
)

// Origin is a record as Kafka holds it.
type Origin struct {
	Topic      string
	Partition  int32
	Offset     int64
	AtMs       int64 // Kafka's timestamp
	Key, Value []byte
}

// NewDeadLetter returns the one dead letter of a record: the same whoever refuses
// it, and however often. Head is nil when the record has none or cannot be read.
// Key and payload share the record's memory.
func NewDeadLetter(o Origin, head *Header, record string, reason Reason, detail string) DeadLetter {
	d := DeadLetter{
		BrandID:      Cut(o.Key, TextBytesMax),
		Reason:       reason,
		Detail:       Cut([]byte(detail), letterDetailBytesMax),
		Record:       record,
		Topic:        o.Topic,
		Partition:    o.Partition,
		Offset:       o.Offset,
		OccurredAtMs: min(max(o.AtMs, 0), timeMsMax),
		Key:          o.Key[:min(len(o.Key), letterKeyBytesMax)],
		Payload:      o.Value[:min(len(o.Value), letterPayloadBytesMax)],
	}
	if head != nil {
		d.EventID = head.EventID
		if at := head.OccurredAtMs; at >= 0 && at <= timeMsMax { // the tables cannot hold every time that an invalid event claims
			d.OccurredAtMs = at
		}
		d.BrandID = Cut([]byte(head.BrandID), TextBytesMax)
	}
	if d.EventID == (ID{}) {
		d.EventID = NewID("dead_letter", "", o.Topic, strconv.Itoa(int(o.Partition)), o.Offset)
	}
	return d
}

// Cut returns at most bytesMax bytes as valid UTF-8.
func Cut(b []byte, bytesMax int) string {
	return strings.ToValidUTF8(string(b[:min(len(b), bytesMax)]), "")
}
