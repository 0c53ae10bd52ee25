package processor

import (
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/metric/noop"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/testkit"
	"flywheel/pkg/topology"
)

// at is a fetch of one record for each second given.
func at(first int64, end int64, seconds ...int64) kgo.FetchTopicPartition {
	var p kgo.FetchTopicPartition
	p.HighWatermark = end
	for i, s := range seconds {
		p.Records = append(p.Records, &kgo.Record{Offset: first + int64(i), Timestamp: time.Unix(s, 0)})
	}
	return p
}

func TestOldestRecord(t *testing.T) {
	for name, c := range map[string]struct {
		queues        func(q []queue)
		first, second int // queues, −1 for none
		lags          bool
	}{
		"nothing is held": {func([]queue) {}, -1, -1, false},
		"a topic that is read to its end holds nobody up": {func(q []queue) {
			q[0].push(at(0, 2, 5, 6))
		}, 0, -1, false},
		"a topic with records in Kafka may yield an older one": {func(q []queue) {
			q[0].push(at(0, 2, 5, 6))
			q[1].end = 1
		}, 0, -1, true},
		"it has been waited for": {func(q []queue) {
			q[0].push(at(0, 2, 5, 6))
			q[1].end, q[1].missed = 1, true
		}, 0, -1, false},
		"it yields again": {func(q []queue) {
			q[0].push(at(0, 2, 5, 6))
			q[1].end, q[1].missed = 3, true
			q[1].push(at(0, 3, 7))
			q[1].pop()
		}, 0, -1, true},
		"a topic whose end was asked for in vain may yield an older one": {func(q []queue) {
			q[0].push(at(0, 2, 5, 6))
			q[1].learn(kadm.ListedOffset{}, false)
		}, 0, -1, true},
		"so does one whose leader is not there": {func(q []queue) {
			q[0].push(at(0, 2, 5, 6))
			q[1].learn(kadm.ListedOffset{Err: kerr.LeaderNotAvailable}, true)
		}, 0, -1, true},
		"it has nothing after all": {func(q []queue) {
			q[0].push(at(0, 2, 5, 6))
			q[1].learn(kadm.ListedOffset{}, false)
			q[1].learn(kadm.ListedOffset{}, true)
		}, 0, -1, false},
		"an end that was asked for is waited for": {func(q []queue) {
			q[0].push(at(0, 2, 5, 6))
			q[1].learn(kadm.ListedOffset{Offset: 1}, true)
		}, 0, -1, true},
		"one that was given up and has nothing is waited for the next time": {func(q []queue) {
			q[0].push(at(0, 2, 5, 6))
			q[1].missed = true
			q[1].learn(kadm.ListedOffset{}, true)
			q[1].learn(kadm.ListedOffset{}, false)
		}, 0, -1, true},
		"the older comes first, whatever the topics' order": {func(q []queue) {
			q[0].push(at(0, 1, 9))
			q[1].push(at(0, 1, 3))
			q[2].push(at(0, 1, 6))
		}, 1, 2, false},
		"within a topic the order is its own": {func(q []queue) {
			q[0].push(at(0, 2, 9, 1))
			q[1].push(at(0, 1, 5))
		}, 1, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := &worker{queues: make([]queue, 3)}
			c.queues(w.queues)
			first, second, lags := w.oldest()
			index := func(q *queue) int {
				for i := range w.queues {
					if q == &w.queues[i] {
						return i
					}
				}
				return -1
			}
			if index(first) != c.first || index(second) != c.second || lags != c.lags {
				t.Errorf("queues %d and %d, lags %v; want %d, %d, %v", index(first), index(second), lags, c.first, c.second, c.lags)
			}
		})
	}
}

// TestATopicThatYieldsNothingIsWaitedFor has one topic read and another that holds
// records nobody gets.
func TestATopicThatYieldsNothingIsWaitedFor(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	w := &worker{queues: make([]queue, 2)}
	w.queues[0].push(at(0, 2, 5, 6))
	w.queues[1].end = 1
	step := func(after time.Duration, applied, missed int) {
		t.Helper()
		now = now.Add(after)
		if got := w.order(now); len(got) != missed || len(w.batch.records) != applied {
			t.Fatalf("%d topics were given up and %d records applied, want %d and %d", len(got), len(w.batch.records), missed, applied)
		}
	}
	step(0, 0, 0)
	step(alignWait-time.Millisecond, 0, 0)
	step(time.Millisecond, 2, 1)
	w.queues[0].push(at(2, 4, 7, 8))
	step(0, 4, 0) // told once
	w.queues[1].end = 2
	w.queues[1].push(at(0, 2, 1))
	w.queues[0].push(at(4, 5, 9))
	step(0, 5, 0) // it yields, is behind again, and is waited for anew
	step(alignWait, 6, 1)
}

// TestATopicThatIsWaitedForNoLongerIsTold has a brand read, and records of a topic beside it that
// nobody gets.
func TestATopicThatIsWaitedForNoLongerIsTold(t *testing.T) {
	registry, err := codec.NewStatic()
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorker(2, topology.DefaultConfig(), registry)
	if err != nil {
		t.Fatal(err)
	}
	encoder, err := codec.NewEncoder(t.Context(), registry)
	if err != nil {
		t.Fatal(err)
	}
	value, err := encoder.Encode(nil, &event.Brand{BrandID: "acme", Version: 1, Currency: "USD"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_000_000, 0)
	w.queues = []queue{{topic: event.TopicBrand}, {topic: event.TopicAmazon, read: 3, end: 10}}
	w.queues[0].push(kgo.FetchTopicPartition{FetchPartition: kgo.FetchPartition{Records: []*kgo.Record{
		{Topic: event.TopicBrand, Key: []byte("acme"), Value: value, Timestamp: now},
	}}})
	var log testkit.Log
	timeless := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	m, err := newMetrics(noop.NewMeterProvider(), func() time.Duration { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	tx := &transaction{ctx: t.Context(), session: &session{Processor: &Processor{logger: slog.New(slog.NewTextHandler(&log, timeless)), metrics: m}}}
	for _, after := range []time.Duration{0, alignWait - time.Millisecond, alignWait, alignWait + time.Hour} {
		if err := w.merge(tx, now.Add(after)); err != nil {
			t.Fatal(err)
		}
		want := ""
		if after >= alignWait { // once
			want = `level=WARN msg="a topic yields nothing; the others go on, and its records will be late" messaging.destination.name=channel.amazon messaging.destination.partition.id=2 flywheel.records=7 flywheel.duration=30s` + "\n"
		}
		if said := log.String(); said != want {
			t.Errorf("after %s it has said %q, want %q", after, said, want)
		}
	}
}

func TestAQueueIsBounded(t *testing.T) {
	const most = 100
	var q queue
	q.push(at(0, 1_000_000, make([]int64, most)...))
	if q.full(most) {
		t.Errorf("full with %d records", q.held())
	}
	q.push(at(most, 1_000_000, 1))
	if !q.full(most) {
		t.Errorf("not full with %d records", q.held())
	}
	q.paused = true
	for q.held() > most/2 {
		if !q.full(most) {
			t.Fatalf("read on with %d records", q.held())
		}
		q.pop()
	}
	if q.full(most) || q.next != most/2+1 {
		t.Errorf("full %v with %d records, applied up to %d", q.full(most), q.held(), q.next)
	}
}

// TestAQueueThatNeverRunsEmptyDoesNotGrow passes a backlog through a queue.
func TestAQueueThatNeverRunsEmptyDoesNotGrow(t *testing.T) {
	var q queue
	for i := range int64(1000) {
		q.push(at(10*i, 1_000_000, make([]int64, 10)...))
		for q.held() > 5 {
			q.pop()
		}
	}
	if n := len(q.records); n > 20 || cap(q.records) > 100 {
		t.Errorf("%d records are kept in room for %d, want the 5 that are held", n, cap(q.records))
	}
}
