package processor

import (
	"context"
	"errors"
	"runtime"
	"time"

	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/pkg/topology"
	"flywheel/pkg/usage"
)

// Report is what a processor did until it had caught up. Everything counted was
// committed. Times and memory are 0 of one that the group has no partition for.
type Report struct {
	Events       int64 `json:"events"`       // input records, those refused among them
	DeadLetters  int64 `json:"dead_letters"` // published for them
	Correlations int64 `json:"correlations"` // results
	Credits      int64 `json:"credits"`
	Spikes       int64 `json:"spikes"`
	Transactions int64 `json:"transactions"`
	Evaluations  int64 `json:"evaluations"` // of one force of one brand

	Seconds              float64 `json:"seconds"` // from the restored state to the commit of the last event
	EventsPerSecond      float64 `json:"events_per_s"`
	CPUSeconds           float64 `json:"cpu_seconds"` // of this process since its start, up to that commit
	CPUSecondsPerMillion float64 `json:"cpu_seconds_per_million"`
	SettledSeconds       float64 `json:"settled_seconds"` // up to the last result that was due
	SettledCPUSeconds    float64 `json:"settled_cpu_seconds"`
	RestoreSeconds       float64 `json:"restore_seconds"`
	RestoredRecords      int64   `json:"restored_records"` // of the changelog

	ChangelogRecords int64 `json:"changelog_records"`
	ChangelogBytes   int64 `json:"changelog_bytes"` // keys and values, before compression

	Brands      int64 `json:"brands"`
	StateBytes  int64 `json:"state_bytes"` // estimated memory of the brands
	HeapBytes   int64 `json:"heap_bytes"`  // alive at the end
	RSSBytesMax int64 `json:"rss_bytes_max"`
}

// produced counts what a worker has added to transactions.
type produced struct {
	correlations, credits, spikes, letters, evaluations int64
	changes, changeBytes                                int64
}

func (p *produced) count(topic string) {
	switch topic {
	case event.TopicCorrelation:
		p.correlations++
	case event.TopicCredit:
		p.credits++
	case event.TopicSpike:
		p.spikes++
	case event.TopicDeadLetter:
		p.letters++
	}
}

// goal is to have processed what Kafka held at the beginning. Only the loop of
// a session touches it.
type goal struct {
	spans   kafka.Spans
	reached context.CancelFunc
	began   time.Time // when the first partitions were restored
	report  Report
	err     error
}

// CatchUp does what Run does, until everything is processed that Kafka held when
// it began, of the partitions that the group gives to this processor, and every
// result due is published. One that is given none waits until the others have
// processed it, and takes over from one that does not. It returns what was done.
// If ctx ends before, that is its error.
func (p *Processor) CatchUp(ctx context.Context) (Report, error) {
	run, reached := context.WithCancel(ctx)
	defer reached()
	g := &goal{reached: reached}
	p.goal = g
	if err := errors.Join(p.Run(run), g.err); err != nil {
		return Report{}, err
	}
	if ctx.Err() != nil {
		return Report{}, errors.New("stopped before everything was processed: what was committed stays, run it again for the rest")
	}
	return g.report, nil
}

// committed adds a transaction up.
func (g *goal) committed(t *transaction) {
	r := &g.report
	r.Transactions++
	r.Events += int64(t.records)
	for _, w := range t.workers {
		made := w.made
		r.DeadLetters += made.letters
		r.Correlations += made.correlations
		r.Credits += made.credits
		r.Spikes += made.spikes
		r.Evaluations += made.evaluations
		r.ChangelogRecords += made.changes
		r.ChangelogBytes += made.changeBytes
	}
}

// look says, between two transactions, how far the goal is reached.
func (g *goal) look(ctx context.Context, s *session) error {
	if s.spare.Load() {
		done, err := g.spans.Committed(ctx, s.txn.Client(), s.cfg.Group)
		if done {
			s.logger.InfoContext(ctx, "the other processors of the group have caught up; this one has no partition")
			g.reached()
		}
		return err
	}
	g.lookAtOwn(s)
	return nil
}

// lookAtOwn looks at the partitions that are this processor's.
func (g *goal) lookAtOwn(s *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current() == nil {
		return // nothing assigned yet
	}
	if g.began.IsZero() {
		g.began = s.restoredAt
	}
	r := &g.report
	took := time.Since(g.began).Seconds()
	if r.Seconds == 0 {
		for _, w := range s.owned {
			for i := range w.queues {
				if q := &w.queues[i]; !g.spans.Reached(q.topic, w.partition, q.committed) {
					return
				}
			}
		}
		used, err := usage.Now()
		g.err = err
		r.Seconds, r.CPUSeconds = took, used.CPUSeconds
		if r.Events > 0 {
			r.EventsPerSecond = float64(r.Events) / took
			r.CPUSecondsPerMillion = used.CPUSeconds * 1e6 / float64(r.Events)
		}
	}
	if s.dirty.Load() && g.err == nil {
		return
	}
	used, err := usage.Now()
	r.SettledSeconds, r.SettledCPUSeconds = took, used.CPUSeconds
	r.RestoreSeconds, r.RestoredRecords = s.restoreTook.Seconds(), s.restoredRecords
	var stats topology.Stats
	for _, w := range s.owned {
		stats = w.state.Stats()
		r.Brands += int64(stats.Brands)
		r.StateBytes += stats.Bytes
	}
	runtime.GC()
	after, err2 := usage.Now()
	r.HeapBytes, r.RSSBytesMax = after.HeapBytes, used.RSSBytesMax
	g.err = errors.Join(g.err, err, err2)
	g.reached()
}
