package codec

import (
	"testing"

	"flywheel/pkg/event"
)

func statistics() *event.TikTokContentStatistics {
	return &event.TikTokContentStatistics{
		Header: event.Header{
			EventID:      event.NewID("tiktok_content_statistics", "brand-0042", "tiktok_shop_api", "7301234567890123456", 3),
			BrandID:      "brand-0042",
			OccurredAtMs: 1_790_000_000_000,
			ObservedAtMs: 1_790_000_004_321,
			Source:       "tiktok_shop_api",
			NaturalKey:   "7301234567890123456",
			Version:      3,
		},
		ContentID: "7301234567890123456", PublishedAtMs: 1_789_990_000_000,
		Views: 184_223, Likes: 9_120, Comments: 311, Shares: 87, ProductClicks: 1_204, Carts: 96,
	}
}

func correlation() *event.Correlation {
	return &event.Correlation{
		BrandID: "brand-0042", Force: 1, WindowStartMs: 1_789_740_800_000, WindowEndMs: 1_790_000_000_000, StepMinutes: 15,
		StimulusSignal: "tiktok_views", ResponseSignal: "branded_searches", StimulusTotal: 1 << 22, ResponseTotal: 1 << 14,
		LagProfile: make([]float32, 289), Verdict: event.VerdictSignificant, Tier: event.TierProvisional, Revision: 7,
		Watermarks:  []event.SourceWatermark{{Source: "tiktok_shop_api", WatermarkMs: 1_790_000_000_000}, {Source: "amazon_reports", WatermarkMs: 1_790_000_000_000}},
		CodeVersion: "1",
	}
}

func BenchmarkEncode(b *testing.B) {
	enc, _ := newPair(b)
	for name, record := range map[string]any{"channel record by goavro": statistics(), "result by twmb": correlation()} {
		b.Run(name, func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if buf, err = enc.Encode(buf[:0], record); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	enc, dec := newPair(b)
	for name, v := range map[string]struct {
		topic  string
		record any
	}{
		"channel record": {event.TopicTikTok, statistics()},
		"result":         {event.TopicCorrelation, correlation()},
	} {
		b.Run(name, func(b *testing.B) {
			value := must(enc.Encode(nil, v.record))(b)
			b.SetBytes(int64(len(value)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := dec.Decode(b.Context(), v.topic, value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
