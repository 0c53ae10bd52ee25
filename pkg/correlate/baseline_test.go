package correlate

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// expectedAt is what an hour is expected to hold that ended hoursAgo before the end of the history.
func expectedAt(b *Baseline, bin uint8, hoursAgo float64) float64 {
	hour := make([]float64, 1)
	b.Fill(hour, Calendar{Bins: []uint8{bin}}, 60, hoursAgo)
	return hour[0]
}

func TestBaselineRecoversSeasonAndLevel(t *testing.T) {
	tests := []struct {
		name   string
		level  float64
		burst  bool
		within float64 // of the mean expected count
	}{
		{"many events", 400, false, 0.04},
		{"few events", 3, false, 0.35},
		{"an event every two hours", 0.5, false, 0.8},
		{"an event every two days", 0.02, false, 1.6},
		{"many events and a two-day burst", 400, true, 0.06},
	}
	var s Scratch
	hours := calendar(60 * 24)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			calm := counts(source(uint64(i)), hours, tt.level, 0, 0)
			y := slices.Clone(calm)
			if tt.burst {
				for h := 1200; h < 1248; h++ {
					y[h] *= 8
				}
			}
			b := Fit(History{y, Calendar{Bins: hours}}, &s)
			var all, truth float64
			for h, bin := range hours {
				all += expectedAt(&b, bin, float64(len(hours)-1-h))
				truth += float64(calm[h])
			}
			if ratio := all / truth; ratio < 0.93 || ratio > 1.02 {
				t.Errorf("expects %.3f of what there was without the burst", ratio)
			}
			for bin := range uint8(Bins) {
				got, want := expectedAt(&b, bin, 0), tt.level*season(bin)
				if math.Abs(got-want) > tt.within*tt.level {
					t.Errorf("bin %d: expected %.1f, want %.1f", bin, got, want)
				}
			}
			if got := b.Scale(); tt.level > 0.1 && math.Abs(got-1) > 0.15 {
				t.Errorf("scale %.3f, want that of a Poisson, 1", got)
			}
		})
	}
}

// Days of the week differ, by more than working days and weekends do; what is
// expected of the next week says so, once there are three weeks to tell them by.
func TestBaselineTellsDaysOfTheWeekApart(t *testing.T) {
	var s Scratch
	factor := [7]float64{1, 0.7, 1, 1, 1, 1.4, 1.2}
	for _, weeks := range []int{2, 3, 8} {
		hours := calendar((weeks + 1) * 7 * 24)
		days := make([]uint8, len(hours))
		y := make([]int64, len(hours))
		r := source(5)
		for h := range hours {
			days[h] = uint8(h / 24 % 7)
			y[h] = poisson(r, 200*season(hours[h])*factor[days[h]])
		}
		n := weeks * 7 * 24
		b := Fit(History{y[:n], Calendar{Bins: hours[:n], Days: days[:n]}}, &s)
		next := make([]float64, 7*24)
		b.Fill(next, Calendar{Bins: hours[n:], Days: days[n:]}, 60, -7*24)
		var off, size float64
		for h, mu := range next {
			truth := 200 * season(hours[n+h]) * factor[days[n+h]]
			off += math.Abs(mu - truth)
			size += truth
		}
		if off /= size; off > 0.05 && weeks > 2 || off < 0.05 && weeks == 2 {
			t.Errorf("after %d weeks the next one is expected with an error of %.3f", weeks, off)
		}
	}
}

func TestBaselineFallsBack(t *testing.T) {
	constant := func(n int, v int64) []int64 { return slices.Repeat([]int64{v}, n) }
	tests := []struct {
		name   string
		counts []int64
		want   float64
	}{
		{"no history expects nothing", nil, 0},
		{"one hour is the level", []int64{7}, 7},
		{"nine days without seasons", constant(9*24, 5), 5},
		{"ten days without seasons", constant(10*24, 5), 5},
		{"more than sixty days: the newest count", append(constant(500, 900), constant(1440, 5)...), 5},
		{"nothing ever happened", constant(720, 0), 0},
		{"returns only never go below nothing", constant(720, -4), 0},
	}
	var s Scratch
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := Fit(History{tt.counts, Calendar{Bins: calendar(len(tt.counts))}}, &s)
			for bin := range uint8(Bins) {
				if got := expectedAt(&b, bin, 0); math.Abs(got-tt.want) > 1e-9 {
					t.Fatalf("bin %d expects %v, want %v", bin, got, tt.want)
				}
			}
		})
	}
}

func TestSeasonsTakeTenDays(t *testing.T) {
	var s Scratch
	for days, seasonal := range map[int]bool{9: false, 10: true} {
		hours := calendar(days * 24)
		y := make([]int64, len(hours))
		for h := range y {
			y[h] = int64(1000 * season(hours[h]))
		}
		b := Fit(History{y, Calendar{Bins: hours}}, &s)
		if differ := expectedAt(&b, 4, 0) != expectedAt(&b, 16, 0); differ != seasonal {
			t.Errorf("%d days: day and night differ is %t", days, differ)
		}
	}
}

func TestBaselineFollowsASlowLevel(t *testing.T) {
	var s Scratch
	hours := calendar(56 * 24)
	y := make([]int64, len(hours))
	for h := range y {
		y[h] = int64(1000 * (1 + float64(h)/float64(len(y))) * season(hours[h]))
	}
	b := Fit(History{y, Calendar{Bins: hours}}, &s)
	for h := 84; h < len(y)-84; h++ {
		got := expectedAt(&b, hours[h], float64(len(y)-1-h))
		if want := float64(y[h]); math.Abs(got-want) > 0.04*want+1 {
			t.Fatalf("hour %d: expected %.0f, was %.0f", h, got, want)
		}
	}
}

func TestBaselineIsAFunctionOfItsInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y := rapid.SliceOfN(rapid.Int64Range(-5, 1e6), 1, 600).Draw(t, "counts")
		bins := calendar(len(y))
		var clean, used Scratch
		Fit(History{slices.Repeat([]int64{9, 1}, 500), Calendar{Bins: calendar(1000)}}, &used)
		a, b := Fit(History{y, Calendar{Bins: bins}}, &clean), Fit(History{y, Calendar{Bins: bins}}, &used)
		if a != b {
			t.Fatalf("differs with a used scratch")
		}
		for bin := range uint8(Bins) {
			if e := expectedAt(&a, bin, 0); !(e >= 0) || math.IsInf(e, 0) {
				t.Fatalf("bin %d expects %v", bin, e)
			}
		}
		for i := range y {
			y[i] *= 4 // a power of two scales every float exactly
		}
		scaled := Fit(History{y, Calendar{Bins: bins}}, &clean)
		if got, want := expectedAt(&scaled, 0, 0), 4*expectedAt(&a, 0, 0); math.Abs(got-want) > 0.05*want+4 {
			t.Fatalf("four times the counts expect %v, want about %v", got, want)
		}
	})
}

func TestMedian(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 60).Draw(t, "v")
		sorted := slices.Sorted(slices.Values(v))
		want := (sorted[(len(v)-1)/2] + sorted[len(v)/2]) / 2
		if got := median(v); got != want {
			t.Fatalf("median(%v) = %v, want %v", sorted, got, want)
		}
	})
}

func BenchmarkFit(b *testing.B) {
	hours := calendar(HistoryHoursMax)
	y := counts(source(1), hours, 50, 0.8, 0.5)
	var s Scratch
	b.ReportAllocs()
	for b.Loop() {
		Fit(History{y, Calendar{Bins: hours}}, &s)
	}
}

// What is declared lifts the hours by as much as it has before, and is taken out of
// what the others are expected to be.
func TestBaselineTakesOutWhatIsDeclared(t *testing.T) {
	var s Scratch
	hours := calendar(36 * 24)
	declared := make([]uint8, len(hours))
	y := make([]int64, len(hours))
	r := source(9)
	for h := range hours {
		lift := 1.0
		switch h / 24 {
		case 10, 11, 20, 35:
			declared[h], lift = 1, 1.8
		case 25:
			declared[h], lift = 3, 0.3
		}
		y[h] = poisson(r, 100*season(hours[h])*lift)
	}
	n := 35 * 24
	past := History{y[:n], Calendar{Bins: hours[:n], Declared: declared[:n]}}
	expected := make([]float64, 24)
	for name, tt := range map[string]struct {
		past     History
		calendar Calendar
		lift     float64
	}{
		"a day with another promotion is lifted as they were": {past, Calendar{Bins: hours[n:], Declared: declared[n:]}, 1.8},
		"a day like others is not":                            {past, Calendar{Bins: hours[n:]}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := Fit(tt.past, &s)
			b.Fill(expected, tt.calendar, 60, -24)
			var sum, want float64
			for h, mu := range expected {
				sum += mu
				want += 100 * season(hours[n+h]) * tt.lift
			}
			if math.Abs(sum/want-1) > 0.06 {
				t.Errorf("expected %.0f, want %.0f", sum, want)
			}
		})
	}
}
