package sink

import (
	"log/slog"
	"net/url"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/config"
	"flywheel/pkg/event"
	"flywheel/pkg/testkit"
)

// BenchmarkRow measures what a row costs the sink itself: to decode and check
// the record, and to gather its columns. Inserting comes on top.
func BenchmarkRow(b *testing.B) {
	_, dsn := testkit.ClickHouse(b)
	u, err := url.Parse(dsn)
	if err != nil {
		b.Fatal(err)
	}
	cfg := clickhouse.DefaultConfig()
	password, _ := u.User.Password()
	cfg.Addresses, cfg.Database, cfg.Password = []string{u.Host}, u.Path[1:], config.Secret(password)
	if _, err := clickhouse.Migrate(b.Context(), cfg); err != nil {
		b.Fatal(err)
	}
	registry, err := codec.NewStatic()
	if err != nil {
		b.Fatal(err)
	}
	encoder, err := codec.NewEncoder(b.Context(), registry)
	if err != nil {
		b.Fatal(err)
	}
	s := &session{Sink: &Sink{clickhouse: cfg, logger: slog.New(slog.DiscardHandler), records: []string{"tiktok_shop_order", "correlation"}}, counts: make(tally)}
	conn, tables, err := s.open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	s.tables = tables
	if s.decoder, err = codec.NewDecoder(registry); err != nil {
		b.Fatal(err)
	}
	header := event.Header{EventID: event.ID{1}, BrandID: "acme", OccurredAtMs: 1_790_000_000_000, ObservedAtMs: 1_790_000_001_000, Source: "tiktok_shop_webhook", NaturalKey: "576684019603311365", Version: 3}
	for name, v := range map[string]any{
		"order": &event.TikTokShopOrder{
			Header: header, OrderID: "576684019603311365", Status: event.OrderStatusPlaced, ContentID: "7494726673780148744",
			CreatorID: "b3a1", CustomerID: "c9f0", Units: 2, GrossMicros: 20_000_000, Currency: "USD",
		},
		"correlation": &event.Correlation{
			BrandID: "acme", Force: 1, WindowEndMs: 1_790_000_000_000, Verdict: event.VerdictSignificant, Tier: event.TierSettled,
			LagProfile: make([]float32, 289), Watermarks: make([]event.SourceWatermark, 6),
		},
	} {
		b.Run(name, func(b *testing.B) {
			value, err := encoder.Encode(nil, v)
			if err != nil {
				b.Fatal(err)
			}
			topic := event.TopicCorrelation
			if r, ok := v.(event.Record); ok {
				topic = r.Type().Info().Topic
			}
			r := &kgo.Record{Topic: topic, Key: []byte("acme"), Value: value}
			t := tables[reflect.TypeOf(v)]
			b.ReportAllocs()
			for b.Loop() {
				if err := s.row(b.Context(), r); err != nil {
					b.Fatal(err)
				}
				if len(t.records) == 50_000 {
					t.reset()
				}
			}
			if len(s.parked) > 0 || len(s.counts) > 0 {
				b.Fatalf("rows were refused: %v", s.counts)
			}
		})
	}
}
