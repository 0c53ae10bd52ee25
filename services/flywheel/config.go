package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/config"
	"flywheel/pkg/embedded"
	"flywheel/pkg/kafka"
	"flywheel/pkg/setup"
	"flywheel/pkg/telemetry"
	"flywheel/services/demo"
	"flywheel/services/processor"
	"flywheel/services/simulator"
	"flywheel/services/sink"
)

// Config is the whole configuration: one field for each component that has one.
// The keys and their documentation are declared beside the component.
type Config struct {
	Telemetry  telemetry.Config  `yaml:",inline"`
	Kafka      kafka.Config      `yaml:"kafka" doc:"The Kafka cluster that carries the events."`
	Registry   codec.Config      `yaml:"registry" doc:"The schema registry that holds the contracts."`
	ClickHouse clickhouse.Config `yaml:"clickhouse" doc:"The ClickHouse that holds the answers."`
	Embedded   embedded.Config   `yaml:"embedded" doc:"The engines that run in the process itself, for trying out and for tests."`
	Processor  processor.Config  `yaml:"processor" doc:"The service that turns events into answers."`
	Simulator  simulator.Config  `yaml:"simulator" doc:"The play of brands with planted truth."`
	Sink       sink.Config       `yaml:"sink" doc:"The service that carries records into ClickHouse."`
	Demo       demo.Config       `yaml:"demo" doc:"The demo: all of it in one process."`
}

// DefaultConfig returns the defaults of every component.
func DefaultConfig() Config {
	return Config{
		Telemetry:  telemetry.DefaultConfig(),
		Kafka:      kafka.DefaultConfig(),
		Registry:   codec.DefaultConfig(),
		ClickHouse: clickhouse.DefaultConfig(),
		Embedded:   embedded.DefaultConfig(),
		Processor:  processor.DefaultConfig(),
		Simulator:  simulator.DefaultConfig(),
		Demo:       demo.DefaultConfig(),
		Sink:       sink.DefaultConfig(),
	}
}

// targets returns how the three engines are reached.
func (c Config) targets() setup.Targets {
	return setup.Targets{Kafka: c.Kafka, Registry: c.Registry, ClickHouse: c.ClickHouse}
}

func newConfig(env *environment) *cobra.Command {
	return group("config", "Print and check the configuration", newConfigPrint(env), newConfigCheck(env))
}

func newConfigPrint(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "print",
		Short: "Print every key with its meaning, its value and where the value came from",
		Args:  noArguments(""),
		RunE: func(*cobra.Command, []string) error {
			cfg, from, err := env.load()
			if err != nil {
				return err
			}
			return config.Print(env.stdout, cfg, from)
		},
	}
}

func newConfigCheck(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the configuration: exit 0 if it is valid, 2 with what is wrong if not",
		Args:  noArguments(""),
		RunE: func(*cobra.Command, []string) error {
			cfg, from, err := env.load()
			if err != nil {
				return err
			}
			if _, err := cfg.Processor.Prior(); err != nil {
				return usageError{err}
			}
			_, err = fmt.Fprintf(env.stdout, "the configuration is valid; keys set by file, environment and flags: %d\n", len(from))
			return err
		},
	}
}
