package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is one that is measured, or serves what is.
type process struct {
	cmd   *exec.Cmd
	log   *os.File
	ended chan struct{} // closed once it is gone
	err   error
	began time.Time
}

// start starts a program with its output in a log.
func start(program, log string, env []string, args ...string) (*process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open a log: %w", err)
	}
	p := &process{cmd: exec.Command(program, args...), log: file, ended: make(chan struct{}), began: time.Now()} //nolint:noctx // it ends when its bench says so
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = file, file
	p.cmd.SysProcAttr = attributes()
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s %s: %w", program, args[0], err), file.Close())
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// says waits until the log holds a text.
func (p *process) says(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		log, err := os.ReadFile(p.log.Name())
		if err != nil {
			return fmt.Errorf("read a log: %w", err)
		}
		if bytes.Contains(log, []byte(text)) {
			return nil
		}
		select {
		case <-p.ended:
			return p.failure()
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: its log says\n%s", p.cmd.Args[1], ctx.Err(), log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// wait waits for a process that ends by itself.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return errors.Join(ctx.Err(), p.kill())
	case <-p.ended:
	}
	if p.err != nil {
		return p.failure()
	}
	return p.log.Close()
}

func (p *process) failure() error {
	const bytesMax = 2000
	log, _ := os.ReadFile(p.log.Name())
	return fmt.Errorf("flywheel %s ended (%s); its log ends with\n%s", p.cmd.Args[1], p.cmd.ProcessState, log[max(0, len(log)-bytesMax):])
}

// kill ends the process as a power cut would.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.cmd.Args[1], err)
	}
	<-p.ended
	return p.log.Close()
}

// stop asks the process to end and waits.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.cmd.Args[1], err)
	}
	<-p.ended
	if p.err != nil {
		return p.failure()
	}
	return p.log.Close()
}

// ticksPerSecond is the unit of times in /proc, the same on every Linux.
const ticksPerSecond = 100

// cpuOf returns the processor time a living process has taken, in seconds; 0
// where the system does not tell.
func cpuOf(pid int) float64 {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // a name may hold blanks
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	kernel, _ := strconv.ParseFloat(fields[12], 64)
	return (user + kernel) / ticksPerSecond
}
