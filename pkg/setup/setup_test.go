package setup_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/metric/noop"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/embedded"
	"flywheel/pkg/kafka"
	"flywheel/pkg/setup"
)

func start(t *testing.T, change func(*embedded.Config)) *embedded.Engines {
	t.Helper()
	cfg := embedded.DefaultConfig()
	cfg.DataDir, cfg.KafkaPort, cfg.RegistryPort, cfg.ClickHousePort = t.TempDir(), 0, 0, 0
	change(&cfg)
	e, err := embedded.New(cfg, embedded.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

// elsewhere is a configuration of external servers.
func elsewhere() setup.Targets {
	t := setup.Targets{Kafka: kafka.DefaultConfig(), Registry: codec.DefaultConfig(), ClickHouse: clickhouse.DefaultConfig()}
	t.Kafka.Brokers, t.Kafka.Topics.Partitions, t.Kafka.Topics.Replication = []string{"kafka.invalid:9092"}, 3, 3
	t.Kafka.SASL = kafka.SASLConfig{Mechanism: "plain", User: "me", Password: "secret"}
	t.Registry.URLs, t.Registry.User = []string{"http://registry.invalid"}, "me"
	t.ClickHouse.Addresses, t.ClickHouse.Protocol, t.ClickHouse.Cluster = []string{"clickhouse.invalid:9000"}, "native", "replicas"
	return t
}

func prepare(t *testing.T, e *embedded.Engines) (setup.Targets, setup.Done) {
	t.Helper()
	targets, done, err := setup.Embedded(t.Context(), e, elsewhere(), slog.New(slog.DiscardHandler), noop.NewMeterProvider())
	if err != nil {
		t.Fatal(err)
	}
	return targets, done
}

func TestEmbeddedEnginesAreReadyAfterOneCallAndUntouchedByTheNext(t *testing.T) {
	e := start(t, func(c *embedded.Config) {
		c.ClickHouseUser, c.ClickHousePassword, c.ClickHouseDatabase = "ada", "hush", "answers"
	})
	targets, done := prepare(t, e)
	for _, s := range done.Topics {
		if !s.Created || s.Partitions != 3 {
			t.Errorf("the first time: %+v", s)
		}
	}
	for _, r := range done.Contracts {
		if !r.Created {
			t.Errorf("the first time: %+v", r)
		}
	}
	if len(done.Migrations) == 0 || len(done.Topics) == 0 || len(done.Contracts) == 0 {
		t.Errorf("the first time: %+v", done)
	}

	// The targets reach the engines, with nothing of the external servers' security.
	if _, err := setup.CheckTopics(t.Context(), targets.Kafka, slog.New(slog.DiscardHandler), noop.NewMeterProvider()); err != nil {
		t.Error(err)
	}
	if _, err := setup.CheckContracts(t.Context(), targets.Registry); err != nil {
		t.Error(err)
	}
	conn, err := clickhouse.Open(t.Context(), targets.ClickHouse)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := clickhouse.Check(t.Context(), conn, targets.ClickHouse); err != nil {
		t.Error(err)
	}
	if targets.ClickHouse.Database != "answers" {
		t.Errorf("the tables are in database %q", targets.ClickHouse.Database)
	}

	_, again := prepare(t, e)
	if len(again.Migrations) > 0 {
		t.Errorf("the second time: %v", again.Migrations)
	}
	for i := range done.Topics {
		done.Topics[i].Created = false
	}
	for i := range done.Contracts {
		done.Contracts[i].Created = false
	}
	done.Migrations = nil
	if diff := cmp.Diff(done.Topics, again.Topics); diff != "" {
		t.Errorf("topics (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(done.Contracts, again.Contracts); diff != "" {
		t.Errorf("contracts (-want +got):\n%s", diff)
	}
}

func TestAnEngineThatIsOffIsLeftAlone(t *testing.T) {
	e := start(t, func(c *embedded.Config) { c.Kafka, c.ClickHouse = false, false })
	targets, done := prepare(t, e)
	want := elsewhere()
	if diff := cmp.Diff(want.Kafka, targets.Kafka); diff != "" {
		t.Errorf("Kafka (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.ClickHouse, targets.ClickHouse); diff != "" {
		t.Errorf("ClickHouse (-want +got):\n%s", diff)
	}
	if targets.Registry.URLs[0] != e.RegistryURL() || targets.Registry.User != "" {
		t.Errorf("the registry is %+v", targets.Registry)
	}
	if len(done.Topics)+len(done.Migrations) > 0 || len(done.Contracts) == 0 {
		t.Errorf("done: %+v", done)
	}
}

func TestTopicsThatDoNotFitComeWithTheirStates(t *testing.T) {
	e := start(t, func(c *embedded.Config) { c.ClickHouse = false })
	targets, _ := prepare(t, e)
	targets.Kafka.Topics.Partitions = 5
	states, err := setup.Topics(t.Context(), targets.Kafka, slog.New(slog.DiscardHandler), noop.NewMeterProvider())
	if err == nil || !strings.Contains(err.Error(), "set kafka.topics.partitions to 3") || len(states) == 0 {
		t.Errorf("%d states, %v", len(states), err)
	}
}
