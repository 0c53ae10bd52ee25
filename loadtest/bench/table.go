package bench

import (
	"fmt"
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
	say("process named alone. The load is FLYWHEEL-72 (`loadtest/workload`), results included.")
	if m.Note != "" {
		say("\n%s", m.Note)
	}
	row := func(cells ...string) { say("| %s |", strings.Join(cells, " | ")) }
	head := func(title string, column func(i int) string, n int) {
		say("\n## %s\n", title)
		cells := []string{"figure"}
		for i := range n {
			cells = append(cells, column(i))
		}
		row(append(cells, "floor", "target")...)
		say("|---|%s---|---|", strings.Repeat("---:|", n))
	}
	runs := func(title string, all []Run) {
		if len(all) == 0 {
			return
		}
		head(title, func(i int) string { return fmt.Sprintf("%s, %s brands", all[i].Broker, thousands(all[i].Brands)) }, len(all))
		line := func(name, floor, target string, value func(r *Run) string) {
			cells := []string{name}
			for i := range all {
				cells = append(cells, value(&all[i]))
			}
			row(append(cells, floor, target)...)
		}
		f := func(format string, value func(r *Run) float64) func(*Run) string {
			return func(r *Run) string { return fmt.Sprintf(format, value(r)) }
		}
		line("events in the backlog", "", "", func(r *Run) string { return thousands(int(r.Processor.Events)) })
		line("events drained a second", "800 000 to 1 060 000: reading alone", "≥ 250 000", func(r *Run) string { return thousands(int(r.Processor.EventsPerSecond)) })
		line("CPU-s per million events, processor", "1.2 to 1.6", "≤ 3, flat ±20 %", f("%.2f", func(r *Run) float64 { return r.Processor.CPUSecondsPerMillion }))
		line("the same, until every result was published", "", "", f("%.2f", func(r *Run) float64 { return per(r.Processor.SettledCPUSeconds*1e6, r.Processor.Events) }))
		line("CPU-s per million events, broker meanwhile", "", "", f("%.2f", func(r *Run) float64 { return r.BrokerCPU }))
		line("results published", "", "", func(r *Run) string {
			return thousands(int(r.Processor.Correlations + r.Processor.Credits + r.Processor.Spikes))
		})
		line("heap of a restored processor, KB a brand", "", "≤ 64", f("%.1f", func(r *Run) float64 { return per(float64(r.Restored.HeapBytes)/1024, r.Restored.Brands) }))
		line("most resident memory, MB per 1 000 brands", "", "", f("%.1f", func(r *Run) float64 { return per(float64(r.Processor.RSSBytesMax)/1048.576, r.Processor.Brands) }))
		line("changelog, bytes an event", "16: an id", "", f("%.0f", func(r *Run) float64 { return per(float64(r.Processor.ChangelogBytes), r.Processor.Events) }))
		line("changelog, records an event", "", "", f("%.2f", func(r *Run) float64 { return per(float64(r.Processor.ChangelogRecords), r.Processor.Events) }))
		line("changelog records to restore", "", "", func(r *Run) string { return thousands(int(r.Restored.RestoredRecords)) })
		line("restore, s", "1 s per million records: reading alone", "", f("%.2f", func(r *Run) float64 { return r.Restored.RestoreSeconds }))
		line("from kill −9 and start to the first correct result, s", "0.2: a restart without state", "1 k: ≤ 3, 100 k: ≤ 10", f("%.2f", func(r *Run) float64 { return r.AfterKillSeconds }))
	}
	runs("A backlog of 72 hours", r.Runs)
	if len(r.Month) > 0 && len(r.Runs) > 0 {
		runs("As many events over 30 days", r.Month)
	}
	if all := r.Together; len(all) > 0 {
		head("Processor and sink side by side", func(i int) string { return fmt.Sprintf("%s, %s brands", all[i].Broker, thousands(all[i].Brands)) }, len(all))
		line := func(name, floor, target, format string, value func(t *Together) float64) {
			cells := []string{name}
			for i := range all {
				cells = append(cells, fmt.Sprintf(format, value(&all[i])))
			}
			row(append(cells, floor, target)...)
		}
		line("rows a second, sink alone", "530 000 to 660 000: inserting alone", "", "%.0f", func(t *Together) float64 { return t.SinkAlone.RowsPerSecond })
		line("CPU-s per million rows, sink alone", "", "", "%.2f", func(t *Together) float64 { return t.SinkAlone.CPUSecondsPerMillion })
		line("events drained a second, side by side", "", "", "%.0f", func(t *Together) float64 { return t.FullRate })
		line("live load, events a second", "", "half of that", "%.0f", func(t *Together) float64 { return t.Rate })
		line("sender behind its schedule at most, ms", "", "", "%.0f", func(t *Together) float64 { return float64(t.LateMs) })
		for _, q := range []struct {
			name string
			of   func(*Latency) float64
			p99  string
		}{{"p50", func(l *Latency) float64 { return l.P50 }, ""}, {"p99", func(l *Latency) float64 { return l.P99 }, "≤ 2 000"}, {"p99.9", func(l *Latency) float64 { return l.P999 }, ""}} {
			line("event to its row, "+q.name+" ms", map[string]string{"p50": "500: half of the flush interval", "p99": "1 000: the flush interval"}[q.name], q.p99, "%.0f", func(t *Together) float64 { return q.of(&t.Rows) })
			line("event to the first answer that shows it, "+q.name+" ms", "", "", "%.0f", func(t *Together) float64 { return q.of(&t.Answers) })
		}
		line("CPU-s per million events live, processor", "", "", "%.2f", func(t *Together) float64 { return t.ProcessorCPU })
		line("CPU-s per million events live, sink", "", "", "%.2f", func(t *Together) float64 { return t.SinkCPU })
	}
	return b.String()
}

func per(value float64, n int64) float64 { return value / float64(max(1, n)) }

// thousands writes a number in groups of three digits.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}
