package bench

import (
	"strings"
	"testing"

	"flywheel/pkg/event"
	"flywheel/pkg/testkit/tables"
	"flywheel/pkg/topology"
	"flywheel/services/processor"
)

// TestARowThatIsNotThatOfTheBatchEndsNoRestart writes rows of a window, each replacing the
// one before: only the last of them is what a restart waits for.
func TestARowThatIsNotThatOfTheBatchEndsNoRestart(t *testing.T) {
	const (
		startMs = int64(1_790_000_100_000)
		afterMs = startMs + 3_600_000
	)
	batch, err := topology.New(processor.DefaultConfig().Topology)
	if err != nil {
		t.Fatal(err)
	}
	head := func(source, key string, at int64) event.Header {
		return event.Header{EventID: event.NewID("test", largest, source, key, 1), BrandID: largest, OccurredAtMs: at, ObservedAtMs: at, Source: source, NaturalKey: key, Version: 1}
	}
	for _, r := range []event.Record{
		&event.TikTokContentStatistics{Header: head("poll", "post", startMs), ContentID: "post", PublishedAtMs: startMs - 60_000, Views: 1000},
		&event.AmazonSearchReport{Header: head("reports", "q", afterMs+900_000), Query: "q", Branded: true, PeriodMinutes: 15, Volume: 7},
	} {
		if got := batch.Apply(r, afterMs+3_600_000); got != topology.Applied {
			t.Fatalf("%s is %s", r.Type(), got)
		}
	}
	var want event.Correlation
	batch.RecomputeWindow(largest, 1, afterMs+1_800_000, func(v any) { want = *v.(*event.Correlation) })
	if want.StimulusTotal != 1000 || want.ResponseTotal != 7 {
		t.Fatalf("the batch says %+v", want)
	}
	conn, _ := tables.New(t)
	revision := int64(0)
	row := func(searches, watermarkMs int64, reason string) {
		t.Helper()
		revision++
		rows, err := conn.PrepareBatch(t.Context(), `INSERT INTO correlation (brand_id, force, window_start, window_end, step_minutes, stimulus_signal, response_signal, stimulus_total, response_total,
			lag_profile, best_lag_minutes, best_lag_correlation, delay_minutes, half_life_minutes, decayed_correlation, effective_n, p_value, verdict, reason, revision, tier,
			watermarks.source, watermarks.watermark, code_version, test_p_value)`)
		if err == nil {
			err = rows.Append(want.BrandID, want.Force, want.WindowStartMs, want.WindowEndMs, want.StepMinutes, want.StimulusSignal, want.ResponseSignal, want.StimulusTotal, searches,
				want.LagProfile, want.BestLagMinutes, want.BestLagCorrelation, want.DelayMinutes, want.HalfLifeMinutes, want.DecayedCorrelation, want.EffectiveN, want.PValue, string(want.Verdict), reason, revision, string(want.Tier),
				[]string{"reports"}, []int64{watermarkMs}, want.CodeVersion, want.TestPValue)
		}
		if err == nil {
			err = rows.Send()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	see := func(is bool, says string) {
		t.Helper()
		got, diff, err := correct(t.Context(), conn, batch, afterMs)
		if err != nil || got != is || !strings.Contains(diff, says) {
			t.Errorf("it is correct: %t, %v, want %t; it differs by %q, want %q", got, err, is, diff, says)
		}
	}
	see(false, "")
	row(want.ResponseTotal, afterMs, want.Reason)
	see(false, "") // it rests on nothing that was sent meanwhile
	row(want.ResponseTotal-1, afterMs+1, want.Reason)
	see(false, "ResponseTotal:")
	row(want.ResponseTotal, afterMs+1, "another")
	see(false, "Reason:")
	row(want.ResponseTotal, afterMs+1, want.Reason)
	see(true, "")
}
