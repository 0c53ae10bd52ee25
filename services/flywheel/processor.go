package main

import (
	"context"

	"github.com/spf13/cobra"

	"flywheel/pkg/codec"
	"flywheel/pkg/run"
	"flywheel/pkg/telemetry"
	"flywheel/services/processor"
)

func newProcessor(env *environment) *cobra.Command {
	var until catchUp
	cmd := &cobra.Command{
		Use:   "processor",
		Short: "Turn channel events into correlations, credits and spikes, exactly once",
		Long: "Turn channel events into correlations, credits and spikes, exactly once: results, refused\n" +
			"records, the state's changelog and the input's offsets are committed together. The state is\n" +
			"restored before anything is consumed; /readyz says when. Several processors share the\n" +
			"partitions; each needs a processor.instance_id of its own. Ctrl-C stops it after a last commit.\n" +
			"With --until-caught-up it ends once everything is processed that Kafka held at the start, and\n" +
			"every result of it is published; --report FILE then says what was done and what it cost. One\n" +
			"that the group has no partition for waits until the others have caught up.",
		Args: noArguments(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return env.serve(cmd.Context(), "processor", func(cfg Config, t *telemetry.Telemetry) ([]run.Unit, error) {
				registry, err := codec.NewClient(cfg.Registry)
				if err != nil {
					return nil, usageError{err}
				}
				p, err := processor.New(cfg.Processor, cfg.Kafka, registry, t.Logger(), t.MeterProvider(), t.TracerProvider())
				if err != nil {
					return nil, usageError{err}
				}
				t.AddCheck("processor", p.Check)
				unit, err := until.unit(run.Unit{Name: "processor", Run: p.Run, Ready: p.Ready()},
					func(ctx context.Context) (any, error) { return p.CatchUp(ctx) })
				return []run.Unit{unit}, err
			})
		},
	}
	until.flags(cmd)
	return cmd
}
