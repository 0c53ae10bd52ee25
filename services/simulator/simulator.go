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
	"sync"
	"sync/atomic"
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
	metrics  *metrics
	options  []kgo.Opt

	world  *world
	ledger *Ledger
	ready  chan struct{}

	phase   atomic.Pointer[Phase]
	sent    atomic.Int64
	eventMs atomic.Int64
	behind  atomic.Int64
	waiting atomic.Int64 // since when, in Unix nanoseconds, sending waits for Kafka; 0 when it does not

	mu     sync.Mutex
	sample [2]sample // for the rate: the older is at least a second old
}

// sample is how much was sent at a moment.
type sample struct {
	at   time.Time
	sent int64
}

// New checks the configuration, draws the world and starts nothing. Event time
// ends at the moment of this call unless the configuration says otherwise. The
// options are appended to those of the Kafka client.
func New(cfg Config, kafkaConfig kafka.Config, registry codec.Registry,
	logger *slog.Logger, meters metric.MeterProvider, tracers trace.TracerProvider, options ...kgo.Opt,
) (*Simulator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("check the simulator's configuration: %w", err)
	}
	if _, err := kafka.Options(kafkaConfig, logger, meters); err != nil {
		return nil, err
	}
	now := time.Now()
	end, err := cfg.end()
	switch {
	case err != nil: // Validate has looked at it
		return nil, err
	case end.IsZero():
		end = now
	case end.After(now):
		return nil, fmt.Errorf("check the simulator's configuration: end: %s is in the future, where no event may lie: set an earlier moment, or none", cfg.End)
	}
	s := &Simulator{
		cfg:      cfg,
		kafka:    kafkaConfig,
		registry: registry,
		logger:   logger,
		meters:   meters,
		tracer:   tracers.Tracer("flywheel/services/simulator"),
		options:  options,
		ready:    make(chan struct{}),
	}
	if s.world, err = newWorld(cfg, end); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(meters); err != nil {
		return nil, err
	}
	s.ledger = newLedger(s.world)
	s.eventMs.Store(s.world.start)
	s.setPhase(PhaseStarting)
	return s, nil
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
	PhaseDone     Phase = "done"     // Run has returned
)

func (s *Simulator) setPhase(p Phase) { s.phase.Store(&p) }

// Progress is how far the play has come.
type Progress struct {
	Phase            Phase
	Start, Live, End time.Time // of event time; live play begins at Live

	EventTime time.Time     // arrivals before it are sent
	Share     float64       // of the play's event time, 0 to 1
	Sent      int64         // channel records handed to Kafka
	PerSecond float64       // of these, over the last second or two
	Behind    time.Duration // how far sending is behind its schedule
}

// Progress returns how far the play has come. It may be called at any time.
func (s *Simulator) Progress() Progress {
	moment := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	p := Progress{
		Phase: *s.phase.Load(), Start: moment(s.world.start), Live: moment(s.world.live), End: moment(s.world.end),
		EventTime: moment(s.eventMs.Load()), Sent: s.sent.Load(), Behind: time.Duration(s.behind.Load()), Share: 1,
	}
	if p.Phase != PhaseDone {
		p.Share = float64(s.eventMs.Load()-s.world.start) / float64(s.world.end-s.world.start)
	}
	if since := s.waiting.Load(); since != 0 {
		p.Behind += time.Since(time.Unix(0, since))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := sample{time.Now(), p.Sent}
	if now.at.Sub(s.sample[1].at) >= time.Second {
		s.sample = [2]sample{s.sample[1], now}
	}
	if old := s.sample[0]; !old.at.IsZero() {
		if over := now.at.Sub(old.at).Seconds(); over > 0 {
			p.PerSecond = float64(now.sent-old.sent) / over
		}
	}
	return p
}

// Run plays until event time has reached its end or ctx ends; then it waits
// until everything sent is acknowledged, and returns nil. Once it has returned
// nil the ledger holds exactly what Kafka has. It returns an error when Kafka or
// the registry cannot be reached at start, when topics are missing or not as
// they must be, and when Kafka refuses a record or, after ctx has ended, does not
// acknowledge it in time. It may be called once.
func (s *Simulator) Run(ctx context.Context) error {
	defer s.setPhase(PhaseDone)
	ctx, span := s.tracer.Start(ctx, "simulator.play")
	defer span.End()
	w, err := s.connect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer w.client.Close()
	if err := w.publish(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	s.logger.InfoContext(ctx, "the play begins", slog.Int("flywheel.brands", len(s.world.brands)),
		slog.Time("flywheel.event_time", time.UnixMilli(s.world.start).UTC()), slog.String("flywheel.run", s.world.run))
	close(s.ready)
	return w.play(ctx)
}
