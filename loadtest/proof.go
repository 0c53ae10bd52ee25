package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"flywheel/loadtest/proof"
	"flywheel/loadtest/smalldisk"
)

func newProof() *cobra.Command {
	var cfg proof.Config
	cmd := &cobra.Command{
		Use:   "proof",
		Short: "Gather the evidence that nothing is lost and nothing doubled: plays, simulation, mutants",
		Long: "Gather the evidence that nothing is lost and nothing doubled: seeds of the simulation, mutants\n" +
			"that it must catch, and plays on both brokers until so many processes were killed. What is\n" +
			"gathered is kept in the folder as it comes, so that --resume goes on with it; proof.json says\n" +
			"what it adds up to. It fails if an oracle failed or a mutant survived.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Out, cfg.Disks = cmd.ErrOrStderr(), smalldisk.Entitled()
			p, err := proof.Run(cmd.Context(), cfg)
			if p.Commit != "" {
				out := json.NewEncoder(cmd.OutOrStdout())
				out.SetIndent("", "  ")
				if err := out.Encode(p); err != nil {
					return fmt.Errorf("print the proof: %w", err)
				}
				fmt.Fprintln(cfg.Out, p)
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&cfg.Kills, "kills", 60, "processes to kill, at least")
	flags.IntVar(&cfg.Seeds, "seeds", 2000, "seeds of the simulation")
	flags.Uint64Var(&cfg.First, "seed", 1, "seed of the first play")
	flags.BoolVar(&cfg.Mutants, "mutants", true, "plant the mutants")
	flags.DurationVar(&cfg.Away, "away", 20*time.Second, "keep ClickHouse away for so long in the first play on three nodes of Apache Kafka")
	flags.StringVar(&cfg.Dir, "dir", "build", "folder of the evidence")
	flags.StringVar(&cfg.Cache, "cache", ".cache", "folder that Apache Kafka and the registry are installed in")
	flags.BoolVar(&cfg.Resume, "resume", false, "go on with the evidence there is")
	return cmd
}
