package estimate

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flywheel/pkg/correlate"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var start = time.Date(2015, 3, 2, 0, 0, 0, 0, time.UTC)

// world is a stimulus with posts, and a response that follows it.
type world struct {
	spacing time.Duration
	x, y    []float64
}

// play makes days of a world in which each unit of stimulus makes beta units of
// response after a delay, halving every halfLife.
func play(seed uint64, days int, spacing, delay, halfLife time.Duration, beta float64) world {
	r := rand.New(rand.NewPCG(seed, 72))
	n := int(time.Duration(days) * 24 * time.Hour / spacing)
	w := world{spacing: spacing, x: make([]float64, n), y: make([]float64, n)}
	hours := spacing.Hours()
	for t := range w.x {
		w.x[t] += math.Round(40 * hours * math.Exp(0.3*r.NormFloat64()))
		if r.Float64() < 0.8*hours/24 {
			size := 3000 * math.Exp(0.7*r.NormFloat64())
			for u := t; u < n && float64(u-t)*hours < 24; u++ {
				w.x[u] += math.Round(size * hours / 3 * math.Exp(-float64(u-t)*hours/3))
			}
		}
	}
	k := correlate.Kernel{Delay: int(delay / spacing), HalfLife: math.Round(float64(halfLife) / float64(spacing)), Lags: int(72 * time.Hour / spacing)}
	z := make([]float64, n)
	k.Convolve(z, w.x)
	for t := range w.y {
		at := start.Add(time.Duration(t) * spacing)
		mean := 100*hours*(1+0.4*math.Sin(2*math.Pi*float64(at.Hour())/24)) + beta*z[t]
		w.y[t] = max(0, math.Round(mean+1.5*math.Sqrt(mean)*r.NormFloat64()))
	}
	return w
}

func (w world) file(v []float64) string {
	var b strings.Builder
	b.WriteString("timestamp,value\n")
	for t, x := range v {
		if !math.IsNaN(x) {
			fmt.Fprintf(&b, "%s,%v\n", start.Add(time.Duration(t)*w.spacing).Format(time.DateTime), x)
		}
	}
	return b.String()
}

func source(name, text string) Source { return Source{name, strings.NewReader(text)} }

func (w world) run(t testing.TB, more func(*Input)) *Estimate {
	t.Helper()
	in := Input{Stimulus: source("x.csv", w.file(w.x)), Response: source("y.csv", w.file(w.y))}
	if more != nil {
		more(&in)
	}
	e, err := Run(t.Context(), in, DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAPlantedEffectIsFoundAtEverySpacing(t *testing.T) {
	for name, tc := range map[string]struct {
		days            int
		spacing         time.Duration
		delay, halfLife time.Duration
	}{
		"minutes":          {21, time.Minute, 6 * time.Hour, 4 * time.Hour},
		"quarters":         {35, 15 * time.Minute, 6 * time.Hour, 4 * time.Hour},
		"hours":            {60, time.Hour, 12 * time.Hour, 8 * time.Hour},
		"hours, no decay":  {35, time.Hour, 41 * time.Hour, 0},
		"seven minutes":    {21, 7 * time.Minute, 7 * time.Hour, 4 * time.Hour},
		"days, in one day": {120, 24 * time.Hour, 24 * time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := play(5, tc.days, tc.spacing, tc.delay, tc.halfLife, 0.2).run(t, nil).Result
			if r.Verdict != "effect" || !r.Significant || r.P.Calibrated > 0.05 {
				t.Fatalf("%s: %s", r.Verdict, r.Why)
			}
			// One interval of twenty may miss it, though not by far.
			if *r.Effect.Low > 0.202 || *r.Effect.High < 0.198 {
				t.Errorf("the interval %v to %v does not hold 0.2", *r.Effect.Low, *r.Effect.High)
			}
			off := math.Abs(float64(*r.BestLagS) - tc.delay.Seconds())
			if off > max(2700, tc.spacing.Seconds()) {
				t.Errorf("the best lag is %d s, want %v", *r.BestLagS, tc.delay)
			}
			if apart := *r.Kernel.DelayS - *r.BestLagS; math.Abs(float64(apart)) > max(2700, tc.spacing.Seconds()) {
				t.Errorf("the delay is %d s, and the best lag %d s", *r.Kernel.DelayS, *r.BestLagS)
			}
		})
	}
}

func TestShortHistories(t *testing.T) {
	for _, tc := range []struct {
		days  int
		why   string // of what has no effect
		found bool   // a strong effect
	}{
		{3, "there is too little history", false},
		{14, "probability", true},
		{60, "probability", true},
	} {
		t.Run(fmt.Sprint(tc.days, " days"), func(t *testing.T) {
			null := play(4, tc.days, time.Hour, 0, 0, 0).run(t, nil).Result
			if null.Significant || !strings.Contains(null.Why, tc.why) {
				t.Errorf("without an effect: %s: %s", null.Verdict, null.Why)
			}
			strong := play(4, tc.days, time.Hour, 3*time.Hour, 4*time.Hour, 0.5).run(t, nil).Result
			if strong.Significant != tc.found {
				t.Errorf("a strong effect: %s: %s", strong.Verdict, strong.Why)
			}
			if !tc.found && strong.Effect.PerUnit != nil {
				t.Errorf("a number without evidence: %v", *strong.Effect.PerUnit)
			}
		})
	}
}

// What is told by the day was not made at midnight.
func TestRevenueByTheDayEarnsWhatTheSameByTheHourDoes(t *testing.T) {
	w := play(5, 35, time.Hour, 3*time.Hour, 4*time.Hour, 0.3)
	hours, days := make([]float64, len(w.y)), make([]float64, len(w.y)/24)
	for i, v := range w.y {
		hours[i] = 25 * v
		days[i/24] += 25 * v
	}
	credited := func(spacing time.Duration, revenue []float64) (micros int64, notes []string) {
		e := w.run(t, func(in *Input) { s := source("r.csv", world{spacing: spacing}.file(revenue)); in.Revenue = &s })
		for _, c := range e.Result.Credit {
			micros += *c.RevenueMicros
		}
		if all := micros + *e.Result.BaselineRevenueMicros; all != *e.Result.RevenueMicros {
			t.Errorf("credits and baseline make %d micros, of %d", all, *e.Result.RevenueMicros)
		}
		return micros, e.Result.Notes
	}
	want, _ := credited(time.Hour, hours)
	got, notes := credited(24*time.Hour, days)
	if off := math.Abs(float64(got)/float64(want) - 1); off > 1e-3 || want == 0 {
		t.Errorf("%d micros are credited by the day, %d by the hour", got, want)
	}
	if note := "r.csv has a point every 24h, which is split among its steps as their response is"; !slices.Contains(notes, note) {
		t.Errorf("no note %q in %q", note, notes)
	}
}

func TestPointsBetweenTheStepsAreToldOf(t *testing.T) {
	w := play(5, 35, time.Hour, 3*time.Hour, 4*time.Hour, 0.3)
	e := w.run(t, func(in *Input) {
		in.Response = source("y.csv", strings.ReplaceAll(w.file(w.y), ":00:00,", ":07:00,"))
	})
	const some = "after the steps do, and count as if with them"
	if !slices.ContainsFunc(e.Result.Notes, func(note string) bool { return strings.Contains(note, some) }) {
		t.Errorf("no note says %q: %q", some, e.Result.Notes)
	}
	if notes := w.run(t, nil).Result.Notes; slices.ContainsFunc(notes, func(note string) bool { return strings.Contains(note, some) }) {
		t.Errorf("a note says %q of points on the steps: %q", some, notes)
	}
}

func TestCreditsAddUp(t *testing.T) {
	w := play(5, 35, time.Hour, 3*time.Hour, 4*time.Hour, 0.3)
	for i := 100; i < 130; i++ {
		w.y[i] = math.NaN()
		w.x[i+300] = math.NaN()
	}
	revenue, want := make([]float64, len(w.y)), int64(0)
	for i := range revenue {
		revenue[i] = float64(i%97*1001)/100 - float64(i%11)*20 // with returns
		want += int64(math.Round(revenue[i] * 1e6))
	}
	e := w.run(t, func(in *Input) { s := source("r.csv", w.file(revenue)); in.Revenue = &s })
	r := e.Result
	if !r.Significant {
		t.Fatal(r.Why)
	}
	micros, units, response := *r.BaselineRevenueMicros, r.BaselineUnits, 0.0
	for _, c := range r.Credit {
		micros += *c.RevenueMicros
		units += c.Units
	}
	for _, v := range w.y {
		if !math.IsNaN(v) {
			response += v
		}
	}
	if micros != want || *r.RevenueMicros != want {
		t.Errorf("credits and baseline make %d micros, of %d", micros, want)
	}
	if math.Abs(units-response) > 1e-9*response {
		t.Errorf("credits and baseline make %v units, of %v", units, response)
	}
	if share := 1 - r.BaselineUnits/response; share < 0.1 {
		t.Errorf("only %v of the response is credited", share)
	}
}

func TestADeclaredPromotionIsNoEffect(t *testing.T) {
	w := play(6, 35, time.Hour, 3*time.Hour, 4*time.Hour, 0)
	// A promotion that everybody posts about: both sides are up for two days.
	for i := 20 * 24; i < 22*24; i++ {
		w.x[i] += 3000
		w.y[i] += 1500
	}
	with := w.run(t, func(in *Input) {
		s := source("c.csv", "begin,end,name\n2015-03-22,2015-03-23,Spring sale\n")
		in.Calendar = &s
	}).Result
	without := w.run(t, nil).Result
	if with.Significant {
		t.Errorf("declared: %s: %s", with.Verdict, with.Why)
	}
	if with.P.Calibrated < without.P.Calibrated {
		t.Errorf("declaring it lowers p from %v to %v", without.P.Calibrated, with.P.Calibrated)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	good := play(7, 3, time.Hour, 0, 0, 0)
	x := good.file(good.x)
	for name, tc := range map[string]struct {
		stimulus, response, calendar string
		window                       time.Duration
		want                         string
	}{
		"an empty series":             {"", x, "", 0, "x.csv is empty"},
		"one point":                   {"timestamp,value\n2015-03-02,1\n", x, "", 0, "x.csv: there is only one point: its spacing cannot be told"},
		"steps of seconds":            {"timestamp,value\n2015-03-02 00:00:00,1\n2015-03-02 00:00:30,1\n", x, "", 0, "x.csv: the lines are 30s apart: sum the series to steps of 1m or more"},
		"steps of weeks":              {"timestamp,value\n2015-03-02,1\n2015-03-09,1\n", x, "", 0, "x.csv: the lines are 168h apart, which is more than a day: give a finer series"},
		"a time with two values":      {"timestamp,value\n2015-03-02 02:00,1\n2015-03-02 00:00,1\n2015-03-02 02:00,3\n", x, "", 0, "x.csv:4: timestamp 2015-03-02 02:00:00 is that of line 2: merge the two; if a clock was set back here, write all times in UTC"},
		"lines of other lengths":      {"timestamp,value\n2015-03-02 05:30,1\n2015-03-02 00:00,1\n2015-03-02 02:00,3\n", x, "", 0, "x.csv:2: the line comes 3h30m after the one before, where line 4 comes after 2h: give all steps one length; whole steps may be missing"},
		"spacings that do not fit":    {"timestamp,value\n2015-03-02 00:00,1\n2015-03-02 00:59,1\n", x, "", 0, "y.csv has a point every 1h, x.csv has a point every 59m, and no step of up to a day is a multiple of all these: sum one of them so that its steps are a multiple of the other's"},
		"no time in common":           {"timestamp,value\n2014-03-02 00:00,1\n2014-03-02 01:00,1\n", x, "", 0, "they have no time in common"},
		"a window of nothing":         {x, x, "", time.Second, "--window: 1s is no time an effect may take"},
		"a window of one step":        {x, x, "", time.Hour, "--window: 1h is less than two steps of 1h: give"},
		"a calendar without a header": {x, x, "2015-03-02,2015-03-03,Sale\n", 0, `c.csv:1: the first line is "2015-03-02,2015-03-03,Sale", want begin,end,name`},
		"a calendar without a row":    {x, x, "begin,end,name\n", 0, "c.csv holds no row"},
		"a calendar of two columns":   {x, x, "begin,end\n", 0, "c.csv:1: the line has 2 columns, want 3: begin,end,name"},
		"an end before the begin":     {x, x, "begin,end,name\n2015-03-04,2015-03-02,Sale\n", 0, "c.csv:2: the end 2015-03-02 does not lie behind the begin 2015-03-04"},
		"a day without its signs":     {x, x, "begin,end,name\n20150302,2015-03-02,Sale\n", 0, `c.csv:2: begin "20150302" is no time`},
		"a begin that is no time":     {x, x, "begin,end,name\nMonday,2015-03-02,Sale\n", 0, `c.csv:2: begin "Monday" is no time: write it like 2015-02-26 21:42:53, in UTC, or 2015-02-26`},
	} {
		t.Run(name, func(t *testing.T) {
			in := Input{Stimulus: source("x.csv", tc.stimulus), Response: source("y.csv", tc.response)}
			if tc.calendar != "" {
				s := source("c.csv", tc.calendar)
				in.Calendar = &s
			}
			cfg := DefaultConfig()
			if tc.window != 0 {
				cfg.Window = tc.window
			}
			_, err := Run(t.Context(), in, cfg)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// Revenue belongs to the time that is judged, or there is nothing to credit.
func TestRevenueOfAnotherTime(t *testing.T) {
	w := play(7, 20, time.Hour, 0, 0, 0)
	w.y[5], w.y[6] = -3, -1.5
	run := func(revenue string) (*Estimate, error) {
		s := source("r.csv", "timestamp,value\n"+revenue)
		return Run(t.Context(), Input{Stimulus: source("x.csv", w.file(w.x)), Response: source("y.csv", w.file(w.y)), Revenue: &s}, DefaultConfig())
	}
	const want = "r.csv has no value from 2015-03-02 00:00:00 to 2015-03-22 00:00:00 UTC, the time that is judged: give the revenue of that time, or leave --revenue out"
	for name, revenue := range map[string]string{
		"before":        "2014-03-02 00:00,10\n2014-03-02 01:00,11\n",
		"after":         "2015-03-22 00:00,10\n2015-03-22 01:00,11\n",
		"without value": "2015-03-02 00:00,\n2015-03-02 01:00,NaN\n2015-03-22 01:00,5\n",
	} {
		if _, err := run(revenue); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	e, err := run("2015-03-01 23:00,12.5\n2015-03-02 00:00,10\n2015-03-02 01:00,-4.25\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"revenue of 12.500000 lies outside the time that is judged: it is the baseline's",
		"revenue below 0, such as returns, makes -4.250000 in all: it takes credit back",
		"the response is below 0 in 2 of these steps, by 4.5 in all: is it a count? there it takes credit back",
	} {
		if !slices.Contains(e.Result.Notes, want) {
			t.Errorf("%q is not among the notes %q", want, e.Result.Notes)
		}
	}
}

// A confounder has the grid and the time of the others, or what they share of it.
func TestAConfounderIsPutOnTheGrid(t *testing.T) {
	w := play(3, 35, time.Hour, 6*time.Hour, 4*time.Hour, 0.2)
	other := play(5, 33, 2*time.Hour, 0, 0, 0)
	e := w.run(t, func(in *Input) {
		in.Confounders = []Source{source("ads.csv", other.file(other.x)), source("coupons.csv", w.file(w.y[:30*24]))}
	})
	if e.grid.step != 2*3600*1000 || e.grid.n != 30*12 {
		t.Errorf("the grid has %d steps of %d ms, want those of the coarsest and the shortest", e.grid.n, e.grid.step)
	}
	in := Input{
		Stimulus: source("x.csv", w.file(w.x)), Response: source("y.csv", w.file(w.y)),
		Confounders: []Source{source("ads.csv", "timestamp,value\n2015-03-02 00:00,1\n2015-03-02 00:59,1\n")},
	}
	want := "y.csv has a point every 1h, x.csv has a point every 1h, ads.csv has a point every 59m, and no step of up to a day is a multiple of all these: sum one of them"
	if _, err := Run(t.Context(), in, DefaultConfig()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// However a file is written, what it says is the same.
func TestFilesAsTheyAreExported(t *testing.T) {
	w := play(13, 35, time.Hour, 6*time.Hour, 4*time.Hour, 0.3)
	plain := w.run(t, nil).Result
	lines := strings.Split(strings.TrimSpace(w.file(w.x)), "\n")[1:]
	written := func(change func(at time.Time, value string) string) string {
		out := []string{"timestamp,value"}
		for _, line := range lines {
			stamp, value, _ := strings.Cut(line, ",")
			at, err := time.Parse(time.DateTime, stamp)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, change(at, value))
		}
		return strings.Join(out, "\n")
	}
	backwards := slices.Clone(lines)
	slices.Reverse(backwards)
	half := make([]float64, 2*len(w.x))
	for i, v := range w.x {
		half[2*i], half[2*i+1] = v, 0
	}
	for name, x := range map[string]string{
		"newest first":        "timestamp,value\n" + strings.Join(backwards, "\n"),
		"some lines twice":    strings.Join(slices.Concat([]string{"timestamp,value"}, lines[:100], lines[50:]), "\n"),
		"with a mark and CRs": "\ufeff" + strings.ReplaceAll(w.file(w.x), "\n", "\r\n"),
		"in another zone": written(func(at time.Time, v string) string {
			return at.Add(5*time.Hour+30*time.Minute).Format("2006-01-02T15:04:05") + "+05:30," + v
		}),
		"in seconds":      written(func(at time.Time, v string) string { return fmt.Sprint(at.Unix(), ",", v) }),
		"in milliseconds": written(func(at time.Time, v string) string { return fmt.Sprint(at.UnixMilli(), ",", v) }),
		"in half hours":   world{spacing: 30 * time.Minute}.file(half),
	} {
		t.Run(name, func(t *testing.T) {
			got := w.run(t, func(in *Input) { in.Stimulus = source("x.csv", x) }).Result
			if *got.Effect.PerUnit != *plain.Effect.PerUnit || got.P != plain.P || *got.BestLagS != *plain.BestLagS {
				t.Errorf("got %v, p %v, lag %v, want %v, p %v, lag %v", *got.Effect.PerUnit, got.P, *got.BestLagS,
					*plain.Effect.PerUnit, plain.P, *plain.BestLagS)
			}
			if strings.Contains(name, "twice") != strings.Contains(strings.Join(got.Notes, "\n"), "50 lines of x.csv say again") {
				t.Errorf("the notes are %q", got.Notes)
			}
		})
	}
}

// Days are those of clocks, also where these change; and days of different zones are the same ones.
func TestDaysOfClocksThatChangeAreDays(t *testing.T) {
	w := play(5, 120, 24*time.Hour, 24*time.Hour, 0, 0.2)
	plain := w.run(t, nil).Result
	midnights := func(v []float64, offset func(day time.Time) string) string {
		lines := []string{"timestamp,value"}
		for i, x := range v {
			day := start.AddDate(0, 0, i)
			lines = append(lines, fmt.Sprintf("%sT00:00:00%s,%v", day.Format(time.DateOnly), offset(day), x))
		}
		return strings.Join(lines, "\n")
	}
	berlin := func(day time.Time) string {
		if day.Before(time.Date(2015, 3, 30, 0, 0, 0, 0, time.UTC)) {
			return "+01:00"
		}
		return "+02:00"
	}
	for name, tc := range map[string]struct {
		x, y string
		note string
	}{
		"both":                                   {midnights(w.x, berlin), midnights(w.y, berlin), "the days of x.csv have 23 to 25 hours, as its clocks have them, and count as days of 24"},
		"the response, beside UTC":               {w.file(w.x), midnights(w.y, berlin), "the points of x.csv begin 1h after the steps do, and count as if with them: lags are off by that; align the series to tell lags more exactly"},
		"the stimulus, beside UTC":               {midnights(w.x, berlin), w.file(w.y), "the points of x.csv begin 1h before the steps do, and count as if with them: lags are off by that; align the series to tell lags more exactly"},
		"one offset beside another that changes": {midnights(w.x, func(time.Time) string { return "+02:00" }), midnights(w.y, berlin), "the points of x.csv begin 1h before the steps do, and count as if with them: lags are off by that; align the series to tell lags more exactly"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := Run(t.Context(), Input{Stimulus: source("x.csv", tc.x), Response: source("y.csv", tc.y)}, DefaultConfig())
			if err != nil {
				t.Fatal(err)
			}
			got := e.Result
			if !got.Significant || *got.BestLagS != *plain.BestLagS || math.Abs(*got.Effect.PerUnit / *plain.Effect.PerUnit - 1) > 0.05 {
				t.Errorf("%s: %v after %d s, want %v after %d s", got.Verdict, got.Effect.PerUnit, *got.BestLagS, *plain.Effect.PerUnit, *plain.BestLagS)
			}
			if !slices.Contains(got.Notes, tc.note) {
				t.Errorf("%q is not among the notes %q", tc.note, got.Notes)
			}
		})
	}
}

// Series meet in the finest step that all have, and need not begin together.
func TestFilesOfOtherSpacingsAndSpans(t *testing.T) {
	summed := func(v []float64, of int) []float64 {
		out := make([]float64, len(v)/of)
		for i := range out {
			for _, x := range v[i*of : (i+1)*of] {
				out[i] += x
			}
		}
		return out
	}
	for name, tc := range map[string]struct{ unit, stimulus, response, common time.Duration }{
		"10 and 15 minutes meet in half an hour":    {5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute},
		"5 and 7 minutes meet in 35":                {time.Minute, 5 * time.Minute, 7 * time.Minute, 35 * time.Minute},
		"25 minutes and an hour meet in 5":          {5 * time.Minute, 25 * time.Minute, time.Hour, 5 * time.Hour},
		"7 minutes and a quarter meet in 105":       {time.Minute, 7 * time.Minute, 15 * time.Minute, 105 * time.Minute},
		"a day is a multiple of all that divide it": {5 * time.Minute, 45 * time.Minute, 160 * time.Minute, 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			fine := play(14, 42, tc.unit, 6*time.Hour, 4*time.Hour, 0.3)
			x, y := world{spacing: tc.stimulus}, world{spacing: tc.response}
			x.x, y.y = summed(fine.x, int(tc.stimulus/tc.unit)), summed(fine.y, int(tc.response/tc.unit))
			for i := range int(10 * 24 * time.Hour / tc.response) { // ten days later
				y.y[i] = math.NaN()
			}
			e, err := Run(t.Context(), Input{Stimulus: source("x.csv", x.file(x.x)), Response: source("y.csv", y.file(y.y))}, DefaultConfig())
			if err != nil {
				t.Fatal(err)
			}
			// The stimulus counts from one window before the response on.
			if late := e.grid.at(0).Sub(start.AddDate(0, 0, 7)); e.grid.step != tc.common.Milliseconds() || late < -tc.response || late > tc.common {
				t.Errorf("steps of %d ms, from %s on", e.grid.step, e.grid.at(0))
			}
			if r := e.Result; !r.Significant || *r.Effect.Low > 0.3 || *r.Effect.High < 0.3 || abs(int(*r.BestLagS)-6*3600) > int(tc.common.Seconds()) {
				t.Errorf("%s: %+v, best lag %v", r.Verdict, r.Effect, *r.BestLagS)
			}
		})
	}
}

// Times and header of a calendar are written in as many ways as those of a series.
func TestCalendarsAsTheyAreExported(t *testing.T) {
	const day = 24 * 3600 * 1000
	begin := time.Date(2015, 3, 22, 0, 0, 0, 0, time.UTC).UnixMilli()
	for name, tc := range map[string]struct {
		text string
		want span
	}{
		"by dates, the last one included": {"begin,end,name\n2015-03-22,2015-03-23,Sale\n", span{begin, begin + 2*day, "Sale"}},
		"with a header in capitals":       {"\ufeffBegin, END ,Name\n2015-03-22 , 2015-03-23,Sale\n", span{begin, begin + 2*day, "Sale"}},
		"with times":                      {"begin,end,name\n2015-03-22 00:00,2015-03-23T00:00:00Z,Sale\n", span{begin, begin + day, "Sale"}},
		"with an offset, as pandas does":  {"begin,end,name\n2015-03-22 01:00:00+01:00,2015-03-23 01:00:00+01:00,Sale\n", span{begin, begin + day, "Sale"}},
		"in seconds":                      {"begin,end,name\n1426982400,1427068800,Sale\n", span{begin, begin + day, "Sale"}},
		"in milliseconds":                 {"begin,end,name\n1426982400000,1427068800000,Sale\n", span{begin, begin + day, "Sale"}},
		"for ever":                        {"begin,end,name\n2015-03-22,9999-12-30,Sale\n", span{begin, 253402214400000, "Sale"}},
	} {
		if got, err := readCalendar(source("c.csv", tc.text)); err != nil || !slices.Equal(got, []span{tc.want}) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, tc.want)
		}
	}
}

func TestFlatSeriesSayNothing(t *testing.T) {
	w := play(8, 35, time.Hour, 0, 0, 0)
	clear(w.x)
	r := w.run(t, nil).Result
	if r.Verdict != "insufficient evidence" || r.Why != "the stimulus does not vary, so that nothing can follow it" || r.BestLagS != nil {
		t.Errorf("got %+v", r)
	}
}

// Whatever the series, there is an answer that can be written down, and what is
// credited adds up.
func TestOddSeriesAreAnswered(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 72))
	kinds := map[string]func(t int) float64{
		"noise about 0":     func(int) float64 { return r.NormFloat64() },
		"below 0":           func(int) float64 { return -1 - r.Float64() },
		"almost nothing":    func(t int) float64 { return float64(min(1, t%200/199)) },
		"one event":         func(t int) float64 { return float64(max(0, 1-abs(t-300))) },
		"huge":              func(int) float64 { return 1e15 * r.Float64() },
		"tiny":              func(int) float64 { return 1e-300 * r.Float64() },
		"half of it absent": func(t int) float64 { return []float64{r.Float64(), math.NaN()}[t/24%2] },
		"a line":            func(t int) float64 { return float64(t) },
		"steady":            func(int) float64 { return 7 },
	}
	for xName, x := range kinds {
		for yName, y := range kinds {
			w := world{spacing: time.Hour, x: make([]float64, 400), y: make([]float64, 400)}
			for t := range w.x {
				w.x[t], w.y[t] = x(t), y(t)
			}
			w.x[0], w.y[0] = 1, 1 // a first line each
			e := w.run(t, nil)
			var b bytes.Buffer
			if err := e.Result.WriteJSON(&b); err != nil {
				t.Errorf("%s on %s: %v", xName, yName, err)
			}
			if err := e.Result.WriteText(&b); err != nil {
				t.Errorf("%s on %s: %v", xName, yName, err)
			}
			sum, want, size := e.Result.BaselineUnits, 0.0, 0.0
			for _, c := range e.Result.Credit {
				sum += c.Units
			}
			for _, v := range w.y {
				if !math.IsNaN(v) {
					want += v
					size += math.Abs(v)
				}
			}
			if math.Abs(sum-want) > 1e-9*size {
				t.Errorf("%s on %s: credits and baseline make %v, of %v", xName, yName, sum, want)
			}
		}
	}
}

func abs(n int) int { return max(n, -n) }

// Where the root of the stimulus acts, that is said, what is credited adds up, to the micro
// as well, and goes with what acts.
func TestReturnsThatDiminish(t *testing.T) {
	w := play(11, 35, time.Hour, 0, 0, 0)
	k := correlate.Kernel{Delay: 3, HalfLife: 4, Lags: 72}
	root, acts := make([]float64, len(w.x)), make([]float64, len(w.x))
	sum, roots, all := 0.0, 0.0, 0.0
	for i, v := range w.x {
		root[i] = math.Sqrt(v)
		sum, roots, all = sum+v, roots+root[i], all+w.y[i]
	}
	beta := 1.2 * all / sum
	k.Convolve(acts, root)
	for i, v := range acts {
		w.y[i] += math.Round(beta * sum / roots * v)
	}
	e := w.run(t, func(in *Input) { s := source("r.csv", w.file(w.y)); in.Revenue = &s })
	r := &e.Result
	if !r.Significant || *r.Effect.Low > beta || *r.Effect.High < beta {
		t.Fatalf("%s, %v to %v per unit, want %v", r.Verdict, *r.Effect.Low, *r.Effect.High, beta)
	}
	if *r.Effect.Exponent == 1 || *r.Effect.ExponentLow > 0.5 || *r.Effect.ExponentHigh < 0.5 {
		t.Errorf("the exponent is %v, %v to %v, want 0.5", *r.Effect.Exponent, *r.Effect.ExponentLow, *r.Effect.ExponentHigh)
	}
	if !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, "returns diminish: ") }) {
		t.Errorf("no note says that returns diminish: %q", r.Notes)
	}
	units, micros := r.BaselineUnits, *r.BaselineRevenueMicros
	large, small := 0, 0
	for i, c := range r.Credit {
		units, micros = units+c.Units, micros+*c.RevenueMicros
		if w.x[i] > w.x[large] {
			large = i
		}
		if i > 0 && w.x[i] > 30 && w.x[i] < 50 {
			small = i
		}
	}
	whole := 0.0
	for _, v := range w.y {
		whole += v
	}
	if math.Abs(units-whole) > 1e-9*whole || micros != *r.RevenueMicros {
		t.Errorf("credited are %v units and %d micros, of %v and %d", units, micros, whole, *r.RevenueMicros)
	}
	more, earns := w.x[large]/w.x[small], r.Credit[large].Units/r.Credit[small].Units
	if earns > more/3 || earns < 1 {
		t.Errorf("%v times the stimulus earns %v times as much", more, earns)
	}
}

// digits is what differs between kinds of processors.
var digits = regexp.MustCompile(`(\.\d{3})\d+`)

func TestJSON(t *testing.T) {
	w := play(9, 28, 3*time.Hour, 6*time.Hour, 6*time.Hour, 0.3)
	e := w.run(t, func(in *Input) { s := source("r.csv", w.file(w.y)); in.Revenue = &s })
	e.Result.Credit = e.Result.Credit[:30]
	var b bytes.Buffer
	if err := e.Result.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(b.Bytes(), &keys); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"best_lag_s", "lag_profile", "p", "significant", "kernel", "effect", "verdict", "why", "credit", "baseline_units", "notes"} {
		if _, ok := keys[key]; !ok {
			t.Errorf("there is no %q", key)
		}
	}
	got := digits.ReplaceAllString(b.String(), "$1")
	golden := filepath.Join("testdata", "effect.json")
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
		t.Errorf("the result has changed (-before +now):\n%s", diff)
	}
}

func TestPlot(t *testing.T) {
	effect := play(10, 28, time.Hour, 3*time.Hour, 4*time.Hour, 0.3)
	short := play(10, 2, time.Hour, 3*time.Hour, 4*time.Hour, 0.3)
	for name, w := range map[string]world{"an effect": effect, "two days": short} {
		t.Run(name, func(t *testing.T) {
			e := w.run(t, nil)
			var b bytes.Buffer
			if err := e.Draw(&b, PNG); err != nil {
				t.Fatal(err)
			}
			img, err := png.Decode(&b)
			if err != nil {
				t.Fatal(err)
			}
			if size := img.Bounds().Size(); size.X != 1200 || size.Y != 1440 {
				t.Errorf("the picture is %v", size)
			}
			b.Reset()
			if err := e.Draw(&b, SVG); err != nil {
				t.Fatal(err)
			}
			titles := 0
			for d := xml.NewDecoder(&b); ; {
				token, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if text, ok := token.(xml.CharData); ok && panelTitle.Match(text) {
					titles++
				}
			}
			if titles != 5 {
				t.Errorf("%d panels have a title", titles)
			}
			if err := e.Draw(&b, "gif"); err == nil {
				t.Error("it is drawn as GIF")
			}
		})
	}
}

// What stands alone between gaps is drawn, and the axis of nothing does not go below it.
func TestCurvesOfLittle(t *testing.T) {
	none := math.NaN()
	for name, tc := range map[string]struct {
		v         []float64
		low, high float64
	}{
		"a point between gaps": {[]float64{1, 2, none, 9, none, 1, 2}, 0, 9},
		"nothing but zeros":    {[]float64{0, 0, 0}, 0, 1},
		"nothing known":        {[]float64{none, none}, 0, 1},
		"what is below 0":      {[]float64{-3, none, 2}, -3, 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := &painter{e: &Estimate{grid: grid{step: 3600_000, n: len(tc.v)}}, ink: inks(), per: 1}
			plt := p.panel("a", "b")
			p.curve(plt, tc.v, p.ink.blue, 1, "c")
			if p.err != nil || plt.Y.Min != tc.low || plt.Y.Max != tc.high {
				t.Errorf("from %v to %v, want %v to %v (%v)", plt.Y.Min, plt.Y.Max, tc.low, tc.high, p.err)
			}
		})
	}
}

// Lag and kernel are of the best evidence, whatever that is worth.
func TestWhatMayBeChanceIsSaidToBe(t *testing.T) {
	const chance = ", which is not significant"
	for name, tc := range map[string]struct {
		effect float64
		chance int // lines that say so
	}{"an effect": {0.3, 0}, "none": {0, 2}} {
		t.Run(name, func(t *testing.T) {
			e := play(4, 28, time.Hour, 3*time.Hour, 4*time.Hour, tc.effect).run(t, nil)
			var text, picture bytes.Buffer
			if err := errors.Join(e.Result.WriteText(&text), e.Draw(&picture, SVG)); err != nil {
				t.Fatal(err)
			}
			if got := strings.Count(text.String(), chance); got != tc.chance {
				t.Errorf("%d lines say it, want %d:\n%s", got, tc.chance, text.String())
			}
			if drawn := strings.Contains(picture.String(), ">best lag"); drawn != (tc.chance == 0) {
				t.Errorf("the best lag is drawn: %v", drawn)
			}
			if want := "(calibrated p " + e.Result.calibrated + ")"; !strings.Contains(picture.String(), want) {
				t.Errorf("the picture does not say %q", want)
			}
		})
	}
}

var panelTitle = regexp.MustCompile("^[a-e]  [A-Z]")

// TestPictureOfTheREADME keeps the picture there the one that is drawn.
func TestPictureOfTheREADME(t *testing.T) {
	w := play(2, 28, time.Hour, 3*time.Hour, 4*time.Hour, 0.3)
	var b bytes.Buffer
	if err := w.run(t, nil).Draw(&b, SVG); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "effect.svg")
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, b.Bytes()) {
		t.Errorf("%s is not what is drawn: if that is meant, draw it anew with `make goldens`", golden)
	}
}

func BenchmarkSixtyDaysOfQuarters(b *testing.B) {
	w := play(11, 60, 15*time.Minute, 3*time.Hour, 4*time.Hour, 0.2)
	for b.Loop() {
		w.run(b, nil)
	}
}

// Whatever keeps an effect from being told has a sentence of its own, that says what to do.
func TestEveryReasonIsTold(t *testing.T) {
	seen := make(map[string]correlate.Reason)
	for _, reason := range []correlate.Reason{
		correlate.ShortHistory, correlate.FlatStimulus, correlate.FlatResponse, correlate.Falling, correlate.Confounded, correlate.Unreliable,
	} {
		text := reasons(&correlate.Relation{P: 0.01, Reason: reason, Realised: 0.4}, 72*time.Hour)
		if other, twice := seen[text]; twice {
			t.Errorf("%v is told as %v: %s", reason, other, text)
		}
		seen[text] = reason
	}
}

// What is significant hangs on the probability alone, what is told of an effect on its interval too.
func TestSignificantIsWhatTheProbabilitySays(t *testing.T) {
	for name, tc := range map[string]struct {
		rel         correlate.Relation
		significant bool
		why         string
	}{
		"an effect": {correlate.Relation{P: 0.05, Verdict: correlate.Effective}, true, "such evidence has a probability of 0.05, by placebos"},
		"an effect whose interval is unreliable": {
			correlate.Relation{P: 0.012, Realised: 0.62, Verdict: correlate.Inconclusive, Reason: correlate.Unreliable},
			true,
			"such evidence has a probability of 0.012 without an effect, but the interval of its size is unreliable: planted into placebos, the same effect would be held by only 62 % of them",
		},
		"no evidence, and an interval that is unreliable": {
			correlate.Relation{P: 0.3, Realised: 0.62, Verdict: correlate.Inconclusive, Reason: correlate.Unreliable}, false, "such evidence has a probability of 0.3",
		},
		"a response that falls": {correlate.Relation{P: 1, Verdict: correlate.Inconclusive, Reason: correlate.Falling}, false, "the response falls"},
		"too little evidence":   {correlate.Relation{P: 0.051, Verdict: correlate.Inconclusive}, false, "such evidence has a probability of 0.051"},
	} {
		t.Run(name, func(t *testing.T) {
			var r Result
			tc.rel.Placebos = 10
			r.fill(&Estimate{relation: tc.rel, grid: grid{step: 3600_000}}, time.Hour, 72*time.Hour)
			if r.Significant != tc.significant || r.Verdict != string(tc.rel.Verdict) || !strings.Contains(r.Why, tc.why) {
				t.Errorf("significant: %v, %s: %s", r.Significant, r.Verdict, r.Why)
			}
		})
	}
}

// A response that goes below 0 is no whole to have a share of: one said 742 %.
func TestTheShareOfAResponseBelowZeroIsNotTold(t *testing.T) {
	for name, tc := range map[string]struct {
		y     []float64
		share bool
	}{"counts": {[]float64{3, 0, 4}, true}, "what may be below 0": {[]float64{3, -6, 4}, false}} {
		t.Run(name, func(t *testing.T) {
			var r Result
			rel := correlate.Relation{P: 0.01, Verdict: correlate.Effective, Share: 7.42, Placebos: 10}
			r.fill(&Estimate{relation: rel, y: tc.y, grid: grid{step: 3600_000}}, time.Hour, 72*time.Hour)
			if told := strings.Contains(r.Why, "% of the response"); told != tc.share {
				t.Error(r.Why)
			}
		})
	}
}

// A step of which some values are missing is told of: it is scaled up, and none where
// most are.
func TestStepsThatAreKnownInPart(t *testing.T) {
	w := play(3, 35, time.Hour, 6*time.Hour, 4*time.Hour, 0.3)
	fine := play(4, 35, 15*time.Minute, 0, 0, 0)
	for _, hour := range []int{200, 300, 301} {
		fine.y[4*hour+1] = math.NaN()
	}
	for _, hour := range []int{400, 500} {
		fine.y[4*hour], fine.y[4*hour+2], fine.y[4*hour+3] = math.NaN(), math.NaN(), math.NaN()
	}
	e := w.run(t, func(in *Input) { in.Response = source("y.csv", fine.file(fine.y)) })
	for _, want := range []string{
		"y.csv has only some of its values in 3 of these steps; they are scaled up to the whole step",
		"y.csv has no value in 2 of these steps; they are no evidence, and nothing of them is credited",
	} {
		if !slices.Contains(e.Result.Notes, want) {
			t.Errorf("%q is not among the notes %q", want, e.Result.Notes)
		}
	}
	if want := 4.0 / 3 * (fine.y[800] + fine.y[802] + fine.y[803]); math.Abs(e.y[200]-want) > 1e-9 || !math.IsNaN(e.y[400]) {
		t.Errorf("hour 200 has %v, want %v; hour 400 has %v, want none", e.y[200], want, e.y[400])
	}
}
