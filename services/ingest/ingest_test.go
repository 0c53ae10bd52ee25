package ingest

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/otel/metric/noop"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/pkg/testkit"
)

func stimulus() Config { return Config{BrandID: "acme", As: Stimulus, Content: "video"} }

func response() Config {
	return Config{BrandID: "acme", As: Response, Content: "searches", Query: "acme pans"}
}

func static(t testing.TB) *codec.Static {
	t.Helper()
	r, err := codec.NewStatic()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// cluster has one partition a topic, so that the order can be told.
func cluster(t testing.TB) (*kfake.Cluster, kafka.Config) {
	t.Helper()
	c := testkit.Kafka(t, kfake.SeedTopics(1, event.TopicTikTok, event.TopicAmazon))
	cfg := kafka.DefaultConfig()
	cfg.Brokers = c.ListenAddrs()
	return c, cfg
}

func newIngest(t testing.TB, cfg Config, s *Series, to kafka.Config, opts ...kgo.Opt) *Ingest {
	t.Helper()
	i, err := New(cfg, s, to, static(t), slog.New(slog.DiscardHandler), noop.NewMeterProvider(), nil, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// consume returns every record of a topic, decoded. Each is valid.
func consume(t testing.TB, c *kfake.Cluster, topic string) []event.Record {
	t.Helper()
	client := testkit.KafkaClient(t, c, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	decoder, err := codec.NewDecoder(static(t))
	if err != nil {
		t.Fatal(err)
	}
	var records []event.Record
	for int64(len(records)) < end.Offset {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			r := iter.Next()
			value, err := decoder.Decode(t.Context(), topic, r.Value)
			if err != nil {
				t.Fatal(err)
			}
			// The decoder writes into the same struct again.
			kept := reflect.New(reflect.TypeOf(value).Elem())
			kept.Elem().Set(reflect.ValueOf(value).Elem())
			record := kept.Interface().(event.Record)
			if err := record.Validate(); err != nil || string(r.Key) != record.Head().BrandID {
				t.Fatalf("key %q of %+v: %v", r.Key, record, err)
			}
			records = append(records, record)
		}
	}
	return records
}

// words writes records as short lines.
func words(records []event.Record) []string {
	var lines []string
	for _, r := range records {
		at := time.UnixMilli(r.Head().OccurredAtMs).UTC().Format("15:04:05")
		switch r := r.(type) {
		case *event.TikTokContentPublished:
			lines = append(lines, fmt.Sprintf("%s published %s", at, r.ContentID))
		case *event.TikTokContentStatistics:
			lines = append(lines, fmt.Sprintf("%s %d views", at, r.Views))
		case *event.AmazonSearchReport:
			lines = append(lines, fmt.Sprintf("%s %d searches in %d min for %s", at, r.Volume, r.PeriodMinutes, r.Query))
		}
	}
	return lines
}

const gappy = "timestamp,value\n2015-02-26 21:42:53,10\n2015-02-26 21:47:53,0\n2015-02-26 21:52:53,5\n2015-02-26 22:07:53,7\n"

func TestAStimulusBecomesCumulativeViews(t *testing.T) {
	c, to := cluster(t)
	i := newIngest(t, stimulus(), open(t, gappy), to)
	if err := i.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	records := consume(t, c, event.TopicTikTok)
	want := []string{
		"21:42:53 published video", "21:47:53 10 views", "21:52:53 10 views", "21:57:53 15 views",
		"22:07:53 15 views", // nothing was gained in the gap
		"22:12:53 22 views",
	}
	if diff := cmp.Diff(want, words(records)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if s := i.Summary(); !s.Complete || s.Acknowledged != 6 || s.Rows != 4 || s.Topic != event.TopicTikTok {
		t.Errorf("the summary says %+v", s)
	}
	for _, r := range records {
		if h := r.Head(); h.BrandID != "acme" || h.Source != "mentions.stimulus.video" || h.NaturalKey != "video" {
			t.Errorf("header %+v", h)
		}
	}
}

func TestAResponseBecomesSearchesByQuarterHour(t *testing.T) {
	c, to := cluster(t)
	if err := newIngest(t, response(), open(t, gappy), to).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"21:30:00 10 searches in 15 min for acme pans", "21:45:00 5 searches in 15 min for acme pans", "22:00:00 7 searches in 15 min for acme pans",
	}
	if diff := cmp.Diff(want, words(consume(t, c, event.TopicAmazon))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestTheSpacingOfAResponseMustBeAReport(t *testing.T) {
	for spacing, want := range map[time.Duration]time.Duration{
		time.Second: quarter, 5 * time.Minute: quarter, quarter: quarter, 30 * time.Minute: 30 * time.Minute, time.Hour: time.Hour,
		24 * time.Hour: 24 * time.Hour, 7 * 24 * time.Hour: 7 * 24 * time.Hour,
		2 * time.Minute: 0, 7 * time.Minute: 0, 20 * time.Minute: 0, 2 * time.Hour: 0, 48 * time.Hour: 0,
	} {
		got, err := period(spacing)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %s, %v, want %s", spacing, got, err, want)
		}
	}
	s := open(t, "timestamp,value\n2015-02-26 20:00:00,1\n2015-02-26 22:00:00,1\n")
	_, err := New(response(), s, kafka.DefaultConfig(), static(t), slog.New(slog.DiscardHandler), noop.NewMeterProvider(), nil)
	if err == nil || !strings.Contains(err.Error(), "s.csv: the series has a value every 2h0m0s: branded searches come by") {
		t.Errorf("got %v", err)
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no brand":            {func(c *Config) { c.BrandID = "" }, "--brand: is 0 bytes long, want 1 to 256"},
		"an unknown role":     {func(c *Config) { c.As = "cause" }, `--as: "cause" is neither stimulus nor response`},
		"no content":          {func(c *Config) { c.Content = "" }, `--content: "" is no name`},
		"a control character": {func(c *Config) { c.Content = "a\nb" }, `--content: "a\nb" is no name`},
		"a backward speed":    {func(c *Config) { c.Speed = -1 }, "--speed: -1 is no speed"},
	} {
		c := stimulus()
		tc.change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	if err := errors.Join(stimulus().Validate(), response().Validate()); err != nil {
		t.Error(err)
	}
}

// TestTheSameFileTwiceIsTheSameEvents: ids and versions follow from the file,
// so what is downstream counts each once.
func TestTheSameFileTwiceIsTheSameEvents(t *testing.T) {
	for _, cfg := range []Config{stimulus(), response()} {
		c, to := cluster(t)
		for range 2 {
			if err := newIngest(t, cfg, open(t, gappy), to).Run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		records := consume(t, c, cfg.topic())
		half := len(records) / 2
		ids := map[event.ID]bool{}
		for n, r := range records[:half] {
			ids[r.Head().EventID] = true
			again := records[half+n]
			again.Head().ObservedAtMs = r.Head().ObservedAtMs
			if diff := cmp.Diff(r, again); diff != "" {
				t.Errorf("the second time (-first +second):\n%s", diff)
			}
		}
		if len(ids) != half {
			t.Errorf("%d records of the %s have %d ids", half, cfg.As, len(ids))
		}
	}
}

// TestRealSeriesArriveWhole compares with a count that shares no code.
func TestRealSeriesArriveWhole(t *testing.T) {
	const path = "../../../shared/data/mentions/KO.csv"
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("../shared/data is not there")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var total int64
	perQuarter := map[int64]int64{}
	for _, row := range rows[1:] {
		v, err := strconv.ParseInt(row[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.DateTime, row[0])
		if err != nil {
			t.Fatal(err)
		}
		total += v
		perQuarter[at.Unix()/900] += v
	}

	c, to := cluster(t)
	for _, cfg := range []Config{stimulus(), response()} {
		s, err := Open(path, now)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := newIngest(t, cfg, s, to).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	views := consume(t, c, event.TopicTikTok)
	if got := views[len(views)-1].(*event.TikTokContentStatistics).Views; got != total || len(views) != len(rows) {
		t.Errorf("%d views in %d records, want %d in %d", got, len(views), total, len(rows))
	}
	got := map[int64]int64{}
	for _, r := range consume(t, c, event.TopicAmazon) {
		got[r.Head().OccurredAtMs/900_000] += r.(*event.AmazonSearchReport).Volume
	}
	if diff := cmp.Diff(perQuarter, got); diff != "" {
		t.Errorf("searches by quarter (-want +got):\n%s", diff)
	}
}

// delivered is a producer that delivers at once, and remembers when.
func delivered(log *[]string) func(context.Context, string, string, []byte, func(error)) error {
	begin := time.Now()
	return func(_ context.Context, _, _ string, _ []byte, done func(error)) error {
		*log = append(*log, time.Since(begin).String())
		done(nil)
		return nil
	}
}

func withEncoder(t testing.TB, i *Ingest) *Ingest {
	t.Helper()
	var err error
	if i.encoder, err = codec.NewEncoder(t.Context(), i.registry, i.cfg.topic()); err != nil {
		t.Fatal(err)
	}
	return i
}

func TestSpeedIsAMultipleOfTheSeriesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := stimulus()
		cfg.Speed = 60
		i := withEncoder(t, newIngest(t, cfg, open(t, gappy), kafka.DefaultConfig()))
		var log []string
		if err := i.stream(t.Context(), delivered(&log)); err != nil {
			t.Fatal(err)
		}
		want := []string{"0s", "5s", "10s", "15s", "25s", "30s"}
		if diff := cmp.Diff(want, log); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestCtrlCInTheMiddleEndsAtOnceAndTellsHowFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := stimulus()
		cfg.Speed = 1
		i := withEncoder(t, newIngest(t, cfg, open(t, gappy), kafka.DefaultConfig()))
		ctx, cancel := context.WithTimeout(t.Context(), 11*time.Minute)
		defer cancel()
		begin := time.Now()
		var log []string
		if err := i.stream(ctx, delivered(&log)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begin); took != 11*time.Minute {
			t.Errorf("it ended after %s", took)
		}
		if s := i.Summary(); s.Complete || s.Rows != 2 || s.Acknowledged != 3 {
			t.Errorf("the summary says %+v", s)
		}
	})
}

func TestCtrlCFlushesWhatIsOnItsWay(t *testing.T) {
	c, to := cluster(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg := stimulus()
	cfg.Speed = 1 // the second row is minutes away
	i := newIngest(t, cfg, open(t, gappy), to)
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cancel() // while the first record is on its way
		return nil, nil, false
	})
	if err := i.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if s := i.Summary(); s.Complete || s.Acknowledged != 1 {
		t.Errorf("the summary says %+v", s)
	}
	if got := words(consume(t, c, event.TopicTikTok)); len(got) != 1 {
		t.Errorf("arrived: %v", got)
	}
	// The same command again completes it: what arrived before has the same id.
	again := newIngest(t, stimulus(), open(t, gappy), to)
	if err := again.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	ids := map[event.ID]bool{}
	records := consume(t, c, event.TopicTikTok)
	for _, r := range records {
		ids[r.Head().EventID] = true
	}
	if len(ids) != 6 || len(records) != 7 {
		t.Errorf("%d events in %d records, want 6 in 7", len(ids), len(records))
	}
}

func TestARecordThatKafkaRefusesEndsTheRun(t *testing.T) {
	c, to := cluster(t)
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := r.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range r.(*kmsg.ProduceRequest).Topics {
			answer := kmsg.NewProduceResponseTopic()
			answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				partition := kmsg.NewProduceResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, kerr.TopicAuthorizationFailed.Code
				answer.Partitions = append(answer.Partitions, partition)
			}
			resp.Topics = append(resp.Topics, answer)
		}
		return resp, nil, true
	})
	err := newIngest(t, stimulus(), open(t, gappy), to).Run(t.Context())
	if !errors.Is(err, kerr.TopicAuthorizationFailed) || !strings.Contains(err.Error(), "0 records have arrived, then one did not") || !strings.Contains(err.Error(), "run the same command again") {
		t.Errorf("got %v", err)
	}
}
