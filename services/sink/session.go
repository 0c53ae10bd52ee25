package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/sourcegraph/conc"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/pkg/turn"
)

// session is the life of the Kafka client. One goroutine polls, decodes and
// writes; franz-go's calls assigned and released, which only happens between
// two flushes, or while rows wait for ClickHouse or a record for its schema.
type session struct {
	*Sink

	client  *kgo.Client
	end     context.CancelFunc // of the client
	conn    driver.Conn
	decoder *codec.Decoder
	encoder *codec.Encoder
	tables  map[reflect.Type]*table // by the type of the decoded record

	// What was taken since the last flush.
	rows   int
	bytes  int
	size   int       // bytes of a record, by the last poll
	polled int       // records
	oldest time.Time // lowest Kafka timestamp of a row
	parked []letter
	counts tally

	unpolled time.Time // when polling was last tried again after an error; 0 once it is over

	mu   turn.Turn                            // held while offsets are committed
	held map[string]map[int32]kgo.EpochOffset // offsets to commit

	// Not for as long as a commit takes: who tells that Kafka is silent must not wait for Kafka.
	places sync.Mutex                 // locked after mu
	taken  map[string]map[int32]place // of every partition that is this sink's
}

// place is how far a partition was taken, and where it ends: offsets, exclusive.
// Next is negative while a partition was never committed nor read.
type place struct{ next, end int64 }

// fetchBytesMax bounds what a broker sends at once, and so what waits in memory
// while ClickHouse is away.
const fetchBytesMax = 16 << 20

// fetchWait is how long a broker may hold a fetch back for want of records: as
// long may the first fetch from a partition that was taken over be held up by
// the one before.
const fetchWait = 250 * time.Millisecond

func (s *Sink) newSession(ctx context.Context, conn driver.Conn, tables map[reflect.Type]*table) (*session, error) {
	d := &session{
		Sink: s, conn: conn, tables: tables, counts: make(tally), size: event.RecordBytesMax,
		taken: make(map[string]map[int32]place), held: make(map[string]map[int32]kgo.EpochOffset),
	}
	// Before it joins the group: a member that leaves again disturbs the others,
	// and has to wait for them.
	if err := kafka.Persist(ctx, s.kafka, s.checkTopics); err != nil {
		return nil, err
	}
	var err error
	if d.decoder, err = codec.NewDecoder(s.registry); err != nil {
		return nil, err
	}
	if d.encoder, err = codec.AwaitEncoder(ctx, s.registry, s.kafka.ConnectTimeout, func(err error) { s.unfound(ctx, err) }, event.TopicDeadLetter); err != nil {
		return nil, err
	}
	s.finds(ctx)
	options := []kgo.Opt{
		kgo.ConsumerGroup(s.cfg.Group),
		kgo.InstanceID(s.cfg.InstanceID),
		kgo.ConsumeTopics(s.topics...),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(fetchBytesMax),
		kgo.FetchMaxWait(fetchWait),
		kgo.KeepControlRecords(), // a partition may end with one, and is not behind for it
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(s.cfg.SessionTimeout),
		kgo.HeartbeatInterval(s.cfg.SessionTimeout / 15),
		kgo.RebalanceTimeout(s.cfg.RebalanceTimeout),
		kgo.OnPartitionsAssigned(d.assigned),
		kgo.AdjustFetchOffsetsFn(d.placed),
		kgo.OnPartitionsRevoked(d.released),
		kgo.OnPartitionsLost(d.released),
		kgo.WithHooks(excluded{d}),
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	options, d.end = append(options, kgo.WithContext(life)), end
	if d.client, err = kafka.Connect(ctx, s.kafka, s.logger, s.meters, append(options, s.options...)...); err != nil {
		end()
		return nil, err
	}
	return d, nil
}

func (s *Sink) checkTopics(ctx context.Context) error {
	client, err := kafka.Connect(ctx, s.kafka, s.logger, s.meters, s.options...)
	if err != nil {
		return err
	}
	defer client.Close()
	topics, err := kafka.NewTopics(s.kafka, client)
	if err != nil {
		return err
	}
	if _, err = topics.Check(ctx); err == nil && s.goal != nil {
		s.goal.spans, err = kafka.ReadSpans(ctx, client, s.topics...)
	}
	return err
}

// run takes and writes until ctx ends or something goes wrong for good.
func (s *session) run(ctx context.Context) error {
	// A named member does not leave its group when it closes: its partitions wait
	// for it to be back before its session times out, and nobody is disturbed.
	defer s.end()
	defer kafka.Leave(s.client, s.end)
	var watch conc.WaitGroup
	defer watch.Wait()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	watch.Go(func() { s.watch(watching) })
	again := newPause(s.cfg.RetryPause)
	var gone recurrence
	for ctx.Err() == nil {
		err := s.cycle(ctx)
		if err == nil && s.goal != nil {
			s.goal.look(ctx, s)
		}
		var fetch fetchError
		switch {
		case err == nil:
			s.polls(ctx)
			again = newPause(s.cfg.RetryPause)
			continue
		case !errors.As(err, &fetch):
			return err
		case errors.Is(fetch.error, kerr.UnknownTopicID) && gone.lasts(s.cfg.RetryPause): // no longer a broker that is behind
			return fmt.Errorf("a topic was deleted under the sink: run 'flywheel topics apply' if it is missing, and start the sink again: %w", err)
		}
		if again.wait(ctx) != nil {
			return nil
		}
		s.unpolled = time.Now()
	}
	return nil
}

// recurrence is an error that comes back between successes that have nothing to do
// with it.
type recurrence struct{ first, last time.Time }

// lasts notes that the error is there, and says whether it has been for so long,
// without a pause of three times that.
func (t *recurrence) lasts(long time.Duration) bool {
	now := time.Now()
	if now.Sub(t.last) > 3*long {
		t.first = now
	}
	t.last = now
	return now.Sub(t.first) >= long
}

// assigned runs when the group has given out its partitions; there may be none
// for this sink, and it is ready all the same.
func (s *session) assigned(ctx context.Context, _ *kgo.Client, added map[string][]int32) {
	s.reads(ctx, ofStart)
	s.reads(ctx, ofGroup)
	s.readyOnce.Do(func() { close(s.ready) })
	if s.goal != nil {
		s.goal.assigned(added)
	}
	n := 0
	for _, partitions := range added {
		n += len(partitions)
	}
	s.logger.InfoContext(ctx, "consuming", slog.Int("flywheel.partitions.added", n))
}

// placed notes how far the partitions that were assigned are committed.
func (s *session) placed(_ context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	s.places.Lock()
	defer s.places.Unlock()
	for topic, partitions := range offsets {
		if s.taken[topic] == nil {
			s.taken[topic] = make(map[int32]place)
		}
		for p, at := range partitions {
			next := max(at.EpochOffset().Offset, -1)
			s.taken[topic][p] = place{next, next}
		}
	}
	return offsets, nil
}

// released runs when partitions go to another sink. Their rows may still be
// written, which the other's writing makes no difference to; their offsets are
// the other's affair from now on.
func (s *session) released(ctx context.Context, _ *kgo.Client, gone map[string][]int32) {
	if s.goal != nil {
		s.goal.released(gone)
	}
	s.mu.Lock()
	s.places.Lock()
	for topic, partitions := range gone {
		for _, p := range partitions {
			delete(s.held[topic], p)
			delete(s.taken[topic], p)
		}
	}
	s.places.Unlock()
	s.mu.Unlock()
	s.metrics.lag.Record(ctx, s.lag()) // there may be no flush any more
}

// idle is the longest wait while there is nothing to flush.
const idle = time.Second

// cycle takes records until there are enough, or the first has waited long
// enough, and writes and commits them.
func (s *session) cycle(ctx context.Context) error {
	defer s.client.AllowRebalance()
	until := time.Now().Add(idle)
	for taken := false; s.rows < s.cfg.FlushRows && s.bytes < s.cfg.FlushBytes; taken = true {
		fetches, err := s.poll(ctx, until)
		if err != nil { // of other partitions than those of the rows
			if failed := s.flush(ctx); failed != nil {
				return failed // ends the sink, whatever Kafka says: trying on would hide it
			}
			return err
		}
		if fetches.NumRecords() == 0 {
			break
		}
		if !taken {
			until = time.Now().Add(s.cfg.FlushInterval)
		}
		before := s.bytes
		if err := s.take(ctx, fetches); err != nil {
			return err
		}
		if came := s.bytes - before; came > 0 { // more than the ends of transactions
			s.size = max(1, came/fetches.NumRecords())
		}
	}
	return s.flush(ctx)
}

// fetchError says that a partition cannot be read at the moment.
type fetchError struct{ error }

// poll returns records, as many as the flush has room for by the size of those
// before, or none once the time is over or ctx has ended.
func (s *session) poll(ctx context.Context, until time.Time) (kgo.Fetches, error) {
	wait, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	room := max(1, (s.cfg.FlushBytes-s.bytes)/s.size)
	fetches := s.client.PollRecords(wait, min(s.cfg.FlushRows-s.rows, room))
	for _, e := range fetches.Errors() {
		switch {
		case errors.Is(e.Err, context.Canceled), errors.Is(e.Err, context.DeadlineExceeded):
			continue
		case errors.Is(e.Err, kerr.FencedInstanceID):
			return nil, fmt.Errorf("another sink runs as %q: give each its own sink.instance_id, or restart this one if the other has taken over: %w", s.cfg.InstanceID, e.Err)
		}
		err := fmt.Errorf("consume partition %d of topic %q: %w", e.Partition, e.Topic, e.Err)
		if e.Topic == "" { // the trouble is the group's
			err = fmt.Errorf("consume as a member of group %q: %w", s.cfg.Group, e.Err)
		}
		s.misses(ctx, ofRecords, err)
		s.unpolled = time.Now()
		if fetches.NumRecords() == 0 { // what came along must not be dropped
			return nil, fetchError{err}
		}
	}
	return fetches, nil
}

// take adds the records of one poll to the tables. It holds their offsets first:
// a partition that goes to another sink while a record waits for its schema is
// held no more. Nothing is committed before all of them are taken.
func (s *session) take(ctx context.Context, fetches kgo.Fetches) error {
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) > 0 {
			s.hold(p)
		}
	})
	var failed error
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		for _, r := range p.Records {
			if failed != nil {
				return
			}
			if r.Attrs.IsControl() {
				continue
			}
			s.polled++
			failed = s.row(ctx, r)
		}
	})
	return failed
}

// hold notes what may be committed once the rows are written.
func (s *session) hold(p kgo.FetchTopicPartition) {
	last := p.Records[len(p.Records)-1]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places.Lock()
	defer s.places.Unlock()
	if s.held[p.Topic] == nil { // a commit has emptied it
		s.held[p.Topic] = make(map[int32]kgo.EpochOffset)
	}
	if s.taken[p.Topic] == nil {
		s.taken[p.Topic] = make(map[int32]place)
	}
	s.held[p.Topic][p.Partition] = kgo.EpochOffset{Epoch: last.LeaderEpoch, Offset: last.Offset + 1}
	s.taken[p.Topic][p.Partition] = place{last.Offset + 1, p.HighWatermark}
}
