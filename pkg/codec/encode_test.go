package codec

import (
	"bytes"
	"reflect"
	"strings"
	"sync"
	"testing"

	"flywheel/pkg/event"
)

func TestEncodeRefusesAndLeavesTheBufferAlone(t *testing.T) {
	enc, _ := newPair(t)
	for name, c := range map[string]struct {
		record any
		want   string
	}{
		"a value instead of a pointer":        {event.AmazonReview{}, "no topic of this encoder carries it"},
		"nothing":                             {nil, "no topic of this encoder carries it"},
		"a symbol the contract does not have": {&event.TikTokContentPublished{Kind: "song"}, "kind"},
		"a symbol of a result likewise":       {&event.Spike{Status: "asleep", Tier: event.TierSettled}, "status"},
		"a record that is too long":           {&event.AmazonReview{ReviewID: strings.Repeat("x", event.RecordBytesMax)}, "at most 65536 are allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := enc.Encode([]byte("before"), c.record)
			if err == nil || !strings.Contains(err.Error(), c.want) || string(got) != "before" {
				t.Errorf("Encode: %q, %v; want the buffer as it was and %q", got, err, c.want)
			}
		})
	}
}

func TestAnEncoderIsSafeForConcurrentUse(t *testing.T) {
	enc, _ := newPair(t)
	var wg sync.WaitGroup
	for i := range int64(8) {
		wg.Go(func() {
			record := statistics()
			record.Views = i
			want, err := enc.Encode(nil, record)
			if err != nil {
				t.Error(err)
				return
			}
			for range 2000 {
				if got, err := enc.Encode(nil, record); err != nil || !bytes.Equal(got, want) {
					t.Errorf("Encode: %x, %v; want %x", got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestAnEncoderOfOneTopicKnowsItsRecordsOnly(t *testing.T) {
	registry := must(NewStatic())(t)
	enc := must(NewEncoder(t.Context(), registry, event.TopicMessaging))(t)
	must(enc.Encode(nil, &event.MessageEvent{Channel: event.MessageChannelSMS, Action: event.MessageActionSent, Purpose: event.MessagePurposeCampaign}))(t)
	if _, err := enc.Encode(nil, statistics()); err == nil {
		t.Error("an encoder of channel.messaging takes a record of channel.tiktok")
	}
	if _, err := NewEncoder(t.Context(), registry, "channel.fax"); err == nil || !strings.Contains(err.Error(), `"channel.fax"`) {
		t.Errorf("NewEncoder of a topic that does not exist: %v", err)
	}
}

func TestAStructThatIsNoContractIsRefused(t *testing.T) {
	for name, record := range map[string]any{
		"a field without a tag": struct{ A string }{},
		"a field without an Avro type": struct {
			A map[string]string `avro:"a"`
		}{},
		"such a field further down": struct {
			A []struct{ B uint } `avro:"a"`
		}{},
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := newPlan(reflect.TypeOf(record)); err == nil {
				t.Errorf("newPlan: %v, want an error", p)
			}
		})
	}
}
