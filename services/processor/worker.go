package processor

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/fault"
	"flywheel/pkg/topology"
)

// worker owns one partition number: the state of its brands, fed by that
// partition of every input topic. One goroutine at a time uses it.
type worker struct {
	partition int32
	state     *topology.Partition
	decoder   *codec.Decoder
	arena     arena

	next    int64        // offset in the changelog behind what the state contains
	written atomic.Int64 // offset behind the last change produced
	touched bool         // the state may be ahead of what is committed

	queues  []queue   // by input topic
	waiting time.Time // since when the queues wait for a topic; zero when they do not
	batch   batch     // what a merge applies
	applied int       // records, by the last merge
	made    produced  // in the transaction under way
	came    tally     // of it, by topic and outcome
}

func newWorker(partition int32, cfg topology.Config, registry codec.Registry) (*worker, error) {
	state, err := topology.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("create the state of partition %d: %w", partition, err)
	}
	decoder, err := codec.NewDecoder(registry)
	if err != nil {
		return nil, fmt.Errorf("create the decoder of partition %d: %w", partition, err)
	}
	return &worker{partition: partition, state: state, decoder: decoder}, nil
}

// restore applies records of the changelog.
func (w *worker) restore(records []*kgo.Record) error {
	for _, r := range records {
		if err := w.state.Restore(r.Key, r.Value); err != nil {
			return fmt.Errorf("restore partition %d from offset %d of %q: %w", w.partition, r.Offset, r.Topic, err)
		}
	}
	fault.Reached(fault.ProcessorRestoring)
	return nil
}

// Outcomes of records that were not refused, beside the reasons of package event.
const (
	outcomeApplied    = event.Reason("applied")
	outcomeSuperseded = event.Reason("superseded")
)

// apply applies one record, or publishes why not. An error is not the record's
// fault: the same record may be applied later.
func (w *worker) apply(t *transaction, r *kgo.Record) (event.Reason, error) {
	value, err := w.decoder.Decode(t.ctx, r.Topic, r.Value)
	if err != nil {
		refused := new(codec.Error)
		if !errors.As(err, &refused) {
			return "", fmt.Errorf("decode offset %d of %q: %w", r.Offset, r.Topic, err)
		}
		return w.refuse(t, r, refusal{record: refused.Record, reason: refused.Reason, detail: refused.Detail})
	}
	var refused refusal
	record, isEvent := value.(event.Record)
	brand, isBrand := value.(*event.Brand)
	switch {
	case isEvent:
		refused = refusal{head: record.Head(), record: record.Type().String()}
	case isBrand:
		refused = refusal{record: "brand"}
	default:
		return "", fmt.Errorf("decode offset %d of %q: %T is no input", r.Offset, r.Topic, value)
	}
	if refused.reason, refused.detail = event.Judge(value, r.Key); refused.reason != "" {
		return w.refuse(t, r, refused)
	}
	var outcome topology.Outcome
	if isBrand {
		outcome = w.state.ApplyBrand(brand)
	} else {
		outcome = w.state.Apply(record, r.Timestamp.UnixMilli())
	}
	switch outcome {
	case topology.Applied:
		return outcomeApplied, nil
	case topology.Superseded:
		return outcomeSuperseded, nil
	case topology.Duplicate:
		refused.reason = event.ReasonDuplicate
		refused.detail = fmt.Sprintf("the %s of brand %q was applied before: nothing is to be done", refused.record, r.Key)
	case topology.Late:
		refused.reason = event.ReasonLate
		refused.detail = fmt.Sprintf("the %s of brand %q comes too late to be applied: more than %d h (a report: and its period) behind its source %q, or further behind the brand than hours are kept: it counts in the raw tables only; restate the period by a batch recomputation", refused.record, r.Key, event.LatenessHours, refused.head.Source)
	case topology.Future:
		refused.reason = event.ReasonFuture
		refused.detail = fmt.Sprintf("the %s of brand %q says it happened at %s, after Kafka took it at %s: correct the clock of source %q and send it again", refused.record, r.Key,
			time.UnixMilli(refused.head.OccurredAtMs).UTC().Format(time.RFC3339), r.Timestamp.UTC().Format(time.RFC3339), refused.head.Source)
	default:
		return "", fmt.Errorf("apply offset %d of %q: outcome %v is not known", r.Offset, r.Topic, outcome)
	}
	return w.refuse(t, r, refused)
}

// refusal says why a record was not applied.
type refusal struct {
	head   *event.Header // nil when the record has none or cannot be read
	record string
	reason event.Reason
	detail string
}

// refuse publishes the one dead letter of a record.
func (w *worker) refuse(t *transaction, r *kgo.Record, why refusal) (event.Reason, error) {
	letter := event.NewDeadLetter(origin(r), why.head, why.record, why.reason, why.detail)
	return why.reason, w.publish(t, event.TopicDeadLetter, letter.BrandID, &letter)
}

func origin(r *kgo.Record) event.Origin {
	return event.Origin{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, AtMs: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
}

// publish encodes one result and adds it to the transaction.
func (w *worker) publish(t *transaction, topic, brandID string, v any) error {
	r := w.arena.record()
	r.Topic, r.Headers = topic, t.header
	r.Key = w.arena.copy([]byte(brandID))
	var err error
	if r.Value, err = w.arena.append(func(dst []byte) ([]byte, error) { return t.encoder.Encode(dst, v) }); err != nil {
		return fmt.Errorf("publish to %q for brand %q: %w", topic, brandID, err)
	}
	w.made.count(topic)
	return t.produce(r, t.delivered)
}

// refresh publishes the results that are due, and then the changes of the
// state since the last transaction.
func (w *worker) refresh(t *transaction, nowMs int64, budget topology.Budget) error {
	w.touched = true
	var failed error
	try := func(err error) {
		if failed == nil {
			failed = err
		}
	}
	started := time.Now()
	spent := w.state.Refresh(nowMs, budget, func(result any) {
		switch v := result.(type) {
		case *event.Correlation:
			try(w.publish(t, event.TopicCorrelation, v.BrandID, v))
		case *event.Credit:
			try(w.publish(t, event.TopicCredit, v.BrandID, v))
		case *event.Spike:
			try(w.publish(t, event.TopicSpike, v.BrandID, v))
		default:
			try(fmt.Errorf("publish %T: no topic carries it", result))
		}
	})
	if spent > 0 {
		t.pace.worked(spent, time.Since(started))
		t.metrics.evaluations.Add(t.ctx, int64(spent))
		w.made.evaluations += int64(spent)
	}
	written := func(r *kgo.Record, err error) {
		t.delivered(r, err)
		if err == nil {
			w.written.Store(r.Offset + 1) // promises of a partition come in its order
		}
	}
	at := time.Now() // once for all, which franz-go would ask for each
	w.state.Changes(func(key, value []byte) {
		r := w.arena.record()
		r.Topic, r.Partition, r.Timestamp = event.TopicState, w.partition, at
		r.Key, r.Value = w.arena.copy(key), w.arena.copy(value)
		w.made.changes++
		w.made.changeBytes += int64(len(key) + len(value))
		try(t.produce(r, written))
	})
	return failed
}

// settled notes that the transaction has committed, and says whether anything
// is still to be refreshed.
func (w *worker) settled() (dirty bool) {
	w.next = max(w.next, w.written.Load())
	for i := range w.queues {
		w.queues[i].committed = w.queues[i].next
	}
	w.touched = false
	w.made = produced{}
	w.came = w.came[:0]
	w.arena.reset()
	return w.state.Stats().Dirty > 0
}
