package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// repeatInterval lies between two lines of a library that say the same.
const repeatInterval = time.Minute

// repeatsMax bounds how many lines are remembered.
const repeatsMax = 256

// libraryMessage is the attribute in which the Kafka client's own words are
// handed on.
const libraryMessage = "kafka.message"

// calm keeps the warnings of the Kafka client from flooding the log while a
// broker is away: it tells of each connection, partition and request, and what
// uses it tells what follows. One line of the same words a minute is handed on,
// with how many were not.
type calm struct {
	slog.Handler
	said *repeats
}

// repeats are the lines of the last minute, for all loggers of the process.
type repeats struct {
	mu    sync.Mutex
	lines map[string]*repeat
}

type repeat struct {
	last   time.Time
	hidden int64
}

func newCalm(h slog.Handler) calm {
	return calm{Handler: h, said: &repeats{lines: make(map[string]*repeat)}}
}

// Handle implements slog.Handler.
func (h calm) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return h.Handler.Handle(ctx, r)
	}
	words := ""
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == libraryMessage {
			words = a.Value.String()
		}
		return words == ""
	})
	if words == "" {
		return h.Handler.Handle(ctx, r)
	}
	hidden, due := h.said.say(r.Level.String()+" "+words, r.Time)
	if !due {
		return nil
	}
	if hidden > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int64("flywheel.repeated", hidden))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h calm) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup implements slog.Handler.
func (h calm) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}

// say returns whether a line is due, and then how many like it were not.
func (s *repeats) say(line string, at time.Time) (hidden int64, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.lines[line]
	if was != nil && at.Sub(was.last) < repeatInterval {
		was.hidden++
		return 0, false
	}
	if was == nil {
		s.forget(at)
		was = new(repeat)
		s.lines[line] = was
	}
	hidden, was.hidden, was.last = was.hidden, 0, at
	return hidden, true
}

// forget makes room for one more line.
func (s *repeats) forget(at time.Time) {
	if len(s.lines) < repeatsMax {
		return
	}
	for line, r := range s.lines {
		if at.Sub(r.last) >= repeatInterval {
			delete(s.lines, line)
		}
	}
	if len(s.lines) >= repeatsMax {
		clear(s.lines)
	}
}
