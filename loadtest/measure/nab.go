package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"

	"flywheel/loadtest/measure/nab"
)

// fixed is the threshold of somebody who tunes nothing.
const fixed = 0.5

// benchmark scores detectors on the series of a copy of the Numenta Anomaly
// Benchmark. Every second series of a category was at hand while the scorer was
// made, the others are held out.
func benchmark(ctx context.Context, out io.Writer, from fs.FS) error {
	all, err := nab.Read(from)
	if err != nil {
		return err
	}
	var tuning, held []int
	var categories []string
	in := make(map[string][]int)
	for k := range all {
		c := all[k].Category
		if in[c] == nil {
			categories = append(categories, c)
		}
		if in[c] = append(in[c], k); len(in[c])%2 == 1 {
			tuning = append(tuning, k)
		} else {
			held = append(held, k)
		}
	}
	standard := nab.Profiles()[0]
	fmt.Fprintf(out, "Numenta Anomaly Benchmark: %d series\n\n", len(all))
	fmt.Fprintf(out, "%-24s %9s", "detector", "threshold")
	for _, p := range nab.Profiles() {
		fmt.Fprintf(out, " %8s", p.Name)
	}
	fmt.Fprintf(out, " %8s %8s   at %.1f: %8s %6s %9s %5s %11s\n", "tuning", "held out", fixed, "standard", "recall", "precision", "F1", "false/month")
	var ours [][]float64
	for k, d := range nab.Detectors() {
		if err := ctx.Err(); err != nil {
			return err
		}
		scores := make([][]float64, len(all))
		for i := range all {
			scores[i] = d.Score(&all[i])
		}
		if k == 0 {
			ours = scores
		}
		best := nab.Best(all, scores, standard)
		fmt.Fprintf(out, "%-24s %9.4f", d.Name, best.Threshold)
		for _, p := range nab.Profiles() {
			fmt.Fprintf(out, " %8.2f", nab.Best(all, scores, p).Score)
		}
		fmt.Fprintf(out, " %8.2f %8.2f", at(all, scores, tuning, best.Threshold).Score, at(all, scores, held, best.Threshold).Score)
		o := nab.At(all, scores, standard, fixed)
		fmt.Fprintf(out, "           %8.2f %5.0f%% %8.0f%% %5.2f %11.2f\n", o.Score, 100*o.Recall(), 100*o.Precision(), o.F1(), o.FalseAMonth())
	}
	best := nab.Best(all, ours, standard)
	fmt.Fprintf(out, "\n%-24s %7s   at %.4f: %8s %6s %11s   at %.1f: %8s %6s %11s\n", nab.Detectors()[0].Name, "windows", best.Threshold,
		"standard", "found", "false/month", fixed, "standard", "found", "false/month")
	for _, c := range categories {
		b, f := at(all, ours, in[c], best.Threshold), at(all, ours, in[c], fixed)
		fmt.Fprintf(out, "%-24s %7d              %8s %6d %11.2f           %8s %6d %11.2f\n", c, b.Windows, scored(b), b.Found, b.FalseAMonth(), scored(f), f.Found, f.FalseAMonth())
	}
	published, err := nab.Published(from, all)
	if err != nil || len(published) == 0 {
		return err
	}
	fmt.Fprintf(out, "\n%-24s %9s %9s\n", "others, as published", "says", "scored")
	for _, p := range published {
		fmt.Fprintf(out, "%-24s %9.2f %9.2f\n", p.Detector, p.Standard, nab.Best(all, p.Scores, standard).Score)
	}
	return nil
}

// scored is a score as text; without a window there is none.
func scored(o nab.Outcome) string {
	if o.Windows == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", o.Score)
}

// at judges some of the series at a threshold.
func at(all []nab.Series, scores [][]float64, some []int, threshold float64) nab.Outcome {
	var series []nab.Series
	var of [][]float64
	for _, k := range some {
		series, of = append(series, all[k]), append(of, scores[k])
	}
	return nab.At(series, of, nab.Profiles()[0], threshold)
}
