package oracle

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"

	"flywheel/pkg/event"
	"flywheel/pkg/testkit/tables"
	"flywheel/services/simulator"
)

func exec(t testing.TB, conn driver.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if err := conn.Exec(context.Background(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// A play of hand: two orders, one of them sent twice; a poisonous record; a
// spike and two alerts.
const (
	one  = "00000000-0000-0000-0000-000000000001"
	two  = "00000000-0000-0000-0000-000000000002"
	dayA = 1_767_225_600_000 // 2026-01-01
	hour = 3_600_000
)

func played() simulator.Detail {
	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	return simulator.Detail{
		Summary: simulator.Summary{EventTime: at(dayA + 20*hour), Sent: 4, Valid: 2, Duplicate: 1, Poison: 1},
		Seed:    7, Start: at(dayA), Live: at(dayA + 10*hour), End: at(dayA + 20*hour),
		Rows: map[string]int64{"amazon_order": 1, "tiktok_shop_order": 1},
		DeadLetters: []simulator.DeadLetter{
			{Topic: "channel.amazon", Partition: 3, Offset: 8, Reason: event.ReasonDuplicate, BrandID: "acme", EventID: one},
			{Topic: "channel.amazon", Partition: 3, Offset: 9, Reason: event.ReasonMalformed, BrandID: "acme"},
		},
		Revenue: []simulator.Revenue{
			{BrandID: "acme", DayMs: dayA, Node: event.NodeAmazon, Currency: "USD", Micros: 25_000_000, CausedMicros: 5_000_000},
			{BrandID: "acme", DayMs: dayA, Node: event.NodeTikTok, Currency: "USD", Micros: 10_000_000},
		},
		Brands:      []simulator.Truth{{BrandID: "acme", Name: "Acme", Currency: "USD"}},
		Spikes:      []simulator.Spike{{BrandID: "acme", ContentID: "p1", VisibleMs: dayA + 2*hour, EndMs: dayA + 5*hour, Early: true}},
		Confounders: []simulator.Confounder{{BrandID: "acme", StartMs: dayA + 12*hour, EndMs: dayA + 14*hour}},
	}
}

// rows are what a pipeline without fault makes of it.
var rows = []string{
	`INSERT INTO amazon_order (event_id, brand_id, occurred_at, observed_at, source, kafka_topic, kafka_partition, kafka_offset, kafka_at, inserted_at)
	 VALUES ('` + one + `', 'acme', '2026-01-01 01:00:00', '2026-01-01 01:00:01', 'amazon_orders', 'channel.amazon', 3, 7, '2026-02-01 00:00:00.000', '2026-02-01 00:00:00.100')`,
	`INSERT INTO amazon_order (event_id, brand_id, occurred_at, observed_at, source, kafka_topic, kafka_partition, kafka_offset, kafka_at, inserted_at)
	 VALUES ('` + one + `', 'acme', '2026-01-01 01:00:00', '2026-01-01 01:00:01', 'amazon_orders', 'channel.amazon', 3, 8, '2026-02-01 00:00:01.000', '2026-02-01 00:00:02.000')`,
	`INSERT INTO tiktok_shop_order (event_id, brand_id, occurred_at, observed_at, source, kafka_topic, kafka_partition, kafka_offset, kafka_at, inserted_at)
	 VALUES ('` + two + `', 'acme', '2026-01-01 11:00:00', '2026-01-01 11:00:01', 'tiktok_shop', 'channel.tiktok', 3, 4, '2026-02-01 00:00:10.000', '2026-02-01 00:00:10.400')`,
	`INSERT INTO dead_letter (event_id, brand_id, reason, topic, partition, offset, kafka_partition, kafka_offset) VALUES ('` + one + `', 'acme', 'duplicate', 'channel.amazon', 3, 8, 3, 1)`,
	`INSERT INTO dead_letter (event_id, brand_id, reason, topic, partition, offset, kafka_partition, kafka_offset) VALUES ('` + two + `', 'acme', 'malformed', 'channel.amazon', 3, 9, 3, 2)`,
	`INSERT INTO credit (brand_id, day, node, currency, revenue_micros, baseline_micros, credits.force, credits.node, credits.content_id, credits.credit_micros, revision)
	 VALUES ('acme', '2026-01-01 00:00:00', 'amazon', 'USD', 20000000, 20000000, [], [], [], [], 1)`,
	`INSERT INTO credit (brand_id, day, node, currency, revenue_micros, baseline_micros, credits.force, credits.node, credits.content_id, credits.credit_micros, revision)
	 VALUES ('acme', '2026-01-01 00:00:00', 'amazon', 'USD', 25000000, 20000000, [1, 1], ['tiktok', 'tiktok'], ['p1', ''], [4000001, 999999], 2)`,
	`INSERT INTO credit (brand_id, day, node, currency, revenue_micros, baseline_micros, credits.force, credits.node, credits.content_id, credits.credit_micros, revision)
	 VALUES ('acme', '2026-01-01 00:00:00', 'tiktok', 'USD', 10000000, 10000000, [], [], [], [], 2)`,
	`INSERT INTO correlation (brand_id, force, window_start, window_end, revision, watermarks.source, watermarks.watermark, kafka_partition, kafka_offset, kafka_at, inserted_at)
	 VALUES ('acme', 1, '2025-12-29 12:00:00', '2026-01-01 12:00:00', 2, ['tiktok_shop', 'amazon_orders'], ['2026-01-01 11:00:00', '2026-01-01 01:00:00'], 3, 5, '2026-02-01 00:00:10.300', '2026-02-01 00:00:11.000')`,
	`INSERT INTO spike (brand_id, spike_id, force, status, started_at, ended_at, leading_content_id, driven, revision) VALUES
	 ('acme', '` + one + `', 1, 'resolved', '2026-01-01 03:00:00', '2026-01-01 04:00:00', 'p1', true, 1),
	 ('acme', '` + two + `', 1, 'active', '2026-01-01 13:00:00', '2026-01-01 15:00:00', 'p2', true, 1),
	 ('acme', '00000000-0000-0000-0000-000000000003', 1, 'retracted', '2026-01-01 17:00:00', '2026-01-01 18:00:00', 'p2', true, 2)`,
}

func verdict(t testing.TB, conn driver.Conn, d simulator.Detail) Verdict {
	t.Helper()
	f, err := Gather(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return Judge(&d, &f)
}

func TestAFaultlessPlayAddsUp(t *testing.T) {
	conn, _ := tables.New(t)
	d := played()
	exec(t, conn, rows...)
	got := verdict(t, conn, d)
	want := Verdict{
		Events:       Events{Sent: 4, Valid: 2, Duplicate: 1, Poison: 1},
		ClickHouse:   ClickHouse{EventRows: 2, ResultRows: 6},
		DeadLettered: 2,
		Spikes:       Spikes{Planted: 1, Detected: 1, False: 1, Early: 1, Confounded: 1, Led: 1, Driven: 1},
		Problems:     []string{},
		Details:      []string{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := got.Err(); err != nil {
		t.Error(err)
	}
}

func TestEveryCorruptionIsCaught(t *testing.T) {
	conn, _ := tables.New(t)
	for name, c := range map[string]struct {
		rows     []string                  // in place of the faultless ones
		then     string                    // a statement on top of them
		ledger   func(d *simulator.Detail) // what was sent in truth
		lost     int64
		doubled  int64
		misjudge int64
		residual int64
		problem  string
	}{
		"a lost row": {
			rows: without("INTO tiktok_shop_order"),
			lost: 1, problem: "1 rows of tiktok_shop_order are missing (0 events, 1 were sent)",
		},
		"a row that replaces nothing": {
			then:    `INSERT INTO amazon_order (event_id, brand_id, occurred_at, kafka_offset) VALUES ('` + one + `', 'acme', '2026-01-01 01:00:00.001', 7)`,
			doubled: 1, problem: "1 rows of amazon_order repeat an event under FINAL",
		},
		"a row of nothing that was sent": {
			then:    `INSERT INTO amazon_order (event_id, brand_id, occurred_at, kafka_offset) VALUES ('` + two + `', 'acme', '2026-01-01 01:00:00', 7)`,
			doubled: 1, problem: "1 rows of amazon_order stem from no event that was sent",
		},
		"one row lost and another doubled, which the count alone does not show": {
			ledger: func(d *simulator.Detail) { d.Rows["amazon_order"] = 2 },
			then:   `INSERT INTO amazon_order (event_id, brand_id, occurred_at, kafka_offset) VALUES ('` + one + `', 'acme', '2026-01-01 02:00:00', 7)`,
			lost:   1, doubled: 1, problem: "1 rows of amazon_order are missing (1 events, 2 were sent)",
		},
		"a missing dead letter": {
			rows: without("'malformed'"),
			lost: 1, problem: "1 dead letters are missing, so these records were taken although they must be refused, or have vanished, such as channel.amazon, partition 3, offset 9: malformed",
		},
		"a valid event that was refused": {
			then: `INSERT INTO dead_letter (event_id, brand_id, reason, topic, partition, offset, kafka_offset) VALUES ('` + two + `', 'acme', 'late', 'channel.tiktok', 3, 4, 3)`,
			lost: 1, problem: "1 valid events were refused, such as the one about channel.tiktok, partition 3, offset 4: late",
		},
		"a dead letter that was published twice": {
			then:    `INSERT INTO dead_letter (event_id, brand_id, reason, topic, partition, offset, kafka_partition, kafka_offset) VALUES ('` + one + `', 'acme', 'duplicate', 'channel.amazon', 3, 8, 3, 4)`,
			doubled: 1, problem: "1 dead letters were published twice",
		},
		"a dead letter that was written twice, which is harmless": {
			then: `INSERT INTO dead_letter (event_id, brand_id, reason, topic, partition, offset, kafka_partition, kafka_offset) VALUES ('` + one + `', 'acme', 'duplicate', 'channel.amazon', 3, 8, 3, 1)`,
		},
		"a dead letter with the wrong reason": {
			rows:     replaced("'malformed'", "'invalid'"),
			misjudge: 1, problem: "1 dead letters are not what they have to be, such as the one about channel.amazon, partition 3, offset 9: invalid instead of malformed",
		},
		"a dead letter of another event": {
			rows:     replaced("('"+one+"', 'acme', 'duplicate'", "('"+two+"', 'acme', 'duplicate'"),
			misjudge: 1, problem: "event " + two + " instead of " + one,
		},
		"a dead letter of another brand": {
			rows:     replaced("'acme', 'malformed'", "'other', 'malformed'"),
			misjudge: 1, problem: `brand "other" instead of "acme"`,
		},
		"credits a micro off": {
			rows:     replaced("[4000001, 999999]", "[4000001, 1000000]"),
			residual: 1, problem: "credits and baseline do not add up to the revenue in 1 rows of credit",
		},
		"a sale lost from the revenue": {
			rows: replaced("25000000, 20000000, [1, 1], ['tiktok', 'tiktok'], ['p1', ''], [4000001, 999999]", "24999999, 20000000, [1], ['tiktok'], ['p1'], [4999999]"),
			lost: 1, residual: 1, problem: "revenue is not what was sold in 1 cases (0 too much, 1 too little), such as brand acme, amazon, USD on the day that begins at 2026-01-01T00:00:00Z",
		},
		"a sale counted twice": {
			rows:    replaced("'tiktok', 'USD', 10000000, 10000000", "'tiktok', 'USD', 20000000, 20000000"),
			doubled: 1, residual: 10_000_000, problem: "(1 too much, 0 too little), such as brand acme, tiktok, USD",
		},
		"a day's revenue that is nowhere": {
			rows: without("'tiktok', 'USD'"),
			lost: 1, residual: 10_000_000, problem: "such as brand acme, tiktok, USD",
		},
		"revenue of a day without sales": {
			then: `INSERT INTO credit (brand_id, day, node, currency, revenue_micros, baseline_micros, revision) VALUES ('acme', '2026-01-02 00:00:00', 'amazon', 'USD', 3, 3, 1)`, doubled: 1, residual: 3,
			problem: "on the day that begins at 2026-01-02T00:00:00Z",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := played()
			for _, table := range []string{"amazon_order", "tiktok_shop_order", "dead_letter", "credit", "correlation", "spike"} {
				exec(t, conn, "TRUNCATE TABLE "+table)
			}
			if c.rows == nil {
				c.rows = rows
			}
			exec(t, conn, c.rows...)
			if c.then != "" {
				exec(t, conn, c.then)
			}
			if c.ledger != nil {
				c.ledger(&d)
			}
			r := verdict(t, conn, d)
			if r.Lost != c.lost || r.DoubleCounted != c.doubled || r.Misjudged != c.misjudge || r.ConservationResidualMicros != c.residual {
				t.Errorf("lost %d, doubled %d, misjudged %d, residual %d; want %d, %d, %d, %d", r.Lost, r.DoubleCounted, r.Misjudged, r.ConservationResidualMicros, c.lost, c.doubled, c.misjudge, c.residual)
			}
			switch err := r.Err(); {
			case c.problem == "" && err != nil:
				t.Errorf("a harmless thing is a problem: %v", err)
			case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
				t.Errorf("the problem is %v, want %q", err, c.problem)
			}
		})
	}
}

// without leaves out the statements that hold a text.
func without(text string) []string {
	return slices.DeleteFunc(slices.Clone(rows), func(s string) bool { return strings.Contains(s, text) })
}

// replaced replaces a text that is there once.
func replaced(old, by string) []string {
	all := slices.Clone(rows)
	n := 0
	for i := range all {
		n += strings.Count(all[i], old)
		all[i] = strings.ReplaceAll(all[i], old, by)
	}
	if n != 1 {
		panic("the text to replace is not there once: " + old)
	}
	return all
}
