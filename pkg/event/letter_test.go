package event

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestARecordHasOneDeadLetter(t *testing.T) {
	origin := Origin{Topic: "channel.amazon", Partition: 3, Offset: 41, AtMs: 1_790_000_000_000, Key: []byte("acme"), Value: []byte("{}")}
	unread := DeadLetter{
		EventID: NewID("dead_letter", "", "channel.amazon", "3", 41), BrandID: "acme", Reason: ReasonMalformed, Detail: "why",
		Topic: "channel.amazon", Partition: 3, Offset: 41, OccurredAtMs: 1_790_000_000_000, Key: []byte("acme"), Payload: []byte("{}"),
	}
	with := func(change func(*DeadLetter)) DeadLetter {
		d := unread
		change(&d)
		return d
	}
	for name, tc := range map[string]struct {
		origin func(*Origin)
		head   *Header
		want   DeadLetter
	}{
		"that cannot be read": {nil, nil, unread},
		"that can": {nil, &Header{EventID: ID{7}, BrandID: "other", OccurredAtMs: 5}, with(func(d *DeadLetter) {
			d.EventID, d.BrandID, d.OccurredAtMs = ID{7}, "other", 5
		})},
		"without an id, of a time that no table holds": {nil, &Header{BrandID: "acme", OccurredAtMs: 1 << 60}, unread},
		"of a time before 1970":                        {nil, &Header{BrandID: "acme", OccurredAtMs: -1}, unread},
		"that Kafka took outside of time": {func(o *Origin) { o.AtMs = -1 }, nil, with(func(d *DeadLetter) {
			d.OccurredAtMs = 0
		})},
		"whose key is no text": {func(o *Origin) { o.Key = []byte("a\xffb") }, nil, with(func(d *DeadLetter) {
			d.BrandID, d.Key = "ab", []byte("a\xffb")
		})},
		"without a key and a value": {func(o *Origin) { o.Key, o.Value = nil, nil }, nil, with(func(d *DeadLetter) {
			d.BrandID, d.Key, d.Payload = "", nil, nil
		})},
	} {
		t.Run(name, func(t *testing.T) {
			o := origin
			if tc.origin != nil {
				tc.origin(&o)
			}
			if diff := cmp.Diff(tc.want, NewDeadLetter(o, tc.head, "", ReasonMalformed, "why")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestADeadLetterStaysBelowWhatABrokerTakes(t *testing.T) {
	large := bytes.Repeat([]byte("é"), 1<<20)
	d := NewDeadLetter(Origin{Key: large, Value: large}, nil, "", ReasonOversized, strings.Repeat("é", 1<<20))
	if n := len(d.BrandID) + len(d.Detail) + len(d.Key) + len(d.Payload); n > 1<<20-8<<10 {
		t.Errorf("its texts take %d bytes", n)
	}
	if !utf8.ValidString(d.BrandID) || !utf8.ValidString(d.Detail) {
		t.Error("a text was cut in the middle of a letter")
	}
}
