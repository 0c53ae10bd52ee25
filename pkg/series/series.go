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
	Line  int
	AtMs  int64   // milliseconds since 1970, UTC
	Value float64 // finite, or NaN: no value
	Text  []byte  // the line as it stands, without its end; valid until the next call
}

// Reader reads the points of one series in order. Their times rise by whole
// multiples of one spacing, which is the shortest step between two lines:
// intervals may be missing, but none is of another length.
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
	// The shortest step so far, and the line that ends it.
	spacing     time.Duration
	spacingLine int
}

// NewReader returns a reader; name is what messages call the series, such as the
// path of its file.
func NewReader(name string, from io.Reader) *Reader {
	return &Reader{name: name, at: [2]int{0, 1}, lines: bufio.NewReaderSize(from, LineBytesMax)}
}

// NewLenientReader returns a reader of a series as it comes: the two columns may
// stand anywhere among others, in capitals or not, lines may be empty, times
// follow each other in any step and order, and a value that is missing, infinite
// or too large for a number is NaN. What Text gives of a line with more columns
// are these two. Only what cannot be told is refused: a bad header, a time that
// is none, a value that is a word.
func NewLenientReader(name string, from io.Reader) *Reader {
	r := NewReader(name, from)
	r.lenient = true
	return r
}

// Order sorts the points of a whole series by time, as lenient readers give them in
// any order, and returns its spacing. What stands there twice, with the same value,
// is kept once; the rest has to rise by whole multiples of one spacing, as in Reader.
func Order(name string, points []Point) ([]Point, time.Duration, error) {
	slices.SortStableFunc(points, func(a, b Point) int { return cmp.Compare(a.AtMs, b.AtMs) })
	points = slices.CompactFunc(points, func(a, b Point) bool {
		return a.AtMs == b.AtMs && (a.Value == b.Value || math.IsNaN(a.Value) && math.IsNaN(b.Value))
	})
	var r Reader
	for _, p := range points {
		if err := r.follow(p); err != nil {
			return nil, 0, fmt.Errorf("%s:%d: %w", name, p.Line, err)
		}
		r.points++
		r.last = p
	}
	return points, r.spacing, nil
}

// Points is how many points were read.
func (r *Reader) Points() int64 { return r.points }

// Spacing is the shortest step forwards between two points so far, 0 before the
// second.
func (r *Reader) Spacing() time.Duration { return r.spacing }

// Next returns the next point, and io.EOF after the last. A series without a
// point is an error.
func (r *Reader) Next() (Point, error) {
	if r.line == 0 {
		if err := r.header(); err != nil {
			return Point{}, err
		}
	}
	line, err := r.read()
	if errors.Is(err, io.EOF) && r.points == 0 {
		err = fmt.Errorf("%s holds only the header: it needs one line for each point below it", r.name)
	}
	if err != nil {
		return Point{}, err
	}
	p := Point{Line: r.line, Text: line}
	if err := r.parse(&p); err != nil {
		return Point{}, fmt.Errorf("%s:%d: %w", r.name, r.line, err)
	}
	if err := r.follow(p); err != nil {
		return Point{}, fmt.Errorf("%s:%d: %w", r.name, r.line, err)
	}
	r.points++
	r.last = p
	return p, nil
}

// read returns the next line without its end; empty lines at the end of the
// series are none.
func (r *Reader) read() ([]byte, error) {
	empty := 0
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
		switch {
		case len(line) == 0 && empty == 0:
			empty = r.line
		case len(line) == 0:
		case empty > 0 && !r.lenient:
			return nil, fmt.Errorf("%s:%d: the line is empty: remove it", r.name, empty)
		default:
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
	if r.lenient && err == nil && r.find(titles) {
		return nil
	}
	if r.line != 1 || err != nil || !slices.Equal(titles, []string{"timestamp", "value"}) {
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
	if p.AtMs, err = r.timestamp(stamp); err != nil {
		return err
	}
	if r.lenient {
		if len(fields) != 2 || r.at[0] != 0 {
			p.Text = []byte(stamp + "," + value)
		}
		if missing(value) {
			p.Value = math.NaN()
			return nil
		}
	}
	p.Value, err = number(value)
	return err
}

// missing tells the ways in which programs write that there is no value.
func missing(text string) bool {
	switch strings.ToLower(text) {
	case "", "na", "n/a", "null", "none":
		return true
	}
	value, err := strconv.ParseFloat(text, 64)
	return math.IsInf(value, 0) || err == nil && math.IsNaN(value)
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
func (r *Reader) timestamp(text string) (int64, error) {
	fail := func(what string) (int64, error) {
		return 0, fmt.Errorf("timestamp %s %s: write a time from %d on like 2015-02-26 21:42:53, in UTC, or 2015-02-26T21:42:53Z, or seconds or milliseconds since 1970",
			show(text), what, yearMin)
	}
	var at time.Time
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		at = time.Unix(n, 0)
		if n >= millisMin {
			at = time.UnixMilli(n)
		}
	} else {
		if at, err = r.layouts(text); err != nil {
			return fail("is no time")
		}
	}
	if year := at.UTC().Year(); year < yearMin || year >= yearMax {
		return fail("lies out of range")
	}
	if at.Nanosecond()%int(time.Millisecond) != 0 {
		return 0, fmt.Errorf("timestamp %s: cut it to whole milliseconds", show(text))
	}
	return at.UnixMilli(), nil
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

// number reads a decimal number or NaN.
func number(text string) (float64, error) {
	if text == "" {
		return 0, errors.New("the value is empty: write a number, NaN where there is none, or leave the line out")
	}
	value, err := strconv.ParseFloat(text, 64)
	decimal := strings.Trim(text, "0123456789+-.eE") == "" || strings.EqualFold(text, "nan")
	switch {
	case decimal && err == nil:
		return value, nil
	case decimal && errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("value %s is larger than any number that can be reckoned with: correct it", show(text))
	}
	return 0, fmt.Errorf("value %s is no number: write digits with a point, such as 104 or 2329.86, or NaN where there is none", show(text))
}

// follow checks the time of a point against those before.
func (r *Reader) follow(p Point) error {
	if r.points == 0 {
		return nil
	}
	step := time.Duration(p.AtMs-r.last.AtMs) * time.Millisecond
	switch {
	case r.lenient:
		if step > 0 && (r.spacing == 0 || step < r.spacing) {
			r.spacing = step
		}
	case step == 0:
		return fmt.Errorf("timestamp %s is that of line %d: merge the two; if a clock was set back here, write all times in UTC", stamp(p.AtMs), r.last.Line)
	case step < 0:
		return fmt.Errorf("timestamp %s lies before that of line %d, %s: sort the series by time; if a clock was set back here, write all times in UTC",
			stamp(p.AtMs), r.last.Line, stamp(r.last.AtMs))
	case r.spacing == 0 || step < r.spacing && r.spacing%step == 0:
		r.spacing, r.spacingLine = step, p.Line
	case step%r.spacing != 0:
		return fmt.Errorf("the line comes %s after the one before, where line %d comes after %s: give all steps one length; whole steps may be missing",
			step, r.spacingLine, r.spacing)
	}
	return nil
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
