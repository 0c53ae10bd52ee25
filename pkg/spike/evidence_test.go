package spike

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The evidence for the scorer: planted spikes on series that burst by themselves,
// beside a rolling z-score and Holt–Winters, which are given their usual threshold
// and, knowing the answers, the one at which they raise as many false alarms as
// the scorer does at 0.5.

// rival is a detector whose scores have no upper bound.
type rival struct {
	name  string
	usual float64
	score func(trace) []float64
}

func rivals() []rival {
	return []rival{
		{"score of this package", alarm, scores},
		{"rolling z-score, a day", 4, rollingZ},
		{"Holt–Winters, a day", 4, holtWinters},
	}
}

// rollingZ says by how many deviations a value exceeds the mean of the day before.
func rollingZ(t trace) []float64 {
	out := make([]float64, len(t.values))
	n := t.index(dayMs)
	sum, squares := 0.0, 0.0
	for i, v := range t.values {
		if i >= n {
			mean := sum / float64(n)
			sd := math.Sqrt(max(0, squares/float64(n)-mean*mean))
			out[i] = (v - mean) / max(1, sd)
			old := t.values[i-n]
			sum, squares = sum-old, squares-old*old
		}
		sum, squares = sum+v, squares+v*v
	}
	return out
}

// holtWinters says by how many deviations a value exceeds the forecast of additive
// exponential smoothing with a daily season (Winters 1960).
func holtWinters(t trace) []float64 {
	const alpha, beta, gamma, delta = 0.1, 0.001, 0.2, 0.005
	out := make([]float64, len(t.values))
	n := t.index(dayMs)
	season := make([]float64, n)
	level, trend, variance := 0.0, 0.0, 0.0
	for i, v := range t.values {
		switch day := i / n; day {
		case 0:
			level += v / float64(n)
			season[i] = v
		default:
			if i == n {
				for k := range season {
					season[k] -= level
				}
			}
			s := &season[i%n]
			residual := v - level - trend - *s
			if day > 1 {
				out[i] = residual / max(1, math.Sqrt(variance))
			}
			variance += max(delta, 1/float64(i-n+1)) * (residual*residual - variance)
			before := level
			level = alpha*(v-*s) + (1-alpha)*(level+trend)
			trend = beta*(level-before) + (1-beta)*trend
			*s = gamma*(v-level) + (1-gamma)**s
		}
	}
	return out
}

// planted is a series with spikes that somebody put there.
type planted struct {
	trace
	starts []int
}

// plant adds a spike about every twelve days: a jump that decays, a rise over an
// hour, or a plateau, of three to twelve times the mean of the week before.
func plant(seed uint64, t trace) planted {
	r := lots(seed)
	p := planted{trace: t}
	p.values = slices.Clone(t.values)
	for ms := 8*dayMs + int64(r.Float64()*6*dayMs); ms+dayMs < t.atMs(len(t.values))-mondayMs; ms += 9*dayMs + int64(r.Float64()*6*dayMs) {
		at := t.index(ms)
		mean := 0.0
		week := t.values[at-t.index(7*dayMs) : at]
		for _, v := range week {
			mean += v / float64(len(week))
		}
		size, kind, half := mean*3*math.Exp2(2*r.Float64()), r.IntN(3), 1+2*r.Float64()
		for k := range t.index(8 * hourMs) {
			hours := float64(int64(k)*t.spacingMs) / hourMs
			switch kind {
			case 0:
				p.values[at+k] += draw(r, size*math.Exp2(-hours/half))
			case 1:
				p.values[at+k] += draw(r, size*min(hours+1.0/12, math.Exp2((1-hours)/half)))
			case 2:
				if hours < 2*half {
					p.values[at+k] += draw(r, size/2)
				}
			}
		}
		p.starts = append(p.starts, at)
	}
	return p
}

// Alarms closer than this are one, and an alarm so soon after a start is of it.
const (
	togetherMs = 3 * hourMs
	promptMs   = 6 * hourMs
)

// outcome is what a detector did at a threshold.
type outcome struct {
	planted, found, alarms, right int
	delays                        []int64 // milliseconds, sorted
	months                        float64
	falsely                       int // alarms on the series without the spikes
}

func (o outcome) falseAMonth() float64 { return float64(o.falsely) / o.months }

// episodes returns where alarms begin.
func episodes(t trace, scores []float64, threshold float64) (starts []int) {
	last := -1 << 40
	for i, s := range scores {
		if s >= threshold {
			if int64(i-last)*t.spacingMs > togetherMs {
				starts = append(starts, i)
			}
			last = i
		}
	}
	return starts
}

// judge counts what the scores of series with and without spikes amount to.
func judge(all []planted, with, without [][]float64, threshold float64) (o outcome) {
	for k, p := range all {
		o.months += p.months()
		o.planted += len(p.starts)
		o.falsely += len(episodes(p.trace, without[k], threshold))
		found := episodes(p.trace, with[k], threshold)
		o.alarms += len(found)
		for _, start := range p.starts {
			for i := start; i < start+p.index(promptMs); i++ {
				if with[k][i] >= threshold {
					o.found++
					o.delays = append(o.delays, int64(i-start)*p.spacingMs)
					break
				}
			}
		}
		for _, at := range found {
			if slices.ContainsFunc(p.starts, func(start int) bool { return at >= start && at <= start+p.index(2*promptMs) }) {
				o.right++
			}
		}
	}
	slices.Sort(o.delays)
	return o
}

// equalise returns the threshold at which a detector raises no more than so many
// false alarms.
func equalise(all []planted, without [][]float64, falsely int) float64 {
	low, high := 0.0, 1e6
	for range 60 {
		middle := (low + high) / 2
		n := 0
		for k, p := range all {
			n += len(episodes(p.trace, without[k], middle))
		}
		if n > falsely {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// compare writes the table and returns the outcomes: of the scorer, then of each
// rival at the scorer's rate of false alarms.
func compare(b *strings.Builder, title string, bare []trace) (outcomes []outcome) {
	all := make([]planted, len(bare))
	for k, t := range bare {
		all[k] = plant(uint64(k), t)
	}
	fmt.Fprintf(b, "%s\n\n%-24s %10s %8s %7s %10s %10s %10s %12s\n", title, "detector", "threshold", "planted", "recall", "precision", "delay p50", "delay p90", "false/month")
	falsely := 0
	for n, r := range rivals() {
		with, without := make([][]float64, len(all)), make([][]float64, len(all))
		for k, p := range all {
			with[k], without[k] = r.score(p.trace), r.score(bare[k])
		}
		say := func(threshold float64) outcome {
			o := judge(all, with, without, threshold)
			delay := func(share float64) string {
				if len(o.delays) == 0 {
					return "–"
				}
				return fmt.Sprintf("%.0f min", float64(o.delays[int(share*float64(len(o.delays)-1))])/minuteMs)
			}
			fmt.Fprintf(b, "%-24s %10.2f %8d %6.0f%% %9.0f%% %10s %10s %12.2f\n", r.name, threshold, o.planted, 100*float64(o.found)/float64(o.planted),
				100*float64(o.right)/float64(max(1, o.alarms)), delay(0.5), delay(0.9), o.falseAMonth())
			return o
		}
		o := say(r.usual)
		if n == 0 {
			falsely = o.falsely
		} else {
			o = say(equalise(all, without, falsely))
		}
		outcomes = append(outcomes, o)
	}
	b.WriteString("\n")
	return outcomes
}

// evidenceSeries are of many levels, and burst once a day.
func evidenceSeries(spacingMs int64) (all []trace) {
	for k, level := range []float64{0.5, 2, 10, 50, 200, 1000} {
		for seed := range uint64(2) {
			all = append(all, generate(100*uint64(k)+seed, spacingMs, 60, bursty(level*float64(spacingMs)/float64(5*minuteMs))))
		}
	}
	return all
}

func TestEvidence(t *testing.T) {
	var b strings.Builder
	for _, spacing := range []int64{5 * minuteMs, 15 * minuteMs, hourMs} {
		title := fmt.Sprintf("Generated series of 60 days with bursts of their own, every %s", time.Duration(spacing)*time.Millisecond)
		all := compare(&b, title, evidenceSeries(spacing))
		if rate := all[0].falseAMonth(); rate > 1.3 {
			t.Errorf("%s: %.2f false alarms a month at 0.5, want about one", title, rate)
		}
		// Of hours, a rival that is told the answers finds about as many.
		least := 1.2
		if spacing == hourMs {
			least = 0.8
		}
		for i, o := range all[1:] {
			if float64(all[0].found) < least*float64(o.found) {
				t.Errorf("%s: at the same false alarms %s finds %d, the scorer %d", title, rivals()[i+1].name, o.found, all[0].found)
			}
		}
	}
	golden := filepath.Join("testdata", "evidence.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// The false alarms include what really happened to these brands.
func TestEvidenceOnRealSeries(t *testing.T) {
	bare := mentions(t)
	if bare == nil {
		t.Skip("no real series of mentions beside the checkout: nothing to plant spikes in")
	}
	for k := range bare { // more lots on the same series
		bare = append(bare, bare[k], bare[k], bare[k])
	}
	for _, minutes := range []int64{5, 15, 60} {
		summed := make([]trace, len(bare))
		for k, t := range bare {
			summed[k] = t.sum(int(minutes / 5))
		}
		var b strings.Builder
		all := compare(&b, fmt.Sprintf("Real mentions of four brands, 2015, every %d minutes, each planted four times", minutes), summed)
		t.Logf("\n%s", b.String())
		if rate := all[0].falseAMonth(); rate > 3 {
			t.Errorf("every %d minutes: %.2f alarms a month", minutes, rate)
		}
		for i, o := range all[1:] {
			if minutes < 60 && o.found > all[0].found {
				t.Errorf("every %d minutes: at the same false alarms %s finds %d, the scorer %d", minutes, rivals()[i+1].name, o.found, all[0].found)
			}
		}
	}
}

// A score says how often chance reaches it: from s up about (1 − s)/s times a
// month. Held for quiet and for bursty series of every level and spacing.
func TestFalseAlarmsAreAsRareAsTheScoreSays(t *testing.T) {
	var quiet, surely, months float64
	worst := 0.0
	for _, spacing := range []int64{5 * minuteMs, 15 * minuteMs, hourMs, dayMs} {
		for _, level := range []float64{0.05, 1, 20, 400} {
			for _, m := range []manners{{level: level}, bursty(level)} {
				days := 60
				if spacing == dayMs {
					days = 3000 // a month is a thousand points
				}
				count, long := 0.0, 0.0
				for seed := range uint64(3) {
					tr := generate(seed, spacing, days, m)
					for _, s := range scores(tr) {
						if s >= 0.5 {
							count++
						}
						if s >= 0.9 {
							surely++
						}
					}
					long += float64(len(tr.values)) * 1 / monthPoints(spacing)
				}
				quiet, months = quiet+count, months+long
				worst = max(worst, count/long)
				t.Logf("%s level %g bursts %g: %.2f", time.Duration(spacing)*time.Millisecond, level, m.bursts, count/long)
			}
		}
	}
	t.Logf("a month: %.2f at 0.5, %.3f at 0.9; the worst kind %.2f", quiet/months, surely/months, worst)
	if quiet/months > 1 || surely/months > 1.0/9 || worst > 3 {
		t.Errorf("a month: %.2f alarms at 0.5, want 1 or fewer; %.3f at 0.9, want 0.11 or fewer; %.2f of the worst kind, want 3 or fewer", quiet/months, surely/months, worst)
	}
}

// Nor do series that are no counts of anything alarm more than once in two months,
// all together: independent noise of light and of exponential tails, a clean and a
// noisy season, and one that wanders; from the first day on.
func TestNullSeriesAlarmOnceInTwoMonths(t *testing.T) {
	kinds := map[string]func(r *rand.Rand, wave float64, last float64) float64{
		"white":       func(r *rand.Rand, _, _ float64) float64 { return 50 + 10*r.NormFloat64() },
		"uniform":     func(r *rand.Rand, _, _ float64) float64 { return r.Float64() },
		"exponential": func(r *rand.Rand, _, _ float64) float64 { return r.ExpFloat64() },
		"season":      func(r *rand.Rand, wave, _ float64) float64 { return 100 + 50*wave + 5*r.NormFloat64() },
		"clean":       func(_ *rand.Rand, wave, _ float64) float64 { return 100 + 50*wave },
		"persistent":  func(r *rand.Rand, _, last float64) float64 { return 30 + 0.99*(last-30) + r.NormFloat64() },
		"random walk": func(r *rand.Rand, _, last float64) float64 { return last + r.NormFloat64() },
	}
	var all, surely, months float64
	for name, next := range kinds {
		alarms, long := 0.0, 0.0
		for _, spacing := range []int64{5 * minuteMs, hourMs} {
			for seed := range uint64(6) {
				r, tr := lots(seed), trace{spacingMs: spacing, values: make([]float64, 30*dayMs/(5*minuteMs))}
				last := 30.0
				for i := range tr.values {
					last = next(r, math.Sin(2*math.Pi*float64(tr.atMs(i)%dayMs)/dayMs), last)
					tr.values[i] = last
				}
				for _, s := range scores(tr) {
					if s >= 0.5 {
						alarms++
					}
					if s >= 0.9 {
						surely++
					}
				}
				long += float64(len(tr.values)) / monthPoints(spacing)
			}
		}
		t.Logf("%s: %.2f a month", name, alarms/long)
		if alarms/long > 1 {
			t.Errorf("%s: %.2f alarms a month", name, alarms/long)
		}
		all, months = all+alarms, months+long
	}
	t.Logf("a month: %.2f at 0.5, %.3f at 0.9", all/months, surely/months)
	if all/months > 0.5 || surely/months > 0.05 {
		t.Errorf("a month: %.2f alarms at 0.5, want 0.5 or fewer; %.3f at 0.9, want 0.05 or fewer", all/months, surely/months)
	}
}
