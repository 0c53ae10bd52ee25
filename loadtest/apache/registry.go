package apache

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"flywheel/loadtest/process"
)

// Where the registry speaks Confluent's protocol, and where it tells of itself.
const (
	registryPath = "/apis/ccompat/v7"
	aboutPath    = "/apis/registry/v3/system/info"
)

// Registry is a schema registry that keeps everything in memory: killed, it forgets. Its methods may
// be called by several goroutines.
type Registry struct {
	installation Installation
	dir          string
	client       *http.Client

	mu      sync.Mutex
	port    int
	process *process.Process
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
		ports, err := process.FreePorts(1)
		if err != nil {
			return nil, err
		}
		r.port = ports[0]
		err = r.Start(ctx)
		if err == nil {
			return r, nil
		}
		if !portTaken(r.process) || try == startTries {
			return nil, errors.Join(err, r.process.Kill())
		}
	}
}

// URL is the base of Confluent's protocol.
func (r *Registry) URL() string { return "http://" + process.Address(r.port) + registryPath }

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
		case <-p.Ended():
			return p.Failure()
		case <-deadline.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("wait for the schema registry: %w", ctx.Err())
			}
			return fmt.Errorf("%s does not answer after %s (%w): %s", p.Name, startTimeout, cmp.Or(last, deadline.Err()), p.Tail())
		case <-tick.C:
		}
		if last = r.ask(deadline); last == nil {
			return nil
		}
	}
}

// launch starts the registry if it does not run.
func (r *Registry) launch() (*process.Process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process.Running() {
		return r.process, nil
	}
	p, err := r.installation.launch("the schema registry", r.dir, nil, append(r.installation.virtualMachine(registryClasses, "512m"),
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
	_, err := r.get(ctx, registryPath+"/subjects")
	return err
}

// About is the name and version of the registry, as it tells them.
func (r *Registry) About(ctx context.Context) (string, error) {
	body, err := r.get(ctx, aboutPath)
	if err != nil {
		return "", err
	}
	var about struct{ Name, Version string }
	if err := json.Unmarshal(body, &about); err != nil {
		return "", fmt.Errorf("ask the schema registry what it is: %w", err)
	}
	if about.Name == "" || about.Version == "" {
		return "", fmt.Errorf("ask the schema registry what it is: %s tells no name and version", body)
	}
	return about.Name + " " + about.Version, nil
}

func (r *Registry) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+process.Address(r.port)+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask the schema registry: %w", err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the schema registry: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("ask the schema registry: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the schema registry answers with status %d", resp.StatusCode)
	}
	return body, nil
}

// Kill ends the registry at once, as kill -9 does, and returns when it is gone.
func (r *Registry) Kill() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process.Kill()
}

// Pause stops the registry in the middle of whatever it does, until Resume.
func (r *Registry) Pause() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process.Pause()
}

// Resume has the paused registry go on.
func (r *Registry) Resume() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process.Resume()
}

// ProcessID is the system's number of the registry's process, 0 if it does not run.
func (r *Registry) ProcessID() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.process.Running() {
		return 0
	}
	return r.process.ID()
}

// Close kills the registry and returns when it is gone. It returns an error, with the end of its
// log, if the registry had ended by itself.
func (r *Registry) Close() error {
	r.client.CloseIdleConnections()
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.process.Crashed(), r.process.Kill())
}
