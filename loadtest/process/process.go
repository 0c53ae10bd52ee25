// Package process runs programs of which somebody wants to know how they end: the
// services of the pipeline, and the servers they need. On Linux they end with the process
// that began them, however that ends.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Process is one life of a program. Its methods may be called by several goroutines; on a nil
// Process, which is none that was started, Running is false and Kill and Stop do nothing.
type Process struct {
	Name string // for errors, such as "processor-one"

	cmd    *exec.Cmd
	log    string // file of its output, which all lives share
	from   int64  // where in the file this one begins
	killed atomic.Bool
	asked  atomic.Bool   // to end
	ended  chan struct{} // closed when it is gone and reaped
}

// Start starts a command, with its output at the end of the log file. The command's
// Env comes on top of the variables of this process, of which those that configure
// Flywheel are left out: what is tried must not depend on the shell it is tried in.
func Start(name, log string, cmd *exec.Cmd) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer out.Close() //nolint:errcheck // nothing was written; the process has a handle of its own
	p := &Process{Name: name, log: log, cmd: cmd, ended: make(chan struct{})}
	if p.from, err = out.Seek(0, io.SeekEnd); err != nil {
		return nil, fmt.Errorf("find the end of the log of %s: %w", name, err)
	}
	cmd.Env = append(foreign(os.Environ()), cmd.Env...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, attributes()
	started := make(chan error)
	go func() {
		// The system ends the process with the thread that began it: this one stays as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the state says how it ended
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// foreign returns the variables that do not configure Flywheel.
func foreign(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, "FLYWHEEL_") })
}

// ID is the system's number of the process.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Log is the file that the process writes to.
func (p *Process) Log() string { return p.log }

// Ended is closed once the process is gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Running tells whether the process has not ended yet.
func (p *Process) Running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// ExitCode is that of the process, which it waits for; −1 when a signal ended it.
func (p *Process) ExitCode() int {
	<-p.ended
	return p.cmd.ProcessState.ExitCode()
}

// KilledItself waits for the end and tells whether it was a SIGKILL that is not
// ours: at a point of package fault.
func (p *Process) KilledItself() bool {
	<-p.ended
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL && !p.killed.Load()
}

// Wait waits for a process that ends by itself. It is an error if that was not in
// peace; one that is still there when ctx ends is killed.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("wait for %s: %w", p.Name, ctx.Err()), p.Kill())
	case <-p.ended:
	}
	if p.ExitCode() != 0 {
		return p.Failure()
	}
	return nil
}

// logInterval is how often a log is looked at.
const logInterval = 20 * time.Millisecond

// Says waits until the process has logged a text. It is an error if it ends
// before, or takes longer than a time.
func (p *Process) Says(ctx context.Context, text string, atMost time.Duration) error {
	return p.hear(ctx, strconv.Quote(text), atMost, func(log []byte) bool { return bytes.Contains(log, []byte(text)) })
}

// Finds waits as Says does until the process has logged what fits an expression, and
// returns what fits its group.
func (p *Process) Finds(ctx context.Context, expression *regexp.Regexp, atMost time.Duration) (found string, err error) {
	err = p.hear(ctx, expression.String(), atMost, func(log []byte) bool {
		match := expression.FindSubmatch(log)
		if match != nil {
			found = string(match[1])
		}
		return match != nil
	})
	return found, err
}

// hear waits until what the process has logged holds what is wanted.
func (p *Process) hear(ctx context.Context, wanted string, atMost time.Duration, holds func(log []byte) bool) error {
	timeout, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	for {
		over := !p.Running() // before the log is read: it may end with the text
		log, err := p.Output(outputBytesMax)
		if err != nil {
			return err
		}
		if holds(log) {
			return nil
		}
		if over {
			return p.Failure()
		}
		select {
		case <-p.ended:
		case <-timeout.Done():
			return fmt.Errorf("wait until %s says %s: %w after %s: %s", p.Name, wanted, timeout.Err(), atMost, p.Tail())
		case <-time.After(logInterval):
		}
	}
}

// Kill ends the process at once, as a power cut would, and waits until it is gone.
func (p *Process) Kill() error {
	if !p.Running() {
		return nil
	}
	p.asked.Store(true)
	p.killed.Store(true)
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.ended
	return nil
}

// quitTimeout is how long a process that hangs may take to say where.
const quitTimeout = 5 * time.Second

// Stop asks the process to end, and waits. It is an error if it takes longer than
// a time: then it is asked where it hangs, and killed.
func (p *Process) Stop(atMost time.Duration) error {
	if !p.Running() {
		return nil
	}
	p.asked.Store(true)
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(atMost):
	}
	err := fmt.Errorf("%s did not end within %s of being asked to; where it hangs is in %s", p.Name, atMost, p.log)
	err = errors.Join(err, p.signal(syscall.SIGQUIT))
	select {
	case <-p.ended:
		return err
	case <-time.After(quitTimeout):
		return errors.Join(err, p.Kill())
	}
}

// Pause stops the process in the middle of whatever it does, Resume lets it go on
// as if no time had passed.
func (p *Process) Pause() error { return p.send(syscall.SIGSTOP) }

// Resume ends a Pause.
func (p *Process) Resume() error { return p.send(syscall.SIGCONT) }

// send sends a signal to a process that must run.
func (p *Process) send(s syscall.Signal) error {
	if p == nil {
		return fmt.Errorf("send %s to a process that does not run: start it first", s)
	}
	return p.signal(s)
}

// signal is without effect on a process that has ended.
func (p *Process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to %s: %w", s, p.Name, err)
	}
	return nil
}

// Crashed returns an error if the process ended without being asked to.
func (p *Process) Crashed() error {
	if p == nil || p.Running() || p.asked.Load() {
		return nil
	}
	return p.Failure()
}

// Failure waits for the end, and says how the process ended and what it logged last.
func (p *Process) Failure() error {
	<-p.ended
	return fmt.Errorf("%s ended (%s): %s", p.Name, p.cmd.ProcessState, p.Tail())
}

// Bounds of what is read of a log.
const (
	outputBytesMax = 1 << 20
	tailBytesMax   = 2000
)

// Output returns the last bytes, at most so many, that this life has logged.
func (p *Process) Output(atMost int64) ([]byte, error) { return read(p.log, p.from, atMost) }

// Tail is the end of what this life has logged, and where the rest is.
func (p *Process) Tail() string {
	return "its log " + p.log + " ends with\n" + tail(p.log, p.from)
}

// Tail returns the last lines of a log.
func Tail(log string) string { return tail(log, 0) }

func tail(log string, from int64) string {
	b, err := read(log, from, tailBytesMax)
	if err != nil {
		return err.Error()
	}
	if _, whole, ok := bytes.Cut(b, []byte("\n")); ok && len(b) == tailBytesMax {
		b = whole // the first line is cut
	}
	return strings.TrimSpace(string(b))
}

func read(log string, from, atMost int64) ([]byte, error) {
	f, err := os.Open(log)
	if err != nil {
		return nil, fmt.Errorf("read a log: %w", err)
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("read a log: %w", err)
	}
	begin := max(from, end-atMost)
	b, err := io.ReadAll(io.NewSectionReader(f, begin, end-begin))
	if err != nil {
		return nil, fmt.Errorf("read a log: %w", err)
	}
	return b, nil
}
