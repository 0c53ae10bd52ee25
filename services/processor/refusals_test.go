package processor

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"flywheel/pkg/event"
)

func TestRefusedRecordsAreToldOfOnceAMinute(t *testing.T) {
	var said strings.Builder
	logger := slog.New(slog.NewTextHandler(&said, nil))
	var r refusals
	now := time.Unix(1_000_000_000, 0)
	for _, step := range []struct {
		after     time.Duration
		committed tally
		want      string // part of what is said, nothing if empty
	}{
		{0, tally{{"orders", outcomeApplied, 9}, {"orders", outcomeSuperseded, 1}}, ""},
		{0, tally{{"orders", event.ReasonDuplicate, 2}, {"posts", event.ReasonDuplicate, 1}}, `level=INFO msg="records were refused; the dead-letter topic holds each, with the reason and what to do" flywheel.outcomes=map[duplicate:3]`},
		{time.Second, tally{{"orders", event.ReasonLate, 4}}, ""},
		{58 * time.Second, tally{{"orders", event.ReasonDuplicate, 1}}, ""},
		{time.Second, tally{{"orders", outcomeApplied, 9}}, `level=INFO msg="records were refused; the dead-letter topic holds each, with the reason and what to do" flywheel.outcomes="map[duplicate:1 late:4]"`},
		{time.Hour, nil, ""},
	} {
		now = now.Add(step.after)
		said.Reset()
		r.tell(t.Context(), logger, now, step.committed)
		if got := said.String(); step.want == "" && got != "" || !strings.Contains(got, step.want) {
			t.Errorf("after %v: said %q, want %q", step.committed, got, step.want)
		}
	}
}
