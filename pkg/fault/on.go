//go:build faults

package fault

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Enabled says whether this build acts on rules.
const Enabled = true

// armed are the rules of the process, and how often each point was passed.
//
//nolint:gochecknoglobals // the points lie where no hand of main reaches, and there is one process to stop
var armed struct {
	sync.Mutex
	rules  []Rule
	passed map[Point]int
}

// Arm takes the rules out of the environment of the process; without it nothing
// happens at any point. It is called once, at start, and refuses what it does
// not know.
func Arm(environ []string) ([]string, error) {
	var rest []string
	var rules []Rule
	for _, v := range environ {
		text, found := strings.CutPrefix(v, Variable+"=")
		if !found {
			rest = append(rest, v)
			continue
		}
		var err error
		if rules, err = Parse(text); err != nil {
			return nil, fmt.Errorf("read %s: %w", Variable, err)
		}
	}
	armed.Lock()
	defer armed.Unlock()
	armed.rules, armed.passed = rules, make(map[Point]int)
	return rest, nil
}

// Reached says that a point is passed, and acts on the rule for this passing.
// Of a killed process no goroutine comes back from it.
func Reached(p Point) {
	if rule, due := pass(p); due {
		act(rule)
	}
}

func pass(p Point) (Rule, bool) {
	armed.Lock()
	defer armed.Unlock()
	if len(armed.rules) == 0 {
		return Rule{}, false
	}
	armed.passed[p]++
	for _, r := range armed.rules {
		if r.Point == p && r.Passing == armed.passed[p] {
			return r, true
		}
	}
	return Rule{}, false
}

func act(r Rule) {
	fmt.Fprintf(os.Stderr, "%s%s\n", firedPrefix, r)
	switch r.Action {
	case Sleep:
		time.Sleep(r.Pause)
	case Stop:
		goesOn := make(chan os.Signal, 1)
		signal.Notify(goesOn, syscall.SIGCONT)
		defer signal.Stop(goesOn)
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) // to itself it may
		<-goesOn                                       // another thread may take the signal, a moment later
	case Kill:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // not one more line of it
	}
}
