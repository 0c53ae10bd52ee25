package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"flywheel/pkg/series"
	"flywheel/services/detect"
)

// standardStream stands for standard input or output where a file is named.
const standardStream = "-"

func newDetect(env *environment) *cobra.Command {
	var in, out string
	cmd := &cobra.Command{
		Use:   "detect --in FILE.csv --out FILE.csv",
		Short: "Score each point of a series by how surprising it is, from its past alone",
		Long: `Score each point of a series by how surprising it is, from its past alone.

The input is a CSV with the header timestamp,value, sorted, with steps from a minute to a day,
of one length at best; steps may be missing. A timestamp is 2015-02-26 21:42:53 (UTC), RFC
3339, or seconds or milliseconds since 1970; a value is a number, and empty or NaN where there
is none. Other columns are left out. More than one line in ten that lies before another above
it is an error. The output has the same lines in the same order, and a third column:

  timestamp,value,anomaly_score

A score lies between 0 and 1 and is 1 / (1 + n), where n is how many episodes as surprising
this series shows in 30 days by chance, learnt from what came before:

  0.5    about one in a month        a sensible alarm
  0.9    about one in nine months
  0.99   about one in eight years

(For hourly and daily series, read 1000 points for a month; in its first month a series is
measured by what it has shown so far.) The score of a line depends on no line below it. Only
news scores high: one event is one alarm, at its start, and further ones only where it grows
much beyond itself, or comes again after half a day and more. The first day, and 24 points at
least, score 0, and so does a line without a value or that is not later than all above it. There
is nothing to set.`,
		Example: `  flywheel detect --in searches.csv --out scores.csv
  (head -n 1 any.csv; tail -n +2 any.csv | sort) > sorted.csv
  zcat searches.csv.gz | flywheel detect --in - --out - | awk -F, '$3 >= 0.5'`,
		Args: noArguments("--in and --out"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return env.detect(cmd.Context(), cmd.InOrStdin(), in, out)
		},
	}
	cmd.Flags().StringVar(&in, "in", "", "the series; - is standard input (required)")
	cmd.Flags().StringVar(&out, "out", "", "where the scores go, once all are there; - is standard output (required)")
	return cmd
}

// detect scores a series. The output is written beside its place and moved there
// when it is whole.
func (e *environment) detect(ctx context.Context, stdin io.Reader, in, out string) error {
	if in == "" {
		return usageError{errors.New("--in: name the file with the series, or - for standard input")}
	}
	if out == "" {
		return usageError{errors.New("--out: name the file for the scores, or - for standard output")}
	}
	from, name := stdin, "standard input"
	if in != standardStream {
		f, err := os.Open(in)
		if err != nil {
			return usageError{fmt.Errorf("--in: read the series: %w", err)}
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil || info.IsDir() {
			return usageError{fmt.Errorf("--in: %q is a folder: name a file", in)}
		}
		if other, err := os.Stat(out); out != standardStream && err == nil && os.SameFile(info, other) {
			return usageError{fmt.Errorf("--out: %q is the series itself: name another file for the scores", out)}
		}
		from, name = f, in
	}
	to, err := newOut("the scores", out, e.stdout)
	if err != nil {
		return err
	}
	defer to.discard()
	begin := time.Now()
	sum, err := until(ctx, func() (detect.Summary, error) { return detect.Score(ctx, name, from, to) })
	if err == nil {
		err = to.deliver()
	}
	if err != nil {
		return err
	}
	e.sayDetected(out, sum, time.Since(begin))
	return nil
}

// until returns what do returns, but does not wait for a pipe that sends nothing once
// ctx has ended.
func until[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := do()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// sayDetected sums up, unless the scores themselves went there.
func (e *environment) sayDetected(out string, s detect.Summary, took time.Duration) {
	switch {
	case s.Missing == s.Rows:
		fmt.Fprintf(e.stderr, "flywheel: every score is 0: no line has a value\n")
	case s.Short():
		fmt.Fprintf(e.stderr, "flywheel: every score is 0: the series is no longer than the first day, or 24 points, which is only learnt from\n")
	}
	if s.Untimely > 0 {
		fmt.Fprintf(e.stderr, "flywheel: %s not later than all before, and scored 0, the first in line %d: sort the series by time, and merge what comes twice\n",
			areLines(s.Repeated+s.Unsorted), s.Untimely)
	}
	if out == standardStream {
		return
	}
	fmt.Fprintf(e.stdout, "%s: %s from %s to %s UTC", out, count(int(s.Rows), "point"), s.First.Format(time.DateTime), s.Last.Format(time.DateTime))
	if s.Spacing > 0 {
		fmt.Fprintf(e.stdout, ", one every %s", series.Short(s.Spacing))
	}
	fmt.Fprintf(e.stdout, "; scored in %s\n", took.Round(time.Millisecond))
	if s.Highest > 0 {
		fmt.Fprintf(e.stdout, "%s of %.1f or more; the highest is %.4f at %s\n", count(int(s.Alarms), "score"), detect.Alarm, s.Highest, s.At.Format(time.DateTime))
	}
}

func areLines(n int64) string {
	if n == 1 {
		return "1 line is"
	}
	return fmt.Sprintf("%d lines are", n)
}
