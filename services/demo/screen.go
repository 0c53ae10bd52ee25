package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// Screen shows the demo: redrawn in place on a terminal, as plain lines
// elsewhere. As a writer it takes what is logged meanwhile. It is safe for
// concurrent use.
type Screen struct {
	out      io.Writer
	size     func() (width, height int)
	terminal bool

	mu    sync.Mutex
	drawn []string // the frame the cursor stands below
	width int      // it was drawn for
}

// NewScreen returns a screen on a stream.
func NewScreen(out io.Writer) *Screen {
	s := &Screen{out: out}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.terminal = true
		s.size = func() (int, int) {
			w, h, err := term.GetSize(int(f.Fd()))
			if err != nil || w <= 0 || h <= 0 {
				return 80, 24
			}
			return w, h
		}
	}
	return s
}

// Terminal says whether the screen is one.
func (s *Screen) Terminal() bool { return s.terminal }

// draw replaces the frame, in one write so that nothing flickers.
func (s *Screen) draw(frame func(width, height int) []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	width, height := s.size()
	lines := frame(width, height)
	var b strings.Builder
	if len(s.drawn) > 0 && (width != s.width || len(s.drawn) >= height) {
		b.WriteString("\x1b[H\x1b[J") // the terminal has moved its lines: begin anew
	} else {
		b.WriteString(s.back())
	}
	for _, l := range lines {
		b.WriteString(l + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	s.drawn, s.width = lines, width
	return s.put(b.String())
}

// back moves the cursor to the begin of the frame.
func (s *Screen) back() string {
	if len(s.drawn) == 0 {
		return ""
	}
	return fmt.Sprintf("\r\x1b[%dA", len(s.drawn))
}

// Write shows text above the frame, such as lines of a log.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := string(p)
	if len(s.drawn) > 0 {
		text = s.back() + "\x1b[J" + text + strings.Join(s.drawn, "\n") + "\n"
	}
	if err := s.put(text); err != nil {
		return 0, err
	}
	return len(p), nil
}

// say shows lines of text; they stay.
func (s *Screen) say(format string, args ...any) {
	fmt.Fprintf(s, format+"\n", args...)
}

// end leaves the frame where it is and goes on below it.
func (s *Screen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drawn = nil
}

func (s *Screen) put(text string) error {
	if _, err := io.WriteString(s.out, text); err != nil {
		return fmt.Errorf("show the demo: %w", err)
	}
	return nil
}
