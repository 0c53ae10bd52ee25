package main

import (
	"context"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"flywheel/pkg/run"
	"flywheel/pkg/telemetry"
	"flywheel/services/demo"
)

func newDemo(env *environment) *cobra.Command {
	var report string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play simulated brands through the whole pipeline in one process, and check the sums",
		Long: "Play simulated brands through the whole pipeline in one process, and check the sums: Kafka,\n" +
			"schema registry, ClickHouse, processor, sink and simulator. It fills in four weeks, plays on in\n" +
			"accelerated event time that ends at the present, and shows for each brand what is found beside\n" +
			"what was planted. In the end it holds ClickHouse against the ledger of what was sent: the exit\n" +
			"status is 0 only if nothing was lost or doubled and every sum is right. Each demo starts from\n" +
			"empty, in the folder demo of embedded.data_dir. Ctrl-C stops it, without a verdict.",
		Args: noArguments(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return env.demo(cmd.Context(), report) },
	}
	playFlags(cmd, "for", "brands", "rate", "speed")
	cmd.Flags().StringVar(&report, "report", "", "write the report to this file, as JSON (default report.json in the data folder)")
	return cmd
}

func (e *environment) demo(ctx context.Context, report string) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	screen := demo.NewScreen(e.stdout)
	logs := e.stderr
	if screen.Terminal() && isTerminal(e.stderr) {
		logs = screen // so that lines of the log do not tear the table
		if cfg.Telemetry.Log.Format == telemetry.FormatAuto {
			cfg.Telemetry.Log.Format = telemetry.FormatText
		}
	}
	if cfg.Telemetry.Log.Level > slog.LevelDebug {
		cfg.Telemetry.Log.Level = max(cfg.Telemetry.Log.Level, slog.LevelWarn)
	}
	t, err := telemetry.New(cfg.Telemetry, telemetry.Service{Name: "flywheel-demo", Version: version}, logs)
	if err != nil {
		return err
	}
	d, err := demo.New(cfg.Demo, demo.Parts{
		Embedded: cfg.Embedded, Targets: cfg.targets(), Processor: cfg.Processor, Sink: cfg.Sink, Simulator: cfg.Simulator,
	}, report, os.Args[0], screen, t.Logger(), t.MeterProvider(), t.TracerProvider())
	if err != nil {
		return usageError{err}
	}
	return d.Run(ctx, run.Unit{Name: "telemetry", Run: t.Run, Ready: t.Ready()})
}

// isTerminal says whether a stream is one.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
