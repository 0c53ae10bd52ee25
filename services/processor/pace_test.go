package processor

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestResultsThatAreMadeTooSlowlyAreToldOf(t *testing.T) {
	var said strings.Builder
	logger := slog.New(slog.NewTextHandler(&said, nil))
	o := overdue{waits: 5 * time.Second}
	now := time.Unix(1_000_000_000, 0)
	for _, step := range []struct {
		after   time.Duration
		age     time.Duration
		backlog bool
		want    string // part of what is said, nothing if empty
	}{
		{0, time.Second, false, ""},
		{time.Second, 10 * time.Minute, true, ""}, // of a backlog they are old
		{10 * time.Minute, 10 * time.Minute, true, ""},
		{time.Second, 10 * time.Minute, false, ""}, // it has left some
		{59 * time.Second, 2 * time.Minute, false, ""},
		{0, 64 * time.Second, false, ""}, // some of it by configuration
		{time.Second, 2 * time.Minute, false, `level=WARN msg="results fall due faster than they are made; add a processor, or raise processor.refresh_cpu_share" flywheel.staleness=2m0s`},
		{time.Second, 2 * time.Minute, false, ""},  // once
		{time.Second, 40 * time.Second, false, ""}, // not over yet
		{time.Second, time.Second, false, `level=INFO msg="results are made in time again"`},
		{time.Hour, 2 * time.Minute, false, ""},
		{50 * time.Second, time.Second, false, ""}, // it was over before it counted
	} {
		now = now.Add(step.after)
		said.Reset()
		o.tell(t.Context(), logger, now, step.age, step.backlog)
		if got := said.String(); step.want == "" && got != "" || !strings.Contains(got, step.want) {
			t.Errorf("%s later, at %s, backlog %t: said %q, want %q", step.after, step.age, step.backlog, got, step.want)
		}
	}
}
