package ingest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// write puts a file named s.csv into the working folder.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, text string) *Series {
	t.Helper()
	s, err := Open(write(t, text), now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestMistakesAreLocated(t *testing.T) {
	const rows = "timestamp,value\n2015-02-26 21:42:53,104\n2015-02-26 21:47:53,100\n"
	for name, tc := range map[string]struct{ file, want string }{
		"an empty file":             {"", `s.csv is empty: it needs the line timestamp,value, and one line for each point below it`},
		"only the header":           {"timestamp,value\n", `s.csv holds only the header: it needs one line for each point below it`},
		"only one row":              {"timestamp,value\n2015-02-26 21:42:53,104\n", `s.csv: there is only one line below the header: the spacing of the series cannot be told from it`},
		"another header":            {"time;value\n", `s.csv:1: the first line is "time;value", want timestamp,value`},
		"no header":                 {"2015-02-26 21:42:53,104\n", `s.csv:1: the first line is "2015-02-26 21:42:53,104", want timestamp,value`},
		"a bad row in the middle":   {rows + "oops\n2015-02-26 21:57:53,1\n", `s.csv:4: "oops" has 1 column, want 2: timestamp,value`},
		"three columns":             {rows + "2015-02-26 21:52:53,1,2\n", `s.csv:4: "2015-02-26 21:52:53,1,2" has 3 columns, the header 2: is there a decimal comma or a thousands separator?`},
		"no time":                   {rows + "yesterday,1\n", `s.csv:4: timestamp "yesterday" is no time: write a time from 1971 on like 2015-02-26 21:42:53, in UTC, or 2015-02-26T21:42:53Z`},
		"a day that does not exist": {rows + "2015-02-29 00:00:00,1\n", `s.csv:4: timestamp "2015-02-29 00:00:00" is no time: write a time`},
		"a time before the epoch":   {rows + "1969-02-26 21:42:53,1\n", `s.csv:4: timestamp "1969-02-26 21:42:53" lies out of range: write a time from 1971 on`},
		"unsorted":                  {rows + "2015-02-26 21:37:53,1\n", `s.csv:4: timestamp 2015-02-26 21:37:53 lies before that of line 3, 2015-02-26 21:47:53: sort the series by time`},
		"a timestamp twice":         {rows + "2015-02-26 21:47:53,1\n", `s.csv:4: timestamp 2015-02-26 21:47:53 is that of line 3: merge the two`},
		"irregular":                 {rows + "2015-02-26 21:54:53,1\n", `s.csv:4: the line comes 7m after the one before, where line 3 comes after 5m: give all steps one length; whole steps may be missing`},
		"irregular and shorter":     {rows + "2015-02-26 21:50:53,1\n", `s.csv:3: the line comes 5m after the one before, where line 4 comes after 3m`},
		"a negative value":          {rows + "2015-02-26 21:52:53,-1\n", `s.csv:4: value -1 is negative: a count is 0 or more`},
		"a negative fraction":       {rows + "2015-02-26 21:52:53,-0.5\n", `s.csv:4: value -0.5 is negative: a count is 0 or more`},
		"a fraction":                {rows + "2015-02-26 21:52:53,1.5\n", `s.csv:4: value 1.5 is no whole number: round it, or count in smaller units`},
		"a value over bounds":       {rows + "2015-02-26 21:52:53,1099511627777\n", `s.csv:4: value 1099511627777 is above 1099511627776, which no count of views or searches reaches`},
		"a value over 64 bits":      {rows + "2015-02-26 21:52:53,99999999999999999999\n", `s.csv:4: value 100000000000000000000 is above 1099511627776`},
		"values that add up":        {rows + "2015-02-26 21:52:53,1099511627776\n", `s.csv:4: the values add up to more than 1099511627776`},
		"a line without end":        {rows + strings.Repeat("1", 5000), `s.csv:4: the line is longer than 1024 bytes: want timestamp,value`},
		"a word":                    {rows + "2015-02-26 21:52:53,many\n", `s.csv:4: value "many" is no number: write digits`},
		"no value at all":           {"timestamp,value\n2015-02-26 21:42:53,\n2015-02-26 21:47:53,NaN\n", `s.csv: no line has a value`},
		"UTF-16":                    {"\xff\xfet\x00", `s.csv is written in UTF-16: save it as UTF-8`},
		"binary":                    {"\x00\x01\x02", `s.csv:1: the first line is "\x00\x01\x02", want timestamp,value`},
		"a series from the future":  {"timestamp,value\n2026-11-24 11:50:00,1\n2026-11-24 11:56:00,1\n", `s.csv: the series ends at 2026-11-24 12:02:00, which lies in the future: an event has happened when it is told; cut the series there`},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, tc.file)
			_, err := Open(path, now)
			if err == nil || !strings.HasPrefix(strings.TrimPrefix(err.Error(), filepath.Dir(path)+"/"), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v\nwant %s", err, tc.want)
			}
		})
	}
	if _, err := Open(t.TempDir(), now); err == nil || !strings.Contains(err.Error(), "is no regular file: it is read twice, so save the series to a file first") {
		t.Errorf("a folder: %v", err)
	}
	huge := write(t, "timestamp,value\n")
	if err := os.Truncate(huge, fileBytesMax+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(huge, now); err == nil || !strings.Contains(err.Error(), "s.csv is larger than 1GiB: split the series, and give each part its own --content") {
		t.Errorf("a huge file: %v", err)
	}
	if _, err := Open("nowhere.csv", now); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestASeriesOfAnyFormIsRead(t *testing.T) {
	for name, file := range map[string]string{
		"as is":                    "timestamp,value\n2015-02-26 21:42:53,104\n2015-02-26 21:47:53,100\n",
		"without the last newline": "timestamp,value\n2015-02-26 21:42:53,104\n2015-02-26 21:47:53,100",
		"from Windows":             "\ufefftimestamp,value\r\n2015-02-26 21:42:53,104\r\n2015-02-26 21:47:53,100\r\n",
		"with empty lines":         "timestamp,value\n\n2015-02-26 21:42:53,104\n2015-02-26 21:47:53,100\n\n",
		"among other columns":      "Value,note,Timestamp\n104,a,2015-02-26 21:42:53\n100,b,2015-02-26 21:47:53\n",
		"in seconds":               "timestamp,value\n1424986973,104.0\n1424987273,1e2\n",
		"with a T":                 "timestamp,value\n2015-02-26T21:42:53, 104\n2015-02-26T21:47:53,\"+100\"\n",
		"with nothing at its ends": "timestamp,value\n2015-02-26 21:37:53,\n2015-02-26 21:42:53,104\n2015-02-26 21:47:53,100\n2015-02-26 21:52:53,NaN\n",
		"with zones":               "timestamp,value\n2015-02-26T21:42:53Z,104\n2015-02-26T22:47:53+01:00,100\n",
	} {
		s := open(t, file)
		if s.Name != "s" || s.Rows != 2 || s.Sum != 204 || s.Spacing != 5*time.Minute || s.Missing != 0 || s.First.Format(time.DateTime) != "2015-02-26 21:42:53" {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestAFileThatChangesWhileItIsReadIsRefused(t *testing.T) {
	s := open(t, "timestamp,value\n2015-02-26 21:42:53,104\n2015-02-26 21:47:53,100\n")
	if err := os.WriteFile(s.path, []byte("timestamp,value\n2015-02-26 21:42:53,104\n2015-02-26 21:47:53,101\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Points(func(Point) error { return nil }); err == nil || !strings.Contains(err.Error(), "has changed while it was read") {
		t.Errorf("got %v", err)
	}
}

// TestSpacingAndGapsAreThoseOfTheSeries draws a series with intervals left out.
func TestSpacingAndGapsAreThoseOfTheSeries(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		spacing := time.Duration(rapid.SampledFrom([]int{1, 60, 300, 3600, 86400}).Draw(rt, "spacing")) * time.Second
		steps := rapid.SliceOfN(rapid.IntRange(1, 4), 1, 50).Draw(rt, "steps")
		steps = append(steps, 1) // so that the spacing can be told
		var b strings.Builder
		b.WriteString("timestamp,value\n")
		at, total, missing, longest := now.AddDate(-1, 0, 0), int64(0), int64(0), 0
		values := rapid.SliceOfN(rapid.Int64Range(0, 1000), len(steps)+1, len(steps)+1).Draw(rt, "values")
		for i, v := range values {
			if i > 0 {
				at = at.Add(time.Duration(steps[i-1]) * spacing)
				missing += int64(steps[i-1] - 1)
				longest = max(longest, steps[i-1]-1)
			}
			fmt.Fprintf(&b, "%s,%d\n", at.Format(time.DateTime), v)
			total += v
		}
		s := open(t, b.String())
		if s.Spacing != spacing || s.Missing != missing || s.Rows != int64(len(values)) || s.Sum != total || !s.Last.Equal(at) || s.Longest.Missing != int64(longest) {
			rt.Errorf("got %+v, want spacing %s, %d missing, %d at once", s, spacing, missing, longest)
		}
		if g := s.Longest; g.Before.Sub(g.After) != time.Duration(g.Missing+1)*spacing {
			rt.Errorf("a gap that is none: %+v", g)
		}
		i := 0
		if err := s.Points(func(p Point) error {
			if p.Value != values[i] {
				return fmt.Errorf("value %d is %d, want %d", i, p.Value, values[i])
			}
			i++
			return nil
		}); err != nil || i != len(values) {
			rt.Errorf("%d points, %v", i, err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	for _, s := range []string{
		"timestamp,value\n2015-02-26 21:42:53,104\n2015-02-26 21:47:53,100\n", "timestamp,value\r\n2015-02-26T21:42:53Z,0\r\n2015-02-26T21:42:54Z,1",
		"", "timestamp,value", "timestamp,value\n,\n", "\ufefftimestamp,value\n9999-12-31 23:59:59,1\n", "timestamp,value\n2015-02-26 21:42:53,0x1\n",
		"timestamp,value\n2015-02-26 21:42:53,1_0\n", "timestamp,value\n2015-02-26T21:42:53+23:59,1\n2015-02-28T21:42:53-23:59,1\n2015-02-28T21:42:54-23:59,1\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := write(t, string(data))
		s, err := Open(path, now)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x00") || !strings.Contains(err.Error(), path) {
				t.Fatalf("not one sentence about the file: %q", err)
			}
			return
		}
		defer s.Close()
		var rows, sum int64
		last := time.Time{}
		if err := s.Points(func(p Point) error {
			if p.Value < 0 || !p.At.After(last) || !last.IsZero() && p.At.Sub(last)%s.Spacing != 0 {
				t.Fatalf("a point that cannot be: %+v after %s", p, last)
			}
			rows, sum, last = rows+1, sum+p.Value, p.At
			return nil
		}); err != nil {
			t.Fatalf("the second reading: %v", err)
		}
		if rows != s.Rows || sum != s.Sum || !last.Equal(s.Last) || s.Rows < 1 || s.Missing < 0 {
			t.Fatalf("%d rows, sum %d until %s, but %+v", rows, sum, last, s)
		}
	})
}
