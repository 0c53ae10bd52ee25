package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Spans is what partitions hold, by topic and number.
type Spans map[string]map[int32]Span

// Span is the offsets From ≤ offset < To.
type Span struct{ From, To int64 }

// ReadSpans returns what the topics hold now: from their first record on to
// behind the last that is not part of an open transaction. The last offset may
// be that of a control record: only who keeps those reaches the end.
func ReadSpans(ctx context.Context, client *kgo.Client, topics ...string) (Spans, error) {
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, topics...)
	if err = errors.Join(err, starts.Error()); err != nil {
		return nil, fmt.Errorf("find where the topics start: %w", err)
	}
	ends, err := admin.ListCommittedOffsets(ctx, topics...)
	if err = errors.Join(err, ends.Error()); err != nil {
		return nil, fmt.Errorf("find where the topics end: %w", err)
	}
	s := make(Spans, len(topics))
	for _, topic := range topics {
		s[topic] = make(map[int32]Span)
	}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		s[end.Topic][end.Partition] = Span{From: start.Offset, To: end.Offset}
	})
	return s, nil
}

// Reached says whether a partition that is read up to next, exclusive, or not at
// all (a negative next), has nothing left of its span.
func (s Spans) Reached(topic string, partition int32, next int64) bool {
	span := s[topic][partition]
	return max(next, span.From) >= span.To
}

// Committed says whether a group has committed all of the spans.
func (s Spans) Committed(ctx context.Context, client *kgo.Client, group string) (bool, error) {
	offsets, err := kadm.NewClient(client).FetchOffsets(ctx, group)
	if err = errors.Join(err, offsets.Error()); err != nil {
		return false, fmt.Errorf("find how far group %q is: %w", group, err)
	}
	for topic, partitions := range s {
		for p := range partitions {
			next := int64(-1)
			if at, ok := offsets.Lookup(topic, p); ok {
				next = at.At
			}
			if !s.Reached(topic, p, next) {
				return false, nil
			}
		}
	}
	return true, nil
}
