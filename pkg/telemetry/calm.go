package telemetry

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// repeatInterval lies between two warnings that say the same.
const repeatInterval = time.Minute

// repeatsMax bounds how many warnings are remembered.
const repeatsMax = 256

// calm keeps warnings and errors that say the same from flooding the log while
// trouble lasts: one a minute is handed on, with how many were not. Two say the
// same if they differ in numbers only, such as a port or a pause.
type calm struct {
	slog.Handler
	with string // what WithAttrs has added
	said *repeats
}

// repeats are the warnings of the last minute, for all loggers of the process.
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
	var line strings.Builder
	line.WriteString(r.Level.String() + h.with + r.Message)
	r.Attrs(func(a slog.Attr) bool {
		line.WriteString(words(a))
		return true
	})
	hidden, due := h.said.say(strings.Map(wordOnly, line.String()), r.Time)
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
	for _, a := range attrs {
		h.with += words(a)
	}
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup implements slog.Handler.
func (h calm) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}

// words is an attribute's part in what a line says: its text, if it is one.
func words(a slog.Attr) string {
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindString:
		return " " + v.String()
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			return " " + err.Error()
		}
	}
	return ""
}

// wordOnly drops digits, in which repeats differ.
func wordOnly(r rune) rune {
	if r >= '0' && r <= '9' {
		return -1
	}
	return r
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
