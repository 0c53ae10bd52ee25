package demo

import (
	"fmt"
	"time"
)

// summarise says what came out, and what to do next.
func (d *Demo) summarise(p *play, written bool) {
	for _, l := range p.shown.summary(p.report) {
		d.screen.say("%s", l)
	}
	if written {
		d.screen.say("The report is in %s.", d.report)
	}
	serve := fmt.Sprintf("%s embedded --embedded.data_dir=%s", d.command, d.parts.Embedded.DataDir)
	d.screen.say("\nThe data stay until the next demo. Serve them again with\n\n  %s\n\nand ask, in another terminal:\n", serve)
	for _, q := range [...]struct{ what, sql string }{
		{"which brand is spiking, and which post leads", "SELECT brand_id, status, started_at, round(peak_z, 1) AS z, round(anomaly_score, 2) AS score, leading_content_id, driven FROM brand_spike WHERE status != 'retracted' ORDER BY started_at DESC LIMIT 10 FORMAT PrettyCompact"},
		{"what each post was worth", "SELECT brand_id, content_id, currency, sum(credit_micros) / 1e6 AS credit FROM post_credit WHERE part = 'post' GROUP BY ALL ORDER BY credit DESC LIMIT 10 FORMAT PrettyCompact"},
		{"how strong each force was, day by day", "SELECT day, force_name, count() AS brands, round(avg(decayed_correlation), 2) AS correlation FROM force_strength WHERE windows_significant > 0 GROUP BY ALL ORDER BY day DESC, brands DESC LIMIT 10 FORMAT PrettyCompact"},
		{"which forces act, with false discoveries controlled over all brands", "SELECT brand_id, force_name, discovery, round(test_p_value, 6) AS p, round(q_value, 4) AS q FROM force_discovery ORDER BY q LIMIT 10 FORMAT PrettyCompact"},
		{"why records were refused", "SELECT reason, count() FROM dead_letter FINAL GROUP BY reason ORDER BY 2 DESC FORMAT PrettyCompact"},
	} {
		d.screen.say("  # %s\n  %s", q.what, d.query(q.sql))
	}
}

// summary is the report in words, with the table of what was found beside what
// was planted.
func (v *view) summary(r *Report) []string {
	lines := []string{"", fmt.Sprintf("Played %d brands from %s to %s UTC of event time in %s.",
		r.Run.Brands, r.Run.Start.Format("2006-01-02 15:04"), r.Run.End.Format("2006-01-02 15:04"), (time.Duration(r.Run.Seconds) * time.Second)), ""}
	lines = append(lines, v.table(0, 0)...)
	lines = append(lines, "", "Verdict and lag are those of the newest 72 hours, what is credited that of all days, by the weeks before each.")
	say := func(name, format string, args ...any) {
		lines = append(lines, fmt.Sprintf("%-16s", name)+fmt.Sprintf(format, args...))
	}
	lines = append(lines, "")
	say("sent", "%s events: %s valid, %s late, %s duplicate, %s poison", grouped(r.Events.Sent), grouped(r.Events.Valid), grouped(r.Events.Late), grouped(r.Events.Duplicate), grouped(r.Events.Poison))
	say("in ClickHouse", "%s events (valid and late ones, less %s that came again, and %s of the poison that only lie in the future), %s results, %s dead letters",
		grouped(r.ClickHouse.EventRows), grouped(r.Events.Repeated), grouped(r.Events.Future), grouped(r.ClickHouse.ResultRows), grouped(r.DeadLettered))
	say("lost", "%s", grouped(r.Lost))
	say("double counted", "%s", grouped(r.DoubleCounted))
	say("misjudged", "%s", grouped(r.Misjudged))
	say("residual", "%s micros between credits, baseline and what was sold", grouped(r.ConservationResidualMicros))
	say("spikes", "%d planted (%d in the first ten days, with little history to tell them by), %d detected, %d of them with the right post, %d proven to be driven by posts; %d false, %d of those in a promotion or stock-out",
		r.Spikes.Planted, r.Spikes.Early, r.Spikes.Detected, r.Spikes.Led, r.Spikes.Driven, r.Spikes.False, r.Spikes.Confounded)
	answer := "no answer in live play yet"
	if ms := &r.LatencyMs; ms.AnswerP50 != nil {
		answer = fmt.Sprintf("event to answer p50 %s p99 %s", millis(*ms.AnswerP50), millis(*ms.AnswerP99))
	}
	say("latency", "event to row p50 %s p99 %s; %s", millis(r.LatencyMs.P50), millis(r.LatencyMs.P99), answer)
	say("throughput", "%s events/s while backfilling; %.1f CPU seconds per million events, engines and simulator included", grouped(int64(r.ThroughputPerS)), r.CPUSPerMillion)
	lines = append(lines, "")
	if len(r.Problems) == 0 {
		lines = append(lines, "Everything adds up: each event has one effect or one reason, and revenue is split to the micro.")
	} else {
		lines = append(lines, "It does not add up. What is wrong is told below, and in the report.")
	}
	return lines
}
