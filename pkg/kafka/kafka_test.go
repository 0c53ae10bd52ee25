package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"

	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
)

func cluster(t testing.TB, opts ...kfake.Opt) (*kfake.Cluster, kafka.Config) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cfg := kafka.DefaultConfig()
	cfg.Brokers = c.ListenAddrs()
	cfg.Topics.Partitions = 4
	return c, cfg
}

func connect(t testing.TB, cfg kafka.Config, extra ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kafka.Connect(t.Context(), cfg, slog.New(slog.DiscardHandler), noop.NewMeterProvider(), extra...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func topics(t testing.TB, cfg kafka.Config, client *kgo.Client) *kafka.Topics {
	t.Helper()
	topics, err := kafka.NewTopics(cfg, client)
	if err != nil {
		t.Fatal(err)
	}
	return topics
}

func TestApplyCreatesWhatIsMissingOnce(t *testing.T) {
	_, cfg := cluster(t)
	tp := topics(t, cfg, connect(t, cfg))
	if _, err := tp.Check(t.Context()); err == nil || !strings.Contains(err.Error(), `topics "channel.tiktok", "channel.amazon", "channel.shopify" and 9 more are missing on `) {
		t.Errorf("check of an empty cluster: %v", err)
	}
	for round, wantCreated := range []bool{true, false} {
		states, err := tp.Apply(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range states {
			if s.Created != wantCreated || s.Partitions != 4 || s.Policy != s.Cleanup {
				t.Errorf("round %d: %+v", round, s)
			}
		}
	}
	if _, err := tp.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestInputIsDatedByTheBroker looks at the topics whose times are judged.
func TestInputIsDatedByTheBroker(t *testing.T) {
	_, cfg := cluster(t)
	client := connect(t, cfg)
	if _, err := topics(t, cfg, client).Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{event.TopicAmazon: "LogAppendTime", event.TopicCalendar: "LogAppendTime", event.TopicState: "CreateTime", event.TopicCredit: "CreateTime"}
	configs, err := kadm.NewClient(client).DescribeTopicConfigs(t.Context(), slices.Collect(maps.Keys(want))...)
	if err != nil {
		t.Fatal(err)
	}
	for topic, by := range want {
		c, err := configs.On(topic, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range c.Configs {
			if kv.Key == "message.timestamp.type" && kv.MaybeValue() != by {
				t.Errorf("topic %q is dated by %s, want %s", topic, kv.MaybeValue(), by)
			}
		}
		if !slices.ContainsFunc(c.Configs, func(kv kadm.Config) bool { return kv.Key == "message.timestamp.type" }) {
			t.Errorf("topic %q does not say how it is dated", topic)
		}
	}
}

func TestTopicsThatDoNotFitAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		topic      string
		partitions int32
		policy     string
		want       string
	}{
		"another partition count of a co-partitioned topic": {event.TopicAmazon, 3, "delete", `topic "channel.amazon" has 3 partitions on `},
		"a changelog that forgets":                          {event.TopicState, 4, "delete", `has cleanup.policy "delete", want "compact"`},
		"a result topic may have any count":                 {event.TopicCredit, 7, "delete", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, cfg := cluster(t)
			client := connect(t, cfg)
			if _, err := kadm.NewClient(client).CreateTopic(t.Context(), tc.partitions, 1,
				map[string]*string{"cleanup.policy": &tc.policy}, tc.topic); err != nil {
				t.Fatal(err)
			}
			_, err := topics(t, cfg, client).Apply(t.Context())
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one sentence with %q", err, tc.want)
			}
		})
	}
}

func TestApplyWaitsUntilNewTopicsAreTold(t *testing.T) {
	for name, tc := range map[string]struct {
		answers int // without the topics
		timeout time.Duration
		want    string
	}{
		"a broker that tells of them a little later": {3, time.Minute, ""},
		"a broker that never tells of them":          {math.MaxInt, 10 * time.Millisecond, `topic "channel.tiktok" was created on `},
	} {
		t.Run(name, func(t *testing.T) {
			c, cfg := cluster(t)
			client := connect(t, cfg)
			var created atomic.Bool
			c.ControlKey(int16(kmsg.CreateTopics), func(kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				created.Store(true)
				return nil, nil, false
			})
			var hidden atomic.Int64
			c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				r := req.(*kmsg.MetadataRequest)
				if !created.Load() || len(r.Topics) < 2 || hidden.Load() == int64(tc.answers) {
					return nil, nil, false
				}
				hidden.Add(1)
				resp := r.ResponseKind().(*kmsg.MetadataResponse)
				for _, topic := range r.Topics {
					resp.Topics = append(resp.Topics, kmsg.MetadataResponseTopic{Topic: topic.Topic, ErrorCode: kerr.UnknownTopicOrPartition.Code})
				}
				return resp, nil, true
			})
			cfg.ConnectTimeout = tc.timeout
			_, err := topics(t, cfg, client).Apply(t.Context())
			if tc.want == "" && (err != nil || hidden.Load() != int64(tc.answers)) {
				t.Errorf("after %d looks: %v", hidden.Load(), err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestOldTransactionsAreWarnedOf(t *testing.T) {
	_, cfg := cluster(t)
	level, advice, err := topics(t, cfg, connect(t, cfg)).TransactionVersion(t.Context())
	if err != nil || level != 2 || advice != "" {
		t.Errorf("a new broker: %d, %q, %v", level, advice, err)
	}
	_, cfg = cluster(t, kfake.MaxVersions(kversion.V3_6_0()))
	level, advice, err = topics(t, cfg, connect(t, cfg)).TransactionVersion(t.Context())
	if err != nil || level != 0 || !strings.Contains(advice, "transaction.version 0") {
		t.Errorf("an old broker: %d, %q, %v", level, advice, err)
	}
}

func TestAnUnreachableBrokerIsNamedInBoundedTime(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	_ = free.Close()
	cfg := kafka.DefaultConfig()
	cfg.Brokers, cfg.ConnectTimeout = []string{addr}, 100*time.Millisecond
	var out bytes.Buffer
	_, err = kafka.Connect(t.Context(), cfg, slog.New(slog.NewTextHandler(&out, nil)), noop.NewMeterProvider())
	if err == nil || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "kafka.brokers") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(out.String(), "kafka does not answer yet") {
		t.Errorf("no warning: %s", out.String())
	}
}

func TestProducerKeepsABrandTogether(t *testing.T) {
	_, cfg := cluster(t)
	client := connect(t, cfg, kgo.ConsumeTopics(event.TopicTikTok, event.TopicAmazon), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if _, err := topics(t, cfg, client).Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := kafka.NewProducer(t.Context(), cfg, slog.New(slog.DiscardHandler), noop.NewMeterProvider())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
	}))
	brands := []string{"acme", "bolt", "cask", "dune", "echo", "fern"}
	var failed error
	for _, b := range brands {
		for _, topic := range []string{event.TopicTikTok, event.TopicAmazon} {
			if err := p.Produce(ctx, topic, b, []byte("x"), func(err error) { failed = errors.Join(failed, err) }); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(p.Flush(t.Context()), failed); err != nil {
		t.Fatal(err)
	}
	partitions := map[string]map[int32]bool{}
	for seen := 0; seen < 2*len(brands); {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			seen++
			if partitions[string(r.Key)] == nil {
				partitions[string(r.Key)] = map[int32]bool{}
			}
			partitions[string(r.Key)][r.Partition] = true
			if len(r.Headers) != 1 || r.Headers[0].Key != "traceparent" {
				t.Errorf("headers %v lack the trace", r.Headers)
			}
		})
	}
	used := map[int32]bool{}
	for b, ps := range partitions {
		if len(ps) != 1 {
			t.Errorf("brand %s lies in partitions %v", b, ps)
		}
		for p := range ps {
			used[p] = true
		}
	}
	if len(used) < 2 {
		t.Errorf("six brands share partitions %v: the key is not hashed", used)
	}
}

func TestProducerRefusesWhatNobodyWouldRead(t *testing.T) {
	_, cfg := cluster(t)
	p, err := kafka.NewProducer(t.Context(), cfg, slog.New(slog.DiscardHandler), noop.NewMeterProvider())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	never := func(error) { t.Error("done was called for a record that was refused") }
	if err := p.Produce(t.Context(), event.TopicTikTok, "acme", make([]byte, event.RecordBytesMax+1), never); !errors.Is(err, kafka.ErrOversized) {
		t.Errorf("an oversized value: %v", err)
	}
	if err := p.Produce(t.Context(), event.TopicTikTok, "", nil, never); err == nil {
		t.Error("a record without a brand was taken")
	}
	var got error
	if err := p.Produce(t.Context(), "no.such.topic", "acme", nil, func(err error) { got = err }); err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got == nil || !strings.Contains(got.Error(), `produce to "no.such.topic" for brand "acme"`) {
		t.Errorf("a record that cannot be delivered: %v", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(garbage, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*kafka.Config)
		want   string
	}{
		"no broker":                 {func(c *kafka.Config) { c.Brokers = nil }, "brokers: give at least one"},
		"an address without a port": {func(c *kafka.Config) { c.Brokers = []string{"kafka"} }, `"kafka" is not an address`},
		"no time to connect":        {func(c *kafka.Config) { c.ConnectTimeout = 0 }, "connect_timeout: 0s"},
		"an endless buffer":         {func(c *kafka.Config) { c.BufferRecords = 1 << 30 }, "buffer_records"},
		"an unknown mechanism":      {func(c *kafka.Config) { c.SASL.Mechanism = "gssapi" }, `"gssapi" is unknown`},
		"a user without mechanism":  {func(c *kafka.Config) { c.SASL.User = "me" }, "no mechanism"},
		"a mechanism without user":  {func(c *kafka.Config) { c.SASL.Mechanism = "plain" }, "user: is empty"},
		"certificates without TLS":  {func(c *kafka.Config) { c.TLS.CAFile = garbage }, "TLS is off"},
		"a certificate file that holds none": {func(c *kafka.Config) {
			c.TLS.Enabled, c.TLS.CAFile = true, garbage
		}, "holds no certificate"},
		"half a key pair": {func(c *kafka.Config) { c.TLS.Enabled, c.TLS.CertFile = true, garbage }, "go together"},
		"no partitions":   {func(c *kafka.Config) { c.Topics.Partitions = 0 }, "partitions: 0"},
		"no replicas":     {func(c *kafka.Config) { c.Topics.Replication = 0 }, "replication: 0"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := kafka.DefaultConfig()
			tc.change(&cfg)
			_, err := kafka.Options(cfg, slog.New(slog.DiscardHandler), noop.NewMeterProvider())
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	if _, err := kafka.Options(kafka.DefaultConfig(), slog.New(slog.DiscardHandler), noop.NewMeterProvider()); err != nil {
		t.Error(err)
	}
}

func TestSASLAuthenticates(t *testing.T) {
	for _, mechanism := range []string{"plain", "scram-sha-256", "scram-sha-512"} {
		t.Run(mechanism, func(t *testing.T) {
			_, cfg := cluster(t, kfake.EnableSASL(), kfake.Superuser(strings.ToUpper(mechanism), "me", "secret"))
			cfg.SASL = kafka.SASLConfig{Mechanism: mechanism, User: "me", Password: "secret"}
			connect(t, cfg)
			if shown := fmt.Sprintf("%+v", cfg); strings.Contains(shown, "secret") {
				t.Errorf("the configuration shows its password: %s", shown)
			}
			cfg.SASL.Password, cfg.ConnectTimeout = "wrong", 100*time.Millisecond
			if _, err := kafka.Connect(t.Context(), cfg, slog.New(slog.DiscardHandler), noop.NewMeterProvider()); err == nil {
				t.Error("a wrong password was let in")
			}
		})
	}
}

func TestWhatFailsOnTheWayIsTriedAgain(t *testing.T) {
	away := &net.OpError{Op: "dial", Err: &os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}}
	for name, c := range map[string]struct {
		errs    []error
		timeout time.Duration
		tries   int
		want    error
	}{
		"a broker that starts":      {[]error{away, io.EOF, nil}, time.Minute, 3, nil},
		"what a broker has said":    {[]error{kerr.TopicAuthorizationFailed}, time.Minute, 1, kerr.TopicAuthorizationFailed},
		"a broker that stays away":  {[]error{away}, 0, 1, away},
		"what was well at once":     {[]error{nil}, time.Minute, 1, nil},
		"a refusal after an outage": {[]error{fmt.Errorf("list the topics: %w", away), kerr.GroupAuthorizationFailed}, time.Minute, 2, kerr.GroupAuthorizationFailed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg, tries := kafka.DefaultConfig(), 0
				cfg.ConnectTimeout = c.timeout
				err := kafka.Persist(t.Context(), cfg, func(context.Context) error {
					tries++
					return c.errs[tries-1]
				})
				if tries != c.tries || !errors.Is(err, c.want) {
					t.Errorf("%d tries and %v, want %d and %v", tries, err, c.tries, c.want)
				}
			})
		})
	}
	t.Run("a stop meanwhile", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		err := kafka.Persist(ctx, kafka.DefaultConfig(), func(context.Context) error {
			stop()
			return away
		})
		if !errors.Is(err, context.Canceled) || !errors.Is(err, away) {
			t.Errorf("%v does not say that it was stopped, and meanwhile by what it was held up", err)
		}
	})
}
