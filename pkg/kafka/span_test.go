package kafka_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
)

func TestASpanIsReached(t *testing.T) {
	spans := kafka.Spans{"t": {0: {From: 0, To: 0}, 1: {From: 3, To: 5}, 2: {From: 5, To: 5}}}
	for name, c := range map[string]struct {
		partition int32
		next      int64
		reached   bool
	}{
		"an empty partition that nobody has read":              {0, -1, true},
		"a partition that nobody has read":                     {1, -1, false},
		"a partition that is read in part":                     {1, 4, false},
		"a partition that is read to its end":                  {1, 5, true},
		"a partition that has grown since":                     {1, 9, true},
		"a partition whose records were deleted":               {2, -1, true},
		"a partition that was not there when it was looked at": {7, -1, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := spans.Reached("t", c.partition, c.next); got != c.reached {
				t.Errorf("reached: %v", got)
			}
		})
	}
}

func TestAGroupHasCommittedTheSpans(t *testing.T) {
	_, cfg := cluster(t)
	client := connect(t, cfg)
	if _, err := topics(t, cfg, client).Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := kafka.Spans{event.TopicTikTok: {0: {To: 3}, 1: {To: 0}}, event.TopicAmazon: {2: {From: 4, To: 5}}}
	commit := func(topic string, partition int32, next int64) {
		offsets := make(kadm.Offsets)
		offsets.AddOffset(topic, partition, next, -1)
		if err := kadm.NewClient(client).CommitAllOffsets(t.Context(), "group", offsets); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name string
		do   func()
		want bool
	}{
		{"one of two topics", func() { commit(event.TopicTikTok, 0, 3) }, false},
		{"a part of the other", func() { commit(event.TopicAmazon, 2, 4) }, false},
		{"both", func() { commit(event.TopicAmazon, 2, 9) }, true},
	} {
		step.do()
		if done, err := spans.Committed(t.Context(), client, "group"); done != step.want || err != nil {
			t.Errorf("%s: %v, %v", step.name, done, err)
		}
	}
}
