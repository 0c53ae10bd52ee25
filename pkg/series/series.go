// Package series reads time series as text, one line a point:
//
//	timestamp,value
//	2015-02-26 21:42:53,104
//
// It reads as a stream, from any io.Reader, in constant memory, and opens
// nothing. Whatever is wrong is one sentence that names the line, what stands
// there, and what to do.
package series

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Header is the first line of a series.
const Header = "timestamp,value"

// Bounds of what is read.
const (
	LineBytesMax = 1024
	shownMax     = 40 // bytes of a bad text that are shown
	yearMin      = 1971
	yearMax      = 2100 // exclusive
	// Whole numbers from here on are milliseconds: as seconds they lie in the year
	// 5138, and as milliseconds the smallest lies in 1973.
	millisMin = 100_000_000_000
)

// Point is one line.
type Point struct {
	Line int
	AtMs int64 // milliseconds since 1970, UTC
	// OffsetMs is by how much the clocks it is written by are ahead of UTC, 0 where no zone is
	// named.
	OffsetMs int64
	Value    float64 // finite, or NaN: no value
	Text     []byte  // the line as it stands, without its end; valid until the next call
}

// Reader reads the points of one series as people and programs write it: the two
// columns may stand anywhere among others, in capitals or not, lines may be empty,
// and a value that is missing, infinite or too large for a number is NaN. Only what
// cannot be told is refused: a bad header, a time that is none, a value that is a
// word.
type Reader struct {
	name    string
	lines   *bufio.Reader
	lenient bool
	at      [2]int // columns of the timestamp and of the value
	columns int    // of the header
	line    int
	layout  int // of the last timestamp
	last    Point
	points  int64
	steps   steps
}

// NewReader returns a reader of a series whose times rise by whole multiples of one
// spacing, which is the shortest step between two lines: intervals may be missing,
// but none is of another length. Whether one is, is known and told behind the last
// line. name is what messages call the series, such as the path of its file.
func NewReader(name string, from io.Reader) *Reader {
	return &Reader{name: name, lines: bufio.NewReaderSize(from, LineBytesMax)}
}

// NewLenientReader returns a reader of a series whose times follow each other in any
// step and order.
func NewLenientReader(name string, from io.Reader) *Reader {
	r := NewReader(name, from)
	r.lenient = true
	return r
}

// Order sorts the points of a whole series by time, as lenient readers give them in
// any order, and returns its spacing. What stands there twice, with the same value,
// is kept once; the rest has to rise by whole multiples of one spacing, as in
// [NewReader].
func Order(name string, points []Point) ([]Point, time.Duration, error) {
	slices.SortStableFunc(points, func(a, b Point) int { return cmp.Compare(a.AtMs, b.AtMs) })
	points = slices.CompactFunc(points, func(a, b Point) bool {
		return a.AtMs == b.AtMs && (a.Value == b.Value || math.IsNaN(a.Value) && math.IsNaN(b.Value))
	})
	r := Reader{name: name}
	for _, p := range points {
		if err := r.follow(p); err != nil {
			return nil, 0, err
		}
	}
	return points, r.Spacing(), r.even()
}

// CivilDays says whether the points are days of a zone whose clocks change: all at the same
// time of their own day, such as midnight, and not all at the same offset from UTC. Such days
// have 23 to 25 hours. It puts them 24 hours apart then, from the first on, each in its day.
func CivilDays(points []Point) bool {
	const dayMs = 24 * 3600 * 1000
	clock := func(p Point) int64 { return p.AtMs + p.OffsetMs }
	changes := false
	for _, p := range points {
		if (clock(p)-clock(points[0]))%dayMs != 0 {
			return false
		}
		changes = changes || p.OffsetMs != points[0].OffsetMs
	}
	if !changes {
		return false
	}
	first := slices.MinFunc(points, func(a, b Point) int { return cmp.Compare(a.AtMs, b.AtMs) })
	for i, p := range points {
		points[i].AtMs = first.AtMs + clock(p) - clock(first)
	}
	return true
}

// Spacing is the shortest step forwards between two points so far, 0 before the
// second.
func (r *Reader) Spacing() time.Duration { return r.steps.shortest.length }

// Next returns the next point, and io.EOF after the last. A series without a
// line below its header is an error.
func (r *Reader) Next() (Point, error) {
	if r.line == 0 {
		if err := r.header(); err != nil {
			return Point{}, err
		}
	}
	line, err := r.read()
	if errors.Is(err, io.EOF) {
		return Point{}, r.end()
	}
	if err != nil {
		return Point{}, err
	}
	p := Point{Line: r.line, Text: line}
	if err := r.parse(&p); err != nil {
		return Point{}, fmt.Errorf("%s:%d: %w", r.name, r.line, err)
	}
	return p, r.follow(p)
}

// end is what Next returns behind the last line.
func (r *Reader) end() error {
	if r.points == 0 {
		return fmt.Errorf("%s holds only the header: it needs one line for each point below it", r.name)
	}
	if !r.lenient {
		if err := r.even(); err != nil {
			return err
		}
	}
	return io.EOF
}

// read returns the next line that is not empty, without its end.
func (r *Reader) read() ([]byte, error) {
	for {
		line, err := r.lines.ReadSlice('\n')
		if len(line) > 0 {
			r.line++
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("%s:%d: the line is longer than %d bytes: want %s", r.name, r.line, LineBytesMax, Header)
		case err != nil && !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("read %s: %w", r.name, err)
		case len(line) == 0:
			return nil, io.EOF
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(line) > 0 {
			return line, nil
		}
	}
}

// header checks the first line.
func (r *Reader) header() error {
	line, err := r.read()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s is empty: it needs the line %s, and one line for each point below it", r.name, Header)
	}
	if err != nil {
		return err
	}
	if bytes.HasPrefix(line, []byte("\xff\xfe")) || bytes.HasPrefix(line, []byte("\xfe\xff")) {
		return fmt.Errorf("%s is written in UTF-16: save it as UTF-8", r.name)
	}
	text := string(bytes.TrimPrefix(line, []byte("\ufeff")))
	titles, err := columns(text)
	r.columns = len(titles)
	if err != nil || !r.find(titles) {
		return fmt.Errorf("%s:%d: the first line is %s, want %s", r.name, r.line, show(text), Header)
	}
	return nil
}

// find looks for the two columns.
func (r *Reader) find(titles []string) bool {
	for k, want := range [...]string{"timestamp", "value"} {
		r.at[k] = slices.IndexFunc(titles, func(title string) bool { return strings.EqualFold(title, want) })
	}
	return r.at[0] >= 0 && r.at[1] >= 0
}

func (r *Reader) parse(p *Point) error {
	fields, err := columns(string(p.Text))
	if err != nil {
		return err
	}
	switch n := len(fields); {
	case n > r.columns:
		return fmt.Errorf("%s has %d columns, the header %d: is there a decimal comma or a thousands separator? write numbers like 2329.86",
			show(string(p.Text)), n, r.columns)
	case n <= max(r.at[0], r.at[1]):
		plural := "columns"
		if n == 1 {
			plural = "column"
		}
		return fmt.Errorf("%s has %d %s, want %d: %s", show(string(p.Text)), n, plural, max(r.at[0], r.at[1])+1, Header)
	}
	stamp, value := fields[r.at[0]], fields[r.at[1]]
	if p.AtMs, p.OffsetMs, err = r.timestamp(stamp); err != nil {
		return err
	}
	if len(fields) != 2 || r.at[0] != 0 {
		p.Text = []byte(stamp + "," + value)
	}
	p.Value, err = number(value)
	return err
}

// columns splits a line, without the blanks and quotes around each part.
func columns(line string) (fields []string, err error) {
	rest := line
	for more := true; more; {
		var field string
		if quoted := strings.TrimLeft(rest, " \t"); strings.HasPrefix(quoted, `"`) {
			end := strings.IndexByte(quoted[1:], '"')
			if end < 0 {
				return nil, fmt.Errorf("%s opens a quote and does not close it: close it, or leave quotes out", show(line))
			}
			field, rest = quoted[1:end+1], strings.TrimLeft(quoted[end+2:], " \t")
			if more = rest != ""; more && rest[0] != ',' {
				return nil, fmt.Errorf("%s has more behind a closing quote: leave the quotes out", show(line))
			}
			rest = strings.TrimPrefix(rest, ",")
		} else {
			field, rest, more = strings.Cut(rest, ",")
			field = strings.Trim(field, " \t")
		}
		fields = append(fields, field)
	}
	return fields, nil
}

// timestamp reads a time in UTC, unless it names a zone.
func (r *Reader) timestamp(text string) (atMs, offsetMs int64, err error) {
	fail := func(what string) (int64, int64, error) {
		return 0, 0, fmt.Errorf("timestamp %s %s: write a time from %d on like 2015-02-26 21:42:53, in UTC, or 2015-02-26T21:42:53Z, or seconds or milliseconds since 1970",
			show(text), what, yearMin)
	}
	at, number := sinceEpoch(text)
	if !number {
		if at, err = r.layouts(text); err != nil {
			return fail("is no time")
		}
	}
	if !inRange(at) {
		return fail("lies out of range")
	}
	if at.Nanosecond()%int(time.Millisecond) != 0 {
		return 0, 0, fmt.Errorf("timestamp %s: cut it to whole milliseconds", show(text))
	}
	_, offset := at.Zone()
	return at.UnixMilli(), 1000 * int64(offset), nil
}

// Time reads a time in any of the ways in which series have theirs. A number that is not one
// of theirs is none: 20150302 is a day to whoever wrote it.
func Time(text string) (time.Time, error) {
	at, number := sinceEpoch(text)
	if !number {
		return new(Reader).layouts(text)
	}
	if !inRange(at) {
		return at, fmt.Errorf("%s lies out of range", show(text))
	}
	return at, nil
}

// sinceEpoch reads seconds or milliseconds since 1970, and says whether the text is a number.
func sinceEpoch(text string) (time.Time, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	if n >= millisMin {
		return time.UnixMilli(n).UTC(), err == nil
	}
	return time.Unix(n, 0).UTC(), err == nil
}

func inRange(at time.Time) bool {
	year := at.UTC().Year()
	return year >= yearMin && year < yearMax
}

// layouts reads a written time, trying first how the last one was written.
// Fractions of a second are taken wherever there are seconds.
func (r *Reader) layouts(text string) (time.Time, error) {
	all := [...]string{
		time.DateTime, time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly,
	}
	at, err := time.Parse(all[r.layout], text)
	for i := 0; err != nil && i < len(all); i++ {
		if at, err = time.Parse(all[i], text); err == nil {
			r.layout = i
		}
	}
	if err != nil {
		return at, fmt.Errorf("parse a time: %w", err)
	}
	return at, nil
}

// number reads a decimal number. It is NaN where there is none, in the ways in which
// programs write that.
func number(text string) (float64, error) {
	switch strings.ToLower(text) {
	case "", "na", "n/a", "null", "none":
		return math.NaN(), nil
	}
	value, err := strconv.ParseFloat(text, 64)
	switch {
	case math.IsInf(value, 0) || err == nil && math.IsNaN(value):
		return math.NaN(), nil
	case err == nil && strings.Trim(text, "0123456789+-.eE") == "":
		return value, nil
	}
	return 0, fmt.Errorf("value %s is no number: write digits with a point, such as 104 or 2329.86, or NaN where there is none", show(text))
}

// follow checks the time of a point against those before.
func (r *Reader) follow(p Point) error {
	step := time.Duration(p.AtMs-r.last.AtMs) * time.Millisecond
	switch {
	case r.points == 0:
	case step > 0:
		r.steps.add(step, p.Line)
	case r.lenient:
	case step == 0:
		return fmt.Errorf("%s:%d: timestamp %s is that of line %d: merge the two; if a clock was set back here, write all times in UTC",
			r.name, p.Line, stamp(p.AtMs), r.last.Line)
	default:
		return fmt.Errorf("%s:%d: timestamp %s lies before that of line %d, %s: sort the series by time; if a clock was set back here, write all times in UTC",
			r.name, p.Line, stamp(p.AtMs), r.last.Line, stamp(r.last.AtMs))
	}
	r.points++
	r.last = p
	return nil
}

// civilMin is the shortest day that clocks make.
const civilMin = 23 * time.Hour

// even checks that all steps are multiples of the shortest.
func (r *Reader) even() error {
	odd, shortest := r.steps.odd(), r.steps.shortest
	if odd.line == 0 {
		return nil
	}
	todo := "give all steps one length; whole steps may be missing"
	if shortest.length >= civilMin {
		todo = "where these are days of a zone whose clocks change, write them by their date alone, such as 2015-03-29"
	}
	return fmt.Errorf("%s:%d: the line comes %s after the one before, where line %d comes after %s: %s",
		r.name, odd.line, Short(odd.length), shortest.line, Short(shortest.length), todo)
}

// steps are the times between the points of a series.
type steps struct {
	shortest step
	divisor  time.Duration // the greatest of all steps
	// dividing are the steps that made the divisor smaller: no more than it has bits.
	dividing []step
}

// step ends with a line.
type step struct {
	length time.Duration
	line   int
}

func (s *steps) add(length time.Duration, line int) {
	if s.shortest.line == 0 || length < s.shortest.length {
		s.shortest = step{length, line}
	}
	if s.divisor != 0 && length%s.divisor == 0 {
		return
	}
	s.dividing = append(s.dividing, step{length, line})
	for a := length; a != 0; {
		s.divisor, a = a, s.divisor%a
	}
}

// odd returns a step that is no multiple of the shortest, if there is one. It is
// among the dividing ones then: were all those multiples of it, so would be their
// greatest divisor, which divides every step.
func (s *steps) odd() step {
	for _, d := range s.dividing {
		if d.length%s.shortest.length != 0 {
			return d
		}
	}
	return step{}
}

// Short writes a duration without its zeros, such as 5m and not 5m0s.
func Short(d time.Duration) string {
	s := d.String()
	if minutes, ok := strings.CutSuffix(s, "m0s"); ok {
		s = minutes + "m"
	}
	if hours, ok := strings.CutSuffix(s, "h0m"); ok {
		s = hours + "h"
	}
	return s
}

func stamp(ms int64) string {
	at := time.UnixMilli(ms).UTC()
	if ms%1000 != 0 {
		return at.Format("2006-01-02 15:04:05.000")
	}
	return at.Format(time.DateTime)
}

// show quotes a text for a message, and cuts it where it is long.
func show(text string) string {
	if len(text) > shownMax {
		end := shownMax
		for end > shownMax-utf8.UTFMax && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + "…"
	}
	return strconv.Quote(text)
}
