package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"flywheel/loadtest/apache"
	"flywheel/loadtest/stage"
	"flywheel/pkg/fault"
)

// Kind is a kind of fault.
type Kind string

// The kinds.
const (
	KillProcessor     Kind = "kill processor"
	KillSink          Kind = "kill sink"
	KillBoth          Kind = "kill processor and sink"
	KillBroker        Kind = "kill broker"
	LoseLeader        Kind = "lose a leader"
	KillClickHouse    Kind = "kill ClickHouse"
	Join              Kind = "processor joins and leaves"
	Zombie            Kind = "zombie"
	SinkZombie        Kind = "zombie of a sink"
	Impostor          Kind = "zombie replaced by its namesake"
	ClickHouseRefuses Kind = "ClickHouse refuses"
	ClickHouseAway    Kind = "ClickHouse is away for long"
	ClickHouseSlow    Kind = "ClickHouse is slow"
	ClickHouseStalls  Kind = "ClickHouse takes and does not answer"
	ClickHouseDies    Kind = "ClickHouse dies between insert and answer"
	ClickHouseFull    Kind = "the disk of ClickHouse fills"
	BrokerFull        Kind = "the disk of Kafka fills"
	NodeFull          Kind = "the disk of a node of Kafka fills"
	KafkaStalls       Kind = "the network to Kafka stalls"
	KafkaAway         Kind = "the network to Kafka stalls for long"
	KafkaCut          Kind = "the network to Kafka is cut"
	Nothing           Kind = "nothing"
)

// KillAt is the kind of fault that kills a process at a point.
func KillAt(point fault.Point) Kind { return "kill at " + Kind(point) }

// affliction is how a kind of fault is inflicted and mended.
type affliction struct {
	weight  int                                // how often it is drawn
	brokers []stage.Broker                     // that it can be done to; nil for all
	nodes   int                                // of the broker, at least
	signs   []sign                             // that an operator must see
	one     bool                               // that of the services which may show them one does: the others may be idle
	unseen  string                             // why there are none
	silent  map[string]string                  // services that show nothing, where another does, and why
	hurries bool                               // the next fault may come while it is still made good
	untimed string                             // why the way back is not timed
	inflict func(context.Context, *play) error // nil if it is not drawn
}

// stallMost is less than sessions and transactions last, and well above when a processor tells.
// A service asks once a second and waits two seconds for an answer: the first that does not come
// is missed three seconds after the last that did, when a third of a session is over, and
// mostly not yet the half that the sink waits for. The second is missed at five seconds.
const stallMost = min(sessionTimeout, transactionTimeout) * 7 / 8

// Why one of two services shows nothing.
//
//nolint:gochecknoglobals // parts of a table
var (
	sinkUnaware       = map[string]string{"sink": "what becomes of a processor is not its affair"}
	processorUnaware  = map[string]string{"processor": "what becomes of a sink is not its affair"}
	clickhouseUnknown = map[string]string{"processor": "it does not know ClickHouse"}
	sinkReadsOn       = map[string]string{"sink": "another node leads when about half of its session is over, and only then would it tell; it tells at once where a connection breaks that it reads from or the node led its group, and that depends on the node"}
)

// longest is what the longest fault takes before it is judged.
const longest = transactionTimeout + diskFull

// faults are all kinds. Each returns when what was broken stands again, without what the
// services still have to catch up with: that is timed after all of them alike.
var faults = controlled(atPoints(map[Kind]affliction{ //nolint:gochecknoglobals // a table
	KillProcessor: {weight: 8, hurries: true, signs: []sign{processorLives}, silent: sinkUnaware, inflict: func(ctx context.Context, p *play) error {
		return p.kill(ctx, p.pick("processor"))
	}},
	KillSink: {weight: 5, hurries: true, signs: []sign{sinkLives}, silent: processorUnaware, inflict: func(ctx context.Context, p *play) error {
		return p.kill(ctx, p.pick("sink"))
	}},
	KillBoth: {weight: 2, hurries: true, signs: []sign{processorLives, sinkLives}, inflict: func(ctx context.Context, p *play) error {
		return p.kill(ctx, p.pick("processor"), p.pick("sink"))
	}},
	// A lone node forgets to end transactions that it has decided, and then they hide what
	// follows for ever (KAFKA-20734): see DESIGN.md of package apache.
	KillBroker:     {weight: 2, hurries: true, brokers: []stage.Broker{stage.Apache}, nodes: 3, signs: []sign{kafkaSilent}, silent: sinkReadsOn, inflict: killNode},
	LoseLeader:     {weight: 4, brokers: []stage.Broker{stage.Apache}, nodes: 3, signs: []sign{kafkaSilent}, silent: sinkReadsOn, inflict: loseLeader},
	KillClickHouse: {weight: 2, signs: []sign{rowsWait}, silent: clickhouseUnknown, inflict: killClickHouse},
	Join:           {weight: 1, signs: []sign{handsOver}, silent: sinkUnaware, inflict: join},
	Zombie:         {weight: 1, signs: []sign{startsOver}, silent: sinkUnaware, inflict: zombie},
	SinkZombie:     {weight: 1, signs: []sign{sinkExcluded}, silent: processorUnaware, inflict: sinkZombie},
	Impostor:       {weight: 1, signs: []sign{processorLives}, silent: sinkUnaware, inflict: impostor},
	ClickHouseRefuses: {weight: 1, signs: []sign{rowsWait}, silent: clickhouseUnknown, inflict: func(_ context.Context, p *play) error {
		p.clickhouse.Refuse()
		p.rest(3000)
		p.clickhouse.Pass()
		return nil
	}},
	// First so that every insert is merely late, and then so that it is done after the sink
	// has given it up.
	ClickHouseSlow: {weight: 1, signs: []sign{rowsWait}, silent: clickhouseUnknown, inflict: func(_ context.Context, p *play) error {
		p.clickhouse.Slow(200*time.Millisecond, 200<<10)
		p.rest(3000)
		p.clickhouse.Slow(queryTimeout*3/5, 0) // each way
		time.Sleep(queryTimeout + 3*time.Second)
		p.clickhouse.Pass()
		return nil
	}},
	ClickHouseStalls: {weight: 1, signs: []sign{rowsWait}, silent: clickhouseUnknown, inflict: func(_ context.Context, p *play) error {
		p.clickhouse.Stall()
		p.rest(3000)
		p.clickhouse.Cut()
		p.clickhouse.Pass()
		return nil
	}},
	ClickHouseDies: {weight: 2, signs: []sign{rowsWait}, silent: clickhouseUnknown, inflict: dieUnanswered},
	ClickHouseFull: {weight: 1, signs: []sign{rowsWait}, silent: clickhouseUnknown, inflict: fillClickHouse},
	BrokerFull:     {weight: 1, brokers: []stage.Broker{stage.Embedded}, signs: []sign{startsOver}, one: true, silent: map[string]string{"sink": "a full disk takes no records; what is there is read, and offsets are committed"}, inflict: fillBroker},
	NodeFull:       {weight: 1, brokers: []stage.Broker{stage.Apache}, nodes: 3, signs: []sign{kafkaSilent}, silent: sinkReadsOn, inflict: fillNode},
	KafkaStalls: {weight: 1, signs: []sign{kafkaSilent}, silent: map[string]string{"sink": "it tells of a stall about when this one ends; of one for long it must"}, inflict: func(_ context.Context, p *play) error {
		p.StallKafka()
		time.Sleep(stallMost)
		p.PassKafka()
		return nil
	}},
	KafkaAway: {weight: 1, signs: []sign{startsOver, sinkReadsNot}, inflict: func(_ context.Context, p *play) error {
		p.StallKafka()
		time.Sleep(max(sessionTimeout, transactionTimeout) + 2*time.Second)
		p.PassKafka()
		return nil
	}},
	// First for so short that connections are made again at once and nothing waits, and then for
	// as long as it stalls.
	KafkaCut: {weight: 1, signs: []sign{kafkaSilent, sinkReadsNot}, inflict: func(_ context.Context, p *play) error {
		for range 1 + p.random.IntN(3) {
			p.CutKafka()
			p.rest(300)
		}
		p.RefuseKafka()
		time.Sleep(stallMost)
		p.PassKafka()
		return nil
	}},
	// What is not drawn: it begins a play or ends it.
	ClickHouseAway: {signs: []sign{rowsWaitLong}, silent: clickhouseUnknown},
	Replayed: {
		unseen:  "the operator does it, and starts the services for it himself",
		untimed: "all of the input is processed again: the bound for the end of a play holds",
	},
}))

// controlled adds the control: without a fault nothing may show what a running service shows
// of one. Apache Kafka has leaders move long after a node was killed, so it is played on the other.
func controlled(all map[Kind]affliction) map[Kind]affliction {
	signs := running(all)
	all[Nothing] = affliction{
		weight: 1, brokers: []stage.Broker{stage.Embedded}, unseen: "it must not show anything",
		inflict: func(ctx context.Context, p *play) error { return nothing(ctx, p, signs) },
	}
	return all
}

// atPoints adds a kill at every point.
func atPoints(all map[Kind]affliction) map[Kind]affliction {
	for _, place := range fault.Points() {
		signs, silent := []sign{processorLives}, sinkUnaware
		if place.Point == fault.ProcessorFlushed { // the one place where a transaction is surely open
			signs = append(signs, interrupted)
		}
		switch serviceAt(place.Point) {
		case "migrate":
			all[KillAt(place.Point)] = affliction{
				unseen:  "a command and no service: who started it sees how it ends, 'flywheel migrate status' what is pending, and it is started again",
				untimed: "there is no service yet that could go on",
			}
			continue
		case "sink":
			signs, silent = []sign{sinkLives}, processorUnaware
		}
		all[KillAt(place.Point)] = affliction{weight: 1, hurries: true, signs: signs, silent: silent, inflict: func(ctx context.Context, p *play) error { return killAt(ctx, p, place.Point) }}
	}
	return all
}

// running are the signs of all faults that a service shows without having begun anew.
func running(all map[Kind]affliction) (signs []sign) {
	for _, f := range all {
		for _, sign := range f.signs {
			if !sign.next && !slices.Contains(signs, sign) {
				signs = append(signs, sign)
			}
		}
	}
	slices.SortFunc(signs, func(a, b sign) int { return strings.Compare(a.lines, b.lines) })
	return signs
}

// serviceAt is who passes a point.
func serviceAt(point fault.Point) string {
	service, _, _ := strings.Cut(string(point), ".")
	return service
}

// Kinds returns the kinds that can be done to a stage, sorted.
func Kinds(broker stage.Broker, nodes int) []Kind {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(faults)), func(kind Kind) bool {
		f := faults[kind]
		return f.inflict == nil || f.brokers != nil && !slices.Contains(f.brokers, broker) || f.nodes > nodes
	})
}

// Only says whether a fault can be done to one kind of broker alone.
func (k Kind) Only(broker stage.Broker) bool {
	return slices.Equal(faults[k].brokers, []stage.Broker{broker})
}

// rest lets up to so many milliseconds pass, at least half of them.
func (p *play) rest(msMax int) {
	time.Sleep(time.Duration(msMax/2+p.random.IntN(msMax/2+1)) * time.Millisecond)
}

// pick draws one of the services of a kind.
func (p *play) pick(kind string) *service {
	all := p.all(kind)
	return all[p.random.IntN(len(all))]
}

// all returns the services of a kind.
func (p *play) all(kind string) (all []*service) {
	for _, s := range p.services {
		if s.kind == kind {
			all = append(all, s)
		}
	}
	return all
}

// kill kills services, and starts them again at once or, one time in four, a moment
// later.
func (p *play) kill(ctx context.Context, services ...*service) error {
	p.killed, p.hit = time.Now(), services
	for _, s := range services {
		p.last += " " + s.Name
		p.report.Kills++
		if !s.Running() {
			p.fail(oraclePeace, "%s ended by itself with %d before %s", s.Name, s.ExitCode(), p.last)
			p.report.Kills--
		}
		if err := s.Kill(); err != nil {
			return err
		}
	}
	if p.random.IntN(4) == 0 {
		p.rest(1500)
	}
	for _, s := range services {
		if err := p.start(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// killClickHouse kills ClickHouse, and starts it again a moment later.
func killClickHouse(ctx context.Context, p *play) error {
	p.killed = time.Now()
	if p.ClickHouse().Running() {
		p.report.Kills++
	}
	if err := p.ClickHouse().Kill(); err != nil {
		return err
	}
	p.rest(1000)
	return p.StartClickHouse(ctx)
}

// dieUnanswered kills ClickHouse when it has done an insert whose answer, and that of some
// that follow, its client never gets.
func dieUnanswered(ctx context.Context, p *play) error {
	before := p.clickhouse.Stats().LostAnswers
	p.clickhouse.LoseAnswers(1 + p.random.IntN(3))
	defer p.clickhouse.LoseAnswers(0) // it may die before the next
	for until := time.Now().Add(pointTimeout); p.clickhouse.Stats().LostAnswers == before; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			return errUnreached
		}
	}
	return killClickHouse(ctx, p)
}

// pointTimeout bounds the wait for a process to reach its point: not every life
// restores anything or is asked to hand over, and a busy machine takes its time.
const pointTimeout = 12 * time.Second

// errUnreached says that no process came to a point in time.
var errUnreached = errors.New("the point was not reached")

// killAt starts a service anew with the order to kill itself at a point, and then
// once more without it.
func killAt(ctx context.Context, p *play, point fault.Point) error {
	s := p.pick(serviceAt(point))
	p.hit = []*service{s}
	passing := 1
	if point != fault.ProcessorAssigned && point != fault.ProcessorRevoked {
		passing += p.random.IntN(4)
	}
	if p.unreached[point] { // then the first is enough
		passing = 1
	}
	if s.Running() {
		p.report.Kills++
	}
	if err := s.Kill(); err != nil {
		return err
	}
	if err := p.start(ctx, s, fault.Variable+"="+fault.Format(fault.Rule{Point: point, Passing: passing, Action: fault.Kill})); err != nil {
		return err
	}
	if point == fault.ProcessorRevoked { // somebody has to ask for the partitions, and gets them from nobody who kills himself
		if err := visit(ctx, p, func(*service) error { return nil }); err != nil {
			return err
		}
	}
	reached := false
	select {
	case <-s.Ended():
		if reached = s.KilledItself(); reached {
			p.report.Kills++
		} else {
			p.fail(oraclePeace, "%s ended with %d before it reached %s", s.Name, s.ExitCode(), point)
		}
	case <-time.After(pointTimeout):
		p.report.Kills++
		if err := s.Kill(); err != nil {
			return err
		}
	}
	p.killed = time.Now()
	if err := p.start(ctx, s); err != nil {
		return err
	}
	if p.unreached[point] = !reached; !reached {
		return errUnreached
	}
	return nil
}

// drawLeader draws a node that leads a partition of the input: one that leads none is not
// missed.
func (p *play) drawLeader(ctx context.Context) (node int, err error) {
	return p.leader(ctx, p.monitor.inputs[p.random.IntN(len(p.monitor.inputs))], p.random.IntN(partitions))
}

// leader returns the node that leads a partition, once there is one after the fault before.
func (p *play) leader(ctx context.Context, topic string, partition int) (node int, err error) {
	for until := time.Now().Add(recoveryMax); ; time.Sleep(look) {
		if node, err = p.Kafka.Leader(ctx, topic, int32(partition)); err == nil || ctx.Err() != nil || time.Now().After(until) {
			return node, err
		}
	}
}

// startNode starts a node again that has ended at a time, once the others know that: one that is
// back within its session leads on, ends transactions by decisions that it had not replicated, and
// is then made to forget them (see DESIGN.md of package apache).
func (p *play) startNode(ctx context.Context, node int, ended time.Time) error {
	time.Sleep(time.Until(ended.Add(apache.SessionTimeout + time.Second)))
	return p.Kafka.Start(ctx, node)
}

// killNode kills a node of the broker, and starts it again.
func killNode(ctx context.Context, p *play) error {
	node, err := p.drawLeader(ctx)
	if err != nil {
		return err
	}
	p.killed = time.Now()
	if err := p.Kafka.Kill(node); err != nil {
		return err
	}
	p.report.Kills++
	return p.startNode(ctx, node, p.killed)
}

// loseLeader kills the node that leads a partition of the input: the work must go
// on without it, and again when it is back.
func loseLeader(ctx context.Context, p *play) error {
	node, err := p.drawLeader(ctx)
	if err != nil {
		return err
	}
	killed := time.Now()
	p.killed = killed
	if err := p.Kafka.Kill(node); err != nil {
		return err
	}
	p.report.Kills++
	if err := p.resumes(ctx, LoseLeader); err != nil {
		return err
	}
	return p.startNode(ctx, node, killed)
}

// nothing is done for as long as the longest fault takes, when all is well and nothing is left of
// the faults before: no sign may be there in the end, nor, if there is one, once more. A machine
// that stands still for two seconds is a fault of its own.
func nothing(ctx context.Context, p *play, signs []sign) error {
	shown, err := idle(ctx, p, signs)
	if err != nil || len(shown) == 0 {
		return err
	}
	p.report.Repeated[Nothing]++
	p.say("nothing was done for %s, and there is all the same: %s; once more", longest, strings.Join(shown, "; "))
	if shown, err = idle(ctx, p, signs); err != nil {
		return err
	}
	for _, sign := range shown {
		p.fail(oracleSigns, "nothing was done for %s, and there is all the same: %s", longest, sign)
	}
	return nil
}

// idle returns the signs that there are after nothing was done.
func idle(ctx context.Context, p *play, signs []sign) (shown []string, err error) {
	time.Sleep(time.Until(p.guestLeft.Add(sessionTimeout + 2*time.Second))) // its partitions go to others then
	if !p.settle(ctx, signs) {
		return nil, errUnreached
	}
	l := lookOut(ctx, signs, p.services...)
	if l.blind(p.services...) {
		return nil, errUnreached
	}
	time.Sleep(longest)
	return l.shown(ctx, p.services...), nil
}

// placed is what a processor logs that has its place in the group.
const placed = `"msg":"consuming"`

// join lets a third processor join the group, work and leave in peace.
func join(ctx context.Context, p *play) error {
	return visit(ctx, p, func(guest *service) error { return guest.Says(ctx, placed, recoveryMax) })
}

// visit starts a third processor, and stops it some time after what is waited for.
func visit(ctx context.Context, p *play, wait func(guest *service) error) error {
	guest := &service{kind: "processor", instance: "guest"}
	if err := p.start(ctx, guest); err != nil {
		return err
	}
	if err := wait(guest); err != nil {
		p.fail(oracleProgress, "a third processor has no place in the group: %v", err)
	}
	p.rest(4000)
	if err := stage.Stop(guest.Process); err != nil {
		p.fail(oraclePeace, "%v", err)
	}
	p.guestLeft = time.Now()
	return nil
}

// zombie stops a processor for longer than its session and its transaction last,
// so that the other takes over its partitions, and wakes it again.
func zombie(ctx context.Context, p *play) error {
	s := p.pick("processor")
	p.hit = []*service{s}
	if err := s.Pause(); err != nil {
		return err
	}
	time.Sleep(zombiePause)
	if err := p.resumes(ctx, Zombie); err != nil { // the other has taken over
		return err
	}
	return s.Resume()
}

// zombiePause is longer than the session and the transaction of who is stopped for it.
const zombiePause = max(sessionTimeout, transactionTimeout) + 2*time.Second

// sinkZombie stops a sink for longer than its session lasts, and wakes it again. There is no
// other to take over: it is excluded all the same.
func sinkZombie(_ context.Context, p *play) error {
	s := p.pick("sink")
	p.hit = []*service{s}
	if err := s.Pause(); err != nil {
		return err
	}
	time.Sleep(zombiePause)
	return s.Resume()
}

// impostor stops a processor, starts another of the same name and wakes the first
// one: it must find out that it is replaced, and end with an error. Each has to have its
// place before the next step: the name belongs to who joins last.
func impostor(ctx context.Context, p *play) error {
	s := p.pick("processor")
	p.hit = []*service{s}
	old := s.Process
	if err := old.Says(ctx, placed, recoveryMax); err != nil {
		return err
	}
	if err := old.Pause(); err != nil {
		return err
	}
	if err := p.start(ctx, s); err != nil {
		return err
	}
	if err := s.Says(ctx, placed, recoveryMax); err != nil {
		return err
	}
	p.rest(3000)
	if err := old.Resume(); err != nil {
		return err
	}
	select {
	case <-old.Ended():
		if old.ExitCode() == 0 || old.KilledItself() {
			p.fail(oraclePeace, "%s returned %d although another has taken its name", s.Name, old.ExitCode())
		}
		if said, err := old.Output(logBytesMax); err != nil || !bytes.Contains(said, []byte("another processor runs as")) { // its metrics have gone with it
			p.fail(oracleSigns, "%s does not say that another has taken its name (%v)", s.Name, err)
		}
	case <-time.After(recoveryMax):
		p.fail(oraclePeace, "%s still runs %s after another has taken its name", s.Name, recoveryMax)
		if err := old.Kill(); err != nil {
			return err
		}
	}
	return nil
}

// The faults of the disk draw nothing from the seed: where the machine lets us have
// no small disk they are passed over, and all others are drawn as elsewhere.
const (
	// diskLeft is what a full disk has left: less than either embedded engine asks
	// for to take more, and enough to end what has begun.
	diskLeft = 5 << 20
	diskFull = 3 * time.Second
	diskEnds = 30 * time.Second // far above what Apache Kafka takes to give up
)

// fillClickHouse fills the disk of ClickHouse, and fills it again when merges have
// given something back: the sink waits.
func fillClickHouse(_ context.Context, p *play) error {
	disk, err := p.ClickHouseDisk()
	if err != nil {
		return err
	}
	for until := time.Now().Add(diskFull); time.Now().Before(until); time.Sleep(look) {
		if err := disk.Fill(diskLeft); err != nil {
			return errors.Join(err, disk.Relieve())
		}
	}
	return disk.Relieve()
}

// fillBroker fills the disk of the embedded Kafka, which takes no records until
// there is space again: whoever sends waits, and for longer than a transaction lasts.
// Input does not come either: a processor that has just committed all of its own has nothing
// to start over.
func fillBroker(_ context.Context, p *play) error {
	disk, err := p.BrokerDisk()
	if err != nil {
		return err
	}
	p.hit = p.all("processor")
	if err := disk.Fill(diskLeft); err != nil {
		return errors.Join(err, disk.Relieve())
	}
	time.Sleep(longest)
	return disk.Relieve()
}

// fillNode fills the disk of a node of Apache Kafka that leads something, until it
// gives its only folder up and ends, and starts it again when there is space.
func fillNode(ctx context.Context, p *play) error {
	if _, err := p.NodeDisk(1); err != nil {
		return err
	}
	node, err := p.leader(ctx, p.monitor.inputs[0], p.report.Faults[NodeFull]%partitions)
	if err != nil {
		return err
	}
	p.last += fmt.Sprintf(", that of node %d", node)
	disk, err := p.NodeDisk(node)
	if err != nil {
		return err
	}
	ended, err := p.Kafka.Ended(node)
	if err != nil {
		return err
	}
	for patience := time.After(diskEnds); ; {
		if err := disk.Fill(0); err != nil { // again, for it deletes as well
			return errors.Join(err, disk.Relieve())
		}
		select {
		case <-ended:
			gone := time.Now()
			if err := disk.Relieve(); err != nil {
				return err
			}
			return p.startNode(ctx, node, gone)
		case <-patience:
			return errors.Join(fmt.Errorf("node %d of Kafka runs %s on a full disk", node, diskEnds), disk.Relieve())
		case <-time.After(look):
		}
	}
}

// String returns the kinds as a flag takes them.
func (k Kind) String() string { return string(k) }

// ParseKinds returns the kinds of names.
func ParseKinds(names ...string) ([]Kind, error) {
	var kinds []Kind
	for _, name := range names {
		if faults[Kind(name)].inflict == nil {
			all := maps.Clone(faults)
			maps.DeleteFunc(all, func(_ Kind, f affliction) bool { return f.inflict == nil })
			return nil, fmt.Errorf("there is no fault %q to draw: take one of %q", name, slices.Sorted(maps.Keys(all)))
		}
		kinds = append(kinds, Kind(name))
	}
	return kinds, nil
}
