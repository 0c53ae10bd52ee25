package outage

import (
	"log/slog"
	"testing"
	"time"
)

func TestTroubleIsToldAtItsBeginOnceAMinuteAndAtItsEnd(t *testing.T) {
	var o Outage
	now := time.Unix(1_000_000_000, 0)
	if _, was := o.over(now); was {
		t.Error("what was never there is over")
	}
	for i, c := range []struct {
		after time.Duration
		want  slog.Level
	}{
		{0, slog.LevelWarn},
		{time.Millisecond, slog.LevelDebug},
		{59 * time.Second, slog.LevelDebug},
		{time.Second, slog.LevelWarn},
		{time.Second, slog.LevelDebug},
		{time.Hour, slog.LevelWarn},
	} {
		now = now.Add(c.after)
		if got := o.level(now); got != c.want {
			t.Errorf("%d: %s, want %s", i, got, c.want)
		}
	}
	if lasted, was := o.over(now); !was || lasted != time.Hour+61*time.Second+time.Millisecond {
		t.Errorf("it lasted %s, %t", lasted, was)
	}
	if _, was := o.over(now); was {
		t.Error("it is over twice")
	}
	if got := o.level(now); got != slog.LevelWarn {
		t.Errorf("the next one begins with %s", got)
	}
}
