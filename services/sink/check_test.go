package sink

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/event"
)

func TestASinkIsReadyOnlyWhileItDelivers(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		writingSince time.Time
		want         string
	}{
		"nothing is being written":     {time.UnixMilli(0), ""},
		"rows are being written":       {now, ""},
		"ClickHouse leaves rows alone": {now.Add(-time.Hour), "ClickHouse has not acknowledged rows for 1h0m"},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(Sink)
			s.writing.Store(tc.writingSince.UnixMilli())
			switch err := s.Check(t.Context()); {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want)):
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestTheLagIsThatOfAllPartitionsWhateverTheLastFlushHeld(t *testing.T) {
	s := &session{Sink: new(Sink), held: make(map[string]map[int32]kgo.EpochOffset), taken: make(map[string]map[int32]place)}
	read := func(partition int32, last, end int64) {
		s.hold(kgo.FetchTopicPartition{Topic: event.TopicAmazon, FetchPartition: kgo.FetchPartition{
			Partition: partition, HighWatermark: end, Records: []*kgo.Record{{Offset: last}},
		}})
	}
	read(0, 9, 110)
	clear(s.held) // as a commit does
	read(1, 4, 5)
	if lag := s.lag(); lag != 100 {
		t.Errorf("a partition that the flush did not touch is 100 records behind, and the lag is %d", lag)
	}
}
