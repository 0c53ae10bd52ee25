package correlate

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// pair72 makes a 72-hour input at the end of quarter-hourly series, with
// baselines fitted to all of them.
func pair72(x, y []int64, hours []uint8, stride int, s *Scratch) *Input {
	const lags = 288
	bx := Fit(History{hourly(x), Calendar{Bins: hours}}, s)
	by := Fit(History{hourly(y), Calendar{Bins: hours}}, s)
	bins := steps(hours)
	n := len(x)
	in := &Input{
		X: x[n-2*lags:], ExpectedX: make([]float64, 2*lags),
		Stride: stride, StepMinutes: 15, HistoryHours: bx.Hours(),
	}
	bx.Fill(in.ExpectedX, Calendar{Bins: bins[n-2*lags:]}, 15, 0)
	in.Y = y[n-lags:]
	bins = bins[n-lags:]
	if stride == 4 {
		in.Y, bins = hourly(in.Y), hours[len(hours)-lags/4:]
	}
	in.ExpectedY = make([]float64, len(in.Y))
	by.Fill(in.ExpectedY, Calendar{Bins: bins}, 15*stride, 0)
	return in
}

func TestNullPairsAreRarelySignificant(t *testing.T) {
	tests := []struct {
		name           string
		stride         int
		phi, sigma     float64 // of the log intensity, by step
		levelX, levelY float64
		sayable        float64 // least rate of verdicts other than insufficient
	}{
		{"seasonal Poisson", 1, 0, 0, 400, 20, 0.9},
		{"seasonal Poisson, hourly response", 4, 0, 0, 400, 20, 0.9},
		{"autocorrelated over an hour", 1, 0.8, 0.5, 400, 20, 0.9},
		{"autocorrelated over half a day", 1, 0.97, 0.5, 400, 20, 0.5},
		{"autocorrelated over half a day, hourly response", 4, 0.97, 0.5, 400, 20, 0.5},
		{"sparse", 1, 0, 0, 0.5, 0.2, 0.5},
	}
	const pairs = 150
	var s Scratch
	hours := calendar(28 * 24)
	bins := steps(hours)
	all := 0
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := source(uint64(i))
			found, said := 0, 0
			for range pairs {
				x := counts(r, bins, tt.levelX, tt.phi, tt.sigma)
				y := counts(r, bins, tt.levelY, tt.phi, tt.sigma)
				switch Profile(pair72(x, y, hours, tt.stride, &s), &s).Verdict {
				case Significant:
					found++
					said++
				case NotSignificant:
					said++
				}
			}
			t.Logf("%d significant of %d, %d with a verdict", found, pairs, said)
			all += found
			// One case has a standard error of 1.8 points.
			if rate := float64(found) / pairs; rate > Alpha+0.018 {
				t.Errorf("called %.3f of null pairs significant", rate)
			}
			if rate := float64(said) / pairs; rate < tt.sayable {
				t.Errorf("reached a verdict in %.3f of pairs, want at least %.3f", rate, tt.sayable)
			}
		})
	}
	if rate := float64(all) / float64(pairs*len(tests)); rate > Alpha {
		t.Errorf("called %.3f of all null pairs significant, want at most %.2f", rate, Alpha)
	}
}

// respond adds beta responses per stimulus through the kernel.
func respond(x, y []int64, k Kernel, beta float64) {
	in, z := make([]float64, len(x)), make([]float64, len(x))
	for i, n := range x {
		in[i] = float64(n)
	}
	k.Convolve(z, in)
	for i := range y {
		y[i] += int64(math.Round(beta * z[i]))
	}
}

// burst adds a post that takes off at a step and fades.
func burst(x []int64, at int, size float64) {
	for i := at; i < len(x) && i < at+96; i++ {
		x[i] += int64(size * math.Exp2(-float64(i-at)/8))
	}
}

func TestProfileFindsThePlantedKernel(t *testing.T) {
	tests := []struct {
		name   string
		stride int
		kernel Kernel
	}{
		{"at once and briefly", 1, Kernel{0, 4, 288, 0}},
		{"after three hours, half-life two", 1, Kernel{12, 8, 288, 0}},
		{"after twelve hours, half-life eight", 1, Kernel{48, 32, 288, 0}},
		{"after three hours, hourly response", 4, Kernel{12, 8, 288, 0}},
	}
	var s Scratch
	hours := calendar(28 * 24)
	bins := steps(hours)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := source(uint64(100 + i))
			x, y := counts(r, bins, 400, 0, 0), counts(r, bins, 20, 0, 0)
			for _, at := range []int{500, 1200, 1900, 2688 - 400, 2688 - 320, 2688 - 200, 2688 - 130} {
				burst(x, at, 20000*(0.5+r.Float64()))
			}
			respond(x, y, tt.kernel, 0.02)
			res := Profile(pair72(x, y, hours, tt.stride, &s), &s)
			if res.Verdict != Significant {
				t.Errorf("verdict %v %v, p %.3g", res.Verdict, res.Reason, res.P)
			}
			// Within one step of the grid.
			if d := res.Kernel.Delay - tt.kernel.Delay; d < -24 || d > 24 {
				t.Errorf("delay %d, planted %d", res.Kernel.Delay, tt.kernel.Delay)
			}
			if h := res.Kernel.HalfLife; h < tt.kernel.HalfLife/2 || h > tt.kernel.HalfLife*2 {
				t.Errorf("half-life %g, planted %g", h, tt.kernel.HalfLife)
			}
			if res.BestLag < 0 || res.Decayed < 0.5 {
				t.Errorf("best lag %d, decayed correlation %.2f", res.BestLag, res.Decayed)
			}
		})
	}
}

func TestProfileSaysWhyItCannotTell(t *testing.T) {
	var s Scratch
	hours := calendar(28 * 24)
	bins := steps(hours)
	tests := []struct {
		name   string
		want   Reason
		change func(*Input)
	}{
		{"nine days of history", ShortHistory, func(in *Input) { in.HistoryHours = 9 * 24 }},
		{"lengths that do not agree", ShortHistory, func(in *Input) { in.Y = in.Y[1:] }},
		{"no stimulus at all", FlatStimulus, func(in *Input) { clear(in.X) }},
		{"no response at all", FlatResponse, func(in *Input) { clear(in.Y) }},
		{"a stimulus that its baseline explains", FewObservations, func(in *Input) {
			for i := range in.X {
				in.X[i], in.ExpectedX[i] = int64(i%7), float64(i%7)
			}
		}},
		{"one slow wave in both", FewObservations, func(in *Input) {
			for i := range in.X {
				in.X[i], in.ExpectedX[i] = 1000+int64(900*math.Sin(float64(i)/120)), 1000
			}
			for i := range in.Y {
				in.Y[i], in.ExpectedY[i] = 1000+int64(900*math.Sin(float64(i)/120)), 1000
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := source(7)
			in := pair72(counts(r, bins, 400, 0, 0), counts(r, bins, 20, 0, 0), hours, 1, &s)
			tt.change(in)
			res := Profile(in, &s)
			if res.Verdict != Insufficient || res.Reason != tt.want || res.P != 1 {
				t.Errorf("%v %q with p %v, want insufficient %q", res.Verdict, res.Reason, res.P, tt.want)
			}
		})
	}
}

// The units do not matter.
func TestProfileIsInvariant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		var s Scratch
		want := Profile(in, &s)
		lags := slices.Clone(want.Lags)
		for i := range in.X {
			in.X[i], in.ExpectedX[i] = in.X[i]*8, in.ExpectedX[i]*8
		}
		for j := range in.Y {
			in.Y[j], in.ExpectedY[j] = in.Y[j]*2+1000, in.ExpectedY[j]*2+1000
		}
		got := Profile(in, &s)
		for lag, r := range got.Lags {
			if r < -1 || r > 1 || math.Abs(float64(r-lags[lag])) > 1e-4 {
				t.Fatalf("lag %d: %v became %v", lag, lags[lag], r)
			}
		}
		if got.Reason != want.Reason || !(got.P >= 0 && got.P <= 1) {
			t.Fatalf("%v with p %v became %v with p %v", want.Reason, want.P, got.Reason, got.P)
		}
	})
}

func BenchmarkProfile(b *testing.B) {
	hours := calendar(28 * 24)
	r := source(1)
	x, y := counts(r, steps(hours), 400, 0.9, 0.5), counts(r, steps(hours), 20, 0.9, 0.5)
	var s Scratch
	for _, stride := range []int{1, 4} {
		in := pair72(x, y, hours, stride, &s)
		name := map[int]string{1: "quarter-hour", 4: "hour"}[stride]
		b.Run("whole/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Profile(in, &s)
			}
		})
		b.Run("products/"+name, func(b *testing.B) {
			b.ReportAllocs()
			var c Cross
			for b.Loop() {
				c.Load(in, &s)
			}
		})
		b.Run("evaluate/"+name, func(b *testing.B) {
			b.ReportAllocs()
			var c Cross
			c.Load(in, &s)
			for b.Loop() {
				c.Profile(in, &s)
			}
		})
	}
}

func TestCorrelationsMatchTheirDefinition(t *testing.T) {
	r := source(9)
	hours := calendar(28 * 24)
	bins := steps(hours)
	var s Scratch
	for _, stride := range []int{1, 4} {
		in := pair72(counts(r, bins, 400, 0.9, 0.5), counts(r, bins, 20, 0.9, 0.5), hours, stride, &s)
		res := Profile(in, &s)
		for lag, got := range res.Lags {
			if want := naiveCorrelation(in, Kernel{lag, 0, in.Lags(), 0}); math.Abs(float64(got)-want) > 1e-6 {
				t.Fatalf("stride %d, lag %d: %v, want %v", stride, lag, got, want)
			}
		}
		var c Cross
		c.Load(in, &s)
		w := c.window(&s)
		for _, halfLife := range kernelHalfLives {
			k := Kernel{HalfLife: float64(halfLife), Lags: in.Lags()}
			d := w.decay(k)
			for _, k.Delay = range kernelDelays {
				if got, want := d.correlation(k), naiveCorrelation(in, k); math.Abs(got-want) > 1e-6 {
					t.Errorf("stride %d, %+v: %v, want %v", stride, k, got, want)
				}
			}
		}
	}
}
