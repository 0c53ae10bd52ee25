// Command measure holds the statistics of pkg/correlate against known truth: how
// often they see an effect where there can be none, how often their interval
// holds the effect that was planted, and what they find.
//
//	go run ./loadtest/measure                                    generated series
//	go run ./loadtest/measure --data ../shared/data/mentions     real ones
//
// Each case is a line in the file of --out; what is there already is not done again.
//
// It also holds the scores of pkg/spike against a copy of the Numenta Anomaly Benchmark:
//
//	go run ./loadtest/measure --nab FOLDER
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"flywheel/pkg/correlate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "measure: %v\n", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	data, out   string
	nab         string
	days, parts string
	shares      string
	step        time.Duration
	cases       int
	seed        uint64
}

func measure(ctx context.Context, args []string, out, progress io.Writer) error {
	var s settings
	f := flag.NewFlagSet("measure", flag.ContinueOnError)
	f.StringVar(&s.data, "data", "", "folder of series timestamp,value from 2015-03-02 on; none for generated ones")
	f.StringVar(&s.nab, "nab", "", "folder of a copy of the Numenta Anomaly Benchmark: score anomaly detectors on it, and nothing else")
	f.StringVar(&s.out, "out", "", "file of the cases done, to go on with; none to keep nothing")
	f.StringVar(&s.days, "days", "21,35,60", "lengths of the history")
	f.StringVar(&s.parts, "parts", "null,effect,promotion", "what is measured: null, effect, counted (noise comes with the effect), promotion (declared), undeclared, confounder (given), hidden (the same, not given), saturated (an effect of the stimulus's root), logarithm, capped (of others of its shapes), power, lag, classic")
	f.StringVar(&s.shares, "shares", "", "of the shares that a part plants, such as 0,0.6, only these; none for all")
	f.DurationVar(&s.step, "step", time.Hour, "the spacing of the series")
	f.IntVar(&s.cases, "cases", 200, "cases of each kind")
	f.Uint64Var(&s.seed, "seed", 1, "of all that is drawn")
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("read the flags: %w", err)
	}
	if s.nab != "" {
		return benchmark(ctx, out, os.DirFS(s.nab))
	}
	if s.step < time.Minute || s.step > 24*time.Hour || (24*time.Hour)%s.step != 0 {
		return fmt.Errorf("--step: %s is no even part of a day", s.step)
	}
	plan, err := s.plan()
	if err != nil {
		return err
	}
	source, err := newSource(s.data, s.step)
	if err != nil {
		return err
	}
	done, err := read(s.out)
	if err != nil {
		return err
	}
	begin, last := time.Now(), time.Time{}
	var e correlate.Estimator
	var all []outcome
	for i, c := range plan {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("stopped after %d of %d cases: %w", i, len(plan), err)
		}
		if time.Since(last) > 5*time.Second {
			last = time.Now()
			fmt.Fprintf(progress, "%d of %d cases, %s\n", i, len(plan), time.Since(begin).Round(time.Second))
		}
		o, known := done[c]
		if !known {
			o, err = c.run(&e, source)
			if err == nil {
				err = keep(s.out, o)
			}
			if err != nil {
				return err
			}
		}
		all = append(all, o)
	}
	return report(out, all)
}

// plan lists the cases.
func (s *settings) plan() ([]testCase, error) {
	name := "generated"
	if s.data != "" {
		name = filepath.Base(s.data)
	}
	shares := map[string][]float64{
		"null": {0}, "effect": {0.1, 0.3, 0.6}, "counted": {0.1, 0.3, 0.6}, "promotion": {0, 0.1, 0.3, 0.6}, "undeclared": {0, 0.3},
		"confounder": {0, 0.1, 0.3, 0.6}, "hidden": {0, 0.3}, "saturated": {0.1, 0.3, 0.6}, "logarithm": {0.3, 0.6}, "capped": {0.3, 0.6},
		"power": {0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}, "lag": {1. / 3}, "classic": {0},
	}
	only, err := numbers(s.shares)
	if err != nil {
		return nil, err
	}
	var plan []testCase
	for text := range strings.SplitSeq(s.days, ",") {
		days, err := strconv.Atoi(text)
		if err != nil || days < 7 || days > 400 {
			return nil, fmt.Errorf("--days: %q is no number of days from 7 to 400", text)
		}
		for part := range strings.SplitSeq(s.parts, ",") {
			if shares[part] == nil {
				return nil, fmt.Errorf("--parts: there is no %q: want null, effect, counted, promotion, undeclared, confounder, hidden, saturated, logarithm, capped, power, lag or classic", part)
			}
			for _, share := range shares[part] {
				if only != nil && !slices.Contains(only, share) {
					continue
				}
				for i := range s.cases {
					plan = append(plan, testCase{part, name, days, s.step, share, s.seed, i, s.cases})
				}
			}
		}
	}
	return plan, nil
}

// numbers reads those of a list; nil for an empty one.
func numbers(list string) (all []float64, err error) {
	if list == "" {
		return nil, nil
	}
	for text := range strings.SplitSeq(list, ",") {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("--shares: %q is no number", text)
		}
		all = append(all, v)
	}
	return all, nil
}

// read returns the cases in a file; none if there is no file.
func read(path string) (map[testCase]outcome, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the cases done: %w", err)
	}
	done := make(map[testCase]outcome)
	for line := range strings.Lines(string(text)) {
		var o outcome
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			continue // the last line of a run that was stopped
		}
		done[o.Case] = o
	}
	return done, nil
}

// keep adds a case to a file.
func keep(path string, o outcome) error {
	if path == "" {
		return nil
	}
	line, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("keep a case: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keep a case: %w", err)
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return errors.Join(fmt.Errorf("keep a case: %w", err), f.Close())
	}
	return f.Close()
}
