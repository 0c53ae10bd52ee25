package run_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"flywheel/pkg/run"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDisk = errors.New("the disk is full")

// recorder writes down what units do, in order. The units of a bubble take
// turns, since each of them sleeps a time of its own before it writes.
type recorder struct{ events chan string }

func newRecorder() *recorder { return &recorder{make(chan string, 1000)} }

func (r *recorder) add(format string, args ...any) { r.events <- fmt.Sprintf(format, args...) }

func (r *recorder) all() []string {
	close(r.events)
	var all []string
	for e := range r.events {
		all = append(all, e)
	}
	return all
}

// unit runs until it is asked to stop, and takes drain to do so.
func (r *recorder) unit(name string, drain time.Duration) run.Unit {
	return run.Unit{Name: name, Run: func(ctx context.Context) error {
		r.add("start %s", name)
		<-ctx.Done()
		time.Sleep(drain)
		r.add("stop %s", name)
		return ctx.Err()
	}}
}

// after returns err once d has passed, or nil when it is asked to stop before.
func after(name string, d time.Duration, err error) run.Unit {
	return run.Unit{Name: name, Run: func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return err
		case <-ctx.Done():
			return nil
		}
	}}
}

func TestTheReasonToStop(t *testing.T) {
	for name, tc := range map[string]struct {
		units []run.Unit
		want  string // the whole error, empty for none
		took  time.Duration
	}{
		"the context ends": {
			units: []run.Unit{after("sink", 2*time.Hour, nil)},
			took:  time.Hour,
		},
		"no units at all": {took: time.Hour},
		"a unit fails": {
			units: []run.Unit{after("sink", time.Minute, errDisk), after("server", 2*time.Hour, nil)},
			want:  "sink: the disk is full", took: time.Minute,
		},
		"a unit ends without being asked": {
			units: []run.Unit{after("sink", time.Minute, nil), after("server", 2*time.Hour, nil)},
			want:  "sink ended although nobody asked it to", took: time.Minute,
		},
		"a unit is done": {
			units: []run.Unit{after("server", 2*time.Hour, nil), after("ingest", time.Minute, fmt.Errorf("file read: %w", run.ErrDone))},
			took:  time.Minute,
		},
		"the first of two failures": {
			units: []run.Unit{after("sink", time.Minute, errDisk), after("server", time.Second, errors.New("port taken"))},
			want:  "server: port taken", took: time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				begin := time.Now()
				var g run.Group
				g.Add(tc.units...)
				if err := g.Run(ctx); text(err) != tc.want {
					t.Errorf("got %q, want %q", text(err), tc.want)
				}
				if took := time.Since(begin); took != tc.took {
					t.Errorf("took %s, want %s", took, tc.took)
				}
			})
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestAPanicIsAnErrorWithItsStack(t *testing.T) {
	var g run.Group
	g.Add(run.Unit{Name: "sink", Run: func(context.Context) error { panic(errDisk) }})
	err := g.Run(t.Context())
	if !errors.Is(err, errDisk) || !strings.HasPrefix(text(err), "sink: ") || !strings.Contains(text(err), "run_test.go:") {
		t.Errorf("got %v", err)
	}
}

func TestAFailureWhileStoppingFollowsTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g run.Group
		g.Add(
			run.Unit{Name: "sink", Run: func(ctx context.Context) error {
				<-ctx.Done()
				return fmt.Errorf("last batch: %w", errDisk)
			}},
			after("server", time.Second, errors.New("port taken")),
		)
		if err := g.Run(t.Context()); text(err) != "server: port taken\nstop sink: last batch: the disk is full" {
			t.Errorf("got %v", err)
		}
	})
}

func TestAUnitLearnsWhyItStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		var g run.Group
		g.Add(
			run.Unit{Name: "sink", Run: func(ctx context.Context) error {
				<-ctx.Done()
				cause = context.Cause(ctx)
				return ctx.Err()
			}},
			after("server", time.Second, errDisk),
		)
		if err := g.Run(t.Context()); !errors.Is(err, errDisk) || !errors.Is(cause, errDisk) {
			t.Errorf("Run returned %v, the unit's cause was %v", err, cause)
		}
	})
}

// What net/http returns when its context ends is the cause, and not the context's
// error.
func TestTheCauseIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		unit := run.Unit{Name: "migrate", Run: func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("apply a migration: %w", context.Cause(ctx))
		}}
		var g run.Group
		g.Add(unit)
		if err := g.Run(ctx); err != nil {
			t.Errorf("the group was asked to stop, and got %v", err)
		}
		g = run.Group{}
		g.Add(unit, after("server", time.Second, errDisk))
		if err := g.Run(t.Context()); text(err) != "server: the disk is full" {
			t.Errorf("a unit failed, and got %v", err)
		}
	})
}

func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		rec := newRecorder()
		ready := make(chan struct{})
		broker := rec.unit("broker", 3*time.Second)
		broker.Ready = ready
		var g run.Group
		g.Add(broker, rec.unit("consumer", 5*time.Second))
		go func() {
			time.Sleep(time.Second)
			rec.add("ready")
			close(ready)
			time.Sleep(time.Second)
			cancel()
		}()
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
		want := []string{"start broker", "ready", "start consumer", "stop consumer", "stop broker"}
		if got := rec.all(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestAUnitThatNeverGetsReadyHoldsNothingUp(t *testing.T) {
	for name, tc := range map[string]struct {
		first run.Unit
		want  string
	}{
		"when it fails":         {after("broker", time.Second, errDisk), "broker: the disk is full"},
		"when the context ends": {after("broker", 2*time.Hour, nil), ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				tc.first.Ready = make(chan struct{})
				var g run.Group
				g.Add(tc.first, run.Unit{Name: "consumer", Run: func(context.Context) error {
					t.Error("the consumer was started without its broker")
					return nil
				}})
				if err := g.Run(ctx); text(err) != tc.want {
					t.Errorf("got %q, want %q", text(err), tc.want)
				}
			})
		})
	}
}

func TestDrainIsBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		drain time.Duration // that the stubborn unit takes
		want  string
		took  time.Duration
	}{
		"within the time":       {9 * time.Second, "", 9 * time.Second},
		"within the last grace": {10*time.Second + 500*time.Millisecond, "stopping took longer than 10s", 10*time.Second + 500*time.Millisecond},
		"never":                 {time.Hour, "stopping took longer than 10s and leaves consumer running", 11 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				cancelled := false
				rec := newRecorder()
				g := run.Group{Drain: 10 * time.Second}
				g.Add(
					run.Unit{Name: "broker", Run: func(ctx context.Context) error {
						<-ctx.Done()
						cancelled = true
						return nil
					}},
					rec.unit("consumer", tc.drain),
				)
				time.AfterFunc(time.Second, cancel)
				begin := time.Now()
				err := g.Run(ctx)
				if text(err) != tc.want {
					t.Errorf("got %q, want %q", text(err), tc.want)
				}
				if took := time.Since(begin) - time.Second; took != tc.took {
					t.Errorf("took %s, want %s", took, tc.took)
				}
				if !cancelled {
					t.Error("the broker was not told to stop")
				}
				time.Sleep(tc.drain) // until the stubborn unit has gone as well
			})
		})
	}
}

// Whatever the units do: they start in order, the last started stops first, and
// one stops only after the next has.
func TestStopsInReverseOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		drains := rapid.SliceOfN(rapid.IntRange(0, 1000), 1, 6).Draw(rt, "drain_ms")
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			rec := newRecorder()
			var g run.Group
			var want []string
			for i, ms := range drains {
				name := fmt.Sprint(i)
				g.Add(rec.unit(name, time.Duration(ms)*time.Millisecond))
				want = append([]string{"stop " + name}, want...)
			}
			if err := g.Run(ctx); err != nil {
				rt.Error(err)
			}
			if got := rec.all()[len(drains):]; !slices.Equal(got, want) {
				rt.Errorf("got %q, want %q", got, want)
			}
		})
	})
}
