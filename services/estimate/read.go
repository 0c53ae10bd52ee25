package estimate

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"flywheel/pkg/series"
)

// Source is a file to read, and what messages call it.
type Source struct {
	Name string
	From io.Reader
}

// points is a series as read.
type points struct {
	name    string
	atMs    []int64
	value   []float64
	spacing int64 // milliseconds
	// repeated is how many lines said again what another one says.
	repeated int
	civil    bool // days of a zone whose clocks change
}

func (p *points) first() int64 { return p.atMs[0] }
func (p *points) end() int64   { return p.atMs[len(p.atMs)-1] + p.spacing }

// valueMax keeps sums of products finite, and those of counts exact.
const valueMax = 1e15

// checkEvery is after how many rows it is looked whether to stop.
const checkEvery = 1024

// readPoints reads a series whose lines may stand in any order.
func readPoints(ctx context.Context, s Source) (*points, error) {
	r := series.NewLenientReader(s.Name, s.From)
	var all []series.Point
	for {
		point, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(all)%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if math.Abs(point.Value) > valueMax {
			return nil, fmt.Errorf("%s:%d: %v is too large to be reckoned with: give the series in larger units", s.Name, point.Line, point.Value)
		}
		if len(all) == pointsMax {
			return nil, fmt.Errorf("%s:%d: there are more than %d points: sum them to longer steps, or give a shorter time", s.Name, point.Line, pointsMax)
		}
		point.Text = nil // is not kept
		all = append(all, point)
	}
	p := &points{name: s.Name, repeated: len(all), civil: series.CivilDays(all)}
	all, spacing, err := series.Order(s.Name, all)
	if err != nil {
		return nil, err
	}
	p.repeated -= len(all)
	for _, point := range all {
		p.atMs, p.value = append(p.atMs, point.AtMs), append(p.value, point.Value)
	}
	if len(p.atMs) < 2 {
		return nil, fmt.Errorf("%s: there is only one point: its spacing cannot be told", s.Name)
	}
	p.spacing = spacing.Milliseconds()
	switch {
	case spacing < SpacingMin:
		return nil, fmt.Errorf("%s: the lines are %s apart: sum the series to steps of %s or more", s.Name, series.Short(spacing), series.Short(SpacingMin))
	case spacing > SpacingMax:
		return nil, fmt.Errorf("%s: the lines are %s apart, which is more than a day: give a finer series", s.Name, series.Short(spacing))
	case spacing%time.Second != 0:
		return nil, fmt.Errorf("%s: the lines are %s apart: give steps of whole seconds", s.Name, series.Short(spacing))
	}
	return p, nil
}

// grid is an even grid in milliseconds: n steps from start on.
type grid struct {
	start, step int64
	n           int
}

func (g grid) at(i int) time.Time { return time.UnixMilli(g.start + int64(i)*g.step).UTC() }

// days says whether a series has a point a day, and the grid too.
func (g grid) days(p *points) bool {
	return p.spacing == g.step && p.spacing == SpacingMax.Milliseconds()
}

// stepOf returns the step a point belongs to. Days of two zones, or of one in winter and in summer,
// begin hours apart: a day belongs to the one that it shares more of.
func (g grid) stepOf(p *points, at int64) int64 {
	if g.days(p) {
		at += g.step / 2
	}
	return floor(at-g.start, g.step)
}

// onto sums a series into the steps of a grid, NaN where it has less than half of the values;
// gaps counts these, and the steps it has in part, which are scaled up.
func (p *points) onto(g grid) (v []float64, gaps gaps) {
	v = make([]float64, g.n)
	parts := make([]int64, g.n)
	for i, at := range p.atMs {
		if k := g.stepOf(p, at); k >= 0 && k < int64(g.n) && !math.IsNaN(p.value[i]) {
			v[k] += p.value[i]
			parts[k]++
		}
	}
	whole := max(1, g.step/p.spacing)
	for k := range v {
		at := g.start + int64(k)*g.step
		switch {
		case 2*parts[k] >= whole && parts[k] > 0:
			v[k] *= float64(whole) / float64(parts[k])
			if parts[k] < whole {
				gaps.partial++
			}
		default:
			v[k] = math.NaN()
			if at >= p.first() && at < p.end() {
				gaps.missing++
			}
		}
	}
	return v, gaps
}

// gaps are the steps of a grid within the time of a series that it lacks, or has in part.
type gaps struct{ missing, partial int }

func floor(at, width int64) int64 {
	n := at / width
	if at%width < 0 {
		n--
	}
	return n
}

// span is what was declared.
type span struct {
	beginMs, endMs int64 // the end is exclusive
	name           string
}

// CalendarHeader is the first line of a calendar.
const CalendarHeader = "begin,end,name"

const spansMax = 1000

// readCalendar reads the rows begin,end,name, of times as series have them. A date without a
// time is its midnight as a begin, and the midnight after it as an end.
func readCalendar(s Source) ([]span, error) {
	r := csv.NewReader(s.From)
	r.FieldsPerRecord, r.TrimLeadingSpace, r.ReuseRecord = -1, true, true
	var spans []span
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w: want %s", s.Name, err, CalendarHeader)
		}
		line, _ := r.FieldPos(0)
		if len(row) != 3 {
			return nil, fmt.Errorf("%s:%d: the line has %d columns, want 3: %s", s.Name, line, len(row), CalendarHeader)
		}
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		if spans == nil {
			if header := strings.TrimPrefix(strings.Join(row, ","), "\ufeff"); !strings.EqualFold(header, CalendarHeader) {
				return nil, fmt.Errorf("%s:%d: the first line is %q, want %s", s.Name, line, header, CalendarHeader)
			}
			spans = []span{}
			continue
		}
		begin, err := moment(row[0], false)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: begin %w", s.Name, line, err)
		}
		end, err := moment(row[1], true)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: end %w", s.Name, line, err)
		}
		if end <= begin {
			return nil, fmt.Errorf("%s:%d: the end %s does not lie behind the begin %s", s.Name, line, row[1], row[0])
		}
		if len(spans) == spansMax {
			return nil, fmt.Errorf("%s:%d: there are more than %d rows: leave out those outside the series", s.Name, line, spansMax)
		}
		spans = append(spans, span{begin, end, row[2]})
	}
	if len(spans) == 0 {
		return nil, fmt.Errorf("%s holds no row: write %s, and one line for each promotion or event, or leave --calendar out", s.Name, CalendarHeader)
	}
	return spans, nil
}

func moment(text string, end bool) (int64, error) {
	at, err := series.Time(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no time: write it like 2015-02-26 21:42:53, in UTC, or 2015-02-26, or in seconds or milliseconds since 1970", text)
	}
	if _, timed := time.Parse(time.DateOnly, text); end && timed == nil {
		at = at.AddDate(0, 0, 1)
	}
	return at.UnixMilli(), nil
}

// declare numbers the steps of a grid by what was declared: a number for each day
// of each span, as its size may change from day to day. nil for nothing.
func declare(spans []span, g grid) (numbers []int, used int) {
	next := 0
	const dayMs = 24 * 3600 * 1000
	for _, s := range spans {
		hit := false
		// Only days of the grid: a span may have begun centuries before.
		before := max(0, floor(g.start-s.beginMs, dayMs))
		for day := s.beginMs + before*dayMs; day < min(s.endMs, g.start+int64(g.n)*g.step); day += dayMs {
			from := max(0, floor(day-g.start, g.step))
			to := min(int64(g.n), floor(min(day+dayMs, s.endMs)-g.start+g.step-1, g.step))
			if from >= to {
				continue
			}
			if numbers == nil {
				numbers = make([]int, g.n)
			}
			next++
			for k := from; k < to; k++ {
				numbers[k] = next
			}
			hit = true
		}
		if hit {
			used++
		}
	}
	return numbers, used
}
