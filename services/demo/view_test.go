package demo

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"flywheel/services/demo/oracle"
	"flywheel/services/simulator"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// seen is a moment of a play of four brands.
func seen() *view {
	lag := func(h float64) *float64 { return &h }
	at := time.Date(2026, 3, 31, 9, 15, 0, 0, time.UTC)
	return &view{
		phase: simulator.PhaseLive, eventTime: at.Add(3 * time.Hour), share: 0.955, speed: 600, sentPerS: 142.7, sent: 1_234_567,
		brands: []Finding{
			{Name: "Luma Skin", Currency: "USD", Verdict: "significant", LagHours: lag(4.25), CreditedMicros: 11_522_400_000, CausedMicros: 27_796_500_000, Multiplier: 1.834, Low: 1.76, High: 1.88, PlantedMultiplier: 1.98},
			{Name: "Willow Oral Care", Currency: "EUR", Verdict: "not_significant", LagHours: lag(18), PlantedMultiplier: 0},
			{Name: "Halo Tea", Currency: "GBP", Verdict: "insufficient", Reason: "short_history", CausedMicros: 999_999},
			{Name: "Lark", Currency: "USD", CreditedMicros: -2_500_000_000},
		},
		spikes: []spiking{
			{status: "active", at: at, z: 8.63, post: "7300000000000170274", count: 2},
			{},
			{status: "resolved", at: at, z: 12.04, post: "7300000011000076199", count: 1},
			{post: "7300000000000000001"},
		},
		answers:   answers{rows: 1_230_001, results: 9_059, event: latency{100, 630, 1_312}, answer: latency{10, 854, 12_345}},
		processor: 7, sink: 1_150,
	}
}

// golden compares with a file of that name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name + ".golden"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; write it with `make goldens`", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s\nif that is meant, rewrite it with `make goldens`", file, diff)
	}
}

func TestTheScreenFitsTheTerminal(t *testing.T) {
	var b strings.Builder
	for _, c := range []struct {
		what          string
		width, height int
		change        func(*view)
	}{
		{"a wide terminal", 200, 50, func(*view) {}},
		{"the usual terminal", 80, 24, func(*view) {}},
		{"a narrow and low one", 44, 9, func(*view) {}},
		{"one that hardly is", 10, 2, func(*view) {}},
		{"backfilling, too fast for the machine", 120, 24, func(v *view) {
			v.phase, v.share, v.behind = simulator.PhaseBackfill, 0.2, 9*time.Second
		}},
		{"the end, while ClickHouse does not answer", 120, 24, func(v *view) {
			v.draining, v.share, v.trouble = true, 1, "the answers are not up to date: dial tcp 127.0.0.1:18123: connect: connection refused"
		}},
		{"before anything", 120, 24, func(v *view) {
			*v = view{phase: simulator.PhaseStarting, brands: v.brands[2:3], spikes: v.spikes[1:2]}
		}},
	} {
		v := seen()
		c.change(v)
		fmt.Fprintf(&b, "== %s: %d x %d\n", c.what, c.width, c.height)
		lines := v.frame(c.width, c.height)
		if len(lines) >= c.height {
			t.Errorf("%s: %d lines and the cursor's do not fit", c.what, len(lines))
		}
		for _, l := range lines {
			if utf8.RuneCountInString(l) > c.width {
				t.Errorf("%s: wider than the terminal: %q", c.what, l)
			}
			b.WriteString(l + "\n")
		}
	}
	golden(t, "screen", b.String())
}

func TestPlainLines(t *testing.T) {
	var b strings.Builder
	old := seen()
	b.WriteString(old.line() + "\n" + strings.Join(old.news(nil), "\n") + "\n\n== nothing new\n")
	b.WriteString(strings.Join(old.news(old), "\n") + "\n== a spike is over, a verdict gone, a verdict there\n")
	v := seen()
	v.spikes[0].status, v.brands[1].Verdict, v.behind, v.trouble = "resolved", "significant", 7*time.Second, "the answers are not up to date: no route"
	b.WriteString(v.line() + "\n" + strings.Join(v.news(old), "\n") + "\n")
	golden(t, "plain", b.String())
}

// Live play is two minutes of four weeks in event time, and half of the run.
func TestProgressIsOfRealTime(t *testing.T) {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	at := func(phase simulator.Phase, hours float64) simulator.Progress {
		return simulator.Progress{
			Phase: phase, Start: start, Live: start.Add(672 * time.Hour), End: start.Add(692 * time.Hour),
			EventTime: start.Add(time.Duration(hours * float64(time.Hour))),
		}
	}
	for name, tc := range map[string]struct {
		progress    simulator.Progress
		backfilling time.Duration
		want        float64
	}{
		"before the start":        {at(simulator.PhaseStarting, 0), 0, 0},
		"half of the backfill":    {at(simulator.PhaseBackfill, 336), 15 * time.Second, 0.1},
		"the begin of live play":  {at(simulator.PhaseLive, 672), 30 * time.Second, 0.2},
		"half of live play":       {at(simulator.PhaseLive, 682), 30 * time.Second, 0.6},
		"the end":                 {at(simulator.PhaseLive, 692), 30 * time.Second, 1},
		"everything is sent":      {at(simulator.PhaseDone, 692), 30 * time.Second, 1},
		"the end, not yet looked": {at(simulator.PhaseLive, 692), 0, 1},
	} {
		if got := share(tc.progress, tc.backfilling, 2*time.Minute); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
	none := at(simulator.PhaseLive, 10)
	none.Start = none.Live
	none.EventTime = none.Live.Add(5 * time.Hour)
	if got := share(none, 0, 2*time.Minute); got != 0.25 {
		t.Errorf("a quarter of a play without backfill: %v", got)
	}
}

func TestSummary(t *testing.T) {
	at := time.Date(2026, 3, 17, 9, 15, 0, 0, time.UTC)
	r := Report{
		Verdict: oracle.Verdict{
			Events:     oracle.Events{Sent: 312_406, Valid: 305_127, Late: 1_226, Duplicate: 2_973, Poison: 3_080, Future: 331, Repeated: 50},
			ClickHouse: oracle.ClickHouse{EventRows: 306_634, ResultRows: 9_059}, DeadLettered: 7_279,
			Spikes: oracle.Spikes{Planted: 32, Detected: 30, False: 2, Early: 16, Confounded: 1, Led: 29},
		},
		LatencyMs: LatencyMs{630, 1_300, new(854.0), new(1_800.0)}, ThroughputPerS: 18_533.4, CPUSPerMillion: 99.44,
		Run: RunInfo{Seed: 1, Brands: 20, Start: at, End: at.Add(356 * time.Hour), Seconds: 138.2},
	}
	good := strings.Join(seen().summary(&r), "\n")
	r.Lost, r.Problems = 2, []string{"2 rows of amazon_order are missing (1 events, 3 were sent): see what the sink logged"}
	golden(t, "summary", good+"\n\n== with something lost\n"+strings.Join(seen().summary(&r), "\n")+"\n")
}

// terminal stands in for a terminal of a size that may change.
func terminal(width, height *int) (*Screen, *bytes.Buffer) {
	out := new(bytes.Buffer)
	return &Screen{out: out, terminal: true, size: func() (int, int) { return *width, *height }}, out
}

func TestTheScreenIsRedrawnInPlace(t *testing.T) {
	width, height := 80, 24
	s, out := terminal(&width, &height)
	step := func(want string, do func()) {
		t.Helper()
		out.Reset()
		do()
		if got := out.String(); got != want {
			t.Errorf("wrote %q, want %q", got, want)
		}
	}
	frame := func(lines ...string) func() {
		return func() {
			if err := s.draw(func(int, int) []string { return lines }); err != nil {
				t.Error(err)
			}
		}
	}
	step("a\x1b[K\nb\x1b[K\n\x1b[J", frame("a", "b"))
	step("\r\x1b[2Ac\x1b[K\n\x1b[J", frame("c"))
	step("\r\x1b[1A\x1b[Ja line of the log\nc\n", func() { fmt.Fprintln(s, "a line of the log") })
	step("\r\x1b[1Ad\x1b[K\n\x1b[J", frame("d"))
	width = 40
	step("\x1b[H\x1b[Je\x1b[K\n\x1b[J", frame("e"))
	s.end()
	step("the end\n", func() { s.say("the %s", "end") })
}

func TestAFileIsNoTerminal(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if NewScreen(f).Terminal() || NewScreen(new(bytes.Buffer)).Terminal() {
		t.Error("a file or a buffer counts as a terminal")
	}
}
