package correlate

import (
	"math"
	"testing"
)

// fitted makes an hourly history of both series, with their baselines.
func fitted(x, y []int64, bins []uint8, lags int, s *Scratch) *Hourly {
	in := &Hourly{
		X: x, Y: y, ExpectedX: make([]float64, len(x)), ExpectedY: make([]float64, len(y)),
		Kernel: Kernel{Lags: lags},
	}
	bx := Fit(History{x, Calendar{Bins: bins}}, s)
	by := Fit(History{y, Calendar{Bins: bins}}, s)
	bx.Fill(in.ExpectedX, Calendar{Bins: bins}, 60, 0)
	by.Fill(in.ExpectedY, Calendar{Bins: bins}, 60, 0)
	return in
}

// posts draws a stimulus of posts: bursts that decay, on a seasonal ground.
func posts(seed uint64, bins []uint8, aDay, views float64) []int64 {
	r := source(seed)
	v := counts(r, bins, views/200, 0, 0)
	for t := range v {
		for range poisson(r, aDay/24) {
			total := views * math.Exp(r.NormFloat64())
			for q := t; q < min(len(v), t+48); q++ {
				v[q] += int64(total * math.Exp(-float64(q-t)/6) / 6.5)
			}
		}
	}
	return v
}

func TestChooseCallsFewNullPairsSignificant(t *testing.T) {
	const pairs = 200
	var s Scratch
	all := 0
	for i, tt := range []struct {
		name       string
		days       int
		phi, sigma float64 // of the response's log intensity, by hour
		level      float64
	}{
		{"posts and a Poisson, two weeks", 14, 0, 0, 80},
		{"posts and a Poisson, five weeks", 35, 0, 0, 80},
		{"posts and a sparse Poisson", 35, 0, 0, 0.5},
		{"posts and what is autocorrelated over hours", 35, 0.8, 0.5, 80},
		{"posts and what is autocorrelated over days", 35, 0.97, 0.5, 80},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bins := calendar(tt.days * 24)
			r := source(uint64(1000 + i))
			found := 0
			for k := range pairs {
				x := posts(uint64(i*pairs+k), bins, 3, 4000)
				y := counts(r, bins, tt.level, tt.phi, tt.sigma)
				if Choose(fitted(x, y, bins, 72, &s), nil, &s).Verdict == Significant {
					found++
				}
			}
			all += found
			t.Logf("%d of %d significant", found, pairs)
			if rate := float64(found) / pairs; rate > Alpha+0.018 {
				t.Errorf("called %.3f of null pairs significant", rate)
			}
		})
	}
	if rate := float64(all) / (5 * pairs); rate > Alpha {
		t.Errorf("called %.3f of all null pairs significant", rate)
	}
}

// normalTail is what P would be if correlations were normal.
func normalTail(c *Choice) float64 { return min(1, float64(Kernels)*math.Erfc(c.Z/math.Sqrt2)/2) }

// TestTheTailHoldsFarBelowAlpha judges null pairs as a control over many tests does:
// normal tails would err there many times as often as they say.
func TestTheTailHoldsFarBelowAlpha(t *testing.T) {
	const pairs, level = 1000, 1e-3
	var s Scratch
	tail, normal, n := 0, 0, 0
	for i, days := range []int{14, 21, 35} {
		bins := calendar(days * 24)
		r := source(uint64(3000 + i))
		for k := range pairs {
			c := Choose(fitted(posts(uint64(50_000+i*pairs+k), bins, 1, 4000), counts(r, bins, 80, 0.97, 0.5), bins, 72, &s), nil, &s)
			n++
			if c.P <= level {
				tail++
			}
			if p := normalTail(&c); p <= level {
				normal++
			} else if c.P < p/2 { // by the kernels it does not search
				t.Fatalf("the tail %v is lighter than the normal one %v", c.P, p)
			}
		}
	}
	t.Logf("of %d null pairs %d are below %g by Student's tail, %d by the normal one", n, tail, level, normal)
	if tail > 2*level*pairs*3+3 {
		t.Errorf("of %d null pairs %d are below %g", n, tail, level)
	}
	if normal < 15 {
		t.Errorf("by the normal tail only %d of %d are: the pairs are too easy to tell", normal, n)
	}
}

func TestChooseFindsThePlantedKernel(t *testing.T) {
	const trials = 60
	var s Scratch
	for _, tt := range []struct {
		name            string
		days            int
		delay, halfLife int
		share           float64 // of the response that follows the posts
		found           float64 // least rate of verdicts
	}{
		{"two weeks, a third of the response, soon", 14, 1, 4, 0.33, 0.6},
		{"five weeks, a fifth of the response, soon", 35, 1, 4, 0.2, 0.8},
		{"five weeks, a fifth of the response, late", 35, 6, 8, 0.2, 0.8},
		{"five weeks, a third of the response, slow", 35, 2, 16, 0.33, 0.7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bins := calendar(tt.days * 24)
			found := 0
			var off float64
			for seed := range uint64(trials) {
				r := source(900 + seed)
				x := posts(seed, bins, 3, 4000)
				z := make([]float64, len(x))
				fx := make([]float64, len(x))
				sum := 0.0
				for i, v := range x {
					fx[i] = float64(v)
					sum += fx[i]
				}
				Kernel{tt.delay, float64(tt.halfLife), 72, 0}.Convolve(z, fx)
				y := make([]int64, len(x))
				level := 80.0
				effect := tt.share / (1 - tt.share) * level * float64(len(x)) / sum
				for i := range y {
					y[i] = poisson(r, level*season(bins[i])+effect*z[i])
				}
				c := Choose(fitted(x, y, bins, 72, &s), nil, &s)
				if c.Verdict == Significant {
					found++
					off += math.Abs(float64(c.Kernel.Delay)+1.44*c.Kernel.HalfLife-float64(tt.delay)-1.44*float64(tt.halfLife)) / trials
				}
			}
			t.Logf("found %d of %d, mean lag off by %.1f h", found, trials, off)
			if rate := float64(found) / trials; rate < tt.found {
				t.Errorf("found in %.2f, want at least %.2f", rate, tt.found)
			}
			if off > 2 {
				t.Errorf("the mean lag of the kernels is off by %.1f h", off)
			}
		})
	}
}

func TestChooseSaysWhyNot(t *testing.T) {
	var s Scratch
	bins := calendar(30 * 24)
	x := posts(1, bins, 3, 4000)
	y := counts(source(1), bins, 80, 0, 0)
	still := make([]int64, len(x))
	for name, tc := range map[string]struct {
		in   *Hourly
		want Reason
	}{
		"a history shorter than the windows around it": {fitted(x[:275], y[:275], bins[:275], 72, &s), ShortHistory},
		"a window that leaves no placebo":              {fitted(x, y, bins, 672, &s), ShortHistory},
		"a stimulus that stands still":                 {fitted(still, y, bins, 72, &s), FlatStimulus},
		"a response that stands still":                 {fitted(x, still, bins, 72, &s), FlatResponse},
	} {
		t.Run(name, func(t *testing.T) {
			if c := Choose(tc.in, nil, &s); c.Reason != tc.want || c.Verdict != Insufficient || c.P != 1 {
				t.Errorf("got %+v, want %v", c, tc.want)
			}
		})
	}
}

// Real bursts, partners of other weeks; see TestScreenOnRealPairsFromOtherWeeks.
// The placebo takes most of what the screen gets wrong there; this holds the line.
func TestChooseOnRealPairsFromOtherWeeks(t *testing.T) {
	const week, span = 672, 4 * 672
	var all [][]int64
	for _, name := range []string{"AAPL", "GOOG", "KO", "UPS"} {
		v := readMentions(t, name)
		if v == nil {
			return
		}
		all = append(all, v)
	}
	var s Scratch
	bins := calendar(28 * 24)
	const level = 1e-3
	pairs, found, tail, far, normal := 0, 0, 0, 0, 0
	for i, x := range all {
		for j, y := range all {
			if i == j {
				continue
			}
			for shift := week; shift+span <= min(len(x), len(y)); shift += week / 7 {
				pairs++
				c := Choose(fitted(hourly(x[:span]), hourly(y[shift:shift+span]), bins, 72, &s), nil, &s)
				if c.Verdict == Significant {
					found++
				}
				if c.P <= Alpha {
					tail++
				}
				if c.P <= level {
					far++
				}
				if normalTail(&c) <= level {
					normal++
				}
			}
		}
	}
	t.Logf("%d of %d impossible pairs significant, %d by Student's tail; at %g %d by that, %d by the normal one", found, pairs, tail, level, far, normal)
	if found*100 > 10*pairs || tail*100 > 5*pairs || far > 0 {
		t.Errorf("%d of %d impossible pairs significant, %d by Student's tail, %d at %g", found, pairs, tail, far, level)
	}
}

func BenchmarkChoose(b *testing.B) {
	var s Scratch
	bins := calendar(35 * 24)
	in := fitted(posts(1, bins, 3, 4000), counts(source(1), bins, 80, 0, 0), bins, 72, &s)
	var pool Pool
	pool.Learn("brand", Kernel{3, 8, 72, 0})
	confounded := *in
	for range 2 {
		other := fitted(posts(uint64(2+len(confounded.Confounders)), bins, 1, 1000), in.Y, bins, 72, &s)
		confounded.Confounders = append(confounded.Confounders, other.ExpectedX)
	}
	for name, of := range map[string]struct {
		in    *Hourly
		prior *Prior
	}{"alone": {in, nil}, "with a prior": {in, pool.Prior(Folds - 1)}, "with two confounders": {&confounded, nil}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Choose(of.in, of.prior, &s)
			}
		})
	}
}
