package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"flywheel/loadtest/chaos"
	"flywheel/loadtest/stage"
)

// errFailed says that a play has found something; it has said what.
var errFailed = errors.New("an oracle failed")

func newChaos() *cobra.Command {
	cfg := chaos.Config{}
	var broker, cache, dir string
	var only, first []string
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Play one seed: kill, stop and cut off processes, and check that nothing is missing",
		Long: "Play one seed: a world of known truth goes through two processors and a sink while they,\n" +
			"Kafka and ClickHouse are killed, stopped and cut off. What happens follows from the seed. In\n" +
			"the end every event must have one effect or one reason, every result must be that of a batch\n" +
			"over the raw tables, and no money may be missing. The report is printed as JSON.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			cfg.Broker, cfg.Out, cfg.CacheDir = stage.Broker(broker), cmd.ErrOrStderr(), cache
			if cfg.Only, err = chaos.ParseKinds(only...); err != nil {
				return err
			}
			if slices.Equal(first, []string{"all"}) {
				cfg.First = chaos.Kinds(cfg.Broker, cfg.Nodes)
			} else if cfg.First, err = chaos.ParseKinds(first...); err != nil {
				return err
			}
			if err := cfg.Validate(); err != nil {
				return err
			}
			bin, err := os.MkdirTemp("", "flywheel-binary-*")
			if err != nil {
				return fmt.Errorf("create a folder for the binary: %w", err)
			}
			defer func() { err = errors.Join(err, os.RemoveAll(bin)) }()
			if cfg.Binary, err = stage.Build(cmd.Context(), bin); err != nil {
				return err
			}
			if cfg.Dir = dir; dir == "" {
				if cfg.Dir, err = os.MkdirTemp("", "flywheel-chaos-*"); err != nil {
					return fmt.Errorf("create a folder for the play: %w", err)
				}
			}
			planned := cfg.Report()
			fmt.Fprintf(cfg.Out, "it is played again by '%s'\n", planned.Again())
			report, err := chaos.Run(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			out := json.NewEncoder(cmd.OutOrStdout())
			out.SetIndent("", "  ")
			if err := out.Encode(report); err != nil {
				return fmt.Errorf("print the report: %w", err)
			}
			if len(report.Failures) > 0 {
				return errFailed
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&cfg.Seed, "seed", 1, "what happens, and when")
	flags.StringVar(&broker, "broker", string(stage.Embedded), "the Kafka to play on: embedded or apache")
	flags.IntVar(&cfg.Nodes, "nodes", 1, "nodes of Apache Kafka, 1 to 5")
	flags.IntVar(&cfg.Rate, "rate", chaos.RateUsual, "records per second of the backfill; the lower, the longer the play")
	flags.BoolVar(&cfg.Replay, "replay", false, "in the end, delete the state and process the whole input again")
	flags.DurationVar(&cfg.Away, "away", 0, "keep ClickHouse away for so long from the beginning")
	flags.StringSliceVar(&only, "only", nil, "faults to draw from, such as 'zombie'; none takes all")
	flags.StringSliceVar(&first, "first", nil, "faults that come before all others, such as 'lose a leader'; 'all' has each come once before any comes twice")
	flags.StringVar(&cache, "cache", ".cache", "folder that Apache Kafka and the registry are installed in")
	flags.StringVar(&dir, "dir", "", "folder of data and logs; kept if something fails; empty takes one in the system's")
	return cmd
}
