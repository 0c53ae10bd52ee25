package sink

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// refusedCommit returns the first partition whose offset was not committed.
func refusedCommit(resp *kmsg.OffsetCommitResponse) error {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("commit the offset of partition %d of topic %q: %w", p.Partition, t.Topic, err)
			}
		}
	}
	return nil
}
