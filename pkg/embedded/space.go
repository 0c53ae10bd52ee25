package embedded

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// reserveBytes is far above what kfake writes when it stops: topics, groups and producers.
	reserveBytes = 4 << 20
	// Below shortBytes of free space no records are taken, from plentyBytes on they are again.
	shortBytes  = 8 << 20
	plentyBytes = 24 << 20
	// clickhouseFreeBytes is where ClickHouse stops, before Kafka does.
	clickhouseFreeBytes = 16 << 20
	// spaceInterval lies between two looks at the disk.
	spaceInterval = 100 * time.Millisecond
)

// space keeps the embedded Kafka off a disk that is full. A record that cannot be written may be
// refused, but the end of a transaction may not: its data would be unusable. So records are refused
// a little before the disk is full, with an error that producers wait on, and then the space in
// reserve is given back for what has to be written still.
type space struct {
	dir     string
	reserve string // the file that holds the space
	logger  *slog.Logger

	mu    sync.Mutex
	free  func(dir string) (int64, error)
	next  time.Time // of the next look
	short bool
}

func newSpace(dir, reserve string, logger *slog.Logger) *space {
	return &space{dir: dir, reserve: reserve, logger: logger, free: freeBytes}
}

// freeBytes returns how much this user may still write to the disk of a folder.
func freeBytes(dir string) (int64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0, fmt.Errorf("ask for the free space of %q: %w", dir, err)
	}
	return int64(stat.Bavail) * int64(stat.Bsize), nil //nolint:unconvert // the types differ by platform
}

// guard has the cluster look at the disk before it writes.
func (s *space) guard(c *kfake.Cluster) {
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !s.isShort() {
			return nil, nil, false
		}
		return refuse(r.(*kmsg.ProduceRequest)), nil, true
	})
	for _, key := range [...]kmsg.Key{kmsg.InitProducerID, kmsg.EndTxn, kmsg.TxnOffsetCommit, kmsg.OffsetCommit} {
		c.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			s.isShort() // gives the reserve back in time
			return nil, nil, false
		})
	}
}

// isShort says whether records have to be refused.
func (s *space) isShort() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.next) {
		return s.short
	}
	s.next = now.Add(spaceInterval)
	free, err := s.free(s.dir)
	switch {
	case err != nil: // the next write will tell
	case !s.short && free < shortBytes:
		s.short = true
		_ = remove(s.reserve) // what it fails for, the stop runs into as well and tells
		s.logger.Error("the disk of the embedded Kafka is nearly full, so it takes no records; producers wait: free some space",
			slog.String("file.path", s.dir), slog.Int64("flywheel.bytes.free", free), slog.Int64("flywheel.bytes.wanted", plentyBytes))
	case s.short && free >= plentyBytes && writeReserve(s.reserve) == nil:
		s.short = false
		s.logger.Info("the embedded Kafka takes records again", slog.String("file.path", s.dir), slog.Int64("flywheel.bytes.free", free))
	}
	return s.short
}

func writeReserve(file string) error {
	if err := os.WriteFile(file, make([]byte, reserveBytes), 0o640); err != nil {
		return fmt.Errorf("reserve space for stopping the embedded Kafka: %w", err)
	}
	return nil
}

// refuse answers that the records could not be stored, which has producers try again.
func refuse(r *kmsg.ProduceRequest) kmsg.Response {
	resp := r.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range r.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, kerr.KafkaStorageError.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}
