package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/event"
)

// answers is what ClickHouse says at a moment.
type answers struct {
	brands  map[string]brandAnswer
	rows    uint64        // of the raw tables, before replaced ones collapse
	event   latency       // event to row, over the last seconds
	answer  latency       // event to result, over the last seconds
	results uint64        // of the result tables, each in its newest revision, so that it never falls
	took    time.Duration // to ask all this
}

// brandAnswer is what the pipeline says about one brand.
type brandAnswer struct {
	verdict     string
	lagHours    *float64
	reason      string // why the evidence is insufficient
	spikes      uint64 // so far, retracted ones not counted
	spikeStatus string // of the newest one, empty when there is none
	spikeAt     time.Time
	spikeZ      float64
	spikePost   string
	creditPost  string           // with most credit
	credited    map[string]int64 // micros of Amazon revenue credited to TikTok, by currency
	multiplier  float64          // of the newest day: over the 72 hours that end then
	low, high   float64

	multiplierUntil time.Time
}

// latency is how long something took.
type latency struct {
	n        uint64
	p50, p99 float64 // milliseconds
}

// ask reads what the screen shows. Currencies say what each brand reports in.
func ask(ctx context.Context, conn driver.Conn, currencies map[string]string) (answers, error) {
	started := time.Now()
	a := answers{brands: make(map[string]brandAnswer)}
	change := func(brand string, f func(*brandAnswer)) {
		b := a.brands[brand]
		f(&b)
		a.brands[brand] = b
	}
	err := clickhouse.Each(ctx, conn, `SELECT brand_id, verdict, reason, best_lag_hours FROM brand_correlation_latest WHERE force = 1`,
		func(rows driver.Rows) error {
			var brand string
			var b brandAnswer
			if err := rows.Scan(&brand, &b.verdict, &b.reason, &b.lagHours); err != nil {
				return err //nolint:wrapcheck // Each says what was asked
			}
			change(brand, func(to *brandAnswer) { to.verdict, to.reason, to.lagHours = b.verdict, b.reason, b.lagHours })
			return nil
		})
	if err != nil {
		return a, err
	}
	err = clickhouse.Each(ctx, conn, `
		SELECT brand_id, count(), argMax(status, started_at), max(started_at), argMax(peak_z, started_at), argMax(leading_content_id, started_at)
		FROM brand_spike WHERE force = 1 AND status != 'retracted' GROUP BY brand_id`,
		func(rows driver.Rows) error {
			var brand string
			var b brandAnswer
			if err := rows.Scan(&brand, &b.spikes, &b.spikeStatus, &b.spikeAt, &b.spikeZ, &b.spikePost); err != nil {
				return err //nolint:wrapcheck // Each says what was asked
			}
			change(brand, func(to *brandAnswer) {
				to.spikes, to.spikeStatus, to.spikeAt, to.spikeZ, to.spikePost = b.spikes, b.spikeStatus, b.spikeAt, b.spikeZ, b.spikePost
			})
			return nil
		})
	if err != nil {
		return a, err
	}
	err = clickhouse.Each(ctx, conn, `
		SELECT brand_id, currency, sum(credit), argMaxIf(content_id, credit, content_id != '')
		FROM (
			SELECT brand_id, currency, content_id, sum(credit_micros) AS credit FROM post_credit
			WHERE node = 'amazon' AND stimulus_node = 'tiktok' GROUP BY brand_id, currency, content_id
		) GROUP BY brand_id, currency`,
		func(rows driver.Rows) error {
			var brand, currency, post string
			var micros int64
			if err := rows.Scan(&brand, &currency, &micros, &post); err != nil {
				return err //nolint:wrapcheck // Each says what was asked
			}
			change(brand, func(to *brandAnswer) {
				if to.credited == nil {
					to.credited = make(map[string]int64)
				}
				to.credited[currency] = micros
				if currency == currencies[brand] {
					to.creditPost = post
				}
			})
			return nil
		})
	if err != nil {
		return a, err
	}
	err = clickhouse.Each(ctx, conn, `
		SELECT brand_id, currency, max(day) AS newest, argMax(multiplier, day), argMax(multiplier_low, day), argMax(multiplier_high, day), argMax(arrayMax(watermarks.watermark), day)
		FROM credit FINAL WHERE node = 'amazon' GROUP BY brand_id, currency`,
		func(rows driver.Rows) error {
			var brand, currency string
			var day, clock time.Time
			var b brandAnswer
			if err := rows.Scan(&brand, &currency, &day, &b.multiplier, &b.low, &b.high, &clock); err != nil {
				return err //nolint:wrapcheck // Each says what was asked
			}
			if currency == currencies[brand] {
				// The window ends with the hour of the brand's newest event.
				until := day.Add(clock.Sub(day).Truncate(time.Hour) + time.Hour)
				change(brand, func(to *brandAnswer) {
					to.multiplier, to.low, to.high, to.multiplierUntil = b.multiplier, b.low, b.high, until
				})
			}
			return nil
		})
	if err != nil {
		return a, err
	}
	if err := conn.QueryRow(ctx, "SELECT count() FROM "+rawTables()).Scan(&a.rows); err != nil {
		return a, fmt.Errorf("count the events in ClickHouse: %w", err)
	}
	if err := conn.QueryRow(ctx, "SELECT count() FROM "+resultTables()+" FINAL").Scan(&a.results); err != nil {
		return a, fmt.Errorf("count the results in ClickHouse: %w", err)
	}
	const recent = "inserted_at > now64(3) - INTERVAL 10 SECOND"
	if a.event, err = eventLatency(ctx, conn, recent); err != nil {
		return a, err
	}
	a.answer, err = answerLatency(ctx, conn, recent)
	a.took = time.Since(started)
	return a, err
}

// rawTables is all raw tables as one, to ask for the columns they share.
func rawTables() string {
	var names []string
	for _, t := range event.Types() {
		names = append(names, t.String())
	}
	return "merge(currentDatabase(), '^(" + strings.Join(names, "|") + ")$')"
}

// resultTables is the tables of results as one.
func resultTables() string { return "merge(currentDatabase(), '^(correlation|credit|spike)$')" }

// eventLatency measures from Kafka's timestamp of an event to the moment
// ClickHouse took its row, over the rows a condition picks. It rests on nothing
// the pipeline measures.
func eventLatency(ctx context.Context, conn driver.Conn, where string) (latency, error) {
	return measure(ctx, conn, "the latency of events", `
		SELECT dateDiff('millisecond', kafka_at, inserted_at) AS ms FROM `+rawTables()+` WHERE `+where)
}

// answerLatency measures from Kafka's timestamp of the newest event that a
// correlation of force 1 rests on to the moment ClickHouse took the first of them: what
// is published again of the past rests on no newer event, and waits for its turn. That
// event is found through the watermarks: it is the one that raised them.
func answerLatency(ctx context.Context, conn driver.Conn, where string) (latency, error) {
	return measure(ctx, conn, "the latency of results", `
		SELECT dateDiff('millisecond', taken_at, min(inserted_at)) AS ms
		FROM (
			SELECT r.brand_id AS brand_id, max(e.taken_at) AS taken_at, any(r.inserted_at) AS inserted_at
			FROM (
				SELECT brand_id, kafka_partition, kafka_offset, inserted_at, source, watermark
				FROM correlation ARRAY JOIN watermarks.source AS source, watermarks.watermark AS watermark
				WHERE force = 1 AND `+where+`
			) AS r
			INNER JOIN (
				SELECT brand_id, source, occurred_at, min(kafka_at) AS taken_at FROM `+rawTables()+`
				WHERE kafka_at > (SELECT min(kafka_at) FROM correlation WHERE `+where+`) - INTERVAL 60 SECOND
				GROUP BY brand_id, source, occurred_at
			) AS e ON e.brand_id = r.brand_id AND e.source = r.source AND e.occurred_at = r.watermark
			GROUP BY r.brand_id, r.kafka_partition, r.kafka_offset
		)
		GROUP BY brand_id, taken_at`)
}

func measure(ctx context.Context, conn driver.Conn, what, query string) (latency, error) {
	var l latency
	if err := conn.QueryRow(ctx, `SELECT count(), quantileExactOrDefault(0.5)(ms), quantileExactOrDefault(0.99)(ms) FROM (SELECT toFloat64(ms) AS ms FROM (`+query+`))`).
		Scan(&l.n, &l.p50, &l.p99); err != nil {
		return l, fmt.Errorf("measure %s in ClickHouse: %w", what, err)
	}
	return l, nil
}
