package chaos

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flywheel/loadtest/process"
)

// acted is a service that says what it is told to, and whose metric is what it is set to.
type acted struct {
	*service
	metric atomic.Pointer[string]
	page   *httptest.Server
	script string // file that it says the lines of
}

func act(t *testing.T, kind string) *acted {
	t.Helper()
	a := &acted{service: &service{kind: kind, instance: "one"}, script: filepath.Join(t.TempDir(), "said")}
	a.shows("flywheel_ready 1\n")
	a.page = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, *a.metric.Load()) }))
	t.Cleanup(a.page.Close)
	a.lives(t)
	return a
}

// lives begins a life.
func (a *acted) lives(t *testing.T) {
	t.Helper()
	if a.Process != nil {
		if err := a.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(a.script, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := process.Start(a.kind+"-one", a.script+".log", exec.Command("tail", "-f", "-n", "+1", a.script))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	a.mu.Lock()
	a.Process = p
	a.mu.Unlock()
	a.says(t, `"msg":"admin server listens","server.address":"`+a.page.Listener.Addr().String()+`"`)
}

// says logs a line, and returns when it is in the log.
func (a *acted) says(t *testing.T, attributes string) {
	t.Helper()
	f, err := os.OpenFile(a.script, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf(`{"time":%q,%s}`, time.Now().Format(time.RFC3339Nano), attributes)
	if _, err := fmt.Fprintln(f, line); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Says(t.Context(), line, 10*time.Second); err != nil {
		t.Fatal(err)
	}
}

func (a *acted) shows(page string) { a.metric.Store(&page) }

func TestAFaultMustShowInALineAndAMetric(t *testing.T) {
	restarts := func(first, second int) string {
		return fmt.Sprintf("# TYPE flywheel_processor_restarts_total counter\nflywheel_processor_restarts_total{a=\"1\"} %d\nflywheel_processor_restarts_total{a=\"2\"} %d\n", first, second)
	}
	restored := "# TYPE flywheel_processor_restore_duration_seconds histogram\nflywheel_processor_restore_duration_seconds_count 1\nflywheel_processor_restore_duration_seconds_sum 7\n"
	const line, again = `"msg":"starting over from the last commit; nothing is lost or applied twice"`, `"msg":"state restored"`
	for name, c := range map[string]struct {
		signs   []sign
		happens func(*testing.T, *acted)
		want    []string // what is missing
	}{
		"both are there": {[]sign{startsOver}, func(t *testing.T, a *acted) { a.says(t, line); a.shows(restarts(2, 2)) }, nil},
		"the line is missing": {
			[]sign{startsOver},
			func(t *testing.T, a *acted) { a.says(t, `"msg":"committing again"`); a.shows(restarts(1, 3)) },
			[]string{`processor-one does not log "starting over from the last commit"`},
		},
		"the metric is missing": {
			[]sign{startsOver},
			func(t *testing.T, a *acted) { a.says(t, line); a.shows(restarts(2, 1)) },
			[]string{"flywheel_processor_restarts_total of processor-one rises by 0, want 1"},
		},
		"nothing happens": {
			[]sign{startsOver},
			func(*testing.T, *acted) {},
			[]string{`processor-one does not log "starting over from the last commit"`, "flywheel_processor_restarts_total of processor-one rises by 0, want 1"},
		},
		"one of two lines is enough": {[]sign{{"processor", false, "kafka is away|starting over", "flywheel_processor_restarts_total", 1}}, func(t *testing.T, a *acted) { a.says(t, line); a.shows(restarts(1, 3)) }, nil},
		"it rises and falls again, while it is watched": {[]sign{startsOver}, func(t *testing.T, a *acted) {
			a.says(t, line)
			a.shows(restarts(5, 5))
			time.Sleep(3 * lookInterval)
			a.shows(restarts(1, 2))
		}, nil},
		"it rises by less than it must": {
			[]sign{{"processor", false, "starting over", "flywheel_processor_restarts_total", 5}},
			func(t *testing.T, a *acted) { a.says(t, line); a.shows(restarts(2, 2)) },
			[]string{"flywheel_processor_restarts_total of processor-one rises by 1, want 5"},
		},
		"the next life shows both": {[]sign{processorLives}, func(t *testing.T, a *acted) { a.lives(t); a.says(t, again); a.shows(restored) }, nil},
		"the next life does not come": {
			[]sign{processorLives}, func(t *testing.T, a *acted) { a.says(t, again); a.shows(restored) }, []string{"processor-one has no life after it"},
		},
		"the next life shows nothing": {
			[]sign{processorLives},
			func(t *testing.T, a *acted) { a.lives(t) },
			[]string{`processor-one does not log "state restored"`, "flywheel_processor_restore_duration_seconds of processor-one rises by 0, want 1"},
		},
		"another service is not asked": {[]sign{rowsWait}, func(*testing.T, *acted) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := act(t, "processor")
			a.says(t, line) // of a fault before
			a.shows(restarts(1, 2))
			l := lookOut(t.Context(), c.signs, a.service)
			defer l.end()
			c.happens(t, a)
			var missing []string
			for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(look) {
				if missing = l.missing(a.service); slices.Equal(missing, c.want) && (len(missing) == 0 || time.Since(l.began) > 4*lookInterval) || time.Now().After(deadline) {
					break
				}
			}
			if !slices.Equal(missing, c.want) {
				t.Errorf("missing is %q, want %q", missing, c.want)
			}
		})
	}
}

// A metric that was not seen before a fault has risen from 0, as it seems, whatever it does.
func TestWhatWasNotSeenBeforeAFaultIsNotJudged(t *testing.T) {
	for name, c := range map[string]struct {
		page  string
		sign  sign
		lives bool // again, after the fault
		blind bool
	}{
		"the metrics were seen":       {"flywheel_ready 1\n", startsOver, false, false},
		"they were not":               {"{", startsOver, false, true},
		"the next life begins with 0": {"{", startsOver, true, false},
		"only the next life counts":   {"{", processorLives, false, false},
		"of another service":          {"{", rowsWait, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := act(t, "processor")
			a.shows(c.page)
			l := lookOut(t.Context(), []sign{c.sign}, a.service)
			defer l.end()
			a.shows("flywheel_ready 1\n")
			if c.lives {
				a.lives(t)
			}
			if got := l.blind(a.service); got != c.blind {
				t.Errorf("blind is %t, want %t", got, c.blind)
			}
			if !c.blind {
				return
			}
			p := &play{Config: Config{Out: io.Discard}, report: &Report{Seen: make(map[Kind]int)}, services: []*service{a.service}}
			if p.judge(t.Context(), Zombie, l); len(p.report.Seen) > 0 || len(p.report.Failures) > 0 {
				t.Errorf("seen %v, failures %v", p.report.Seen, p.report.Failures)
			}
		})
	}
}

// What is seen of a fault stands in the table of its service, and what is not has a reason.
func TestTheTablesOfFaultsTellWhatIsSeen(t *testing.T) {
	for _, service := range []string{"processor", "sink"} {
		doc, err := os.ReadFile("../../services/" + service + "/DESIGN.md")
		if err != nil {
			t.Fatal(err)
		}
		for kind, f := range faults {
			if (len(f.signs) == 0) != (f.unseen != "") {
				t.Errorf("%q has %d signs, and none because %q", kind, len(f.signs), f.unseen)
			}
			if f.inflict != nil && f.untimed != "" {
				t.Errorf("the way back from %q, which is drawn, is not timed because %q", kind, f.untimed)
			}
			for _, sign := range f.signs {
				if sign.service != service {
					continue
				}
				name := strings.TrimPrefix(strings.TrimSuffix(strings.TrimSuffix(sign.metric, "_total"), "_seconds"), "flywheel_"+service+"_")
				if name = strings.ReplaceAll(name, "_", "."); !strings.Contains(string(doc), "`"+name+"`") {
					t.Errorf("%q: the table of the %s has no metric `%s`", kind, service, name)
				}
				for line := range strings.SplitSeq(sign.lines, "|") {
					if !strings.Contains(string(doc), line) {
						t.Errorf("%q: the table of the %s has no line %q", kind, service, line)
					}
				}
			}
		}
	}
}
