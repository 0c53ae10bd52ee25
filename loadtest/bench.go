package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"flywheel/loadtest/bench"
	"flywheel/loadtest/stage"
)

func newBench() *cobra.Command {
	cfg := bench.Config{}
	var brokers []string
	var file, table, note string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure processor, sink and the way through both with the load FLYWHEEL-72",
		Long: "Measure processor, sink and the way through both with the load FLYWHEEL-72: what a backlog\n" +
			"costs and how fast it is drained, what a restart after kill −9 takes, what the state and its\n" +
			"changelog take, and how long an event needs to ClickHouse. Every process is measured by\n" +
			"itself; all of them share the machine. The report is written as JSON, and as a table beside\n" +
			"the floors and targets.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			for _, b := range brokers {
				cfg.Brokers = append(cfg.Brokers, stage.Broker(b))
			}
			cfg.Out = cmd.ErrOrStderr()
			if cfg.Dir, err = os.MkdirTemp("", "flywheel-bench-*"); err != nil {
				return fmt.Errorf("create a folder for the data: %w", err)
			}
			defer func() { err = errors.Join(err, os.RemoveAll(cfg.Dir)) }()
			if cfg.Binary == "" {
				cfg.Binary = filepath.Join(cfg.Dir, "flywheel")
				if out, err := exec.CommandContext(cmd.Context(), "go", "build", "-o", cfg.Binary, "flywheel/services/flywheel").CombinedOutput(); err != nil {
					return fmt.Errorf("build flywheel: %w\n%s", err, out)
				}
			}
			report, err := bench.Measure(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if report.Machine.Note = note; note == "" && (cmd.Flags().Changed("events") || cmd.Flags().Changed("repeat")) {
				report.Machine.Note = "Other events or repeats than the whole bench has: not comparable with it."
			}
			text, err := json.MarshalIndent(report, "", "  ")
			if err == nil {
				err = os.MkdirAll(filepath.Dir(file), 0o750)
			}
			if err == nil {
				err = os.WriteFile(file, append(text, '\n'), 0o640)
			}
			if err != nil {
				return fmt.Errorf("write the report: %w", err)
			}
			if table == "" {
				return nil
			}
			if err := os.WriteFile(table, []byte(report.Table()), 0o640); err != nil {
				return fmt.Errorf("write the table: %w", err)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&brokers, "brokers", []string{"embedded", "apache"}, "where to measure")
	flags.IntSliceVar(&cfg.Brands, "brands", []int{1_000, 10_000, 100_000}, "numbers of brands")
	flags.IntVar(&cfg.Events, "events", 4_000_000, "records of each backlog")
	flags.IntVar(&cfg.Repeat, "repeat", 3, "times that each backlog is measured, an odd number: told are the median cost and the slowest restart")
	flags.DurationVar(&cfg.Live, "live", time.Minute, "how long events are played as they come, for the latency; 0 leaves it out")
	flags.Float64Var(&cfg.Rate, "rate", 0, "of them a second; 0 takes half of what processor and sink drain side by side")
	flags.BoolVar(&cfg.Month, "month", true, "measure 30 days of the fewest brands as well")
	flags.StringVar(&cfg.Binary, "binary", "", "flywheel to measure; empty builds it")
	flags.StringVar(&cfg.CacheDir, "cache", ".cache", "folder that Apache Kafka and the registry are installed in")
	flags.StringVar(&file, "report", "build/bench.json", "file to write to")
	flags.StringVar(&table, "table", "", "file to write the table of the figures to, such as loadtest/BASELINE.md")
	flags.StringVar(&note, "note", "", "what else is to be known of the machine, such as that it was busy")
	return cmd
}
