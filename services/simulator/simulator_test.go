package simulator_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/pkg/testkit"
	"flywheel/services/simulator"
)

// stage is a broker with topics and a registry.
type stage struct {
	t       testing.TB
	cluster *kfake.Cluster
	kafka   kafka.Config
	static  *codec.Static
	network *kfake.VirtualNetwork // nil for the machine's own
}

func newStage(t testing.TB, opts ...kfake.Opt) *stage {
	t.Helper()
	s := &stage{t: t}
	s.open(opts...)
	return s
}

// newBubbleStage is one for simulated time.
func newBubbleStage(t testing.TB) *stage {
	t.Helper()
	s := &stage{t: t, network: new(kfake.VirtualNetwork)}
	s.open(kfake.Ports(9092), kfake.ListenFn(s.network.Listen))
	return s
}

func (s *stage) open(opts ...kfake.Opt) {
	s.t.Helper()
	s.cluster, s.kafka = testkit.Kafka(s.t, opts...), kafka.DefaultConfig()
	s.kafka.Brokers, s.kafka.Topics.Partitions = s.cluster.ListenAddrs(), 4
	topics, err := kafka.NewTopics(s.kafka, s.client())
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := topics.Apply(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	if s.static, err = codec.NewStatic(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) client(opts ...kgo.Opt) *kgo.Client {
	s.t.Helper()
	return testkit.KafkaClient(s.t, s.cluster, append(s.options(), opts...)...)
}

func (s *stage) options() []kgo.Opt {
	if s.network == nil {
		return nil
	}
	return []kgo.Opt{kgo.Dialer(s.network.DialContext)}
}

// small is a play of a few seconds with many faults.
func small() simulator.Config {
	cfg := simulator.DefaultConfig()
	cfg.Brands, cfg.Rate, cfg.Backfill = 4, 1_000_000, 8*24*time.Hour
	cfg.Speed, cfg.For = 50_000, 500*time.Millisecond
	cfg.Late, cfg.Duplicates, cfg.Corrected, cfg.Poison = 0.04, 0.04, 0.04, 0.04
	cfg.End = "2026-04-03T10:07:00Z"
	return cfg
}

// now is a small play that ends now, which in simulated time is long ago.
func now() simulator.Config {
	cfg := small()
	cfg.End = ""
	return cfg
}

func (s *stage) simulator(cfg simulator.Config) *simulator.Simulator {
	s.t.Helper()
	sim, err := simulator.New(cfg, s.kafka, s.static, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider(), s.options()...)
	if err != nil {
		s.t.Fatal(err)
	}
	return sim
}

// inputs are the topics that are sent to.
var inputs = []string{
	event.TopicTikTok, event.TopicAmazon, event.TopicShopify, event.TopicAISearch, event.TopicMessaging, event.TopicCalendar, event.TopicBrand,
}

// read returns every record of the inputs, in the order of each partition.
func (s *stage) read() []*kgo.Record {
	s.t.Helper()
	client := s.client(kgo.ConsumeTopics(inputs...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ends := make(map[string]int64)
	var total int64
	for _, topic := range inputs {
		for p := range s.kafka.Topics.Partitions {
			info := s.cluster.PartitionInfo(topic, p)
			ends[topic] += info.HighWatermark
			total += info.HighWatermark
		}
	}
	var out []*kgo.Record
	for int64(len(out)) < total {
		fetches := client.PollFetches(s.t.Context())
		if err := fetches.Err0(); err != nil {
			s.t.Fatal(err)
		}
		out = append(out, fetches.Records()...)
	}
	return out
}

// recount applies the rules to what Kafka holds, keeping everything for ever.
type recount struct {
	simulator.Summary
	rows    map[string]int64
	letters []simulator.DeadLetter
	revenue map[revenueKey]int64
}

type revenueKey struct {
	brand string
	dayMs int64
	node  event.NodeName
	money string
}

func (s *stage) recount(records []*kgo.Record) recount {
	s.t.Helper()
	decoder, err := codec.NewDecoder(s.static)
	if err != nil {
		s.t.Fatal(err)
	}
	type version struct {
		at, version, net int64
		key              revenueKey
	}
	var (
		c          = recount{rows: map[string]int64{}, revenue: map[revenueKey]int64{}}
		ids        = map[event.ID]bool{}
		brands     = map[string]*event.Brand{}
		watermarks = map[[2]string]int64{}
		facts      = map[event.ID]bool{}
		entities   = map[[3]string]version{}
		polls      = map[string]map[int64]int64{} // by content: newest observation of a quarter
	)
	c.Reasons = map[event.Reason]int64{}
	for _, r := range records { // the brands first: days are theirs
		if r.Topic != event.TopicBrand {
			continue
		}
		v, err := decoder.Decode(s.t.Context(), r.Topic, r.Value)
		if err != nil {
			s.t.Fatal(err)
		}
		b := v.(*event.Brand)
		brands[b.BrandID] = b
		c.BrandsSent++
	}
	for _, r := range records {
		if r.Topic == event.TopicBrand {
			continue
		}
		c.Sent++
		letter := simulator.DeadLetter{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, BrandID: string(r.Key)}
		refuse := func(reason event.Reason) {
			letter.Reason = reason
			c.letters = append(c.letters, letter)
			c.Reasons[reason]++
			switch reason {
			case event.ReasonLate:
				c.Late++
			case event.ReasonDuplicate:
				c.Duplicate++
			default:
				c.Poison++
			}
		}
		v, err := decoder.Decode(s.t.Context(), r.Topic, r.Value)
		if err != nil {
			var refused *codec.Error
			if !errors.As(err, &refused) {
				s.t.Fatal(err)
			}
			refuse(refused.Reason)
			continue
		}
		record := v.(event.Record)
		h := record.Head()
		letter.BrandID = h.BrandID
		if h.EventID != (event.ID{}) {
			letter.EventID = h.EventID.String()
		}
		switch {
		case record.Validate() != nil:
			refuse(event.ReasonInvalid)
			continue
		case string(r.Key) != h.BrandID:
			refuse(event.ReasonWrongKey)
			continue
		}
		if !ids[h.EventID] {
			ids[h.EventID] = true
			c.rows[record.Type().String()]++
		}
		source := [2]string{strings.Clone(h.BrandID), strings.Clone(h.Source)}
		allowed := int64(72 * 3_600_000)
		if q, ok := record.(*event.AmazonSearchReport); ok {
			allowed += int64(q.PeriodMinutes) * 60_000
		}
		watermark, seen := watermarks[source]
		switch {
		case h.OccurredAtMs > r.Timestamp.UnixMilli()+60_000:
			refuse(event.ReasonFuture)
			continue
		case seen && h.OccurredAtMs < watermark-allowed:
			refuse(event.ReasonLate)
			continue
		}
		switch record.Type().Info().Mode {
		case event.Fact:
			if facts[h.EventID] {
				refuse(event.ReasonDuplicate)
				continue
			}
			facts[h.EventID] = true
		case event.Counter:
			content := strings.Clone(h.NaturalKey)
			if polls[content] == nil {
				polls[content] = map[int64]int64{}
			}
			quarter := h.OccurredAtMs / 900_000
			newest := polls[content][quarter]
			if h.OccurredAtMs == newest {
				refuse(event.ReasonDuplicate)
				continue
			}
			if h.OccurredAtMs < newest {
				c.Superseded++
				continue
			}
			polls[content][quarter] = h.OccurredAtMs
		case event.Snapshot:
			id := [3]string{source[0], record.Type().String(), strings.Clone(h.NaturalKey)}
			old, known := entities[id]
			if known && h.Version == old.version {
				refuse(event.ReasonDuplicate)
				continue
			}
			if known && h.Version < old.version {
				c.Superseded++
				continue
			}
			now := version{at: h.OccurredAtMs, version: h.Version}
			for _, m := range record.Contribute(nil) { // the pipeline's own word for money
				if m.Currency == "" || m.Signal == event.OrderedSales {
					continue
				}
				now.net = m.Value
				now.key = revenueKey{source[0], localDay(brands[source[0]], m.AtMs), m.Signal.Info().Node, strings.Clone(m.Currency)}
				c.revenue[now.key] += now.net - old.net
			}
			entities[id] = now
		}
		c.Applied++
		watermarks[source] = max(watermark, h.OccurredAtMs)
	}
	c.Valid = c.Applied + c.Superseded
	slices.SortFunc(c.letters, func(a, b simulator.DeadLetter) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return c
}

// localDay returns the first moment of a moment's day in the brand's zone, by
// the zone itself.
func localDay(b *event.Brand, at int64) int64 {
	zone, err := time.LoadLocation(b.TimeZone)
	if err != nil {
		panic(err)
	}
	y, m, d := time.UnixMilli(at).In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone).UnixMilli()
}

func TestTheLedgerIsWhatKafkaHolds(t *testing.T) {
	s := newStage(t)
	sim := s.simulator(small())
	if err := sim.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	compare(t, s, sim)
	d := sim.Ledger().Detail()
	for _, reason := range []event.Reason{
		event.ReasonDuplicate, event.ReasonLate, event.ReasonFuture, event.ReasonUnknownSchema, event.ReasonMalformed,
		event.ReasonWrongTopic, event.ReasonWrongKey, event.ReasonInvalid, event.ReasonOversized,
	} {
		if d.Reasons[reason] == 0 {
			t.Errorf("nothing is refused as %s", reason)
		}
	}
	for record, n := range d.Rows {
		if n == 0 {
			t.Errorf("there is no %s", record)
		}
	}
	// The days of the window, added up, are the window.
	for _, b := range d.Brands {
		var caused, direct int64
		until := d.Live.Truncate(24 * time.Hour)
		for _, r := range d.Revenue {
			if r.BrandID == b.BrandID && r.Currency == b.Currency {
				until = time.UnixMilli(max(until.UnixMilli(), r.DayMs))
			}
		}
		from := until.Add(-72 * time.Hour)
		for _, r := range d.Revenue {
			if at := time.UnixMilli(r.DayMs); r.BrandID != b.BrandID || r.Currency != b.Currency || at.Before(from) || !at.Before(until) {
				continue
			}
			caused += r.CausedMicros
			if r.Node == event.NodeTikTok {
				direct += r.Micros
			}
		}
		got, ok := sim.Ledger().Multiplier(b.BrandID, until)
		if want := float64(caused) / float64(direct); b.TimeZone != "Europe/London" && (!ok || got != want) { // clocks change there
			t.Errorf("%s: the multiplier until %s is %v (%v), want %v", b.BrandID, until, got, ok, want)
		}
	}
	if _, ok := sim.Ledger().Multiplier("nobody", d.End); ok {
		t.Error("a brand nobody plays has a multiplier")
	}
	if d.Superseded == 0 || d.Repeated == 0 {
		t.Errorf("%d records are superseded, %d repeated", d.Superseded, d.Repeated)
	}
	if p := sim.Progress(); p.Phase != simulator.PhaseDone || p.Share != 1 || p.Sent != d.Sent {
		t.Errorf("progress at the end: %+v, sent %d", p, d.Sent)
	}
}

// compare holds a ledger against a recount of what Kafka holds.
func compare(t *testing.T, s *stage, sim *simulator.Simulator) {
	t.Helper()
	d, want := sim.Ledger().Detail(), s.recount(s.read())
	want.EventTime = d.EventTime
	// What is taken or late has a row, unless it has one already, and so has what
	// lies in the future.
	want.Repeated = want.Valid + want.Late + want.Reasons[event.ReasonFuture]
	for _, rows := range want.rows {
		want.Repeated -= rows
	}
	if diff := gocmp.Diff(want.Summary, d.Summary); diff != "" {
		t.Errorf("counts (-Kafka +ledger):\n%s", diff)
	}
	maps.DeleteFunc(d.Rows, func(_ string, n int64) bool { return n == 0 })
	if diff := gocmp.Diff(want.rows, d.Rows); diff != "" {
		t.Errorf("rows (-Kafka +ledger):\n%s", diff)
	}
	if diff := gocmp.Diff(want.letters, d.DeadLetters); diff != "" {
		t.Errorf("dead letters (-Kafka +ledger):\n%s", diff)
	}
	got := make(map[revenueKey]int64)
	for _, r := range d.Revenue {
		got[revenueKey{r.BrandID, r.DayMs, r.Node, r.Currency}] = r.Micros
		if r.CausedMicros < 0 || r.CausedMicros > r.Micros || r.CausedMicros > 0 && r.Node != event.NodeAmazon {
			t.Errorf("posts caused what cannot be: %+v", r)
		}
	}
	maps.DeleteFunc(want.revenue, func(_ revenueKey, micros int64) bool { return micros == 0 })
	if diff := gocmp.Diff(want.revenue, got); diff != "" {
		t.Errorf("revenue (-Kafka +ledger):\n%s", diff)
	}
}

func TestAStoppedPlayLeavesAnExactLedger(t *testing.T) {
	s := newStage(t)
	cfg := small()
	cfg.Rate = 20_000
	sim := s.simulator(cfg)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- sim.Run(ctx) }()
	<-sim.Ready()
	for sim.Ledger().Detail().Sent < 2_000 {
		select {
		case err := <-done:
			t.Fatalf("the play ended early: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	compare(t, s, sim)
	if d := sim.Ledger().Detail(); d.Sent >= 32_000 {
		t.Errorf("it was not stopped: %d records", d.Sent)
	}
}

func TestWhatIsMissingIsSaidInOneSentence(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*stage)
		want   string
	}{
		"no broker": {func(s *stage) {
			s.kafka.Brokers, s.kafka.ConnectTimeout = []string{addr}, 100*time.Millisecond
		}, "no Kafka broker answered at " + addr},
		"no topics": {func(s *stage) {
			s.cluster = testkit.Kafka(t)
			s.kafka.Brokers = s.cluster.ListenAddrs()
		}, "run 'flywheel topics apply'"},
		"another number of partitions":      {func(s *stage) { s.kafka.Topics.Partitions = 5 }, "want 5 as in kafka.topics.partitions"},
		"contracts that are not registered": {func(s *stage) { s.static = new(codec.Static) }, "run `flywheel topics apply`"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			tc.change(s)
			if err := s.simulator(small()).Run(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestEndsInTheFutureAreRefused(t *testing.T) {
	s := newStage(t)
	cfg := small()
	cfg.End = time.Now().Add(24 * time.Hour).Format(time.RFC3339)
	_, err := simulator.New(cfg, s.kafka, s.static, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider())
	if err == nil || !strings.Contains(err.Error(), "in the future") {
		t.Errorf("got %v", err)
	}
}

// TestWhatKafkaRefusesIsNotInTheLedger has the broker refuse, for good, what
// comes after some batches.
func TestWhatKafkaRefusesIsNotInTheLedger(t *testing.T) {
	s := newStage(t)
	var batches atomic.Int64
	s.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		s.cluster.KeepControl()
		if batches.Add(1) < 10 {
			return nil, nil, false
		}
		asked := req.(*kmsg.ProduceRequest)
		resp := asked.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range asked.Topics {
			refused := kmsg.NewProduceResponseTopic()
			refused.Topic, refused.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				part := kmsg.NewProduceResponseTopicPartition()
				part.Partition, part.ErrorCode = p.Partition, kerr.TopicAuthorizationFailed.Code
				refused.Partitions = append(refused.Partitions, part)
			}
			resp.Topics = append(resp.Topics, refused)
		}
		return resp, nil, true
	})
	sim := s.simulator(small())
	err := sim.Run(t.Context())
	if !errors.Is(err, kerr.TopicAuthorizationFailed) || !strings.Contains(err.Error(), `kafka refused a record of topic "`) {
		t.Errorf("got %v", err)
	}
	compare(t, s, sim)
}

// TestAPlayStopsWhileKafkaIsSilent stops a play that waits for Kafka, with few
// records in flight.
func TestAPlayStopsWhileKafkaIsSilent(t *testing.T) {
	s := newStage(t)
	var batches atomic.Int64
	stuck, free := make(chan struct{}), make(chan struct{})
	s.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		s.cluster.KeepControl()
		if batches.Add(1) == 10 {
			close(stuck)
			s.cluster.SleepControl(func() { <-free })
		}
		return nil, nil, false
	})
	cfg := small()
	cfg.InFlight = 3
	sim := s.simulator(cfg)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- sim.Run(ctx) }()
	<-stuck
	for sim.Progress().Behind < 20*time.Millisecond { // it says that it waits
		time.Sleep(time.Millisecond)
	}
	stop()
	close(free) // what is in flight is still acknowledged, and entered
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	compare(t, s, sim)
}

// outage has the broker hang up on whoever sends records, from the n-th request on
// and for a while. The channel is closed when it begins.
func (s *stage) outage(n int64, lasts time.Duration) <-chan struct{} {
	begun := make(chan struct{})
	var requests atomic.Int64
	var until time.Time
	s.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		s.cluster.KeepControl()
		switch now, nth := time.Now(), requests.Add(1); {
		case nth < n:
			return nil, nil, false
		case nth == n:
			until = now.Add(lasts)
			close(begun)
			fallthrough
		default:
			return nil, errors.New("away"), now.Before(until)
		}
	})
	return begun
}

// TestAPlayOutlastsABrokerThatIsAway takes the broker away for longer than a play
// that was asked to stop would wait: before it has the brands, and before it has
// the last records.
func TestAPlayOutlastsABrokerThatIsAway(t *testing.T) {
	for name, n := range map[string]int64{"at the begin": 1, "under way": 10} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newBubbleStage(t)
				const away = 2 * time.Minute
				s.outage(n, away)
				sim, began := s.simulator(now()), time.Now()
				if err := sim.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took < away {
					t.Errorf("it took %s: the broker was not missed", took)
				}
				compare(t, s, sim)
			})
		})
	}
}

// TestAPlayThatIsStoppedDoesNotWaitForABrokerForLong stops a play whose broker
// does not come back.
func TestAPlayThatIsStoppedDoesNotWaitForABrokerForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBubbleStage(t)
		begun := s.outage(1, 24*time.Hour)
		sim := s.simulator(now())
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		done := make(chan error, 1)
		go func() { done <- sim.Run(ctx) }()
		<-begun
		time.Sleep(time.Hour)
		if behind := sim.Progress().Behind; behind < time.Hour {
			t.Errorf("it says that it is behind by %s", behind)
		}
		stopped := time.Now()
		stop()
		if err := <-done; err == nil || !strings.Contains(err.Error(), "has not answered for 4 records within 20s") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(stopped); took != 20*time.Second {
			t.Errorf("it stopped after %s", took)
		}
	})
}
