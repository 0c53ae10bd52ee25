package embedded

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// meter shows progress: a bar that redraws itself on a terminal, else one line per tenth.
type meter struct {
	out      io.Writer
	terminal bool
	drawn    bool // the cursor stands behind a bar
	task     string
	tenth    int64
}

func newMeter(w io.Writer) *meter {
	if w == nil {
		w = io.Discard
	}
	f, ok := w.(*os.File)
	return &meter{out: w, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

// set shows how far a task is; what goes beyond the total counts as all but done.
func (m *meter) set(task string, n, total int64) {
	n = min(n, total)
	if m.terminal {
		const width = 30
		filled := int(n * width / total)
		fmt.Fprintf(m.out, "\r%-28s [%s%s] %3d%% %4d of %d MB\x1b[K", task, strings.Repeat("#", filled), strings.Repeat(".", width-filled), n*100/total, n>>20, total>>20)
		m.drawn = true
		return
	}
	if task != m.task {
		m.task, m.tenth = task, -1
	}
	if tenth := n * 10 / total; tenth > m.tenth {
		m.tenth = tenth
		fmt.Fprintf(m.out, "%s: %d%% of %d MB\n", task, tenth*10, total>>20)
	}
}

// say shows a line of its own.
func (m *meter) say(text string) {
	if m.drawn {
		fmt.Fprintln(m.out)
		m.drawn = false
	}
	fmt.Fprintln(m.out, text)
}
