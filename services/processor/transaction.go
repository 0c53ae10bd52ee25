package processor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc/iter"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/plugin/kotel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"flywheel/pkg/fault"
)

// transaction is what is committed together: refused records, results, the
// changelog, and the offsets of the input they stem from.
type transaction struct {
	*session

	ctx      context.Context // outlives a request to stop, but not the broker's patience
	cancel   context.CancelFunc
	span     trace.Span
	header   []kgo.RecordHeader // the trace, for what is produced
	workers  []*worker
	started  time.Time
	applying time.Duration // time that applying took
	records  int
	late     bool // some of the records belong to a backlog

	once     sync.Once
	began    error
	produced atomic.Int64
	lost     atomic.Pointer[error] // the first record that was not delivered
}

func (s *session) newTransaction(ctx context.Context, workers []*worker) *transaction {
	t := &transaction{session: s, workers: workers, started: time.Now()}
	t.ctx, t.cancel = context.WithTimeout(context.WithoutCancel(ctx), s.cfg.TransactionTimeout)
	t.ctx, t.span = s.tracer.Start(t.ctx, "process transaction", trace.WithSpanKind(trace.SpanKindConsumer))
	if t.span.SpanContext().IsSampled() {
		r := new(kgo.Record)
		propagation.TraceContext{}.Inject(t.ctx, kotel.NewRecordCarrier(r))
		t.header = r.Headers
	}
	return t
}

func (t *transaction) close() {
	t.span.SetAttributes(attribute.Int("messaging.batch.message_count", t.records), attribute.Int64("flywheel.records.produced", t.produced.Load()))
	t.span.End()
	t.cancel()
}

// linksMax bounds how many of the traces that led to a transaction it links to.
const linksMax = 16

// process takes the records of one poll, and applies what is due: partitions in
// parallel, and within a partition in the order of Kafka's time.
func (t *transaction) process(fetches kgo.Fetches) error {
	queues := make(map[int32][]queue, len(t.workers))
	for _, w := range t.workers {
		queues[w.partition] = w.queues
	}
	links := 0
	var stray error
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 {
			return
		}
		i := slices.IndexFunc(queues[p.Partition], func(q queue) bool { return q.topic == p.Topic })
		if i < 0 {
			stray = fmt.Errorf("partition %d of topic %q was consumed without being assigned", p.Partition, p.Topic)
			return
		}
		queues[p.Partition][i].push(p)
		if links < linksMax && len(p.Records[0].Headers) > 0 && t.span.IsRecording() {
			if from := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), kotel.NewRecordCarrier(p.Records[0]))); from.IsValid() {
				t.span.AddLink(trace.Link{SpanContext: from})
				links++
			}
		}
	})
	if stray != nil {
		return stray
	}
	t.learnEnds(t.workers)
	now, errs := time.Now(), make([]error, len(t.workers))
	t.parallel(len(t.workers), func(i int) {
		if w := t.workers[i]; w.held() {
			if err := w.merge(t, now); err != nil {
				errs[i] = fmt.Errorf("process partition %d: %w", w.partition, err)
			}
		}
	})
	t.applying += time.Since(now)
	t.holding = false
	for _, w := range t.workers {
		t.records += w.applied
		w.applied = 0
		t.holding = t.holding || w.held()
	}
	t.throttle()
	return errors.Join(errs...)
}

// parallel calls f for 0 to n−1 on as many goroutines as the configuration
// allows, and waits.
func (t *transaction) parallel(n int, f func(i int)) {
	indices := make([]int, n)
	for i := range indices {
		indices[i] = i
	}
	iter.Iterator[int]{MaxGoroutines: t.cfg.Workers}.ForEach(indices, func(i *int) { f(*i) })
}

// refresh publishes the results that are due, within the time that refreshing
// may take, and then the changes of every state touched.
func (t *transaction) refresh() error {
	now := time.Now().UnixMilli()
	busy := 0
	for _, w := range t.workers {
		if w.state.Stats().Dirty > 0 {
			busy++
		}
	}
	share, passed := t.cfg.RefreshCPUShare, max(t.cfg.CommitInterval, time.Since(t.started))
	if t.late {
		share, passed = share/catchUpShare, t.applying
	}
	budget := t.pace.budget(share, passed, t.cfg.Workers, busy)
	errs := make([]error, len(t.workers))
	t.parallel(len(t.workers), func(i int) { errs[i] = t.workers[i].refresh(t, now, budget) })
	t.pace.learn()
	return errors.Join(errs...)
}

// produce adds one record to the transaction, which begins with the first. The
// record and what it points to must not change until the transaction has ended.
func (t *transaction) produce(r *kgo.Record, promise func(*kgo.Record, error)) error {
	if err := t.begin(); err != nil {
		return err
	}
	t.produced.Add(1)
	t.txn.Produce(t.ctx, r, promise)
	return nil
}

func (t *transaction) delivered(r *kgo.Record, err error) {
	if err != nil {
		why := fmt.Errorf("produce to partition %d of topic %q: %w", r.Partition, r.Topic, err)
		t.lost.CompareAndSwap(nil, &why)
	}
}

func (t *transaction) begin() error {
	t.once.Do(func() {
		if err := t.txn.Begin(); err != nil {
			t.began = fmt.Errorf("begin a transaction: %w", err)
		}
	})
	return t.began
}

// abort ends the transaction without effect and returns why, which ends the
// session as well.
func (t *transaction) abort(why error) error {
	t.span.SetStatus(codes.Error, why.Error())
	t.metrics.aborts.Add(t.ctx, 1)
	if t.begin() == nil {
		if _, err := t.txn.End(t.ctx, kgo.TryAbort); err != nil {
			return fmt.Errorf("%w (and the abort failed: %w)", why, err)
		}
	}
	return why
}

// commit makes the transaction's effects visible, all of them or none. Any
// error ends the session: only a new one learns what the broker has decided.
func (t *transaction) commit() error {
	if t.produced.Load() == 0 && !slices.ContainsFunc(t.workers, (*worker).moved) {
		t.settleWorkers()
		return nil
	}
	if err := t.begin(); err != nil {
		return err
	}
	ending := time.Now() // before results are delivered: a Kafka that stalls does so there as well
	fault.Reached(fault.ProcessorFlushing)
	if err := t.txn.Client().Flush(t.ctx); err != nil {
		return t.abort(fmt.Errorf("deliver the results: %w", err))
	}
	if err := t.lost.Load(); err != nil {
		return t.abort(*err)
	}
	fault.Reached(fault.ProcessorFlushed)
	committed, err := t.txn.End(kgo.PreTxnCommitFnContext(t.ctx, t.fence), kgo.TryCommit)
	switch {
	case err != nil:
		err = fmt.Errorf("commit a transaction: %w", err)
	case !committed:
		err = errors.New("the transaction was aborted: the group rebalanced, or its coordinator moved")
	}
	if err != nil {
		t.span.SetStatus(codes.Error, err.Error())
		t.metrics.aborts.Add(t.ctx, 1)
		return err
	}
	fault.Reached(fault.ProcessorEnded)
	t.commits++
	if t.records > 0 {
		t.recovered(t.ctx)
	}
	if t.goal != nil {
		t.goal.committed(t)
	}
	t.metrics.committed(t.ctx, t, time.Since(ending))
	var came tally
	for _, w := range t.workers {
		came = append(came, w.came...)
	}
	t.refusals.tell(t.ctx, t.logger, ending, came)
	t.settleWorkers()
	return nil
}

// fence has the transaction commit how far the input is applied, which is less
// than what was read. It makes sure that at least one offset is committed: with it
// the coordinator checks that this processor still belongs to the group's
// generation. A transaction of results alone would otherwise slip through when
// its processor has been excluded meanwhile.
//
// franz-go may swallow a revocation and then asks in the name of a generation that
// is newer than the assignment.
func (t *transaction) fence(req *kmsg.TxnOffsetCommitRequest) error {
	if req.MemberID != t.member || req.Generation != t.generation {
		return errors.New("the group has rebalanced since the transaction began")
	}
	req.Topics = nil
	add := func(wanted func(*queue) bool, most int) {
		for i, topic := range t.inputs {
			rt := kmsg.NewTxnOffsetCommitRequestTopic()
			rt.Topic = topic
			for _, w := range t.workers {
				if q := &w.queues[i]; wanted(q) && len(rt.Partitions) < most {
					at := kmsg.NewTxnOffsetCommitRequestTopicPartition()
					at.Partition, at.Offset, at.LeaderEpoch, at.Metadata = w.partition, q.next, q.epoch, &req.MemberID
					rt.Partitions = append(rt.Partitions, at)
				}
			}
			if len(rt.Partitions) > 0 && len(req.Topics) < most {
				req.Topics = append(req.Topics, rt)
			}
		}
	}
	add(func(q *queue) bool { return q.next != q.committed }, math.MaxInt)
	if len(req.Topics) == 0 {
		add(func(q *queue) bool { return q.next >= 0 }, 1)
	}
	if len(req.Topics) == 0 {
		return errors.New("no input was ever committed, so nothing can be due")
	}
	return nil
}

// settleWorkers notes that what is in memory is what is committed.
func (t *transaction) settleWorkers() {
	dirty := false
	for _, w := range t.workers {
		dirty = w.settled() || dirty
	}
	t.dirty.Store(dirty)
	t.holds(t.ctx, t.workers)
}
