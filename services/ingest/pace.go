package ingest

import (
	"context"
	"time"
)

// pace holds events back so that the time between them is that of the series,
// divided by the speed. At speed 0 it holds back nothing.
type pace struct {
	speed       float64
	first       time.Time // event time of the first event
	start       time.Time // when it was let go
	initialised bool
}

// wait returns when the event of that time is due, or when ctx ends.
func (p *pace) wait(ctx context.Context, at time.Time) error {
	if p.speed == 0 {
		return ctx.Err()
	}
	if !p.initialised {
		p.initialised, p.first, p.start = true, at, time.Now()
	}
	due := p.start.Add(time.Duration(float64(at.Sub(p.first)) / p.speed))
	delay := time.Until(due)
	if delay <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
