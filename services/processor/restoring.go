package processor

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"flywheel/pkg/event"
	"flywheel/pkg/outage"
)

// What restoring waits for, and what to do about it.
const (
	waitsForGroup = "the group has given no partitions, or not told their offsets: another processor does not come to the rebalance, or a transaction on __consumer_offsets has not ended " +
		"(find it with 'kafka-transactions.sh … find-hanging --topic __consumer_offsets')"
	waitsForEnds = "Kafka does not tell the ends of the changelog " + event.TopicState + " or of the input: see whether its brokers run (flywheel ready)"
)

// waitsForChangelog is what restoring waits for while the changelog of partitions is not read to its end.
func waitsForChangelog(partitions []int32) string {
	return fmt.Sprintf("the changelog %s does not go on in the partitions %d: a transaction on it has not ended "+
		"(find it with 'kafka-transactions.sh … describe-producers --topic %[1]s --partition %[3]d', and see deploy/RUNBOOK.md before you abort it), or a leader is away",
		event.TopicState, partitions, partitions[0])
}

// restoring is the time from which no partitions are this processor's until those that
// the group gives to it are restored. That takes as long as the changelog is, so that
// trouble is only that it does not go on. Its methods may be called by several at once.
type restoring struct {
	mu     sync.Mutex
	since  time.Time // 0 while nothing is restored
	moved  time.Time // when it last went on
	waits  string    // for what; empty where something else says why
	outage outage.Outage
}

// begin notes that partitions are restored from now on, if they are not already.
func (r *restoring) begin(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since.IsZero() {
		r.since = now
	}
}

// moves notes that it goes on, or begins to wait for something else.
func (r *restoring) moves(now time.Time, waits string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moved, r.waits = now, waits
}

// stays notes more closely what it waits for, without having gone on.
func (r *restoring) stays(waits string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waits = waits
}

// end notes that nothing is restored any more.
func (r *restoring) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.since, r.waits = time.Time{}, ""
}

// over says whether nothing is restored.
func (r *restoring) over() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.since.IsZero()
}

// lasts returns for how long partitions have been restored, 0 if none are.
func (r *restoring) lasts(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since.IsZero() {
		return 0
	}
	return now.Sub(r.since)
}

// check returns why readiness is to fail: that it has not gone on for longer than a
// transaction may be open. Nil while it goes on.
func (r *restoring) check(now time.Time, long time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	still := now.Sub(r.moved)
	if r.since.IsZero() || r.waits == "" || still <= long {
		return nil
	}
	return fmt.Errorf("restoring has not gone on for %s; nothing is committed meanwhile: %s", still.Round(time.Second), r.waits)
}

// tell logs that it does not go on, and the end of that.
func (r *restoring) tell(ctx context.Context, logger *slog.Logger, now time.Time, long time.Duration) {
	if err := r.check(now, long); err != nil {
		logger.Log(ctx, r.outage.Level(), "partitions are not restored", slog.Any("error.message", err))
	} else if lasted, was := r.outage.Over(); was {
		logger.InfoContext(ctx, "restoring goes on", slog.Duration("flywheel.duration", lasted))
	}
}
