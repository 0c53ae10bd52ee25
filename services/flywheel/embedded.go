package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/embedded"
	"flywheel/pkg/run"
	"flywheel/pkg/setup"
	"flywheel/pkg/telemetry"
)

// enginesCloseTimeout bounds how long running queries may go on after Ctrl-C.
const enginesCloseTimeout = 15 * time.Second

func newEmbedded(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "embedded",
		Short: "Run Kafka, schema registry and ClickHouse in this process, ready for use by hand",
		Long: "Run Kafka, schema registry and ClickHouse in this process, ready for use by hand: topics,\n" +
			"contracts and tables are there when it says so. The other commands find the engines by the\n" +
			"defaults of the configuration. Data are kept in ./data (embedded.data_dir). Ctrl-C stops it.",
		Args: noArguments(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return env.serve(cmd.Context(), "embedded", func(cfg Config, t *telemetry.Telemetry) ([]run.Unit, error) {
				engines, err := embedded.New(cfg.Embedded, embedded.WithLogger(t.Logger()), embedded.WithProgress(env.stderr))
				if err != nil {
					return nil, usageError{err}
				}
				return []run.Unit{{Name: "embedded engines", Run: func(ctx context.Context) error {
					return env.runEmbedded(ctx, cfg, t, engines)
				}}}, nil
			})
		},
	}
}

// runEmbedded serves the engines until ctx ends.
func (e *environment) runEmbedded(ctx context.Context, cfg Config, t *telemetry.Telemetry, engines *embedded.Engines) (err error) {
	if err := engines.Start(ctx); err != nil {
		return err
	}
	defer func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), enginesCloseTimeout)
		defer cancel()
		if stopped := engines.Close(drain); err == nil {
			err = stopped
		}
	}()
	targets, done, err := setup.Embedded(ctx, engines, cfg.targets(), t.Logger(), t.MeterProvider())
	if err != nil {
		return err
	}
	e.welcome(engines, targets, done)
	<-ctx.Done()
	fmt.Fprintln(e.stdout, "\nStopping: saving Kafka's data and letting queries finish.")
	return nil
}

// welcome tells where the engines are and what to do with them.
func (e *environment) welcome(engines *embedded.Engines, t setup.Targets, done setup.Done) {
	kafka, registry, server, cfg := engines.KafkaAddr(), engines.RegistryURL(), engines.ClickHouseURL(), engines.Config()
	password := clickhouse.Shown(cfg.ClickHousePassword)
	say := func(format string, args ...any) { fmt.Fprintf(e.stdout, format+"\n", args...) }
	say("The embedded engines are ready; they listen on this machine only.\n")
	if kafka != "" {
		say("  Kafka            %-24s %d topics of %d partitions", kafka, len(done.Topics), t.Kafka.Topics.Partitions)
	}
	if registry != "" {
		say("  schema registry  %-24s %d contracts", registry, len(done.Contracts))
	}
	if server != "" {
		say("  ClickHouse       %-24s database %s, user %s, password %s; HTTP only, no native protocol",
			server, cfg.ClickHouseDatabase, cfg.ClickHouseUser, password)
	}
	say("  data             %s\n", cfg.DataDir)
	say("Try, in another terminal:\n")
	if server != "" {
		say("  curl -u %s:%s '%s' -d 'SELECT name, comment FROM system.tables WHERE database = currentDatabase() FORMAT PrettyCompact'", cfg.ClickHouseUser, password, server)
	}
	if registry != "" {
		say("  curl -s %s/subjects", registry)
	}
	if kafka != "" {
		say("  kcat -b %s -L", kafka)
	}
	say("\nCtrl-C stops them; the data stay.")
}
