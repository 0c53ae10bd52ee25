package processor

import (
	"context"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"flywheel/pkg/outage"
	"flywheel/pkg/topology"
)

// pace keeps refreshing within its share of the time: it learns what a unit of
// work costs and says how many fit.
type pace struct {
	unitNs float64 // smoothed
	spent  atomic.Int64
	tookNs atomic.Int64
}

// unitNsDefault is roughly one evaluation, before any was measured.
const unitNsDefault = 150_000

// budget returns how much work each of n workers may do for a share of the time
// that has passed, workers of them at once; 0 takes the number of processors.
func (p *pace) budget(share float64, passed time.Duration, workers, n int) topology.Budget {
	parallel := runtime.GOMAXPROCS(0)
	if workers > 0 {
		parallel = min(parallel, workers)
	}
	unitNs := p.unitNs
	if unitNs == 0 {
		unitNs = unitNsDefault
	}
	mayNs := share * float64(passed.Nanoseconds()) * float64(parallel)
	return max(1, topology.Budget(mayNs/unitNs/float64(max(1, n))))
}

// worked notes what one worker has done.
func (p *pace) worked(spent topology.Budget, took time.Duration) {
	p.spent.Add(int64(spent))
	p.tookNs.Add(took.Nanoseconds())
}

// learn takes what was noted since the last time into account.
func (p *pace) learn() {
	const weight = 0.2
	spent, took := p.spent.Swap(0), p.tookNs.Swap(0)
	if spent == 0 {
		return
	}
	cost := float64(took) / float64(spent)
	if p.unitNs == 0 {
		p.unitNs = cost
	}
	p.unitNs += weight * (cost - p.unitNs)
}

// overdue tells when results fall due faster than they are made: the oldest input that
// no result shows has been old for a while, although there is no backlog, whose results
// are old by nature.
type overdue struct {
	waits  time.Duration // that results wait by configuration
	since  time.Time     // when results have become old; 0 while they are not
	outage outage.Outage
}

const (
	overdueAge = time.Minute // of the oldest input that no result shows
	overdueFor = time.Minute // what an outage has left is made within less

	// overdueIntervals is how many refresh intervals a result may wait: one of the past
	// waits four while input keeps coming.
	overdueIntervals = 5
)

// tell takes the age after a commit into account.
func (o *overdue) tell(ctx context.Context, logger *slog.Logger, now time.Time, age time.Duration, backlog bool) {
	switch {
	case backlog:
		o.since = time.Time{}
	case age < o.waits+overdueAge/2:
		o.since = time.Time{}
		if lasted, was := o.outage.Over(); was {
			logger.InfoContext(ctx, "results are made in time again", slog.Duration("flywheel.duration", lasted))
		}
	case age < o.waits+overdueAge:
	case o.since.IsZero():
		o.since = now
	case now.Sub(o.since) >= overdueFor:
		logger.Log(ctx, o.outage.Level(), "results fall due faster than they are made; add a processor, or raise processor.refresh_cpu_share",
			slog.Duration("flywheel.staleness", age))
	}
}
