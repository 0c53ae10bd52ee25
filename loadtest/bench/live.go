package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"flywheel/loadtest/process"
	"flywheel/loadtest/stage"
	"flywheel/loadtest/workload"
	"flywheel/pkg/clickhouse"
	"flywheel/services/processor"
	"flywheel/services/sink"
)

// Together is processor and sink side by side on one machine: first a backlog,
// then events as they come, at half the rate at which the backlog was drained.
type Together struct {
	Broker    stage.Broker     `json:"broker"`
	Brands    int              `json:"brands"`
	Processor processor.Report `json:"processor"`
	Sink      sink.Report      `json:"sink"`
	SinkAlone sink.Report      `json:"sink_alone"`
	FullRate  float64          `json:"events_per_s"` // of the slower of the two

	Rate         float64 `json:"live_events_per_s"`
	Seconds      float64 `json:"live_seconds"`
	LateMs       int64   `json:"live_sender_late_ms"` // how far the sender was behind its schedule, at most
	Rows         Latency `json:"rows"`                // from Kafka's timestamp of an event to its row in ClickHouse
	Answers      Latency `json:"answers"`             // to the row of a correlation that shows it
	ProcessorCPU float64 `json:"live_processor_cpu_s_per_million"`
	SinkCPU      float64 `json:"live_sink_cpu_s_per_million"`
}

// Latency is quantiles in milliseconds.
type Latency struct {
	N    uint64  `json:"n"`
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
}

// warmUp is the part of the live run that is not counted.
const warmUp = 10 * time.Second

func together(ctx context.Context, cfg Config, broker stage.Broker, brands int) (t Together, err error) {
	t = Together{Broker: broker, Brands: brands}
	e, err := open(ctx, cfg, broker, true)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	events := max(1, cfg.Events/2)
	if err := e.fill(ctx, workload.Flywheel72(brands, events, time.Now())); err != nil {
		return t, err
	}
	// The sink alone reads as another group.
	if t.SinkAlone, _, err = e.drainSink(ctx, "--sink.group=bench-alone"); err != nil {
		return t, err
	}
	fmt.Fprintf(cfg.Out, "%s, sink alone: %.0f rows/s, %.2f CPU-s/M\n", broker, t.SinkAlone.RowsPerSecond, t.SinkAlone.CPUSecondsPerMillion)
	failed := make(chan error, 1)
	go func() {
		var err error
		t.Processor, _, err = e.drainProcessor(ctx)
		failed <- err
	}()
	t.Sink, _, err = e.drainSink(ctx)
	if err = errors.Join(err, <-failed); err != nil {
		return t, err
	}
	t.FullRate = float64(events) / max(t.Sink.Seconds, t.Processor.Seconds)
	fmt.Fprintf(cfg.Out, "  together: %.0f events/s; processor %.2f CPU-s/M, sink %.2f\n", t.FullRate, t.Processor.CPUSecondsPerMillion, t.Sink.CPUSecondsPerMillion)
	t.Rate = t.FullRate / 2
	if cfg.Rate > 0 {
		t.Rate = cfg.Rate
	}
	if err := e.live(ctx, cfg, &t); err != nil {
		return t, err
	}
	fmt.Fprintf(cfg.Out, "  live at %.0f/s: rows p50 %.0f p99 %.0f p99.9 %.0f ms, answers p50 %.0f p99 %.0f p99.9 %.0f ms; sender late by %d ms\n",
		t.Rate, t.Rows.P50, t.Rows.P99, t.Rows.P999, t.Answers.P50, t.Answers.P99, t.Answers.P999, t.LateMs)
	return t, nil
}

// live plays events as they come, each at its time whether or not anybody keeps
// up, through a processor and a sink.
func (e *engines) live(ctx context.Context, cfg Config, t *Together) (err error) {
	var services []*process.Process
	for _, name := range [...]string{"processor", "sink"} {
		p, err := e.service(name, "--log.level=info")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stage.Stop(p)) }()
		if err := p.Says(ctx, "consuming", readyTimeout); err != nil {
			return err
		}
		services = append(services, p)
	}
	span := cfg.Live + warmUp
	began := time.Now()
	load := workload.Flywheel72(t.Brands, int(t.Rate*span.Seconds()), began.Add(span))
	load.Seed, load.Span = load.Seed+1, span
	p, err := e.producer(ctx, load)
	if err != nil {
		return err
	}
	counted := began.Add(warmUp)
	var cpu [2]float64
	warm := false
	for {
		r, more, err := p.made.Next()
		if err != nil || !more {
			if err = errors.Join(err, p.finish(ctx)); err != nil {
				return err
			}
			break
		}
		at := time.UnixMilli(r.ArrivesMs)
		if wait := time.Until(at); wait > 0 {
			time.Sleep(wait)
		} else {
			t.LateMs = max(t.LateMs, -wait.Milliseconds())
		}
		if !warm && at.After(counted) {
			warm = true
			cpu = [2]float64{process.CPUSeconds(services[0].ID()), process.CPUSeconds(services[1].ID())}
		}
		p.produce(ctx, r)
	}
	seconds := time.Since(counted).Seconds()
	t.Seconds = seconds
	n := t.Rate * seconds / 1e6
	t.ProcessorCPU, t.SinkCPU = (process.CPUSeconds(services[0].ID())-cpu[0])/n, (process.CPUSeconds(services[1].ID())-cpu[1])/n
	conn, err := clickhouse.Open(ctx, e.targets.ClickHouse)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // only read
	if err := silence(ctx, conn); err != nil {
		return err
	}
	from := fmt.Sprintf("kafka_at >= fromUnixTimestamp64Milli(%d, 'UTC')", counted.UnixMilli())
	if t.Rows, err = latency(ctx, conn, "SELECT dateDiff('millisecond', kafka_at, inserted_at) AS ms FROM "+rawTables+" WHERE "+from); err != nil {
		return err
	}
	t.Answers, err = latency(ctx, conn, answers(from))
	return err
}

// silence waits until no row has come for longer than one may take, so that the latest
// are counted as well.
func silence(ctx context.Context, conn driver.Conn) error {
	const quiet, patience = 5 * time.Second, 2 * time.Minute
	for began := time.Now(); ; {
		var idleMs int64
		const query = "SELECT dateDiff('millisecond', greatest((SELECT max(inserted_at) FROM " + rawTables + "), (SELECT max(inserted_at) FROM correlation)), now64(3))"
		if err := conn.QueryRow(ctx, query).Scan(&idleMs); err != nil {
			return fmt.Errorf("ask ClickHouse for its last row: %w", err)
		}
		if idleMs >= quiet.Milliseconds() || time.Since(began) > patience { // restated windows may come for longer
			return nil
		}
		time.Sleep(quiet / 5)
	}
}

// rawTables are the tables of the records that the load has, as one.
const rawTables = "merge(currentDatabase(), '^(tiktok|amazon|shopify)_')"

// answers asks how long it took from an event that raised the watermark of a
// post's observations to the first correlation of force 1 with that watermark.
// Events that were overtaken before the next refresh are not counted.
func answers(from string) string {
	return `SELECT dateDiff('millisecond', e.taken_at, r.shown_at) AS ms
		FROM (SELECT brand_id, watermark, min(inserted_at) AS shown_at FROM correlation
			ARRAY JOIN watermarks.source AS source, watermarks.watermark AS watermark WHERE force = 1 AND ` + from + ` AND source = 'tiktok_poll'
			GROUP BY brand_id, watermark) AS r
		INNER JOIN (SELECT brand_id, occurred_at, min(kafka_at) AS taken_at FROM tiktok_content_statistics WHERE ` + from + ` GROUP BY brand_id, occurred_at) AS e
		ON e.brand_id = r.brand_id AND e.occurred_at = r.watermark`
}

func latency(ctx context.Context, conn driver.Conn, query string) (l Latency, err error) {
	var q []float64
	if err := conn.QueryRow(ctx, "SELECT count(), quantilesExactOrDefault(0.5, 0.99, 0.999)(toFloat64(ms)) FROM ("+query+")").Scan(&l.N, &q); err != nil {
		return l, fmt.Errorf("measure the latency in ClickHouse: %w", err)
	}
	if len(q) == 3 {
		l.P50, l.P99, l.P999 = q[0], q[1], q[2]
	}
	return l, nil
}
