package embedded_test

import (
	"fmt"
	"testing"
	"time"

	"flywheel/pkg/testkit"
)

func BenchmarkClickHouseQuery(b *testing.B) {
	conn, _ := testkit.ClickHouse(b)
	for b.Loop() {
		if err := conn.Ping(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClickHouseInsert(b *testing.B) {
	conn, _ := testkit.ClickHouse(b)
	if err := conn.Exec(b.Context(), "CREATE TABLE i (brand LowCardinality(String), id FixedString(16), at DateTime64(3, 'UTC'), n Int64) ENGINE = MergeTree ORDER BY (brand, at)"); err != nil {
		b.Fatal(err)
	}
	for _, rows := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			for b.Loop() {
				batch, err := conn.PrepareBatch(b.Context(), "INSERT INTO i")
				if err != nil {
					b.Fatal(err)
				}
				for n := range rows {
					if err := batch.Append("brand", fmt.Sprintf("%016d", n), time.UnixMilli(int64(n)), int64(n)); err != nil {
						b.Fatal(err)
					}
				}
				if err := batch.Send(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
