package ingest

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"flywheel/pkg/config"
	"flywheel/pkg/event"
	"flywheel/pkg/series"
)

// fileBytesMax bounds a file.
const fileBytesMax = 1 << 30

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
	Rows    int64  // with a value
	Sum     int64
	First   time.Time
	Last    time.Time // start of the last interval
	Spacing time.Duration
	Missing int64 // intervals between First and Last without a value
	Longest Gap   // of those where they are missing

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
	if s.sum, s.Spacing, err = s.read(s.add); err != nil {
		return err
	}
	switch {
	case s.Spacing == 0:
		return fmt.Errorf("%s: there is only one line below the header: the spacing of the series cannot be told from it", s.path)
	case s.Rows == 0:
		return fmt.Errorf("%s: no line has a value", s.path)
	}
	s.Missing = int64(s.Last.Sub(s.First)/s.Spacing) + 1 - s.Rows
	s.Longest.Missing = max(0, int64(s.Longest.Before.Sub(s.Longest.After)/s.Spacing)-1)
	if end := s.Last.Add(s.Spacing); end.After(now) {
		return fmt.Errorf("%s: the series ends at %s, which lies in the future: an event has happened when it is told; cut the series there",
			s.path, end.Format(time.DateTime))
	}
	return nil
}

// add takes the next point into what the series tells of itself.
func (s *Series) add(line int, p Point) error {
	if s.Sum += p.Value; s.Sum > event.CountMax {
		return fmt.Errorf("%s:%d: the values add up to more than %d, which no count of views or searches reaches", s.path, line, int64(event.CountMax))
	}
	switch {
	case s.Rows == 0:
		s.First = p.At
	case p.At.Sub(s.Last) > s.Longest.Before.Sub(s.Longest.After):
		s.Longest = Gap{After: s.Last, Before: p.At}
	}
	s.Rows++
	s.Last = p.At
	return nil
}

// Points hands over every point in order, until do fails. It fails when the
// file is no longer the one that was checked.
func (s *Series) Points(do func(Point) error) error {
	sum, _, err := s.read(func(_ int, p Point) error { return do(p) })
	if err == nil && sum != s.sum {
		err = fmt.Errorf("%s has changed while it was read: run the command again with the file as it shall be, under another --content", s.path)
	}
	return err
}

// read hands over every point that has a value, with the number of its line, and
// returns the checksum and the spacing of what it read.
func (s *Series) read(do func(line int, p Point) error) (sum uint64, spacing time.Duration, err error) {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return 0, 0, fmt.Errorf("read %s again: %w", s.path, err)
	}
	var hash maphash.Hash
	hash.SetSeed(s.seed)
	lines := series.NewReader(s.path, io.TeeReader(io.LimitReader(s.file, fileBytesMax+1), &hash))
	for {
		p, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return hash.Sum64(), lines.Spacing(), nil
		}
		if err != nil {
			return 0, 0, err
		}
		if math.IsNaN(p.Value) {
			continue
		}
		count, err := whole(p.Value)
		if err != nil {
			return 0, 0, fmt.Errorf("%s:%d: %w", s.path, p.Line, err)
		}
		if err := do(p.Line, Point{time.UnixMilli(p.AtMs).UTC(), count}); err != nil {
			return 0, 0, err
		}
	}
}

// whole returns a value as a count.
func whole(value float64) (int64, error) {
	switch {
	case value < 0:
		return 0, fmt.Errorf("value %v is negative: a count is 0 or more", value)
	case value > event.CountMax:
		return 0, fmt.Errorf("value %.0f is above %d, which no count of views or searches reaches", value, int64(event.CountMax))
	case value != math.Trunc(value):
		return 0, fmt.Errorf("value %v is no whole number: round it, or count in smaller units", value)
	}
	return int64(value), nil
}
