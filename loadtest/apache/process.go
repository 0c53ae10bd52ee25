package apache

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// process is one run of a server. It ends with this process, however that ends.
type process struct {
	name string // for errors
	log  string // file of its output
	from int64  // where in the file this run begins
	cmd  *exec.Cmd

	asked atomic.Bool   // to end
	ended chan struct{} // closed when it has
}

// launch starts a server in the working folder. Its output is appended to the log file.
func launch(name, log, working, program string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer out.Close()
	p := &process{name: name, log: log, cmd: exec.Command(program, args...), ended: make(chan struct{})} //nolint:noctx // it runs until it is told
	if p.from, err = out.Seek(0, io.SeekEnd); err != nil {
		return nil, fmt.Errorf("find the end of the log of %s: %w", name, err)
	}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr, p.cmd.SysProcAttr = working, out, out, attributes()
	started := make(chan error)
	go func() {
		// The kernel ends the server with the thread that started it: this one stays as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // ProcessState tells how it ended
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// running reports whether the process has not ended.
func (p *process) running() bool {
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

// kill ends the process at once, without a chance to save anything, and waits until it is gone.
func (p *process) kill() error {
	if !p.running() {
		return nil
	}
	p.asked.Store(true)
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.ended
	return nil
}

// stopTimeout is how long a server may take to save what it has.
const stopTimeout = 30 * time.Second

// stop has the process end in an orderly way, and kills it if it takes too long.
func (p *process) stop() error {
	if !p.running() {
		return nil
	}
	p.asked.Store(true)
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("%s did not stop within %s and was killed: %s", p.name, stopTimeout, p.tail()), p.kill())
	}
}

// signal sends a signal; a process that has ended already is no error.
func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to %s: %w", s, p.name, err)
	}
	return nil
}

// crashed returns an error, with the end of the log, if the process ended without being asked to.
func (p *process) crashed() error {
	if p == nil || p.running() || p.asked.Load() {
		return nil
	}
	return fmt.Errorf("%s ended by itself (%s): %s", p.name, p.cmd.ProcessState, p.tail())
}

// tailBytes is how much of the end of a log an error holds at most.
const tailBytes = 2000

// tail is the end of the log of this run, and where the rest is.
func (p *process) tail() string {
	text := p.read(tailBytes)
	if _, after, ok := strings.Cut(text, "\n"); ok && len(text) == tailBytes {
		text = after // the first line is cut
	}
	return fmt.Sprintf("its log %s ends with\n%s", p.log, strings.TrimSpace(text))
}

// read returns the last bytes that this run has logged.
func (p *process) read(atMost int64) string {
	f, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err.Error()
	}
	begin := max(p.from, end-atMost)
	text, err := io.ReadAll(io.NewSectionReader(f, begin, end-begin))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// send sends a signal to a process that must run.
func (p *process) send(s syscall.Signal) error {
	if !p.running() {
		return fmt.Errorf("send %s to a server that does not run: start it first", s)
	}
	return p.signal(s)
}
