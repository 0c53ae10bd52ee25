// Package nab scores detectors on a copy of the Numenta Anomaly Benchmark
// (Lavin & Ahmad, Evaluating Real-time Anomaly Detection Algorithms, 2015): 58
// labelled series, most of them real. It is written from the benchmark's
// description and checked against the scores that it publishes for the detectors
// whose results it keeps.
package nab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"flywheel/pkg/series"
)

// Where the benchmark keeps its parts.
const (
	dataDir    = "data"
	resultsDir = "results"
	labelsFile = "labels/combined_windows.json"
)

// The first part of each series is only learnt from: 15 % of it, of 5000 points at
// most.
const (
	probation    = 0.15
	probationMax = 5000
)

// Series is one file of the corpus.
type Series struct {
	Name     string // category/file.csv
	Category string
	AtMs     []int64
	Values   []float64
	Windows  []Window // by time
}

// Window is a run of points, both ends included, in which something happens.
type Window struct{ First, Last int }

// Probation is how many points are only learnt from.
func (s *Series) Probation() int {
	return int(probation * float64(min(len(s.Values), probationMax)))
}

// Months is the time that is judged, in months of 30 days.
func (s *Series) Months() float64 {
	return float64(s.AtMs[len(s.AtMs)-1]-s.AtMs[s.Probation()]) / float64(30*24*time.Hour/time.Millisecond)
}

// Read reads the corpus from a copy of the benchmark, by name.
func Read(from fs.FS) ([]Series, error) {
	text, err := fs.ReadFile(from, labelsFile)
	if err != nil {
		return nil, fmt.Errorf("read the labels of the benchmark: %w", err)
	}
	labels := make(map[string][][2]string)
	if err := json.Unmarshal(text, &labels); err != nil {
		return nil, fmt.Errorf("read %s: %w", labelsFile, err)
	}
	var all []Series
	for name, windows := range labels {
		s, err := readSeries(from, name, windows)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Series) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func readSeries(from fs.FS, name string, windows [][2]string) (Series, error) {
	s := Series{Name: name, Category: path.Dir(name)}
	f, err := from.Open(path.Join(dataDir, name))
	if err != nil {
		return s, fmt.Errorf("read a series: %w", err)
	}
	defer f.Close()
	for r := series.NewLenientReader(name, f); ; {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s, err
		}
		s.AtMs, s.Values = append(s.AtMs, p.AtMs), append(s.Values, p.Value)
	}
	for _, ends := range windows {
		var at [2]int
		for k, text := range ends {
			t, err := time.Parse(time.DateTime, text)
			if err != nil {
				return s, fmt.Errorf("read the windows of %s: %w", name, err)
			}
			if at[k] = slices.Index(s.AtMs, t.UnixMilli()); at[k] < 0 {
				return s, fmt.Errorf("read the windows of %s: there is no point at %s", name, text)
			}
		}
		s.Windows = append(s.Windows, Window{at[0], at[1]})
	}
	return s, nil
}
