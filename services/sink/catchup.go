package sink

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"flywheel/pkg/kafka"
	"flywheel/pkg/usage"
)

// Report is what a sink did until it had caught up. Everything counted was
// acknowledged by ClickHouse and committed.
type Report struct {
	Records int64            `json:"records"` // of all topics
	Rows    int64            `json:"rows"`    // the others were passed over or parked
	Tables  map[string]int64 `json:"tables"`  // rows by table
	Skipped map[string]int64 `json:"skipped"` // records without a row, by reason
	Flushes int64            `json:"flushes"`

	Seconds              float64 `json:"seconds"` // from the first assignment to the last commit
	RowsPerSecond        float64 `json:"rows_per_s"`
	CPUSeconds           float64 `json:"cpu_seconds"`             // of this process since its start
	CPUSecondsPerMillion float64 `json:"cpu_seconds_per_million"` // rows

	HeapBytes   int64 `json:"heap_bytes"` // alive at the end
	RSSBytesMax int64 `json:"rss_bytes_max"`
}

// goal is to have written what Kafka held at the beginning.
type goal struct {
	spans   kafka.Spans
	reached context.CancelFunc
	report  Report
	err     error

	mu    sync.Mutex // franz-go's goroutine tells what is owned
	began time.Time
	owned map[string]map[int32]bool
}

// CatchUp does what Run does, until everything is written that Kafka held when
// it began, of the partitions that the group gives to this sink. One that is given
// none waits until the others have written it. It returns what was done. If ctx
// ends before, that is its error.
func (s *Sink) CatchUp(ctx context.Context) (Report, error) {
	run, reached := context.WithCancel(ctx)
	defer reached()
	g := &goal{
		reached: reached, owned: make(map[string]map[int32]bool),
		report: Report{Tables: make(map[string]int64), Skipped: make(map[string]int64)},
	}
	s.goal = g
	if err := errors.Join(s.Run(run), g.err); err != nil {
		return Report{}, err
	}
	if ctx.Err() != nil {
		return Report{}, errors.New("stopped before everything was written: what was committed stays, run it again for the rest")
	}
	return g.report, nil
}

// assigned and released note which partitions the group gives and takes.
func (g *goal) assigned(added map[string][]int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.began.IsZero() {
		g.began = time.Now()
	}
	for topic, partitions := range added {
		if g.owned[topic] == nil {
			g.owned[topic] = make(map[int32]bool)
		}
		for _, p := range partitions {
			g.owned[topic][p] = true
		}
	}
}

func (g *goal) released(gone map[string][]int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for topic, partitions := range gone {
		for _, p := range partitions {
			delete(g.owned[topic], p)
		}
	}
}

// committed adds a flush up, all rows of which are written.
func (g *goal) committed(s *session) {
	g.report.Flushes++
	g.report.Records += int64(s.polled)
	for k, n := range s.counts {
		g.report.Skipped[string(k.reason)] += n
	}
}

// written counts rows that ClickHouse has acknowledged.
func (g *goal) written(table string, rows int) {
	g.report.Rows += int64(rows)
	g.report.Tables[table] += int64(rows)
}

// look says, between two flushes, whether the goal is reached.
func (g *goal) look(ctx context.Context, s *session) {
	owns, done := g.lookAtOwn(s)
	if !owns && done {
		// The first generation of a member that joins gives it nothing as well: the
		// others let go of partitions first. A Kafka that is away is told by watch.
		if done, _ = g.spans.Committed(ctx, s.client, s.cfg.Group); done {
			s.logger.InfoContext(ctx, "the other sinks of the group have caught up; this one has no partition")
		}
	}
	if !done {
		return
	}
	r := &g.report
	used, err := usage.Now()
	r.Seconds, r.CPUSeconds, r.RSSBytesMax = time.Since(g.began).Seconds(), used.CPUSeconds, used.RSSBytesMax
	if r.Rows > 0 {
		r.RowsPerSecond = float64(r.Rows) / r.Seconds
		r.CPUSecondsPerMillion = r.CPUSeconds * 1e6 / float64(r.Rows)
	}
	runtime.GC()
	after, err2 := usage.Now()
	r.HeapBytes = after.HeapBytes
	g.err = errors.Join(err, err2)
	g.reached()
}

// lookAtOwn says whether the group has given this sink partitions, and whether all of
// them are written.
func (g *goal) lookAtOwn(s *session) (owns, done bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.began.IsZero() {
		return false, false
	}
	committed := s.client.CommittedOffsets()
	for topic, partitions := range g.owned {
		for p := range partitions {
			owns = true
			next := int64(-1)
			if at, ok := committed[topic][p]; ok {
				next = at.Offset
			}
			if !g.spans.Reached(topic, p, next) {
				return true, false
			}
		}
	}
	return owns, true
}
