package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	gocmp "github.com/google/go-cmp/cmp"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/event"
	"flywheel/pkg/topology"
)

// batch is a state that was built from the raw tables alone.
type batch struct {
	*topology.Partition
	events []event.Record
	newest map[string]int64 // the newest event's time, by brand
}

// batch reads the raw tables back and applies what the processor has accepted to
// a state of its own, by the events' time, so that nothing is late.
func (c *checker) batch(ctx context.Context) (*batch, error) {
	p, err := topology.New(c.topology)
	if err != nil {
		return nil, err
	}
	b := &batch{Partition: p, newest: make(map[string]int64)}
	// Accepted is what came more often than it was refused: an event that was
	// applied may come again and then be late.
	accepted := make(map[string]int64)
	var topics []string
	for _, kind := range event.Types() {
		topics = append(topics, kind.Info().Topic)
	}
	slices.Sort(topics)
	if err := c.log(ctx, slices.Compact(topics), func(v any) {
		if e, ok := v.(event.Record); ok {
			accepted[e.Head().EventID.String()]++
		}
	}); err != nil {
		return nil, err
	}
	if err := clickhouse.Each(ctx, c.conn, "SELECT toString(event_id), count() FROM dead_letter FINAL GROUP BY event_id", func(rows driver.Rows) error {
		var id string
		var times uint64
		err := rows.Scan(&id, &times)
		accepted[id] -= int64(times)
		return err //nolint:wrapcheck // Each says what was asked
	}); err != nil {
		return nil, err
	}
	for _, kind := range event.Types() {
		records, err := c.raw(ctx, kind)
		if err != nil {
			return nil, err
		}
		for _, e := range records {
			if accepted[e.Head().EventID.String()] > 0 {
				b.events = append(b.events, e)
			}
		}
	}
	slices.SortStableFunc(b.events, func(x, y event.Record) int { return cmp.Compare(x.Head().OccurredAtMs, y.Head().OccurredAtMs) })
	now := time.Now().UnixMilli()
	for _, e := range b.events {
		switch outcome := p.Apply(e, now); outcome {
		case topology.Applied, topology.Superseded:
			b.newest[e.Head().BrandID] = max(b.newest[e.Head().BrandID], e.Head().OccurredAtMs)
		default:
			c.fail(OracleBatch, "the batch finds %s %s %v", e.Type(), e.Head().EventID, outcome)
		}
	}
	return b, clickhouse.Each(ctx, c.conn, `SELECT brand_id, version, currency, arrayMap(x -> toUnixTimestamp64Milli(x), utc_offsets.from), utc_offsets.offset_minutes,
		arrayMap(x -> toInt32(toUInt16(x)), holidays) FROM brand FINAL`, func(rows driver.Rows) error {
		e := new(event.Brand)
		var from []int64
		var minutes []int32
		if err := rows.Scan(&e.BrandID, &e.Version, &e.Currency, &from, &minutes, &e.Holidays); err != nil {
			return err //nolint:wrapcheck // Each says what was asked
		}
		for i := range from {
			e.UTCOffsets = append(e.UTCOffsets, event.UTCOffset{FromMs: from[i], OffsetMinutes: minutes[i]})
		}
		p.ApplyBrand(e)
		return nil
	})
}

// windows compares every window that was published with the batch, and its
// totals with a sum by hand.
func (c *checker) windows(ctx context.Context, b *batch) error {
	plain := buckets(b.events)
	return clickhouse.Each(ctx, c.conn, `SELECT brand_id, force, toUnixTimestamp64Milli(window_end), stimulus_signal, response_signal, stimulus_total, response_total, lag_profile,
		best_lag_minutes, delay_minutes, half_life_minutes, decayed_correlation, p_value, verdict, effect, effect_low, effect_high,
		realised_coverage, test_p_value, test_level, discovery, power, detectable_share FROM correlation FINAL`, func(rows driver.Rows) error {
		var got event.Correlation
		var verdict string
		if err := rows.Scan(&got.BrandID, &got.Force, &got.WindowEndMs, &got.StimulusSignal, &got.ResponseSignal, &got.StimulusTotal, &got.ResponseTotal, &got.LagProfile,
			&got.BestLagMinutes, &got.DelayMinutes, &got.HalfLifeMinutes, &got.DecayedCorrelation, &got.PValue, &verdict, &got.Effect, &got.EffectLow, &got.EffectHigh,
			&got.RealisedCoverage, &got.TestPValue, &got.TestLevel, &got.Discovery, &got.Power, &got.DetectableShare); err != nil {
			return err //nolint:wrapcheck // Each says what was asked
		}
		got.Verdict = event.Verdict(verdict)
		var want event.Correlation
		b.RecomputeWindow(got.BrandID, int(got.Force), got.WindowEndMs, func(v any) {
			r := v.(*event.Correlation)
			want = event.Correlation{
				BrandID: r.BrandID, Force: r.Force, WindowEndMs: r.WindowEndMs, StimulusSignal: r.StimulusSignal, ResponseSignal: r.ResponseSignal,
				StimulusTotal: r.StimulusTotal, ResponseTotal: r.ResponseTotal, LagProfile: slices.Clone(r.LagProfile),
				BestLagMinutes: r.BestLagMinutes, DelayMinutes: r.DelayMinutes, HalfLifeMinutes: r.HalfLifeMinutes,
				DecayedCorrelation: r.DecayedCorrelation, PValue: r.PValue, Verdict: r.Verdict, Effect: r.Effect, EffectLow: r.EffectLow, EffectHigh: r.EffectHigh,
				RealisedCoverage: r.RealisedCoverage, TestPValue: r.TestPValue, TestLevel: r.TestLevel, Discovery: r.Discovery, Power: r.Power, DetectableShare: r.DetectableShare,
			}
		})
		c.Windows++
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
		if len(got.LagProfile) == 0 && len(want.LagProfile) == 0 {
			got.LagProfile, want.LagProfile = nil, nil
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			if got.WindowEndMs < b.newest[got.BrandID]-c.reach() {
				c.Final++
				return nil
			}
			c.fail(OracleBatch, "window (-batch +stream), %.1f h before the newest event:\n%s", float64(b.newest[got.BrandID]-got.WindowEndMs)/3_600_000, diff)
		}
		return nil
	})
}

// days compares every credit row that was published with the batch.
func (c *checker) days(ctx context.Context, b *batch) error {
	return clickhouse.Each(ctx, c.conn, `SELECT brand_id, toUnixTimestamp64Milli(day), node, currency, revenue_micros, baseline_micros, direct_gmv_micros, credits.force, credits.content_id, credits.credit_micros,
		multiplier, multiplier_low, multiplier_high FROM credit FINAL`, func(rows driver.Rows) error {
		var got event.Credit
		var node string
		var forces []int32
		var contents []string
		var micros []int64
		if err := rows.Scan(&got.BrandID, &got.DayMs, &node, &got.Currency, &got.RevenueMicros, &got.BaselineMicros, &got.DirectGMVMicros, &forces, &contents, &micros,
			&got.Multiplier, &got.MultiplierLow, &got.MultiplierHigh); err != nil {
			return err //nolint:wrapcheck // Each says what was asked
		}
		got.Node = event.NodeName(node)
		for i := range forces {
			got.Credits = append(got.Credits, event.CreditShare{Force: forces[i], ContentID: contents[i], CreditMicros: micros[i]})
		}
		if got.DayMs < b.newest[got.BrandID]-c.reach() {
			return nil // final: it rests on the history there was then
		}
		c.Days++
		if diff := b.diff(&got); diff != "" {
			c.fail(OracleBatch, "day (-batch +stream):\n%s", diff)
		}
		return nil
	})
}

// diff tells in what a credit row that was published differs from the batch.
func (b *batch) diff(got *event.Credit) string {
	var want event.Credit
	b.RecomputeDay(got.BrandID, got.DayMs, func(v any) {
		switch r := v.(*event.Credit); {
		case r.DayMs != got.DayMs:
			// The row's day is none any more, since the brand has another time zone: this is
			// the day that holds its begin now, and has its money.
			want = event.Credit{BrandID: got.BrandID, DayMs: got.DayMs, Node: got.Node, Currency: got.Currency}
		case r.Node == got.Node && r.Currency == got.Currency:
			want = event.Credit{
				BrandID: r.BrandID, DayMs: r.DayMs, Node: r.Node, Currency: r.Currency, RevenueMicros: r.RevenueMicros, BaselineMicros: r.BaselineMicros,
				DirectGMVMicros: r.DirectGMVMicros, Multiplier: r.Multiplier, MultiplierLow: r.MultiplierLow, MultiplierHigh: r.MultiplierHigh,
			}
			for _, s := range r.Credits {
				want.Credits = append(want.Credits, event.CreditShare{Force: s.Force, ContentID: s.ContentID, CreditMicros: s.CreditMicros})
			}
		}
	})
	if want.BrandID == "" && got.RevenueMicros == 0 && got.BaselineMicros == 0 && len(got.Credits) == 0 {
		return "" // the stream has seen money that was taken back
	}
	return gocmp.Diff(&want, got)
}

// reach is how far back results are restated: what lies before is final and rests
// on the history there was then.
func (c *checker) reach() int64 { return int64(c.topology.RestateHours) * 3_600_000 }

// present checks that every force for which the batch publishes a window, and every
// day with money, was published. The batch's windows end later: it knows the newest
// time of all sources at once.
func (c *checker) present(ctx context.Context, b *batch) error {
	have := make(map[string]bool)
	for _, sql := range []string{
		"SELECT DISTINCT concat('correlation ', brand_id, ' ', toString(force)) FROM correlation",
		"SELECT DISTINCT concat('credit ', brand_id, ' ', toString(toUnixTimestamp64Milli(day)), ' ', node, ' ', currency) FROM credit",
	} {
		if err := clickhouse.Each(ctx, c.conn, sql, func(rows driver.Rows) error {
			var key string
			err := rows.Scan(&key)
			have[key] = true
			return err //nolint:wrapcheck // Each says what was asked
		}); err != nil {
			return err
		}
	}
	const everything = topology.Budget(1 << 40)
	b.Refresh(time.Now().UnixMilli(), everything, func(result any) {
		var key string
		switch r := result.(type) {
		case *event.Correlation:
			key = fmt.Sprint("correlation ", r.BrandID, " ", r.Force)
		case *event.Credit:
			if r.RevenueMicros == 0 {
				return
			}
			key = fmt.Sprint("credit ", r.BrandID, " ", r.DayMs, " ", r.Node, " ", r.Currency)
		default:
			return
		}
		if !have[key] {
			c.fail(OraclePresent, "%s was never published", key)
		}
	})
	return nil
}
