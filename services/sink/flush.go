package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/sourcegraph/conc/iter"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/plugin/kotel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/fault"
)

// errStopped ends a session whose rows could not be written before the sink had
// to stop. They are read again.
var errStopped = errors.New("the sink was stopped before all rows were written; they will be read again")

// span is a range of rows of a table.
type span struct{ from, to int }

// writing is the part of a table's rows that is not written yet.
type writing struct {
	table   *table
	left    []span
	refused []refusal
	err     error // of the last attempt; nil when nothing is left
}

// refusal is a row that ClickHouse does not take.
type refusal struct {
	row int
	why error
}

// flush writes what was taken, and commits its offsets once ClickHouse has
// acknowledged all of it. It tries until it succeeds. When ctx ends it has
// cfg.DrainTimeout left.
func (s *session) flush(ctx context.Context) error {
	if !s.holds() {
		s.commits(ctx) // what was not committed is another's to commit
		return nil
	}
	ctx, cancel := outlast(ctx, s.cfg.DrainTimeout)
	defer cancel()
	ctx, span := s.startSpan(ctx)
	defer span.End()
	started := time.Now()
	if err := s.write(ctx); err != nil {
		span.SetStatus(codes.Error, err.Error())
		return err
	}
	if err := s.publish(ctx); err != nil {
		span.SetStatus(codes.Error, err.Error())
		return err
	}
	fault.Reached(fault.SinkInserted)
	s.commit(ctx)
	if s.goal != nil {
		s.goal.committed(s)
	}
	s.metrics.flushed(ctx, s, time.Since(started))
	s.reset()
	return nil
}

// holds says whether anything was taken since the last flush.
func (s *session) holds() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, partitions := range s.held {
		if len(partitions) > 0 {
			return true
		}
	}
	return s.rows > 0 || len(s.parked) > 0
}

// outlast returns a context that ends some time after its parent.
func outlast(parent context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() {
		select {
		case <-time.After(by):
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		stop()
		cancel()
	}
}

// linksMax bounds how many of the traces that led to a flush it links to.
const linksMax = 16

func (s *session) startSpan(ctx context.Context) (context.Context, trace.Span) {
	ctx, span := s.tracer.Start(ctx, "flush rows", trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.Int("messaging.batch.message_count", s.rows)))
	if !span.IsRecording() {
		return ctx, span
	}
	links := 0
	for _, t := range s.tables {
		if links == linksMax || len(t.records) == 0 || len(t.records[0].Headers) == 0 {
			continue
		}
		from := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), kotel.NewRecordCarrier(t.records[0])))
		if from.IsValid() {
			span.AddLink(trace.Link{SpanContext: from})
			links++
		}
	}
	return ctx, span
}

// write inserts all rows, table beside table, and tries again what fails for
// the server's fault. Meanwhile nothing is polled, so memory does not grow, and
// the group may take partitions away.
func (s *session) write(ctx context.Context) error {
	rows := s.rows
	var all []*writing
	for _, t := range s.tables {
		if n := len(t.records); n > 0 {
			all = append(all, &writing{table: t, left: []span{{0, n}}})
		}
	}
	s.writing.Store(time.Now().UnixMilli())
	defer s.writing.Store(0)
	slow := time.AfterFunc(writingLong, func() {
		s.logger.Log(ctx, s.unanswered.Level(), "clickhouse has not acknowledged rows; they wait for its answer", slog.Int("flywheel.rows", rows), slog.Duration("flywheel.duration", writingLong))
	})
	defer slow.Stop()
	again := newPause(s.cfg.RetryPause)
	for left := all; ; {
		iter.Iterator[*writing]{MaxGoroutines: s.clickhouse.ConnsMax}.ForEach(left, func(w **writing) { (*w).err = s.insert(ctx, *w) })
		left = slices.DeleteFunc(slices.Clone(left), func(w *writing) bool { return w.err == nil })
		if len(left) == 0 {
			break
		}
		for _, w := range left {
			if clickhouse.FaultOf(w.err) == clickhouse.FaultSchema {
				return fmt.Errorf("the tables of ClickHouse have changed under the sink: %w and start it again: %w", clickhouse.ErrMigrate, w.err)
			}
		}
		if ctx.Err() != nil {
			return errStopped
		}
		s.troubles.set(ofClickHouse, left[0].err)
		s.metrics.retries.Add(ctx, int64(len(left)))
		s.logger.Log(ctx, s.unwritten.Level(), "clickhouse does not take rows; they wait",
			slog.Int("flywheel.rows", s.rows), slog.Any("error.message", left[0].err), slog.Duration("flywheel.pause", again.next))
		s.client.AllowRebalance()
		if again.wait(ctx) != nil {
			return errStopped
		}
	}
	s.writes(ctx)
	for _, w := range all {
		s.metrics.written(ctx, w.table.name, len(w.table.records)-len(w.refused))
		if s.goal != nil {
			s.goal.written(w.table.name, len(w.table.records)-len(w.refused))
		}
		for _, r := range w.refused {
			s.park(ctx, w.table.name, w.table.records[r.row], r.why)
		}
	}
	return nil
}

// insert writes what is left of a table's rows. Rows that are refused are
// halved until the one at fault is found.
func (s *session) insert(ctx context.Context, w *writing) error {
	for len(w.left) > 0 {
		rows := w.left[0]
		fault.Reached(fault.SinkInserting)
		attempt, cancel := context.WithTimeout(ctx, s.clickhouse.QueryTimeout)
		err := w.table.insert(attempt, s.conn, rows)
		cancel()
		switch {
		case err == nil:
			w.left = w.left[1:]
		case clickhouse.FaultOf(err) != clickhouse.FaultRows:
			return err
		case rows.to-rows.from == 1:
			w.refused = append(w.refused, refusal{rows.from, err})
			w.left = w.left[1:]
		default:
			middle := (rows.from + rows.to) / 2
			w.left = slices.Replace(w.left, 0, 1, span{rows.from, middle}, span{middle, rows.to})
		}
	}
	return nil
}

// commit tells the group how far the rows are written. What it fails for is
// tried again with the next flush; a crash meanwhile only has the rows written
// once more.
func (s *session) commit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.SessionTimeout)
	defer cancel()
	s.mu.Lock() // a partition is not released in the middle of it
	defer s.mu.Unlock()
	var failed error
	s.client.CommitOffsetsSync(ctx, s.held, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		failed = err
		if err == nil {
			failed = refusedCommit(resp)
		}
	})
	if failed != nil {
		s.metrics.commits.Add(ctx, 1)
		s.troubles.set(ofOffsets, fmt.Errorf("commit as a member of group %q: %w", s.cfg.Group, failed))
		s.logger.Log(ctx, s.uncommitted.Level(), "offsets were not committed; trying again", slog.Any("error.message", failed))
		return
	}
	fault.Reached(fault.SinkCommitted)
	clear(s.held)
	s.commits(ctx)
}

// commits notes that no offset waits to be committed.
func (s *session) commits(ctx context.Context) {
	s.troubles.set(ofOffsets, nil)
	if lasted, was := s.uncommitted.Over(); was {
		s.logger.InfoContext(ctx, "offsets are committed again", slog.Duration("flywheel.duration", lasted))
	}
}

// reset forgets what was taken.
func (s *session) reset() {
	for _, t := range s.tables {
		t.reset()
	}
	s.rows, s.bytes, s.polled, s.oldest, s.parked = 0, 0, 0, time.Time{}, nil
	s.oldestMs.Store(0)
	clear(s.counts)
}
