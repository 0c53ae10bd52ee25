package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flywheel/services/estimate"
)

// estimateFlags are the flags of `flywheel estimate`.
type estimateFlags struct {
	stimulus, response, revenue, calendar, plot string
	confounders                                 []string
	window                                      time.Duration
	json                                        bool
}

func newEstimate(env *environment) *cobra.Command {
	var f estimateFlags
	cmd := &cobra.Command{
		Use:   "estimate --stimulus FILE.csv --response FILE.csv",
		Short: "Say whether one series follows another, how strongly, how late, and what it was worth",
		Long: `Say whether one series follows another, how strongly, how late, and what it was worth.

Each series is a CSV with the header timestamp,value, in any order, with one spacing from a
minute to a day; whole steps may be missing. Days may have 23 to 25 hours, as clocks have them,
where their times name an offset. One of the files may be -, standard input. A timestamp is 2015-02-26 21:42:53 (UTC), RFC 3339,
or seconds or milliseconds since 1970. Series of different spacings are summed to the finest
steps all have, which may be up to a day: of 5 and 7 minutes those of 35. Revenue has the same
form, in units of its currency. A calendar has the header begin,end,name, the same times, and a
row for each promotion or event that explains the response otherwise; an end is exclusive, but
one that is a date alone includes that day.
A confounder is another stimulus that may act on both, such as advertising: whatever it may have
added to the response within the window, at any lag, is taken out of both sides. Each costs
evidence, so name what is known to act, not everything there is.

  p.calibrated   how often such evidence comes about without an effect, by placebos: the same
                 series shifted against each other by more than the window, and reversed
  effect         response units in all per stimulus unit, with a 95 % interval that takes the
                 search for delay and half-life into account; at least 0: a response that falls
                 with the stimulus is told of, not measured
  verdict        effect; no effect, if one of 10 % of the response would have been found; or
                 insufficient evidence
  credit         what the stimulus of each step has earned, of the response and the revenue;
                 credits and baseline add up to the whole, revenue to the millionth

A window of 72 hours needs twelve days of history; below five weeks only strong effects
are found.`,
		Example: `  flywheel estimate --stimulus views.csv --response searches.csv
  flywheel estimate --stimulus views.csv --response searches.csv --revenue sales.csv \
    --calendar promotions.csv --confounder ads.csv --confounder coupons.csv --plot effect.png --json`,
		Args: noArguments("--stimulus and --response"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return env.estimate(cmd.Context(), cmd.InOrStdin(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.stimulus, "stimulus", "", "the series that may act (required)")
	flags.StringVar(&f.response, "response", "", "the series it may act on (required)")
	flags.StringVar(&f.revenue, "revenue", "", "the money that came with the response, to be credited")
	flags.StringVar(&f.calendar, "calendar", "", "what else is known to have acted: begin,end,name")
	flags.StringArrayVar(&f.confounders, "confounder", nil, "another stimulus that may act on both, timestamp,value; may be given again")
	flags.DurationVar(&f.window, "window", estimate.DefaultConfig().Window, "how far an effect may reach")
	flags.StringVar(&f.plot, "plot", "", "draw series, baseline, excess, lag profile and credit to this file, as its name ends in .png or .svg")
	flags.BoolVar(&f.json, "json", false, "write everything as one JSON object")
	return cmd
}

// estimate judges a pair. A plot is written beside its place and moved there when
// it is whole.
func (e *environment) estimate(ctx context.Context, stdin io.Reader, f estimateFlags) error {
	if err := (estimate.Config{Window: f.window}).Validate(); err != nil {
		return usageError{err}
	}
	var in estimate.Input
	type file struct {
		flag, path string
		required   bool
		take       func(estimate.Source)
	}
	files := []file{
		{"--stimulus", f.stimulus, true, func(s estimate.Source) { in.Stimulus = s }},
		{"--response", f.response, true, func(s estimate.Source) { in.Response = s }},
		{"--revenue", f.revenue, false, func(s estimate.Source) { in.Revenue = &s }},
		{"--calendar", f.calendar, false, func(s estimate.Source) { in.Calendar = &s }},
	}
	for _, path := range f.confounders {
		files = append(files, file{"--confounder", path, true, func(s estimate.Source) { in.Confounders = append(in.Confounders, s) }})
	}
	piped := "" // the flag that took standard input
	for _, file := range files {
		if file.path == "" {
			if file.required {
				return usageError{fmt.Errorf("%s: name the file with the series", file.flag)}
			}
			continue
		}
		if file.path == standardStream {
			if piped != "" {
				return usageError{fmt.Errorf("%s: standard input can only be read once, and %s reads it: name a file", file.flag, piped)}
			}
			piped = file.flag
			file.take(estimate.Source{Name: "standard input", From: stdin})
			continue
		}
		from, err := os.Open(file.path)
		if err != nil {
			return usageError{fmt.Errorf("%s: read the file: %w", file.flag, err)}
		}
		defer from.Close()
		if info, err := from.Stat(); err != nil || info.IsDir() {
			return usageError{fmt.Errorf("%s: %q is a folder: name a file", file.flag, file.path)}
		}
		file.take(estimate.Source{Name: file.path, From: from})
	}
	var plot *output
	if f.plot != "" {
		if as := format(f.plot); as != estimate.PNG && as != estimate.SVG {
			return usageError{fmt.Errorf("--plot: %q ends neither in .png nor in .svg: only these are drawn", f.plot)}
		}
		var err error
		if plot, err = newOutput("--plot", "the plot", f.plot); err != nil {
			return err
		}
		defer plot.discard()
	}
	found, err := until(ctx, func() (*estimate.Estimate, error) { return estimate.Run(ctx, in, estimate.Config{Window: f.window}) })
	if errors.Is(err, estimate.ErrWindow) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	if plot != nil {
		if err := found.Draw(plot, format(f.plot)); err != nil {
			return err
		}
		if err := plot.deliver(); err != nil {
			return err
		}
	}
	if f.json {
		return found.Result.WriteJSON(e.stdout)
	}
	return found.Result.WriteText(e.stdout)
}

// format returns what a file's name ends in, in whatever case.
func format(path string) estimate.Format {
	return estimate.Format(strings.ToLower(strings.TrimPrefix(filepath.Ext(path), ".")))
}
