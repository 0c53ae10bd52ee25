package demo

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flywheel/pkg/testkit/tables"
)

func TestSpeedIsThatOfTheRows(t *testing.T) {
	conn, _ := tables.New(t)
	for _, row := range []string{
		`INSERT INTO amazon_order (event_id, brand_id, occurred_at, observed_at, source, kafka_topic, kafka_partition, kafka_offset, kafka_at, inserted_at)
		 VALUES ('00000000-0000-0000-0000-000000000001', 'acme', '2026-01-01 01:00:00', '2026-01-01 01:00:01', 'amazon_orders', 'channel.amazon', 3, 8, '2026-02-01 00:00:01.000', '2026-02-01 00:00:02.000')`,
		`INSERT INTO tiktok_shop_order (event_id, brand_id, occurred_at, observed_at, source, kafka_topic, kafka_partition, kafka_offset, kafka_at, inserted_at)
		 VALUES ('00000000-0000-0000-0000-000000000002', 'acme', '2026-01-01 11:00:00', '2026-01-01 11:00:01', 'tiktok_shop', 'channel.tiktok', 3, 4, '2026-02-01 00:00:10.000', '2026-02-01 00:00:10.400')`,
		`INSERT INTO correlation (brand_id, force, window_start, window_end, revision, watermarks.source, watermarks.watermark, kafka_partition, kafka_offset, kafka_at, inserted_at)
		 VALUES ('acme', 1, '2025-12-29 12:00:00', '2026-01-01 12:00:00', 2, ['tiktok_shop', 'amazon_orders'], ['2026-01-01 11:00:00', '2026-01-01 01:00:00'], 3, 5, '2026-02-01 00:00:10.300', '2026-02-01 00:00:11.000')`,
		// The past is published again, later: by the same events.
		`INSERT INTO correlation (brand_id, force, window_start, window_end, revision, watermarks.source, watermarks.watermark, kafka_partition, kafka_offset, kafka_at, inserted_at)
		 VALUES ('acme', 1, '2025-12-29 11:45:00', '2026-01-01 11:45:00', 3, ['tiktok_shop', 'amazon_orders'], ['2026-01-01 11:00:00', '2026-01-01 01:00:00'], 3, 6, '2026-02-01 00:00:30.300', '2026-02-01 00:00:31.000')`,
	} {
		if err := conn.Exec(t.Context(), row); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
	}
	var got Report
	if err := speed(t.Context(), conn, time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC), &got); err != nil {
		t.Fatal(err)
	}
	// The order of live play took 400 ms, and the result that rests on it 1 s; the
	// row of the backfill was taken a second after it was sent.
	answer := 1000.0
	if diff := cmp.Diff(LatencyMs{P50: 400, P99: 400, AnswerP50: &answer, AnswerP99: &answer}, got.LatencyMs); diff != "" || got.ThroughputPerS != 1 {
		t.Errorf("%v rows/s, want 1; (-want +got)\n%s", got.ThroughputPerS, diff)
	}
	var none Report
	if err := conn.Exec(t.Context(), "TRUNCATE TABLE correlation"); err != nil {
		t.Fatal(err)
	}
	if err := speed(t.Context(), conn, time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC), &none); err != nil || none.LatencyMs.AnswerP50 != nil || none.LatencyMs.P50 != 400 {
		t.Errorf("without an answer it takes %+v (%v)", none.LatencyMs, err)
	}
}
