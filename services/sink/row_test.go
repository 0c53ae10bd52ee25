package sink

import (
	"context"
	"log/slog"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/testkit/tables"
)

// rows returns a session without Kafka, and two records for it by name.
func rows(t testing.TB) (*session, map[string]*kgo.Record) {
	t.Helper()
	_, cfg := tables.New(t)
	registry, err := codec.NewStatic()
	if err != nil {
		t.Fatal(err)
	}
	encoder, err := codec.NewEncoder(t.Context(), registry)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{Sink: &Sink{clickhouse: cfg, logger: slog.New(slog.DiscardHandler), records: []string{"tiktok_shop_order", "correlation"}}, counts: make(tally)}
	s.Through(func(ctx context.Context) (driver.Conn, error) { return clickhouse.Open(ctx, cfg) })
	conn, tables, err := s.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s.tables = tables
	if s.decoder, err = codec.NewDecoder(registry); err != nil {
		t.Fatal(err)
	}
	header := event.Header{EventID: event.ID{1}, BrandID: "acme", OccurredAtMs: 1_790_000_000_000, ObservedAtMs: 1_790_000_001_000, Source: "tiktok_shop_webhook", NaturalKey: "576684019603311365", Version: 3}
	records := make(map[string]*kgo.Record)
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
		value, err := encoder.Encode(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		topic := event.TopicCorrelation
		if r, ok := v.(event.Record); ok {
			topic = r.Type().Info().Topic
		}
		records[name] = &kgo.Record{Topic: topic, Key: []byte("acme"), Value: value}
	}
	return s, records
}

// take adds n rows.
func take(t testing.TB, s *session, r *kgo.Record, n int) {
	for range n {
		if err := s.row(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARowAllocatesNothing(t *testing.T) {
	s, records := rows(t)
	for name, r := range records {
		take(t, s, r, 2000) // grows the columns
		s.reset()
		if n := testing.AllocsPerRun(1000, func() { take(t, s, r, 1) }); n > 0 {
			t.Errorf("%s: %v allocations a row", name, n)
		}
		if s.rows < 1000 || len(s.parked) > 0 || len(s.counts) > 0 {
			t.Errorf("%s: %d rows, %d parked, %v passed over", name, s.rows, len(s.parked), s.counts)
		}
		s.reset()
	}
}

// BenchmarkRow measures what a row costs the sink itself: to decode and check
// the record, and to gather its columns. Inserting comes on top.
func BenchmarkRow(b *testing.B) {
	s, records := rows(b)
	for name, r := range records {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				take(b, s, r, 1)
				if s.rows == 50_000 {
					s.reset()
				}
			}
			s.reset()
		})
	}
}
