package main

import (
	"flywheel/pkg/codec"
	"flywheel/pkg/run"
	"flywheel/pkg/telemetry"
	"flywheel/services/processor"

	"github.com/spf13/cobra"
)

func newProcessor(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "processor",
		Short: "Turn channel events into correlations, credits and spikes, exactly once",
		Long: "Turn channel events into correlations, credits and spikes, exactly once: results, refused\n" +
			"records, the state's changelog and the input's offsets are committed together. The state is\n" +
			"restored before anything is consumed; /readyz says when. Several processors share the\n" +
			"partitions; each needs a processor.instance_id of its own. Ctrl-C stops it after a last commit.",
		Args: cobra.NoArgs,
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
				return []run.Unit{{Name: "processor", Run: p.Run, Ready: p.Ready()}}, nil
			})
		},
	}
}
