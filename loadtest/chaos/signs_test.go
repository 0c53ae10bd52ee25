package chaos

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
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
	a.Process = p
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
			[]string{"flywheel_processor_restarts_total of processor-one does not count"},
		},
		"nothing happens": {
			[]sign{startsOver},
			func(*testing.T, *acted) {},
			[]string{`processor-one does not log "starting over from the last commit"`, "flywheel_processor_restarts_total of processor-one does not count"},
		},
		"one of two lines and one of two metrics are enough": {[]sign{kafkaSilent}, func(t *testing.T, a *acted) { a.says(t, line); a.shows(restarts(1, 3)) }, nil},
		"the next life shows both":                           {[]sign{processorLives}, func(t *testing.T, a *acted) { a.lives(t); a.says(t, again); a.shows(restored) }, nil},
		"the next life does not come": {
			[]sign{processorLives}, func(t *testing.T, a *acted) { a.says(t, again); a.shows(restored) }, []string{"processor-one has no life after it"},
		},
		"the next life shows nothing": {
			[]sign{processorLives},
			func(t *testing.T, a *acted) { a.lives(t) },
			[]string{`processor-one does not log "state restored"`, "flywheel_processor_restore_duration_seconds of processor-one does not count"},
		},
		"another service is not asked": {[]sign{rowsWait}, func(*testing.T, *acted) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := act(t, "processor")
			a.says(t, line) // of a fault before
			a.shows(restarts(1, 2))
			l := lookOut(t.Context(), c.signs, a.service)
			c.happens(t, a)
			if missing := l.missing(t.Context(), a.service); !slices.Equal(missing, c.want) {
				t.Errorf("missing is %q, want %q", missing, c.want)
			}
		})
	}
}

// page has metrics as a service tells them; of what type makes no difference.
func page(metrics ...string) (all string) {
	for _, metric := range metrics {
		name, _, _ := strings.Cut(metric, " ")
		all += "# TYPE " + name + " gauge\n" + metric + "\n"
	}
	return all
}

// Staleness rises by 16 s while nothing is wrong, as in a play without a fault. That makes a sign
// of no line: those of the log are there, and what has to count beside them stands still.
func TestNoSignIsThereWithoutAFault(t *testing.T) {
	for name, c := range map[string]struct {
		service       string
		before, after []string // metrics
		says, want    []string
	}{
		"a processor whose results grow stale": {
			"processor",
			[]string{"flywheel_ready 1", "flywheel_processor_staleness_seconds 0.2", "flywheel_processor_restarts_total 2", "flywheel_processor_silences_total 1"},
			[]string{"flywheel_ready 1", "flywheel_processor_staleness_seconds 16.4", "flywheel_processor_restarts_total 2", "flywheel_processor_silences_total 1"},
			[]string{"kafka does not answer for every partition; what was begun waits", "starting over from the last commit; nothing is lost or applied twice"},
			nil,
		},
		"a sink whose rows grow stale": {
			"sink",
			[]string{"flywheel_ready 1", "flywheel_sink_staleness_seconds 0", "flywheel_sink_read_retries_total 3"},
			[]string{"flywheel_ready 1", "flywheel_sink_staleness_seconds 16.4", "flywheel_sink_read_retries_total 3"},
			[]string{"reading from kafka fails; trying on", "clickhouse does not take rows; they wait"},
			nil,
		},
		"a sink that does not read": {
			"sink",
			[]string{"flywheel_sink_read_retries_total 3"},
			[]string{"flywheel_sink_read_retries_total 4"},
			[]string{"reading from kafka fails; trying on"},
			[]string{
				`"offsets were not committed; trying again|reading from kafka fails; trying on" in the log of sink-one, and flywheel_sink_commit_retries_total|flywheel_sink_read_retries_total`,
				`"reading from kafka fails; trying on" in the log of sink-one, and flywheel_sink_read_retries_total`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := act(t, c.service)
			a.shows(page(c.before...))
			l := lookOut(t.Context(), running(faults), a.service)
			for _, line := range c.says {
				a.says(t, `"msg":"`+line+`"`)
			}
			a.shows(page(c.after...))
			if shown := l.shown(t.Context(), a.service); !slices.Equal(shown, c.want) {
				t.Errorf("there is %q, want %q", shown, c.want)
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

// A fault that has hit nothing shows nothing, and is inflicted once more.
func TestAFaultThatShowsNothingIsInflictedAgain(t *testing.T) {
	const line = `"msg":"starting over from the last commit; nothing is lost or applied twice"`
	for name, c := range map[string]struct {
		shows    int // at which time; 0 for never
		inflicts int
		seen     int
		failures []string
	}{
		"it shows at once":       {1, 1, 1, nil},
		"it shows the next time": {2, 2, 1, nil},
		"it never shows": {0, 2, 0, []string{
			`10ms after a fault of a test: processor-one does not log "starting over from the last commit"; flywheel_processor_restarts_total of processor-one does not count`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			const kind Kind = "a fault of a test"
			a, inflicted := act(t, "processor"), 0
			faults[kind] = affliction{signs: []sign{startsOver}, hurries: true, inflict: func(_ context.Context, p *play) error {
				p.hit = []*service{a.service}
				if inflicted++; inflicted == c.shows {
					a.says(t, line)
					a.shows(page("flywheel_processor_restarts_total 1"))
				}
				return nil
			}}
			t.Cleanup(func() { delete(faults, kind) })
			p := &play{
				Config: Config{Out: io.Discard, First: []Kind{kind}}, random: rand.New(rand.NewPCG(1, 0)), patience: 10 * time.Millisecond,
				report: &Report{Faults: make(map[Kind]int), Seen: make(map[Kind]int), Repeated: make(map[Kind]int), ResumedMs: make(map[Kind][]int64)},
			}
			if err := p.inflict(t.Context(), newDeck(nil, nil, 1), kind); err != nil {
				t.Fatal(err)
			}
			var failures []string
			for _, f := range p.report.Failures {
				failures = append(failures, f.Text)
			}
			if inflicted != c.inflicts || p.report.Repeated[kind] != c.inflicts-1 || p.report.Seen[kind] != c.seen || !slices.Equal(failures, c.failures) {
				t.Errorf("inflicted %d times, repeated %d, seen %d, failures %q", inflicted, p.report.Repeated[kind], p.report.Seen[kind], failures)
			}
		})
	}
}

// What is seen of a fault stands in the table of its service, and what is not has a reason.
func TestTheTablesOfFaultsTellWhatIsSeen(t *testing.T) {
	metrics, err := os.ReadFile("../../deploy/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"processor", "sink"} {
		doc, err := os.ReadFile("../../services/" + service + "/DESIGN.md")
		if err != nil {
			t.Fatal(err)
		}
		for kind, f := range faults {
			if (len(f.signs) == 0) != (f.unseen != "") {
				t.Errorf("%q has %d signs, and none because %q", kind, len(f.signs), f.unseen)
			}
			shows := slices.ContainsFunc(f.signs, func(sign sign) bool { return sign.service == service })
			if why := f.silent[service]; f.unseen == "" && shows != (why == "") || f.unseen != "" && why != "" {
				t.Errorf("%q shows something at a %s: %t, and it shows nothing there because %q", kind, service, shows, why)
			}
			if f.inflict != nil && f.untimed != "" {
				t.Errorf("the way back from %q, which is drawn, is not timed because %q", kind, f.untimed)
			}
			for _, sign := range f.signs {
				if sign.service != service {
					continue
				}
				for metric := range strings.SplitSeq(sign.metrics, "|") {
					name := strings.TrimPrefix(strings.TrimSuffix(strings.TrimSuffix(metric, "_total"), "_seconds"), "flywheel_"+service+"_")
					if name = strings.ReplaceAll(name, "_", "."); !strings.Contains(string(doc), "`"+name+"`") {
						t.Errorf("%q: the table of the %s has no metric `%s`", kind, service, name)
					}
					if !strings.Contains(string(metrics), "| `"+metric+"` | counter") && !strings.Contains(string(metrics), "| `"+metric+"` | histogram") {
						t.Errorf("%q: %s is no counter in deploy/METRICS.md: it may move without a fault", kind, metric)
					}
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
