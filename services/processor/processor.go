// Package processor turns channel events into answers, exactly once: it reads
// the co-partitioned topics of a partition, keeps the state of its brands in
// memory, and publishes results, refused records, the changelog of the state
// and the input's offsets in one Kafka transaction. DESIGN.md beside this file
// says why it is built the way it is.
package processor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"flywheel/pkg/codec"
	"flywheel/pkg/kafka"
	"flywheel/pkg/outage"
	"flywheel/pkg/topology"
	"flywheel/schemas"
)

// Processor is one member of the group of processors.
type Processor struct {
	cfg      Config
	kafka    kafka.Config
	registry codec.Registry
	logger   *slog.Logger
	meters   metric.MeterProvider
	tracer   trace.Tracer
	metrics  *metrics
	options  []kgo.Opt
	inputs   []string // the co-partitioned topics that are read

	ready     chan struct{}
	readyOnce sync.Once

	troubleMu    sync.Mutex
	trouble      error        // why nothing is committed at the moment
	troubleSince time.Time    // when that began
	staleMs      int64        // as of the last commit
	turnedAt     atomic.Int64 // when the loop last came round, in Unix milliseconds; 0 while there is none
	outage       outage.Outage
	restoring    restoring
	silence      silence
	standstill   outage.Outage
	refusals     refusals // only the loop of a session touches them
	overdue      overdue  // likewise

	// workers outlive a session: a partition that comes back unchanged is not
	// restored again. Only the session that runs touches them.
	workers   map[int32]*worker
	yieldless map[place]int64 // offsets from which nothing came when a session has ended for that; likewise
	encoder   *codec.Encoder

	goal            *goal // nil unless it is to end by itself
	restoreTook     time.Duration
	restoredRecords int64
}

// New checks the configuration and starts nothing. The options are appended to
// those of the Kafka client.
func New(cfg Config, kafkaConfig kafka.Config, registry codec.Registry,
	logger *slog.Logger, meters metric.MeterProvider, tracers trace.TracerProvider, options ...kgo.Opt,
) (*Processor, error) {
	if cfg.InstanceID == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("name the processor after its host (or set processor.instance_id): %w", err)
		}
		cfg.InstanceID = host
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("check the processor's configuration: %w", err)
	}
	if cfg.KernelPrior != "" {
		pools, err := cfg.Prior()
		if err != nil {
			return nil, err
		}
		cfg.Topology.Pools = pools
	}
	if _, err := topology.New(cfg.Topology); err != nil {
		return nil, fmt.Errorf("check the processor's topology: %w", err)
	}
	if _, err := kafka.Options(kafkaConfig, logger, meters); err != nil {
		return nil, err
	}
	topics, err := schemas.LoadTopics()
	if err != nil {
		return nil, err
	}
	p := &Processor{
		cfg:      cfg,
		kafka:    kafkaConfig,
		registry: registry,
		logger:   logger,
		meters:   meters,
		tracer:   tracers.Tracer("flywheel/services/processor"),
		options:  options,
		ready:    make(chan struct{}),
		workers:  make(map[int32]*worker),
		overdue:  overdue{waits: overdueIntervals * cfg.Topology.RefreshInterval},
	}
	for _, t := range topics.Topics {
		if t.Copartitioned && len(t.Records) > 0 {
			p.inputs = append(p.inputs, t.Name)
		}
	}
	if p.metrics, err = newMetrics(meters, p.staleness); err != nil {
		return nil, err
	}
	p.metrics.begin(p.inputs)
	return p, nil
}

// Check returns why the processor makes no progress at the moment, and nil when
// it does: a condition of readiness.
func (p *Processor) Check(context.Context) error {
	why := p.hindered(time.Now())
	select {
	case <-p.ready:
		return why
	default:
	}
	if why != nil {
		return fmt.Errorf("the processor has not restored its partitions yet: %w", why)
	}
	return errors.New("the processor has not restored its partitions yet")
}

// hindered returns what keeps the processor from committing, nil when nothing does. What
// a restore waits for comes before what has ended the session before it.
func (p *Processor) hindered(now time.Time) error {
	if why := p.restoring.check(now, p.cfg.TransactionTimeout); why != nil {
		return why
	}
	if trouble := p.troubled(); trouble != nil {
		return trouble
	}
	if stuck := p.stuck(); stuck > 0 {
		return fmt.Errorf("the processor has been at one transaction for %s: see whether Kafka answers (flywheel ready), and restart it if it does; nothing is lost", stuck.Round(time.Second))
	}
	return p.silence.check(now)
}

// stuck returns for how long the loop has not come round, 0 if that is no longer
// than a transaction and its end may take.
func (p *Processor) stuck() time.Duration {
	at := p.turnedAt.Load()
	if at == 0 {
		return 0
	}
	since := time.Since(time.UnixMilli(at))
	if since < 2*p.cfg.TransactionTimeout {
		return 0
	}
	return since
}

// standstillInterval lies between two looks at whether the loop comes round.
const standstillInterval = time.Second

// watch tells of a loop that does not come round, until ctx ends: it cannot do so itself.
func (p *Processor) watch(ctx context.Context) {
	ticker := time.NewTicker(standstillInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if stuck := p.stuck(); stuck > 0 {
			// To look where all are stops them for a moment: not for a line that nobody wants.
			if level := p.standstill.Level(); p.logger.Enabled(ctx, level) {
				p.logger.Log(ctx, level, "the processor stands still; restart it if this lasts, nothing is lost",
					slog.Duration("flywheel.duration", stuck), slog.String("code.stacktrace", stacks()))
			}
		} else if lasted, was := p.standstill.Over(); was {
			p.logger.InfoContext(ctx, "the processor goes on", slog.Duration("flywheel.duration", lasted))
		}
	}
}

// stacksBytesMax bounds a line of the log: those that most goroutines share come first.
const stacksBytesMax = 32 << 10

// stacks says where the goroutines are.
func stacks() string {
	var b strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil { // into memory
		return err.Error()
	}
	return b.String()[:min(b.Len(), stacksBytesMax)]
}

// report notes what keeps the processor from committing; nil when nothing does.
func (p *Processor) report(trouble error) {
	p.troubleMu.Lock()
	defer p.troubleMu.Unlock()
	if trouble != nil && p.trouble == nil {
		p.troubleSince = time.Now()
	}
	p.trouble = trouble
}

func (p *Processor) troubled() error {
	p.troubleMu.Lock()
	defer p.troubleMu.Unlock()
	return p.trouble
}

// recovered notes that nothing keeps the processor from committing.
func (p *Processor) recovered(ctx context.Context) {
	p.report(nil)
	if lasted, was := p.outage.Over(); was {
		p.logger.InfoContext(ctx, "committing again", slog.Duration("flywheel.duration", lasted))
	}
}

// aged notes the age of the oldest input that no result shows, after a commit.
func (p *Processor) aged(staleMs int64) {
	p.troubleMu.Lock()
	defer p.troubleMu.Unlock()
	p.staleMs = staleMs
}

// staleness returns the age of the oldest input that no result shows.
func (p *Processor) staleness() time.Duration {
	p.troubleMu.Lock()
	defer p.troubleMu.Unlock()
	age, now := time.Duration(p.staleMs)*time.Millisecond, time.Now()
	var idle time.Duration // since results were last published
	if p.trouble != nil {
		idle = now.Sub(p.troubleSince)
	}
	return age + max(idle, p.restoring.lasts(now), p.stuck(), p.silence.lasts(now))
}

// Ready is closed once the processor has its partitions restored for the first
// time and consumes, or the group has none for it.
func (p *Processor) Ready() <-chan struct{} { return p.ready }

// Pauses before another session, doubled from one to the other.
const (
	pauseMin = 100 * time.Millisecond
	pauseMax = 2 * time.Second
)

// errFatal marks what another session would run into as well.
var errFatal = errors.New("the processor cannot go on")

// Run processes until ctx ends; then it commits what it has taken and returns
// nil. It returns an error when Kafka or the registry cannot be reached at
// start, when the topics are not as they must be, and when another processor
// has taken this one's name. Whatever else goes wrong, it starts over from what
// was committed last.
func (p *Processor) Run(ctx context.Context) error {
	p.restoring.begin(time.Now()) // nothing is published before
	err := kafka.Persist(ctx, p.kafka, p.prepare)
	if err == nil {
		p.encoder, err = codec.AwaitEncoder(ctx, p.registry, p.kafka.ConnectTimeout, func(err error) {
			p.report(err)
			p.logger.Log(ctx, p.outage.Level(), "waiting for the schema registry", slog.Any("error.message", err))
		}, outputs()...)
	}
	switch {
	case ctx.Err() != nil:
		return nil // asked to stop while it began: what failed failed for that
	case err != nil:
		return err
	}
	var watch conc.WaitGroup
	defer watch.Wait()
	watching, stop := context.WithCancel(context.WithoutCancel(ctx)) // also how it ends
	defer stop()
	watch.Go(func() { p.watch(watching) })
	pause := pauseMin
	for {
		s := &session{Processor: p, begun: make(chan struct{})}
		err := s.run(ctx)
		switch {
		case ctx.Err() != nil && !errors.Is(err, errFatal):
			if err != nil {
				p.logger.WarnContext(ctx, "the last transaction was not committed; its input will be read again", slog.Any("error.message", err))
			}
			return nil
		case errors.Is(err, kerr.ProducerFenced), errors.Is(err, kerr.FencedInstanceID):
			return fmt.Errorf("another processor runs as %q: give each its own processor.instance_id, or restart this one if the other has taken over: %w", p.cfg.InstanceID, err)
		case errors.Is(err, errFatal):
			return err
		}
		if s.commits > 0 {
			pause = pauseMin
		}
		p.report(err)
		p.metrics.restarted(ctx)
		p.logger.Log(ctx, p.outage.Level(), "starting over from the last commit; nothing is lost or applied twice",
			slog.Any("error.message", err), slog.Duration("flywheel.pause", pause))
		// State that a transaction has touched without committing it is wrong.
		p.dropTouched()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, pauseMax)
	}
}

// prepare checks what would fail later of Kafka, before anything is consumed.
func (p *Processor) prepare(ctx context.Context) error {
	client, err := kafka.Connect(ctx, p.kafka, p.logger, p.meters, p.options...)
	if err != nil {
		return err
	}
	defer client.Close()
	topics, err := kafka.NewTopics(p.kafka, client)
	if err != nil {
		return err
	}
	if _, err := topics.Check(ctx); err != nil {
		return err
	}
	level, advice, err := topics.TransactionVersion(ctx)
	if err != nil {
		return err
	}
	if p.goal != nil {
		if p.goal.spans, err = kafka.ReadSpans(ctx, client, p.inputs...); err != nil {
			return err
		}
	}
	p.logger.InfoContext(ctx, "looked at the transactions of the Kafka cluster", slog.Int("flywheel.transaction.version", int(level)))
	if advice != "" {
		p.logger.WarnContext(ctx, "transactions of the Kafka cluster are old", slog.String("flywheel.advice", advice))
	}
	p.interrupted(ctx, client)
	return nil
}

// interrupted tells of a transaction that the last run under this name has left open, since it was
// killed or is about to be replaced: the first session aborts it. Who may not ask Kafka goes on
// all the same.
func (p *Processor) interrupted(ctx context.Context, client *kgo.Client) {
	wait, cancel := context.WithTimeout(ctx, p.kafka.RequestTimeout)
	defer cancel()
	id := p.transactionalID()
	described, err := kadm.NewClient(client).DescribeTransactions(wait, id)
	left := described[id]
	switch err = cmp.Or(err, left.Err); {
	case errors.Is(err, kerr.TransactionalIDNotFound), ctx.Err() != nil: // it is the first run, or over already
	case err != nil:
		p.logger.InfoContext(ctx, "it is not known whether the run before this one was interrupted", slog.Any("error.message", err))
	case left.State == "Ongoing":
		p.metrics.interrupted(ctx)
		p.logger.WarnContext(ctx, "the run before this one was interrupted; its transaction is aborted and its input read again, nothing is lost or applied twice",
			slog.Duration("flywheel.transaction.age", time.Since(time.UnixMilli(left.StartTimestamp))))
	}
}

// transactionalID is who the processor is in transactions, from one run to the next.
func (p *Processor) transactionalID() string { return p.cfg.Group + "-" + p.cfg.InstanceID }

// dropTouched forgets the partitions whose memory is ahead of what is
// committed; they will be restored from the changelog.
func (p *Processor) dropTouched() {
	for n, w := range p.workers {
		if w.touched {
			delete(p.workers, n)
		}
	}
}
