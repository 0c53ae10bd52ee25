// Command discovery holds the control of false discoveries against known truth: it
// looks every day at many simulated brands, some of which have an effect, and counts
// how many discoveries are false, by each of the controls and by none.
//
//	go run ./loadtest/discovery                     1 000 brands, 90 days; some minutes
//	go run ./loadtest/discovery --brands 100 --days 30 --seed 7
//	go run ./loadtest/discovery --alike             brands that have more to learn from each other
//	go run ./loadtest/discovery --confounder given  something else moves both sides, and the tests know of it
//
// It also plays brands through the processor's topology, and counts how many of the
// intervals that are published hold the effect that was planted:
//
//	go run ./loadtest/discovery --intervals --days 45
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/sourcegraph/conc/iter"

	"flywheel/pkg/correlate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := discover(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "discovery: %v\n", err)
		os.Exit(1)
	}
}

// discover plays all brands once without and once with their effects, and judges
// mixtures of both.
func discover(ctx context.Context, args []string, out, progress io.Writer) error {
	f := flag.NewFlagSet("discovery", flag.ContinueOnError)
	count := f.Int("brands", 1000, "simulated brands")
	days := f.Int("days", 90, "looks at each, one a day")
	held := f.Bool("intervals", false, "play brands through the topology, and look at their intervals after so many days")
	alike := f.Bool("alike", false, "all kernels alike: delays of 2 to 4 h, half-lives of 5 to 11 h")
	confounded := f.String("confounder", "none", "none, or what else moves both sides: hidden, or given to the tests")
	seed := f.Uint64("seed", 1, "of the simulation")
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("read the flags: %w", err)
	}
	if *count < 1 || *days < 1 {
		return fmt.Errorf("--brands %d, --days %d: neither can be less than 1", *count, *days)
	}
	if *confounded != "none" && *confounded != "hidden" && *confounded != "given" || *held && *confounded != "none" {
		return fmt.Errorf("--confounder %s: want none, hidden or given, and none with --intervals", *confounded)
	}
	if *held {
		return intervals(ctx, *seed, *count, *days, out, progress)
	}
	begin := time.Now()
	c := newCalendar(*seed, firstLook+*days-1)
	brands, null, active := make([]brand, *count), make([]looks, *count), make([]looks, *count)
	var done atomic.Int64
	iter.ForEachIdx(brands, func(i int, b *brand) {
		if ctx.Err() != nil {
			return
		}
		var s correlate.Scratch
		*b = newBrand(*seed, i, c, *alike)
		var given []int64
		if *confounded != "none" {
			b.confound(rand.New(rand.NewPCG(*seed, uint64(i)<<32)))
		}
		if *confounded == "given" {
			given = b.other
		}
		null[i], active[i] = c.look(b.stimulus, b.without, given, &s), c.look(b.stimulus, b.with, given, &s)
		if n := done.Add(1); n%50 == 0 {
			fmt.Fprintf(progress, "%d of %d brands, %s\n", n, *count, time.Since(begin).Round(time.Second))
		}
	})
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("after %d of %d brands: %w", done.Load(), *count, err)
	}

	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%d brands, %d daily looks, seed %d\n", *count, *days, *seed)
	fmt.Fprintln(table, "with an effect\tcontrol\tdiscoveries\tfalse\tof all\tof a brand's\tbrands without effect ever called\tpower at 10, 20, 30 % of the response\tdays until found")
	for _, share := range []float64{0, 0.05, 0.2, 0.5} {
		all, acts := make([]looks, *count), make([]int, *count)
		for i := range all {
			all[i], acts[i] = null[i], *days
			if with := int(share*float64(*count) + 0.5); i*with/(*count) != (i+1)*with/(*count) {
				all[i] = active[i]
				// The first look that has seen a whole day of it.
				acts[i] = max(0, brands[i].from+1-firstLook)
			}
		}
		for _, rule := range rules() {
			s := judge(rule.calls(all), brands, acts)
			fmt.Fprintf(table, "%.0f %%\t%s\t%d\t%d\t%.4f\t%.4f\t%.4f\t", 100*share, rule.name, s.discoveries, s.wrong, float64(s.wrong)/float64(max(1, s.discoveries)), s.rate, s.ever)
			if share > 0 {
				fmt.Fprintf(table, "%.2f %.2f %.2f\t%.1f", s.power[0], s.power[1], s.power[2], s.days)
			}
			fmt.Fprintln(table)
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	fmt.Fprintf(progress, "took %s\n", time.Since(begin).Round(time.Second))
	return nil
}
