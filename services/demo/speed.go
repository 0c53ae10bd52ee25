package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// speed measures latency in live play and the throughput of the backfill.
func speed(ctx context.Context, conn driver.Conn, live time.Time, to *Report) error {
	from := fmt.Sprintf("fromUnixTimestamp64Milli(%d, 'UTC')", live.UnixMilli())
	events, err := eventLatency(ctx, conn, "observed_at >= "+from)
	if err == nil && events.n == 0 { // no live play
		events, err = eventLatency(ctx, conn, "1")
	}
	if err != nil {
		return err
	}
	var liveMs int64
	if err := conn.QueryRow(ctx, "SELECT toUnixTimestamp64Milli(min(kafka_at)) FROM "+rawTables()+" WHERE observed_at >= "+from).Scan(&liveMs); err != nil {
		return fmt.Errorf("find the begin of live play: %w", err)
	}
	// By Kafka's time: what is sent twice is observed once.
	began := fmt.Sprintf("fromUnixTimestamp64Milli(%d, 'UTC')", liveMs)
	answers, err := answerLatency(ctx, conn, "kafka_at >= "+began)
	if err != nil {
		return err
	}
	to.LatencyMs = LatencyMs{P50: events.p50, P99: events.p99}
	if answers.n > 0 {
		to.LatencyMs.AnswerP50, to.LatencyMs.AnswerP99 = &answers.p50, &answers.p99
	}
	backfill := "kafka_at < " + began
	if liveMs == 0 {
		backfill = "1"
	}
	var rows uint64
	var ms int64
	if err := conn.QueryRow(ctx, "SELECT count(), dateDiff('millisecond', min(kafka_at), max(inserted_at)) FROM "+rawTables()+" WHERE "+backfill).Scan(&rows, &ms); err != nil {
		return fmt.Errorf("measure the throughput in ClickHouse: %w", err)
	}
	if ms > 0 {
		to.ThroughputPerS = float64(rows) / float64(ms) * 1000
	}
	return nil
}
