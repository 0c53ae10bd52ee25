package series

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"
)

// readAll returns the points of a text, with copies of their lines.
func readAll(r *Reader) (points []Point, err error) {
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return points, nil
		}
		if err != nil {
			return points, err
		}
		p.Text = []byte(string(p.Text))
		points = append(points, p)
	}
}

func TestMistakesAreLocated(t *testing.T) {
	const rows = "timestamp,value\n2015-02-26 21:42:53,104\n2015-02-26 21:47:53,100\n"
	for name, tc := range map[string]struct{ text, want string }{
		"an empty file":             {"", `s.csv is empty: it needs the line timestamp,value, and one line for each point below it`},
		"only empty lines":          {"\n\n", `s.csv is empty: it needs the line timestamp,value, and one line for each point below it`},
		"only the header":           {"timestamp,value\n", `s.csv holds only the header: it needs one line for each point below it`},
		"another header":            {"time;value\n", `s.csv:1: the first line is "time;value", want timestamp,value`},
		"no header":                 {"2015-02-26 21:42:53,104\n", `s.csv:1: the first line is "2015-02-26 21:42:53,104", want timestamp,value`},
		"a header in line two":      {"\ntime,value\n", `s.csv:2: the first line is "time,value", want timestamp,value`},
		"UTF-16":                    {"\xff\xfet\x00i\x00", `s.csv is written in UTF-16: save it as UTF-8`},
		"binary":                    {"\x00\x01\x02", `s.csv:1: the first line is "\x00\x01\x02", want timestamp,value`},
		"a bad row in the middle":   {rows + "oops\n2015-02-26 21:57:53,1\n", `s.csv:4: "oops" has 1 column, want 2: timestamp,value`},
		"three columns":             {rows + "2015-02-26 21:52:53,1,2\n", `s.csv:4: "2015-02-26 21:52:53,1,2" has 3 columns, the header 2: is there a decimal comma or a thousands separator? write numbers like 2329.86`},
		"an open quote":             {rows + "\"2015-02-26 21:52:53,1\n", `s.csv:4: "\"2015-02-26 21:52:53,1" opens a quote and does not close it: close it, or leave quotes out`},
		"more behind a quote":       {rows + "\"2015\"-02,1\n", `s.csv:4: "\"2015\"-02,1" has more behind a closing quote: leave the quotes out`},
		"no time":                   {rows + "yesterday,1\n", `s.csv:4: timestamp "yesterday" is no time: write a time from 1971 on like 2015-02-26 21:42:53, in UTC, or 2015-02-26T21:42:53Z, or seconds or milliseconds since 1970`},
		"no timestamp":              {rows + ",1\n", `s.csv:4: timestamp "" is no time: write a time`},
		"a day that does not exist": {rows + "2015-02-29 00:00:00,1\n", `s.csv:4: timestamp "2015-02-29 00:00:00" is no time`},
		"a time before the epoch":   {rows + "1969-02-26 21:42:53,1\n", `s.csv:4: timestamp "1969-02-26 21:42:53" lies out of range: write a time from 1971 on`},
		"a time in microseconds":    {"timestamp,value\n1424986973000000,1\n", `s.csv:2: timestamp "1424986973000000" lies out of range: write a time from 1971 on`},
		"a part of a millisecond":   {rows + "2015-02-26T21:52:53.0005Z,1\n", `s.csv:4: timestamp "2015-02-26T21:52:53.0005Z": cut it to whole milliseconds`},
		"unsorted":                  {rows + "2015-02-26 21:37:53,1\n", `s.csv:4: timestamp 2015-02-26 21:37:53 lies before that of line 3, 2015-02-26 21:47:53: sort the series by time; if a clock was set back here, write all times in UTC`},
		"a timestamp twice":         {rows + "2015-02-26 21:47:53,1\n", `s.csv:4: timestamp 2015-02-26 21:47:53 is that of line 3: merge the two; if a clock was set back here, write all times in UTC`},
		"irregular":                 {rows + "2015-02-26 21:54:53,1\n", `s.csv:4: the line comes 7m after the one before, where line 3 comes after 5m: give all steps one length; whole steps may be missing`},
		"irregular and shorter":     {rows + "2015-02-26 21:50:53,1\n", `s.csv:3: the line comes 5m after the one before, where line 4 comes after 3m`},
		"irregular by a part of it": {rows + "2015-02-26 21:52:53.250,1\n", `s.csv:4: the line comes 5m0.25s after the one before, where line 3 comes after 5m`},
		"a word":                    {rows + "2015-02-26 21:52:53,many\n", `s.csv:4: value "many" is no number: write digits with a point, such as 104 or 2329.86, or NaN where there is none`},
		"thousands":                 {rows + "2015-02-26 21:52:53,\"2,329.86\"\n", `s.csv:4: value "2,329.86" is no number: write digits with a point`},
		"a hexadecimal":             {rows + "2015-02-26 21:52:53,0x1p4\n", `s.csv:4: value "0x1p4" is no number`},
		"an underscore":             {rows + "2015-02-26 21:52:53,1_000\n", `s.csv:4: value "1_000" is no number`},
		"two points":                {rows + "2015-02-26 21:52:53,1.2.3\n", `s.csv:4: value "1.2.3" is no number`},
		"a line without end":        {rows + strings.Repeat("1", 5000), `s.csv:4: the line is longer than 1024 bytes: want timestamp,value`},
		"a long text is cut":        {rows + strings.Repeat("é", 100) + "\n", `s.csv:4: "éééééééééééééééééééé…" has 1 column`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readAll(NewReader("s.csv", strings.NewReader(tc.text)))
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestASeriesOfAnyFormIsRead(t *testing.T) {
	const first = 1424986973000
	for name, text := range map[string]string{
		"as is":                           "timestamp,value\n2015-02-26 21:42:53,104\n2015-02-26 21:47:53,-1.5\n",
		"without the last newline":        "timestamp,value\n2015-02-26 21:42:53,104\n2015-02-26 21:47:53,-1.5",
		"with empty lines at the end":     "timestamp,value\n2015-02-26 21:42:53,104\n2015-02-26 21:47:53,-1.5\n\n\r\n",
		"from Windows":                    "\ufefftimestamp,value\r\n2015-02-26 21:42:53,104\r\n2015-02-26 21:47:53,-1.5\r\n",
		"quoted":                          "\"timestamp\",\"value\"\n\"2015-02-26 21:42:53\",\"104\"\n\"2015-02-26 21:47:53\" , -1.5\n",
		"with blanks":                     "timestamp, value\n 2015-02-26 21:42:53, 104\n2015-02-26 21:47:53\t,-1.5 \n",
		"with zones":                      "timestamp,value\n2015-02-26T21:42:53Z,104\n2015-02-26T22:47:53+01:00,-1.5\n",
		"with zones, as pandas does":      "timestamp,value\n2015-02-26 21:42:53+00:00,104\n2015-02-26 22:47:53+01:00,-1.5\n",
		"with fractions":                  "timestamp,value\n2015-02-26 21:42:53.000,104\n2015-02-26 21:47:53.000000,-1.5\n",
		"with a T":                        "timestamp,value\n2015-02-26T21:42:53,104\n2015-02-26T21:47:53,-1.5\n",
		"in seconds":                      "timestamp,value\n1424986973,104\n1424987273,-1.5\n",
		"in milliseconds":                 "timestamp,value\n1424986973000,104\n1424987273000,-1.5e0\n",
		"in one way after another":        "timestamp,value\n2015-02-26 21:42:53,1.04e2\n2015-02-26T21:47:53Z,-1.5\n",
		"with numbers written otherwise ": "timestamp,value\n2015-02-26 21:42:53,+104.\n2015-02-26 21:47:53,-1.50\n",
	} {
		for kind, from := range map[string]io.Reader{"": strings.NewReader(text), ", byte by byte": iotest.OneByteReader(strings.NewReader(text))} {
			r := NewReader("s.csv", from)
			points, err := readAll(r)
			if err != nil || len(points) != 2 || points[0].AtMs != first || points[0].Value != 104 || points[0].Line != 2 ||
				points[1].AtMs != first+300_000 || points[1].Value != -1.5 || r.Spacing() != 5*time.Minute {
				t.Errorf("%s%s: %+v, %v", name, kind, points, err)
			}
			for i, line := range strings.Split(strings.TrimRight(strings.ReplaceAll(text, "\r", ""), "\n"), "\n")[1:] {
				if string(points[i].Text) != line {
					t.Errorf("%s%s: the text is %q, want %q", name, kind, points[i].Text, line)
				}
			}
		}
	}
}

func TestWhatSurroundsASeriesIsLeftOut(t *testing.T) {
	for name, text := range map[string]string{
		"other columns": "Value,note,Timestamp\n104,a,2015-02-26 21:42:53\n-1.5,\"b,c\",2015-02-26 21:47:53\n",
		"empty lines":   "\nTIMESTAMP,value\n\n2015-02-26 21:42:53,104\n\n2015-02-26 21:47:53,-1.5\n",
	} {
		points, err := readAll(NewReader("s.csv", strings.NewReader(text)))
		if err != nil || len(points) != 2 || string(points[0].Text) != "2015-02-26 21:42:53,104" || string(points[1].Text) != "2015-02-26 21:47:53,-1.5" || points[1].Value != -1.5 {
			t.Errorf("%s: %+v, %v", name, points, err)
		}
	}
}

func TestDaysAndMinutesAreRead(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"2015-02-26,1\n2015-02-27,2\n":                  24 * time.Hour,
		"2015-02-26 21:42,1\n2015-02-26 21:43,2\n":      time.Minute,
		"2015-02-26T21:00,1\n2015-02-26T21:30,NaN\n":    30 * time.Minute,
		"2015-02-26 21:42:53,1\n":                       0,
		"1424986973,1\n1424987273,2\n1424987033000,3\n": 0,
	} {
		r := NewReader("s", strings.NewReader("timestamp,value\n"+text))
		_, err := readAll(r)
		if want == 0 && strings.Count(text, "\n") == 3 {
			if err == nil {
				t.Errorf("%q: no error", text)
			}
			continue
		}
		if err != nil || r.Spacing() != want {
			t.Errorf("%q: spacing %s, %v; want %s", text, r.Spacing(), err, want)
		}
	}
}

func TestThereAreManyWaysToHaveNoValue(t *testing.T) {
	for _, text := range []string{"NaN", "nan", "", " ", `""`, "NA", "n/a", "NULL", "None", "Inf", "-inf", "+Infinity", "1e999"} {
		points, err := readAll(NewReader("s", strings.NewReader("timestamp,value\n2015-02-26,"+text+"\n")))
		if err != nil || len(points) != 1 || !math.IsNaN(points[0].Value) {
			t.Errorf("%q: %+v, %v", text, points, err)
		}
	}
}

func TestAReaderThatFailsSaysSo(t *testing.T) {
	broken := errors.New("the disk is gone")
	_, err := readAll(NewReader("s.csv", io.MultiReader(strings.NewReader("timestamp,value\n2015-02-26,1\n"), iotest.ErrReader(broken))))
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "read s.csv: ") {
		t.Errorf("got %v", err)
	}
}

// Steps are multiples of the shortest, wherever that is.
func TestTheSpacingIsTheShortestStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spacing := time.Duration(rapid.SampledFrom([]int{1, 60, 300, 3600, 86400}).Draw(t, "spacing")) * time.Second
		steps := rapid.SliceOfN(rapid.IntRange(1, 6), 1, 50).Draw(t, "steps")
		at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		var b strings.Builder
		b.WriteString("timestamp,value\n")
		least := slices.Min(steps)
		regular := !slices.ContainsFunc(steps, func(step int) bool { return step%least != 0 })
		for i, step := range append([]int{0}, steps...) {
			at = at.Add(time.Duration(step) * spacing)
			fmt.Fprintf(&b, "%s,%d\n", at.Format(time.DateTime), i)
		}
		r := NewReader("s", strings.NewReader(b.String()))
		points, err := readAll(r)
		if (err == nil) != regular {
			t.Fatalf("steps %v: %v", steps, err)
		}
		var line int
		if !regular {
			if _, scanErr := fmt.Sscanf(err.Error(), "s:%d: the line comes ", &line); scanErr != nil || steps[line-3]%least == 0 {
				t.Fatalf("steps %v: %v, but line %d is even", steps, err, line)
			}
		}
		if regular && (len(points) != len(steps)+1 || r.Spacing() != time.Duration(least)*spacing) {
			t.Fatalf("steps %v: %d points every %s", steps, len(points), r.Spacing())
		}
	})
}

// FuzzReader holds that whatever is read makes sense, that whatever is refused is
// told in one sentence about the file, and that what was read reads again.
func FuzzReader(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader("s.csv", strings.NewReader(string(data)))
		points, err := readAll(r)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x00") || !strings.Contains(err.Error(), "s.csv") || len(err.Error()) > 500 {
				t.Fatalf("not one sentence about the file: %q", err)
			}
			return
		}
		again := Header + "\n"
		for i, p := range points {
			if math.IsInf(p.Value, 0) || p.Line < 2 || i > 0 && (p.AtMs <= points[i-1].AtMs || time.Duration(p.AtMs-points[i-1].AtMs)*time.Millisecond%r.Spacing() != 0) {
				t.Fatalf("a point that cannot be: %+v", p)
			}
			again += string(p.Text) + "\n"
		}
		if len(points) == 0 {
			t.Fatal("no point, and no error")
		}
		same, err := readAll(NewReader("s.csv", strings.NewReader(again)))
		if err != nil || len(same) != len(points) {
			t.Fatalf("the lines do not read again: %v", err)
		}
		for i := range same {
			if same[i].AtMs != points[i].AtMs || same[i].Value != points[i].Value && !math.IsNaN(same[i].Value) {
				t.Fatalf("the line %q is read as %+v, then as %+v", points[i].Text, points[i], same[i])
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	var text strings.Builder
	text.WriteString("timestamp,value\n")
	at := time.Date(2015, 2, 26, 21, 42, 53, 0, time.UTC)
	for i := range 10_000 {
		fmt.Fprintf(&text, "%s,%d\n", at.Add(time.Duration(i)*5*time.Minute).Format(time.DateTime), i%977)
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader("s", strings.NewReader(text.String()))
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
	}
}

// A comma inside a value makes a column more, and half of the value is another one.
func TestACommaInAValueIsToldFromAColumn(t *testing.T) {
	for text, want := range map[string]string{
		"Timestamp,Value\n2026-10-01,1,120\n":        `s:2: "2026-10-01,1,120" has 3 columns, the header 2: is there a decimal comma`,
		"timestamp,value\n2026-10-01,3,8\n":          `s:2: "2026-10-01,3,8" has 3 columns, the header 2: is there a decimal comma`,
		"value,note,timestamp\n3,8,a,2026-10-01\n":   `s:2: "3,8,a,2026-10-01" has 4 columns, the header 3: is there a decimal comma`,
		"timestamp,value,note\n2026-10-01,3,a,b\n":   `s:2: "2026-10-01,3,a,b" has 4 columns, the header 3: is there a decimal comma`,
		"timestamp,value\n2026-10-01,\"1,120\"\n":    `s:2: value "1,120" is no number: write digits with a point`,
		"timestamp,value,note\n2026-10-01,3\n":       "",
		"timestamp,value,\n2026-10-01,3,\n":          "",
		"timestamp,value,note\n2026-10-01,3,\"a,b\"": "",
	} {
		_, err := readAll(NewLenientReader("s", strings.NewReader(text)))
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestASeriesIsPutInOrder(t *testing.T) {
	read := func(text string) ([]Point, time.Duration, error) {
		r := NewLenientReader("s", strings.NewReader(Header+"\n"+text))
		var all []Point
		for {
			p, err := r.Next()
			if errors.Is(err, io.EOF) {
				return Order("s", all)
			}
			if err != nil {
				return nil, 0, err
			}
			all = append(all, p)
		}
	}
	all, spacing, err := read("2015-03-02 03:00,3\n2015-03-02 01:00,NaN\n2015-03-02 01:00,\n2015-03-02 00:30,1\n2015-03-02 03:00,3\n")
	if err != nil || len(all) != 3 || all[0].Value != 1 || all[0].Line != 5 || all[2].Value != 3 || spacing != 30*time.Minute {
		t.Errorf("got %v every %s, %v", all, spacing, err)
	}
	// The step all are multiples of may come last.
	if all, spacing, err := read("2015-03-02 00:00,3\n2015-03-02 00:15,1\n2015-03-02 00:25,4\n2015-03-02 00:30,4\n"); err != nil || len(all) != 4 || spacing != 5*time.Minute {
		t.Errorf("gaps before the first step: %v every %s, %v", all, spacing, err)
	}
	if _, _, err := read("2015-03-02 03:00,3\n2015-03-02 01:00,1\n2015-03-02 03:00,4\n"); err == nil || !strings.HasPrefix(err.Error(), "s:4: timestamp 2015-03-02 03:00:00 is that of line 2: merge the two") {
		t.Errorf("two values of one time: %v", err)
	}
}

func TestADurationIsShort(t *testing.T) {
	for text, want := range map[string]string{
		"0s": "0s", "5m0s": "5m", "1h0m0s": "1h", "10h0m0s": "10h", "1h20m0s": "1h20m", "10m10s": "10m10s", "1h0m10s": "1h0m10s", "1.5s": "1.5s", "-2h0m0s": "-2h",
	} {
		d, err := time.ParseDuration(text)
		if err != nil || d.String() != text {
			t.Fatalf("%s is written as %s: %v", text, d, err)
		}
		if got := Short(d); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestDaysOfClocksThatChange(t *testing.T) {
	for name, tc := range map[string]struct {
		lines string
		want  []string // times in UTC, or the error
	}{
		"midnights of a spring": {
			"2015-03-28T00:00:00+01:00,1\n2015-03-29T00:00:00+01:00,2\n2015-03-30T00:00:00+02:00,3\n2015-04-02T00:00:00+02:00,4\n",
			[]string{"2015-03-27 23:00:00", "2015-03-28 23:00:00", "2015-03-29 23:00:00", "2015-04-01 23:00:00"},
		},
		"mornings of an autumn, newest first": {
			"2015-10-26 08:00:00-04:00,1\n2015-10-25 08:00:00-04:00,2\n2015-10-24 08:00:00-03:00,3\n",
			[]string{"2015-10-24 11:00:00", "2015-10-25 11:00:00", "2015-10-26 11:00:00"},
		},
		"half an hour, as Lord Howe has it": {
			"2015-04-04T00:00:00+11:00,1\n2015-04-05T00:00:00+11:00,2\n2015-04-06T00:00:00+10:30,3\n",
			[]string{"2015-04-03 13:00:00", "2015-04-04 13:00:00", "2015-04-05 13:00:00"},
		},
		"hours are none": {
			"2015-03-29T01:00:00+01:00,1\n2015-03-29T03:00:00+02:00,2\n2015-03-29T04:00:00+02:00,3\n",
			[]string{"2015-03-29 00:00:00", "2015-03-29 01:00:00", "2015-03-29 02:00:00"},
		},
		"midnights without their offset": {
			"2015-03-28T23:00:00Z,1\n2015-03-29T22:00:00Z,2\n2015-03-30T22:00:00Z,3\n",
			[]string{"s.csv:4: the line comes 24h after the one before, where line 3 comes after 23h: where these are days of a zone whose clocks change, write them by their date alone, such as 2015-03-29"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewLenientReader("s.csv", strings.NewReader(Header+"\n"+tc.lines))
			var points []Point
			for {
				p, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				points = append(points, p)
			}
			CivilDays(points)
			var got []string
			points, _, err := Order("s.csv", points)
			for _, p := range points {
				got = append(got, stamp(p.AtMs))
			}
			if err != nil {
				got = []string{err.Error()}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
