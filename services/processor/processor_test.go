package processor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"flywheel/pkg/codec"
	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/pkg/testkit"
	"flywheel/pkg/topology"
	"flywheel/schemas"
	"flywheel/services/processor"
)

const partitions = 4

// world is a broker with topics, a registry, and the ledger of what was sent.
type world struct {
	t       testing.TB
	cluster *kfake.Cluster
	kafka   kafka.Config
	static  *codec.Static
	encoder *codec.Encoder
	client  *kgo.Client
	sent    []*kgo.Record // what was acknowledged
	seq     int
}

func newWorld(t testing.TB, opts ...kfake.Opt) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{
		kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Second),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	w := &world{t: t, cluster: cluster, kafka: kafka.DefaultConfig()}
	w.kafka.Brokers, w.kafka.Topics.Partitions = cluster.ListenAddrs(), partitions
	topics, err := kafka.NewTopics(w.kafka, w.connect())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topics.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.client = w.connect() // which has not looked before they were there
	if w.static, err = codec.NewStatic(); err != nil {
		t.Fatal(err)
	}
	if w.encoder, err = codec.NewEncoder(t.Context(), w.static); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) connect(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	client, err := kafka.Connect(w.t.Context(), w.kafka, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider(), opts...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	return client
}

func (w *world) config() processor.Config {
	cfg := processor.DefaultConfig()
	cfg.InstanceID = "one"
	cfg.CommitInterval = 20 * time.Millisecond
	return cfg
}

// member is a processor that runs.
type member struct {
	*processor.Processor
	reader *metric.ManualReader // of its metrics
	stop   context.CancelFunc
	done   chan error
}

// start runs a processor until the test ends or stop is called.
func (w *world) start(change func(*processor.Config)) *member {
	w.t.Helper()
	cfg := w.config()
	if change != nil {
		change(&cfg)
	}
	reader := metric.NewManualReader()
	p, err := processor.New(cfg, w.kafka, w.static, logger(w.t, cfg.InstanceID), metric.NewMeterProvider(metric.WithReader(reader)), tracenoop.NewTracerProvider())
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &member{p, reader, stop, make(chan error, 1)}
	go func() { m.done <- p.Run(ctx) }()
	w.t.Cleanup(func() { m.stop() })
	return m
}

// end stops a processor and waits for it.
func (w *world) end(m *member) {
	w.t.Helper()
	m.stop()
	select {
	case err := <-m.done:
		if err != nil {
			w.t.Errorf("a stopped processor returned %v", err)
		}
	case <-time.After(20 * time.Second):
		w.t.Fatal("a stopped processor does not return")
	}
}

// logger writes to the test's log, which shows when the test fails.
func logger(t testing.TB, name string) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})).With("member", name)
}

// send publishes encoded values as they are.
func (w *world) send(records ...*kgo.Record) {
	w.t.Helper()
	if err := w.client.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	w.sent = append(w.sent, records...)
}

// record returns the Kafka record of an event.
func (w *world) record(v any) *kgo.Record {
	w.t.Helper()
	value, err := w.encoder.Encode(nil, v)
	if err != nil {
		w.t.Fatal(err)
	}
	r := &kgo.Record{Value: value}
	switch v := v.(type) {
	case event.Record:
		r.Topic, r.Key = v.Type().Info().Topic, []byte(v.Head().BrandID)
	case *event.Brand:
		r.Topic, r.Key = event.TopicBrand, []byte(v.BrandID)
	}
	return r
}

// review returns a fact that nobody has sent before.
func (w *world) review(brand string) *event.AmazonReview {
	w.seq++
	id := fmt.Sprintf("review-%d", w.seq)
	now := time.Now().UnixMilli()
	return &event.AmazonReview{
		Header: event.Header{
			EventID: event.NewID("amazon_review", brand, "amazon", id, 0), BrandID: brand,
			OccurredAtMs: now, ObservedAtMs: now, Source: "amazon",
		},
		ReviewID: id, ASIN: "B0001", Stars: 5,
	}
}

// views returns a counter's next observation.
func (w *world) views(brand string) *event.TikTokContentStatistics {
	w.seq++
	now := time.Now().UnixMilli()
	return &event.TikTokContentStatistics{
		Header: event.Header{
			EventID: event.NewID("tiktok_content_statistics", brand, "tiktok", "video", int64(w.seq)), BrandID: brand,
			OccurredAtMs: now, ObservedAtMs: now, Source: "tiktok", NaturalKey: "video", Version: int64(w.seq),
		},
		ContentID: "video", PublishedAtMs: now - 1000, Views: int64(w.seq),
	}
}

func brand(i int) string { return fmt.Sprintf("brand-%02d", i) }

// order returns an order that nobody has sent before.
func (w *world) order(brand string) *event.AmazonOrder {
	w.seq++
	id := fmt.Sprintf("order-%d", w.seq)
	now := time.Now().UnixMilli()
	return &event.AmazonOrder{
		Header: event.Header{
			EventID: event.NewID("amazon_order", brand, "orders", id, 1), BrandID: brand,
			OccurredAtMs: now, ObservedAtMs: now, Source: "orders", NaturalKey: id, Version: 1,
		},
		OrderID: id, Status: event.OrderStatusPlaced, ASIN: "B0001", Units: 1, GrossMicros: 25_000_000, Branded: true, Currency: "USD",
	}
}

// load sends n valid events over 16 brands, three types and two topics.
func (w *world) load(n int) {
	w.t.Helper()
	records := make([]*kgo.Record, 0, n)
	for i := range n {
		b := brand(i / 3 % 16)
		var v event.Record
		switch i % 3 {
		case 0:
			v = w.review(b)
		case 1:
			v = w.views(b)
		default:
			v = w.order(b)
		}
		records = append(records, w.record(v))
	}
	w.send(records...)
}

// offsets returns the ends of the input topics and what the group committed,
// summed, and so equal once everything was processed.
func (w *world) offsets() (end, committed int64) {
	w.t.Helper()
	admin := kadm.NewClient(w.client)
	file, err := schemas.LoadTopics()
	if err != nil {
		w.t.Fatal(err)
	}
	var inputs []string
	for _, t := range file.Topics {
		if t.Copartitioned && len(t.Records) > 0 {
			inputs = append(inputs, t.Name)
		}
	}
	ends, err := admin.ListEndOffsets(w.t.Context(), inputs...)
	if err != nil {
		w.t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { end += o.Offset })
	// Only stable offsets: those of an open transaction are not committed yet.
	req := kmsg.NewPtrOffsetFetchRequest()
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group, req.Group, req.RequireStable = w.config().Group, w.config().Group, true
	req.Groups = append(req.Groups, group)
	resp, err := req.RequestWith(w.t.Context(), w.client)
	if err != nil || len(resp.Groups) != 1 {
		return end, 0
	}
	for _, t := range resp.Groups[0].Topics {
		for _, p := range t.Partitions {
			committed += max(0, p.Offset)
		}
	}
	return end, committed
}

// drained waits until the group has committed all input.
func (w *world) drained() {
	w.t.Helper()
	w.eventually("all input is committed", func() bool {
		end, committed := w.offsets()
		return end == committed
	})
}

func (w *world) eventually(what string, cond func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			w.t.Fatalf("after 20 s it does not hold that %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// committed returns every committed record of a topic.
func (w *world) committed(topic string) []*kgo.Record {
	w.t.Helper()
	admin := kadm.NewClient(w.client)
	ends, err := admin.ListEndOffsets(w.t.Context(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	left := 0
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left++
		}
	})
	client := w.connect(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	var records []*kgo.Record
	for left > 0 {
		fetches := client.PollFetches(w.t.Context())
		if err := fetches.Err(); err != nil {
			w.t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, _ := ends.Lookup(topic, r.Partition); r.Offset == end.Offset-1 {
				left--
			}
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
		})
	}
	return records
}

// letters returns the reasons of all dead letters by "topic/partition/offset".
func (w *world) letters() map[string][]event.Reason {
	w.t.Helper()
	decoder, err := codec.NewDecoder(w.static)
	if err != nil {
		w.t.Fatal(err)
	}
	letters := make(map[string][]event.Reason)
	for _, r := range w.committed(event.TopicDeadLetter) {
		v, err := decoder.Decode(w.t.Context(), r.Topic, r.Value)
		if err != nil {
			w.t.Fatal(err)
		}
		l := v.(*event.DeadLetter)
		if l.Detail == "" || strings.Contains(l.Detail, "\n") {
			w.t.Errorf("a dead letter says %q", l.Detail)
		}
		if at := time.UnixMilli(l.OccurredAtMs).UTC(); at.Year() < 1970 || at.Year() > 2100 {
			w.t.Errorf("a dead letter is of %s, which no table can hold", at)
		}
		at := fmt.Sprintf("%s/%d/%d", l.Topic, l.Partition, l.Offset)
		letters[at] = append(letters[at], l.Reason)
	}
	return letters
}

// state returns the state that the changelog holds, less what was published.
func (w *world) state() map[string]string {
	w.t.Helper()
	parts := w.parts()
	for _, r := range w.committed(event.TopicState) {
		if err := parts[r.Partition].Restore(r.Key, r.Value); err != nil {
			w.t.Fatal(err)
		}
	}
	return dump(parts)
}

func (w *world) parts() []*topology.Partition {
	w.t.Helper()
	parts := make([]*topology.Partition, partitions)
	for p := range parts {
		var err error
		if parts[p], err = topology.New(topology.DefaultConfig()); err != nil {
			w.t.Fatal(err)
		}
	}
	return parts
}

// dump returns the states without their meta slots, whose revisions count the
// refreshes there were.
func dump(parts []*topology.Partition) map[string]string {
	state := make(map[string]string)
	for p, part := range parts {
		part.State(func(key, value []byte) {
			if id := int(key[0]); key[1+id] != 'm' {
				state[fmt.Sprintf("%d/%q", p, key)] = string(value)
			}
		})
	}
	return state
}

// oracle returns what the changelog must be: the same events applied by one
// hand, in the order of the log, without Kafka, transactions or restarts.
func (w *world) oracle() map[string]string {
	w.t.Helper()
	decoder, err := codec.NewDecoder(w.static)
	if err != nil {
		w.t.Fatal(err)
	}
	sent := slices.SortedFunc(slices.Values(w.sent), func(a, b *kgo.Record) int { return int(a.Offset - b.Offset) })
	parts := w.parts()
	for _, r := range sent {
		v, err := decoder.Decode(w.t.Context(), r.Topic, r.Value)
		if err != nil {
			continue
		}
		switch v := v.(type) {
		case event.Record:
			if v.Validate() == nil && v.Head().BrandID == string(r.Key) {
				parts[r.Partition].Apply(v, r.Timestamp.UnixMilli())
			}
		case *event.Brand:
			parts[r.Partition].ApplyBrand(v)
		}
	}
	return dump(parts)
}

// exact compares the committed state with the ledger's.
func (w *world) exact() {
	w.t.Helper()
	if diff := cmp.Diff(w.oracle(), w.state()); diff != "" {
		w.t.Errorf("state (-ledger +changelog):\n%s", diff)
	}
}

func TestEventsBecomeStateAndResults(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	w.load(400)
	w.drained()
	w.exact()
	w.eventually("every brand has results", func() bool {
		seen := make(map[string]bool)
		for _, topic := range []string{event.TopicCorrelation, event.TopicCredit, event.TopicSpike} {
			for _, r := range w.committed(topic) {
				seen[string(r.Key)] = true
			}
		}
		return len(seen) == 16
	})
	if letters := w.letters(); len(letters) > 0 {
		t.Errorf("valid events were refused: %v", letters)
	}
	w.end(m)
	w.exact()
}

func TestEveryRefusedRecordHasOneDeadLetter(t *testing.T) {
	w := newWorld(t)
	valid := w.record(w.review("acme"))
	change := func(f func(*event.AmazonReview)) *kgo.Record {
		v := w.review("acme")
		f(v)
		return w.record(v)
	}
	unknown := w.record(w.review("acme"))
	unknown.Value = append([]byte{0, 0, 1, 0, 0}, unknown.Value[5:]...)
	cutOff := w.record(w.review("acme"))
	cutOff.Value = cutOff.Value[:len(cutOff.Value)-3]
	wrongTopic := w.record(w.review("acme"))
	wrongTopic.Topic = event.TopicTikTok
	wrongKey := w.record(w.review("acme"))
	wrongKey.Key = []byte("other")
	oversized := change(func(v *event.AmazonReview) { v.ASIN = strings.Repeat("x", event.RecordBytesMax-200) })
	oversized.Value = append(oversized.Value, make([]byte, 200)...)
	// A broker measures what is compressed, and a client what is not: such a record is there, and
	// as a whole fits into no letter. It takes the largest there is.
	huge := w.record(w.review("acme"))
	huge.Key, huge.Value = bytes.Repeat([]byte("k"), 64<<10), append(huge.Value, make([]byte, 3<<20)...)
	duplicate := *valid
	poison := []struct {
		record *kgo.Record
		want   event.Reason
	}{
		{&duplicate, event.ReasonDuplicate},
		{change(func(v *event.AmazonReview) { v.OccurredAtMs -= 90 * 24 * 3_600_000 }), event.ReasonLate},
		{change(func(v *event.AmazonReview) { v.OccurredAtMs += 3_600_000 }), event.ReasonFuture},
		{change(func(v *event.AmazonReview) { v.Stars = 6 }), event.ReasonInvalid},
		{change(func(v *event.AmazonReview) { v.OccurredAtMs = math.MinInt64 }), event.ReasonInvalid},
		{change(func(v *event.AmazonReview) { v.OccurredAtMs = math.MaxInt64 }), event.ReasonInvalid},
		{unknown, event.ReasonUnknownSchema},
		{cutOff, event.ReasonMalformed},
		{&kgo.Record{Topic: event.TopicAmazon, Key: []byte("acme")}, event.ReasonMalformed},
		{&kgo.Record{Topic: event.TopicShopify, Key: []byte{0xff, 0xfe}, Value: []byte("{}")}, event.ReasonMalformed},
		{&kgo.Record{Topic: event.TopicShopify, Value: make([]byte, 900_000)}, event.ReasonUnknownSchema}, // of the id 0
		{wrongTopic, event.ReasonWrongTopic},
		{wrongKey, event.ReasonWrongKey},
		{oversized, event.ReasonOversized},
		{huge, event.ReasonOversized},
	}
	large := w.connect(kgo.ProducerBatchMaxBytes(8 << 20))
	m := w.start(nil)
	w.send(valid)
	want := make(map[string][]event.Reason)
	for _, p := range poison {
		if err := large.ProduceSync(t.Context(), p.record).FirstErr(); err != nil {
			t.Fatal(err)
		}
		want[fmt.Sprintf("%s/%d/%d", p.record.Topic, p.record.Partition, p.record.Offset)] = []event.Reason{p.want}
	}
	w.load(32) // behind the poison, in the same partitions
	w.drained()
	if diff := cmp.Diff(want, w.letters()); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	w.exact()
	w.end(m)
}

func TestRestartContinuesFromTheChangelog(t *testing.T) {
	w := newWorld(t)
	var resent []*kgo.Record
	for range 3 {
		w.load(100)
		m := w.start(nil)
		w.send(w.record(w.review(brand(0))))
		w.drained()
		resent = append(resent, w.sent[len(w.sent)-1])
		w.end(m)
		w.exact()
	}
	m := w.start(nil)
	for _, r := range resent {
		again := *r
		w.send(&again)
	}
	w.drained()
	refused := 0
	for _, reasons := range w.letters() {
		refused += len(reasons)
	}
	if refused != len(resent) {
		t.Errorf("%d of %d events sent again after a restart were recognised", refused, len(resent))
	}
	w.exact()
	w.end(m)
}

// TestResultsNameTheirPrior runs a processor with a prior, and one without in its place.
func TestResultsNameTheirPrior(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "prior.csv")
	if err := os.WriteFile(file, []byte("force,fold_of_13,delay_hours,half_life_hours,brands\n1,0,3,8,4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	decoder, err := codec.NewDecoder(w.static)
	if err != nil {
		t.Fatal(err)
	}
	last := make(map[int32]int64) // offset seen, by partition
	for _, tc := range []struct{ file, want string }{{file, correlate.Version + "+prior/"}, {"", correlate.Version}} {
		m := w.start(func(cfg *processor.Config) { cfg.KernelPrior = tc.file })
		w.load(100)
		w.drained()
		var fresh []*kgo.Record
		w.eventually("there are results", func() bool {
			fresh = slices.DeleteFunc(w.committed(event.TopicCredit), func(r *kgo.Record) bool { return r.Offset < last[r.Partition] })
			return len(fresh) > 0
		})
		w.end(m)
		for _, r := range fresh {
			v, err := decoder.Decode(t.Context(), r.Topic, r.Value)
			if err != nil {
				t.Fatal(err)
			}
			if got := v.(*event.Credit).CodeVersion; !strings.HasPrefix(got, tc.want) || tc.file == "" && got != tc.want {
				t.Errorf("with the prior %q a result is of %q", tc.file, got)
			}
		}
		for _, r := range w.committed(event.TopicCredit) {
			last[r.Partition] = max(last[r.Partition], r.Offset+1)
		}
	}
	w.exact()
}

// fault makes the broker refuse the n-th request of a kind, counted from 1.
func (w *world) fault(key kmsg.Key, n int64, answer func(kmsg.Request) kmsg.Response) *atomic.Int64 {
	var seen atomic.Int64
	w.cluster.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if seen.Add(1) != n {
			return nil, nil, false
		}
		return answer(req), nil, true
	})
	return &seen
}

func TestAnAbortUndoesMemory(t *testing.T) {
	for name, tc := range map[string]struct {
		key    kmsg.Key
		answer func(kmsg.Request) kmsg.Response
	}{
		"the end of the transaction fails": {kmsg.EndTxn, func(req kmsg.Request) kmsg.Response {
			resp := req.ResponseKind().(*kmsg.EndTxnResponse)
			resp.ErrorCode = kerr.TransactionAbortable.Code
			return resp
		}},
		"the end of the transaction has an unknown outcome": {kmsg.EndTxn, func(req kmsg.Request) kmsg.Response {
			resp := req.ResponseKind().(*kmsg.EndTxnResponse)
			resp.ErrorCode = kerr.UnknownServerError.Code
			return resp
		}},
		"the offsets are refused": {kmsg.TxnOffsetCommit, func(req kmsg.Request) kmsg.Response {
			r := req.(*kmsg.TxnOffsetCommitRequest)
			resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
			for _, topic := range r.Topics {
				rt := kmsg.NewTxnOffsetCommitResponseTopic()
				rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
				for _, p := range topic.Partitions {
					rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
					rp.Partition, rp.ErrorCode = p.Partition, kerr.IllegalGeneration.Code
					rt.Partitions = append(rt.Partitions, rp)
				}
				resp.Topics = append(resp.Topics, rt)
			}
			return resp
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			seen := w.fault(tc.key, 3, tc.answer)
			m := w.start(nil)
			for range 6 {
				w.load(60)
				w.drained()
			}
			if seen.Load() < 4 {
				t.Fatalf("only %d requests: the fault was not met", seen.Load())
			}
			w.exact()
			if letters := w.letters(); len(letters) > 0 {
				t.Errorf("events read again after the abort were taken for others: %v", letters)
			}
			w.end(m)
		})
	}
}

func TestACommitWhoseAnswerIsLostCountsOnce(t *testing.T) {
	w := newWorld(t)
	var ends atomic.Int64
	w.cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if ends.Add(1) == 3 {
			return nil, errors.New("the connection breaks"), true
		}
		return nil, nil, false
	})
	m := w.start(nil)
	for range 6 {
		w.load(60)
		w.drained()
	}
	w.exact()
	if letters := w.letters(); len(letters) > 0 {
		t.Errorf("committed events were processed again: %v", letters)
	}
	w.end(m)
}

// TestAProcessorToSpareIsReady has one more of them than partitions; it takes over when
// another goes.
func TestAProcessorToSpareIsReady(t *testing.T) {
	w := newWorld(t)
	var all []*member
	for i := range partitions + 1 {
		all = append(all, w.start(func(c *processor.Config) { c.InstanceID, c.SessionTimeout = fmt.Sprint("processor-", i), 2*time.Second }))
	}
	for i, m := range all {
		w.eventually("it is ready", func() bool { return m.Check(t.Context()) == nil })
		if i == 0 {
			w.load(60)
		}
	}
	w.drained()
	w.end(all[0])
	w.load(60)
	w.drained()
	w.exact()
	for _, m := range all[1:] {
		w.end(m)
	}
}

func TestMembersShareAndHandOverPartitions(t *testing.T) {
	w := newWorld(t)
	short := func(id string) func(*processor.Config) {
		return func(c *processor.Config) { c.InstanceID, c.SessionTimeout = id, 2*time.Second }
	}
	one := w.start(short("one"))
	w.load(200)
	w.drained()
	two := w.start(short("two"))
	for range 10 {
		w.load(60)
	}
	<-two.Ready()
	w.drained()
	w.end(one) // its partitions go to the other once its session has timed out
	w.load(200)
	w.drained()
	w.exact()
	if letters := w.letters(); len(letters) > 0 {
		t.Errorf("events were taken twice across the hand-over: %v", letters)
	}
	w.end(two)
	w.exact()
}

// TestAStopDoesNotWaitForTheGroup stops a processor that has joined a group whose
// other member does not come to the rebalance: its join is not answered.
func TestAStopDoesNotWaitForTheGroup(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	w.load(30)
	w.drained()
	held := make(chan struct{})
	w.fault(kmsg.JoinGroup, 1, func(kmsg.Request) kmsg.Response {
		close(held)
		w.cluster.SleepControl(func() { <-t.Context().Done() })
		return nil
	})
	other := w.start(func(c *processor.Config) { c.InstanceID = "two" })
	<-held
	w.end(other)
	w.end(m)
}

// TestAnotherChangelogIsNoticed wipes the state under a processor that runs on.
func TestAnotherChangelogIsNoticed(t *testing.T) {
	w := newWorld(t)
	m := w.start(nil)
	w.load(200)
	w.drained()
	admin := kadm.NewClient(w.client)
	if _, err := admin.DeleteTopics(t.Context(), event.TopicState); err != nil {
		t.Fatal(err)
	}
	topics, err := kafka.NewTopics(w.kafka, w.connect())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topics.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.client = w.connect()
	w.sent = nil                                                   // what was before is gone
	w.fault(kmsg.EndTxn, 1, func(req kmsg.Request) kmsg.Response { // a new session must look
		resp := req.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = kerr.TransactionAbortable.Code
		return resp
	})
	w.load(60)
	w.drained()
	w.exact()
	w.end(m)
}

func TestASecondProcessorOfTheSameNameIsNamed(t *testing.T) {
	w := newWorld(t)
	one := w.start(nil)
	<-one.Ready()
	two := w.start(nil)
	select {
	case err := <-one.done:
		if err == nil || !strings.Contains(err.Error(), "instance_id") {
			t.Errorf("the older one returned %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("two processors of one name run side by side")
	}
	w.load(60)
	w.drained()
	w.exact()
	w.end(two)
}

func TestWhatCannotWorkIsRefusedAtStart(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(*world)
		want    string
	}{
		"a topic with another partition count": {func(w *world) {
			w.kafka.Topics.Partitions = partitions + 1
		}, "have 4 partitions on "},
		"a wrong broker address": {func(w *world) {
			w.kafka.Brokers, w.kafka.ConnectTimeout = []string{"127.0.0.1:1"}, 50*time.Millisecond
		}, "kafka.brokers"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tc.prepare(w)
			m := w.start(nil)
			select {
			case err := <-m.done:
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want %q", err, tc.want)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it does not return")
			}
		})
	}
}

func TestTheProcessorSaysWhatTransactionsItFound(t *testing.T) {
	for name, tc := range map[string]struct {
		broker []kfake.Opt
		want   []string
	}{
		"of a new broker": {nil, []string{`level=INFO msg="looked at the transactions of the Kafka cluster" flywheel.transaction.version=2`}},
		"of an old one, with advice": {[]kfake.Opt{kfake.MaxVersions(kversion.V3_6_0())}, []string{
			`level=INFO msg="looked at the transactions of the Kafka cluster" flywheel.transaction.version=0`,
			`level=WARN msg="transactions of the Kafka cluster are old" flywheel.advice=`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tc.broker...)
			var out bytes.Buffer
			log := slog.New(slog.NewTextHandler(&out, nil))
			p, err := processor.New(w.config(), w.kafka, w.static, log, metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider())
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- p.Run(ctx) }()
			select {
			case <-p.Ready():
			case err := <-done:
				t.Fatalf("it returned %v", err)
			case <-time.After(20 * time.Second):
				t.Fatal("it does not begin")
			}
			stop()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			for _, want := range tc.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("it does not say %q but\n%s", want, out.String())
				}
			}
		})
	}
}

func TestTheProcessorSaysThatTheRunBeforeItWasInterrupted(t *testing.T) {
	for name, tc := range map[string]struct {
		before func(*world)
		found  int64
	}{
		"there was none":           {func(*world) {}, 0},
		"it was stopped":           {func(w *world) { m := w.start(nil); w.load(20); w.drained(); w.end(m) }, 0},
		"it was interrupted":       {func(w *world) { w.transact(w.config().Group + "-" + w.config().InstanceID) }, 1},
		"that was somebody else's": {func(w *world) { w.transact(w.config().Group + "-somebody-else")() }, 0},
		"Kafka does not say so": {func(w *world) {
			w.transact(w.config().Group + "-" + w.config().InstanceID)
			w.cluster.ControlKey(int16(kmsg.DescribeTransactions), func(r kmsg.Request) (kmsg.Response, error, bool) {
				w.cluster.KeepControl()
				resp := r.ResponseKind().(*kmsg.DescribeTransactionsResponse)
				for _, id := range r.(*kmsg.DescribeTransactionsRequest).TransactionalIDs {
					resp.TransactionStates = append(resp.TransactionStates, kmsg.DescribeTransactionsResponseTransactionState{
						TransactionalID: id, ErrorCode: kerr.TransactionalIDAuthorizationFailed.Code,
					})
				}
				return resp, nil, true
			})
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tc.before(w)
			m := w.start(nil)
			<-m.Ready()
			if n := told(t, m.reader, "flywheel.processor.interruptions").(metricdata.Sum[int64]).DataPoints[0].Value; n != tc.found {
				t.Errorf("it tells of %d interruptions, want %d", n, tc.found)
			}
			w.load(20)
			w.drained()
			w.exact()
			w.end(m)
		})
	}
}

// outage is a registry that can be down.
type outage struct {
	codec.Registry
	down atomic.Bool
}

func (o *outage) Schema(ctx context.Context, id uint32) (string, error) {
	if o.down.Load() {
		return "", io.ErrUnexpectedEOF
	}
	return o.Registry.Schema(ctx, id)
}

func TestAnUnreachableRegistryDelaysAndLosesNothing(t *testing.T) {
	w := newWorld(t)
	registry := &outage{Registry: w.static}
	registry.down.Store(true)
	said := new(strings.Builder) // read when the processor has ended
	log := slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelInfo}))
	p, err := processor.New(w.config(), w.kafka, registry, log, metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	m := &member{Processor: p, stop: stop, done: make(chan error, 1)}
	go func() { m.done <- p.Run(ctx) }()
	w.load(50)
	<-p.Ready()
	w.eventually("the processor says that it makes no progress", func() bool { return p.Check(t.Context()) != nil })
	if _, committed := w.offsets(); committed != 0 {
		t.Errorf("%d records were passed over while they could not be read", committed)
	}
	registry.down.Store(false)
	w.drained()
	w.eventually("the processor, which commits again, is ready", func() bool { return p.Check(t.Context()) == nil })
	w.exact()
	if letters := w.letters(); len(letters) > 0 {
		t.Errorf("records were refused for the registry's fault: %v", letters)
	}
	w.end(m)
	for _, line := range []string{`level=WARN msg="starting over from the last commit; nothing is lost or applied twice"`, `level=INFO msg="committing again"`} {
		if n := strings.Count(said.String(), line); n != 1 {
			t.Errorf("%s was logged %d times, want once:\n%s", line, n, said)
		}
	}
}

// away is a registry that is not there at first.
func away(t *testing.T, there *atomic.Bool) codec.Registry {
	t.Helper()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if there.Load() {
			w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
			fmt.Fprint(w, `{"subject":"any","version":1,"id":7,"schema":"{}"}`)
			return
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close() // it breaks, whatever this says
	}))
	t.Cleanup(front.Close)
	cfg := codec.DefaultConfig()
	cfg.URLs = []string{front.URL}
	registry, err := codec.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return registry
}

func TestARegistryIsWaitedForAtStart(t *testing.T) {
	for name, comes := range map[string]bool{"it comes": true, "it stays away": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if !comes {
				w.kafka.ConnectTimeout = time.Second
			}
			said, reader, there := new(strings.Builder), metric.NewManualReader(), new(atomic.Bool)
			log := slog.New(slog.NewTextHandler(said, nil)) // read when the processor has ended
			p, err := processor.New(w.config(), w.kafka, away(t, there), log, metric.NewMeterProvider(metric.WithReader(reader)), tracenoop.NewTracerProvider())
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			done := make(chan error, 1)
			go func() { done <- p.Run(ctx) }()
			w.eventually("/readyz says why", func() bool {
				err := p.Check(t.Context())
				return err != nil && strings.Contains(err.Error(), "has not restored its partitions yet: find the newest contract of") && strings.Contains(err.Error(), "http://127.0.0.1:")
			})
			w.eventually("the staleness grows", func() bool { return staleness(t, reader) > .2 })
			there.Store(comes)
			if comes {
				<-p.Ready()
				stop()
			}
			err = <-done
			switch {
			case comes && err != nil:
				t.Error(err)
			case !comes && (err == nil || !strings.Contains(err.Error(), "start it, or set registry.urls") || strings.Contains(err.Error(), "\n")):
				t.Errorf("it ends with %v", err)
			}
			for _, line := range []string{`level=INFO msg="looked at the transactions of the Kafka cluster"`, `level=WARN msg="waiting for the schema registry" error.message="find the newest contract of`} {
				if n := strings.Count(said.String(), line); n != 1 {
					t.Errorf("%s was logged %d times, want once:\n%s", line, n, said)
				}
			}
		})
	}
}

func staleness(t *testing.T, reader *metric.ManualReader) float64 {
	t.Helper()
	return told(t, reader, "flywheel.processor.staleness").(metricdata.Gauge[float64]).DataPoints[0].Value
}

// silences is how many the counter has.
func silences(t *testing.T, reader *metric.ManualReader) int64 {
	t.Helper()
	return told(t, reader, "flywheel.processor.silences").(metricdata.Sum[int64]).DataPoints[0].Value
}

// told is what a metric says at the moment.
func told(t *testing.T, reader *metric.ManualReader, name string) metricdata.Aggregation {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name == name {
				return m.Data
			}
		}
	}
	t.Fatalf("no %s is told", name)
	return nil
}

func TestARestoreThatTakesLongIsStale(t *testing.T) {
	w := newWorld(t)
	back := make(chan struct{})
	w.cluster.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		w.cluster.SleepControl(func() { <-back })
		return nil, nil, false
	})
	m := w.start(nil)
	w.eventually("the staleness grows", func() bool { return staleness(t, m.reader) > .5 })
	close(back)
	<-m.Ready()
	w.eventually("nothing is stale", func() bool { return staleness(t, m.reader) == 0 })
	w.end(m)
}

// TestACommitLastsFromItsFirstDelivery has Kafka stall when results are delivered.
func TestACommitLastsFromItsFirstDelivery(t *testing.T) {
	w := newWorld(t)
	const stall = time.Second
	w.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		w.cluster.SleepControl(func() { time.Sleep(stall) })
		return nil, nil, false
	})
	m := w.start(nil)
	w.load(60)
	w.drained()
	w.end(m)
	longest, _ := told(t, m.reader, "flywheel.processor.commit.duration").(metricdata.Histogram[float64]).DataPoints[0].Max.Value()
	if longest < stall.Seconds() {
		t.Errorf("the longest commit took %v s, want that of a stall, %s", longest, stall)
	}
}

// TestABatchThatIsRefusedForNowDelaysItsTransactionOnly has Kafka take no results at first, as it
// does on a busy broker before the markers of the transaction before are written.
func TestABatchThatIsRefusedForNowDelaysItsTransactionOnly(t *testing.T) {
	w := newWorld(t)
	var refused atomic.Int64
	w.cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		req := r.(*kmsg.ProduceRequest)
		if req.TransactionID == nil || refused.Add(1) > 3 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range req.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, kerr.ConcurrentTransactions.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	m := w.start(func(c *processor.Config) { c.TransactionTimeout = 4 * time.Second }) // less than franz-go waits by itself
	w.load(60)
	w.drained()
	w.exact()
	if n := refused.Load(); n < 4 {
		t.Errorf("results came %d times, want three times in vain", n)
	}
	if n := told(t, m.reader, "flywheel.processor.restarts").(metricdata.Sum[int64]).DataPoints[0].Value; n != 0 {
		t.Errorf("the processor has started over %d times, want not at all", n)
	}
	w.end(m)
}

// deaf is a registry that does not even refuse until it is let go.
type deaf struct {
	codec.Registry
	let chan struct{}
}

func (d *deaf) Schema(ctx context.Context, id uint32) (string, error) {
	<-d.let
	return d.Registry.Schema(ctx, id)
}

func TestAProcessorThatStandsStillSaysWhere(t *testing.T) {
	w := newWorld(t)
	registry := &deaf{w.static, make(chan struct{})}
	cfg := w.config()
	cfg.TransactionTimeout = time.Second // it stands still after two of them
	var log testkit.Log
	p, err := processor.New(cfg, w.kafka, registry, slog.New(slog.NewTextHandler(&log, nil)), metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	m := &member{Processor: p, stop: stop, done: make(chan error, 1)}
	go func() { m.done <- p.Run(ctx) }()
	<-p.Ready()
	if strings.Contains(log.String(), "stands still") {
		t.Errorf("it stands still, and is ready:\n%s", log.String())
	}
	w.load(60)
	w.eventually("it says where", func() bool {
		said := log.String()
		return strings.Contains(said, `msg="the processor stands still; `) && strings.Contains(said, "processor_test.(*deaf).Schema")
	})
	if err := p.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "has been at one transaction for") {
		t.Errorf("/readyz says %v", err)
	}
	close(registry.let)
	w.eventually("it goes on", func() bool { return strings.Contains(log.String(), `msg="the processor goes on"`) })
	w.drained()
	w.exact()
	w.end(m)
}

// TestPartitionsThatAreRestoredFirstAreNotWaitedFor has Kafka give a producer id only when the
// partitions are there.
func TestPartitionsThatAreRestoredFirstAreNotWaitedFor(t *testing.T) {
	w := newWorld(t)
	var restored atomic.Bool
	w.cluster.ControlKey(int16(kmsg.InitProducerID), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		resp := r.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ErrorCode = kerr.ConcurrentTransactions.Code // asked again
		return resp, nil, !restored.Load()
	})
	m := w.start(nil)
	<-m.Ready()
	restored.Store(true)
	w.load(60)
	w.drained()
	w.eventually("nothing is stale", func() bool { return staleness(t, m.reader) == 0 })
	w.end(m)
}

func TestKafkaIsWaitedForAtStart(t *testing.T) {
	w := newWorld(t)
	w.cluster.Close()
	w.kafka.ConnectTimeout = 2 * time.Second
	var log testkit.Log
	reader := metric.NewManualReader()
	p, err := processor.New(w.config(), w.kafka, w.static, slog.New(slog.NewTextHandler(&log, nil)), metric.NewMeterProvider(metric.WithReader(reader)), tracenoop.NewTracerProvider())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(t.Context()) }()
	w.eventually("the staleness grows", func() bool { return staleness(t, reader) > .5 })
	if err := <-done; err == nil || !strings.Contains(err.Error(), "start it, or correct kafka.brokers") {
		t.Errorf("it ends with %v", err)
	}
	if line := `level=WARN msg="kafka does not answer yet; trying on"`; !strings.Contains(log.String(), line) {
		t.Errorf("%s was not logged:\n%s", line, log.String())
	}
}

// TestAStallShorterThanATransactionIsTold has Kafka not tell the ends of the input, as in
// a stall, which ends no session.
func TestAStallShorterThanATransactionIsTold(t *testing.T) {
	w := newWorld(t)
	var log testkit.Log
	reader := metric.NewManualReader()
	p, err := processor.New(w.config(), w.kafka, w.static, slog.New(slog.NewTextHandler(&log, nil)), metric.NewMeterProvider(metric.WithReader(reader)), tracenoop.NewTracerProvider())
	if err != nil {
		t.Fatal(err)
	}
	if n := silences(t, reader); n != 0 {
		t.Errorf("%d silences are counted before the start, want 0", n)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	<-p.Ready()
	// A question that waits would hold up the heartbeats, and end the session.
	var back atomic.Bool
	w.cluster.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		asked := r.(*kmsg.ListOffsetsRequest).Topics
		if ends := asked[0].Partitions[0].Timestamp == -1; !ends || back.Load() {
			return nil, nil, false
		}
		answer := r.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, t := range asked {
			topic := kmsg.ListOffsetsResponseTopic{Topic: t.Topic}
			for _, partition := range t.Partitions {
				topic.Partitions = append(topic.Partitions, kmsg.ListOffsetsResponseTopicPartition{Partition: partition.Partition, ErrorCode: kerr.UnknownServerError.Code})
			}
			answer.Topics = append(answer.Topics, topic)
		}
		return answer, nil, true
	})
	const begins, ends = `level=WARN msg="kafka does not answer for every partition; what was begun waits"`, `level=INFO msg="kafka answers again"`
	w.eventually("it is told", func() bool { return strings.Contains(log.String(), begins) })
	if age := staleness(t, reader); age < 1 {
		t.Errorf("the staleness is %v s, want that of the silence, more than 1", age)
	}
	if err := p.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "the Kafka brokers have not answered for every partition for ") {
		t.Errorf("/readyz says %v", err)
	}
	w.eventually("one silence is counted", func() bool { return silences(t, reader) == 1 }) // after it is told
	back.Store(true)
	w.eventually("the end is told", func() bool { return strings.Contains(log.String(), ends) })
	if err := p.Check(t.Context()); err != nil {
		t.Errorf("Kafka answers, and /readyz says %v", err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, line := range []string{begins, ends} {
		if n := strings.Count(log.String(), line); n != 1 {
			t.Errorf("%s was logged %d times, want once:\n%s", line, n, log.String())
		}
	}
	if strings.Contains(log.String(), "starting over") {
		t.Errorf("the session has ended:\n%s", log.String())
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*processor.Config)
		want   string
	}{
		"no group":                     {func(c *processor.Config) { c.Group = "" }, "group:"},
		"a commit interval too long":   {func(c *processor.Config) { c.CommitInterval = time.Minute }, "commit_interval: 1m0s"},
		"no records in a transaction":  {func(c *processor.Config) { c.CommitRecords = 0 }, "commit_records"},
		"no time for refreshing":       {func(c *processor.Config) { c.RefreshCPUShare = 0 }, "refresh_cpu_share"},
		"a session of no length":       {func(c *processor.Config) { c.SessionTimeout = 0 }, "session_timeout"},
		"a transaction of no length":   {func(c *processor.Config) { c.TransactionTimeout = 0 }, "transaction_timeout"},
		"a rebalance of no length":     {func(c *processor.Config) { c.RebalanceTimeout = 0 }, "rebalance_timeout"},
		"a negative number of workers": {func(c *processor.Config) { c.Workers = -1 }, "workers"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := processor.DefaultConfig()
			tc.change(&cfg)
			_, err := processor.New(cfg, kafka.DefaultConfig(), nil, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider())
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// hang leaves a transaction of somebody else on the changelog open, until it is asked to end it.
func (w *world) hang() (end func()) { return w.transact("other") }

// transact does so under a name.
func (w *world) transact(id string) (end func()) {
	w.t.Helper()
	other := w.connect(kgo.TransactionalID(id), kgo.TransactionTimeout(time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := other.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	for p := range int32(partitions) {
		if err := other.ProduceSync(w.t.Context(), &kgo.Record{Topic: event.TopicState, Partition: p, Key: []byte("k")}).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
	return func() {
		w.t.Helper()
		if err := other.EndTransaction(w.t.Context(), kgo.TryAbort); err != nil {
			w.t.Fatal(err)
		}
	}
}

// unstable has the broker say that a transaction with offsets of the group is open, until it
// is asked to end that.
func (w *world) unstable() (end func()) {
	var over atomic.Bool
	w.cluster.ControlKey(int16(kmsg.OffsetFetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if over.Load() {
			return nil, nil, false
		}
		answer := r.ResponseKind().(*kmsg.OffsetFetchResponse)
		for _, g := range r.(*kmsg.OffsetFetchRequest).Groups {
			group := kmsg.OffsetFetchResponseGroup{Group: g.Group}
			for _, t := range g.Topics {
				topic := kmsg.OffsetFetchResponseGroupTopic{Topic: t.Topic, TopicID: t.TopicID}
				for _, p := range t.Partitions {
					topic.Partitions = append(topic.Partitions, kmsg.OffsetFetchResponseGroupTopicPartition{Partition: p, Offset: -1, ErrorCode: kerr.UnstableOffsetCommit.Code})
				}
				group.Topics = append(group.Topics, topic)
			}
			answer.Groups = append(answer.Groups, group)
		}
		return answer, nil, true
	})
	return func() { over.Store(true) }
}

// TestARestoreThatDoesNotGoOnIsTold has a transaction open that nobody ends, and then ends it.
func TestARestoreThatDoesNotGoOnIsTold(t *testing.T) {
	const (
		ofGroup    = "the group has given no partitions, or not told their offsets: "
		findsGroup = "'kafka-transactions.sh … find-hanging --topic __consumer_offsets'"
		findsState = "'kafka-transactions.sh … describe-producers --topic flywheel.state --partition 0'"
	)
	for name, tc := range map[string]struct {
		open        func(*world) (end func())
		late        bool // it was ready before, and restores because another joins
		want, finds string
	}{
		"on the changelog, of one that begins":               {(*world).hang, false, "the changelog flywheel.state does not go on in the partitions [0 1 2 3]: ", findsState},
		"on the changelog, of one that was ready":            {(*world).hang, true, "the changelog flywheel.state does not go on in the partitions [0 1]: ", findsState},
		"on the offsets of the group, of one that begins":    {(*world).unstable, false, ofGroup, findsGroup},
		"on the offsets of the group, of one that was ready": {(*world).unstable, true, ofGroup, findsGroup},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cfg := w.config()
			cfg.TransactionTimeout = time.Second
			var log testkit.Log
			reader := metric.NewManualReader()
			p, err := processor.New(cfg, w.kafka, w.static, slog.New(slog.NewTextHandler(&log, nil)), metric.NewMeterProvider(metric.WithReader(reader)), tracenoop.NewTracerProvider())
			if err != nil {
				t.Fatal(err)
			}
			w.load(60)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			run := func() { done <- p.Run(ctx) }
			others := []*member{}
			var end func()
			if tc.late {
				go run()
				w.drained()
				w.eventually("it is ready", func() bool { return p.Check(t.Context()) == nil })
				end = tc.open(w)
				others = append(others, w.start(func(c *processor.Config) { c.InstanceID, c.TransactionTimeout = "two", time.Second }))
			} else {
				end = tc.open(w)
				go run()
			}
			w.eventually("it is told what does not go on, and how to find why", func() bool {
				err := p.Check(t.Context())
				return err != nil && strings.Contains(err.Error(), tc.want) && strings.Contains(err.Error(), tc.finds) &&
					strings.Contains(log.String(), `level=WARN msg="partitions are not restored" error.message="restoring has not gone on for `)
			})
			if age := staleness(t, reader); age < 1 {
				t.Errorf("the staleness is %v s, want that of the restore, more than 1", age)
			}
			w.load(60)
			end()
			w.drained()
			for _, m := range append(others, &member{Processor: p}) {
				w.eventually("it is ready again", func() bool { return m.Check(t.Context()) == nil })
			}
			w.eventually("the end is told", func() bool { return strings.Contains(log.String(), `level=INFO msg="restoring goes on"`) })
			w.exact()
			for _, m := range others {
				w.end(m)
			}
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
