package apache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// registryPath is where the registry speaks Confluent's protocol.
const registryPath = "/apis/ccompat/v7"

// Registry is a schema registry that keeps everything in memory: killed, it forgets. Its methods may
// be called by several goroutines.
type Registry struct {
	installation Installation
	dir          string
	client       *http.Client

	mu      sync.Mutex
	port    int
	process *process
}

// StartRegistry starts an empty registry with its log in the folder, and returns when it answers. On
// error nothing is left running.
func (i Installation) StartRegistry(ctx context.Context, dir string) (*Registry, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the folder of the schema registry: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("create the folder of the schema registry: %w", err)
	}
	r := &Registry{installation: i, dir: dir, client: &http.Client{Timeout: 5 * time.Second}}
	for try := 1; ; try++ {
		ports, err := freePorts(1)
		if err != nil {
			return nil, err
		}
		r.port = ports[0]
		err = r.Start(ctx)
		if err == nil {
			return r, nil
		}
		taken := r.process != nil && !r.process.running() && portTaken(r.process.read(1<<20))
		if !taken || try == startTries {
			return nil, errors.Join(err, r.process.kill())
		}
	}
}

// URL is the base of Confluent's protocol.
func (r *Registry) URL() string { return "http://" + address(r.port) + registryPath }

// Start starts the registry, if it does not run, at the address it had and empty, and returns when
// it answers.
func (r *Registry) Start(ctx context.Context) error {
	p, err := r.launch()
	if err != nil {
		return err
	}
	deadline, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var last error
	for {
		select {
		case <-p.ended:
			return fmt.Errorf("%s did not start (%s): %s", p.name, p.cmd.ProcessState, p.tail())
		case <-deadline.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("wait for the schema registry: %w", ctx.Err())
			}
			return fmt.Errorf("%s does not answer after %s (%w): %s", p.name, startTimeout, cmp.Or(last, deadline.Err()), p.tail())
		case <-tick.C:
		}
		if last = r.ask(deadline); last == nil {
			return nil
		}
	}
}

// launch starts the registry if it does not run.
func (r *Registry) launch() (*process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process.running() {
		return r.process, nil
	}
	p, err := launch("the schema registry", filepath.Join(r.dir, "log"), r.installation.dir, r.installation.java, append(r.installation.virtualMachine(registryClasses, "512m"),
		"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", // it serves few, and is started often
		"-Dquarkus.http.host=127.0.0.1", "-Dquarkus.http.port="+strconv.Itoa(r.port),
		"-jar", filepath.Join(registryDir, runner))...)
	if err == nil {
		r.process = p
	}
	return p, err
}

// ask reports whether the registry answers.
func (r *Registry) ask(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL()+"/subjects", nil)
	if err != nil {
		return fmt.Errorf("ask the schema registry: %w", err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the schema registry: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return fmt.Errorf("ask the schema registry: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the schema registry answers with status %d", resp.StatusCode)
	}
	return nil
}

// Kill ends the registry at once, as kill -9 does, and returns when it is gone.
func (r *Registry) Kill() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process.kill()
}

// Pause stops the registry in the middle of whatever it does, until Resume.
func (r *Registry) Pause() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process.send(syscall.SIGSTOP)
}

// Resume has the paused registry go on.
func (r *Registry) Resume() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process.send(syscall.SIGCONT)
}

// ProcessID is the system's number of the registry's process, 0 if it does not run.
func (r *Registry) ProcessID() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.process.running() {
		return 0
	}
	return r.process.cmd.Process.Pid
}

// Close kills the registry and returns when it is gone. It returns an error, with the end of its
// log, if the registry had ended by itself.
func (r *Registry) Close() error {
	r.client.CloseIdleConnections()
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.process.crashed(), r.process.kill())
}
