// Package run supervises the units of a process: what blocks until it is told
// to stop, such as a consumer, a server or a poller.
//
// The life cycle, exactly:
//
//   - Units start in the order they were added. A unit with a Ready channel holds
//     back the next one until the channel is closed. So a unit is added after
//     what it depends on.
//   - The group stops for the first of these reasons: its context ends, a unit
//     returns an error, a unit panics, or a unit returns without having been asked
//     to. That reason is the error of Run, naming the unit; the end of the context
//     is none. [ErrDone] is how a unit ends the group without an error.
//   - Units stop in reverse order: the context of the last one started is
//     cancelled, Run waits until it has returned, then comes the one before. What
//     depends on others is so gone before they are. [context.Cause] of a unit's
//     context tells why.
//   - A unit asked to stop may return nil, its context's error or the cause of it.
//     Any other error is joined behind the first.
//   - All of stopping has Drain to finish. Then every unit left is cancelled at
//     once, has one second more, and is named in the error if it still runs. Run
//     returns regardless: its process is about to exit.
//   - A panic becomes an error that holds the stack of the unit.
package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sourcegraph/conc/panics"
)

// ErrDone ends the group without an error when a unit returns it: the work of
// the process is complete.
var ErrDone = errors.New("done")

// errStop is the cause of a unit's cancellation when the caller's context ended.
var errStop = errors.New("the process was asked to stop")

const (
	drainDefault = 25 * time.Second // within the 30 s that Kubernetes grants
	grace        = time.Second
)

// Unit is one part of a process.
type Unit struct {
	// Name says which unit it is in errors.
	Name string
	// Run blocks until ctx ends, drains, and returns.
	Run func(ctx context.Context) error
	// Ready is closed by the unit once others may depend on it; nil means at once.
	Ready <-chan struct{}
}

// Group is the units of a process. The zero Group is ready to use, once.
type Group struct {
	// Drain bounds the time that stopping takes; 0 means 25 s.
	Drain time.Duration

	units []Unit
}

// Add appends units in the order they start.
func (g *Group) Add(units ...Unit) { g.units = append(g.units, units...) }

// Run starts the units, waits for the first reason to stop, stops them and
// returns that reason. See the package comment.
func (g *Group) Run(ctx context.Context) error {
	ended := make(chan *running, len(g.units))
	started, err := g.start(ctx, ended)
	if err == nil {
		err = wait(ctx, ended)
	}
	failures := []error{err}
	if errors.Is(err, ErrDone) || errors.Is(err, errStop) {
		failures = nil
	}
	return errors.Join(append(failures, g.stop(started, err)...)...)
}

// running is a unit that was started.
type running struct {
	Unit
	cancel context.CancelCauseFunc
	done   chan struct{} // closed after err is set
	err    error
	told   bool // its end is the reason to stop, so it is reported already
}

// start starts units until one holds back the next for ever; the error is then
// the reason to stop.
func (g *Group) start(ctx context.Context, ended chan *running) ([]*running, error) {
	var started []*running
	for _, u := range g.units {
		if ctx.Err() != nil {
			return started, errStop
		}
		// Not a child of ctx: the end of ctx must reach the units one by one.
		unitCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		r := &running{Unit: u, cancel: cancel, done: make(chan struct{})}
		started = append(started, r)
		go func() {
			if p := panics.Try(func() { r.err = u.Run(unitCtx) }); p != nil {
				r.err = p.AsError()
			}
			close(r.done)
			ended <- r
		}()
		if u.Ready == nil {
			continue
		}
		select {
		case <-u.Ready:
		case r := <-ended:
			return started, r.reason()
		case <-ctx.Done():
			return started, errStop
		}
	}
	return started, nil
}

// wait returns the first reason to stop.
func wait(ctx context.Context, ended <-chan *running) error {
	select {
	case r := <-ended:
		return r.reason()
	case <-ctx.Done():
		return errStop
	}
}

// reason says why the end of a unit that nobody asked to stop ends the group.
func (r *running) reason() error {
	r.told = true
	switch {
	case r.err == nil:
		return fmt.Errorf("%s ended although nobody asked it to", r.Name)
	case errors.Is(r.err, ErrDone):
		return ErrDone
	}
	return fmt.Errorf("%s: %w", r.Name, r.err)
}

// stop cancels the units in reverse order, waits for each, and returns what
// went wrong on the way.
func (g *Group) stop(started []*running, why error) []error {
	drain := g.Drain
	if drain == 0 {
		drain = drainDefault
	}
	deadline := time.NewTimer(drain)
	defer deadline.Stop()

	var failures []error
	for i := len(started) - 1; i >= 0; i-- {
		r := started[i]
		r.cancel(why)
		select {
		case <-r.done:
			failures = append(failures, r.failure(why)...)
		case <-deadline.C:
			return append(failures, abandon(started[:i+1], why, drain)...)
		}
	}
	return failures
}

// failure returns what a unit that was stopped for a reason has to report: at
// most one error.
func (r *running) failure(why error) []error {
	if r.told || r.err == nil || errors.Is(r.err, context.Canceled) || errors.Is(r.err, ErrDone) || why != nil && errors.Is(r.err, why) {
		return nil
	}
	return []error{fmt.Errorf("stop %s: %w", r.Name, r.err)}
}

// abandon cancels all units at once and names those that will not end.
func abandon(units []*running, why error, drain time.Duration) []error {
	for _, r := range units {
		r.cancel(why)
	}
	last := time.NewTimer(grace)
	defer last.Stop()

	var failures []error
	var left []string
	expired := false
	for _, r := range units {
		if !expired {
			select {
			case <-r.done:
			case <-last.C:
				expired = true
			}
		}
		select {
		case <-r.done:
			failures = append(failures, r.failure(why)...)
		default:
			left = append(left, r.Name)
		}
	}
	if len(left) == 0 {
		return append(failures, fmt.Errorf("stopping took longer than %s", drain))
	}
	return append(failures, fmt.Errorf("stopping took longer than %s and leaves %s running", drain, strings.Join(left, ", ")))
}
