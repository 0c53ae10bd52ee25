// Command measure holds the statistics of pkg/correlate against known truth: how
// often they see an effect where there can be none, how often their interval
// holds the effect that was planted, and what they find.
//
//	go run ./loadtest/measure                                    generated series
//	go run ./loadtest/measure --data ../shared/data/mentions     real ones
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "measure: %v\n", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	data  string
	days  string
	parts string
	pairs int
	every int
	seed  uint64
}

func measure(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	f := flag.NewFlagSet("measure", flag.ContinueOnError)
	f.StringVar(&s.data, "data", "", "folder of series timestamp,value from 2015-03-02 on; none for generated ones")
	f.StringVar(&s.days, "days", "21,35,49", "lengths of the history")
	f.StringVar(&s.parts, "parts", "null,effect", "what is measured")
	f.IntVar(&s.pairs, "pairs", 60, "generated pairs for each length")
	f.IntVar(&s.every, "every", 9, "plant each effect into every so many-th pair")
	f.Uint64Var(&s.seed, "seed", 1, "of the generator")
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("read the flags: %w", err)
	}
	var all [][]float64
	if s.data != "" {
		var err error
		if all, err = mentions(s.data); err != nil {
			return err
		}
	}
	begin := time.Now()
	for text := range strings.SplitSeq(s.days, ",") {
		days, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("--days: %q is no number of days", text)
		}
		pairs := unrelated(s.seed, days, s.pairs)
		if all != nil {
			pairs = impossible(all, days/7)
		}
		if strings.Contains(s.parts, "null") {
			if err := s.null(ctx, out, days, pairs); err != nil {
				return err
			}
		}
		for _, share := range []float64{0.1, 0.3, 0.6} {
			if strings.Contains(s.parts, "effect") {
				if err := s.effect(ctx, out, days, share, pairs); err != nil {
					return err
				}
			}
		}
	}
	fmt.Fprintf(out, "took %s\n", time.Since(begin).Round(time.Second))
	return nil
}

// null counts what is called an effect where there is none.
func (s *settings) null(ctx context.Context, out io.Writer, days int, pairs []pair) error {
	found, autocorrelation, naive, insufficient := 0, 0, 0, 0
	for _, p := range pairs {
		if err := ctx.Err(); err != nil {
			return err
		}
		r := p.relate()
		if r.P <= 0.05 {
			found++
		}
		if r.Profile.PAutocorrelation <= 0.05 {
			autocorrelation++
		}
		if r.Profile.PNaive <= 0.05 {
			naive++
		}
		if r.Verdict == "insufficient evidence" {
			insufficient++
		}
	}
	n := float64(len(pairs))
	fmt.Fprintf(out, "%2d days, no effect: %d pairs, called significant: calibrated %.3f, autocorrelation %.3f, naive %.3f; insufficient evidence %.2f\n",
		days, len(pairs), float64(found)/n, float64(autocorrelation)/n, float64(naive)/n, float64(insufficient)/n)
	return nil
}

// effect counts how effects of one share of the response are found and covered.
func (s *settings) effect(ctx context.Context, out io.Writer, days int, share float64, pairs []pair) error {
	n, found, above, below := 0, 0, 0, 0
	var ratio, half, delay, lag, realised, power []float64
	cell := 0
	for _, delayHours := range []float64{3, 12, 30} {
		for _, halfLife := range []float64{2, 8, 24} {
			for i, p := range pairs {
				if (i+cell)%s.every != 0 {
					continue
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				q, beta := planted(p, delayHours, halfLife, share)
				r := q.relate()
				n++
				if r.P <= 0.05 {
					found++
				}
				switch {
				case beta < r.Low:
					above++
				case beta > r.High:
					below++
				}
				ratio = append(ratio, r.Beta/beta)
				half = append(half, (r.High-r.Low)/2/beta)
				delay = append(delay, math.Abs(float64(r.Kernel.Delay)/stepsHour-delayHours))
				lag = append(lag, math.Abs(float64(r.Profile.BestLag)/stepsHour-delayHours))
				realised = append(realised, r.Realised)
				power = append(power, r.Detectable)
			}
			cell++
		}
	}
	for _, v := range [][]float64{ratio, half, delay, lag, realised, power} {
		slices.Sort(v)
	}
	of := func(k int) float64 { return float64(k) / float64(n) }
	fmt.Fprintf(out, "%2d days, %2.0f %%: %d cases, found %.2f, covered %.3f (too high %.3f, too low %.3f), half width %.2f, effect/truth %.2f %.2f %.2f, delay off %.1f–%.1f h, best lag off %.1f–%.1f h, realised %.2f\n",
		days, 100*share, n, of(found), 1-of(above)-of(below), of(above), of(below), half[n/2], ratio[n/4], ratio[n/2], ratio[3*n/4],
		delay[n/2], delay[3*n/4], lag[n/2], lag[3*n/4], realised[n/2])
	return nil
}
