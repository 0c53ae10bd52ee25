package spike

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// flat returns a series that holds exactly what is expected, from bucket 1000 on.
func flat(buckets int, level float64) *Series {
	s := &Series{
		First:  1000,
		Counts: make([]int64, buckets), Expected: make([]float64, buckets), Scales: slices.Repeat([]float64{1}, buckets),
		Stimulus: make([]int64, buckets), StimulusExpected: make([]float64, buckets), StimulusScales: slices.Repeat([]float64{1}, buckets),
	}
	for i := range buckets {
		s.Counts[i], s.Expected[i] = int64(level), level
		s.Stimulus[i], s.StimulusExpected[i] = 100, 100
	}
	return s
}

func TestScore(t *testing.T) {
	tests := []struct {
		name            string
		count           int64
		expected, scale float64
		want            float64
	}{
		{"as expected", 100, 100, 1, 0},
		{"large counts are near normal: two deviations", 10200, 10000, 1, 1.99},
		{"over-dispersion divides", 10200, 10000, 2, 1.00},
		{"under-dispersion is not believed", 10200, 10000, 0.1, 1.99},
		{"fewer than expected", 60, 100, 1, -4.32},
		{"nothing where something was expected", 0, 8, 1, -4},
		{"two where a tenth was expected is no spike", 2, 0.1, 1, 2.86},
		{"nothing expected counts as a hundredth", 1, 0, 1, 2.69},
		{"returns count as nothing", -5, 8, 1, -4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Score(tt.count, tt.expected, tt.scale); math.Abs(got-tt.want) > 0.01 {
				t.Errorf("Score(%d, %v, %v) = %.3f, want %.2f", tt.count, tt.expected, tt.scale, got, tt.want)
			}
		})
	}
}

func TestQuietBucketsAreScreenedOnlyWhenTheyAreQuiet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		expected := rapid.Float64Range(0, 1e6).Draw(t, "expected")
		count := int64(expected * rapid.Float64Range(0, 3).Draw(t, "ratio"))
		scale := rapid.Float64Range(0, 10).Draw(t, "scale")
		want := Score(count, expected, scale)
		if got := excess(count, expected, scale, 2); got != want && (got != 0 || want >= 2) {
			t.Fatalf("excess(%d, %v, %v) = %v, the score is %v", count, expected, scale, got, want)
		}
	})
}

func TestScoreGrowsWithTheCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.Int64Range(-10, 1e15).Draw(t, "count")
		expected := rapid.Float64Range(0, 1e15).Draw(t, "expected")
		scale := rapid.Float64Range(0, 1e3).Draw(t, "scale")
		low, high := Score(count, expected, scale), Score(count+1+count/1e6, expected, scale)
		if math.IsNaN(low) || math.IsInf(low, 0) || high < low-1e-6*math.Abs(low) {
			t.Fatalf("%v then %v", low, high)
		}
	})
}

func TestDetect(t *testing.T) {
	// Of 100 expected, 152 score 4.8, 160 5.5, 140 3.8, 120 1.9, 125 2.4.
	type want struct {
		status           Status
		start, peak, end int64
		excess           int64
	}
	tests := []struct {
		name   string
		counts []int64 // from bucket 1010 on
		open   bool    // the last of them
		want   []want
	}{
		{"nothing", []int64{100, 110, 90}, false, nil},
		{"one bucket at raise", []int64{160}, false, []want{{Active, 1010, 1010, 1011, 60}}},
		{"one bucket at sustain is a suspicion", []int64{140}, false, []want{{Suspected, 1010, 1010, 1011, 40}}},
		{"which does not outlive the next bucket", []int64{140, 125, 140}, false, []want{{Suspected, 1012, 1012, 1013, 40}}},
		{"two in a row at sustain", []int64{140, 152}, false, []want{{Active, 1010, 1011, 1012, 92}}},
		{"part of a bucket raises once it holds as much as raises the whole", []int64{160}, true, []want{{Active, 1010, 1010, 1011, 60}}},
		{"and not before, however soon that was", []int64{80}, true, nil},
		{"it bears out a suspicion", []int64{140, 152}, true, []want{{Active, 1010, 1011, 1012, 92}}},
		{"or leaves it standing", []int64{140, 20}, true, []want{{Suspected, 1010, 1010, 1011, 40}}},
		{"three quiet buckets do not end it", []int64{160, 100, 120, 90}, false, []want{{Active, 1010, 1010, 1011, 60}}},
		{"four do", []int64{160, 100, 120, 90, 100}, false, []want{{Resolved, 1010, 1010, 1011, 60}}},
		{"part of a quiet bucket does not", []int64{160, 100, 120, 90, 10}, true, []want{{Active, 1010, 1010, 1011, 60}}},
		{"a bucket between the thresholds starts the count again", []int64{160, 100, 100, 100, 125, 100, 100, 100}, false, []want{{Active, 1010, 1010, 1015, 85}}},
		{"two episodes", []int64{160, 100, 100, 100, 100, 200}, false, []want{{Resolved, 1010, 1010, 1011, 60}, {Active, 1015, 1015, 1016, 100}}},
	}
	cfg := DefaultConfig()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := flat(10+len(tt.counts), 100)
			copy(s.Counts[10:], tt.counts)
			s.Open = tt.open
			episodes, from := Detect(nil, s, &cfg)
			var got []want
			for _, e := range episodes {
				got = append(got, want{e.Status, e.Start, e.Peak, e.End, e.Excess})
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if from != 1004 {
				t.Errorf("from %d, want the bucket after the first quiet run, 1004", from)
			}
		})
	}
}

func TestDetectCutsANewLevelOnce(t *testing.T) {
	cfg := DefaultConfig()
	s := flat(300, 100)
	for i := 10; i < 290; i++ {
		s.Counts[i] = 300
	}
	episodes, _ := Detect(nil, s, &cfg)
	if len(episodes) != 1 || episodes[0].End-episodes[0].Start != int64(cfg.EpisodeBucketsMax) || episodes[0].Status != Resolved {
		t.Errorf("got %+v, want one resolved episode of %d buckets", episodes, cfg.EpisodeBucketsMax)
	}
}

func TestEpisodeNeedsAStimulusToBeAttributed(t *testing.T) {
	cfg := DefaultConfig()
	s := flat(200, 100)
	s.Counts[150] = 400
	episodes, _ := Detect(nil, s, &cfg)
	if ev := episodes[0].Evidence; ev.Attributed || ev.From != 1054 || ev.Excess != 0 {
		t.Errorf("without stimulus: %+v", ev)
	}
	s.Stimulus[30] = 900 // too long before
	s.Stimulus[140] = 500
	episodes, _ = Detect(nil, s, &cfg)
	if ev := episodes[0].Evidence; !ev.Attributed || ev.Peak != 1140 || ev.Excess != 400 {
		t.Errorf("with a stimulus ten buckets before: %+v", ev)
	}
	s.Stimulus, s.StimulusExpected = nil, nil
	episodes, _ = Detect(nil, s, &cfg)
	if ev := episodes[0].Evidence; ev.Attributed {
		t.Errorf("with no stimulus series: %+v", ev)
	}
}

func TestCalmSeriesRaiseNothing(t *testing.T) {
	cfg := DefaultConfig()
	for _, level := range []float64{0.05, 1, 20, 400} {
		r := rand.New(rand.NewPCG(1, 72))
		raised := 0
		s := flat(4*24*365, level)
		for i := range s.Counts {
			s.Counts[i] = poisson(r, level)
		}
		episodes, _ := Detect(nil, s, &cfg)
		for _, e := range episodes {
			if e.Status != Suspected {
				raised++
			}
		}
		if raised > 1 {
			t.Errorf("level %v: %d spikes in a calm year", level, raised)
		}
	}
}

func poisson(r *rand.Rand, mean float64) int64 {
	limit, product, n := math.Exp(-mean), r.Float64(), int64(0)
	for product > limit {
		product *= r.Float64()
		n++
	}
	return n
}

func drawSeries(t *rapid.T) *Series {
	s := flat(rapid.IntRange(20, 120).Draw(t, "buckets"), 100)
	for range rapid.IntRange(0, 6).Draw(t, "bursts") {
		at := rapid.IntRange(0, len(s.Counts)-1).Draw(t, "at")
		for i := at; i < min(len(s.Counts), at+rapid.IntRange(1, 12).Draw(t, "long")); i++ {
			s.Counts[i] = rapid.Int64Range(80, 200).Draw(t, "count")
		}
	}
	return s
}

// Where the series begins does not matter after its first quiet run.
func TestDetectDoesNotDependOnWhereTheSeriesBegins(t *testing.T) {
	cfg := DefaultConfig()
	rapid.Check(t, func(t *rapid.T) {
		s := drawSeries(t)
		all, from := Detect(nil, s, &cfg)
		cut := rapid.IntRange(0, len(s.Counts)-1).Draw(t, "cut")
		tail := &Series{First: s.First + int64(cut), Counts: s.Counts[cut:], Expected: s.Expected[cut:], Scales: s.Scales[cut:]}
		got, later := Detect(nil, tail, &cfg)
		if later < from {
			t.Fatalf("sees more of less: from %d, of all %d", later, from)
		}
		var want []Episode
		for _, e := range all {
			if e.Start >= later {
				want = append(want, e)
			}
		}
		s.Skip = cut
		if skipped, since := Detect(nil, s, &cfg); since != later || !slices.Equal(skipped, want) {
			t.Fatalf("with the first skipped %+v from %d, want %+v from %d", skipped, since, want, later)
		}
		for i := range want {
			want[i].Evidence = Evidence{}
		}
		for i := range got {
			got[i].Evidence = Evidence{}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func BenchmarkDetect(b *testing.B) {
	cfg := DefaultConfig()
	s := flat(384, 100)
	s.Counts[200], s.Counts[201] = 300, 250
	episodes := make([]Episode, 0, 16)
	b.ReportAllocs()
	for b.Loop() {
		Detect(episodes[:0], s, &cfg)
	}
}

// What a normal tail gives once in a hundred years comes every month on series that burst
// by themselves, held to the mean and the scale of the weeks before. So standard deviations
// say nothing of how rare a bucket is, and no score is made of them.
func TestStandardDeviationsAreNoRates(t *testing.T) {
	const learnt, days, perDay = 35, 60, 96
	for _, tc := range []struct {
		name        string
		manners     manners
		least, most float64 // buckets a month at Raise
	}{
		{"quiet", manners{level: 20}, 0, 0.1},
		{"bursty", bursty(20), 1, 10},
	} {
		raise, reached, sustained, months := DefaultConfig().Raise, 0.0, 0.0, 0.0
		for seed := range uint64(10) {
			tr := generate(seed, 15*minuteMs, days, tc.manners)
			var sum, seen [48]float64
			squares := 0.0
			kind := func(i int) int { _, k, _ := hoursOf(tr.atMs(i)); return k }
			for i := range learnt * perDay {
				sum[kind(i)] += tr.values[i]
				seen[kind(i)]++
			}
			for i := range learnt * perDay {
				mean := sum[kind(i)] / seen[kind(i)]
				squares += (tr.values[i] - mean) * (tr.values[i] - mean) / mean
			}
			scale := math.Sqrt(squares / (learnt * perDay))
			for i := learnt * perDay; i < days*perDay; i++ {
				z := Score(int64(tr.values[i]), sum[kind(i)]/seen[kind(i)], scale)
				if z >= raise {
					reached++
				}
				if z >= DefaultConfig().Sustain {
					sustained++
				}
			}
			months += float64(days-learnt) / 30
		}
		t.Logf("%s: %.2f buckets a month reach %v, %.1f Sustain", tc.name, reached/months, raise, sustained/months)
		if rate := reached / months; rate < tc.least || rate > tc.most {
			t.Errorf("%s: %.2f buckets a month reach %v deviations, want %v to %v", tc.name, rate, raise, tc.least, tc.most)
		}
	}
}
