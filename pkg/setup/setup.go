// Package setup makes Kafka, the schema registry and ClickHouse ready for the
// pipeline: topics, contracts, tables. Everything here may be run again at any
// time; what is there already stays as it is.
package setup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"go.opentelemetry.io/otel/metric"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/embedded"
	"flywheel/pkg/kafka"
)

// Targets says how the three are reached.
type Targets struct {
	Kafka      kafka.Config
	Registry   codec.Config
	ClickHouse clickhouse.Config
}

// Done is what there is now, and in each entry whether it is new.
type Done struct {
	Topics     []kafka.TopicState
	Contracts  []codec.Registration
	Migrations []clickhouse.Migration // only what was applied just now
}

// Embedded makes started engines ready and returns how they are reached. An
// engine that is switched off is left as base has it, and alone.
func Embedded(ctx context.Context, e *embedded.Engines, base Targets, logger *slog.Logger, meters metric.MeterProvider) (Targets, Done, error) {
	t, done := point(e, base), Done{}
	var err error
	if e.KafkaAddr() != "" {
		if done.Topics, err = Topics(ctx, t.Kafka, logger, meters); err != nil {
			return t, done, err
		}
	}
	if e.RegistryURL() != "" {
		if done.Contracts, err = Contracts(ctx, t.Registry); err != nil {
			return t, done, err
		}
	}
	if e.ClickHouseAddr() != "" {
		if done.Migrations, err = clickhouse.Migrate(ctx, t.ClickHouse); err != nil {
			return t, done, explainFull(err, e.Config().DataDir)
		}
	}
	return t, done, nil
}

// codeNotEnoughSpace is ClickHouse's code for a full disk.
const codeNotEnoughSpace = 243

// explainFull says what to do when ClickHouse had no space for its tables.
func explainFull(err error, dir string) error {
	var refused *driver.Exception
	if errors.As(err, &refused) && refused.Code == codeNotEnoughSpace {
		return fmt.Errorf("the disk of the data folder %q is full: free some space or set embedded.data_dir to another disk: %w", dir, err)
	}
	return err
}

// point returns base with the engines in place of what it names. Security is
// left out: the engines have none of it but ClickHouse's password.
func point(e *embedded.Engines, base Targets) Targets {
	if addr := e.KafkaAddr(); addr != "" {
		k := kafka.DefaultConfig()
		k.Brokers, k.Topics.Partitions = []string{addr}, base.Kafka.Topics.Partitions
		base.Kafka = k
	}
	if url := e.RegistryURL(); url != "" {
		r := codec.DefaultConfig()
		r.URLs = []string{url}
		base.Registry = r
	}
	if addr := e.ClickHouseAddr(); addr != "" {
		c, engines := clickhouse.DefaultConfig(), e.Config()
		c.Addresses = []string{addr}
		c.Database, c.User, c.Password = engines.ClickHouseDatabase, engines.ClickHouseUser, engines.ClickHousePassword
		base.ClickHouse = c
	}
	return base
}

// Topics creates the topics that are missing and checks all of them. The
// states are complete, and returned with the error, when only the check fails.
func Topics(ctx context.Context, cfg kafka.Config, logger *slog.Logger, meters metric.MeterProvider) ([]kafka.TopicState, error) {
	return topics(ctx, cfg, logger, meters, (*kafka.Topics).Apply)
}

// CheckTopics reports what Topics would create or refuse.
func CheckTopics(ctx context.Context, cfg kafka.Config, logger *slog.Logger, meters metric.MeterProvider) ([]kafka.TopicState, error) {
	return topics(ctx, cfg, logger, meters, (*kafka.Topics).Check)
}

func topics(ctx context.Context, cfg kafka.Config, logger *slog.Logger, meters metric.MeterProvider,
	do func(*kafka.Topics, context.Context) ([]kafka.TopicState, error),
) ([]kafka.TopicState, error) {
	client, err := kafka.Connect(ctx, cfg, logger, meters)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	t, err := kafka.NewTopics(cfg, client)
	if err != nil {
		return nil, err
	}
	states, err := do(t, ctx)
	if err != nil {
		return states, err
	}
	_, advice, err := t.TransactionVersion(ctx)
	if err != nil {
		return states, err
	}
	if advice != "" {
		logger.WarnContext(ctx, "transactions of the Kafka cluster are old", slog.String("flywheel.advice", advice))
	}
	return states, nil
}

// Contracts registers the contracts that the registry lacks. What was done is
// returned with the error.
func Contracts(ctx context.Context, cfg codec.Config) ([]codec.Registration, error) {
	return contracts(ctx, cfg, (*codec.Client).Register)
}

// CheckContracts reports what Contracts would register or refuse.
func CheckContracts(ctx context.Context, cfg codec.Config) ([]codec.Registration, error) {
	return contracts(ctx, cfg, (*codec.Client).Check)
}

func contracts(ctx context.Context, cfg codec.Config, do func(*codec.Client, context.Context) ([]codec.Registration, error)) ([]codec.Registration, error) {
	client, err := codec.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return do(client, ctx)
}
