// Command measure holds the statistics of pkg/correlate against known truth: how
// often they see an effect where there can be none, how often their interval
// holds the effect that was planted, and what they find.
//
//	go run ./loadtest/measure                                    generated series
//	go run ./loadtest/measure --data ../shared/data/mentions     real ones
//
// and the scores of pkg/spike against a copy of the Numenta Anomaly Benchmark:
//
//	go run ./loadtest/measure --nab FOLDER
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

	"flywheel/pkg/correlate"
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
	nab   string
	days  string
	parts string
	pairs int
	every int
	seed  uint64
	nulls int
}

func measure(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	f := flag.NewFlagSet("measure", flag.ContinueOnError)
	f.StringVar(&s.data, "data", "", "folder of series timestamp,value from 2015-03-02 on; none for generated ones")
	f.StringVar(&s.nab, "nab", "", "folder of a copy of the Numenta Anomaly Benchmark: score anomaly detectors on it, and nothing else")
	f.StringVar(&s.days, "days", "21,35,49", "lengths of the history")
	f.StringVar(&s.parts, "parts", "null,effect", "what is measured: null, effect, lag, promotion")
	f.IntVar(&s.pairs, "pairs", 60, "generated pairs for each length")
	f.IntVar(&s.every, "every", 9, "plant each effect into every so many-th pair")
	f.Uint64Var(&s.seed, "seed", 1, "of the generator")
	f.IntVar(&s.nulls, "nulls", 1000, "at most so many pairs without an effect")
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("read the flags: %w", err)
	}
	if s.nab != "" {
		return benchmark(ctx, out, os.DirFS(s.nab))
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
		if strings.Contains(s.parts, "lag") {
			if err := s.lags(ctx, out, days, pairs); err != nil {
				return err
			}
		}
		if strings.Contains(s.parts, "promotion") {
			if err := s.promotion(ctx, out, days, pairs); err != nil {
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

// thin keeps about so many of the pairs, evenly.
func thin(pairs []pair, most int) []pair {
	every := (len(pairs) + most - 1) / most
	var kept []pair
	for i := 0; i < len(pairs); i += every {
		kept = append(kept, pairs[i])
	}
	return kept
}

// null counts what is called an effect where there is none.
func (s *settings) null(ctx context.Context, out io.Writer, days int, pairs []pair) error {
	found, autocorrelation, naive, insufficient := 0, 0, 0, 0
	pairs = thin(pairs, s.nulls)
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

// lags plants a third of the response at a lag between 0 and 72 hours, and counts
// where it is found again.
func (s *settings) lags(ctx context.Context, out io.Writer, days int, pairs []pair) error {
	found, exact, hour := 0, 0, 0
	for i, p := range pairs {
		if err := ctx.Err(); err != nil {
			return err
		}
		lagHours := 72 * float64(i) / float64(max(1, len(pairs)-1))
		q, _ := planted(p, lagHours, 0, 0.33)
		r := q.relate()
		if r.P > 0.05 {
			continue
		}
		found++
		off := math.Abs(float64(r.Profile.BestLag) - math.Floor(lagHours*stepsHour))
		if off <= 1 {
			exact++
		}
		if off <= stepsHour {
			hour++
		}
	}
	fmt.Fprintf(out, "%2d days, 33 %% at a lag of 0 to 72 h: %d cases, found %d; of these the best lag within 15 minutes %d, within an hour %d\n",
		days, len(pairs), found, exact, hour)
	return nil
}

// promotion lets both sides be three times as high for two days, without any
// effect, and counts what is called significant, declared and not.
func (s *settings) promotion(ctx context.Context, out io.Writer, days int, pairs []pair) error {
	declared, undeclared := 0, 0
	for i, p := range pairs {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := len(p.x)
		from := (n/3 + i*37%(n/3)) / stepsDay * stepsDay
		q, spans := pair{slices.Clone(p.x), slices.Clone(p.y)}, make([]int, n)
		for t := from; t < from+2*stepsDay; t++ {
			q.x[t], q.y[t] = 3*q.x[t], 3*q.y[t]
			spans[t] = 1 + (t-from)/stepsDay
		}
		in := q.input()
		if correlate.Relate(&in).P <= 0.05 {
			undeclared++
		}
		in.Declared = spans
		if correlate.Relate(&in).P <= 0.05 {
			declared++
		}
	}
	of := func(k int) float64 { return float64(k) / float64(len(pairs)) }
	fmt.Fprintf(out, "%2d days, a promotion of two days on both sides and no effect: %d pairs, called significant %.3f when it is declared, %.3f when not\n",
		days, len(pairs), of(declared), of(undeclared))
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
