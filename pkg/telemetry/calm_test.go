package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// said is a log that notes what reaches it, with the number of hidden repeats.
type said struct {
	slog.Handler
	lines *[]string
}

func (s said) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "flywheel.repeated" {
			line = fmt.Sprintf("%s +%d", line, a.Value.Int64())
		}
		return true
	})
	*s.lines = append(*s.lines, line)
	return nil
}

func (s said) Enabled(context.Context, slog.Level) bool { return true }
func (s said) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s said) WithGroup(string) slog.Handler            { return s }

func TestRepeatedWarningsAreGathered(t *testing.T) {
	type event struct {
		after time.Duration
		level slog.Level
		text  string
		attrs []slog.Attr
	}
	dial := func(port int) []slog.Attr {
		return []slog.Attr{
			slog.String("kafka.message", "unable to open connection to broker"),
			slog.Any("err", fmt.Errorf("dial tcp 127.0.0.1:%d: connection refused", port)),
			slog.Duration("flywheel.pause", time.Duration(port)),
		}
	}
	for sentence, c := range map[string]struct {
		events []event
		want   []string
	}{
		"the flood of a broker that is down is one line a minute": {
			events: []event{
				{0, slog.LevelWarn, "kafka client", dial(1)},
				{time.Second, slog.LevelWarn, "kafka client", dial(22)},
				{58 * time.Second, slog.LevelWarn, "kafka client", dial(333)},
				{time.Second, slog.LevelWarn, "kafka client", dial(4)},
				{time.Second, slog.LevelWarn, "kafka client", dial(5)},
				{time.Hour, slog.LevelWarn, "kafka client", dial(6)},
			},
			want: []string{"kafka client", "kafka client +2", "kafka client +1"},
		},
		"other words are another line": {
			events: []event{
				{0, slog.LevelWarn, "kafka client", dial(1)},
				{0, slog.LevelWarn, "kafka client", []slog.Attr{slog.String("kafka.message", "group manage loop errored")}},
				{0, slog.LevelError, "kafka client", dial(1)},
			},
			want: []string{"kafka client", "kafka client", "kafka client"},
		},
		"our own lines are never held back": {
			events: []event{{0, slog.LevelWarn, "starting over", nil}, {0, slog.LevelWarn, "starting over", nil}},
			want:   []string{"starting over", "starting over"},
		},
		"what is no warning is never held back": {
			events: []event{{0, slog.LevelInfo, "consuming", nil}, {0, slog.LevelInfo, "consuming", nil}, {0, slog.LevelDebug, "x", nil}, {0, slog.LevelDebug, "x", nil}},
			want:   []string{"consuming", "consuming", "x", "x"},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			var got []string
			h := newCalm(said{slog.DiscardHandler, &got})
			now := time.Unix(1_000_000_000, 0)
			for _, e := range c.events {
				now = now.Add(e.after)
				r := slog.NewRecord(now, e.level, e.text, 0)
				r.AddAttrs(e.attrs...)
				if err := h.Handle(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoggersOfOneProcessRepeatEachOther(t *testing.T) {
	var got []string
	log := slog.New(newCalm(said{slog.DiscardHandler, &got}))
	words := slog.String("kafka.message", "a")
	log.Warn("one", words)
	log.With(slog.Int("n", 1)).Warn("two", words)
	log.WithGroup("g").Warn("three", words)
	if diff := cmp.Diff([]string{"one"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	s := &repeats{lines: make(map[string]*repeat)}
	now := time.Unix(1_000_000_000, 0)
	for i := range 10 * repeatsMax {
		now = now.Add(time.Millisecond)
		if _, due := s.say(strings.Repeat("x", i), now); !due {
			t.Fatalf("line %d is held back, but was never said", i)
		}
		if len(s.lines) > repeatsMax {
			t.Fatalf("%d lines are remembered", len(s.lines))
		}
	}
}

func TestDebuggingShowsEveryLine(t *testing.T) {
	for level, want := range map[slog.Level]int{slog.LevelInfo: 1, slog.LevelDebug: 3} {
		var out strings.Builder
		log := newLogger(LogConfig{Level: level, Format: FormatText}, &out)
		for range 3 {
			log.Warn("again", "kafka.message", "x")
		}
		if got := strings.Count(out.String(), "again"); got != want {
			t.Errorf("at %s %d lines, want %d", level, got, want)
		}
	}
}
