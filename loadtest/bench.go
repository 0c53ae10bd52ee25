package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"flywheel/loadtest/bench"
)

func newBench() *cobra.Command {
	cfg := bench.Config{}
	var brokers []string
	var file string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure processor, sink and the way through both with the load FLYWHEEL-72",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			for _, b := range brokers {
				cfg.Brokers = append(cfg.Brokers, bench.Broker(b))
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
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&brokers, "brokers", []string{"embedded", "apache"}, "where to measure")
	flags.IntSliceVar(&cfg.Brands, "brands", []int{1_000, 10_000, 100_000}, "numbers of brands")
	flags.IntVar(&cfg.Events, "events", 4_000_000, "records of each backlog")
	flags.StringVar(&cfg.Binary, "binary", "", "flywheel to measure; empty builds it")
	flags.StringVar(&cfg.CacheDir, "cache", ".cache", "folder that Apache Kafka and the registry are installed in")
	flags.StringVar(&file, "report", "build/bench.json", "file to write to")
	return cmd
}
