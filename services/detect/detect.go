// Package detect scores the points of a series from a file: how surprising each
// is, judged by the points before it alone.
package detect

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"flywheel/pkg/series"
	"flywheel/pkg/spike"
)

// Header is the first line of what is written.
const Header = series.Header + ",anomaly_score"

// Alarm is the score from which a point counts as an alarm: by chance there is
// about one a month.
const Alarm = 0.5

// SpacingMin and SpacingMax bound the spacing of a series.
const (
	SpacingMin = time.Minute
	SpacingMax = 24 * time.Hour
)

// checkEvery is after how many rows it is looked whether to stop.
const checkEvery = 1024

// Summary is what was found in a series.
type Summary struct {
	Rows     int64
	Missing  int64         // rows without a value
	Repeated int64         // rows with the time of the latest before
	Unsorted int64         // rows that lie before another above them
	Untimely int           // line of the first of either
	Spacing  time.Duration // the usual step
	First    time.Time     // the earliest, UTC
	Last     time.Time     // the latest
	Alarms   int64         // rows with a score of at least Alarm
	Highest  float64       // score, and the first time it was reached
	At       time.Time
}

// Short says that the series ends before anything is judged.
func (s Summary) Short() bool {
	return s.Rows-s.Missing <= spike.WarmUpPoints || s.Last.Sub(s.First)+s.Spacing <= spike.WarmUpMs*time.Millisecond
}

// unsortedMax is one in how many rows may lie before another above it, as where a
// clock was set back. Where there are more, almost nothing would be scored.
const unsortedMax = 10

// Score reads a series and writes each of its lines as it stands, and its score
// behind it; of lines with more columns, timestamp and value. Rows without a value,
// and those that are not later than all before, score 0; a series that is not sorted
// is refused. It holds one line in memory. Once ctx ends it stops, with ctx's error.
// Whatever fails, part of the series may have been written.
func Score(ctx context.Context, name string, from io.Reader, to io.Writer) (Summary, error) {
	in, out := series.NewLenientReader(name, from), bufio.NewWriterSize(to, 1<<16)
	var scorer spike.Scorer
	var sum Summary
	var latest, unsorted, above series.Point // the latest so far; the first below it, and below which
	line := []byte(Header + "\n")
	for ; ; sum.Rows++ {
		p, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return sum, err
		}
		if sum.Rows%checkEvery == 0 && ctx.Err() != nil {
			return sum, ctx.Err()
		}
		score := scorer.Next(p.AtMs, p.Value)
		if sum.add(p, score); sum.Unsorted == 1 && unsorted.Line == 0 {
			unsorted, above = p, latest
		}
		if latest.Line == 0 || p.AtMs > latest.AtMs {
			latest = p
		}
		if sum.Spacing = scorer.Spacing(); sum.Spacing > 0 && sum.Spacing < SpacingMin {
			break // below
		}
		line = strconv.AppendFloat(append(append(line, p.Text...), ','), score, 'f', 8, 64)
		line = append(line, '\n')
		if _, err := out.Write(line); err != nil {
			return sum, fmt.Errorf("write the scores of %s: %w", name, err)
		}
		line = line[:0]
	}
	if sum.Unsorted*unsortedMax > sum.Rows {
		return sum, fmt.Errorf("%s:%d: timestamp %s lies before that of line %d, %s, and %d of %d lines lie so: sort the series by time, as 'flywheel detect --help' shows, or correct line %d",
			name, unsorted.Line, moment(unsorted.AtMs), above.Line, moment(above.AtMs), sum.Unsorted, sum.Rows, above.Line)
	}
	if sum.Spacing == 0 {
		sum.Spacing = in.Spacing()
	}
	if sum.Spacing > 0 && sum.Spacing < SpacingMin {
		return sum, fmt.Errorf("%s: the lines are %s apart: sum the series to steps of %s or more", name, series.Short(sum.Spacing), series.Short(SpacingMin))
	}
	if sum.Spacing > SpacingMax {
		return sum, fmt.Errorf("%s: the lines are %s apart, which is more than a day: give a finer series", name, series.Short(sum.Spacing))
	}
	if err := out.Flush(); err != nil {
		return sum, fmt.Errorf("write the scores of %s: %w", name, err)
	}
	return sum, nil
}

func (s *Summary) add(p series.Point, score float64) {
	at := time.UnixMilli(p.AtMs).UTC()
	switch {
	case s.Rows == 0:
		s.First, s.Last = at, at
	case at.After(s.Last):
		s.Last = at
	case at.Equal(s.Last):
		s.Repeated++
	default:
		s.Unsorted++
	}
	if at.Before(s.First) {
		s.First = at
	}
	if s.Untimely == 0 && s.Repeated+s.Unsorted > 0 {
		s.Untimely = p.Line
	}
	if math.IsNaN(p.Value) {
		s.Missing++
	}
	if score >= Alarm {
		s.Alarms++
	}
	if score > s.Highest {
		s.Highest, s.At = score, at
	}
}

func moment(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.DateTime) }
