// Package progress shows how far long work is: a bar that redraws itself on a
// terminal, plain lines elsewhere.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Meter shows the progress of one task after the other. It is not safe for
// concurrent use.
type Meter struct {
	out      io.Writer
	terminal bool
	unit     string
	per      int64
	task     string
	tenth    int64  // the last one that a line told
	drawn    string // the bar the cursor stands behind, empty when there is none
}

// New returns a meter that counts in a unit of so many, such as MB of 1<<20 or
// records of 1. A nil writer shows nothing.
func New(w io.Writer, unit string, per int64) *Meter {
	if w == nil {
		w = io.Discard
	}
	f, ok := w.(*os.File)
	return &Meter{out: w, terminal: ok && term.IsTerminal(int(f.Fd())), unit: unit, per: per}
}

// Set shows how far a task is. What goes beyond the total counts as all of it.
func (m *Meter) Set(task string, n, total int64) {
	total = max(total, 1)
	n = min(max(n, 0), total)
	share := float64(n) / float64(total)
	if m.terminal {
		const width = 30
		filled := int(share * width)
		bar := fmt.Sprintf("\r%-28s [%s%s] %3d%% %4d of %d %s\x1b[K", task,
			strings.Repeat("#", filled), strings.Repeat(".", width-filled), int(share*100), n/m.per, total/m.per, m.unit)
		if bar != m.drawn {
			fmt.Fprint(m.out, bar)
			m.drawn = bar
		}
		return
	}
	if task != m.task {
		m.task, m.tenth = task, -1
	}
	if tenth := int64(share * 10); tenth > m.tenth {
		m.tenth = tenth
		fmt.Fprintf(m.out, "%s: %d%% of %d %s\n", task, tenth*10, total/m.per, m.unit)
	}
}

// Say shows a line of its own.
func (m *Meter) Say(text string) {
	m.End()
	fmt.Fprintln(m.out, text)
}

// End leaves the bar as it is and goes on below it. The meter stays usable.
func (m *Meter) End() {
	if m.drawn != "" {
		fmt.Fprintln(m.out)
		m.drawn = ""
	}
}
