package correlate

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// showing draws what proxies show of a demand by the hour, from a Monday on: by night next to
// nothing, and what the brand's week has beside.
func showing(seed uint64, hours int, mean float64, busy func(hour int) float64) []int64 {
	r := source(seed)
	values := make([]int64, hours)
	for t := range values {
		values[t] = poisson(r, mean*busy(t))
	}
	return values
}

func waking(t int) float64 {
	if t%24 < 7 {
		return 0
	}
	return 1
}

// What a proxy usually does not show is no gap, and what it usually shows is one when it
// is missing for long.
func TestGapsAreWhatIsNotUsual(t *testing.T) {
	always := func(int) float64 { return 1 }
	weekdays := func(t int) float64 {
		if t/24%7 >= 5 {
			return 0
		}
		return waking(t)
	}
	for name, tt := range map[string]struct {
		mean      float64
		busy      func(int) float64
		weeks     int
		from, out int     // an outage, in hours
		want      int     // of them are marked at least
		most      float64 // share of series with a mark elsewhere
	}{
		"none where there is always something":             {20, always, 8, 0, 0, 0, 0},
		"none of a silent night":                           {20, waking, 8, 0, 0, 0, 0},
		"none of a silent weekend":                         {20, weekdays, 8, 0, 0, 0, 0},
		"none of a sparse proxy":                           {0.3, waking, 8, 0, 0, 0, 0.1},
		"none of a very sparse one":                        {0.02, always, 8, 0, 0, 0, 0.1},
		"none of the first week":                           {0.5, waking, 1, 0, 0, 0, 0.1},
		"four hours after eight weeks":                     {20, always, 8, 7*168 + 80, 4, 4, 0},
		"six hours after three weeks":                      {20, always, 3, 2*168 + 80, 6, 6, 0},
		"an afternoon between silent nights":               {20, waking, 8, 7*168 + 4*24 + 12, 9, 9, 0.01},
		"two working days, but of silent weekends nothing": {20, weekdays, 8, 7*168 + 24, 48, 48, 0},
		"36 hours in the first week":                       {20, always, 1, 120, 36, 36, 0},
		"two days of a sparse proxy":                       {0.7, always, 8, 7*168 + 50, 48, 48, 0.1},
		"half of all there is":                             {20, always, 8, 0, 4 * 168, 4 * 168, 0},
	} {
		t.Run(name, func(t *testing.T) {
			const series = 300
			wrong := 0
			for seed := range uint64(series) {
				values := showing(seed, tt.weeks*168, tt.mean, tt.busy)
				clear(values[tt.from : tt.from+tt.out])
				gaps := make([]bool, len(values))
				Gaps(gaps, values)
				marked, elsewhere := 0, false
				from, to := tt.from, tt.from+tt.out // with the silent hours around it
				for ; from > 0 && tt.out > 0 && values[from-1] == 0; from-- {
				}
				for ; to < len(values) && tt.out > 0 && values[to] == 0; to++ {
				}
				for i, gap := range gaps {
					switch {
					case gap && values[i] != 0:
						t.Fatalf("hour %d, which shows %d, is a gap", i, values[i])
					case gap && i >= tt.from && i < tt.from+tt.out:
						marked++
					case gap && (i < from || i >= to):
						elsewhere = true
					}
				}
				if marked < tt.want {
					t.Fatalf("series %d: of %d hours of an outage %d are marked, want %d", seed, tt.out, marked, tt.want)
				}
				if elsewhere {
					wrong++
				}
			}
			if rate := float64(wrong) / series; rate > tt.most {
				t.Errorf("%.3f of the series have a gap where there was no outage, want at most %.2f", rate, tt.most)
			}
		})
	}
}

// A proxy that is away for a part of the time is no worse than one that is not there.
func TestNowcastsHoldWhereAProxyHasGaps(t *testing.T) {
	const brands, past = 400, 8
	for name, tt := range map[string]struct {
		away func(week, hour int) bool // the good proxy, in an hour of a week; past is now
	}{
		"never":                             {func(int, int) bool { return false }},
		"half of the time of the nowcast":   {func(w, h int) bool { return w == past && h >= 84 }},
		"half of the time of some reports":  {func(w, h int) bool { return w == 3 && h >= 84 || w == 6 && h < 84 }},
		"until the middle of the history":   {func(w, h int) bool { return w*168+h < 4*168+84 }},
		"all of a report and half of now":   {func(w, h int) bool { return w == 4 || w == past && h >= 84 }},
		"a day and a half of the nowcast":   {func(w, h int) bool { return w == past && h >= 132 }},
		"every night, and a day of nowcast": {func(w, h int) bool { return h%24 < 7 || w == past && h >= 144 }},
	} {
		t.Run(name, func(t *testing.T) {
			held, without := 0, 0
			for seed := range uint64(brands) {
				all := weeks(seed, past+1, [3]float64{}, [3]float64{0.1, 0.3, 0.3})
				var values [3][]int64
				r := source(seed + brands)
				for w := range all {
					for j := range values {
						for h := range 168 {
							v := poisson(r, float64(all[w].Proxies[j])/168)
							if j == 0 && tt.away(w, h) {
								v = 0
							}
							values[j] = append(values[j], v)
						}
					}
				}
				for j, v := range values {
					gaps := make([]bool, len(v))
					Gaps(gaps, v)
					for w := range all {
						all[w].Proxies[j] = 0
						if part := v[w*168 : (w+1)*168]; !slices.Contains(gaps[w*168:(w+1)*168], true) {
							for _, x := range part {
								all[w].Proxies[j] += x
							}
						}
					}
				}
				n := FitNowcast(all[:past])
				p, ok := n.Predict(all[past].Proxies)
				if total := float64(all[past].Total); ok && p.Low <= total && total <= p.High {
					held++
				}
				if all[past].Proxies[0] == 0 {
					without++
				}
			}
			rate := float64(held) / brands
			t.Logf("%.1f %% of the intervals hold, %d of %d without the proxy", 100*rate, without, brands)
			if rate < 0.93 || rate > 0.995 {
				t.Errorf("%.3f of the intervals hold what is reported, want 0.93 to 0.995", rate)
			}
			if away := tt.away(past, 167); away != (without > brands/2) {
				t.Errorf("the proxy is left out in %d of %d nowcasts", without, brands)
			}
		})
	}
}

// Marks are a function of what is silent, and only what is silent has them.
func TestGapsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.SampledFrom([]int64{0, 0, 1, 5, math.MaxInt64}), 0, 600).Draw(t, "values")
		for range rapid.IntRange(0, 3).Draw(t, "outages") {
			from := rapid.IntRange(0, len(values)).Draw(t, "from")
			clear(values[from:rapid.IntRange(from, len(values)).Draw(t, "to")])
		}
		gaps := make([]bool, len(values))
		Gaps(gaps, values)
		ones := slices.Clone(values)
		for i, v := range values {
			if gaps[i] && v != 0 {
				t.Fatalf("hour %d, which shows %d, is a gap", i, v)
			}
			if i > 0 && v == 0 && values[i-1] == 0 && gaps[i] != gaps[i-1] {
				t.Fatalf("hours %d and %d follow each other silent, and one of them is a gap", i-1, i)
			}
			ones[i] = min(v, 1)
		}
		again := slices.Repeat([]bool{true}, len(values))
		if Gaps(again, ones); !slices.Equal(gaps, again) {
			t.Fatalf("by the sizes of the values there are other gaps")
		}
	})
}
