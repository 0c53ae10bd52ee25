package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"flywheel/pkg/config"
	"flywheel/pkg/event"
)

// Bounds of a file.
const (
	fileBytesMax = 1 << 30
	lineBytesMax = 256
	gapsKept     = 5
	stepsMax     = 1000 // different gaps
	shownMax     = 40   // bytes of a bad value that are shown
)

// header is the first line of a file.
const header = "timestamp,value"

// Point is one line of a series: a count over the interval that begins at a
// moment and is as long as the series' spacing.
type Point struct {
	At    time.Time // UTC
	Value int64
}

// Gap is where intervals are missing.
type Gap struct {
	After, Before time.Time // the neighbours there are
	Missing       int64
}

// Series is a file of counts at even intervals that has been checked to its
// end. It keeps the file open: Close it.
type Series struct {
	Name    string // of the file, without folder and extension
	Rows    int64
	Sum     int64
	First   time.Time
	Last    time.Time // start of the last interval
	Spacing time.Duration
	Missing int64 // intervals between First and Last without a line
	Gaps    []Gap // the first few places of different lengths where they are missing

	path string
	file *os.File
	seed maphash.Seed
	sum  uint64 // of the bytes
}

// Open checks the file at path from its first line to its last, as of a moment:
// no interval may end after it. The error names the file and the line. Nothing
// is kept in memory but the summary; Points reads the file again.
func Open(path string, now time.Time) (*Series, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the series: %w", err)
	}
	s := &Series{
		Name: strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)),
		path: path, file: f, seed: maphash.MakeSeed(),
	}
	if err := s.check(now); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

// Close closes the file.
func (s *Series) Close() error {
	if err := s.file.Close(); err != nil {
		return fmt.Errorf("close the series: %w", err)
	}
	return nil
}

func (s *Series) check(now time.Time) error {
	info, err := s.file.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("read the series: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file: it is read twice, so save the series to a file first", s.path)
	case info.Size() > fileBytesMax:
		return fmt.Errorf("%s is larger than %s: split the series, and give each part its own --content", s.path, config.Size(fileBytesMax))
	}
	a := &survey{path: s.path, steps: make(map[time.Duration]step)}
	if s.sum, err = s.read(a.add); err != nil {
		return err
	}
	if a.rows == 1 {
		return fmt.Errorf("%s: there is only one line below the header: the spacing of the series cannot be told from it", s.path)
	}
	if s.Spacing, s.Gaps, err = a.spacing(); err != nil {
		return err
	}
	s.Rows, s.Sum, s.First, s.Last = a.rows, a.sum, a.first, a.last
	s.Missing = int64(s.Last.Sub(s.First)/s.Spacing) + 1 - s.Rows
	if end := s.Last.Add(s.Spacing); end.After(now) {
		return fmt.Errorf("%s: the series ends at %s, which lies in the future: an event has happened when it is told; cut the series there",
			s.path, end.Format(time.DateTime))
	}
	return nil
}

// Points hands over every point in order, until do fails. It fails when the
// file is no longer the one that was checked.
func (s *Series) Points(do func(Point) error) error {
	sum, err := s.read(func(_ int, p Point) error { return do(p) })
	if err == nil && sum != s.sum {
		err = fmt.Errorf("%s has changed while it was read: run the command again with the file as it shall be, under another --content", s.path)
	}
	return err
}

// read hands over every point with the number of its line, and returns the
// checksum of what it read.
func (s *Series) read(do func(line int, p Point) error) (uint64, error) {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return 0, fmt.Errorf("read %s again: %w", s.path, err)
	}
	var sum maphash.Hash
	sum.SetSeed(s.seed)
	err := parse(s.path, io.TeeReader(io.LimitReader(s.file, fileBytesMax+1), &sum), do)
	return sum.Sum64(), err
}

// survey follows the points of a series and collects what Series tells.
type survey struct {
	path        string
	rows, sum   int64
	first, last time.Time
	steps       map[time.Duration]step // the first of each length
}

// step is what lies between two lines.
type step struct {
	line          int // the second of the two
	after, before time.Time
}

func (a *survey) add(line int, p Point) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%s:%d: %s", a.path, line, fmt.Sprintf(format, args...))
	}
	if a.sum += p.Value; a.sum > event.CountMax {
		return fail("the values add up to more than %d, which no count of views or searches reaches", int64(event.CountMax))
	}
	if a.rows++; a.rows == 1 {
		a.first, a.last = p.At, p.At
		return nil
	}
	length := p.At.Sub(a.last)
	switch {
	case length == 0:
		return fail("timestamp %s is that of the line before: merge the two", p.At.Format(time.DateTime))
	case length < 0:
		return fail("timestamp %s lies before that of the line above, %s: sort the file by time", p.At.Format(time.DateTime), a.last.Format(time.DateTime))
	}
	if _, known := a.steps[length]; !known {
		if len(a.steps) == stepsMax {
			return fail("there are more than %d different times between two lines: give all intervals one length; whole intervals may be missing", stepsMax)
		}
		a.steps[length] = step{line, a.last, p.At}
	}
	a.last = p.At
	return nil
}

// spacing returns the length of the intervals, which is the shortest time
// between two lines, and the first few gaps of different lengths. All times
// must be multiples of it.
func (a *survey) spacing() (time.Duration, []Gap, error) {
	lengths := slices.SortedFunc(maps.Keys(a.steps), func(x, y time.Duration) int { return a.steps[x].line - a.steps[y].line })
	shortest := slices.Min(lengths)
	var gaps []Gap
	for _, length := range lengths {
		switch s := a.steps[length]; {
		case length%shortest != 0:
			return 0, nil, fmt.Errorf("%s:%d: %s after the line before, where line %d comes after %s: give all intervals one length; whole intervals may be missing",
				a.path, s.line, length, a.steps[shortest].line, shortest)
		case length > shortest && len(gaps) < gapsKept:
			gaps = append(gaps, Gap{s.after, s.before, int64(length/shortest) - 1})
		}
	}
	return shortest, gaps, nil
}

// parse reads the lines of a file: a header, then a timestamp and a count each.
func parse(path string, from io.Reader, do func(line int, p Point) error) error {
	lines := bufio.NewReaderSize(from, lineBytesMax)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("%s:%d: the line is longer than %d bytes: want %s", path, n, lineBytesMax, header)
		case err != nil && !errors.Is(err, io.EOF):
			return fmt.Errorf("read %s: %w", path, err)
		case len(line) == 0 && n == 1:
			return fmt.Errorf("%s is empty: it needs the line %s, and one line for each interval below it", path, header)
		case len(line) == 0 && n == 2:
			return fmt.Errorf("%s holds only the header: it needs one line for each interval below it", path)
		case len(line) == 0:
			return nil
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if n == 1 {
			if text := string(bytes.TrimPrefix(line, []byte("\ufeff"))); text != header {
				return fmt.Errorf("%s:1: the first line is %s, want %s", path, show(text), header)
			}
			continue
		}
		p, err := parsePoint(string(line))
		if err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
		if err := do(n, p); err != nil {
			return err
		}
	}
}

func parsePoint(line string) (Point, error) {
	var p Point
	if line == "" {
		return p, errors.New("the line is empty: remove it")
	}
	stamp, value, ok := strings.Cut(line, ",")
	if !ok || strings.Contains(value, ",") {
		return p, fmt.Errorf("%s has %d columns, want 2: %s", show(line), strings.Count(line, ",")+1, header)
	}
	var err error
	if p.At, err = time.Parse(time.DateTime, stamp); err != nil {
		p.At, err = time.Parse(time.RFC3339, stamp)
	}
	if year := p.At.Year(); err != nil || year < 1971 || year >= 2100 {
		return p, fmt.Errorf("timestamp %s: write a time from 1971 on like 2015-02-26 21:42:53, in UTC, or like 2015-02-26T21:42:53Z", show(stamp))
	}
	p.At = p.At.UTC()
	if p.At.Nanosecond() != 0 {
		return p, fmt.Errorf("timestamp %s: cut it to whole seconds", show(stamp))
	}
	p.Value, err = strconv.ParseInt(value, 10, 64)
	if err == nil && strings.HasPrefix(value, "+") {
		err = strconv.ErrSyntax
	}
	f, floatErr := strconv.ParseFloat(value, 64)
	switch {
	case err == nil && p.Value >= 0 && p.Value <= event.CountMax:
		return p, nil
	case floatErr == nil && f < 0:
		return p, fmt.Errorf("value %s is negative: a count is 0 or more", show(value))
	case err == nil || errors.Is(err, strconv.ErrRange):
		return p, fmt.Errorf("value %s is above %d, which no count of views or searches reaches", show(value), int64(event.CountMax))
	}
	return p, fmt.Errorf("value %s is no whole number: a count has digits only", show(value))
}

// show quotes a text for a message, and cuts it where it is long.
func show(text string) string {
	if len(text) > shownMax {
		text = strings.ToValidUTF8(text[:shownMax], "") + "…"
	}
	return strconv.Quote(text)
}
