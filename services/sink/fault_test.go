package sink_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/services/sink"
)

// gate passes connections on to ClickHouse, as long as its way is open.
type gate struct {
	to   string
	addr string

	mu    sync.Mutex
	way   way
	conns map[net.Conn]bool
	tried atomic.Int64 // connections that did not find it open
}

// way is what a gate does with connections.
type way int

const (
	open way = iota
	shut     // breaks them
	hung     // takes them, and is silent
	deaf     // passes on what is asked, and breaks the answer
)

// throughGate puts a gate between the sinks and ClickHouse.
func (w *world) throughGate() *gate {
	w.t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	g := &gate{to: w.clickhouse.Addresses[0], addr: listener.Addr().String(), conns: make(map[net.Conn]bool)}
	w.clickhouse.Addresses = []string{g.addr}
	w.t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go g.pass(conn)
		}
	}()
	return g
}

func (g *gate) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp4", g.to)
	if err != nil {
		return
	}
	defer server.Close()
	g.mu.Lock()
	way := g.way
	g.conns[client], g.conns[server] = true, true
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.conns, client)
		delete(g.conns, server)
	}()
	done := make(chan struct{}, 2)
	copying := func(to io.Writer, from io.Reader) {
		_, _ = io.Copy(to, from) // whatever ends it, it is over
		done <- struct{}{}
	}
	if way != open {
		g.tried.Add(1)
	}
	switch way {
	case open:
		go copying(server, client)
		go copying(client, server)
	case shut:
		return
	case hung:
		go copying(io.Discard, client)
	case deaf:
		go copying(server, client)
		go func() {
			_, _ = server.Read(make([]byte, 1)) // there is an answer
			done <- struct{}{}
		}()
	}
	<-done
}

// set changes the way; what is under way breaks.
func (g *gate) set(to way) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.way = to
	for c := range g.conns {
		_ = c.Close()
	}
}

func TestReplaysCollapse(t *testing.T) {
	w := newWorld(t)
	w.load(300)
	for _, group := range []string{"one", "two"} {
		m := w.start(func(c *sink.Config) { c.Group = group })
		w.drainedBy(group)
		w.end(m)
		w.reviews()
	}
}

func TestARestartContinuesWhereItStopped(t *testing.T) {
	w := newWorld(t)
	again := func(c *sink.Config) { c.InstanceID = "again" }
	for range 3 {
		w.load(200)
		m := w.start(again)
		<-m.Ready()
		w.load(200)
		w.end(m) // in the middle of it
	}
	m := w.start(again)
	w.drained()
	w.reviews()
	w.end(m)
}

func TestAnOutageOfClickHouseDelaysAndLosesNothing(t *testing.T) {
	for name, outage := range map[string]way{"connections break": shut, "nobody answers": hung} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			g := w.throughGate()
			if outage == hung {
				w.clickhouse.QueryTimeout = time.Second // which a busy machine may take as well
			}
			m := w.start(func(c *sink.Config) { c.SessionTimeout = 15 * time.Second }) // only ClickHouse is away
			w.load(200)
			w.drained()
			before := len(w.journal.String())
			g.set(outage)
			w.load(200)
			w.eventually("the sink is not ready", func() bool { return m.Check(t.Context()) != nil })
			refused := g.tried.Load()
			w.eventually("the sink tries on", func() bool { return g.tried.Load() > refused+2 })
			if n := w.count("SELECT uniqExact(event_id) FROM amazon_review"); n != 200 {
				t.Errorf("%d reviews got through", n)
			}
			w.load(300) // of which the sink takes nothing
			w.eventually("the lag grows", func() bool { return w.metric("flywheel.sink.lag").(metricdata.Gauge[int64]).DataPoints[0].Value >= 300 })
			if age := w.staleness(); age <= 0 {
				t.Errorf("rows wait, and the staleness is %v s", age)
			}
			g.set(open)
			w.drained()
			w.eventually("nothing waits", func() bool { return w.staleness() == 0 })
			w.reviews()
			w.eventually("the sink is ready again", func() bool { return m.Check(t.Context()) == nil })
			w.end(m)
			w.toldFrom(before, "clickhouse does not take rows; they wait", "clickhouse takes rows again")
		})
	}
}

// Why rows are not taken is told at once also where they had not been answered before.
func TestASlowClickHouseIsToldOfBeforeItFails(t *testing.T) {
	w := newWorld(t)
	g := w.throughGate()
	m := w.start(func(c *sink.Config) { c.SessionTimeout = 15 * time.Second }) // only ClickHouse is away
	w.load(50)
	w.drained()
	g.set(hung) // for much less than ClickHouse is given to answer
	w.load(50)
	w.eventually("the sink is not ready", func() bool {
		err := m.Check(t.Context())
		return err != nil && strings.Contains(err.Error(), "has not acknowledged rows")
	})
	const slow, fails = "clickhouse has not acknowledged rows; they wait for its answer", "clickhouse does not take rows; they wait"
	w.eventually("it is told", func() bool { return lines(w.journal, slog.LevelWarn, slow) == 1 })
	if n := lines(w.journal, slog.LevelWarn, fails); n != 0 {
		t.Errorf("%q was logged %d times before ClickHouse had time to answer", fails, n)
	}
	g.set(shut)
	w.eventually("why is told", func() bool { return lines(w.journal, slog.LevelWarn, fails) == 1 })
	g.set(open)
	w.drained()
	w.reviews()
	w.end(m)
	w.told(slow, "clickhouse takes rows again")
}

// staleness is what the metric says at the moment, in seconds.
func (w *world) staleness() float64 {
	w.t.Helper()
	return w.metric("flywheel.sink.staleness").(metricdata.Gauge[float64]).DataPoints[0].Value
}

// A poll is empty whether there is nothing to read or nobody to read from.
func TestASinkWithoutKafkaIsNotReadyUntilItReadsAgain(t *testing.T) {
	for name, answer := range map[string]func(back chan struct{}) error{
		"it is silent":  func(back chan struct{}) error { <-back; return nil },
		"it breaks off": func(chan struct{}) error { return errors.New("the connection breaks") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.load(50)
			const session = 6 * time.Second // longer than a busy machine pauses; a silence is told after its half
			m := w.start(func(c *sink.Config) { c.SessionTimeout = session })
			w.drained()
			w.eventually("nothing waits", func() bool { return w.staleness() == 0 })
			began := len(w.journal.String())
			back := make(chan struct{})
			w.cluster.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
				select {
				case <-back:
					return nil, nil, false
				default:
					w.cluster.KeepControl()
					err := answer(back)
					return nil, err, err != nil
				}
			})
			comes := sync.OnceFunc(func() { close(back) })
			t.Cleanup(comes) // the cluster would not end otherwise
			w.eventually("the sink says so", func() bool {
				err := m.Check(t.Context())
				return err != nil && strings.Contains(err.Error(), "Kafka brokers have not answered")
			})
			before := w.staleness()
			if before < (session / 2).Seconds() {
				t.Errorf("Kafka has not answered for half a session, and the staleness is %v s", before)
			}
			for until := time.Now().Add(1500 * time.Millisecond); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
				if m.Check(t.Context()) == nil {
					t.Fatal("the sink is ready without Kafka")
				}
			}
			if after := w.staleness(); after < before+1.2 {
				t.Errorf("within 1.5 s the staleness went from %v to %v s", before, after)
			}
			comes()
			w.eventually("the sink is ready again", func() bool { return m.Check(t.Context()) == nil })
			w.eventually("nothing is stale", func() bool { return w.staleness() == 0 })
			w.toldFrom(began, "reading from kafka fails; trying on", "reading from kafka again")
			w.load(50)
			w.drained()
			w.reviews()
			w.end(m)
		})
	}
}

// Whoever tells that Kafka is silent must not wait for what Kafka does not answer.
func TestASinkSaysThatKafkaIsSilentWhileACommitWaitsForIt(t *testing.T) {
	w := newWorld(t)
	m := w.start(func(cfg *sink.Config) { cfg.SessionTimeout = 8 * time.Second }) // for as long a commit waits
	w.load(50)
	w.drained()
	back := make(chan struct{})
	silent := false // the cluster asks one after the other
	w.cluster.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if silent = silent || req.Key() == kmsg.OffsetCommit.Int16(); silent {
			<-back
		}
		return nil, nil, false
	})
	comes := sync.OnceFunc(func() { close(back) })
	t.Cleanup(comes) // the cluster would not end otherwise
	w.load(50)
	w.eventually("the sink says so", func() bool {
		err := m.Check(t.Context())
		return err != nil && strings.Contains(err.Error(), "Kafka brokers have not answered")
	})
	if n := w.points("flywheel.sink.commit.retries"); len(n) > 0 {
		t.Errorf("it says so only when the commit has failed: %v", n)
	}
	comes()
	w.drained()
	w.eventually("the sink is ready again", func() bool { return m.Check(t.Context()) == nil })
	w.told("reading from kafka fails; trying on", "reading from kafka again")
	w.end(m)
}

func TestRecordsThatAreNotReadAreLag(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	w.load(1)
	w.drained()
	w.cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		return nil, errors.New("the connection breaks"), true
	})
	w.load(300)
	w.eventually("the lag is told", func() bool { return w.metric("flywheel.sink.lag").(metricdata.Gauge[int64]).DataPoints[0].Value == 300 })
	w.end(m)
}

func TestALostAcknowledgementDoublesNothing(t *testing.T) {
	w := newWorld(t)
	g := w.throughGate()
	m := w.start(nil)
	<-m.Ready()
	g.set(deaf)
	w.load(200)
	w.eventually("rows are written again and again", func() bool {
		return w.count("SELECT uniqExact(event_id) FROM amazon_review") == 200 && g.tried.Load() > 3
	})
	if m.Check(t.Context()) == nil {
		t.Error("a sink that hears no answer is ready")
	}
	g.set(open)
	w.drained()
	w.reviews()
	w.end(m)
}

func TestClickHouseIsWaitedForAtStart(t *testing.T) {
	w := newWorld(t)
	g := w.throughGate()
	g.set(shut)
	w.load(100)
	m := w.start(nil)
	w.eventually("the sink tries on", func() bool { return g.tried.Load() > 2 })
	if err := m.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "ClickHouse does not answer at "+g.addr) {
		t.Errorf("a sink that waits is ready, or says %v", err)
	}
	g.set(open)
	w.drained()
	w.reviews()
	w.end(m)
}

func TestASinkThatWaitsForClickHouseStopsWhenAsked(t *testing.T) {
	w := newWorld(t)
	g := w.throughGate()
	g.set(shut)
	m := w.start(nil)
	w.eventually("the sink tries", func() bool { return g.tried.Load() > 0 })
	w.end(m)
	g.set(open)

	m = w.start(func(c *sink.Config) { c.DrainTimeout = 50 * time.Millisecond })
	<-m.Ready()
	g.set(shut)
	w.load(100)
	w.eventually("the sink has rows it cannot write", func() bool { return m.Check(t.Context()) != nil })
	w.end(m)
	g.set(open)
	m = w.start(nil)
	w.drained()
	w.reviews()
	w.end(m)
}

// The rows are written and their offsets are not: what a kill between the two
// leaves behind.
func TestRowsWrittenWithoutACommitCountOnce(t *testing.T) {
	w := newWorld(t)
	var refused atomic.Bool
	refused.Store(true)
	w.cluster.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if refused.Load() {
			return nil, errors.New("the connection breaks"), true
		}
		return nil, nil, false
	})
	w.load(300)
	m := w.start(func(c *sink.Config) { c.DrainTimeout = 50 * time.Millisecond })
	w.eventually("all rows are written", func() bool { return w.count("SELECT uniqExact(event_id) FROM amazon_review") == 300 })
	w.eventually("the sink says that it does not commit", func() bool {
		err := m.Check(t.Context())
		return err != nil && strings.Contains(err.Error(), "commit as a member of group")
	})
	w.end(m)
	refused.Store(false)
	m = w.start(nil)
	w.drained()
	w.reviews()
	w.end(m)
}

func TestACommitThatFailsIsTriedAgainWithoutNewRows(t *testing.T) {
	w := newWorld(t)
	var commits atomic.Int64
	w.cluster.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if commits.Add(1) > 2 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, topic := range req.(*kmsg.OffsetCommitRequest).Topics {
			rt := kmsg.NewOffsetCommitResponseTopic()
			rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				rp := kmsg.NewOffsetCommitResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, kerr.RebalanceInProgress.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	w.load(100)
	m := w.start(func(c *sink.Config) { c.SessionTimeout = 15 * time.Second }) // an exclusion would refuse more of them
	w.drained()
	w.eventually("the sink is ready", func() bool { return m.Check(t.Context()) == nil })
	w.reviews()
	w.end(m)
	w.told("offsets were not committed; trying again", "offsets are committed again")
	if commits.Load() < 3 {
		t.Errorf("only %d commits: the fault was not met", commits.Load())
	}
	if n := w.metric("flywheel.sink.commit.retries").(metricdata.Sum[int64]).DataPoints[0].Value; n < 2 {
		t.Errorf("%d commits are counted as tried again, want the 2 that were refused", n)
	}
}

func TestColumnsOfANewerProgramAreLeftToTheirDefaults(t *testing.T) {
	w := newWorld(t)
	w.exec("ALTER TABLE amazon_review ADD COLUMN mood String DEFAULT 'unknown' FIRST")
	w.load(50)
	m := w.start(nil)
	w.drained()
	w.reviews()
	w.end(m)
	if n := w.count("SELECT count() FROM amazon_review FINAL WHERE mood = 'unknown' AND review_id != ''"); n != 50 {
		t.Errorf("%d rows have the default", n)
	}
}

func TestWhatTheProcessorRefusesIsPassedOver(t *testing.T) {
	w := newWorld(t)
	change := func(f func(*event.AmazonReview)) *kgo.Record {
		v := w.review("acme")
		w.seq--
		f(v)
		return w.record(v)
	}
	unchanged := func(*event.AmazonReview) {}
	unknown := change(unchanged)
	unknown.Value = append([]byte{0, 0, 1, 0, 0}, unknown.Value[5:]...)
	cutOff := change(unchanged)
	cutOff.Value = cutOff.Value[:len(cutOff.Value)-3]
	wrongTopic := change(unchanged)
	wrongTopic.Topic = event.TopicTikTok
	wrongKey := change(unchanged)
	wrongKey.Key = []byte("other")
	w.send(
		unknown, cutOff, wrongTopic, wrongKey,
		change(func(v *event.AmazonReview) { v.Stars = 6 }),
		&kgo.Record{Topic: event.TopicShopify, Value: make([]byte, 900_000)},
		&kgo.Record{Topic: event.TopicBrand, Key: []byte("acme")},
	)
	w.load(32) // behind the poison, in the same partitions
	late := w.review("acme")
	late.OccurredAtMs -= 90 * 24 * 3_600_000
	w.send(w.record(late))
	m := w.start(nil)
	w.drained()
	w.end(m)
	w.reviews()
	if n := w.count("SELECT count() FROM dead_letter"); n != 0 {
		t.Errorf("%d dead letters of records that are the processor's to refuse", n)
	}
	want := map[string]int64{
		"channel.amazon unknown_schema": 1, "channel.amazon malformed": 1, "channel.tiktok wrong_topic": 1, "channel.amazon wrong_key": 1,
		"channel.amazon invalid": 1, "channel.shopify unknown_schema": 1, "flywheel.brand malformed": 1,
	}
	if diff := cmp.Diff(want, w.skipped()); diff != "" {
		t.Errorf("skipped (-want +counted):\n%s", diff)
	}
}

// Nobody but the sink tells of results that cannot be read.
func TestAnUnreadableResultBecomesADeadLetter(t *testing.T) {
	w := newWorld(t)
	w.send(
		&kgo.Record{Topic: event.TopicCorrelation, Key: []byte("acme"), Value: []byte("{}")},
		&kgo.Record{Topic: event.TopicDeadLetter, Key: []byte("acme"), Value: []byte("{}")}, // not told again
	)
	m := w.start(nil)
	w.eventually("the dead letter has arrived", func() bool { return w.count("SELECT count() FROM dead_letter") > 0 })
	w.drained()
	w.end(m)
	if n := w.count("SELECT count() FROM dead_letter FINAL WHERE topic = 'flywheel.correlation' AND reason = 'malformed' AND payload = '{}' AND brand_id = 'acme'"); n != 1 {
		t.Errorf("%d dead letters of the correlation", n)
	}
	if n := w.count("SELECT count() FROM dead_letter FINAL"); n != 1 {
		t.Errorf("%d dead letters in all", n)
	}
}

func TestARowThatClickHouseRefusesGoesToTheDeadLettersAlone(t *testing.T) {
	w := newWorld(t)
	if err := w.conn.Exec(t.Context(), "ALTER TABLE amazon_review ADD CONSTRAINT not_b0666 CHECK asin != 'B0666'"); err != nil {
		t.Fatal(err)
	}
	w.load(150)
	refused := make([]*event.AmazonReview, 3)
	for i := range refused {
		refused[i] = w.review(brand(i))
		refused[i].ASIN = "B0666"
		w.seq--
		w.send(w.record(refused[i]))
		w.load(50)
	}
	m := w.start(nil)
	w.eventually("the dead letters have arrived", func() bool { return w.count("SELECT uniqExact(event_id) FROM dead_letter") == 3 })
	w.drained()
	w.end(m)
	w.reviews()
	for _, r := range refused {
		if n := w.count("SELECT count() FROM dead_letter FINAL WHERE event_id = $1 AND brand_id = $2 AND reason = 'invalid' AND record = 'amazon_review' AND detail LIKE '%not_b0666%'", r.EventID.String(), r.BrandID); n != 1 {
			t.Errorf("%d dead letters of event %s", n, r.EventID)
		}
	}
	if n := w.skipped()["channel.amazon parked"]; n != 3 {
		t.Errorf("%d rows were counted as parked", n)
	}
	if n := lines(w.journal, slog.LevelError, "clickhouse cannot hold a record; it goes to the dead letters"); n != 3 {
		t.Errorf("%d of them were told", n)
	}
}

func TestAValueBeyondItsColumnGoesToTheDeadLetters(t *testing.T) {
	w := newWorld(t)
	w.send(
		w.record(&event.Spike{BrandID: "far", Status: event.SpikeStatusActive, Tier: event.TierSettled, StartedAtMs: 1 << 60}),
		w.record(&event.Spike{BrandID: "near", Status: event.SpikeStatusActive, Tier: event.TierSettled, StartedAtMs: 1}),
	)
	m := w.start(nil)
	w.eventually("the dead letters have arrived", func() bool { return w.count("SELECT count() FROM dead_letter FINAL") == 1 })
	w.drained()
	w.end(m)
	if n := w.count("SELECT count() FROM spike WHERE brand_id = 'near'"); n != 1 {
		t.Errorf("%d good rows", n)
	}
	if n := w.count("SELECT count() FROM spike"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestSinksShareAndHandOverPartitions(t *testing.T) {
	w := newWorld(t)
	one := w.start(nil)
	w.load(300)
	w.drained()
	two := w.start(nil)
	for range 10 {
		w.load(60)
	}
	<-two.Ready()
	w.load(300)
	w.end(one)
	w.load(300)
	w.drained()
	w.reviews()
	w.end(two)
}

// While rows wait for ClickHouse the group may take their partitions away; what
// was taken away is not committed by the one that lost it.
func TestPartitionsAreHandedOverDuringAnOutage(t *testing.T) {
	w := newWorld(t)
	direct := w.clickhouse
	g := w.throughGate()
	one := w.start(nil)
	w.load(200)
	w.drained()
	g.set(shut)
	w.load(200)
	w.eventually("rows wait", func() bool { return one.Check(t.Context()) != nil })
	w.clickhouse = direct
	two := w.start(nil)
	w.joined(two)
	w.load(200)
	w.eventually("the other writes", func() bool { return w.count("SELECT uniqExact(event_id) FROM amazon_review") > 200 })
	g.set(open)
	w.drained()
	w.reviews()
	w.end(one)
	w.end(two)
	w.reviews()
}

// joined waits until the group has let a sink in, long before it would exclude
// those that hold it up.
func (w *world) joined(m *member) {
	w.t.Helper()
	w.eventually("the other has joined", func() bool {
		select {
		case <-m.Ready():
			return true
		default:
			return false
		}
	})
}

func TestASecondSinkOfTheSameNameIsNamed(t *testing.T) {
	w := newWorld(t)
	one := w.launch(w.config()) // both are named after the host
	<-one.Ready()
	w.load(100)
	w.drained()
	two := w.launch(w.config())
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.wait(one); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("another sink runs as %q: give each its own sink.instance_id", host)) {
		t.Errorf("the older one returned %v", err)
	}
	w.load(100)
	w.drained()
	w.reviews()
	w.end(two)
}

// outage is a registry that can be down.
type outage struct {
	codec.Registry
	down atomic.Bool
	seen atomic.Int64
}

func (o *outage) Schema(ctx context.Context, id uint32) (string, error) {
	if o.down.Load() {
		o.seen.Add(1)
		return "", io.ErrUnexpectedEOF
	}
	return o.Registry.Schema(ctx, id)
}

func TestARegistryThatStaysAwayEndsTheSinkAfterAWhile(t *testing.T) {
	w := newWorld(t)
	cfg := codec.DefaultConfig()
	cfg.URLs, w.kafka.ConnectTimeout = []string{"http://127.0.0.1:1"}, 1500*time.Millisecond
	client, err := codec.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.registry = client
	began := time.Now()
	m := w.start(nil)
	w.eventually("/readyz says why", func() bool {
		err := m.Check(t.Context())
		return err != nil && strings.Contains(err.Error(), "reach the schema registry at http://127.0.0.1:1: ")
	})
	if w.staleness() <= 0 {
		t.Error("nothing is read, and the staleness does not say so")
	}
	if err := w.wait(m); err == nil || !strings.Contains(err.Error(), "start it, or set registry.urls") || strings.Contains(err.Error(), "\n") {
		t.Errorf("it ends with %v", err)
	}
	if took := time.Since(began); took < w.kafka.ConnectTimeout {
		t.Errorf("it waited for %s", took)
	}
	if n := lines(w.journal, slog.LevelWarn, "waiting for the schema registry"); n != 1 {
		t.Errorf("it was logged %d times, want once", n)
	}
}

func TestAnUnreachableRegistryDelaysAndLosesNothing(t *testing.T) {
	w := newWorld(t)
	registry := &outage{Registry: w.registry}
	registry.down.Store(true)
	w.registry = registry
	m := w.start(nil)
	w.load(50)
	w.eventually("the registry was asked again", func() bool { return registry.seen.Load() > 2 })
	if m.Check(t.Context()) == nil {
		t.Error("a sink that can read nothing is ready")
	}
	if w.staleness() <= 0 {
		t.Error("records wait, and the staleness does not say so")
	}
	w.end(m) // it stops when asked, all the same
	m = w.start(nil)
	seen := registry.seen.Load()
	w.eventually("the registry was asked again", func() bool { return registry.seen.Load() > seen })
	registry.down.Store(false)
	w.drained()
	w.reviews()
	if err := m.Check(t.Context()); err != nil {
		t.Errorf("a sink that delivers is not ready: %v", err)
	}
	w.end(m)
}

// A record that waits for its schema holds up neither the group nor, in the end,
// what others have committed of the partitions that went to them.
func TestPartitionsAreHandedOverWhileTheRegistryIsAway(t *testing.T) {
	w := newWorld(t)
	reachable := w.registry
	registry := &outage{Registry: w.registry}
	registry.down.Store(true)
	w.registry = registry
	w.load(200)
	one := w.start(nil)
	w.eventually("records wait", func() bool { return registry.seen.Load() > 0 })
	w.registry = reachable
	two := w.start(nil)
	w.joined(two)
	w.load(200)
	w.eventually("the other has written all of a partition", func() bool {
		ends, err := kadm.NewClient(w.client).ListEndOffsets(t.Context(), event.TopicAmazon)
		return err == nil && slices.ContainsFunc(w.committed().Sorted(), func(o kadm.OffsetResponse) bool {
			end, ok := ends.Lookup(o.Topic, o.Partition)
			return ok && o.At > 0 && o.At == end.Offset
		})
	})
	w.eventually("the lag grows", func() bool { return w.metric("flywheel.sink.lag").(metricdata.Gauge[int64]).DataPoints[0].Value > 0 })
	w.end(two) // its partitions wait for it to be back, as far as it got
	before := w.committed()
	registry.down.Store(false)
	w.eventually("the first writes", func() bool { return one.Check(t.Context()) == nil })
	w.end(one)
	for _, at := range before.Sorted() {
		if now, ok := w.committed().Lookup(at.Topic, at.Partition); !ok || now.At < at.At {
			t.Errorf("partition %d of %s went back from offset %d to %d", at.Partition, at.Topic, at.At, now.At)
		}
	}
	two = w.start(nil)
	w.drained()
	w.reviews()
	w.end(two)
	if n := w.points("flywheel.sink.schema.retries")[0].Value; n < 1 {
		t.Errorf("%d look-ups were counted as tried again", n)
	}
	w.told("waiting for the schema registry", "the schema registry answers again")
}

// committed returns how far the group of the sinks is.
func (w *world) committed() kadm.OffsetResponses {
	w.t.Helper()
	offsets, err := kadm.NewClient(w.client).FetchOffsets(w.t.Context(), w.config().Group)
	if err != nil {
		w.t.Fatal(err)
	}
	return offsets
}

// The client never reads a topic of the same name that is not the one it knows.
func TestTopicsThatAreCreatedAnewEndTheSink(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	w.load(10)
	w.drained()
	if _, err := kadm.NewClient(w.client).DeleteTopics(t.Context(), "channel.amazon"); err != nil {
		t.Fatal(err)
	}
	topics, err := kafka.NewTopics(w.kafka, w.client)
	if err == nil {
		_, err = topics.Apply(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := w.wait(m); err == nil || !strings.Contains(err.Error(), "start the sink again") {
		t.Errorf("got %v", err)
	}
}

func TestTablesThatVanishEndTheSink(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	w.load(10)
	w.drained()
	if err := w.conn.Exec(t.Context(), "DROP TABLE amazon_review SYNC"); err != nil {
		t.Fatal(err)
	}
	w.load(10)
	if err := w.wait(m); !errors.Is(err, clickhouse.ErrMigrate) || !strings.Contains(err.Error(), "amazon_review") {
		t.Errorf("got %v", err)
	}
}

func TestWhatCannotWorkIsRefusedAtStart(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct { // each leaves the tables as the next ones bear them
		name    string
		prepare func(*world)
		want    string
	}{
		{"a topic with another partition count", func(w *world) {
			w.kafka.Topics.Partitions = partitions + 1
		}, "have 4 partitions"},
		{"a wrong broker address", func(w *world) {
			w.kafka.Brokers, w.kafka.ConnectTimeout = []string{"127.0.0.1:1"}, 50*time.Millisecond
		}, "correct kafka.brokers"},
		{"a wrong password", func(w *world) {
			w.clickhouse.Password = "guessed"
		}, "correct clickhouse.user and clickhouse.password"},
		{"a database that is missing", func(w *world) {
			w.clickhouse.Database = "nowhere"
		}, "run 'flywheel migrate'"},
		{"a column of another type", func(w *world) {
			w.exec("ALTER TABLE spike MODIFY COLUMN peak_z String")
		}, `column "peak_z" of table "spike" is not what this program needs, since float64 does not fit type String: give it the type of its migration in schemas/clickhouse back`},
		{"a column that is missing", func(w *world) {
			w.exec("ALTER TABLE credit DROP COLUMN multiplier_low")
		}, `table "credit" has no column "multiplier_low": run 'flywheel migrate'`},
		{"a table that is missing", func(w *world) {
			w.exec("DROP TABLE amazon_order SYNC")
		}, `there is no table "amazon_order": run 'flywheel migrate'`},
		{"a migration that is missing", func(w *world) {
			w.exec("ALTER TABLE schema_migration DELETE WHERE number = 7 SETTINGS mutations_sync = 2")
		}, "lacks migration 0007_amazon_traffic_hour: run 'flywheel migrate'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := *w
			w.t = t
			tc.prepare(&w)
			if err := w.wait(w.start(nil)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func (w *world) exec(statement string) {
	w.t.Helper()
	if err := w.conn.Exec(w.t.Context(), statement); err != nil {
		w.t.Fatal(err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*sink.Config)
		want   string
	}{
		"no group":                        {func(c *sink.Config) { c.Group = "" }, "group:"},
		"a name too long":                 {func(c *sink.Config) { c.InstanceID = strings.Repeat("x", 300) }, "instance_id:"},
		"no rows in a batch":              {func(c *sink.Config) { c.FlushRows = 0 }, "flush_rows: 0"},
		"a batch ClickHouse would split":  {func(c *sink.Config) { c.FlushRows = 1_000_000 }, "flush_rows: 1000000"},
		"a batch smaller than one record": {func(c *sink.Config) { c.FlushBytes = 1000 }, "flush_bytes: 1000"},
		"a flush that never comes":        {func(c *sink.Config) { c.FlushInterval = time.Hour }, "flush_interval: 1h0m0s"},
		"no pause":                        {func(c *sink.Config) { c.RetryPause = 0 }, "retry_pause: 0s"},
		"a negative wait":                 {func(c *sink.Config) { c.StartTimeout = -1 }, "start_timeout"},
		"no time to drain":                {func(c *sink.Config) { c.DrainTimeout = 0 }, "drain_timeout: 0s"},
		"a session of no length":          {func(c *sink.Config) { c.SessionTimeout = 0 }, "session_timeout: 0s"},
		"a rebalance of no length":        {func(c *sink.Config) { c.RebalanceTimeout = 0 }, "rebalance_timeout: 0s"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := sink.DefaultConfig()
			tc.change(&cfg)
			if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	if err := sink.DefaultConfig().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}

// skipped returns flywheel.sink.skipped by "topic reason".
func (w *world) skipped() map[string]int64 {
	w.t.Helper()
	counts := make(map[string]int64)
	for _, p := range w.points("flywheel.sink.skipped") {
		topic, _ := p.Attributes.Value("messaging.destination.name")
		reason, _ := p.Attributes.Value("flywheel.reason")
		counts[fmt.Sprintf("%s %s", topic.AsString(), reason.AsString())] = p.Value
	}
	return counts
}
