package simulator

import (
	"context"
	"time"
)

// pace says when a record is due: by schedule, whatever Kafka does. Backfill is
// due at a rate, live play when its event time comes; live play begins when the
// backfill is sent.
type pace struct {
	perRecord time.Duration
	speed     float64
	liveMs    int64 // event time
	backfill  time.Time
	live      time.Time // zero before live play
	n         int64
}

func newPace(cfg Config, liveMs int64, now time.Time) *pace {
	return &pace{perRecord: time.Second / time.Duration(cfg.Rate), speed: cfg.Speed, liveMs: liveMs, backfill: now}
}

// due returns the moment the next record, which is observed at a moment of
// event time, is due.
func (p *pace) due(observedMs int64, now time.Time) time.Time {
	if observedMs < p.liveMs {
		p.n++
		return p.backfill.Add(time.Duration(p.n-1) * p.perRecord)
	}
	if p.live.IsZero() {
		p.live = now
	}
	return p.live.Add(time.Duration(float64(observedMs-p.liveMs) / p.speed * float64(time.Millisecond)))
}

// early is how long before its time a record may be sent: sleeping for less
// costs more than it is worth.
const early = 2 * time.Millisecond

// sleep waits until a moment, or until ctx ends; then it is false.
func sleep(ctx context.Context, d time.Duration) bool {
	if d < early {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
