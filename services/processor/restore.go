package processor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc/iter"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
)

// restore brings the workers of the partitions in line with the changelog. A
// worker still in memory is kept if nobody has written to its changelog since.
func (s *session) restore(ctx context.Context, partitions []int32) error {
	started := time.Now()
	admin := kadm.NewClient(s.txn.Client())
	starts, err := admin.ListStartOffsets(ctx, event.TopicState)
	if err = errors.Join(err, starts.Error()); err != nil {
		return fmt.Errorf("find the start of the changelog %q: %w", event.TopicState, err)
	}
	// Not only the committed part: what is still open may yet be committed, and
	// its fate is waited for.
	ends, err := admin.ListEndOffsets(ctx, event.TopicState)
	if err = errors.Join(err, ends.Error()); err != nil {
		return fmt.Errorf("find the end of the changelog %q: %w", event.TopicState, err)
	}
	span := func(p int32, from int64) (changes, error) {
		start, ok := starts.Lookup(event.TopicState, p)
		end, ok2 := ends.Lookup(event.TopicState, p)
		if !ok || !ok2 {
			return changes{}, fmt.Errorf("the changelog %q has no partition %d: give it as many partitions as the input topics (see 'flywheel topics check')", event.TopicState, p)
		}
		return changes{from: max(from, start.Offset), end: end.Offset}, nil
	}

	// What is in memory stays valid unless another processor has written since.
	kept := make(map[int32]changes)
	for _, p := range partitions {
		if w := s.workers[p]; w != nil {
			if kept[p], err = span(p, w.next); err != nil {
				return err
			}
			if kept[p].end < w.next { // it is another changelog by now
				w.touched = true
			}
		}
	}
	if err := s.read(ctx, kept, func(p int32, _ []*kgo.Record) error {
		s.workers[p].touched = true
		return nil
	}); err != nil {
		return err
	}
	s.dropTouched()

	fresh := make(map[int32]changes)
	for _, p := range partitions {
		if s.workers[p] != nil {
			continue
		}
		if fresh[p], err = span(p, 0); err != nil {
			return err
		}
		if s.workers[p], err = newWorker(p, s.cfg.Topology, s.registry); err != nil {
			return err
		}
		s.workers[p].touched = true // until it is complete
	}
	var count atomic.Int64
	if err := s.read(ctx, fresh, func(p int32, records []*kgo.Record) error {
		count.Add(int64(len(records)))
		return s.workers[p].restore(records)
	}); err != nil {
		return err
	}
	for p, c := range fresh {
		s.workers[p].next, s.workers[p].touched = c.end, false
	}
	s.restoreTook, s.restoredRecords = s.restoreTook+time.Since(started), s.restoredRecords+count.Load()
	s.metrics.restored(ctx, time.Since(started))
	s.logger.InfoContext(ctx, "state restored",
		slog.Int("flywheel.partitions.restored", len(fresh)), slog.Int("flywheel.partitions.kept", len(partitions)-len(fresh)),
		slog.Duration("flywheel.duration", time.Since(started)))
	return nil
}

// changes is a part of one partition of the changelog: offsets from to end,
// exclusive.
type changes struct{ from, end int64 }

// progressInterval lies between two log lines about a long restore.
const progressInterval = 5 * time.Second

// read hands the committed records of the changelog to apply, partitions in
// parallel, until each has reached its end. Control records are read as well:
// with them alone at the end, it would never come.
func (s *session) read(ctx context.Context, spans map[int32]changes, apply func(p int32, records []*kgo.Record) error) error {
	spans = maps.Clone(spans)
	maps.DeleteFunc(spans, func(_ int32, c changes) bool { return c.from >= c.end })
	if len(spans) == 0 {
		return nil
	}
	at := make(map[int32]kgo.Offset, len(spans))
	for p, c := range spans {
		at[p] = kgo.NewOffset().At(c.from)
	}
	opts, err := kafka.Options(s.kafka, s.logger, s.meters)
	if err != nil {
		return err
	}
	opts = append(opts,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{event.TopicState: at}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
	)
	client, err := kgo.NewClient(append(opts, s.options...)...)
	if err != nil {
		return fmt.Errorf("configure the client that reads the changelog: %w", err)
	}
	defer client.Close()

	reached := make(map[int32]int64, len(spans))
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	for {
		waiting, left := unread(spans, reached)
		if len(waiting) == 0 {
			return nil
		}
		s.restoring.stays(waitsForChangelog(waiting))
		wait, cancel := context.WithTimeout(ctx, progressInterval)
		fetches := client.PollFetches(wait)
		cancel()
		if err := fetches.Err(); err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
			return fmt.Errorf("read the changelog %q: %w", event.TopicState, err)
		}
		var parts []kgo.FetchTopicPartition
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if len(p.Records) > 0 {
				parts = append(parts, p)
				reached[p.Partition] = p.Records[len(p.Records)-1].Offset + 1
			}
		})
		errs := make([]error, len(parts))
		iter.Iterator[kgo.FetchTopicPartition]{MaxGoroutines: s.cfg.Workers}.ForEachIdx(parts, func(i int, p *kgo.FetchTopicPartition) {
			records := slices.DeleteFunc(p.Records, func(r *kgo.Record) bool { return r.Attrs.IsControl() })
			if len(records) > 0 {
				errs[i] = apply(p.Partition, records)
			}
		})
		if err := errors.Join(errs...); err != nil {
			return err
		}
		if len(parts) == 0 {
			continue
		}
		s.restoring.moves(time.Now(), waitsForEnds)
		select {
		case <-ticker.C:
			s.logger.InfoContext(ctx, "restoring state", slog.Int("flywheel.partitions.left", len(waiting)), slog.Int64("flywheel.records.left", left))
		default:
		}
	}
}

// unread returns of which partitions there is something to read, ascending, and how much.
func unread(spans map[int32]changes, reached map[int32]int64) (partitions []int32, left int64) {
	for p, c := range spans {
		if n := c.end - max(c.from, reached[p]); n > 0 {
			partitions, left = append(partitions, p), left+n
		}
	}
	slices.Sort(partitions)
	return partitions, left
}
