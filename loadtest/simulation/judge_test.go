package simulation

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"flywheel/loadtest/verify"
	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/topology"
)

// The oracles, by the names under which they report.
const (
	oracleOutcome    = "one effect or one reason" // of each record
	oracleChangelog  = "the changelog is the state of what was accepted"
	oracleBatch      = "results are those of a batch"
	oracleMissing    = "every result is there"
	oracleTotals     = "totals are those counted by hand"
	oracleRevenue    = "revenue is that counted by hand"
	oracleSum        = "credits and baseline are the revenue"
	oracleSpikes     = "spikes are those of a batch"
	oracleRevisions  = "revisions rise"
	oracleWatermarks = "watermarks are those of what was accepted"
	oracleWarehouse  = "ClickHouse holds what was committed"
	oracleProgress   = "progress"
	oracleOwner      = "one owner"
	oraclePanic      = "panic"
	oracleHang       = "hang"
	oracleSimulator  = "simulation"
)

// judge looks at everything that is committed.
func (w *world) judge(ctx context.Context) error {
	if w.records == nil {
		if err := w.read(ctx); err != nil {
			return err
		}
	}
	c := newContract(w.sent)
	decoder, err := codec.NewDecoder(w.registry)
	if err != nil {
		return err
	}
	var results []any
	letters := make(map[place][]event.Reason)
	for _, r := range w.records {
		switch r.Topic {
		case event.TopicCorrelation, event.TopicCredit, event.TopicSpike, event.TopicDeadLetter:
		default:
			continue
		}
		v, err := decoder.Decode(ctx, r.Topic, r.Value)
		if err != nil {
			return fmt.Errorf("read a result: %w", err)
		}
		switch v := v.(type) { // the decoder uses its memory again
		case *event.Correlation:
			o := *v
			o.LagProfile, o.Watermarks = slices.Clone(v.LagProfile), slices.Clone(v.Watermarks)
			results = append(results, &o)
		case *event.Credit:
			o := *v
			o.Credits, o.Watermarks = slices.Clone(v.Credits), slices.Clone(v.Watermarks)
			results = append(results, &o)
		case *event.Spike:
			o := *v
			o.Watermarks = slices.Clone(v.Watermarks)
			results = append(results, &o)
		case *event.DeadLetter:
			at := place{v.Topic, v.Partition, v.Offset}
			letters[at] = append(letters[at], v.Reason)
		}
	}
	w.judgeOutcomes(c, letters)
	if err := w.judgeState(c); err != nil {
		return err
	}
	newest := w.judgeRevisions(results)
	w.judgeWatermarks(c, results)
	w.judgeSums(results)
	if w.plan.withSink {
		w.judgeWarehouse(newest, letters)
	}
	if err := w.judgeSpikes(c, newest); err != nil {
		return err
	}
	w.judgeFresh(c, newest)
	final := w.final(c)
	maps.DeleteFunc(newest, func(_ string, r any) bool {
		switch v := r.(type) {
		case *event.Correlation:
			return v.WindowEndMs < final[v.BrandID]
		case *event.Credit:
			return v.DayMs < final[v.BrandID]
		}
		return false
	})
	if err := w.judgeBatch(c, newest); err != nil {
		return err
	}
	w.judgeByHand(c, newest, final)
	w.measured(results)
	return nil
}

// measured counts what there was to be judged, so that a simulation of nothing
// is noticed.
func (w *world) measured(results []any) {
	for _, r := range results {
		switch r := r.(type) {
		case *event.Correlation:
			w.counts["windows"]++
			for what, is := range map[string]bool{
				"windows with an effect": r.EffectHigh > 0, "windows with a discovery": r.Discovery, "windows with effects told apart": r.MediatedHigh > 0,
				"windows with a nowcast": r.NowcastTotal > 0, "windows that are settled": r.SettledTotal > 0, "windows that are provisional": r.Tier == event.TierProvisional,
			} {
				if is {
					w.counts[what]++
				}
			}
		case *event.Credit:
			w.counts["days"]++
			if len(r.Credits) > 0 {
				w.counts["days with credits"]++
			}
		case *event.Spike:
			w.counts["spikes"]++
		}
	}
	w.counts["messages"] += len(w.sent)
}

// judgeOutcomes compares the dead letters with what the contract says.
func (w *world) judgeOutcomes(c *contract, letters map[place][]event.Reason) {
	for at, want := range c.outcomes {
		w.counts["outcome "+cmp.Or(string(want), "applied")]++
		got := letters[at]
		switch {
		case (want == applied || want == superseded) && len(got) > 0:
			w.fail(oracleOutcome, "%s was refused as %v, and should not have been: %s", at, got, w.sent[at])
		case want != applied && want != superseded && !slices.Equal(got, []event.Reason{want}):
			w.fail(oracleOutcome, "%s has the dead letters %v, want one: %s: %s", at, got, want, w.sent[at])
		}
	}
	for at := range letters {
		if _, known := c.outcomes[at]; !known {
			w.fail(oracleOutcome, "the dead letter of %s is of nothing that was sent", at)
		}
	}
}

// judgeState compares the state that the changelog gives with the one that the
// accepted events give.
func (w *world) judgeState(c *contract) error {
	restored, err := w.fresh()
	if err != nil {
		return err
	}
	for _, r := range w.records {
		if r.Topic != event.TopicState {
			continue
		}
		if err := restored[r.Partition].Restore(r.Key, r.Value); err != nil {
			w.fail(oracleChangelog, "%v", err)
			return nil
		}
	}
	batch, err := w.batch(c)
	if err != nil {
		return err
	}
	for p := range batch {
		want, got := normal(batch[p]), normal(restored[p])
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if g, ok := got[key]; !ok {
				w.fail(oracleChangelog, "partition %d lacks %q", p, key)
			} else if v := want[key]; !bytes.Equal(v, g) {
				w.fail(oracleChangelog, "partition %d has %q as %x, want %x", p, key, g, v)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(got)) {
			if _, ok := want[key]; !ok {
				w.fail(oracleChangelog, "partition %d has %q as %x, which should not be", p, key, got[key])
			}
		}
	}
	return nil
}

func (w *world) fresh() ([]*topology.Partition, error) {
	parts := make([]*topology.Partition, partitions)
	for p := range parts {
		var err error
		if parts[p], err = topology.New(w.plan.processor.Topology); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// batch returns the state of the accepted events, applied by one hand in the
// order of their times, by which nothing is late.
func (w *world) batch(c *contract) ([]*topology.Partition, error) {
	batch, err := w.fresh()
	if err != nil {
		return nil, err
	}
	when := func(j *judged) int64 {
		if r, ok := j.value.(event.Record); ok {
			return r.Head().OccurredAtMs
		}
		return math.MinInt64
	}
	byTime := slices.Clone(c.accepted)
	slices.SortStableFunc(byTime, func(a, b *judged) int { return cmp.Compare(when(a), when(b)) })
	for _, j := range byTime {
		outcome := topology.Applied
		switch v := j.value.(type) {
		case event.Record:
			outcome = batch[j.at.partition].Apply(v, j.atMs)
		case *event.Brand:
			outcome = batch[j.at.partition].ApplyBrand(v)
		}
		if outcome != topology.Applied && outcome != topology.Superseded {
			w.fail(oracleChangelog, "a batch over what was accepted finds %s %s", j, outcome)
		}
	}
	return batch, nil
}

// normal brings a state to where only its content counts: what can be forgotten
// is forgotten by the same clock, and what was published when is left out. The
// partition is changed by that.
func normal(p *topology.Partition) map[string][]byte {
	const all = 1 << 30
	brands := make(map[string]bool)
	p.State(func(key, _ []byte) { brands[string(key[1:1+key[0]])] = true })
	for _, id := range slices.Sorted(maps.Keys(brands)) {
		// Whoever is told something is swept at the next refresh.
		p.ApplyBrand(&event.Brand{BrandID: id, Version: math.MaxInt32, Currency: "USD"})
	}
	for range 8 {
		p.Refresh(bornMs+1000*dayMs, all, func(any) {})
	}
	p.Changes(func(_, _ []byte) {})
	state := make(map[string][]byte)
	p.State(func(key, value []byte) {
		switch key[1+key[0]] {
		case 'm', 'b', 'e': // studies are derived, of what was published
		default:
			state[string(key)] = bytes.Clone(value)
		}
	})
	return state
}

// judgeRevisions returns the newest of each result, which must be the last.
func (w *world) judgeRevisions(results []any) map[string]any {
	newest := make(map[string]any)
	for _, r := range results {
		key, revision := verify.KeyOf(r)
		old := newest[key]
		if old != nil {
			if _, was := verify.KeyOf(old); revision <= was {
				w.fail(oracleRevisions, "%s: revision %d comes after %d", key, revision, was)
			}
		}
		if s, ok := r.(*event.Spike); ok {
			var before event.SpikeStatus
			if was, ok := old.(*event.Spike); ok {
				before = was.Status
			}
			if !verify.Follows(before, s.Status) {
				w.fail(oracleSpikes, "%s: %s comes after %q", key, s.Status, before)
			}
		}
		newest[key] = r
	}
	return newest
}

// judgeWatermarks compares what results say of how far their sources are with what was
// accepted, and with what the results of their kind and brand have said before.
func (w *world) judgeWatermarks(c *contract, results []any) {
	accepted := make(map[string]map[string]int64) // by brand and source
	for key, at := range c.watermarks {
		brand, source, _ := strings.Cut(key, " ")
		if accepted[brand] == nil {
			accepted[brand] = make(map[string]int64)
		}
		accepted[brand][source] = at
	}
	last := make(map[string][]event.SourceWatermark)
	for _, r := range results {
		var brand string
		var watermarks []event.SourceWatermark
		switch v := r.(type) {
		case *event.Correlation:
			brand, watermarks = v.BrandID, v.Watermarks
		case *event.Credit:
			brand, watermarks = v.BrandID, v.Watermarks
		case *event.Spike:
			brand, watermarks = v.BrandID, v.Watermarks
		}
		key, revision := verify.KeyOf(r)
		if text := verify.Ahead(watermarks, accepted[brand]); text != "" {
			w.fail(oracleWatermarks, "%s, revision %d: %s", key, revision, text)
		}
		of := fmt.Sprintf("%T %s", r, brand)
		if text := verify.Behind(last[of], watermarks); text != "" {
			w.fail(oracleWatermarks, "%s, revision %d: %s", key, revision, text)
		}
		last[of] = watermarks
	}
}

// judgeSpikes compares the newest of each spike with what a batch finds up to the last
// look of the stream. In sight of it, they must be the same; what stands from before may
// have been seen when less was known.
func (w *world) judgeSpikes(c *contract, newest map[string]any) error {
	batch, err := w.batch(c)
	if err != nil {
		return err
	}
	ends := make(map[string]int64)
	for _, r := range newest {
		if v, ok := r.(*event.Correlation); ok && v.Force == 1 {
			ends[v.BrandID] = max(ends[v.BrandID], v.WindowEndMs)
		}
	}
	want, from := make(map[string]*event.Spike), make(map[string]int64)
	for brand, end := range ends {
		from[brand] = batch[w.partitionOf(brand)].RecomputeSpikes(brand, end, func(v any) {
			s := *v.(*event.Spike)
			key, _ := verify.KeyOf(&s)
			if want[key] = &s; s.Status == event.SpikeStatusRetracted {
				delete(want, key)
			}
		})
	}
	differ := func(s *event.Spike, format string, args ...any) {
		if s.StartedAtMs < from[s.BrandID] {
			w.counts["spikes out of sight that differ"]++
			return
		}
		w.fail(oracleSpikes, format, args...)
	}
	for _, key := range slices.Sorted(maps.Keys(newest)) {
		got, ok := newest[key].(*event.Spike)
		if !ok {
			continue
		}
		if text := verify.Sound(got); text != "" {
			w.fail(oracleSpikes, "%s: %s", key, text)
		}
		if got.StartedAtMs >= from[got.BrandID] {
			w.counts["spikes in sight"]++
		}
		switch batch := want[key]; {
		case batch == nil && got.Status == event.SpikeStatusRetracted:
			w.counts["spikes retracted"]++
		case batch == nil:
			differ(got, "%s, which begins at %d, is %s, and the batch does not find it", key, got.StartedAtMs, got.Status)
		default:
			if diff := verify.Differs(batch, got); diff != "" {
				differ(got, "%s (-batch +stream):\n%s", key, diff)
			}
		}
	}
	for key, s := range want {
		if newest[key] == nil {
			differ(s, "%s, which begins at %d, was never published", key, s.StartedAtMs)
		}
	}
	return nil
}

// final returns by brand until when results are final: what they rest on may
// have been forgotten.
func (w *world) final(c *contract) map[string]int64 {
	final := make(map[string]int64)
	for _, j := range c.accepted {
		if r, ok := j.value.(event.Record); ok {
			h := r.Head()
			final[h.BrandID] = max(final[h.BrandID], min(h.OccurredAtMs, j.atMs)-int64(w.plan.processor.Topology.RestateHours)*hourMs)
		}
	}
	for brand := range c.entries { // another time zone moves the borders of days, and where they reach back into what is final a part is missing
		final[brand] += 3 * dayMs
	}
	return final
}

// judgeSums adds up the credits of every revision.
func (w *world) judgeSums(results []any) {
	for _, r := range results {
		c, ok := r.(*event.Credit)
		if !ok {
			continue
		}
		sum := c.BaselineMicros
		for _, s := range c.Credits {
			sum += s.CreditMicros
		}
		if sum != c.RevenueMicros {
			key, _ := verify.KeyOf(r)
			w.fail(oracleSum, "%s, revision %d: %d of %d", key, c.Revision, sum, c.RevenueMicros)
		}
	}
}

// judgeBatch compares the newest results with what a batch over the accepted
// events gives.
func (w *world) judgeBatch(c *contract, newest map[string]any) error {
	batch, err := w.batch(c)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(newest)) {
		var want any
		take := func(v any) {
			if k, _ := verify.KeyOf(v); k != key {
				return
			}
			switch v := v.(type) {
			case *event.Correlation:
				o := *v
				o.LagProfile = slices.Clone(v.LagProfile)
				want = &o
			case *event.Credit:
				o := *v
				o.Credits = slices.Clone(v.Credits)
				want = &o
			}
		}
		got := newest[key]
		var brand string
		switch v := got.(type) {
		case *event.Correlation:
			brand = v.BrandID
		case *event.Credit:
			brand = v.BrandID
		default:
			continue // spikes have their own
		}
		p := batch[w.partitionOf(brand)]
		switch v := got.(type) {
		case *event.Correlation:
			p.RecomputeWindow(v.BrandID, int(v.Force), v.WindowEndMs, take)
		case *event.Credit:
			p.RecomputeDay(v.BrandID, v.DayMs, take)
			if want == nil && v.RevenueMicros == 0 && v.BaselineMicros == 0 && len(v.Credits) == 0 {
				continue // a day of another calendar, or money that was taken back
			}
		}
		if want == nil {
			w.fail(oracleBatch, "%s: a batch says nothing of it", key)
		} else if diff := verify.Differs(want, got); diff != "" {
			w.fail(oracleBatch, "%s (-batch +stream):\n%s", key, diff)
		}
		w.counts["recomputed"]++
	}
	return nil
}

func (w *world) partitionOf(brand string) int32 {
	for at, s := range w.sent {
		if s.key == brand {
			return at.partition
		}
	}
	return 0
}

// judgeByHand compares the sums in the newest results with those of the books.
func (w *world) judgeByHand(c *contract, newest map[string]any, final map[string]int64) {
	books := c.count()
	hours := make(map[int32]int64)
	for _, f := range event.Forces() {
		hours[int32(f.Number)] = int64(f.WindowHours)
	}
	for _, key := range slices.Sorted(maps.Keys(newest)) {
		switch v := newest[key].(type) {
		case *event.Correlation:
			from := v.WindowEndMs - hours[v.Force]*hourMs
			for _, side := range []struct {
				signal string
				got    int64
			}{{v.StimulusSignal, v.StimulusTotal}, {v.ResponseSignal, v.ResponseTotal}} {
				if want := books[v.BrandID+" "+side.signal].sum(from, v.WindowEndMs); want != side.got {
					w.fail(oracleTotals, "%s: %d %s, by hand %d", key, side.got, side.signal, want)
				}
				w.counts["totals by hand"]++
			}
		case *event.Credit:
			signal := map[event.NodeName]string{event.NodeAmazon: "branded_revenue", event.NodeShopify: "shopify_revenue", event.NodeTikTok: "tiktok_gmv"}[v.Node]
			var offset int64
			if e := c.entries[v.BrandID]; e != nil {
				offset = int64(e.value.(*event.Brand).UTCOffsets[0].OffsetMinutes) * 60_000
			}
			var want, direct int64
			if (v.DayMs+offset)%dayMs == 0 { // otherwise it is a day of another calendar, and taken back
				want = books[v.BrandID+" "+signal+" "+v.Currency].sum(v.DayMs, v.DayMs+dayMs)
				direct = books[v.BrandID+" tiktok_gmv "+v.Currency].sum(v.DayMs, v.DayMs+dayMs)
			}
			if v.RevenueMicros != want || v.DirectGMVMicros != direct {
				w.fail(oracleRevenue, "%s: %d and directly %d, by hand %d and %d", key, v.RevenueMicros, v.DirectGMVMicros, want, direct)
			}
			w.counts["revenue by hand"]++
		}
	}
	// Every day with money must be there.
	for key, amounts := range books {
		fields := strings.Fields(key)
		node := map[string]event.NodeName{"branded_revenue": event.NodeAmazon, "shopify_revenue": event.NodeShopify, "tiktok_gmv": event.NodeTikTok}[fields[1]]
		if node == "" {
			continue
		}
		var offset int64
		if e := c.entries[fields[0]]; e != nil {
			offset = int64(e.value.(*event.Brand).UTCOffsets[0].OffsetMinutes) * 60_000
		}
		days := make(map[int64]int64)
		for quarter, v := range amounts {
			at := quarter*quarterMs + offset
			days[at-at%dayMs-offset] += v
		}
		for day, micros := range days {
			if micros == 0 || day < final[fields[0]] {
				continue
			}
			if newest[fmt.Sprint("credit ", fields[0], " ", day, " ", node, " ", fields[2])] == nil {
				w.fail(oracleMissing, "%s made %d %s on %s on the day of %d, and nothing is said of it", fields[0], micros, fields[2], node, day)
			}
		}
	}
}

// judgeFresh checks that the newest window of a force ends no earlier than the newest
// response that came, where there was a stimulus not long before: a brand that has fallen
// silent differs from no batch.
func (w *world) judgeFresh(c *contract, newest map[string]any) {
	ends, clocks := make(map[string]int64), make(map[string]int64)
	for _, r := range newest {
		if v, ok := r.(*event.Correlation); ok {
			key := fmt.Sprint(v.BrandID, " ", v.Force)
			ends[key] = max(ends[key], v.WindowEndMs)
		}
	}
	for _, j := range c.accepted {
		if r, ok := j.value.(event.Record); ok {
			clocks[r.Head().BrandID] = max(clocks[r.Head().BrandID], r.Head().OccurredAtMs)
		}
	}
	books := c.count()
	last := func(brand string, signals []event.Signal) (endMs int64) {
		for _, s := range signals {
			for quarter, v := range books[brand+" "+s.String()] {
				if v != 0 {
					endMs = max(endMs, (quarter+1)*quarterMs)
				}
			}
		}
		return endMs
	}
	for brand, clock := range clocks {
		for _, f := range event.Forces() {
			want := min(last(brand, f.Responses), clock)
			if want == 0 || last(brand, f.Stimuli) < clock-dayMs {
				continue
			}
			w.counts["newest windows"]++
			if end := ends[fmt.Sprint(brand, " ", f.Number)]; end < want {
				w.fail(oracleMissing, "%s: the newest window of force %d ends at %d, its response at %d", brand, f.Number, end, want)
			}
		}
	}
}

// judgeWarehouse compares ClickHouse with what is committed in Kafka.
func (w *world) judgeWarehouse(newest map[string]any, letters map[place][]event.Reason) {
	h := w.warehouse
	h.mu.Lock()
	defer h.mu.Unlock()
	want := make(map[string]map[place]bool) // one of the places a row may come from, by table and key
	expect := func(table, key string, at place) {
		if want[table+" "+key] == nil {
			want[table+" "+key] = make(map[place]bool)
		}
		want[table+" "+key][at] = true
	}
	for at, s := range w.sent {
		if s.spoil != "" {
			continue
		}
		switch v := s.value.(type) {
		case event.Record:
			hd := v.Head()
			expect(v.Type().String(), fmt.Sprint(hd.BrandID, "|", hd.OccurredAtMs, "|", hd.EventID, "|"), at)
		case *event.Brand:
			expect("brand", fmt.Sprint(v.BrandID, "|"), at)
		}
	}
	for table, rows := range h.rows {
		if event.TypeByName(table) == event.NoType && table != "brand" {
			continue
		}
		for key, r := range rows {
			places := want[table+" "+key]
			if places == nil {
				w.fail(oracleWarehouse, "table %s has the row %s, which nobody sent", table, key)
				continue
			}
			delete(want, table+" "+key)
			if !places[place{r.topic, r.partition, r.offset}] {
				w.fail(oracleWarehouse, "table %s has the row %s from %s/%d/%d, where it is not", table, key, r.topic, r.partition, r.offset)
			}
		}
	}
	for key := range want {
		w.fail(oracleWarehouse, "ClickHouse lacks the row %s", key)
	}
	results := make(map[string]int64)
	for key, r := range newest {
		_, results[key] = verify.KeyOf(r)
	}
	for _, table := range []string{"correlation", "credit", "spike"} {
		for key, r := range h.rows[table] {
			v := r.values
			name := ""
			switch table {
			case "correlation":
				name = fmt.Sprint("correlation ", v["brand_id"], " ", v["force"], " ", v["window_end"])
			case "credit":
				name = fmt.Sprint("credit ", v["brand_id"], " ", v["day"], " ", v["node"], " ", v["currency"])
			case "spike":
				name = fmt.Sprint("spike ", v["brand_id"], " ", v["spike_id"])
			}
			if revision, ok := results[name]; !ok || revision != r.version {
				w.fail(oracleWarehouse, "table %s has %s as revision %d, Kafka as %d", table, key, r.version, revision)
			}
			delete(results, name)
		}
	}
	for name := range results {
		w.fail(oracleWarehouse, "ClickHouse lacks the result %s", name)
	}
	for at := range letters {
		found := false
		for _, r := range h.rows["dead_letter"] {
			v := r.values
			if v["topic"] == at.topic && v["partition"] == at.partition && v["offset"] == at.offset {
				found = true
			}
		}
		if !found {
			w.fail(oracleWarehouse, "ClickHouse lacks the dead letter of %s", at)
		}
	}
	if n := len(h.rows["dead_letter"]); n > len(letters) {
		w.fail(oracleWarehouse, "ClickHouse has %d dead letters, Kafka %d", n, len(letters))
	}
	w.counts["rows in ClickHouse"] += h.inserted
}
