package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/prior"
	"flywheel/services/learn"
)

func newLearn(env *environment) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "learn --out FILE.csv",
		Short: "Learn from the brands that were discovered which delays and half-lives to expect of the others",
		Long: `Learn from the brands that were discovered which delays and half-lives to expect of the others.

One brand alone has little power: its history is searched for ` + fmt.Sprint(correlate.Kernels) + ` combinations of delay and
half-life. What other brands of the same force have shown says which of them are likely. This
command counts that in ClickHouse, of the discoveries of the last ` + fmt.Sprint(learn.Days) + ` days, and writes it to
a file. Processors take it with processor.kernel_prior: give all of them the same file, and
restart them. The rate of false discoveries stays what it was, since a brand learns only from
brands of other folds, in one order, never from itself.

The file is a CSV with a line for each force, fold, delay and half-life that brands follow.
Where nothing was discovered yet it holds its first line only, which is no prior. Run it again
now and then, such as once a month: results say by code_version which prior they are of.`,
		Example: `  flywheel learn --out prior.csv
  flywheel processor --processor.kernel_prior prior.csv`,
		Args: noArguments("--out"),
		RunE: func(cmd *cobra.Command, _ []string) error { return env.learn(cmd.Context(), out) },
	}
	cmd.Flags().StringVar(&out, "out", "", "where the counts go, once all are there; - is standard output (required)")
	return cmd
}

func (e *environment) learn(ctx context.Context, out string) error {
	if out == "" {
		return usageError{errors.New("--out: name the file for the counts, or - for standard output")}
	}
	cfg, err := e.config()
	if err != nil {
		return err
	}
	to, err := newOut("the counts", out, e.stdout)
	if err != nil {
		return err
	}
	defer to.discard()
	pools, err := learn.Run(ctx, cfg.ClickHouse)
	if err == nil {
		err = prior.Write(to, pools)
	}
	if err == nil {
		err = to.deliver()
	}
	if err != nil || out == standardStream {
		return err
	}
	return e.sayLearned(out, pools)
}

// sayLearned sums up by force.
func (e *environment) sayLearned(out string, pools map[int]*correlate.Pool) error {
	total := 0
	err := e.table("FORCE\tBRANDS\tMOST FOLLOW", func(row func(...any)) {
		for _, f := range event.Forces() {
			pool := pools[f.Number]
			if pool == nil {
				continue
			}
			brands, most, says := 0, 0, "-"
			sums := make(map[[2]int]int) // over the folds
			for _, c := range pool.Counts() {
				brands += c.Brands
				kernel := [2]int{c.Delay, c.HalfLife}
				if sums[kernel] += c.Brands; sums[kernel] > most {
					most, says = sums[kernel], fmt.Sprintf("delay %d h, half-life %d h (%d)", c.Delay, c.HalfLife, sums[kernel])
				}
			}
			total += brands
			row(fmt.Sprintf("%d %s → %s", f.Number, f.From, f.To), brands, says)
		}
	})
	if total == 0 {
		fmt.Fprintf(e.stdout, "\n%s: nothing was discovered in the last %d days: the file is no prior yet\n", out, learn.Days)
		return err
	}
	fmt.Fprintf(e.stdout, "\n%s: set processor.kernel_prior to it at every processor, and restart them\n", out)
	return err
}
