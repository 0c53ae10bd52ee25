package oracle

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"flywheel/pkg/event"
	"flywheel/services/simulator"
)

// Judge holds what ClickHouse has against the ledger of what was sent.
func Judge(d *simulator.Detail, f *Facts) Verdict {
	r := Verdict{
		Events:     Events{d.Sent, d.Valid, d.Late, d.Duplicate, d.Poison, d.Reasons[event.ReasonFuture], d.Repeated},
		ClickHouse: ClickHouse{ResultRows: int64(f.results)},
		Problems:   []string{},
		Details:    []string{},
	}
	j := judgement{&r}
	j.tables(d.Rows, f.tables)
	j.letters(d.DeadLetters, f.letters, 1+f.Replays)
	j.revenue(d.Revenue, f.cells)
	j.spikes(d, f.alerts)
	return r
}

type judgement struct{ *Verdict }

func (j judgement) problem(format string, args ...any) {
	j.Problems = append(j.Problems, fmt.Sprintf(format, args...))
}

func (j judgement) detail(what string, list []string) {
	const most = 100
	slices.Sort(list)
	for _, l := range list[:min(len(list), most)] {
		j.Details = append(j.Details, what+": "+l)
	}
}

// tables compares the rows of the raw tables.
func (j judgement) tables(want map[string]int64, have []table) {
	for _, t := range have {
		j.ClickHouse.EventRows += int64(t.rows)
		ids, expected := int64(t.ids), want[t.name]
		if ids < expected {
			j.Lost += expected - ids
			j.problem("%d rows of %s are missing (%d events, %d were sent): see what the sink logged, and whether Kafka still holds them", expected-ids, t.name, ids, expected)
		}
		if ids > expected {
			j.DoubleCounted += ids - expected
			j.problem("%d rows of %s stem from no event that was sent: look at their kafka_topic and kafka_offset", ids-expected, t.name)
		}
		if again := int64(t.rows) - ids; again > 0 {
			j.DoubleCounted += again
			j.problem("%d rows of %s repeat an event under FINAL: SELECT event_id, count() FROM %s FINAL GROUP BY event_id HAVING count() > 1", again, t.name, t.name)
		}
	}
}

// letters compares the dead letters one by one; each is published so many times.
func (j judgement) letters(want []simulator.DeadLetter, have []letter, times int) {
	expected := make(map[letterKey]simulator.DeadLetter, len(want))
	for _, w := range want {
		expected[letterKey{w.Topic, w.Partition, w.Offset}] = w
	}
	var unexpected, doubled, misjudged []string
	for _, h := range have {
		j.DeadLettered++
		at := fmt.Sprintf("%s, partition %d, offset %d", h.topic, h.partition, h.offset)
		if again := int64(h.times) - int64(times); again > 0 {
			doubled = append(doubled, at)
			j.DoubleCounted += again
		}
		w, ok := expected[h.letterKey]
		delete(expected, h.letterKey)
		switch {
		case !ok:
			unexpected = append(unexpected, fmt.Sprintf("%s: %s", at, h.reason))
		case h.reason != string(w.Reason):
			misjudged = append(misjudged, fmt.Sprintf("%s: %s instead of %s", at, h.reason, w.Reason))
		case h.brand != w.BrandID:
			misjudged = append(misjudged, fmt.Sprintf("%s: brand %q instead of %q", at, h.brand, w.BrandID))
		case w.EventID != "" && h.event != w.EventID:
			misjudged = append(misjudged, fmt.Sprintf("%s: event %s instead of %s", at, h.event, w.EventID))
		}
	}
	j.Lost += int64(len(unexpected) + len(expected))
	j.Misjudged += int64(len(misjudged))
	if n := len(expected); n > 0 {
		missing := make([]string, 0, n)
		for _, w := range expected {
			missing = append(missing, fmt.Sprintf("%s, partition %d, offset %d: %s", w.Topic, w.Partition, w.Offset, w.Reason))
		}
		j.problem("%d dead letters are missing, so these records were taken although they must be refused, or have vanished, such as %s", n, slices.Min(missing))
		j.detail("missing dead letter", missing)
	}
	for _, p := range []struct {
		list []string
		what string
	}{
		{unexpected, "valid events were refused"},
		{doubled, "dead letters were published twice"},
		{misjudged, "dead letters are not what they have to be"},
	} {
		if len(p.list) > 0 {
			j.problem("%d %s, such as the one about %s: look at dead_letter", len(p.list), p.what, slices.Min(p.list))
			j.detail(p.what, p.list)
		}
	}
}

// revenue compares what the credit rows add up to.
func (j judgement) revenue(want []simulator.Revenue, have []cell) {
	expected := make(map[cellKey]int64, len(want))
	for _, w := range want {
		expected[cellKey{w.BrandID, w.DayMs, string(w.Node), w.Currency}] = w.Micros
	}
	split, over, under := 0, 0, 0
	var first cellKey
	for _, h := range have {
		if h.residual != 0 {
			split++
			j.ConservationResidualMicros += abs(h.residual)
		}
		diff := h.micros - expected[h.cellKey]
		delete(expected, h.cellKey)
		j.compare(h.cellKey, diff, &over, &under, &first)
	}
	for key, micros := range expected {
		j.compare(key, -micros, &over, &under, &first)
	}
	j.Lost += int64(under)
	j.DoubleCounted += int64(over)
	if split > 0 {
		j.problem("credits and baseline do not add up to the revenue in %d rows of credit: SELECT * FROM credit FINAL WHERE arraySum(credits.credit_micros) + baseline_micros != revenue_micros", split)
	}
	if over+under > 0 {
		j.problem("revenue is not what was sold in %d cases (%d too much, %d too little), such as brand %s, %s, %s on the day that begins at %s: compare credit with the orders of that day",
			over+under, over, under, first.brand, first.node, first.currency, time.UnixMilli(first.dayMs).UTC().Format(time.RFC3339))
	}
}

func (j judgement) compare(key cellKey, diff int64, over, under *int, first *cellKey) {
	if diff == 0 {
		return
	}
	j.ConservationResidualMicros += abs(diff)
	if diff > 0 {
		*over++
	} else {
		*under++
	}
	if *over+*under == 1 || cmp.Or(cmp.Compare(key.brand, first.brand), cmp.Compare(key.dayMs, first.dayMs), cmp.Compare(key.node, first.node), cmp.Compare(key.currency, first.currency)) < 0 {
		*first = key
	}
}

// spikes matches alerts with planted spikes by brand and time.
func (j judgement) spikes(d *simulator.Detail, alerts []alert) {
	j.Spikes.Planted = len(d.Spikes)
	met := make([]bool, len(alerts))
	for _, s := range d.Spikes {
		if s.Early {
			j.Spikes.Early++
		}
		detected, led, driven := 0, false, false
		for i, a := range alerts {
			if a.brand == s.BrandID && a.startMs < s.EndMs && a.endMs > s.VisibleMs {
				met[i] = true
				detected++
				led = led || a.post == s.ContentID
				driven = driven || a.driven
			}
		}
		switch {
		case detected > 0:
			j.Spikes.Detected++
		case !s.Early:
			j.Spikes.Missed++
		}
		if detected > 1 {
			j.Spikes.Doubled++
		}
		if led {
			j.Spikes.Led++
		}
		if driven {
			j.Spikes.Driven++
		}
	}
	for i, a := range alerts {
		if met[i] {
			continue
		}
		j.Spikes.False++
		if slices.ContainsFunc(d.Confounders, func(c simulator.Confounder) bool {
			return c.BrandID == a.brand && a.startMs < c.EndMs && a.endMs > c.StartMs
		}) {
			j.Spikes.Confounded++
		}
	}
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}
