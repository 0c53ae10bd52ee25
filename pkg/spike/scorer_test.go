package spike

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const alarm = 0.5

// alarms returns the indices of the alarms in scores.
func alarms(scores []float64) (at []int) {
	for i, s := range scores {
		if s >= alarm {
			at = append(at, i)
		}
	}
	return at
}

// drawTrace draws a series that is anything but well-behaved.
func drawTrace(t *rapid.T) (atMs []int64, values []float64) {
	spacing := rapid.SampledFrom([]int64{minuteMs, 5 * minuteMs, hourMs, dayMs}).Draw(t, "spacing")
	n := rapid.IntRange(1, 300).Draw(t, "points")
	if spacing == minuteMs {
		n += 1500
	}
	r := lots(rapid.Uint64().Draw(t, "seed"))
	level := rapid.SampledFrom([]float64{0, 0.1, 8, 1000, 1e12}).Draw(t, "level")
	fraction := rapid.Bool().Draw(t, "fractions")
	odd := rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), -level, 0, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64})
	at := mondayMs + rapid.Int64Range(-1e14, 1e12).Draw(t, "from")
	for range n {
		v := draw(r, level)
		if fraction {
			v *= 1.0625
		}
		switch r.IntN(40) {
		case 0:
			v = odd.Draw(t, "odd")
		case 1:
			at += spacing * rapid.Int64Range(-1, 1e5).Draw(t, "jump")
		}
		at += spacing
		atMs, values = append(atMs, at), append(values, v)
	}
	return atMs, values
}

func TestScoresOfAnySeriesLieBetweenZeroAndOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		atMs, values := drawTrace(t)
		var s Scorer
		for i := range values {
			if score := s.Next(atMs[i], values[i]); !(score >= 0 && score <= 1) {
				t.Fatalf("point %d of value %v scores %v", i, values[i], score)
			}
		}
	})
}

// Whatever comes later, be it nothing, leaves a score as it is.
func TestScoresDependOnThePastAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		atMs, values := drawTrace(t)
		var whole, part Scorer
		want := make([]float64, len(values))
		for i := range values {
			want[i] = whole.Next(atMs[i], values[i])
		}
		cut := rapid.IntRange(0, len(values)-1).Draw(t, "cut")
		for i := range values[:cut+1] {
			if got := part.Next(atMs[i], values[i]); got != want[i] {
				t.Fatalf("point %d scores %v when the series is cut at %d, and %v when it is not", i, got, cut, want[i])
			}
		}
	})
	// The same on series on which something happens.
	tr := generate(3, 5*minuteMs, 21, bursty(20))
	want := scores(tr)
	if len(alarms(want)) == 0 && slices.Max(want) < 0.1 {
		t.Fatalf("nothing happens: the highest score is %v", slices.Max(want))
	}
	for cut := 1; cut < len(want); cut += 501 {
		other := tr
		other.values = slices.Clone(tr.values)
		for i := cut; i < len(other.values); i++ {
			other.values[i] = 1e6 - other.values[i]
		}
		if !slices.Equal(scores(other)[:cut], want[:cut]) {
			t.Fatalf("what follows point %d changes scores before it", cut)
		}
	}
}

func TestTheWarmUpScoresNothing(t *testing.T) {
	for spacing, want := range map[int64]int{minuteMs: 1440, 5 * minuteMs: 288, 30 * minuteMs: 48, hourMs: 24, 6 * hourMs: 24, dayMs: 24} {
		var s Scorer
		for i := range want + 1 {
			value := 100.0
			if i == want {
				value = 1e6
			}
			score := s.Next(int64(i)*spacing, value)
			if i < want && score != 0 || i == want && score < alarm {
				t.Errorf("one point every %s: point %d scores %v, want %d points that score 0", time.Duration(spacing)*time.Millisecond, i, score, want)
			}
		}
	}
}

func TestOddPointsTeachNothing(t *testing.T) {
	tr := generate(1, 5*minuteMs, 10, bursty(50))
	want := scores(tr)
	var s Scorer
	for i, v := range tr.values {
		if got := s.Next(tr.atMs(i), v); got != want[i] {
			t.Fatalf("point %d scores %v after odd points, %v without", i, got, want[i])
		}
		for name, odd := range map[string]struct {
			atMs  int64
			value float64
		}{
			"the same time again":  {tr.atMs(i), 1e6},
			"an earlier time":      {tr.atMs(i) - 1, 1e6},
			"a value that is none": {tr.atMs(i) + 1, math.NaN()},
			"an infinite value":    {tr.atMs(i) + 1, math.Inf(1)},
		} {
			if got := s.Next(odd.atMs, odd.value); got != 0 {
				t.Fatalf("%s scores %v, want 0", name, got)
			}
		}
	}
}

// event changes the values from a point on.
type event struct {
	name string
	hour float64 // how long it lasts
	side float64 // 1 up, -1 down
	do   func(value, hours float64) float64
}

func events() []event {
	return []event{
		{"a jump that decays", 8, 1, func(v, h float64) float64 { return v + 1000*math.Exp2(-h) }},
		{"one point", 0.01, 1, func(v, h float64) float64 { return v + 1500 }},
		{"a plateau", 6, 1, func(v, h float64) float64 { return 4 * v }},
		{"a rise over an hour", 6, 1, func(v, h float64) float64 { return v + 1000*min(h, math.Exp2(1-h)) }},
		{"silence", 10, -1, func(v, h float64) float64 { return 0 }},
	}
}

func TestOneEventIsOneAlarm(t *testing.T) {
	for _, spacing := range []int64{minuteMs, 5 * minuteMs, 15 * minuteMs, hourMs} {
		for _, e := range events() {
			tr := generate(7, spacing, 24, manners{level: 100})
			from := tr.index(20*dayMs + 10*hourMs)
			quiet := scores(tr)
			for i := from; float64(i-from)*float64(spacing) < e.hour*hourMs; i++ {
				tr.values[i] = math.Round(e.do(tr.values[i], float64(int64(i-from)*spacing)/hourMs))
			}
			got, before := alarms(scores(tr)), alarms(quiet)
			if len(got) < 1 || len(got) > 3+len(before) || got[0] < from && len(before) == 0 {
				t.Errorf("every %s, %s: alarms at %v, want one to three from %d on", time.Duration(spacing)*time.Millisecond, e.name, got, from)
				continue
			}
			if delay := int64(got[len(before)]-from) * spacing; delay > max(hourMs, 2*spacing) {
				t.Errorf("every %s, %s: the alarm comes after %s", time.Duration(spacing)*time.Millisecond, e.name, time.Duration(delay)*time.Millisecond)
			}
		}
	}
}

func TestRarityIsWhatNewsWouldScore(t *testing.T) {
	var s Scorer
	rare, news := 0, 0
	tr := generate(7, hourMs, 60, bursty(100))
	for i := 20 * 24; i < 20*24+12; i++ {
		tr.values[i] *= 10
	}
	for i, v := range tr.values {
		score := s.Next(tr.atMs(i), v)
		switch rarity := s.Rarity(); {
		case i < WarmUpPoints && rarity != 0,
			score != rarity && score != stale*rarity:
			t.Fatalf("point %d: the rarity %v, and the score %v", i, rarity, score)
		case rarity >= 0.5 && score == rarity:
			news++
		case rarity >= 0.5:
			rare++
		}
	}
	if news == 0 || rare <= news {
		t.Errorf("of what is rare %d points are news, and %d go on", news, rare)
	}
	if s.Next(0, 1); s.Rarity() != 0 {
		t.Errorf("a point that teaches nothing has the rarity %v", s.Rarity())
	}
}

// A burst of a hundred times the level does not hide the same burst, or a
// tenth of it, ten days later.
func TestBurstsDoNotPoison(t *testing.T) {
	for _, size := range []float64{100, 10} {
		tr := generate(5, 5*minuteMs, 40, manners{level: 50, drift: 0.2})
		first, second := tr.index(20*dayMs+12*hourMs), tr.index(30*dayMs+12*hourMs)
		for i := range 24 {
			decay := math.Exp2(-float64(i) / 12)
			tr.values[first+i] += math.Round(100 * 50 * decay)
			tr.values[second+i] += math.Round(size * 50 * decay)
		}
		for _, at := range []int{first, second} {
			if got := slices.Max(scores(tr)[at : at+12]); got < alarm {
				t.Errorf("the burst at %d of %v times the level scores %.3f", at, size, got)
			}
		}
	}
}

// A value of the first day that is none, such as a sensor's error, leaves the scores of the days
// after it about as they were.
func TestAWildValueOfTheFirstDayBlindsNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		part  float64 // what the counts are multiplied by
		level float64
		wild  map[int]float64
	}{
		"a count of 1e300":             {1, 50, map[int]float64{100: 1e300}},
		"a fraction of 1e300":          {1.0625, 50, map[int]float64{100: 1e300}},
		"the first of all":             {1.0625, 50, map[int]float64{0: 1e300}},
		"the last of the first day":    {1.0625, 50, map[int]float64{287: 1e300}},
		"one far below 0":              {1.0625, 50, map[int]float64{100: -1e300}},
		"the largest that there is":    {1.0625, 50, map[int]float64{100: math.MaxFloat64, 101: -math.MaxFloat64}},
		"several, of different sizes":  {1.0625, 50, map[int]float64{100: 1e300, 101: 1e300, 150: 1e20, 200: 1e9}},
		"a million times the level":    {1.0625, 50, map[int]float64{100: 5e7}},
		"where most counts are 0":      {1, 0.1, map[int]float64{100: 1e300}},
		"where most fractions are 0":   {1.0625, 0.1, map[int]float64{100: 1e300}},
		"none, and nothing is touched": {1.0625, 50, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tr := generate(5, 5*minuteMs, 20, manners{level: tc.level, drift: 0.2})
			for i := range tr.values {
				tr.values[i] *= tc.part
			}
			burst := tr.index(10*dayMs + 12*hourMs)
			for i := range 12 {
				tr.values[burst+i] += math.Round(20*max(1, tc.level)) * tc.part
			}
			clean := scores(tr)
			for i, v := range tc.wild {
				tr.values[i] = v
			}
			got := scores(tr)
			if before, after := slices.Max(clean[burst:burst+12]), slices.Max(got[burst:burst+12]); before < alarm || after < before-0.1 {
				t.Errorf("a burst that scores %.3f without it scores %.3f", before, after)
			}
			if before, after := len(alarms(clean)), len(alarms(got)); after > before+1 {
				t.Errorf("there are %d alarms, and %d without it", after, before)
			}
		})
	}
}

func TestANewLevelIsLearnt(t *testing.T) {
	for _, factor := range []float64{0.3, 3} {
		tr := generate(9, 5*minuteMs, 45, manners{level: 100, drift: 0.1})
		shift, later := tr.index(20*dayMs), tr.index(40*dayMs+12*hourMs)
		for i := shift; i < len(tr.values); i++ {
			tr.values[i] = math.Round(factor * tr.values[i])
		}
		for i := range 12 {
			tr.values[later+i] *= 8
		}
		got := scores(tr)
		if slices.Max(got[shift:shift+24]) < alarm {
			t.Errorf("level times %v: no alarm within two hours", factor)
		}
		if again := alarms(got[shift+tr.index(5*dayMs) : later]); len(again) > 1 {
			t.Errorf("level times %v: after five days it still alarms, at %v", factor, again)
		}
		if slices.Max(got[later:later+12]) < alarm {
			t.Errorf("level times %v: a burst on the new level gives no alarm", factor)
		}
	}
}

// A temperature that wanders by ten degrees jumps by twelve for an hour.
func TestAJumpOfASeriesThatWandersIsNews(t *testing.T) {
	r := lots(6)
	tr := trace{spacingMs: 5 * minuteMs, values: make([]float64, 60*288)}
	wandered := 0.0
	for i := range tr.values {
		wandered = 0.995*wandered + r.NormFloat64()
		tr.values[i] = 20 + wandered
	}
	if quiet := alarms(scores(tr)); len(quiet) > 3 {
		t.Errorf("in sixty days of wandering %d alarms, at %v", len(quiet), quiet)
	}
	found := 0
	for day := 10; day < 60; day += 5 {
		jumped := tr
		jumped.values = slices.Clone(tr.values)
		at := tr.index(int64(day)*dayMs + 7*hourMs)
		for i := range 12 {
			jumped.values[at+i] -= 12
		}
		if slices.Max(scores(jumped)[at:at+2]) >= alarm {
			found++
		}
	}
	if found < 8 {
		t.Errorf("%d of 10 jumps are found at once", found)
	}
}

func TestSeasonsAreNoNews(t *testing.T) {
	// A newsletter each Monday at nine, ten times the level, and nights near 0.
	tr := generate(4, 15*minuteMs, 70, manners{level: 30})
	for i := range tr.values {
		hour, _, week := hoursOf(tr.atMs(i))
		if week == 9 {
			tr.values[i] *= 10
		}
		if hour < 5 {
			tr.values[i] = math.Round(tr.values[i] / 10)
		}
	}
	got := scores(tr)
	if early := got[tr.index(7*dayMs+9*hourMs)]; early < 0.3 {
		t.Errorf("the second newsletter scores %v: it cannot be expected yet", early)
	}
	late := slices.DeleteFunc(alarms(got), func(i int) bool {
		_, _, week := hoursOf(tr.atMs(i))
		return tr.atMs(i) < mondayMs+35*dayMs || week != 9
	})
	if len(late) > 3 {
		t.Errorf("after five weeks the newsletter still alarms: %v", late)
	}
	// But on a Tuesday it is one.
	tuesday := tr.index(64*dayMs + 9*hourMs)
	for i := range 4 {
		tr.values[tuesday+i] *= 10
	}
	if got := slices.Max(scores(tr)[tuesday : tuesday+4]); got < alarm {
		t.Errorf("on a Tuesday it scores %v", got)
	}
}

func TestConstantSeries(t *testing.T) {
	for name, tt := range map[string]struct {
		value, other float64
		low, high    float64 // bounds of the score of the other
	}{
		"counts of nothing, then one": {0, 1, 0, 0.9},
		"counts of nothing, then ten": {0, 10, 0.9, 1},
		"a count, then a few more":    {100, 103, 0, alarm},
		"a count, then twice as many": {100, 200, 0.9, 1},
		"a fraction, then another":    {0.25, 0.75, 0.9, 1},
		"a negative, then none":       {-12.5, 0, 0.9, 1},
	} {
		t.Run(name, func(t *testing.T) {
			tr := trace{spacingMs: 5 * minuteMs, values: slices.Repeat([]float64{tt.value}, 4000)}
			tr.values[3000] = tt.other
			got := scores(tr)
			if got[3000] < tt.low || got[3000] > tt.high {
				t.Errorf("scores %v, want from %v to %v", got[3000], tt.low, tt.high)
			}
			got[3000] = 0
			if most := slices.Max(got); most > 0.1 {
				t.Errorf("what is as ever scores %v", most)
			}
		})
	}
}

// A sensor that hangs shows a plausible value, but for longer than it ever did.
func TestAValueThatHangsIsNews(t *testing.T) {
	for _, spacing := range []int64{5 * minuteMs, hourMs} {
		for _, grain := range []float64{0, 0.5} { // as it comes, and in steps
			tr := trace{spacingMs: spacing, values: make([]float64, 40*dayMs/spacing)}
			r, wandered := lots(8), 0.0
			for i := range tr.values {
				wandered = 0.99*wandered + 0.3*r.NormFloat64()
				tr.values[i] = 20 + wandered
				if grain > 0 {
					tr.values[i] = 20 + grain*math.Round(wandered/grain)
				}
			}
			longest, run := 1, 1
			for i := 1; i < len(tr.values); i++ {
				if run++; tr.values[i] != tr.values[i-1] {
					run = 1
				}
				longest = max(longest, run)
			}
			quiet := alarms(scores(tr))
			at := tr.index(30 * dayMs)
			for i := at; i < at+5*longest+10; i++ {
				tr.values[i] = tr.values[at-1]
			}
			loud := alarms(scores(tr))
			found := slices.DeleteFunc(loud, func(i int) bool { return i < at || i >= at+5*longest+10 || slices.Contains(quiet, i) })
			if len(found) < 1 || len(found) > 3 {
				t.Errorf("every %s in steps of %v: alarms at %v of a value that hangs from %d on, where %d had been the longest", time.Duration(spacing)*time.Millisecond, grain, found, at, longest)
			}
		}
	}
}

// Nights without a count, and a setting that is changed now and then, are constant by
// nature.
func TestWhatIsConstantByNatureHangsNot(t *testing.T) {
	r := lots(3)
	nights, setting := trace{spacingMs: 5 * minuteMs}, trace{spacingMs: 5 * minuteMs}
	level := 20.0
	for i := range 40 * dayMs / (5 * minuteMs) {
		hour, _, _ := hoursOf(nights.atMs(i))
		nights.values = append(nights.values, 0)
		if hour >= 6 {
			nights.values[i] = 1 + draw(r, 20)
		}
		if r.IntN(400) == 0 {
			level = 20 + float64(r.IntN(4))/4
		}
		setting.values = append(setting.values, level)
	}
	for name, tr := range map[string]trace{"nights": nights, "setting": setting} {
		var s stuck
		found := 0
		for i, v := range tr.values {
			if s.step(v, i+1)*looks*monthPoints(tr.spacingMs) < 1 && i > len(tr.values)/2 {
				found++
			}
		}
		if found > 0 {
			t.Errorf("%s: %d points hang", name, found)
		}
	}
}

// A gap is no event, and costs at most what a day is worth.
func TestGapsAreNoNews(t *testing.T) {
	tr := generate(11, 5*minuteMs, 30, manners{level: 80, drift: 0.1})
	var s Scorer
	for i, v := range tr.values {
		ms := tr.atMs(i)
		if day := ms / dayMs % 5; day == 3 && ms%dayMs < 9*hourMs {
			continue
		}
		if score := s.Next(ms, v); score >= alarm {
			t.Errorf("point %d scores %v", i, score)
		}
	}
}

func TestScalesDoNotMatter(t *testing.T) {
	base := generate(2, 5*minuteMs, 20, bursty(50))
	base.values[4000] = 5000
	for i := range base.values {
		base.values[i] += 0.5 // no counts
	}
	want := scores(base)
	for _, unit := range []float64{1e-9, 1.0 / 1024, 1e-3} {
		tr := base
		tr.values = slices.Clone(base.values)
		for i := range tr.values {
			tr.values[i] *= unit
		}
		for i, got := range scores(tr) {
			if math.Abs(got-want[i]) > 1e-6 {
				t.Fatalf("in units of %v point %d scores %v, want %v", unit, i, got, want[i])
			}
		}
	}
}

func TestHoursOf(t *testing.T) {
	for _, at := range []string{"2015-03-02T00:10:00Z", "2015-03-07T23:59:59Z", "1969-12-31T23:30:00Z", "1960-02-29T12:00:00Z", "2026-11-25T01:00:00Z"} {
		moment, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		day := (int(moment.Weekday()) + 6) % 7
		want := fmt.Sprint(moment.Hour(), moment.Hour()+24*(day/5), day*24+moment.Hour())
		hour, kind, week := hoursOf(moment.UnixMilli())
		if got := fmt.Sprint(hour, kind, week); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
}

func BenchmarkScorer(b *testing.B) {
	tr := generate(1, 5*minuteMs, 60, bursty(50))
	var s Scorer
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if i == len(tr.values) {
			i, s = 0, Scorer{}
		}
		s.Next(tr.atMs(i), tr.values[i])
		i++
	}
}
