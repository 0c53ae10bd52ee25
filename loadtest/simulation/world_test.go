package simulation

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"testing/synctest"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/services/processor"
	"flywheel/services/sink"
)

const partitions = 2

// kit is what all worlds share: it does not change.
type kit struct {
	registry *codec.Static
	shapes   map[string]shape
}

func newKit() (*kit, error) {
	registry, err := codec.NewStatic()
	if err != nil {
		return nil, err
	}
	shapes, err := shapes()
	return &kit{registry, shapes}, err
}

// place is where a record lies in Kafka.
type place struct {
	topic     string
	partition int32
	offset    int64
}

func (p place) String() string { return fmt.Sprintf("%s/%d/%d", p.topic, p.partition, p.offset) }

// sent is a message with what became of it in Kafka.
type sent struct {
	*message
	atMs int64 // Kafka's timestamp
	key  string
}

// world is the broker, ClickHouse, and the processes, all in one bubble of
// simulated time.
type world struct {
	*kit
	plan      *plan
	log       *slog.Logger
	network   kfake.VirtualNetwork
	cluster   *kfake.Cluster
	kafka     kafka.Config
	client    *kgo.Client
	encoder   *codec.Encoder
	warehouse *warehouse
	sent      map[place]*sent
	faults    map[string]int
	counts    map[string]int // of what was judged
	refusals  map[*kfake.FaultHandle]*step
	records   []*kgo.Record // everything committed, once all is drained

	mu        sync.Mutex
	processes map[string]*process
	lives     []*life
	problems  []problem
	unaware   map[string]time.Time // until when a process is told that its group still has it
	over      bool                 // nobody is to be started any more
}

// problem is what an oracle has found.
type problem struct{ oracle, text string }

// process is a name under which processes live, one at a time; but for those
// that stand still while another has taken their place.
type process struct {
	name    string
	traps   traps
	current *life // nil while none runs
	wanted  bool
}

// life is one run of a process.
type life struct {
	*process
	line   *line
	stop   context.CancelFunc
	gone   chan struct{} // closed when it was killed
	killed bool
	done   chan struct{}
}

func (w *world) fail(oracle, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, problem{oracle, fmt.Sprintf(format, args...)})
}

// live lets a plan happen, and returns what the oracles found.
func live(ctx context.Context, k *kit, p *plan, logs *bytes.Buffer) (*world, error) {
	w := &world{
		kit: k, plan: p, warehouse: newWarehouse(k.shapes), sent: make(map[place]*sent), faults: make(map[string]int), refusals: make(map[*kfake.FaultHandle]*step), counts: make(map[string]int),
		processes: make(map[string]*process), unaware: make(map[string]time.Time), log: slog.New(slog.DiscardHandler),
	}
	if logs != nil {
		w.log = slog.New(slog.NewTextHandler(&locked{to: logs}, &slog.HandlerOptions{Level: w.level()}))
	}
	var err error
	w.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(w.network.Listen), kfake.GroupMinSessionTimeout(time.Second),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	if err != nil {
		return nil, err
	}
	defer w.cluster.Close()
	w.cluster.ControlKey(int16(kmsg.Heartbeat), w.heartbeat)
	w.kafka = kafka.DefaultConfig()
	w.kafka.Brokers, w.kafka.Topics.Partitions = w.cluster.ListenAddrs(), partitions
	w.kafka.RequestTimeout, w.kafka.ConnectTimeout = requestTimeout, 5*time.Second
	if err := w.prepare(ctx); err != nil {
		return nil, err
	}
	defer w.client.Close()
	for i := range p.steps {
		w.step(ctx, &p.steps[i])
		w.owners()
	}
	w.heal()
	drained := w.drain(ctx)
	w.end()
	if !drained {
		return w, nil
	}
	return w, w.judge(ctx)
}

// locked writes for several.
type locked struct {
	mu sync.Mutex
	to *bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(b)
}

func (w *world) prepare(ctx context.Context) error {
	connect := func(opts ...kgo.Opt) (*kgo.Client, error) {
		return kafka.Connect(ctx, w.kafka, w.log, metricnoop.NewMeterProvider(), append(opts, kgo.Dialer(w.network.DialContext), kgo.ProducerLinger(0))...)
	}
	first, err := connect()
	if err != nil {
		return err
	}
	defer first.Close()
	topics, err := kafka.NewTopics(w.kafka, first)
	if err != nil {
		return err
	}
	if _, err := topics.Apply(ctx); err != nil {
		return err
	}
	// Small segments, so that there is something to be compacted.
	small := "2048"
	if _, err := kadm.NewClient(first).AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "segment.bytes", Value: &small}}, event.TopicState); err != nil {
		return err
	}
	if w.client, err = connect(); err != nil { // which has not looked before the topics were there
		return err
	}
	w.encoder, err = codec.NewEncoder(ctx, w.registry)
	return err
}

// step lets a step happen, and counts the fault it is once it has come about.
func (w *world) step(ctx context.Context, s *step) {
	w.log.Info("step", "what", s.String())
	l := w.alive(s.who)
	switch s.kind {
	case stepSend:
		w.send(ctx, s.send)
		return
	case stepHistory:
		w.send(ctx, history(s.seed, s.who)...)
		return
	case stepCalm:
		w.send(ctx, calm(s.seed, s.who)...)
		return
	case stepWait:
		time.Sleep(s.after)
		return
	case stepStart:
		w.start(s.who)
		return
	case stepRefuse:
		w.refuse(s)
		return
	case stepCompact:
		w.compact(ctx, s)
		return
	case stepWarehouse:
		w.set(func(h *warehouse) { h.away = true })
		time.AfterFunc(s.after, func() { w.set(func(h *warehouse) { h.away = false }) })
	case stepSwallow:
		w.set(func(h *warehouse) { h.swallow, h.swallowed = s.n, func() { w.happened(s) } })
		return
	case stepSlow:
		w.set(func(h *warehouse) { h.slow = s.after })
	case stepCrashAt:
		w.process(s.who).traps.set(trap{key: s.key, n: s.n, answer: s.answer, act: func(l *life) {
			w.happened(s)
			w.kill(l, s.back)
		}})
		return
	case stepLose:
		w.process(s.who).traps.set(trap{key: s.key, n: s.n, answer: s.answer, act: func(*life) { w.happened(s) }})
		return
	default:
		if l == nil {
			return // there is nobody it could happen to
		}
		w.strike(l, s)
	}
	w.happened(s)
}

// happened counts a fault.
func (w *world) happened(s *step) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults[s.name()]++
}

// strike does something to a process.
func (w *world) strike(l *life, s *step) {
	switch s.kind {
	case stepStop:
		w.abandon(l)
		l.stop()
	case stepCrash:
		w.kill(l, s.back)
	case stepStall:
		l.line.stall()
		time.AfterFunc(s.after, l.line.resume)
	case stepReplace:
		l.line.stall()
		time.AfterFunc(s.after, l.line.resume)
		w.abandon(l)
		w.start(s.who)
	case stepHangUp:
		l.line.hangUp()
	case stepUnaware:
		w.mu.Lock()
		w.unaware[s.who] = time.Now().Add(s.after)
		w.mu.Unlock()
	}
}

// compact compacts the changelog alone: entries of brands are kept, so that each
// has an outcome. It waits for a moment without an open transaction, and does
// nothing where one was aborted: the simulated broker, unlike a real one,
// compacts what is not decided yet, and forgets where an abort ended.
func (w *world) compact(ctx context.Context, s *step) {
	admin := kadm.NewClient(w.client)
	policy := func(of string) {
		change := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cleanup.policy", Value: &of}}
		if _, err := admin.AlterTopicConfigs(ctx, change, event.TopicBrand); err != nil {
			w.fail(oracleSimulator, "%v", err)
		}
	}
	policy("delete")
	defer policy("compact")
	const tries = 50
	for range tries {
		synctest.Wait() // nobody does anything meanwhile
		decided := true
		for _, p := range w.cluster.PartitionInfos(event.TopicState) {
			decided = decided && p.LastStableOffset == p.HighWatermark
		}
		if !decided {
			time.Sleep(7 * time.Millisecond)
			continue
		}
		aborted := false
		err := w.fetch(ctx, []string{event.TopicState}, func(r *kgo.Record) {
			const commitMarker = 1
			aborted = aborted || r.Attrs.IsControl() && r.Key[3] != commitMarker
		})
		switch {
		case err != nil:
			w.fail(oracleSimulator, "%v", err)
		case !aborted:
			w.cluster.Compact()
			w.happened(s)
		}
		return
	}
}

func (w *world) set(change func(*warehouse)) {
	w.warehouse.mu.Lock()
	defer w.warehouse.mu.Unlock()
	change(w.warehouse)
}

// refuse has the broker refuse requests of a process.
func (w *world) refuse(s *step) {
	f := kfake.Fault{Keys: []kmsg.Key{s.key}, Err: s.err, Count: s.n, When: w.whose(s.who)}
	switch s.key {
	case kmsg.Heartbeat, kmsg.JoinGroup, kmsg.InitProducerID, kmsg.EndTxn:
		f.TopLevel = true
	}
	w.refusals[w.cluster.Fault(f)] = s
}

// heartbeat answers in the group's place who is not to notice that he is not heard.
func (w *world) heartbeat(req kmsg.Request) (kmsg.Response, error, bool) {
	w.cluster.KeepControl()
	h := req.(*kmsg.HeartbeatRequest)
	w.mu.Lock()
	defer w.mu.Unlock()
	if h.InstanceID == nil || !time.Now().Before(w.unaware[*h.InstanceID]) {
		return nil, nil, false
	}
	return h.ResponseKind(), nil, true
}

// whose says whether a request comes from a process, by what requests tell of
// it; of a request that tells nothing it is assumed.
func (w *world) whose(name string) func(kmsg.Request) bool {
	id := w.plan.processor.Group + "-" + name
	is := func(text *string, want string) bool { return text != nil && *text == want }
	return func(req kmsg.Request) bool {
		switch r := req.(type) {
		case *kmsg.EndTxnRequest:
			return r.TransactionalID == id
		case *kmsg.TxnOffsetCommitRequest:
			return r.TransactionalID == id
		case *kmsg.ProduceRequest:
			return is(r.TransactionID, id)
		case *kmsg.InitProducerIDRequest:
			return is(r.TransactionalID, id)
		case *kmsg.HeartbeatRequest:
			return is(r.InstanceID, name)
		case *kmsg.JoinGroupRequest:
			return is(r.InstanceID, name)
		case *kmsg.OffsetCommitRequest:
			return r.Group == w.plan.sink.Group
		}
		return true
	}
}

// send produces messages, and waits until they are acknowledged.
func (w *world) send(ctx context.Context, messages ...*message) {
	records := make([]*kgo.Record, len(messages))
	for i, m := range messages {
		r, err := w.record(m)
		if err != nil {
			w.fail(oracleSimulator, "%v", err)
			return
		}
		records[i] = r
	}
	if err := w.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		w.fail(oracleSimulator, "produce: %v", err)
		return
	}
	for i, r := range records {
		w.sent[place{r.Topic, r.Partition, r.Offset}] = &sent{messages[i], r.Timestamp.UnixMilli(), string(r.Key)}
	}
}

// record returns what is sent of a message.
func (w *world) record(m *message) (*kgo.Record, error) {
	r := new(kgo.Record)
	value := m.value
	switch v := value.(type) {
	case event.Record:
		r.Topic, r.Key = v.Type().Info().Topic, []byte(v.Head().BrandID)
	case *event.Brand:
		r.Topic, r.Key = event.TopicBrand, []byte(v.BrandID)
	}
	var err error
	if r.Value, err = w.encoder.Encode(nil, value); err != nil {
		return nil, fmt.Errorf("encode %s: %w", m, err)
	}
	switch m.spoil {
	case event.ReasonWrongKey:
		r.Key = []byte("somebody else")
	case event.ReasonWrongTopic:
		if r.Topic == event.TopicTikTok {
			r.Topic = event.TopicAmazon
		} else {
			r.Topic = event.TopicTikTok
		}
	case event.ReasonMalformed:
		r.Value = r.Value[:len(r.Value)-3]
	case event.ReasonUnknownSchema:
		r.Value = append([]byte{0, 0, 1, 0, 0}, r.Value[5:]...)
	case event.ReasonOversized:
		r.Value = append(r.Value, make([]byte, event.RecordBytesMax)...)
	}
	return r, nil
}

// alive returns the life of a process, nil when there is none.
func (w *world) alive(name string) *life {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.processes[name]; p != nil {
		return p.current
	}
	return nil
}

// abandon lets go of a life that may go on for a while. Who has taken its name is
// wanted as before.
func (w *world) abandon(l *life) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.current == l {
		l.current, l.wanted = nil, false
	}
}

// kill ends a process at once: its network is gone, and it is forgotten.
func (w *world) kill(l *life, back time.Duration) {
	if l == nil {
		return
	}
	w.abandon(l)
	w.mu.Lock()
	if l.killed {
		w.mu.Unlock()
		return
	}
	l.killed = true
	close(l.gone)
	w.mu.Unlock()
	l.line.cut()
	l.stop()
	w.log.Info("killed", "process", l.name)
	if back >= 0 {
		time.AfterFunc(back, func() { w.start(l.name) })
	}
}

// process returns the process of a name.
func (w *world) process(name string) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.processes[name] == nil {
		w.processes[name] = &process{name: name}
	}
	return w.processes[name]
}

// start begins a life, unless one is under way.
func (w *world) start(name string) {
	p := w.process(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	p.wanted = true
	if p.current != nil || w.over {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &life{process: p, stop: stop, gone: make(chan struct{}), done: make(chan struct{})}
	l.line = newLine(l, w.network.DialContext)
	run, err := w.build(l)
	if err != nil {
		w.problems = append(w.problems, problem{oracleSimulator, fmt.Sprintf("start %s: %v", name, err)})
		stop()
		return
	}
	if name != "sink" {
		for _, other := range w.processes {
			if other.name != name && other.name != "sink" && other.current != nil {
				w.faults["processor joins another"]++ // and takes partitions over
			}
		}
	}
	p.current = l
	w.lives = append(w.lives, l)
	go w.run(ctx, l, run)
}

func (w *world) build(l *life) (func(context.Context) error, error) {
	logger := w.log.With("process", fmt.Sprintf("%s#%d", l.name, len(w.lives)))
	meters, tracers := metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider()
	options := []kgo.Opt{kgo.Dialer(l.line.DialContext)}
	if l.name == "sink" {
		s, err := sink.New(w.plan.sink, w.kafka, clickhouse.DefaultConfig(), w.registry, logger, meters, tracers, options...)
		if err != nil {
			return nil, err
		}
		s.Through(func(context.Context) (driver.Conn, error) {
			c := &session{warehouse: w.warehouse, gone: l.gone}
			return c, c.reachable()
		})
		return s.Run, nil
	}
	cfg := w.plan.processor
	cfg.InstanceID = l.name
	p, err := processor.New(cfg, w.kafka, w.registry, logger, meters, tracers, options...)
	if err != nil {
		return nil, err
	}
	return p.Run, nil
}

// restartPause is after what time a process that has ended is started again.
const restartPause = time.Second

// run lives a life, as under a supervisor.
func (w *world) run(ctx context.Context, l *life, run func(context.Context) error) {
	defer close(l.done)
	err := w.guarded(ctx, l, run)
	w.log.Info("ended", "process", l.name, "error", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.current != l {
		return
	}
	l.current = nil
	if l.wanted {
		time.AfterFunc(restartPause, func() { w.start(l.name) })
	}
}

func (w *world) guarded(ctx context.Context, l *life, run func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.fail(oraclePanic, "%s: %v\n%s", l.name, p, debug.Stack())
		}
	}()
	return run(ctx)
}

// heal ends everything that goes wrong, and has at least one of each process run.
func (w *world) heal() {
	w.log.Info("all is well again")
	w.mu.Lock()
	clear(w.unaware)
	lives := append([]*life(nil), w.lives...)
	running := false
	for name, p := range w.processes {
		p.traps.clear()
		running = running || name != "sink" && (p.current != nil || p.wanted)
	}
	w.mu.Unlock()
	for _, l := range lives {
		l.line.resume()
	}
	for r, s := range w.refusals {
		r.Remove()
		for range r.Hits() {
			w.happened(s)
		}
	}
	w.set(func(h *warehouse) { h.away, h.swallow, h.slow = false, 0, 0 })
	if !running {
		w.start("one")
	}
	if w.plan.withSink {
		w.start("sink")
	}
}

// end stops every process, and waits for all that ever lived.
func (w *world) end() {
	w.mu.Lock()
	w.over = true
	lives := append([]*life(nil), w.lives...)
	w.mu.Unlock()
	for _, l := range lives {
		l.stop()
	}
	for _, l := range lives {
		<-l.done
	}
}

func (w *world) level() slog.Level {
	if *debugFlag {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
