package kafka_test

import (
	"testing"

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
