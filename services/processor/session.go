package processor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"flywheel/pkg/event"
	"flywheel/pkg/fault"
	"flywheel/pkg/kafka"
	"flywheel/pkg/turn"
)

// session is one life of the Kafka client. It ends with the first transaction
// that does not commit: what then is true is only what the broker says to a new
// client, so one road leads back from a crash, an abort, a lost membership and
// an outage.
//
// Two goroutines meet here: the loop, and franz-go's, which calls assigned,
// revoked and excluded. A rebalance is held back from a poll until the end of the
// cycle, which polls again only after a poll with records: otherwise the second
// poll would wait for the rebalance, and that for the cycle. A transaction that a
// rebalance has overtaken all the same is refused, and that ends the session.
type session struct {
	*Processor

	txn     *kgo.GroupTransactSession
	begun   chan struct{} // closed when txn is set: franz-go calls back before it returns it
	pace    pace
	commits int // transactions committed
	bornAt  time.Time
	dirty   atomic.Bool // results may be due without any input

	mu         turn.Turn // held by a transaction and by assigned
	owned      []*worker // by partition, ascending
	assignedAt int64     // value of revocations when owned was assigned
	member     string    // of the group, when owned was assigned
	generation int32     // likewise
	settledAt  int64     // value of revocations when franz-go was settled; the loop's own
	catchingUp bool      // as of the last records; the loop's own
	backlog    bool      // part of one is left, as of the last records
	holding    bool      // records are read that wait for those of other topics; the loop's own
	restoredAt time.Time // when owned was

	revocations atomic.Int64
	spare       atomic.Bool                        // the group has no partition for this processor
	ends        atomic.Pointer[kadm.ListedOffsets] // of the input, not looked at yet
	wake        atomic.Pointer[context.CancelFunc] // ends the poll that waits
	failure     atomic.Pointer[error]              // what another goroutine ran into
}

// fetchWait bounds how long a broker holds back a fetch without records. A
// partition that is added meanwhile waits for it.
const fetchWait = 250 * time.Millisecond

// fetchPartitionBytesMax is how much of a partition a fetch brings, compressed. The more
// it brings of a backlog, the more events of a brand are applied together.
const fetchPartitionBytesMax = 2 << 20

// outputs are the topics of the processor's results.
func outputs() []string {
	return []string{event.TopicCorrelation, event.TopicCredit, event.TopicSpike, event.TopicDeadLetter}
}

func (s *session) run(ctx context.Context) error {
	opts, err := kafka.Options(s.kafka, s.logger, s.meters)
	if err != nil {
		return err
	}
	opts = append(opts,
		kgo.ConsumerGroup(s.cfg.Group),
		kgo.InstanceID(s.cfg.InstanceID),
		kgo.ConsumeTopics(s.inputs...),
		kgo.Balancers(kgo.RangeBalancer()), // keeps partition p of all topics together
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // a partition may end with one
		kgo.SessionTimeout(s.cfg.SessionTimeout),
		kgo.HeartbeatInterval(s.cfg.SessionTimeout/5),
		kgo.RebalanceTimeout(s.cfg.RebalanceTimeout),
		kgo.FetchMaxWait(fetchWait),
		kgo.FetchMaxPartitionBytes(fetchPartitionBytesMax),
		kgo.BlockRebalanceOnPoll(),
		kgo.AdjustFetchOffsetsFn(s.assigned),
		kgo.OnPartitionsAssigned(s.joined),
		kgo.OnPartitionsRevoked(s.revoked),
		kgo.OnPartitionsLost(s.revoked),
		kgo.WithHooks(excluded{s}),
		kgo.TransactionalID(s.transactionalID()),
		kgo.TransactionTimeout(s.cfg.TransactionTimeout),
		kgo.ProducerBatchCompression(kgo.SnappyCompression(), kgo.NoCompression()),
	)
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	opts = append(opts, kgo.WithContext(life))
	s.awaits()                  // before franz-go calls back
	defer s.restoring.stays("") // what ends a session says why
	s.txn, err = kgo.NewGroupTransactSession(append(opts, s.options...)...)
	if err != nil {
		return fmt.Errorf("configure the Kafka client: %w: %w", err, errFatal)
	}
	close(s.begun)
	s.turnedAt.Store(time.Now().UnixMilli())
	defer s.turnedAt.Store(0) // the client's end may hang as well
	// A static member does not leave its group when it closes, so nobody else is
	// disturbed if it is back before its session times out.
	defer kafka.Leave(s.txn.Client(), end)
	// Asking early aborts at once what a former life left open, instead of
	// letting everybody wait for its timeout.
	wait, cancel := context.WithTimeout(ctx, s.cfg.TransactionTimeout)
	defer cancel()
	if _, _, err := s.txn.Client().ProducerID(wait); err != nil {
		return fmt.Errorf("begin as transactional producer: %w", err)
	}
	var watch conc.WaitGroup
	defer watch.Wait()
	watching, stop := context.WithCancel(life)
	defer stop()
	// A fetch tells the ends of the input as well, but only with records: of a topic whose
	// leader dies before one that was read to its end goes on, it would never be known
	// that there is something to wait for.
	s.bornAt = time.Now()
	s.silence.begin(s.bornAt)
	watch.Go(func() {
		kafka.WatchEnds(watching, s.txn.Client(), s.inputs, func(ctx context.Context, ends kadm.ListedOffsets, err error) {
			s.ends.Store(&ends)
			// A leader that steps down is followed by another before that is long.
			if s.silence.hear(ctx, s.logger, time.Now(), s.cfg.SessionTimeout/3, cmp.Or(err, ends.Error())) {
				s.metrics.silences.Add(ctx, 1)
			}
		})
	})
	s.turnedAt.Store(s.bornAt.UnixMilli())
	for ctx.Err() == nil {
		began := time.Now()
		err := s.cycle(ctx)
		now := time.Now()
		s.turnedAt.Store(now.UnixMilli())
		if err != nil {
			s.report(err) // the group may take a session to say why
			return explain(ctx, s.txn.Client(), &s.cfg, now.Sub(began), err)
		}
		s.restoring.tell(ctx, s.logger, now, s.cfg.TransactionTimeout)
		if now.Sub(s.bornAt) > steady && s.restoring.over() {
			s.recovered(ctx)
		}
		if s.goal != nil {
			if err := s.goal.look(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// explain says what has ended a cycle that lasted so long: a processor that was stopped
// meanwhile and replaced may run into anything first, and would take its name back from
// its successor if it started over. The group knows whether another has its place. On the
// other hand a transaction that is open for longer than transaction_timeout is ended by
// its coordinator with a newer epoch, which only looks as if another had the name.
func explain(ctx context.Context, client *kgo.Client, cfg *Config, lasted time.Duration, err error) error {
	outlived := errors.Is(err, kerr.ProducerFenced) && lasted > cfg.TransactionTimeout
	switch {
	case ctx.Err() != nil, errors.Is(err, kerr.FencedInstanceID), errors.Is(err, kerr.ProducerFenced) && !outlived:
		return err // there is nothing to ask
	case replaced(ctx, client, cfg):
		return fmt.Errorf("%w, after this: %w", kerr.FencedInstanceID, err)
	case outlived:
		why, _, _ := strings.Cut(err.Error(), "\n") // one line for each partition
		return fmt.Errorf("the transaction was open for longer than processor.transaction_timeout (%s), and Kafka has ended it: %s", cfg.TransactionTimeout, why)
	}
	return err
}

// replaced asks the group whether another has this processor's place. Unanswered, it would
// start over and take the name back from a successor: so it waits until Kafka, had it
// answered nobody, would have excluded that one as well. Nor could it start over before.
func replaced(ctx context.Context, client *kgo.Client, cfg *Config) bool {
	ctx, cancel := context.WithTimeout(ctx, cfg.SessionTimeout)
	defer cancel()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.InstanceID = cfg.Group, &cfg.InstanceID
	req.MemberID, req.Generation = client.GroupMetadata()
	if req.MemberID == "" {
		return false // it never had one
	}
	resp, err := req.RequestWith(ctx, client)
	return err == nil && resp.ErrorCode == kerr.FencedInstanceID.Code
}

// steady is how long a session must last to count as progress without input to
// commit.
const steady = 5 * time.Second

// fail ends the session with what another goroutine ran into.
func (s *session) fail(err error) {
	s.failure.CompareAndSwap(nil, &err)
	s.interrupt()
}

func (s *session) failed() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *session) interrupt() {
	if wake := s.wake.Load(); wake != nil {
		(*wake)()
	}
}

// assigned takes over the partitions of a new assignment: it restores those
// whose state is not in memory, before anything of them is consumed. franz-go
// calls it with the committed offsets, having waited for them to be stable.
func (s *session) assigned(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	<-s.begun
	at := s.revocations.Load()
	s.mu.Lock() // waits for a transaction that began before the rebalance
	defer s.mu.Unlock()
	fault.Reached(fault.ProcessorAssigned)
	s.restoring.moves(time.Now(), waitsForEnds)
	partitions, err := copartitioned(offsets, s.inputs)
	if err == nil {
		err = s.restore(ctx, partitions)
	}
	if err == nil {
		err = s.align(ctx, partitions, offsets)
	}
	if err != nil {
		if ctx.Err() == nil { // otherwise the next rebalance is there already
			s.fail(err)
		}
		return nil, err
	}
	maps.DeleteFunc(s.workers, func(p int32, _ *worker) bool { return !slices.Contains(partitions, p) })
	s.owned, s.assignedAt = s.owned[:0], at
	s.member, s.generation = s.txn.Client().GroupMetadata()
	for _, p := range partitions {
		s.owned = append(s.owned, s.workers[p])
	}
	s.restoredAt = time.Now()
	if s.restoring.end(); s.revocations.Load() != at {
		s.awaits() // they are gone again
	}
	s.dirty.Store(true)
	s.logger.InfoContext(ctx, "consuming", slog.Any("flywheel.partitions", partitions))
	s.readyOnce.Do(func() { close(s.ready) })
	return offsets, nil
}

// awaits notes that partitions are waited for, which the group is to give.
func (s *session) awaits() {
	now := time.Now()
	s.restoring.begin(now)
	s.restoring.moves(now, waitsForGroup)
}

// joined hears how many partitions the group gives to this processor: one to spare gets
// none, for which assigned is not called, and is ready to take over.
func (s *session) joined(ctx context.Context, _ *kgo.Client, partitions map[string][]int32) {
	s.spare.Store(len(partitions) == 0)
	if len(partitions) > 0 {
		return
	}
	s.restoring.end()
	if s.goal != nil {
		s.logger.InfoContext(ctx, "the group has no partition to spare; waiting until the others have caught up")
	} else {
		s.logger.InfoContext(ctx, "the group has no partition to spare; waiting to take over")
	}
	s.readyOnce.Do(func() { close(s.ready) })
}

// copartitioned returns the partitions assigned, ascending, having made sure
// that each is assigned of every topic.
func copartitioned(offsets map[string]map[int32]kgo.Offset, topics []string) ([]int32, error) {
	all := make(map[int32]bool)
	for _, partitions := range offsets {
		for p := range partitions {
			all[p] = true
		}
	}
	sorted := slices.Sorted(maps.Keys(all))
	for _, p := range sorted {
		for _, t := range topics {
			if _, ok := offsets[t][p]; !ok {
				return nil, fmt.Errorf("the group assigned partition %d without that of topic %q: run the same version as every processor of the group, and give every input topic equally many partitions (see 'flywheel topics check')", p, t)
			}
		}
	}
	return sorted, nil
}

func (s *session) revoked(context.Context, *kgo.Client, map[string][]int32) {
	s.revocations.Add(1)
	s.awaits()
	fault.Reached(fault.ProcessorRevoked)
	s.interrupt()
}

// excluded hears why this processor is not a member of the group any more.
type excluded struct{ *session }

// OnGroupManageError implements kgo.HookGroupManageError.
func (s excluded) OnGroupManageError(err error) {
	why := "the group cannot be reached: its coordinator is away or moves"
	if errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.FencedInstanceID) {
		why = "the group has excluded this processor: it was silent for longer than processor.session_timeout, or another has its name"
	}
	s.fail(fmt.Errorf("%s: %w", why, err))
}

// settle, after a revocation, clears franz-go's memory of it, which would abort
// the next transaction although that one began later.
func (s *session) settle(ctx context.Context) error {
	at := s.revocations.Load()
	if s.settledAt == at {
		return nil
	}
	if err := s.txn.Begin(); err != nil {
		return fmt.Errorf("settle after a rebalance: %w", err)
	}
	if _, err := s.txn.End(ctx, kgo.TryAbort); err != nil {
		return fmt.Errorf("settle after a rebalance: %w", err)
	}
	s.settledAt = at
	return nil
}

// current returns the workers that may take part in a transaction: none while
// a rebalance is under way.
func (s *session) current() []*worker {
	if at := s.revocations.Load(); s.assignedAt != at || s.settledAt != at {
		return nil
	}
	return s.owned
}

// interrupted says whether a rebalance, a failure or the end wants attention.
func (s *session) interrupted(ctx context.Context) bool {
	return ctx.Err() != nil || s.settledAt != s.revocations.Load() || s.failure.Load() != nil
}

// pollRecordsMax bounds what one poll returns, and so how far a cycle overruns. A
// processor that catches up takes what there is.
const pollRecordsMax = 20_000

// poll returns records, or none once the time is over, ctx has ended, or a
// rebalance or failure wants attention.
func (s *session) poll(ctx context.Context, until time.Time, recordsMax int) (kgo.Fetches, error) {
	wait, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	s.wake.Store(&cancel)
	if s.interrupted(ctx) {
		cancel() // it came before there was a poll to end
	}
	if !s.catchingUp {
		recordsMax = min(recordsMax, pollRecordsMax)
	}
	fetches := s.txn.PollRecords(wait, recordsMax)
	if err := s.failed(); err != nil {
		return nil, err
	}
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.Canceled) && !errors.Is(e.Err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("consume partition %d of topic %q: %w", e.Partition, e.Topic, e.Err)
		}
	}
	return fetches, nil
}

// A processor that is further behind than the records of one commit catches up:
// what it publishes meanwhile is old anyway, so its transactions may last longer,
// and refreshing gets less time: in proportion to what applying the events takes,
// so that an event costs the same however many brands there are.
const (
	catchUpIntervals = 30 // commit intervals of a transaction, at most
	catchUpRecords   = 8  // commit_records is multiplied by it
	catchUpShare     = 6  // refresh_cpu_share is divided by it
	catchUpLeft      = 20 // of commit_records that part is left of a backlog that is over
)

// gauge notes how far behind the processor is, but for topics that nobody waits for any
// more. It catches up while that is more than the records of one commit, and has a
// backlog from then on until little is left, so that the end of one costs no more than
// its middle.
func (s *session) gauge() {
	var lag int64
	for _, w := range s.owned {
		for i := range w.queues {
			if q := &w.queues[i]; !q.missed {
				lag += q.behind()
			}
		}
	}
	most := int64(s.cfg.CommitRecords)
	s.catchingUp = lag > most
	s.backlog = s.catchingUp || s.backlog && lag > most/catchUpLeft
}

// idle bounds how long a poll waits while nothing is to be refreshed.
const idle = time.Second

// cycle gathers records for one commit interval, refreshes results and commits.
// Without records and without anything to refresh it only waits.
func (s *session) cycle(ctx context.Context) error {
	if err := s.settle(ctx); err != nil {
		return err
	}
	started := time.Now()
	wait := idle
	if s.dirty.Load() || s.holding {
		wait = s.cfg.CommitInterval
	}
	defer s.txn.AllowRebalance()
	fetches, err := s.poll(ctx, started.Add(wait), s.cfg.CommitRecords)
	if err != nil {
		return err
	}
	records := fetches.NumRecords()
	// Partitions are being restored while somebody else has the turn. Waiting for
	// it would hold back the next rebalance, and a stop.
	if !s.mu.TryLock() {
		if records > 0 {
			return errors.New("a rebalance overtook the poll")
		}
		return nil
	}
	defer s.mu.Unlock()
	workers := s.current()
	switch {
	case len(workers) == 0 && records > 0:
		return errors.New("a rebalance overtook the poll")
	case len(workers) == 0:
		s.holds(ctx, nil)
		return nil
	case records == 0 && !s.dirty.Load() && !s.holding:
		s.learnEnds(workers)
		return s.yields(time.Now())
	}

	t := s.newTransaction(ctx, workers)
	defer t.close()
	for {
		if err := t.process(fetches); err != nil {
			return t.abort(err)
		}
		until, most := t.started.Add(s.cfg.CommitInterval), s.cfg.CommitRecords
		s.gauge()
		t.late = t.late || s.backlog
		if s.catchingUp {
			until, most = t.started.Add(min(catchUpIntervals*s.cfg.CommitInterval, s.cfg.TransactionTimeout/4)), catchUpRecords*most
		}
		// A poll is empty as well when what came belongs to topics that are paused.
		if t.records >= most || records == 0 && (s.interrupted(ctx) || !time.Now().Before(until)) {
			break
		}
		if fetches, err = s.poll(ctx, until, most-t.records); err != nil {
			return t.abort(err)
		}
		records = fetches.NumRecords()
	}
	if err := t.refresh(); err != nil {
		return t.abort(err)
	}
	if err := t.commit(); err != nil {
		return err
	}
	return s.yields(time.Now())
}
