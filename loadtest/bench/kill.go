package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"flywheel/loadtest/process"
	"flywheel/loadtest/verify"
	"flywheel/loadtest/workload"
	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/pkg/topology"
	"flywheel/schemas"
	"flywheel/services/processor"
	"flywheel/services/sink"
)

// Restart is how long it takes after SIGKILL was sent to a processor, with events that
// come while it is dead, until somebody sees them in its results.
type Restart struct {
	Result float64 `json:"result_s"` // until the first result in Kafka that rests on one of them
	Row    float64 `json:"row_s"`    // until the first row in ClickHouse that rests on all of them, and is right in every column
}

// afterKill kills a processor that has the whole state in memory, sends events while
// it is dead and starts it again, beside a sink that has kept up. What the row must be
// is known before: a batch has read every record of its brand, and the events to come.
func (e *engines) afterKill(ctx context.Context, libraryDir string) (r Restart, err error) {
	if err := e.startClickHouse(ctx, libraryDir); err != nil {
		return r, err
	}
	if err := e.keptUp(ctx); err != nil {
		return r, err
	}
	services := make(map[string]*process.Process)
	defer func() {
		for _, p := range services {
			err = errors.Join(err, p.Kill())
		}
	}()
	for _, name := range [...]string{"processor", "sink"} {
		if services[name], err = e.service(name, "--log.level=info"); err != nil {
			return r, err
		}
		if err := services[name].Says(ctx, "consuming", readyTimeout); err != nil {
			return r, err
		}
	}
	conn, err := clickhouse.Open(ctx, e.targets.ClickHouse)
	if err != nil {
		return r, err
	}
	defer conn.Close() //nolint:errcheck // only read
	results, err := e.results(ctx)
	if err != nil {
		return r, err
	}
	defer results.client.Close()
	before, err := e.few(ctx, 1)
	if err != nil {
		return r, err
	}
	if err := before.send(ctx); err != nil {
		return r, err
	}
	if err := results.show(ctx, before.afterMs); err != nil {
		return r, err
	}
	meanwhile, err := e.few(ctx, 2)
	if err != nil {
		return r, err
	}
	batch, err := e.batch(ctx, results, meanwhile)
	if err != nil {
		return r, err
	}
	killed := time.Now()
	if err := services["processor"].Kill(); err != nil {
		return r, err
	}
	if err := meanwhile.send(ctx); err != nil {
		return r, err
	}
	if services["processor"], err = e.service("processor", "--log.level=info"); err != nil {
		return r, err
	}
	rows := make(chan error, 1)
	go func() {
		err := right(ctx, conn, batch, meanwhile.afterMs)
		r.Row = time.Since(killed).Seconds()
		rows <- err
	}()
	err = results.show(ctx, meanwhile.afterMs)
	r.Result = time.Since(killed).Seconds()
	err = errors.Join(err, <-rows) // before r is read
	return r, err
}

// keptUp has the sink begin where Kafka ends now, as one that has kept up.
func (e *engines) keptUp(ctx context.Context) error {
	topics, err := schemas.LoadTopics()
	if err != nil {
		return err
	}
	var names []string
	for _, t := range topics.Topics {
		if len(t.Records) > 0 {
			names = append(names, t.Name)
		}
	}
	client, err := kafka.Connect(ctx, e.targets.Kafka, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider())
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, names...)
	if err = errors.Join(err, ends.Error()); err == nil {
		err = admin.CommitAllOffsets(ctx, sink.DefaultConfig().Group, ends.Offsets())
	}
	if err != nil {
		return fmt.Errorf("let the sink begin at the end of its topics: %w", err)
	}
	return nil
}

// batch applies every record of the largest brand, and those that are yet to be sent, to
// an empty state. All lie in one partition, that of its results.
func (e *engines) batch(ctx context.Context, of *results, coming *few) (*topology.Partition, error) {
	p, err := topology.New(processor.DefaultConfig().Topology)
	if err != nil {
		return nil, err
	}
	from := make(map[string]map[int32]kgo.Offset)
	var topics []string
	for _, kind := range event.Types() {
		topic := kind.Info().Topic
		from[topic] = map[int32]kgo.Offset{of.partition: kgo.NewOffset().AtStart()}
		topics = append(topics, topic)
	}
	client, err := kafka.Connect(ctx, e.targets.Kafka, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider(), kgo.ConsumePartitions(from))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topics...)
	if err = errors.Join(err, ends.Error()); err != nil {
		return nil, fmt.Errorf("find the end of the topics %v: %w", topics, err)
	}
	apply := func(topic string, value []byte, atMs int64) error {
		v, err := of.decoder.Decode(ctx, topic, value)
		if refused := new(codec.Error); err != nil && !errors.As(err, &refused) {
			return err
		}
		if record, ok := v.(event.Record); ok {
			p.Apply(record, atMs)
		}
		return nil
	}
	open := make(map[string]int64)
	for _, topic := range topics {
		if end, _ := ends.Lookup(topic, of.partition); end.Offset > 0 {
			open[topic] = end.Offset
		}
	}
	for len(open) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read the records of %s: %w", largest, err)
		}
		for r := range fetches.RecordsAll() {
			if r.Offset+1 >= open[r.Topic] {
				delete(open, r.Topic)
			}
			if string(r.Key) != largest {
				continue
			}
			if err := apply(r.Topic, r.Value, r.Timestamp.UnixMilli()); err != nil {
				return nil, err
			}
		}
	}
	for _, r := range coming.records {
		if err := apply(r.Topic, r.Value, time.Now().UnixMilli()); err != nil {
			return nil, err
		}
	}
	p.RecomputeWindow(largest, 1, time.Now().UnixMilli(), func(any) {}) // what takes long is derived now
	return p, nil
}

// right waits for the first correct row. Before it there may be others, which rest on a
// part of the events.
func right(ctx context.Context, conn driver.Conn, batch *topology.Partition, afterMs int64) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for last := "there is none"; ; {
		is, diff, err := correct(ctx, conn, batch, afterMs)
		switch {
		case err != nil:
			return fmt.Errorf("wait for a row that is that of the batch (-batch +row: %s): %w", last, err)
		case is:
			return nil
		case diff != "":
			last = diff
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// correct says whether ClickHouse holds a correlation of force 1 of the largest brand that
// rests on an event after a moment and is that of the batch, and if not, in what one that
// rests on it differs.
func correct(ctx context.Context, conn driver.Conn, batch *topology.Partition, afterMs int64) (is bool, diff string, err error) {
	where := fmt.Sprintf("brand_id = '%s' AND force = 1 AND arrayExists(x -> toUnixTimestamp64Milli(x) > %d, watermarks.watermark)", largest, afterMs)
	err = verify.Correlations(ctx, conn, where, func(row *event.Correlation) {
		batch.RecomputeWindow(row.BrandID, int(row.Force), row.WindowEndMs, func(v any) {
			if d := verify.Differs(v, row); d != "" {
				diff = d
			} else {
				is = true
			}
		})
	})
	return is, diff, err
}

// few is a few events of the largest brand that are yet to be sent. All occur after
// everything that was made before.
type few struct {
	*producer

	records []workload.Record
	afterMs int64 // the moment after which they occur
}

func (e *engines) few(ctx context.Context, seed uint64) (*few, error) {
	const span = time.Second
	f := &few{afterMs: time.Now().UnixMilli()}
	time.Sleep(span + span/5)
	load := workload.Flywheel72(1, 50, time.Now())
	load.Seed, load.Span = seed, span
	load.DelayP50, load.DelayP99, load.Late, load.TooLate = time.Millisecond, 2*time.Millisecond, 0, 0
	var err error
	if f.producer, err = e.producer(ctx, load); err != nil {
		return nil, err
	}
	for {
		r, more, err := f.made.Next()
		if err != nil || !more {
			return f, err
		}
		f.records = append(f.records, r)
	}
}

// send sends them, and returns when all are acknowledged.
func (f *few) send(ctx context.Context) error {
	for _, r := range f.records {
		f.produce(ctx, r)
	}
	return f.finish(ctx)
}

// results follows what the processor publishes of the largest brand.
type results struct {
	client    *kgo.Client
	decoder   *codec.Decoder
	revision  int64 // the highest so far
	partition int32 // they lie in
}

func (e *engines) results(ctx context.Context) (*results, error) {
	registry, err := codec.NewClient(e.targets.Registry)
	if err != nil {
		return nil, err
	}
	r := new(results)
	if r.decoder, err = codec.NewDecoder(registry); err != nil {
		return nil, err
	}
	r.client, err = kafka.Connect(ctx, e.targets.Kafka, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider(),
		kgo.ConsumeTopics(event.TopicCorrelation), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(20*time.Millisecond))
	if err != nil {
		return nil, err
	}
	// The first poll finds the ends; nothing is published meanwhile.
	settle, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r.client.PollFetches(settle)
	return r, nil
}

// largest is the id of the largest brand of every load.
const largest = "brand-0000000"

// show waits for the first correlation that rests on an event after a moment. One of a
// lower revision than was seen is an error.
func (r *results) show(ctx context.Context, afterMs int64) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		fetches := r.client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("wait for a result: %w", err)
		}
		for _, record := range fetches.Records() {
			if string(record.Key) != largest {
				continue
			}
			v, err := r.decoder.Decode(ctx, record.Topic, record.Value)
			if err != nil {
				return err
			}
			c, ok := v.(*event.Correlation)
			if !ok {
				continue
			}
			last := r.revision
			r.revision, r.partition = max(last, c.Revision), record.Partition
			rests := slices.ContainsFunc(c.Watermarks, func(w event.SourceWatermark) bool { return w.WatermarkMs > afterMs })
			switch {
			case rests && c.Revision < last:
				return fmt.Errorf("a result of revision %d follows one of %d", c.Revision, last)
			case rests:
				return nil
			}
		}
	}
}
