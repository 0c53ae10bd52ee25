package embedded_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sr"
	"go.uber.org/goleak"

	"flywheel/pkg/embedded"
)

// without returns a configuration on free ports with only the named engines.
func without(dir string, change func(*embedded.Config)) embedded.Config {
	config := embedded.DefaultConfig()
	config.DataDir, config.KafkaPort, config.RegistryPort, config.ClickHousePort = dir, 0, 0, 0
	config.ClickHouse = false // one engine a process, and testkit runs it
	if change != nil {
		change(&config)
	}
	return config
}

func start(t *testing.T, config embedded.Config, options ...embedded.Option) *embedded.Engines {
	t.Helper()
	e, err := embedded.New(config, append([]embedded.Option{embedded.WithLogger(slog.New(slog.DiscardHandler))}, options...)...)
	must(t, err)
	must(t, e.Start(t.Context()))
	t.Cleanup(func() { must(t, e.Close(context.Background())) })
	return e
}

func TestEnginesStopWithoutALeak(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	e, err := embedded.New(without(t.TempDir(), nil))
	must(t, err)
	must(t, e.Start(t.Context()))
	must(t, e.Close(t.Context()))
}

func TestKafkaSpeaksCurrentTransactions(t *testing.T) {
	e := start(t, without(t.TempDir(), nil))
	client := kafkaClient(t, e)
	response, err := kmsg.NewPtrApiVersionsRequest().RequestWith(t.Context(), client)
	must(t, err)
	levels := map[string]int16{}
	for _, f := range response.FinalizedFeatures {
		levels[f.Name] = f.MaxVersionLevel
	}
	if levels["transaction.version"] != 2 {
		t.Errorf("transaction.version is %d, not 2", levels["transaction.version"])
	}
}

// TestKafkaNeverCompacts guards against what kfake loses when it does.
func TestKafkaNeverCompacts(t *testing.T) {
	e := start(t, without(t.TempDir(), nil))
	configs, err := kadm.NewClient(kafkaClient(t, e)).DescribeBrokerConfigs(t.Context())
	must(t, err)
	for _, broker := range configs {
		for _, c := range broker.Configs {
			if c.Key != "log.cleaner.backoff.ms" {
				continue
			}
			if ms, err := strconv.ParseInt(c.MaybeValue(), 10, 64); err != nil || time.Duration(ms)*time.Millisecond < 365*24*time.Hour {
				t.Errorf("it compacts every %s ms", c.MaybeValue())
			}
			return
		}
	}
	t.Error("the broker does not say when it compacts")
}

func TestKafkaKeepsItsDataBetweenRuns(t *testing.T) {
	dir := t.TempDir()
	e := start(t, without(dir, nil))
	admin := kadm.NewClient(kafkaClient(t, e))
	_, err := admin.CreateTopic(t.Context(), 3, 1, nil, "kept")
	must(t, err)
	producer := kafkaClient(t, e, kgo.TransactionalID("tx"), kgo.DefaultProduceTopic("kept"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for _, c := range []struct {
		value string
		end   kgo.TransactionEndTry
	}{{"committed", kgo.TryCommit}, {"aborted", kgo.TryAbort}, {"committed too", kgo.TryCommit}} {
		must(t, producer.BeginTransaction())
		must(t, producer.ProduceSync(t.Context(), &kgo.Record{Value: []byte(c.value), Partition: 1}).FirstErr())
		must(t, producer.EndTransaction(t.Context(), c.end))
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset("kept", 1, 2, -1)
	must(t, admin.CommitAllOffsets(t.Context(), "group", offsets))
	producer.Close()
	must(t, e.Close(context.Background()))

	e = start(t, without(dir, nil))
	if e.KafkaWiped() {
		t.Fatal("a clean stop was taken for a crash")
	}
	if got, want := readCommitted(t, e, "kept", 1, 2), []string{"committed", "committed too"}; !slices.Equal(got, want) {
		t.Errorf("after the restart: %q", got)
	}
	committed, err := kadm.NewClient(kafkaClient(t, e)).FetchOffsets(t.Context(), "group")
	must(t, err)
	if at, ok := committed.Lookup("kept", 1); !ok || at.At != 2 {
		t.Errorf("the group's offset is %+v", at)
	}
}

func TestKafkaDiscardsTheDataOfACrash(t *testing.T) {
	running, crashed := t.TempDir(), t.TempDir()
	e := start(t, without(running, nil))
	_, err := kadm.NewClient(kafkaClient(t, e)).CreateTopic(t.Context(), 1, 1, nil, "lost")
	must(t, err)
	must(t, kafkaClient(t, e).ProduceSync(t.Context(), &kgo.Record{Topic: "lost", Value: []byte("x")}).FirstErr())
	must(t, os.CopyFS(filepath.Join(crashed, "kafka"), os.DirFS(filepath.Join(running, "kafka")))) // what SIGKILL leaves

	var log bytes.Buffer
	e = start(t, without(crashed, nil), embedded.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	if !e.KafkaWiped() || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("wiped %t, log %q", e.KafkaWiped(), log.String())
	}
	topics, err := kadm.NewClient(kafkaClient(t, e)).ListTopics(t.Context())
	must(t, err)
	if topics.Has("lost") {
		t.Error("the topic survived")
	}
}

func TestRegistryChecksCompatibility(t *testing.T) {
	e := start(t, without(t.TempDir(), nil))
	client, err := sr.NewClient(sr.URLs(e.RegistryURL()))
	must(t, err)
	ctx := t.Context()
	v1 := `{"type":"record","name":"r","fields":[{"name":"a","type":"string"}]}`
	withDefault := `{"type":"record","name":"r","fields":[{"name":"a","type":"string"},{"name":"b","type":"long","default":0}]}`
	withoutDefault := `{"type":"record","name":"r","fields":[{"name":"a","type":"string"},{"name":"b","type":"long"}]}`
	empty := `{"type":"record","name":"r","fields":[]}`
	otherType := `{"type":"record","name":"r","fields":[{"name":"a","type":"int"}]}`
	for _, c := range []struct {
		name   string
		level  string // of the subject; "" leaves the global one, BACKWARD
		old    []string
		schema string
		status int
	}{
		{"the first version of anything", "", nil, v1, 200},
		{"the same again", "", []string{v1}, v1, 200},
		{"a new field with a default", "", []string{v1}, withDefault, 200},
		{"a new field without a default", "", []string{v1}, withoutDefault, 409},
		{"a removed field", "", []string{v1}, empty, 200},
		{"another type", "", []string{v1}, otherType, 409},
		{"forward: a new field without a default", "FORWARD", []string{v1}, withoutDefault, 200},
		{"forward: a removed field", "FORWARD", []string{v1}, empty, 409},
		{"full: a new field with a default", "FULL", []string{v1}, withDefault, 200},
		{"full: a removed field", "FULL", []string{v1}, empty, 409},
		{"none: another type", "NONE", []string{v1}, otherType, 200},
		{"backward looks at the last version only", "", []string{otherType, empty}, v1, 409},
		{"transitive looks at all", "BACKWARD_TRANSITIVE", []string{v1, empty}, `{"type":"record","name":"r","fields":[{"name":"a","type":"int","default":0}]}`, 409},
		{"not transitive does not", "BACKWARD", []string{v1, empty}, `{"type":"record","name":"r","fields":[{"name":"a","type":"int","default":0}]}`, 200},
		{"no schema at all", "", nil, `{"type":"nothing"}`, 422},
		{"half a schema", "", nil, `{"type":"record"`, 422},
	} {
		t.Run(c.name, func(t *testing.T) {
			subject := t.Name()
			if c.level != "" {
				var level sr.CompatibilityLevel
				must(t, level.UnmarshalText([]byte(c.level)))
				must(t, client.SetCompatibility(ctx, sr.SetCompatibility{Level: level}, subject)[0].Err)
			}
			for _, old := range c.old {
				_, err := client.CreateSchema(ctx, subject, sr.Schema{Schema: old})
				must(t, err)
			}
			if len(c.old) > 0 && c.status != 422 {
				answer, err := client.CheckCompatibility(ctx, subject, -1, sr.Schema{Schema: c.schema})
				must(t, err)
				if last := !strings.HasPrefix(c.name, "transitive"); last && answer.Is != (c.status == 200) {
					t.Errorf("the check says %t: %v", answer.Is, answer.Messages)
				}
			}
			body, err := json.Marshal(map[string]string{"schema": c.schema})
			must(t, err)
			response, err := http.Post(e.RegistryURL()+"/subjects/"+strings.ReplaceAll(subject, "/", "%2F")+"/versions", "application/vnd.schemaregistry.v1+json", bytes.NewReader(body))
			must(t, err)
			defer response.Body.Close()
			answer, err := io.ReadAll(response.Body)
			must(t, err)
			if response.StatusCode != c.status || c.status == 409 && !bytes.Contains(answer, []byte(`"error_code":409`)) || c.status == 422 && !bytes.Contains(answer, []byte(`"error_code":42201`)) {
				t.Errorf("status %d: %s", response.StatusCode, answer)
			}
		})
	}
}

func TestRegistryKeepsIdsAndLevelsBetweenRuns(t *testing.T) {
	dir := t.TempDir()
	ctx := t.Context()
	e := start(t, without(dir, nil))
	client, err := sr.NewClient(sr.URLs(e.RegistryURL()))
	must(t, err)
	before := map[string]int{}
	for i, subject := range []string{"a", "b", "c/d e"} {
		created, err := client.CreateSchema(ctx, subject, sr.Schema{Schema: fmt.Sprintf(`{"type":"fixed","name":"f","size":%d}`, i+1)})
		must(t, err)
		before[subject] = created.ID
	}
	must(t, client.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatFull}, "b")[0].Err)
	_, err = client.DeleteSubject(ctx, "a", sr.SoftDelete)
	must(t, err)
	delete(before, "a")
	must(t, e.Close(ctx))
	journal, err := os.OpenFile(filepath.Join(dir, "registry", "journal.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = journal.WriteString(`{"method":"DEL`) // a crash in the middle of a change
	must(t, err)
	must(t, journal.Close())

	e = start(t, without(dir, nil))
	client, err = sr.NewClient(sr.URLs(e.RegistryURL()))
	must(t, err)
	after := map[string]int{}
	subjects, err := client.Subjects(ctx)
	must(t, err)
	for _, subject := range subjects {
		s, err := client.SchemaByVersion(ctx, subject, -1)
		must(t, err)
		after[subject] = s.ID
	}
	if !maps.Equal(before, after) {
		t.Errorf("ids were %v, are %v", before, after)
	}
	if level := client.Compatibility(ctx, "b")[0]; level.Err != nil || level.Level != sr.CompatFull {
		t.Errorf("the level is %v, %v", level.Level, level.Err)
	}
	created, err := client.CreateSchema(ctx, "new", sr.Schema{Schema: `"double"`})
	must(t, err)
	if created.ID != 4 {
		t.Errorf("the next id is %d", created.ID)
	}
}

func TestStartNamesWhatIsInTheWay(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	inUse := t.TempDir()
	start(t, without(inUse, nil))
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for name, c := range map[string]struct {
		config embedded.Config
		want   string
	}{
		"a taken Kafka port":         {without(t.TempDir(), func(c *embedded.Config) { c.KafkaPort = port }), fmt.Sprintf("port %d for the embedded Kafka is already taken: stop what uses it, or set embedded.kafka_port", port)},
		"a taken registry port":      {without(t.TempDir(), func(c *embedded.Config) { c.RegistryPort = port }), "set embedded.registry_port"},
		"a taken ClickHouse port":    {without(t.TempDir(), func(c *embedded.Config) { c.ClickHouse, c.ClickHousePort = true, port }), "set embedded.clickhouse_port"},
		"a data folder in use":       {without(inUse, nil), "is in use by process"},
		"a data folder that is none": {without(file, nil), "set embedded.data_dir to a folder you may write"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := embedded.New(c.config, embedded.WithLogger(slog.New(slog.DiscardHandler)))
			must(t, err)
			err = e.Start(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			must(t, e.Close(t.Context()))
		})
	}
}

func TestNewReportsEverySettingThatCannotWork(t *testing.T) {
	_, err := embedded.New(embedded.Config{KafkaPort: -1, RegistryPort: 70000, ClickHouse: true, ClickHouseUser: "u", ClickHouseDatabase: "d"})
	for _, want := range []string{"data_dir", "kafka_port", "registry_port", "clickhouse_password"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in %v", want, err)
		}
	}
}

func kafkaClient(t *testing.T, e *embedded.Engines, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(e.KafkaAddr())}, options...)...)
	must(t, err)
	t.Cleanup(client.Close)
	return client
}

func readCommitted(t *testing.T, e *embedded.Engines, topic string, partition int32, n int) (values []string) {
	t.Helper()
	client := kafkaClient(t, e, kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))
	for len(values) < n {
		fetches := client.PollFetches(t.Context())
		must(t, fetches.Err())
		for _, r := range fetches.Records() {
			values = append(values, string(r.Value))
		}
	}
	return values
}

func TestKafkaTellsItsClientsAnotherPort(t *testing.T) {
	elsewhere, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer elsewhere.Close()
	want := elsewhere.Addr().String()
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	port := free.Addr().(*net.TCPAddr).Port
	must(t, free.Close())
	e := start(t, without(t.TempDir(), func(c *embedded.Config) {
		c.KafkaPort, c.KafkaAdvertised = port, elsewhere.Addr().(*net.TCPAddr).Port
	}))
	if e.KafkaAddr() != want {
		t.Errorf("KafkaAddr is %s, want %s", e.KafkaAddr(), want)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(fmt.Sprintf("127.0.0.1:%d", port)))
	must(t, err)
	defer client.Close()
	brokers, err := kadm.NewClient(client).ListBrokers(t.Context())
	must(t, err)
	if len(brokers) != 1 || fmt.Sprintf("%s:%d", brokers[0].Host, brokers[0].Port) != want {
		t.Errorf("the broker calls itself %v, want %s", brokers, want)
	}
}
