package processor

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/kafka"
)

// The records of a partition are applied in the order of Kafka's time over all of
// its topics, also where days are read within a second, after an outage or in a
// replay. Read one topic after the other, the first would carry the brands' clocks
// days ahead of the others: what they restate would lie in a past that is final.

// queue is what was read of one topic of a partition, and how far that is.
type queue struct {
	topic   string
	records []*kgo.Record // read and not applied, from head on
	head    int
	bytes   int // of their values

	next      int64 // offset behind the last record applied; −1 before the first
	committed int64 // next, as of the last commit
	epoch     int32 // of the leader, at next
	read      int64 // offset behind the last record read
	end       int64 // of the topic, as far as it is known
	away      bool  // its end was asked for in vain: there may be more
	missed    bool  // the others wait for its records no longer, until some come
	paused    bool  // enough is held: no more is read

	lagsSince time.Time // when it was first seen to yield nothing of what there is; 0 while it does
}

// queueBytesMax bounds the values in a queue as processor.queue_records bounds
// their number: beyond, no more is read until it is down to a half. What one poll
// returns comes on top.
const queueBytesMax = 4 << 20

// alignWait bounds how long the topics wait for one that has records in Kafka and
// yields none: longer than a new leader takes to be elected and found, since what is
// applied without it cannot be put in order afterwards. A topic whose leader stays
// away must not hold up the others.
const alignWait = 30 * time.Second

func (q *queue) held() int { return len(q.records) - q.head }

// push takes records that were read.
func (q *queue) push(p kgo.FetchTopicPartition) {
	n := len(p.Records)
	// A queue need not run empty for a whole backlog.
	q.records = append(slices.Delete(q.records, 0, q.head), p.Records...)
	q.head = 0
	for _, r := range p.Records {
		q.bytes += len(r.Value)
	}
	q.read = p.Records[n-1].Offset + 1
	q.end = max(q.end, p.LastStableOffset, q.read)
	q.away, q.missed, q.lagsSince = false, false, time.Time{}
}

// learn takes over what was answered when the end of the topic was asked for.
func (q *queue) learn(end kadm.ListedOffset, answered bool) {
	if q.away = !answered || end.Err != nil; q.away {
		return
	}
	if q.end = max(q.end, end.Offset); q.read >= q.end {
		q.missed = false // there was nothing to wait for
	}
}

// pop returns the oldest record that is held.
func (q *queue) pop() *kgo.Record {
	r := q.records[q.head]
	q.records[q.head] = nil
	q.head++
	q.bytes -= len(r.Value)
	if q.head == len(q.records) {
		q.records, q.head = q.records[:0], 0
	}
	q.next, q.epoch = r.Offset+1, r.LeaderEpoch
	return r
}

// lags says whether the topic may have records in Kafka that were not read.
func (q *queue) lags() bool { return (q.away || q.read < q.end) && !q.missed }

// behind returns how many records of Kafka are not applied, but for those that are gone.
func (q *queue) behind() int64 {
	return max(0, q.end-max(q.next, q.read-int64(q.held())))
}

// full says whether no more is to be read, one way and, once it is, the other.
func (q *queue) full(recordsMax int) bool {
	if q.paused {
		return q.held() > recordsMax/2 || q.bytes > queueBytesMax/2
	}
	return q.held() > recordsMax || q.bytes > queueBytesMax
}

// align begins the queues of the partitions anew, at the committed offsets, and
// has all of them read: what was paused stays so otherwise, over a rebalance too.
func (s *session) align(ctx context.Context, partitions []int32, offsets map[string]map[int32]kgo.Offset) error {
	client := s.txn.Client()
	spans, err := kafka.ReadSpans(ctx, client, s.inputs...)
	if err != nil {
		return err
	}
	client.ResumeFetchPartitions(client.PauseFetchPartitions(nil))
	for _, p := range partitions {
		w := s.workers[p]
		w.queues, w.waiting = make([]queue, len(s.inputs)), time.Time{}
		for i, topic := range s.inputs {
			at := offsets[topic][p].EpochOffset()
			span := spans[topic][p]
			next := max(at.Offset, -1)
			// What retention has taken is not waited for.
			w.queues[i] = queue{topic: topic, next: next, committed: next, epoch: at.Epoch, read: max(next, span.From), end: span.To}
		}
	}
	return nil
}

// learnEnds takes over the newest answer, once.
func (s *session) learnEnds(workers []*worker) {
	ends := s.ends.Swap(nil)
	if ends == nil {
		return
	}
	for _, w := range workers {
		for i := range w.queues {
			q := &w.queues[i]
			q.learn(ends.Lookup(q.topic, w.partition))
		}
	}
}

// merge applies the records that are held, but for those of which a topic may yet
// yield older ones: in the order of Kafka's time, and then brand by brand. Brands do
// not know of each other, and the state of one that is at hand need not be fetched
// from memory for each of its records.
func (w *worker) merge(t *transaction, now time.Time) error {
	w.touched = true
	for _, q := range w.order(now) {
		t.logger.WarnContext(t.ctx, "a topic yields nothing; the others go on, and its records will be late",
			slog.String("messaging.destination.name", q.topic), slog.String("messaging.destination.partition.id", strconv.Itoa(int(w.partition))),
			slog.Int64("flywheel.records", max(0, q.end-q.read)), slog.Duration("flywheel.duration", alignWait))
	}
	w.applied = len(w.batch.records)
	var counts tally
	defer func() {
		t.metrics.count(t.ctx, counts)
		w.came = append(w.came, counts...)
	}()
	return w.batch.byBrand(func(r *kgo.Record) error {
		reason, err := w.apply(t, r)
		if err == nil {
			counts.add(r.Topic, reason)
		}
		return err
	})
}

// order moves the records that are held to the batch, the oldest first, until a
// topic may yet yield older ones. It returns those it has stopped waiting for.
func (w *worker) order(now time.Time) (missed []*queue) {
	for {
		oldest, second, lags := w.oldest()
		if oldest == nil {
			w.waiting = time.Time{}
			return missed
		}
		if lags {
			if w.waiting.IsZero() {
				w.waiting = now
			}
			if now.Sub(w.waiting) < alignWait {
				return missed
			}
			for i := range w.queues {
				if q := &w.queues[i]; q.held() == 0 && q.lags() {
					q.missed = true
					missed = append(missed, q)
				}
			}
		}
		w.waiting = time.Time{}
		for oldest.held() > 0 && (second == nil || !oldest.records[oldest.head].Timestamp.After(second.records[second.head].Timestamp)) {
			if r := oldest.pop(); !r.Attrs.IsControl() {
				w.batch.records = append(w.batch.records, r)
			}
		}
	}
}

// batch is records that are applied together.
type batch struct {
	records []*kgo.Record
	first   [batchLists]int32 // of each list, a place in records + 1; 0 where it is empty
	next    []int32           // of each record, likewise
}

// batchLists is into how many lists keys are hashed. Two brands that share one
// are applied in turn, which only costs time.
const batchLists = 4096

// byBrand calls f for each record, those of one key in their order and together,
// and empties the batch.
func (b *batch) byBrand(f func(*kgo.Record) error) error {
	b.next = append(b.next[:0], make([]int32, len(b.records))...)
	for i, r := range slices.Backward(b.records) {
		list := &b.first[xxhash.Sum64(r.Key)%batchLists]
		b.next[i], *list = *list, int32(i)+1
	}
	defer func() {
		clear(b.first[:])
		clear(b.records)
		b.records = b.records[:0]
	}()
	for _, at := range b.first {
		for ; at > 0; at = b.next[at-1] {
			if err := f(b.records[at-1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// oldest returns the queue that holds the oldest record and the one that holds the
// next oldest, nil when there is none, and whether another may yet yield an older.
func (w *worker) oldest() (first, second *queue, lags bool) {
	for i := range w.queues {
		q := &w.queues[i]
		switch {
		case q.held() == 0:
			lags = lags || q.lags()
		case first == nil || q.records[q.head].Timestamp.Before(first.records[first.head].Timestamp):
			first, second = q, first
		case second == nil || q.records[q.head].Timestamp.Before(second.records[second.head].Timestamp):
			second = q
		}
	}
	return first, second, lags
}

// held says whether the worker has records that are read and not applied.
func (w *worker) held() bool {
	for i := range w.queues {
		if w.queues[i].held() > 0 {
			return true
		}
	}
	return false
}

// moved says whether input was passed since the last commit.
func (w *worker) moved() bool {
	return slices.ContainsFunc(w.queues, func(q queue) bool { return q.next != q.committed })
}

// behind returns how many records of Kafka are not applied.
func (w *worker) behind() (n int64) {
	for i := range w.queues {
		n += w.queues[i].behind()
	}
	return n
}

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

// yields makes sure that Kafka yields what there is, as long as it tells where that ends: a
// client that reads nothing any more does not say so. The session ends with the error, and a new
// client reads on from there. What does not come to that one either may be no record at all.
func (s *session) yields(now time.Time) (err error) {
	nothing := make(map[place]int64)
	for _, w := range s.owned {
		for i := range w.queues {
			q := &w.queues[i]
			if q.paused || q.away || !q.lags() {
				q.lagsSince = time.Time{}
				continue
			}
			if q.lagsSince.IsZero() {
				q.lagsSince = now
			}
			at := place{q.topic, w.partition}
			nothing[at] = q.read
			lasts := now.Sub(q.lagsSince)
			if before, told := s.yieldless[at]; err != nil || lasts <= s.cfg.TransactionTimeout || told && before == q.read {
				continue
			}
			err = fmt.Errorf("nothing comes of partition %d of topic %q from offset %d on for %s, and Kafka says that it ends at %d",
				w.partition, q.topic, q.read, lasts.Round(time.Millisecond), q.end)
		}
	}
	if err != nil {
		s.yieldless = nothing
	}
	return err
}

// throttle has no more read of topics that hold enough.
func (s *session) throttle() {
	pause, resume := make(map[string][]int32), make(map[string][]int32)
	for _, w := range s.owned {
		for i := range w.queues {
			q := &w.queues[i]
			switch full := q.full(s.cfg.QueueRecords); {
			case full && !q.paused:
				pause[q.topic] = append(pause[q.topic], w.partition)
				q.paused = true
			case !full && q.paused:
				resume[q.topic] = append(resume[q.topic], w.partition)
				q.paused = false
			}
		}
	}
	if len(pause) > 0 {
		s.txn.Client().PauseFetchPartitions(pause)
	}
	if len(resume) > 0 {
		s.txn.Client().ResumeFetchPartitions(resume)
	}
}
