package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	endsInterval = time.Second     // between two questions
	endsTimeout  = 2 * time.Second // for all of one
)

// WatchEnds asks once a second where the topics end, behind the last record that is not
// part of an open transaction, and hands each answer to tell, until ctx ends. What a
// broker has not answered is missing from it, and the error then says why. The context
// that tell is given has what is left of two seconds.
func WatchEnds(ctx context.Context, client *kgo.Client, topics []string, tell func(context.Context, kadm.ListedOffsets, error)) {
	admin := kadm.NewClient(client)
	ticker := time.NewTicker(endsInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		wait, cancel := context.WithTimeout(ctx, endsTimeout)
		if ends, err := admin.ListCommittedOffsets(wait, topics...); ctx.Err() == nil {
			tell(wait, ends, err)
		}
		cancel()
	}
}
