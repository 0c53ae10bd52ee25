package topology

import (
	"fmt"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// TestAWindowMayEndWithinAnHour changes what lies in the last hour of a window
// that ends within it: before its end, behind it, or somewhere in the hour.
func TestAWindowMayEndWithinAnHour(t *testing.T) {
	const hour = int64(monday + 100*window.HourMs)
	ads := func(id string, atMs, impressions int64) event.Record {
		return &event.TikTokAdReportHour{Header: entity("tiktok_ad_report_hour", id, 1, atMs, "ads"), AdID: id, Impressions: impressions, Currency: "USD"}
	}
	bids := func(id string, atMs int64) event.Record {
		return &event.AmazonAdStream{Header: fact("amazon_ad_stream", id, atMs, "stream"), CampaignID: "c", Branded: true, ImpressionsDelta: 40, Currency: "USD"}
	}
	// The response says that the window ends a quarter past the hour.
	before := []event.Record{ads("a", hour-window.HourMs, 800), bids("b", hour+1)}
	for name, later := range map[string]event.Record{
		"another stimulus begins behind the end":   statistics("c", 1, hour+40*60_000, hour+20*60_000, 900),
		"another stimulus begins before the end":   statistics("c", 1, hour+10*60_000, hour+60_000, 900),
		"a report of the hour says when it ended":  ads("d", hour+59*60_000, 801),
		"a report of the hour says when it began":  ads("d", hour, 801),
		"the report comes of the hour behind this": ads("d", hour+window.HourMs, 801),
	} {
		t.Run(name, func(t *testing.T) {
			stream, batch := newPartition(t), newPartition(t)
			got, want := make(results), make(results)
			for _, r := range before {
				stream.Apply(r, taken)
				batch.Apply(r, taken)
			}
			stream.Refresh(taken, all, got.take)
			for _, r := range []event.Record{later, bids("e", hour+46*60_000)} { // by the latter another window is the newest
				stream.Apply(r, taken)
				batch.Apply(r, taken)
			}
			for stream.Stats().Dirty > 0 {
				stream.Refresh(taken, all, got.take)
			}
			first := hour + window.QuarterMs
			key := fmt.Sprintf("force 01 %d", first)
			if got[key] == nil {
				t.Fatalf("no window ends at %d: %v", first, got)
			}
			batch.RecomputeWindow("acme", 1, first, want.take)
			if diff := gocmp.Diff(want[key], got[key]); diff != "" {
				t.Errorf("%s (-batch +stream):\n%s", key, diff)
			}
		})
	}
}
