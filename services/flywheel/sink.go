package main

import (
	"context"

	"github.com/spf13/cobra"

	"flywheel/pkg/codec"
	"flywheel/pkg/run"
	"flywheel/pkg/telemetry"
	"flywheel/services/sink"
)

func newSink(env *environment) *cobra.Command {
	var until catchUp
	cmd := &cobra.Command{
		Use:   "sink",
		Short: "Carry every record of Kafka's topics into its ClickHouse table",
		Long: "Carry every record of Kafka's topics into its ClickHouse table: in batches, each offset\n" +
			"committed only once ClickHouse has acknowledged the row. It waits for ClickHouse, at start\n" +
			"and later; /readyz says so. Several sinks share the work. Ctrl-C stops it after the last\n" +
			"rows. With --until-caught-up it ends once everything is written that Kafka held at the start;\n" +
			"--report FILE then says what was done and what it cost. One that the group has no partition\n" +
			"for waits until the others have caught up.",
		Args: noArguments(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return env.serve(cmd.Context(), "sink", func(cfg Config, t *telemetry.Telemetry) ([]run.Unit, error) {
				registry, err := codec.NewClient(cfg.Registry)
				if err != nil {
					return nil, usageError{err}
				}
				s, err := sink.New(cfg.Sink, cfg.Kafka, cfg.ClickHouse, registry, t.Logger(), t.MeterProvider(), t.TracerProvider())
				if err != nil {
					return nil, usageError{err}
				}
				t.AddCheck("sink", s.Check)
				unit, err := until.unit(run.Unit{Name: "sink", Run: s.Run, Ready: s.Ready()},
					func(ctx context.Context) (any, error) { return s.CatchUp(ctx) })
				return []run.Unit{unit}, err
			})
		},
	}
	until.flags(cmd)
	return cmd
}
