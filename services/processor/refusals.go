package processor

import (
	"context"
	"log/slog"
	"time"

	"flywheel/pkg/event"
)

// refusalsInterval lies between two lines about refused records.
const refusalsInterval = time.Minute

// refusals counts the records that were refused since a line told of some.
type refusals struct {
	reasons map[event.Reason]int64
	told    time.Time
}

// tell logs how many records were refused for which reason: of the first at once, of
// others once a minute. It is information: nothing is lost, and the processor is well.
func (r *refusals) tell(ctx context.Context, logger *slog.Logger, now time.Time, committed tally) {
	for _, k := range committed {
		if k.outcome == outcomeApplied || k.outcome == outcomeSuperseded {
			continue
		}
		if r.reasons == nil {
			r.reasons = make(map[event.Reason]int64)
		}
		r.reasons[k.outcome] += k.n
	}
	if len(r.reasons) == 0 || now.Sub(r.told) < refusalsInterval {
		return
	}
	logger.InfoContext(ctx, "records were refused; the dead-letter topic holds each, with the reason and what to do",
		slog.Any("flywheel.outcomes", r.reasons))
	r.reasons, r.told = nil, now
}
