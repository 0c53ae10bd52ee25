package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

const alpha = 0.05

// report writes a line for each kind of cases.
func report(out io.Writer, all []outcome) error {
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	for len(all) > 0 {
		kind := all[0].Case
		end := slices.IndexFunc(all, func(o outcome) bool {
			return o.Case.Part != kind.Part || o.Case.Days != kind.Days || o.Case.Share != kind.Share
		})
		if end < 0 {
			end = len(all)
		}
		group := all[:end]
		all = all[end:]
		fmt.Fprintf(w, "| %s\t| %s\t| %s\t| %d days\t| %.0f %%\t| %d cases\t| %s\t|\n",
			kind.Part, kind.Source, kind.Step, kind.Days, 100*kind.Share, len(group), summary(kind, group))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func summary(kind testCase, group []outcome) string {
	share := func(yes func(outcome) bool) float64 {
		n := 0
		for _, o := range group {
			if yes(o) {
				n++
			}
		}
		return float64(n) / float64(len(group))
	}
	found := share(func(o outcome) bool { return o.P <= alpha })
	calibrated := fmt.Sprintf("found %.3f", found)
	switch {
	case kind.Part == "lag":
		near := func(within float64) float64 {
			return share(func(o outcome) bool { return o.P <= alpha && math.Abs(o.BestLagS-o.DelayS) <= within })
		}
		return fmt.Sprintf("%s, best lag within a step %.3f, within an hour %.3f", calibrated, near(kind.Step.Seconds()), near(3600))
	case kind.Part == "power":
		return calibrated
	case kind.Share == 0 && kind.Part != "classic":
		return fmt.Sprintf("%s, Bartlett %.3f, naive %.3f, no effect %.3f", calibrated,
			share(func(o outcome) bool { return o.Bartlett <= alpha }), share(func(o outcome) bool { return o.Naive <= alpha }),
			share(func(o outcome) bool { return o.Verdict == "no effect" }))
	}
	var ratio, half, credited []float64
	realised, off := 0.0, 0.0
	for _, o := range group {
		ratio, half = append(ratio, o.Beta/o.Truth), append(half, (o.High-o.Low)/2/o.Truth)
		if o.Credited > 0 {
			credited = append(credited, o.Credited)
		}
		realised += o.Realised / float64(len(group))
		off += math.Abs(o.BestLagS-o.DelayS) / 3600 / float64(len(group))
	}
	slices.Sort(ratio)
	slices.Sort(half)
	slices.Sort(credited)
	earned := ""
	if n := len(credited); n > 0 {
		earned = fmt.Sprintf(", credit/truth %.2f %.2f %.2f", credited[n/4], credited[n/2], credited[3*n/4])
	}
	low := share(func(o outcome) bool { return o.Low > o.Truth })
	high := share(func(o outcome) bool { return o.High < o.Truth })
	n := len(group)
	bent, bentHeld := 0, 0
	for _, o := range group {
		if o.Exponent < 1 {
			bent++
			if o.Low <= o.Truth && o.Truth <= o.High {
				bentHeld++
			}
		}
	}
	return fmt.Sprintf("%s, diminishing returns %.3f (held %d of %d), held %.3f (above %.3f, below %.3f), realised %.3f, half width %.2f, effect/truth %.2f %.2f %.2f%s, best lag off %.1f h",
		calibrated, float64(bent)/float64(n), bentHeld, bent, 1-low-high, low, high, realised, half[n/2], ratio[n/4], ratio[n/2], ratio[3*n/4], earned, off)
}
