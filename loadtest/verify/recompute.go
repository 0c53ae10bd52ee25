package verify

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/topology"
)

// batch is a state that was built from the raw tables alone.
type batch struct {
	*topology.Partition
	events []event.Record
	newest map[string]int64 // the newest event's time, by brand
	// sources are the newest event's times by brand and source.
	sources map[string]map[string]int64
}

// stored is a row of a raw table, with where its record lies in Kafka.
type stored struct {
	event.Record
	from origin
}

// batch reads the raw tables back and applies what the processor has accepted to
// a state of its own, by the events' time, so that nothing is late.
func (c *checker) batch(ctx context.Context) (*batch, error) {
	p, err := topology.New(c.topology)
	if err != nil {
		return nil, err
	}
	b := &batch{Partition: p, newest: make(map[string]int64), sources: make(map[string]map[string]int64)}
	var raw []stored
	rows := make(map[origin]any) // of the raw tables and the brands
	for _, kind := range event.Types() {
		info := kind.Info()
		if err := c.rows(ctx, info.Name, func() any { return info.New() }, func(record any, from origin) error {
			raw = append(raw, stored{record.(event.Record), from})
			rows[from] = record
			return nil
		}); err != nil {
			return nil, err
		}
	}
	var brands []*event.Brand
	if err := c.rows(ctx, "brand", func() any { return new(event.Brand) }, func(record any, from origin) error {
		brands = append(brands, record.(*event.Brand))
		rows[from] = record
		return nil
	}); err != nil {
		return nil, err
	}
	c.Raw = len(rows)
	accepted, err := c.accepted(ctx, rows)
	if err != nil {
		return nil, err
	}
	for _, r := range raw {
		if accepted[r.Head().EventID] > 0 {
			b.events = append(b.events, r.Record)
		}
	}
	slices.SortStableFunc(b.events, func(x, y event.Record) int { return cmp.Compare(x.Head().OccurredAtMs, y.Head().OccurredAtMs) })
	now := time.Now().UnixMilli()
	for _, e := range b.events {
		switch outcome := p.Apply(e, now); outcome {
		case topology.Applied, topology.Superseded:
			b.accept(e.Head())
		default:
			c.fail(OracleBatch, "the batch finds %s %s %v", e.Type(), e.Head().EventID, outcome)
		}
	}
	for _, brand := range brands {
		p.ApplyBrand(brand)
	}
	return b, nil
}

// accepted says of each event how many times more it came than it was refused: one that
// was applied may come again and then be late. Every dead letter must be that of the
// record it is about, and about one that there is; every row must say what the record
// does that it came from.
func (c *checker) accepted(ctx context.Context, rows map[origin]any) (map[event.ID]int64, error) {
	times := make(map[event.ID]int64)
	letters := make(map[string]*event.DeadLetter)
	if err := c.rows(ctx, "dead_letter", results()["dead_letter"], func(record any, _ origin) error {
		l := record.(*event.DeadLetter)
		letters[letterAt(l)] = l
		times[l.EventID]--
		return nil
	}); err != nil {
		return nil, err
	}
	var topics []string
	for _, kind := range event.Types() {
		topics = append(topics, kind.Info().Topic)
	}
	topics = append(topics, event.TopicBrand)
	slices.Sort(topics)
	stored := make(map[event.ID]bool)
	for _, row := range rows {
		if e, isEvent := row.(event.Record); isEvent {
			stored[e.Head().EventID] = true
		}
	}
	err := c.log(ctx, slices.Compact(topics), func(k *kgo.Record, v any, refused *codec.Error) {
		e, isEvent := v.(event.Record)
		if isEvent {
			times[e.Head().EventID]++
		}
		place := recordAt(k.Topic, k.Partition, k.Offset)
		at := letterAt(&event.DeadLetter{Topic: k.Topic, Partition: k.Partition, Offset: k.Offset})
		reason, detail := event.Judge(v, k.Key)
		countable := refused == nil && reason == ""
		if isEvent && countable && !stored[e.Head().EventID] {
			c.fail(OracleRaw, "%s is an event, and no row has its id %s", place, e.Head().EventID)
		}
		if row, is := rows[originOf(k)]; is {
			delete(rows, originOf(k))
			if diff := differ(v, row, nil); diff != "" || !countable {
				c.fail(OracleRaw, "%s, which is to be a row: %t (-Kafka +ClickHouse):\n%s", place, countable, diff)
			}
		}
		if n := c.letters[at]; n != 1+c.replays && !countable {
			c.fail(OracleNewest, "%s is in Kafka %d times, and the record, which nobody can count, was processed %d times", at, n, 1+c.replays)
		}
		got := letters[at]
		if got == nil {
			return
		}
		delete(letters, at)
		var head *event.Header
		record := "brand"
		switch {
		case refused != nil:
			record, reason, detail = refused.Record, refused.Reason, refused.Detail
		case isEvent:
			head, record = e.Head(), e.Type().String()
		}
		if reason == "" { // it hangs on the state, and is the ledger's to judge
			reason, detail = got.Reason, got.Detail
		}
		want := event.NewDeadLetter(event.Origin{Topic: k.Topic, Partition: k.Partition, Offset: k.Offset, AtMs: k.Timestamp.UnixMilli(), Key: k.Key, Value: k.Value}, head, record, reason, detail)
		if diff := differ(&want, got, nil); diff != "" || got.Detail == "" {
			c.fail(OracleBatch, "dead letter (-of the record +published):\n%s", diff)
		}
		c.Letters++
	})
	if err != nil {
		return nil, err
	}
	for at := range letters {
		c.fail(OracleBatch, "%s is about a record that does not exist", at)
	}
	for at, row := range rows {
		c.fail(OracleRaw, "%s is in ClickHouse, and not in Kafka: %+v", recordAt(at.Topic, at.Partition, at.Offset), row)
	}
	return times, nil
}

// accept notes how far a source has come.
func (b *batch) accept(h *event.Header) {
	if b.sources[h.BrandID] == nil {
		b.sources[h.BrandID] = make(map[string]int64)
	}
	of := b.sources[h.BrandID]
	of[h.Source] = max(of[h.Source], h.OccurredAtMs)
	b.newest[h.BrandID] = max(b.newest[h.BrandID], h.OccurredAtMs)
}

// windows compares every window that was published with the batch, and its
// totals with a sum by hand.
func (c *checker) windows(ctx context.Context, b *batch) error {
	plain := buckets(b.events)
	return c.rows(ctx, "correlation", results()["correlation"], func(record any, _ origin) error {
		got := record.(*event.Correlation)
		want := new(event.Correlation)
		b.RecomputeWindow(got.BrandID, int(got.Force), got.WindowEndMs, func(v any) { want = clone(v.(*event.Correlation)) })
		c.Windows++
		c.watermarks(b, got, got.BrandID, got.Watermarks)
		hours := int64(event.Forces()[got.Force-1].WindowHours)
		views, searches := plain[got.BrandID].sums(got.WindowEndMs-hours*3_600_000, got.WindowEndMs)
		for _, side := range []struct {
			signal      string
			total, want int64
		}{
			{got.StimulusSignal, got.StimulusTotal, views}, {got.ResponseSignal, got.ResponseTotal, searches},
		} {
			if side.signal != event.TikTokViews.String() && side.signal != event.BrandedSearches.String() {
				continue
			}
			if c.Totals++; side.total != side.want {
				c.fail(OracleTotals, "%s, force %d, window to %d: %d of %s, by hand %d", got.BrandID, got.Force, got.WindowEndMs, side.total, side.signal, side.want)
			}
		}
		if diff := Differs(want, got); diff != "" {
			if got.WindowEndMs < b.newest[got.BrandID]-c.reach() {
				c.Final++
				return nil
			}
			c.fail(OracleBatch, "window (-batch +stream), %.1f h before the newest event:\n%s", float64(b.newest[got.BrandID]-got.WindowEndMs)/3_600_000, diff)
		}
		return nil
	})
}

// watermarks looks whether a result knows no more of its brand's sources than there is.
func (c *checker) watermarks(b *batch, result any, brand string, watermarks []event.SourceWatermark) {
	if text := Ahead(watermarks, b.sources[brand]); text != "" {
		key, revision := KeyOf(result)
		c.fail(OracleBatch, "%s, revision %d: %s", key, revision, text)
	}
}

// days compares every credit row that was published with the batch. Before what is
// restated only the money: whose it is rests on the history there was when it became
// final, and of the last restatement nobody knows when it was.
func (c *checker) days(ctx context.Context, b *batch) error {
	return c.rows(ctx, "credit", results()["credit"], func(record any, _ origin) error {
		got := record.(*event.Credit)
		c.watermarks(b, got, got.BrandID, got.Watermarks)
		want := b.day(got)
		if got.DayMs < b.newest[got.BrandID]-c.reach() {
			money := func(r *event.Credit) *event.Credit {
				return &event.Credit{BrandID: r.BrandID, DayMs: r.DayMs, Node: r.Node, Currency: r.Currency, RevenueMicros: r.RevenueMicros, DirectGMVMicros: r.DirectGMVMicros, CodeVersion: r.CodeVersion}
			}
			want, got = money(want), money(got)
		} else {
			c.Days++
		}
		if diff := Differs(want, got); diff != "" {
			c.fail(OracleBatch, "day (-batch +stream):\n%s", diff)
		}
		return nil
	})
}

// day returns what the batch says in the place of a credit row that was published.
func (b *batch) day(got *event.Credit) *event.Credit {
	// A day of which the batch says nothing: the stream has seen money that was taken back.
	// Or the row's day is none any more, since the brand has another time zone: the day that
	// holds its begin now has its money.
	want := &event.Credit{BrandID: got.BrandID, DayMs: got.DayMs, Node: got.Node, Currency: got.Currency, Tier: event.TierSettled, CodeVersion: got.CodeVersion}
	known := false
	b.RecomputeDay(got.BrandID, got.DayMs, func(v any) {
		switch r := v.(*event.Credit); {
		case r.DayMs != got.DayMs:
			known, want.CodeVersion = true, r.CodeVersion
		case r.Node == got.Node && r.Currency == got.Currency:
			known, want = true, clone(r)
		}
	})
	if !known {
		want.DirectGMVMicros = got.DirectGMVMicros
	}
	return want
}

// spikes compares the spikes that were published with those of the batch. In sight of
// the last look they are a function of the events; before it they stand as they were
// last seen, and may differ by what came too late to be seen with them.
func (c *checker) spikes(ctx context.Context, b *batch) error {
	ends, want, from := make(map[string]int64), make(map[string]*event.Spike), make(map[string]int64)
	if err := c.rows(ctx, "correlation", results()["correlation"], func(record any, _ origin) error {
		if r := record.(*event.Correlation); r.Force == 1 && r.Revision >= c.since {
			ends[r.BrandID] = max(ends[r.BrandID], r.WindowEndMs)
		}
		return nil
	}); err != nil {
		return err
	}
	for brand, end := range ends {
		from[brand] = b.RecomputeSpikes(brand, end, func(v any) {
			s := clone(v.(*event.Spike))
			key, _ := KeyOf(s)
			want[key] = s
		})
	}
	maps.DeleteFunc(want, func(_ string, s *event.Spike) bool { return s.Status == event.SpikeStatusRetracted })
	sighted := func(s *event.Spike) bool { return s.StartedAtMs >= from[s.BrandID] }
	report := func(s *event.Spike, format string, args ...any) {
		if !sighted(s) {
			c.FinalSpikes++
			return
		}
		c.fail(OracleBatch, format, args...)
	}
	if err := c.rows(ctx, "spike", results()["spike"], func(record any, _ origin) error {
		got := record.(*event.Spike)
		key, _ := KeyOf(got)
		c.watermarks(b, got, got.BrandID, got.Watermarks)
		if text := Sound(got); text != "" {
			c.fail(OracleBatch, "%s: %s", key, text)
		}
		batch := want[key]
		delete(want, key)
		if !sighted(got) {
			c.OutOfSight++
		}
		switch c.Spiked++; {
		case got.Status == event.SpikeStatusRetracted && batch == nil:
		case batch == nil:
			report(got, "%s, which begins at %d, is %s, and the batch does not find it", key, got.StartedAtMs, got.Status)
		default:
			if diff := Differs(batch, got); diff != "" {
				report(got, "spike (-batch +stream):\n%s", diff)
				return nil
			}
			if got.Tier == event.TierProvisional && batch.Tier == event.TierSettled {
				c.Unsettled++
				batch = clone(batch)
				batch.Tier = got.Tier
			}
			if math.Abs(got.AnomalyScore-batch.AnomalyScore) <= scoreSlack {
				batch = clone(batch)
				batch.AnomalyScore = got.AnomalyScore
			}
			if differ(batch, got, whenDerived()) != "" {
				c.Beside++
			}
		}
		return nil
	}); err != nil {
		return err
	}
	for key, s := range want {
		if !sighted(s) {
			c.OutOfSight++
		}
		report(s, "%s, which begins at %d, was never published", key, s.StartedAtMs)
	}
	return nil
}

// scoreSlack is by how much the score of a spike may be another than in the batch, which knows late
// events of all the weeks before it: it rests on each of their hours.
const scoreSlack = 0.05

// reach is how far back results are restated: what lies before is final and rests
// on the history there was then.
func (c *checker) reach() int64 { return int64(c.topology.RestateHours) * 3_600_000 }

// present checks that every force for which the batch publishes a window, and every
// day with money, was published, and that the newest windows are as new as what they
// are about.
func (c *checker) present(ctx context.Context, b *batch) error {
	have := make(map[string]bool)
	if err := clickhouse.Each(ctx, c.conn, "SELECT DISTINCT brand_id, toUnixTimestamp64Milli(day), node, currency FROM credit", func(rows driver.Rows) error {
		var r event.Credit
		err := rows.Scan(&r.BrandID, &r.DayMs, (*string)(&r.Node), &r.Currency)
		key, _ := KeyOf(&r)
		have[key] = true
		return err //nolint:wrapcheck // Each says what was asked
	}); err != nil {
		return err
	}
	ends := make(map[ofForce]int64)
	// A state that was built anew has published all of its windows anew.
	newest := fmt.Sprintf("SELECT brand_id, force, max(toUnixTimestamp64Milli(window_end)) FROM correlation WHERE revision >= %d GROUP BY brand_id, force", c.since)
	if err := clickhouse.Each(ctx, c.conn, newest, func(rows driver.Rows) error {
		var of ofForce
		var endMs int64
		err := rows.Scan(&of.brand, &of.force, &endMs)
		ends[of] = endMs
		return err //nolint:wrapcheck // Each says what was asked
	}); err != nil {
		return err
	}
	for of, wantMs := range b.ends() {
		if c.Newest++; ends[of] < wantMs {
			c.fail(OraclePresent, "%s: the newest window of force %d ends at %d, its response at %d", of.brand, of.force, ends[of], wantMs)
		}
	}
	const everything = topology.Budget(1 << 40)
	b.Refresh(time.Now().UnixMilli(), everything, func(result any) {
		switch r := result.(type) {
		case *event.Correlation:
			if ends[ofForce{r.BrandID, r.Force}] == 0 {
				c.fail(OraclePresent, "no window of force %d of %s was ever published", r.Force, r.BrandID)
			}
		case *event.Credit:
			if key, _ := KeyOf(r); r.RevenueMicros != 0 && !have[key] {
				c.fail(OraclePresent, "%s was never published", key)
			}
		}
	})
	return nil
}

// ofForce is a force of a brand.
type ofForce struct {
	brand string
	force int32
}

// ends returns where the newest window of each force has to end at the least: with the
// newest response that came, but not after the brand's newest event, where there was a
// stimulus in the day before. The batch's own windows end later, since it knows the
// newest time of all sources at once.
func (b *batch) ends() map[ofForce]int64 {
	const dayMs = 24 * 3_600_000
	last := make(map[string]map[event.Signal]int64) // end of the newest quarter-hour, by brand
	for brand := range b.newest {
		last[brand] = make(map[event.Signal]int64)
	}
	is := func(brand string, s event.Signal, atMs int64) {
		last[brand][s] = max(last[brand][s], (atMs/quarterMs+1)*quarterMs)
	}
	versions := make(map[string]event.Record)
	for i, e := range b.events {
		key, h := strconv.Itoa(i), e.Head()
		if h.NaturalKey != "" {
			key = fmt.Sprintf("%q %s %q %q", h.BrandID, e.Type(), h.Source, h.NaturalKey)
		}
		if old := versions[key]; old == nil || old.Head().Version < h.Version {
			versions[key] = e
		}
	}
	for _, e := range versions {
		for _, v := range e.Contribute(nil) {
			atMs := v.AtMs
			switch {
			case v.Value == 0 || v.Signal == event.TikTokViews: // a count, which may not have risen
				continue
			case v.Signal.Info().Grain != event.QuarterHour: // it is spread from the hour's begin on
				atMs -= atMs % 3_600_000
			}
			is(e.Head().BrandID, v.Signal, atMs)
		}
	}
	for brand, p := range buckets(b.events) {
		for quarter, views := range p.views {
			if views != 0 {
				is(brand, event.TikTokViews, quarter*quarterMs)
			}
		}
	}
	out := make(map[ofForce]int64)
	for brand, clockMs := range b.newest {
		newest := func(signals []event.Signal) (endMs int64) {
			for _, s := range signals {
				endMs = max(endMs, last[brand][s])
			}
			return endMs
		}
		for _, f := range event.Forces() {
			if endMs := min(newest(f.Responses), clockMs); endMs > 0 && newest(f.Stimuli) >= clockMs-dayMs {
				out[ofForce{brand, int32(f.Number)}] = endMs
			}
		}
	}
	return out
}
