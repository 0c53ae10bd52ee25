package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Process is one life of a `flywheel` process. It writes into the log of its
// name, which all lives share.
type Process struct {
	Name string // such as "processor-one"

	cmd    *exec.Cmd
	log    *os.File
	ended  chan struct{} // closed when the process is gone and reaped
	state  *os.ProcessState
	killed bool // by us
}

// start begins a process of this binary. It dies with the process that began it.
func start(ctx context.Context, binary, log, name string, env, args []string) (*Process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	p := &Process{Name: name, log: file, ended: make(chan struct{})}
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), binary, args...) // it ends when its stage says so
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = file, file
	p.cmd.SysProcAttr = attributes()
	started := make(chan error, 1)
	go func() {
		// The system ends the process with the thread that began it.
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = p.cmd.Wait() // the state says how it ended
		p.state = p.cmd.ProcessState
		_ = file.Close() // the process has written, not we
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), file.Close())
	}
	return p, nil
}

// Ended is closed once the process is gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Running tells whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// KilledItself tells whether the process has died of a SIGKILL that was not ours:
// at a point of package fault.
func (p *Process) KilledItself() bool {
	<-p.ended
	status, ok := p.state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL && !p.killed
}

// ExitCode is that of a process that has ended; −1 when a signal ended it.
func (p *Process) ExitCode() int {
	<-p.ended
	return p.state.ExitCode()
}

// CPU returns the processor time the ended process took.
func (p *Process) CPU() time.Duration {
	<-p.ended
	return p.state.UserTime() + p.state.SystemTime()
}

// Kill ends the process as a power cut would, and waits until it is gone.
func (p *Process) Kill() error {
	p.killed = true
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.ended
	return nil
}

// Pause stops the process in the middle of whatever it does, Resume lets it go
// on as if no time had passed.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

// How long a process may take to end in peace: below what it gives itself, so that
// one that hangs can be asked where.
const (
	stopTimeout = 20 * time.Second
	quitTimeout = 5 * time.Second
)

// Stop asks the process to end, and returns an error if it does not end in peace.
func (p *Process) Stop() error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		err := fmt.Errorf("%s did not end within %s of being asked to; where it hangs is in %s", p.Name, stopTimeout, p.log.Name())
		if quit := p.signal(syscall.SIGQUIT); quit != nil {
			return errors.Join(err, quit)
		}
		select {
		case <-p.ended:
			return err
		case <-time.After(quitTimeout):
			return errors.Join(err, p.Kill())
		}
	}
	if code := p.ExitCode(); code != 0 {
		return fmt.Errorf("%s was asked to end and returned %d (%v); its log ends with\n%s", p.Name, code, p.state, tail(p.log.Name()))
	}
	return nil
}

// signal is without effect on a process that has ended.
func (p *Process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to %s: %w", s, p.Name, err)
	}
	return nil
}

// Log returns the file that the process writes to.
func (p *Process) Log() string { return p.log.Name() }

// tail returns the last lines of a log.
func tail(file string) string {
	const bytesMax = 3000
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	b = b[max(0, len(b)-bytesMax):]
	if i := bytes.IndexByte(b, '\n'); i >= 0 && len(b) == bytesMax {
		b = b[i+1:]
	}
	return string(b)
}
