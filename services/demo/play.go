package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/run"
	"flywheel/pkg/setup"
	"flywheel/pkg/usage"
	"flywheel/services/demo/oracle"
	"flywheel/services/processor"
	"flywheel/services/simulator"
	"flywheel/services/sink"
)

// play is the pipeline on engines that are ready, with the simulator before it.
type play struct {
	*Demo
	conn      driver.Conn
	registry  *codec.Client
	groups    *oracle.Groups
	processor *processor.Processor
	sink      *sink.Sink
	simulator *simulator.Simulator
	played    chan struct{} // closed once the simulator has sent everything

	began       time.Time     // the backfill, as far as it was seen
	backfilling time.Duration // so far
	currencies  map[string]string
	shown       *view
	report      *Report // nil until everything is judged
}

func (d *Demo) newPlay(ctx context.Context, t setup.Targets) (p *play, err error) {
	p = &play{Demo: d, played: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if p.conn, err = clickhouse.Open(ctx, t.ClickHouse); err != nil {
		return nil, err
	}
	if p.registry, err = codec.NewClient(t.Registry); err != nil {
		return nil, err
	}
	if p.groups, err = oracle.NewGroups(ctx, t.Kafka, d.parts.Processor.Group, d.parts.Sink.Group, d.logger, d.meters); err != nil {
		return nil, err
	}
	if p.processor, err = processor.New(d.parts.Processor, t.Kafka, p.registry, d.logger, d.meters, d.tracers); err != nil {
		return nil, err
	}
	if p.sink, err = sink.New(d.parts.Sink, t.Kafka, t.ClickHouse, p.registry, d.logger, d.meters, d.tracers); err != nil {
		return nil, err
	}
	if p.simulator, err = simulator.New(d.parts.Simulator, t.Kafka, p.registry, d.logger, d.meters, d.tracers); err != nil {
		return nil, err
	}
	p.currencies = make(map[string]string)
	for _, b := range p.simulator.Ledger().Truth() {
		p.currencies[b.BrandID] = b.Currency
	}
	return p, nil
}

func (p *play) close() (err error) {
	if p.groups != nil {
		p.groups.Close()
	}
	if p.registry != nil {
		p.registry.Close()
	}
	if p.conn != nil {
		if err = p.conn.Close(); err != nil {
			err = fmt.Errorf("close the connections to ClickHouse: %w", err)
		}
	}
	return err
}

// run starts processor, sink and simulator one after the other and ends when
// everything is judged, or with the first of them that fails.
func (p *play) run(ctx context.Context, beside []run.Unit) error {
	var g run.Group
	g.Add(beside...)
	g.Add(
		run.Unit{Name: "processor", Run: p.processor.Run, Ready: p.processor.Ready()},
		run.Unit{Name: "sink", Run: p.sink.Run, Ready: p.sink.Ready()},
		run.Unit{Name: "simulator", Ready: p.simulator.Ready(), Run: func(ctx context.Context) error {
			if err := p.simulator.Run(ctx); err != nil || ctx.Err() != nil {
				return err
			}
			close(p.played)
			<-ctx.Done() // the others go on until they have finished
			return nil
		}},
		run.Unit{Name: "demo", Run: func(ctx context.Context) error {
			if err := p.watch(ctx); err != nil {
				return err
			}
			return run.ErrDone
		}},
	)
	return g.Run(ctx)
}

// watch shows the play, waits for its last results and judges them.
func (p *play) watch(ctx context.Context) error {
	started := time.Now()
	before, err := usage.Now()
	if err != nil {
		return err
	}
	if err := p.follow(ctx); err != nil {
		return err
	}
	next := time.Now()
	if err := p.groups.Wait(ctx, p.cfg.DrainTimeout, func(s oracle.Standing) {
		if now := time.Now(); !now.Before(next) {
			next = now.Add(p.show(ctx, s, true))
		}
	}); err != nil {
		return err
	}
	seconds := time.Since(started).Seconds()
	after, err := usage.Now()
	if err != nil {
		return err
	}

	last, err := p.groups.Standing(ctx)
	if err != nil {
		return err
	}
	p.show(ctx, last, true)
	p.screen.end()
	detail := p.simulator.Ledger().Detail()
	f, err := oracle.Gather(ctx, p.conn)
	if err != nil {
		return err
	}
	r := Report{
		Verdict: oracle.Judge(&detail, &f),
		Run:     RunInfo{Seed: detail.Seed, Brands: len(detail.Brands), Start: detail.Start, Live: detail.Live, End: detail.EventTime},
	}
	if err := speed(ctx, p.conn, detail.Live, &r); err != nil {
		return err
	}
	r.Run.Seconds, r.CPUSPerMillion = seconds, (after.CPUSeconds-before.CPUSeconds)/max(float64(r.Events.Sent), 1)*1e6
	a, err := ask(ctx, p.conn, p.currencies)
	if err != nil {
		return err
	}
	p.shown.answers = a
	p.shown.brands, p.shown.spikes = findings(p.simulator.Ledger(), &detail, &a)
	r.Brands = p.shown.brands
	p.report = &r
	return nil
}

// Pauses between two looks.
const (
	redraw    = time.Second
	plainLine = 5 * time.Second
)

// follow shows the play until everything is sent.
func (p *play) follow(ctx context.Context) error {
	for {
		s, err := p.groups.Standing(ctx)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.played:
			return nil
		case <-time.After(p.show(ctx, s, false)):
		}
	}
}

// show looks and shows what it sees. It returns the pause until the next look,
// which grows with what a look costs.
func (p *play) show(ctx context.Context, s oracle.Standing, draining bool) time.Duration {
	progress, detail := p.simulator.Progress(), p.simulator.Ledger().Detail()
	if progress.Phase == simulator.PhaseBackfill {
		if p.began.IsZero() {
			p.began = time.Now()
		}
		p.backfilling = time.Since(p.began)
	}
	v := &view{
		phase: progress.Phase, draining: draining, eventTime: progress.EventTime, share: share(progress, p.backfilling, p.parts.Simulator.For), speed: p.parts.Simulator.Speed,
		sentPerS: progress.PerSecond, sent: detail.Sent, behind: progress.Behind, processor: s.ProcessorBehind, sink: s.SinkBehind,
	}
	a, err := ask(ctx, p.conn, p.currencies)
	if err != nil {
		v.trouble = "the answers are not up to date: " + err.Error()
		if p.shown != nil {
			a = p.shown.answers
		}
	}
	v.answers = a
	v.brands, v.spikes = findings(p.simulator.Ledger(), &detail, &a)
	old := p.shown
	p.shown = v
	if ctx.Err() != nil {
		return 0
	}
	if p.screen.Terminal() {
		if err := p.screen.draw(v.frame); err != nil {
			p.logger.DebugContext(ctx, "cannot draw") // the terminal is gone; the play goes on
		}
		return max(redraw, 2*a.took)
	}
	p.screen.say("%s", v.line())
	for _, l := range v.news(old) {
		p.screen.say("%s", l)
	}
	return max(plainLine, 4*a.took)
}

// share is how much of the play is over in real time, 0 to 1: the backfill at the pace
// it has had so far, and then live play.
func share(p simulator.Progress, backfilling, live time.Duration) float64 {
	part := func(from, to time.Time) float64 {
		if !to.After(from) {
			return 1
		}
		return min(max(0, float64(p.EventTime.Sub(from))/float64(to.Sub(from))), 1)
	}
	backfilled, lived := part(p.Start, p.Live), part(p.Live, p.End)
	switch {
	case p.Phase == simulator.PhaseDone:
		return 1
	case backfilled == 0:
		return 0
	}
	return (float64(backfilling) + lived*float64(live)) / max(1, float64(backfilling)/backfilled+float64(live))
}

// findings puts what was found beside what was planted, brand by brand.
func findings(l *simulator.Ledger, d *simulator.Detail, a *answers) ([]Finding, []spiking) {
	fs, ss := make([]Finding, len(d.Brands)), make([]spiking, len(d.Brands))
	for i, t := range d.Brands {
		b := a.brands[t.BrandID]
		planted, _ := l.Multiplier(t.BrandID, b.multiplierUntil)
		fs[i] = Finding{
			BrandID: t.BrandID, Name: t.Name, Currency: t.Currency, Verdict: b.verdict, Reason: b.reason, LagHours: b.lagHours,
			CreditedMicros: b.credited[t.Currency], CausedMicros: t.CausedMicros,
			Multiplier: b.multiplier, Low: b.low, High: b.high, PlantedMultiplier: planted,
			PlantedDelayHours: float64(t.DelayMinutes) / 60, PlantedNull: t.Null,
		}
		ss[i] = spiking{b.spikeStatus, b.spikeAt, b.spikeZ, b.spikePost, b.spikes}
		if ss[i].post == "" {
			ss[i].post = b.creditPost
		}
	}
	return fs, ss
}
