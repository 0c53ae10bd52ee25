package telemetry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// check is one condition of readiness.
type check struct {
	name string
	ask  func(context.Context) error
}

// AddCheck adds a condition of readiness. The process is ready while ask returns
// nil for all of them; each has 2 s to answer and is asked on every request.
func (t *Telemetry) AddCheck(name string, ask func(context.Context) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.checks = append(t.checks, check{name, ask})
}

// readiness asks all checks at the same time and writes a line for each, in the
// order they were added.
func (t *Telemetry) readiness(ctx context.Context) (report string, ready bool) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	t.mu.Lock()
	checks := slices.Clone(t.checks)
	t.mu.Unlock()

	errs := make([]error, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() { errs[i] = c.ask(ctx) })
	}
	all.Wait()

	var b strings.Builder
	ready = true
	for i, c := range checks {
		if errs[i] == nil {
			fmt.Fprintf(&b, "%s: ok\n", c.name)
			continue
		}
		ready = false
		fmt.Fprintf(&b, "%s: %v\n", c.name, errs[i])
	}
	if len(checks) == 0 {
		b.WriteString("ok\n")
	}
	return b.String(), ready
}
