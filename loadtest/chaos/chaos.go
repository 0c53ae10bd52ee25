// Package chaos plays a world of known truth through the pipeline while its
// processes are killed, stopped and cut off, and checks in the end that nothing
// is missing and nothing is there twice. What happens when follows from a seed.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"flywheel/loadtest/process"
	"flywheel/loadtest/proxy"
	"flywheel/loadtest/smalldisk"
	"flywheel/loadtest/stage"
	"flywheel/loadtest/verify"
	"flywheel/pkg/fault"
	"flywheel/services/demo/oracle"
	"flywheel/services/simulator"
)

// Config of one play.
type Config struct {
	Seed     uint64
	Broker   stage.Broker
	Nodes    int           // of Apache Kafka
	Binary   string        // built by stage.Build
	CacheDir string        // of Apache Kafka and the registry
	Dir      string        // of data and logs; removed in the end unless something failed
	Only     []Kind        // the faults to draw from; empty takes all that the stage can have
	First    []Kind        // those of them that come before all others
	Rate     int           // records per second, for as long as ClickHouse is not kept away
	Replay   bool          // process the whole input again in the end
	Away     time.Duration // that ClickHouse is away from the begin on, by which the play is longer; 0 for not at all
	Out      io.Writer

	// inspect, if set, looks at the pipeline that was verified before it is closed.
	inspect func(context.Context, verify.Pipeline, *simulator.Detail) error
}

// Report is what happened in a play and what was found in the end.
type Report struct {
	Seed         uint64           `json:"seed"`
	Broker       stage.Broker     `json:"broker"`
	Nodes        int              `json:"nodes"`
	Replay       bool             `json:"replay"`
	Away         time.Duration    `json:"away"`
	First        []Kind           `json:"first"`
	Only         []Kind           `json:"only,omitempty"`
	Rate         int              `json:"rate,omitempty"`
	KafkaVersion string           `json:"kafka_version"` // as the servers say themselves
	Registry     string           `json:"registry"`      // likewise
	Kills        int              `json:"kills"`         // SIGKILLs that hit a running process
	Faults       map[Kind]int     `json:"faults"`        // by kind
	Seen         map[Kind]int     `json:"seen"`          // faults whose line and metric were seen
	Repeated     map[Kind]int     `json:"repeated"`      // faults that were inflicted again, for what was seen the first time was not what they show
	PassedOver   map[Kind]string  `json:"passed_over"`   // faults that this machine does not allow, and why
	RecoveryMs   []int64          `json:"recovery_ms"`   // from a kill until what was in Kafka then is processed
	ResumedMs    map[Kind][]int64 `json:"resumed_ms"`    // the same by kind, also from the end of what kills nothing
	Events       int64            `json:"events"`
	Tally        verify.Tally     `json:"tally"` // of the first look, before the input is processed again
	Seconds      float64          `json:"seconds"`
	Failures     []verify.Failure `json:"failures"`
}

// RateUsual is at how many records per second a play is backfilled: it lasts about a minute then.
const RateUsual = 1500

// Again is the command that plays it again.
func (r *Report) Again() string {
	s := fmt.Sprintf("go run ./loadtest chaos --seed %d --broker %s", r.Seed, r.Broker)
	if r.Nodes > 1 {
		s += fmt.Sprintf(" --nodes %d", r.Nodes)
	}
	if r.Rate != 0 && r.Rate != RateUsual {
		s += fmt.Sprintf(" --rate %d", r.Rate)
	}
	if r.Replay {
		s += " --replay"
	}
	if r.Away > 0 {
		s += " --away " + r.Away.String()
	}
	list := func(flag string, kinds []Kind) {
		names := make([]string, len(kinds))
		for i, kind := range kinds {
			names[i] = kind.String()
		}
		if len(names) > 0 {
			s += fmt.Sprintf(" --%s %q", flag, strings.Join(names, ","))
		}
	}
	if len(r.First) > 0 && slices.Equal(r.First, Kinds(r.Broker, r.Nodes)) {
		s += " --first all"
	} else {
		list("first", r.First)
	}
	list("only", r.Only)
	return s
}

// Report returns the report of a play that has not begun.
func (c *Config) Report() Report {
	return Report{
		Seed: c.Seed, Broker: c.Broker, Nodes: c.Nodes, Replay: c.Replay, Away: c.Away, First: c.First, Only: c.Only, Rate: c.Rate,
		Faults: make(map[Kind]int), Seen: make(map[Kind]int), Repeated: make(map[Kind]int), ResumedMs: make(map[Kind][]int64),
		PassedOver: make(map[Kind]string), Failures: []verify.Failure{},
	}
}

// Validate checks the broker, and that each fault asked for can be done to it.
func (c *Config) Validate() error {
	if c.Broker != stage.Embedded && c.Broker != stage.Apache {
		return fmt.Errorf("there is no broker %q: take %s or %s", c.Broker, stage.Embedded, stage.Apache)
	}
	if c.Broker == stage.Embedded && c.Nodes > 1 {
		return fmt.Errorf("the embedded broker is one node, not %d: play it with --broker apache", c.Nodes)
	}
	can := Kinds(c.Broker, c.Nodes)
	for _, kind := range slices.Concat(c.Only, c.First) {
		if slices.Contains(can, kind) {
			continue
		}
		f := faults[kind]
		needs := "--broker " + string(f.brokers[0])
		if f.nodes > 1 {
			needs += fmt.Sprintf(" --nodes %d", f.nodes)
		}
		return fmt.Errorf("%q cannot be done to %s with %d nodes: it needs %s", kind, c.Broker, c.Nodes, needs)
	}
	return nil
}

// Had says whether a fault of a kind was played, the way back from it timed, and what it
// shows was seen if it shows anything.
func (r *Report) Had(kind Kind) bool {
	f := faults[kind]
	return r.Faults[kind] > 0 && (len(f.signs) == 0 || r.Seen[kind] > 0) && (f.untimed != "" || len(r.ResumedMs[kind]) > 0)
}

// Partitions of every topic on the stage.
const partitions = 4

// Timeouts of the services: short, so that a play has many lives, and that a processor tells of a
// node that was lost before another leads for it: three seconds after the last answer at the latest,
// and another leads after four and a half (see package apache).
const (
	sessionTimeout     = 6 * time.Second
	transactionTimeout = 6 * time.Second
	queryTimeout       = 5 * time.Second // for ClickHouse
)

// The bounds in which the pipeline must make progress after a fault, and be done
// after the last one.
const (
	recoveryMax = 30 * time.Second
	drainMax    = 3 * time.Minute
)

// oracleProgress is the oracle that knows these bounds.
const oracleProgress = "progress resumes in time"

// oraclePeace is the oracle that looks at what the services return.
const oraclePeace = "a service ends only when asked to, killed or fenced"

// play is one play under way.
type play struct {
	Config
	*stage.Stage

	report     *Report
	random     *rand.Rand
	services   []*service
	monitor    *monitor
	clickhouse *proxy.Proxy
	last       string               // fault, for the log
	hit        []*service           // services that it was done to; none if it was done to what they need
	hurried    bool                 // nobody waits for what it was done to
	killed     time.Time            // when it killed; zero if it is to be timed from its end
	unreached  map[fault.Point]bool // when they were last tried
	patience   time.Duration        // with the signs of a fault

	guestLeft time.Time // when the last processor left that had joined for a while
}

// service is a name that a processor or sink runs under, in one life after the
// other.
type service struct {
	kind, instance string
	*process.Process
}

// Run plays once. The error says what could not be played or looked at; what was
// found wrong is in the report.
func Run(ctx context.Context, cfg Config) (report Report, err error) {
	started := time.Now()
	report = cfg.Report()
	if err := cfg.Validate(); err != nil {
		return report, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return report, fmt.Errorf("create the folder of the play: %w", err)
	}
	p := &play{Config: cfg, report: &report, patience: recoveryMax, random: rand.New(rand.NewPCG(cfg.Seed, 0)), unreached: make(map[fault.Point]bool)}
	// Neighbours have both points, and every passing comes: there are more migrations.
	migration := fault.Rule{Point: []fault.Point{fault.MigrateApplied, fault.MigrateRecorded}[cfg.Seed%2], Passing: 1 + p.random.IntN(25), Action: fault.Kill}
	if p.Stage, err = stage.Open(ctx, stage.Config{
		Binary: cfg.Binary, Dir: cfg.Dir, Broker: cfg.Broker, Nodes: cfg.Nodes, Partitions: partitions, CacheDir: cfg.CacheDir, Out: cfg.Out,
		Migrate: fault.Format(migration), Disks: true,
		Env: []string{
			"FLYWHEEL_PROCESSOR_SESSION_TIMEOUT=" + sessionTimeout.String(), "FLYWHEEL_PROCESSOR_TRANSACTION_TIMEOUT=" + transactionTimeout.String(),
			"FLYWHEEL_SINK_SESSION_TIMEOUT=" + sessionTimeout.String(), "FLYWHEEL_PROCESSOR_REBALANCE_TIMEOUT=10s",
			"FLYWHEEL_KAFKA_CONNECT_TIMEOUT=1m", // who starts while the broker is away waits for it
			"FLYWHEEL_CLICKHOUSE_QUERY_TIMEOUT=" + queryTimeout.String(), "FLYWHEEL_SINK_RETRY_PAUSE=1s",
		},
	}); err != nil {
		return report, err
	}
	p.report.Kills += p.MigrationKills
	if p.MigrationKills > 0 {
		p.report.Faults[KillAt(migration.Point)]++
	}
	defer func() {
		if err != nil || len(report.Failures) > 0 {
			p.say("the logs are kept in %s; it is played again by '%s'", cfg.Dir, report.Again())
			fmt.Fprintln(cfg.Out, p.Tail())
		}
		err = errors.Join(err, p.Close())
		report.Seconds = time.Since(started).Seconds()
		if err == nil && len(report.Failures) == 0 {
			err = os.RemoveAll(cfg.Dir)
		}
	}()
	if err := p.run(ctx); err != nil {
		return report, err
	}
	return report, nil
}

func (p *play) run(ctx context.Context) (err error) {
	// The services reach ClickHouse through a proxy, the checks directly.
	if p.clickhouse, err = proxy.ListenHTTP(ctx, p.Targets.ClickHouse.Addresses[0]); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.clickhouse.Close()) }()
	p.Targets.ClickHouse.Addresses = []string{p.clickhouse.Addr()}

	sim, err := p.simulator()
	if err != nil {
		return err
	}
	if p.monitor, err = newMonitor(ctx, p.Targets.Kafka); err != nil {
		return err
	}
	defer p.monitor.close()
	if p.report.KafkaVersion, p.report.Registry, err = p.Versions(ctx); err != nil {
		return err
	}

	for _, s := range []*service{{kind: "processor", instance: "one"}, {kind: "processor", instance: "two"}, {kind: "sink", instance: "one"}} {
		p.services = append(p.services, s)
		if err := p.start(ctx, s); err != nil {
			return err
		}
	}
	playing, stop := context.WithCancel(ctx)
	defer stop()
	tormented := make(chan error, 1)
	go func() {
		select { // whoever sends looks at the topics first, once
		case <-sim.Ready():
		case <-playing.Done():
		}
		if err := p.keepAway(playing); err != nil {
			tormented <- err
			return
		}
		tormented <- p.torment(playing, p.kinds(), pauseMax)
	}()
	if err := sim.Run(ctx); err != nil {
		stop()
		return errors.Join(err, <-tormented)
	}
	stop()
	if err := <-tormented; err != nil {
		return err
	}
	if err := p.drain(ctx); err != nil {
		return err
	}
	detail := sim.Ledger().Detail()
	p.report.Events = detail.Sent
	if detail.Late == 0 || detail.Duplicate == 0 || detail.Poison == 0 {
		return fmt.Errorf("%+v was sent: that is no test", detail.Summary)
	}
	pipeline := p.Pipeline()
	if err := p.verify(ctx, pipeline, &detail); err != nil {
		return err
	}
	if p.inspect != nil {
		if err := p.inspect(ctx, pipeline, &detail); err != nil {
			return err
		}
	}
	if !p.Replay {
		return nil
	}
	if pipeline.Since, err = p.replay(ctx); err != nil {
		return err
	}
	pipeline.Replays++
	return p.verify(ctx, pipeline, &detail)
}

// verify stops the services and checks what they have left.
func (p *play) verify(ctx context.Context, pipeline verify.Pipeline, ledger *simulator.Detail) error {
	for _, s := range p.services {
		if err := stage.Stop(s.Process); err != nil {
			p.fail(oraclePeace, "%v", err)
		}
	}
	result, err := verify.All(ctx, pipeline, ledger)
	if err != nil {
		return err
	}
	p.report.Failures = append(p.report.Failures, result.Failures...)
	if pipeline.Replays == 0 {
		p.report.Tally = result.Tally
	}
	for _, f := range result.Failures {
		p.say("FAILED %s: %s", f.Oracle, f.Text)
	}
	if result.Windows < 200 || result.Totals < 50 || result.Days < 20 || result.Spiked == 0 || result.Letters == 0 || result.Rows < result.Windows+result.Letters || result.Raw < 1000 || result.Newest < 3 || result.Planted == 0 {
		return fmt.Errorf("%d rows of events, %d of results, %d windows, %d newest ones, %d totals, %d days, %d spikes and %d dead letters were compared, and %d planted spikes looked for: that is no test",
			result.Raw, result.Rows, result.Windows, result.Newest, result.Totals, result.Days, result.Spiked, result.Letters, result.Planted)
	}
	p.say("%d kills, %s: %d events, %d dead letters, lost %d, doubled %d, residual %d; %d windows, %d days and %d spikes as in the batch, %d totals as by hand, %d of %d planted spikes missed: %d failures",
		p.report.Kills, p.report.counts(), ledger.Sent, result.DeadLettered, result.Lost, result.DoubleCounted, result.ConservationResidualMicros,
		result.Windows, result.Days, result.Spiked, result.Totals, result.Missed, result.Planted, len(p.report.Failures))
	p.say("beyond restatement %d windows, out of sight %d of %d spikes differ from the batch; more is known by now of %d spikes, and %d are settled by now", result.Final, result.FinalSpikes, result.OutOfSight, result.Beside, result.Unsettled)
	return nil
}

// backfilled are about as many records as a play sends before it goes on live.
const backfilled = 51_000

// simulator plays the world.
func (p *play) simulator() (*simulator.Simulator, error) {
	cfg := simulator.TrialConfig()
	cfg.Rate, cfg.Seed = p.Rate, p.Seed
	// There is input while ClickHouse is away, and for as long as in another play when it is back.
	whole := time.Duration(backfilled/p.Rate)*time.Second + cfg.For
	slower := 1 + int((p.Away+whole-1)/whole)
	cfg.Rate, cfg.Speed, cfg.For = cfg.Rate/slower, cfg.Speed/float64(slower), cfg.For*time.Duration(slower)
	// What waits for a leader must not fall behind what is sent meanwhile by more event
	// time than a source may lag behind the others: a week, and a play sends days a second.
	cfg.InFlight = 500
	return simulator.New(cfg, p.Targets.Kafka, p.Registry, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider())
}

// keepAway keeps ClickHouse away for as long as is asked for, and kills processors meanwhile,
// which need not know of it.
func (p *play) keepAway(ctx context.Context) error {
	if p.Away == 0 {
		return nil
	}
	l := lookOut(ctx, faults[ClickHouseAway].signs, p.services...)
	p.clickhouse.Refuse()
	defer p.clickhouse.Pass()
	away, back := context.WithTimeout(ctx, p.Away)
	defer back()
	processors := slices.DeleteFunc(p.kinds(), func(kind Kind) bool {
		return kind != KillProcessor && !strings.HasPrefix(string(kind), "kill at processor.")
	})
	if err := p.torment(away, processors, awayPauseMax); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil // the play is over, or has failed
	}
	p.clickhouse.Pass()
	p.last, p.hit, p.hurried, p.killed = string(ClickHouseAway), nil, false, time.Time{}
	p.report.Faults[ClickHouseAway]++
	p.say("%s for %s", ClickHouseAway, p.Away)
	if err := p.resumes(ctx, ClickHouseAway); err != nil {
		return err
	}
	if missing := p.judge(ctx, ClickHouseAway, l); len(missing) > 0 {
		p.missed(missing)
	}
	return nil
}

// The longest pauses between two faults, in milliseconds: while ClickHouse is away the play
// is long, and is not to have most of the kills.
const (
	pauseMax     = 500
	awayPauseMax = 20_000
)

// torment inflicts one fault after the other until ctx ends, and mends the last.
func (p *play) torment(ctx context.Context, kinds []Kind, pauseMax int) error {
	if len(kinds) == 0 {
		<-ctx.Done()
		return nil
	}
	deck := newDeck(kinds, p.First, p.Seed)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Duration(100+p.random.IntN(pauseMax)) * time.Millisecond):
		}
		if err := p.watch(ctx); err != nil {
			return err
		}
		kind := deck.draw()
		if err := p.inflict(ctx, deck, kind); err != nil {
			return err
		}
		if err := p.watch(ctx); err != nil {
			return err
		}
	}
}

// inflict inflicts one fault, and once more if its signs are missing: a fault lasts by the clock,
// and where the machine stands still meanwhile it has hit nothing. What never shows, or seldom,
// does not show the second time either.
func (p *play) inflict(ctx context.Context, deck *deck, kind Kind) error {
	missing, err := p.afflict(ctx, deck, kind, false)
	if err != nil || len(missing) == 0 {
		return err
	}
	p.report.Repeated[kind]++
	p.say("%s after %s: %s; once more", p.patience, p.last, strings.Join(missing, "; "))
	if missing, err = p.afflict(ctx, deck, kind, true); err != nil || len(missing) == 0 {
		return err
	}
	p.missed(missing)
	return nil
}

// afflict inflicts a fault, mends it, and returns which of its signs are missing.
func (p *play) afflict(ctx context.Context, deck *deck, kind Kind, again bool) (missing []string, err error) {
	f := faults[kind]
	well := p.settle(ctx, f.signs)
	if ctx.Err() != nil {
		return nil, nil //nolint:nilerr // nobody sends any more
	}
	p.last, p.hit, p.killed = string(kind), nil, time.Time{}
	// Drawn for every card, also for one that is passed over, so that a seed is the same everywhere.
	p.hurried = p.random.IntN(hurriesOneIn) == 0 && f.hurries && !again && !slices.Contains(p.First, kind)
	began, measured := time.Now(), len(p.report.ResumedMs[kind])
	l := lookOut(ctx, f.signs, p.services...)
	// A fault that has begun is brought to its end.
	whole := context.WithoutCancel(ctx)
	err = f.inflict(whole, p)
	if timed := p.times(whole, kind, err); timed != nil {
		return nil, timed
	}
	switch {
	case errors.Is(err, smalldisk.ErrUnavailable):
		p.report.PassedOver[kind] = strings.ReplaceAll(err.Error(), "\n", "; ")
		p.say("%s is passed over: %v", kind, err)
		return nil, nil
	case errors.Is(err, errUnreached):
		p.say("%s in vain, after %s; trying again", p.last, time.Since(began).Round(time.Millisecond))
		deck.putBack(kind)
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	p.report.Faults[kind]++
	line := fmt.Sprintf("%s, over after %s", p.last, time.Since(began).Round(time.Millisecond))
	for _, ms := range p.report.ResumedMs[kind][measured:] {
		line += fmt.Sprintf(", caught up in %d ms", ms)
	}
	p.say("%s", line)
	switch {
	case !well:
		p.say("what %s shows is not judged: not all were ready before it", kind)
	case len(f.signs) > 0 && !p.hurried:
		return p.judge(ctx, kind, l), nil
	}
	return nil, nil
}

// hurriesOneIn is how many faults there are to one that the next one comes on top of, of those that
// may: what is still restoring is hit again.
const hurriesOneIn = 4

// times the way back from a fault that was inflicted, or from the kill that was one elsewhere:
// that of another kind than was asked for tells nothing of it.
func (p *play) times(ctx context.Context, kind Kind, inflicted error) error {
	switch {
	case inflicted == nil:
		return p.resumes(ctx, kind)
	case errors.Is(inflicted, errUnreached):
		return p.resumes(ctx, "")
	}
	return nil
}

// resumes waits, after every fault but a hurried one, until the services have done what there
// was to do: those that were killed since then, and all of them where what they need was broken
// since it stands again. It notes how long that took: for the kind, if there is one, and for all kills.
func (p *play) resumes(ctx context.Context, kind Kind) error {
	if p.hurried {
		return nil
	}
	since, who := time.Now(), p.services
	if !p.killed.IsZero() {
		since = p.killed
		if len(p.hit) > 0 {
			who = p.hit
		}
	}
	defer func() { p.killed = time.Time{} }() // what follows within the same fault is timed by itself
	var longest time.Duration
	var asked []string
	for _, s := range who {
		if slices.Contains(asked, s.kind) {
			continue
		}
		asked = append(asked, s.kind)
		took, err := p.monitor.caughtUp(ctx, groupOf(s.kind), since)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			p.fail(oracleProgress, "after %s, the group of the %s: %v; meanwhile %s", p.last, s.kind, err, p.complaints(s.kind, since))
			return nil
		}
		longest = max(longest, took)
	}
	if kind != "" {
		p.report.ResumedMs[kind] = append(p.report.ResumedMs[kind], longest.Milliseconds())
	}
	if !p.killed.IsZero() {
		p.report.RecoveryMs = append(p.report.RecoveryMs, longest.Milliseconds())
	}
	return nil
}

// complaintsMax is how many lines of a service's log a failure tells.
const complaintsMax = 12

// complaints are what the services of a kind have logged last since a time, each line with the
// seconds until then: where nobody keeps the logs of a play it is all that tells why one failed.
func (p *play) complaints(kind string, since time.Time) string {
	var all []string
	for _, s := range p.all(kind) {
		said, err := messages(s.Process, since)
		if err != nil {
			return err.Error()
		}
		lines := []string{s.Name}
		for _, m := range said[max(0, len(said)-complaintsMax):] {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%.1f s: %s %s %s", m.Time.Sub(since).Seconds(), m.Msg, m.Error, m.Stack)))
		}
		all = append(all, strings.Join(lines, "; "))
	}
	return strings.Join(all, ", ")
}

// watch looks for services that have ended by themselves, which they must not.
func (p *play) watch(ctx context.Context) error {
	for _, s := range p.services {
		if s.Running() {
			continue
		}
		p.fail(oraclePeace, "%s ended by itself with %d after %s", s.Name, s.ExitCode(), p.last)
		if err := p.start(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// kinds are the faults to draw from, each as often as its weight.
func (p *play) kinds() []Kind {
	var all []Kind
	for _, kind := range Kinds(p.Broker, p.Nodes) {
		if len(p.Only) == 0 || slices.Contains(p.Only, kind) {
			all = append(all, slices.Repeat([]Kind{kind}, faults[kind].weight)...)
		}
	}
	return all
}

func (p *play) drain(ctx context.Context) error {
	// A processor that has left in peace keeps its partitions until its session is
	// over; what is due there is published by whoever takes over.
	time.Sleep(time.Until(p.guestLeft.Add(sessionTimeout + time.Second)))
	groups, err := oracle.NewGroups(ctx, p.Targets.Kafka, groupOf("processor"), groupOf("sink"), slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider())
	if err != nil {
		return err
	}
	defer groups.Close()
	if err := groups.Wait(ctx, drainMax, func(oracle.Standing) {}); err != nil {
		if ctx.Err() != nil {
			return err
		}
		p.fail(oracleProgress, "after the last fault, %s: %v", p.last, err)
	}
	return p.watch(ctx)
}

func (p *play) start(ctx context.Context, s *service, env ...string) (err error) {
	s.Process, err = p.Start(ctx, s.kind, s.instance, env...)
	return err
}

// fail notes a failure.
func (p *play) fail(oracle, format string, args ...any) {
	f := verify.Failure{Oracle: oracle, Text: fmt.Sprintf(format, args...)}
	p.report.Failures = append(p.report.Failures, f)
	p.say("FAILED %s: %s", f.Oracle, f.Text)
}

func (p *play) say(format string, args ...any) {
	fmt.Fprintf(p.Out, "seed %d, %s: %s\n", p.Seed, p.Broker, fmt.Sprintf(format, args...))
}

// counts lists the faults.
func (r *Report) counts() string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(r.Faults)) {
		parts = append(parts, fmt.Sprintf("%d× %s", r.Faults[kind], kind))
	}
	return strings.Join(parts, ", ")
}

// groupOf is the consumer group of a service, as configured by default.
func groupOf(kind string) string { return "flywheel-" + kind }
