package kafka_test

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
)

func TestTheEndsAreThoseOfWhatIsCommitted(t *testing.T) {
	_, cfg := cluster(t)
	client := connect(t, cfg)
	if _, err := topics(t, cfg, client).Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	send := func(client *kgo.Client, records int) {
		for range records {
			r := &kgo.Record{Topic: event.TopicState, Partition: 2, Key: []byte("k")}
			if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(client, 3)
	open := connect(t, cfg, kgo.TransactionalID("open"))
	if err := open.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	send(open, 2)
	ctx, stop := context.WithCancel(t.Context())
	answers := 0
	kafka.WatchEnds(ctx, client, []string{event.TopicState}, func(ctx context.Context, ends kadm.ListedOffsets, err error) {
		if answers++; err != nil || len(ends[event.TopicState]) != 4 {
			t.Errorf("%v, %v", ends, err)
		}
		if end, _ := ends.Lookup(event.TopicState, 2); end.Offset != 3 {
			t.Errorf("the partition ends at %d, want 3", end.Offset)
		}
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("who is told has all the time in the world")
		}
		stop()
	})
	if answers != 1 {
		t.Errorf("%d answers until it was stopped", answers)
	}
}
