package demo

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"flywheel/pkg/event"
	"flywheel/services/simulator"
)

// view is what is shown at a moment.
type view struct {
	phase     simulator.Phase
	draining  bool
	eventTime time.Time
	share     float64
	speed     float64 // of live play
	sentPerS  float64
	sent      int64
	behind    time.Duration
	brands    []Finding // in the order of the brands, with the spikes beside
	spikes    []spiking
	answers   answers
	processor int64 // input records it has not committed
	sink      int64
	trouble   string // why the numbers may be old
}

// spiking is the newest spike of a brand and the post that leads it, or the one
// with most credit.
type spiking struct {
	status string // empty when there was none
	at     time.Time
	z      float64
	post   string
	count  uint64
}

// column is a column of the table of brands. The higher its rank, the sooner it
// goes when the terminal is narrow.
type column struct {
	title string
	rank  int
	right bool
	cell  func(f *Finding, s *spiking) string
}

func columns() []column {
	return []column{
		{"BRAND", 0, false, func(f *Finding, _ *spiking) string { return f.Name }},
		{"SPIKE", 2, false, func(_ *Finding, s *spiking) string { return s.text() }},
		{"LEADING POST", 5, false, func(_ *Finding, s *spiking) string { return dash(s.post) }},
		{"BEST LAG", 4, true, func(f *Finding, _ *spiking) string { return f.lag() }},
		{"CREDITED", 1, true, func(f *Finding, _ *spiking) string { return amount(f.CreditedMicros, f.Currency) }},
		{"PLANTED", 6, true, func(f *Finding, _ *spiking) string { return amount(f.CausedMicros, f.Currency) }},
		{"MULTIPLIER [95 %]", 1, true, func(f *Finding, _ *spiking) string { return f.interval() }},
		{"PLANTED", 1, true, func(f *Finding, _ *spiking) string { return fmt.Sprintf("%.2f", f.PlantedMultiplier) }},
		{"VERDICT", 3, false, func(f *Finding, _ *spiking) string { return f.judged() }},
	}
}

func (s *spiking) text() string {
	switch s.status {
	case "":
		return "–"
	case string(event.SpikeStatusActive):
		return fmt.Sprintf("now, z %.1f", s.z)
	}
	return fmt.Sprintf("%s, z %.1f", s.at.Format("Jan 2 15:04"), s.z)
}

// judged is the verdict in words.
func (f *Finding) judged() string {
	text := dash(f.Verdict)
	if f.Reason != "" {
		text += ": " + f.Reason
	}
	return strings.ReplaceAll(text, "_", " ")
}

func (f *Finding) interval() string {
	if f.Multiplier == 0 && f.High == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f [%.2f, %.2f]", f.Multiplier, f.Low, f.High)
}

func dash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// lag is the best lag where there is evidence: among correlations of chance one
// is always the highest, and its lag says nothing.
func (f *Finding) lag() string {
	if f.LagHours == nil || f.Verdict != string(event.VerdictSignificant) {
		return "–"
	}
	return fmt.Sprintf("%.2f h", *f.LagHours)
}

// amount prints whole units of a currency.
func amount(micros int64, currency string) string {
	return grouped(int64(math.Round(float64(micros)/1e6))) + " " + currency
}

// grouped prints a number with a comma at every thousand.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// table lays the brands out for a width, at most so many of them; a width of 0
// is without limit.
func (v *view) table(width, most int) []string {
	cols := columns()
	cells := make([][]string, 0, len(v.brands)+1)
	for {
		cells = cells[:0]
		var titles []string
		for _, c := range cols {
			titles = append(titles, c.title)
		}
		cells = append(cells, titles)
		for i := range v.brands {
			var row []string
			for _, c := range cols {
				row = append(row, c.cell(&v.brands[i], &v.spikes[i]))
			}
			cells = append(cells, row)
		}
		worst := 0
		for i, c := range cols {
			if c.rank >= cols[worst].rank {
				worst = i
			}
		}
		if width == 0 || cols[worst].rank == 0 || total(cells) <= width {
			break
		}
		cols = append(cols[:worst:worst], cols[worst+1:]...)
	}
	lines := layout(cells, cols)
	if most > 0 && len(lines)-1 > most {
		left := len(lines) - most // one line says so
		lines = append(lines[:most], fmt.Sprintf("… and %d brands more: make the terminal higher to see them", left))
	}
	return lines
}

const gap = 2

func widths(cells [][]string) []int {
	w := make([]int, len(cells[0]))
	for _, row := range cells {
		for i, c := range row {
			w[i] = max(w[i], utf8.RuneCountInString(c))
		}
	}
	return w
}

func total(cells [][]string) (sum int) {
	for _, w := range widths(cells) {
		sum += w + gap
	}
	return sum - gap
}

func layout(cells [][]string, cols []column) []string {
	w := widths(cells)
	lines := make([]string, 0, len(cells))
	for _, row := range cells {
		var b strings.Builder
		for i, c := range row {
			pad := strings.Repeat(" ", w[i]-utf8.RuneCountInString(c))
			if cols[i].right {
				b.WriteString(pad + c)
			} else {
				b.WriteString(c + pad)
			}
			b.WriteString(strings.Repeat(" ", gap))
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}

// stage says in a few words what happens.
func (v *view) stage() string {
	switch {
	case v.draining:
		return "waiting for the last results of the past"
	case v.phase == simulator.PhaseBackfill:
		return fmt.Sprintf("backfill, %s events/s", grouped(int64(v.sentPerS)))
	case v.phase == simulator.PhaseLive:
		return fmt.Sprintf("live at %g times real time, %s events/s", v.speed, grouped(int64(v.sentPerS)))
	}
	return string(v.phase)
}

// totals says what concerns all brands. Once nothing is sent any more, nothing is on its way
// whose latency could be told.
func (v *view) totals() []string {
	all := []string{grouped(v.sent) + " events sent", grouped(int64(v.answers.rows)) + " in ClickHouse", grouped(int64(v.answers.results)) + " results"}
	if !v.draining {
		all = append(all, "event to row "+v.answers.event.String(), "event to answer "+v.answers.answer.String())
	}
	return append(all, fmt.Sprintf("behind: processor %s, sink %s", grouped(v.processor), grouped(v.sink)))
}

// flow joins parts to lines no wider than a width, where that can be.
func flow(width int, parts ...string) []string {
	var lines []string
	for _, p := range parts {
		if last := len(lines) - 1; last >= 0 && utf8.RuneCountInString(lines[last])+len(separator)+utf8.RuneCountInString(p) <= width {
			lines[last] += separator + p
			continue
		}
		lines = append(lines, p)
	}
	return lines
}

const separator = "; "

func (l latency) String() string {
	if l.n == 0 {
		return "–"
	}
	return fmt.Sprintf("p50 %s p99 %s", millis(l.p50), millis(l.p99))
}

func millis(ms float64) string {
	if ms >= 10_000 {
		return fmt.Sprintf("%.0f s", ms/1000)
	}
	if ms >= 1000 {
		return fmt.Sprintf("%.1f s", ms/1000)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// frame is the whole screen for a terminal of a width and height.
func (v *view) frame(width, height int) []string {
	title, progress := "Flywheel demo  ", fmt.Sprintf("%3.0f %%  %s", 100*v.share, v.stage())
	if room := min(30, width-len(title)-len("[] ")-utf8.RuneCountInString(progress)); room > 0 {
		filled := int(min(max(v.share, 0), 1) * float64(room))
		title += "[" + strings.Repeat("#", filled) + strings.Repeat(".", room-filled) + "] "
	}
	head := []string{title + progress}
	totals := flow(width, append([]string{"event time " + v.eventTime.Format("2006-01-02 15:04") + " UTC"}, v.totals()...)...)
	head = append(head, totals[:min(len(totals), max(1, height/4))]...) // the brands come first
	if v.behind > patience {
		head = append(head, fmt.Sprintf("sending is %s behind its schedule: this machine cannot keep up with --rate and --speed", v.behind.Round(time.Second)))
	}
	if v.trouble != "" {
		head = append(head, v.trouble)
	}
	head = append(head, "")
	lines := append(head, v.table(width, max(1, height-len(head)-2))...)
	for i, l := range lines {
		lines[i] = cut(l, width)
	}
	return lines[:min(len(lines), max(1, height-1))]
}

// patience is how far sending may fall behind before the screen says so.
const patience = 5 * time.Second

// cut shortens a line to a width, so that it never wraps.
func cut(s string, width int) string {
	if width <= 0 || utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// line is the screen in one line, for where there is no terminal.
func (v *view) line() string {
	s := fmt.Sprintf("%3.0f %%  %s  %s; %s", 100*v.share, v.eventTime.Format("Jan 02 15:04"), v.stage(), strings.Join(v.totals(), separator))
	if v.behind > patience {
		s += fmt.Sprintf("; sending is %s behind", v.behind.Round(time.Second))
	}
	if v.trouble != "" {
		s += "; " + v.trouble
	}
	return s
}

// news says, a line for each brand, whose answer is not what it was.
func (v *view) news(old *view) []string {
	var lines []string
	for i := range v.brands {
		f, s := &v.brands[i], &v.spikes[i]
		was, before := Finding{}, spiking{}
		if old != nil {
			was, before = old.brands[i], old.spikes[i]
		}
		spiked := s.status != "" && (s.at != before.at || s.status != before.status)
		judged := f.Verdict != was.Verdict && (f.Verdict == string(event.VerdictSignificant) || was.Verdict == string(event.VerdictSignificant))
		if !spiked && !judged {
			continue
		}
		spike := "no spike"
		switch s.status {
		case string(event.SpikeStatusActive):
			spike = fmt.Sprintf("spike since %s, z %.1f", s.at.Format("Jan 2 15:04"), s.z)
		case string(event.SpikeStatusResolved):
			spike = fmt.Sprintf("spike of %s over, z %.1f", s.at.Format("Jan 2 15:04"), s.z)
		}
		lines = append(lines, fmt.Sprintf("       %s: %s; leading post %s; best lag %s; credited %s of %s planted; multiplier %s, planted %.2f; %s",
			f.Name, spike, dash(s.post), f.lag(), amount(f.CreditedMicros, f.Currency), amount(f.CausedMicros, f.Currency),
			f.interval(), f.PlantedMultiplier, f.judged()))
	}
	return lines
}
