package detect

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var cents = regexp.MustCompile(`(?m)(\.\d{3})\d+$`)

// score returns what is written for a text.
func score(t testing.TB, text string) (string, Summary, error) {
	t.Helper()
	var out strings.Builder
	sum, err := Score(t.Context(), "s.csv", strings.NewReader(text), &out)
	return out.String(), sum, err
}

// wave writes points of a daily wave with noise, from fixed lots.
func wave(w io.Writer, spacing time.Duration, points int, change func(i int, v float64) float64) {
	r := rand.New(rand.NewPCG(5, 72))
	at := time.Date(2015, 3, 2, 0, 0, 0, 0, time.UTC)
	fmt.Fprintln(w, "timestamp,value")
	for i := range points {
		hour := float64(at.Unix()%86400) / 3600
		v := 100 * math.Exp(0.5*math.Sin(2*math.Pi*hour/24)+0.1*r.NormFloat64())
		fmt.Fprintf(w, "%s,%.0f\n", at.Format(time.DateTime), change(i, v))
		at = at.Add(spacing)
	}
}

// times returns a change of a wave: n values, from one on, times a factor.
func times(factor float64, from, n int) func(i int, v float64) float64 {
	return func(i int, v float64) float64 {
		if i >= from && i < from+n {
			return factor * v
		}
		return v
	}
}

// The scores of a small series, line by line. A change of the method shows here.
func TestScoresOfASeries(t *testing.T) {
	var text strings.Builder
	wave(&text, time.Hour, 24*15, times(5, 300, 4))
	got, _, err := score(t, text.String())
	if err != nil {
		t.Fatal(err)
	}
	got = cents.ReplaceAllString(got, "$1") // what is behind differs between kinds of processors
	golden := filepath.Join("testdata", "hourly.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// Lines stand as they are, whatever their form; only ends of lines are Unix's.
func TestLinesStandAsTheyAre(t *testing.T) {
	got, sum, err := score(t, "\ufeff\"timestamp\", value\r\n\"2015-02-26 21:42:53\" , 104.50\r\n2015-02-26T22:47:53+01:00,\"1e3\"\r\n1424987573,NaN\r\n\r\n")
	want := "timestamp,value,anomaly_score\n\"2015-02-26 21:42:53\" , 104.50,0.00000000\n2015-02-26T22:47:53+01:00,\"1e3\",0.00000000\n1424987573,NaN,0.00000000\n"
	if err != nil || got != want {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
	if sum.Rows != 3 || sum.Missing != 1 || sum.Spacing != 5*time.Minute || !sum.Short() {
		t.Errorf("%+v", sum)
	}
}

// A series as it comes: what cannot be judged scores 0, in its place, and nothing
// stops the rest.
func TestOddLinesAreScored(t *testing.T) {
	got, sum, err := score(t, "Value,note, Timestamp\r\n104,a,2015-02-26 21:42:53\r\n,b,2015-02-26 21:47:53\r\n\r\n-inf,c,2015-02-26 21:52:53\r\n1e999,d,2015-02-26 21:57:53\r\n"+
		"-1e308,e,2015-02-26 21:57:53\r\n1,g,2015-02-26 22:04:00\r\n")
	want := `timestamp,value,anomaly_score
2015-02-26 21:42:53,104,0.00000000
2015-02-26 21:47:53,,0.00000000
2015-02-26 21:52:53,-inf,0.00000000
2015-02-26 21:57:53,1e999,0.00000000
2015-02-26 21:57:53,-1e308,0.00000000
2015-02-26 22:04:00,1,0.00000000
`
	if err != nil || got != want {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
	if sum.Rows != 6 || sum.Missing != 3 || sum.Repeated != 1 || sum.Unsorted != 0 || sum.Untimely != 7 || sum.Last.Minute() != 4 {
		t.Errorf("%+v", sum)
	}
}

// A clock that was set back costs an hour and no more; a file that is not sorted
// would cost everything, and is refused.
func TestLinesOutOfOrder(t *testing.T) {
	var text strings.Builder
	wave(&text, 5*time.Minute, 3000, times(20, 2000, 1))
	lines := strings.SplitAfter(text.String(), "\n")
	header, rows := lines[0], lines[1:3001]
	back := strings.Join(slices.Concat(rows[:500], rows[488:]), "")
	_, sum, err := score(t, header+back)
	if err != nil || sum.Unsorted != 11 || sum.Repeated != 1 || sum.Untimely != 502 || sum.Alarms != 1 || sum.Rows != 3012 {
		t.Errorf("an hour twice: %+v, %v", sum, err)
	}
	twice := ""
	for _, row := range rows {
		twice += row + row
	}
	if _, sum, err := score(t, header+twice); err != nil || sum.Repeated != 3000 || sum.Unsorted != 0 || sum.Alarms != 1 {
		t.Errorf("all twice: %+v, %v", sum, err)
	}
	reversed := slices.Clone(rows)
	slices.Reverse(reversed)
	shuffled := slices.Clone(rows)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for name, tc := range map[string]struct {
		rows []string
		want string
	}{
		"reversed":           {reversed, `s.csv:3: timestamp 2015-03-12 09:50:00 lies before that of line 2, 2015-03-12 09:55:00, and 2999 of 3000 lines lie so: sort the series by time, as 'flywheel detect --help' shows, or correct line 2`},
		"shuffled":           {shuffled, `s.csv:`},
		"in two parts":       {slices.Concat(rows[1000:], rows[:1000]), `s.csv:2002: timestamp 2015-03-02 00:00:00 lies before that of line 2001, 2015-03-12 09:55:00, and`},
		"a line from beyond": {slices.Concat([]string{"2051-01-01 00:00:00,3\n"}, rows), `s.csv:3: timestamp 2015-03-02 00:00:00 lies before that of line 2, 2051-01-01 00:00:00, and 3000 of 3001 lines lie so: sort the series by time, as 'flywheel detect --help' shows, or correct line 2`},
	} {
		_, sum, err := score(t, header+strings.Join(tc.rows, ""))
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
		if first := time.Date(2015, 3, 2, 0, 0, 0, 0, time.UTC); !sum.First.Equal(first) {
			t.Errorf("%s: the first is %s, want %s", name, sum.First, first)
		}
	}
}

// Odd values in the middle of a series do not spoil the scores behind them.
func TestScoresGoOnBehindOddValues(t *testing.T) {
	for name, odd := range map[string]string{"": "", "huge": "1e308", "huge and negative": "-1e308", "tiny": "5e-324", "missing": "NaN"} {
		var text strings.Builder
		wave(&text, 5*time.Minute, 8000, times(40, 7000, 1))
		lines := strings.SplitAfter(text.String(), "\n")
		if odd != "" {
			stamp, _, _ := strings.Cut(lines[3000], ",")
			lines[3000] = stamp + "," + odd + "\n"
		}
		got, _, err := score(t, strings.Join(lines, ""))
		if err != nil {
			t.Fatal(err)
		}
		alarmed := 0
		for i, line := range strings.Split(strings.TrimSpace(got), "\n")[1:] {
			s, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ',')+1:], 64)
			if err != nil || !(s >= 0 && s <= 1) {
				t.Fatalf("%s: line %d: %s", name, i, line)
			}
			if i > 3100 && s >= Alarm {
				alarmed++
				if i != 7000 {
					t.Errorf("%s: an alarm at %d", name, i)
				}
			}
		}
		if alarmed != 1 {
			t.Errorf("%s: %d alarms behind it, want that of the event", name, alarmed)
		}
	}
}

func TestScoresOfAShorterFileAreTheSame(t *testing.T) {
	var text strings.Builder
	wave(&text, 5*time.Minute, 4000, times(20, 2000, 1))
	whole, sum, err := score(t, text.String())
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2015, 3, 8, 22, 40, 0, 0, time.UTC); sum.Alarms != 1 || !sum.At.Equal(want) || sum.Highest < 0.9 || sum.Rows != 4000 || sum.Short() {
		t.Errorf("%+v, want one alarm at %s", sum, want)
	}
	lines := strings.SplitAfter(text.String(), "\n")
	for _, n := range []int{2, 290, 2001, 2002, 2003, 3000} {
		part, _, err := score(t, strings.Join(lines[:n], ""))
		if err != nil || !strings.HasPrefix(whole, part) || strings.Count(part, "\n") != n {
			t.Errorf("the first %d lines score otherwise alone: %v", n, err)
		}
	}
}

func TestASeriesThatCannotBeScoredIsRefused(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"what is no series":     {"oops\n", `s.csv:1: the first line is "oops", want timestamp,value`},
		"steps below a minute":  {"timestamp,value\n2015-02-26 21:42:53,1\n2015-02-26 21:43:23,1\n", `s.csv: the lines are 30s apart: sum the series to steps of 1m or more`},
		"steps of over a day":   {"timestamp,value\n2015-02-26,1\n2015-03-05,1\n2015-03-12,1\n", `s.csv: the lines are 168h apart, which is more than a day: give a finer series`},
		"a mistake at the end ": {"timestamp,value\n2015-02-26,1\n2015-02-27,x\n", `s.csv:3: value "x" is no number`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := score(t, tc.text); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("got %v\nwant %s", err, tc.want)
			}
		})
	}
	// A gap at the start looks like a spacing of over a day at first.
	if _, _, err := score(t, "timestamp,value\n2015-02-26,1\n2015-03-05,1\n2015-03-06,1\n"); err != nil {
		t.Errorf("a gap at the start: %v", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestAFullDiskIsTold(t *testing.T) {
	var text strings.Builder
	wave(&text, time.Minute, 5000, func(_ int, v float64) float64 { return v })
	for _, n := range []int{100, text.Len()} {
		cut := text.String()[:n]
		_, err := Score(t.Context(), "s.csv", strings.NewReader(cut[:strings.LastIndex(cut, "\n")]), brokenWriter{})
		if err == nil || err.Error() != "write the scores of s.csv: no space left on device" {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// endless is a series without end.
type endless struct {
	row  int64
	rest []byte
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		if e.rest = []byte("timestamp,value\n"); e.row > 0 {
			e.rest = strconv.AppendInt(nil, 1_400_000_000+60*e.row, 10)
			e.rest = append(e.rest, ",12\n"...)
		}
		e.row++
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// stopAfter ends the run after so many bytes.
type stopAfter struct {
	left int
	stop context.CancelFunc
}

func (s *stopAfter) Write(p []byte) (int, error) {
	if s.left -= len(p); s.left < 0 {
		s.stop()
	}
	return len(p), nil
}

// A series may be of any length: it passes through as it comes, until asked to stop.
func TestASeriesPassesThrough(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sum, err := Score(ctx, "s.csv", &endless{}, &stopAfter{left: 1 << 20, stop: cancel})
	if !errors.Is(err, context.Canceled) || sum.Rows < 30_000 || sum.Rows > 60_000 {
		t.Errorf("%v after %d rows", err, sum.Rows)
	}
}
