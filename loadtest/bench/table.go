package bench

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Table returns the report as a page, each figure beside its floor and target.
func (r *Report) Table() string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	m := r.Machine
	say("# What it costs\n")
	say("Measured by `make bench` on %d cores and %d GiB (%s), %s, commit %s, %s. Broker, registry,", m.Cores, m.GiB, m.System, m.Go, m.Commit, m.Date)
	say("ClickHouse, the processor, the sink and the sender of the load share the machine; CPU time is that of the")
	say("process named alone. The load is FLYWHEEL-72 (`loadtest/workload`), results included. Of the runs of a backlog")
	say("the one with the median cost is shown, and the slowest restart. Figures in **bold** miss their target.")
	if m.Note != "" {
		say("\n%s", m.Note)
	}
	drained := func(r *Run) float64 { return r.Processor.CPUSecondsPerMillion }
	settled := func(r *Run) float64 { return per(r.Processor.SettledCPUSeconds*1e6, r.Processor.Events) }
	runs := func(title string, all, before []Run) {
		line := table(say, title, all, func(r *Run) string { return fmt.Sprintf("%s, %s brands", r.Broker, thousands(r.Brands)) })
		line("events in the backlog", "a count", "", whole, func(r *Run) float64 { return float64(r.Processor.Events) })
		line("events drained a second", "800 000 to 1 060 000: reading alone", "≥ 250 000", whole, func(r *Run) float64 { return r.Processor.EventsPerSecond }, least(250_000))
		line("CPU-s per million events, processor", "1.2 to 1.6", "≤ 3", hundredths, drained, most(3))
		if len(before) == 0 {
			line("the same, from the middle of a broker's, %", "0", "± 20", whole, func(r *Run) float64 {
				low, high := math.Inf(1), 0.0
				for _, other := range all {
					if other.Broker == r.Broker {
						low, high = min(low, drained(&other)), max(high, drained(&other))
					}
				}
				return 100 * (2*drained(r)/(low+high) - 1)
			}, func(_ *Run, v float64) bool { return math.Abs(v) > 20 })
		}
		line("runs of it", "a count", "", whole, func(r *Run) float64 { return float64(len(r.Costs)) })
		line("from the cheapest to the dearest of them, %", "0", "", whole, func(r *Run) float64 {
			if len(r.Costs) == 0 {
				return 0
			}
			return 100 * (r.Costs[len(r.Costs)-1]/r.Costs[0] - 1)
		})
		line("CPU-s per million events, until every result was published", "the cost above; results grow with brands", "", hundredths, settled)
		if len(before) > 0 {
			grown := func(of func(*Run) float64) func(r *Run) float64 {
				return func(r *Run) float64 {
					i := slices.IndexFunc(before, func(b Run) bool { return b.Broker == r.Broker && b.Brands == r.Brands })
					if i < 0 {
						return math.NaN() // it was not measured
					}
					return of(r) / of(&before[i])
				}
			}
			line("growth of an event's cost over 72 hours", "1", "", hundredths, grown(drained))
			line("the same, until every result was published", "1; ten times as many days have results", "", hundredths, grown(settled))
		}
		line("CPU-s per million events, broker meanwhile", "not ours", "", hundredths, func(r *Run) float64 { return r.BrokerCPU })
		line("results published", "a count", "", whole, func(r *Run) float64 {
			return float64(r.Processor.Correlations + r.Processor.Credits + r.Processor.Spikes)
		})
		line("heap of a restored processor, KB a brand", "16 B for each of its snapshots", "≤ 64", tenths, func(r *Run) float64 { return per(float64(r.Restored.HeapBytes)/1024, r.Restored.Brands) }, most(64))
		line("most resident memory, MB per 1 000 brands", "the row above", "", tenths, func(r *Run) float64 { return per(float64(r.Processor.RSSBytesMax)/1048.576, r.Processor.Brands) })
		line("changelog, bytes an event", "16: an id", "", whole, func(r *Run) float64 { return per(float64(r.Processor.ChangelogBytes), r.Processor.Events) })
		line("changelog, records an event", "one a transaction", "", hundredths, func(r *Run) float64 { return per(float64(r.Processor.ChangelogRecords), r.Processor.Events) })
		line("changelog records to restore", "a count", "", whole, func(r *Run) float64 { return float64(r.Restored.RestoredRecords) })
		line("restore, s", "1 s per million records: reading alone", "", hundredths, func(r *Run) float64 { return r.Restored.RestoreSeconds })
		line("from kill −9 to the first result in Kafka, s", "0.2: a restart without state", "", hundredths, func(r *Run) float64 { return r.AfterKill.Result })
		line("from kill −9 to the first correct row in ClickHouse, s", "the row above, and up to 1: the flush interval", "1 k: ≤ 3, 100 k: ≤ 10", hundredths, func(r *Run) float64 { return r.AfterKill.Row }, func(r *Run, v float64) bool { return v > 10 || r.Brands <= 1000 && v > 3 })
	}
	if len(r.Runs) > 0 {
		runs("A backlog of 72 hours", r.Runs, nil)
		if len(r.Month) > 0 {
			runs("As many events over 30 days", r.Month, r.Runs)
		}
	}
	if len(r.Together) > 0 {
		line := table(say, "Processor and sink side by side", r.Together, func(t *Together) string { return fmt.Sprintf("%s, %s brands", t.Broker, thousands(t.Brands)) })
		line("rows a second, sink alone", "530 000 to 660 000: inserting alone", "", whole, func(t *Together) float64 { return t.SinkAlone.RowsPerSecond })
		line("CPU-s per million rows, sink alone", "none known", "", hundredths, func(t *Together) float64 { return t.SinkAlone.CPUSecondsPerMillion })
		line("events drained a second, side by side", "the sink alone", "", whole, func(t *Together) float64 { return t.FullRate })
		line("live load, events a second", "a choice", "half of that", whole, func(t *Together) float64 { return t.Rate })
		line("sender behind its schedule at most, ms", "0", "", whole, func(t *Together) float64 { return float64(t.LateMs) })
		for _, q := range []struct {
			name, row, answer, target string
			of                        func(*Latency) float64
		}{
			{"p50", "500: half of the flush interval", "1 000: and of the refresh interval", "", func(l *Latency) float64 { return l.P50 }},
			{"p99", "1 000: the flush interval", "2 000: and the refresh interval", "≤ 2 000", func(l *Latency) float64 { return l.P99 }},
			{"p99.9", "1 000: the flush interval", "2 000: and the refresh interval", "", func(l *Latency) float64 { return l.P999 }},
		} {
			line("event to its row, "+q.name+" ms", q.row, q.target, whole, func(t *Together) float64 { return q.of(&t.Rows) }, func(_ *Together, v float64) bool { return q.target != "" && v > 2000 })
			line("event to the first answer that shows it, "+q.name+" ms", q.answer, "", whole, func(t *Together) float64 { return q.of(&t.Answers) })
		}
		line("CPU-s per million events live, processor", "that of a backlog; results come each second", "", hundredths, func(t *Together) float64 { return t.ProcessorCPU })
		line("CPU-s per million events live, sink", "that of the sink alone", "", hundredths, func(t *Together) float64 { return t.SinkCPU })
	}
	return b.String()
}

// liner adds a line to a table: what one holds of each, in a form, beside the figure's
// floor and target, and whether one has missed it.
type liner[T any] func(figure, floor, target string, form func(float64) string, of func(*T) float64, missed ...func(*T, float64) bool)

// table begins one with a column for each of all, and returns what adds a line to it.
func table[T any](say func(string, ...any), title string, all []T, name func(*T) string) liner[T] {
	row := func(first string, column func(*T) string, last ...string) {
		cells := []string{first}
		for i := range all {
			cells = append(cells, column(&all[i]))
		}
		say("| %s |", strings.Join(append(cells, last...), " | "))
	}
	say("\n## %s\n", title)
	row("figure", name, "floor", "target")
	say("|---|%s---|---|", strings.Repeat("---:|", len(all)))
	return func(figure, floor, target string, form func(float64) string, of func(*T) float64, missed ...func(*T, float64) bool) {
		row(figure, func(one *T) string {
			v := of(one)
			if slices.ContainsFunc(missed, func(missed func(*T, float64) bool) bool { return missed(one, v) }) {
				return "**" + form(v) + "**"
			}
			return form(v)
		}, floor, target)
	}
}

// Targets that are missed above or below a bound.
func most(bound float64) func(*Run, float64) bool {
	return func(_ *Run, v float64) bool { return v > bound }
}

func least(bound float64) func(*Run, float64) bool {
	return func(_ *Run, v float64) bool { return v < bound }
}

// Forms of a figure.
func whole(v float64) string      { return thousands(int(math.Round(v))) }
func tenths(v float64) string     { return strconv.FormatFloat(v, 'f', 1, 64) }
func hundredths(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }

func per(value float64, n int64) float64 { return value / float64(max(1, n)) }

// thousands writes a number in groups of three digits.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}
