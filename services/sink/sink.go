// Package sink carries every record of Kafka's topics into its ClickHouse
// table: in batches, each offset committed only once ClickHouse has
// acknowledged the row. What is written twice collapses in the tables. DESIGN.md
// beside this file says why it is built the way it is.
package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/pkg/outage"
	"flywheel/schemas"
)

// Sink is one member of the group of sinks.
type Sink struct {
	cfg        Config
	kafka      kafka.Config
	clickhouse clickhouse.Config
	registry   codec.Registry
	logger     *slog.Logger
	meters     metric.MeterProvider
	tracer     trace.Tracer
	metrics    *metrics
	options    []kgo.Opt
	dial       func(context.Context) (driver.Conn, error)
	topics     []string
	records    []string        // that the topics carry; each has the table of its name
	answered   map[string]bool // topics whose refused records the processor publishes

	ready     chan struct{}
	readyOnce sync.Once

	troubles troubles

	unwritten   outage.Outage // of ClickHouse
	unanswered  outage.Outage // of the same, which may be slow first and fail then, with a reason
	unread      outage.Outage // of Kafka
	uncommitted outage.Outage // of the group's coordinator
	unknown     outage.Outage // of the schema registry

	goal *goal // nil unless it is to end by itself

	oldestMs atomic.Int64 // Kafka's timestamp of the oldest row not written yet; 0 when there is none
	writing  atomic.Int64 // since when rows are being written, in Unix milliseconds; 0 when they are not
}

// New checks the configuration and starts nothing. The options are appended to
// those of the Kafka client.
func New(cfg Config, kafkaConfig kafka.Config, clickhouseConfig clickhouse.Config, registry codec.Registry,
	logger *slog.Logger, meters metric.MeterProvider, tracers trace.TracerProvider, options ...kgo.Opt,
) (*Sink, error) {
	if cfg.InstanceID == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("name the sink after its host (or set sink.instance_id): %w", err)
		}
		cfg.InstanceID = host
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("check the sink's configuration: %w", err)
	}
	if err := clickhouseConfig.Validate(); err != nil {
		return nil, fmt.Errorf("check the ClickHouse configuration: %w", err)
	}
	if _, err := kafka.Options(kafkaConfig, logger, meters); err != nil {
		return nil, err
	}
	topics, err := schemas.LoadTopics()
	if err != nil {
		return nil, err
	}
	s := &Sink{
		cfg:        cfg,
		kafka:      kafkaConfig,
		clickhouse: clickhouseConfig,
		registry:   registry,
		logger:     logger,
		meters:     meters,
		tracer:     tracers.Tracer("flywheel/services/sink"),
		options:    options,
		dial:       func(ctx context.Context) (driver.Conn, error) { return clickhouse.Open(ctx, clickhouseConfig) },
		answered:   make(map[string]bool),
		ready:      make(chan struct{}),
	}
	for _, t := range topics.Topics {
		if len(t.Records) > 0 {
			s.topics = append(s.topics, t.Name)
			s.records = append(s.records, t.Records...)
			s.answered[t.Name] = t.Copartitioned
		}
	}
	s.troubles.set(ofStart, errors.New("the sink has not started"))
	if s.metrics, err = newMetrics(meters, s.staleness); err != nil {
		return nil, err
	}
	s.metrics.begin(s.topics, s.records)
	return s, nil
}

// Through has the sink write to the connections that dial opens, instead of
// those to the ClickHouse of its configuration. It is to be called before Run.
func (s *Sink) Through(dial func(context.Context) (driver.Conn, error)) { s.dial = dial }

// Ready is closed once the sink has found its tables and joined its group for
// the first time.
func (s *Sink) Ready() <-chan struct{} { return s.ready }

// writingLong is how long ClickHouse may take over the rows of a flush before
// the sink counts as one that does not deliver.
const writingLong = 10 * time.Second

// Check returns why the sink does not deliver at the moment, and nil when it
// does: a condition of readiness.
func (s *Sink) Check(context.Context) error {
	if trouble := s.troubles.first(); trouble != nil {
		return trouble
	}
	if since := s.writing.Load(); since != 0 {
		if took := time.Since(time.UnixMilli(since)); took > writingLong {
			return fmt.Errorf("ClickHouse has not acknowledged rows for %s: see whether it is overloaded or its network is cut; they wait, and are tried again after clickhouse.query_timeout", took.Round(time.Second))
		}
	}
	return nil
}

// staleness returns for how long a record may have waited in Kafka, or here to be
// written: since Kafka took the oldest row, or since Kafka last answered before it
// ceased to be read.
func (s *Sink) staleness() time.Duration {
	var age time.Duration
	if oldest := s.oldestMs.Load(); oldest != 0 {
		age = time.Since(time.UnixMilli(oldest))
	}
	if before := s.troubles.unread(); !before.IsZero() {
		age = max(age, time.Since(before))
	}
	return max(0, age)
}

// Run delivers until ctx ends; then it writes and commits what it has taken and
// returns nil. It waits for ClickHouse, at start and later, and returns an
// error when ClickHouse refuses the login or lacks the tables, when Kafka or the
// registry cannot be reached at start or lack what is needed, and when another
// sink has taken this one's name. Whatever was not committed is read again after
// the next start.
func (s *Sink) Run(ctx context.Context) error {
	s.troubles.hear(time.Now())
	s.troubles.set(ofStart, errors.New("the sink has not joined its group yet"))
	err := s.run(ctx)
	s.troubles.set(ofStart, errors.New("the sink has stopped"))
	switch {
	case ctx.Err() == nil:
		return err
	case errors.Is(err, errStopped):
		s.logger.WarnContext(ctx, "the last rows were not written", slog.Any("error.message", err))
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.Cause(ctx)): // net/http tells the cause
		return nil
	}
	return err
}

func (s *Sink) run(ctx context.Context) error {
	conn, tables, err := s.connect(ctx)
	if err != nil {
		return err
	}
	d, err := s.newSession(ctx, conn, tables)
	if err == nil {
		err = d.run(ctx)
	}
	return errors.Join(err, conn.Close())
}

// retryPauseMin is the first pause before something is tried again.
const retryPauseMin = 100 * time.Millisecond

// connect waits until ClickHouse answers, and checks that it has the tables.
func (s *Sink) connect(ctx context.Context) (driver.Conn, map[reflect.Type]*table, error) {
	started, pause := time.Now(), newPause(s.cfg.RetryPause)
	for {
		conn, tables, err := s.open(ctx)
		switch {
		case err == nil:
			s.writes(ctx)
			return conn, tables, nil
		case ctx.Err() != nil, clickhouse.FaultOf(err) != clickhouse.FaultServer, errors.Is(err, clickhouse.ErrLogin):
			return conn, tables, err
		case s.cfg.StartTimeout > 0 && time.Since(started) >= s.cfg.StartTimeout:
			return nil, nil, err
		}
		s.troubles.set(ofClickHouse, err)
		s.metrics.retries.Add(ctx, 1)
		s.logger.Log(ctx, s.unwritten.Level(), "waiting for clickhouse", slog.Any("error.message", err), slog.Duration("flywheel.pause", pause.next))
		if err := pause.wait(ctx); err != nil {
			return nil, nil, err
		}
	}
}

// writes notes that ClickHouse takes rows.
func (s *Sink) writes(ctx context.Context) {
	s.troubles.set(ofClickHouse, nil)
	slow, wasSlow := s.unanswered.Over()
	lasted, was := s.unwritten.Over()
	if was || wasSlow {
		s.logger.InfoContext(ctx, "clickhouse takes rows again", slog.Duration("flywheel.duration", max(lasted, slow)))
	}
}

// unfound notes that the schema registry does not tell a schema.
func (s *Sink) unfound(ctx context.Context, err error) {
	s.troubles.set(ofRegistry, err)
	s.logger.Log(ctx, s.unknown.Level(), "waiting for the schema registry", slog.Any("error.message", err))
}

// finds notes that the schema registry tells what is asked for.
func (s *Sink) finds(ctx context.Context) {
	s.troubles.set(ofRegistry, nil)
	if lasted, was := s.unknown.Over(); was {
		s.logger.InfoContext(ctx, "the schema registry answers again", slog.Duration("flywheel.duration", lasted))
	}
}

func (s *Sink) open(ctx context.Context) (driver.Conn, map[reflect.Type]*table, error) {
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	err = clickhouse.Check(ctx, conn, s.clickhouse)
	tables := make(map[reflect.Type]*table)
	for _, name := range s.records {
		if err != nil {
			return nil, nil, errors.Join(err, conn.Close())
		}
		sample := event.New(name)
		tables[reflect.TypeOf(sample)], err = newTable(ctx, conn, name, sample)
	}
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, tables, nil
}

// pause grows from one attempt to the next.
type pause struct{ next, most time.Duration }

func newPause(most time.Duration) pause { return pause{retryPauseMin, most} }

// wait returns after the pause, or early with an error when ctx ends.
func (p *pause) wait(ctx context.Context) error {
	timer := time.NewTimer(p.next)
	defer timer.Stop()
	p.next = min(2*p.next, p.most)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
