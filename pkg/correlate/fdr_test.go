package correlate

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestQValuesAgreeWithStatsmodels holds the q-values against multipletests of
// statsmodels (testdata/reference.py), to 1e-12.
func TestQValuesAgreeWithStatsmodels(t *testing.T) {
	text, err := os.ReadFile("testdata/fdr.json")
	if err != nil {
		t.Fatal(err)
	}
	var batches []struct {
		P []float64 `json:"p"`
		Q []float64 `json:"q"`
	}
	if err := json.Unmarshal(text, &batches); err != nil {
		t.Fatal(err)
	}
	if len(batches) < 5 {
		t.Fatalf("only %d batches", len(batches))
	}
	for i, b := range batches {
		for k, q := range QValues(make([]float64, len(b.P)), b.P) {
			if math.Abs(q-b.Q[k]) > 1e-12 {
				t.Errorf("batch %d, test %d: q is %.16g, want %.16g", i, k, q, b.Q[k])
			}
		}
	}
}

func TestQValuesKeepTheirOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Float64Range(0, 1), 0, 60).Draw(t, "p")
		was := slices.Clone(p)
		q := QValues(make([]float64, len(p)), p)
		if !slices.Equal(p, was) {
			t.Fatal("the p-values were changed")
		}
		for i := range p {
			if q[i] < p[i] || q[i] > 1 {
				t.Fatalf("q %v of p %v", q[i], p[i])
			}
			for k := range p {
				if p[i] < p[k] && q[i] > q[k] || p[i] == p[k] && q[i] != q[k] {
					t.Fatalf("p %v and %v have q %v and %v", p[i], p[k], q[i], q[k])
				}
			}
		}
		if in := QValues(p, p); !slices.Equal(in, q) {
			t.Fatal("in place they are others")
		}
	})
}

// TestLevelsAreInvariant holds the online control to what its proof needs.
func TestLevelsAreInvariant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tally Tally
		// Σ γ ≤ 1: along a sequence without a discovery the levels are FDR·γ·β(1).
		spent, last := 0.0, math.Inf(1)
		for range rapid.IntRange(1, 3000).Draw(t, "tests") {
			level := tally.Level()
			if level <= 0 || level >= last {
				t.Fatalf("level %v follows %v without a discovery", level, last)
			}
			spent, last, tally = spent+level/reshaped(1), level, tally.Next(false)
		}
		if want := FDR * (1 - float64(lookSpan)/float64(lookSpan+tally.Tests)); math.Abs(spent-want) > 1e-12 {
			t.Fatalf("%d tests spend %v, want %v", tally.Tests, spent, want)
		}
		// A discovery never lowers what follows, and counts at most as itself.
		found := tally.Next(true)
		if found.Level() < tally.Next(false).Level() || found.Tests != tally.Tests+1 || found.Discoveries != tally.Discoveries+1 {
			t.Fatalf("%+v after %+v", found, tally)
		}
		r := rapid.Int64Range(1, 1<<40).Draw(t, "discoveries")
		if b := reshaped(r); b < reshaped(max(1, r-1)) || b > float64(r) {
			t.Fatalf("β(%d) is %v", r, b)
		}
	})
	// β is the sum it is said to be.
	weight, want := 0.5, 0.0
	for x, r := int64(1), int64(1); x < 1<<40; x, weight = 4*x, weight/2 {
		for ; r < x; r = 2*r + 1 {
			if got := reshaped(r); got != want {
				t.Fatalf("β(%d) is %v, want %v", r, got, want)
			}
		}
		want += float64(x) * weight
	}
}

// TestOnlineControlHoldsAgainstTheWorstDependence lets true effects be found or
// not just as one null hypothesis after them would need it: with p between the
// levels for r − 1 and r discoveries, r − 1 are there, and the discovery is one of r.
// LOND as it is for independent tests then errs more often than it says.
func TestOnlineControlHoldsAgainstTheWorstDependence(t *testing.T) {
	const before = 200
	for _, tc := range []struct {
		name     string
		beta     func(r int64) float64
		tooOften bool
	}{
		{"reshaped", reshaped, false},
		{"as if independent", func(r int64) float64 { return float64(r) }, true},
	} {
		// E[1{p ≤ c·β(R)}/R], p uniform: over r, P(c·β(r−1) < p ≤ c·β(r))/r.
		rate, last := 0.0, 0.0
		for r := int64(1); r <= before+1; r++ {
			b := tc.beta(r)
			rate += (b - last) / float64(r)
			last = b
		}
		t.Logf("%s: the null adds %.2f of its share", tc.name, rate)
		if rate > 1 != tc.tooOften {
			t.Errorf("%s: the null adds %.2f of its share", tc.name, rate)
		}
	}
	// The same by simulation, through the levels themselves.
	r := source(11)
	errs := 0.0
	const rounds, most = 100_000, 1e-3 // what is above finds nothing
	var share float64
	for range rounds {
		p := r.Float64() * most
		for needed := int64(0); needed <= before; needed++ {
			tally := Tally{Tests: before, Discoveries: needed}
			share = FDR * lookSpan / float64((lookSpan+before)*(lookSpan+before+1))
			if p <= tally.Level() {
				errs += most / float64(needed+1)
				break
			}
			if tally.Level() >= share*reshaped(before+1) {
				break
			}
		}
	}
	if rate := errs / rounds; rate > 1.1*share || rate < 0.5*share {
		t.Errorf("the null's rate is %.2g, its share of the level is %.2g", rate, share)
	}
}

// looks draws the p-values of daily looks at pairs: normal statistics that share
// 34 of 35 days with the one before, and a market day with all other pairs. An
// effect lifts the statistic from a day on.
func looks(r *rand.Rand, pairs, days int, effects float64) (p [][]float64, acts [][]bool) {
	const span = 35
	market := make([]float64, days+span)
	for t := range market {
		market[t] = r.NormFloat64()
	}
	p, acts = make([][]float64, pairs), make([][]bool, pairs)
	for i := range p {
		day := make([]float64, days+span)
		for t := range day {
			day[t] = math.Sqrt(0.5)*market[t] + math.Sqrt(0.5)*r.NormFloat64()
		}
		begins := days
		if r.Float64() < effects {
			begins = r.IntN(days / 2)
		}
		p[i], acts[i] = make([]float64, days), make([]bool, days)
		for d := range days {
			z := 0.0
			for t := d; t < d+span; t++ {
				z += day[t]
			}
			z /= math.Sqrt(span)
			if acts[i][d] = d >= begins; acts[i][d] {
				z += 6 * min(1, float64(d-begins+1)/span)
			}
			p[i][d] = math.Erfc(z/math.Sqrt2) / 2
		}
	}
	return p, acts
}

// TestFalseDiscoveriesUnderDependence counts false discoveries over worlds of many
// pairs and days, by both controls and by none.
func TestFalseDiscoveriesUnderDependence(t *testing.T) {
	const worlds, pairs, days = 60, 60, 90
	for _, effects := range []float64{0, 0.1, 0.5} {
		r := source(uint64(100 * effects))
		var online, batch, naive, power float64
		streams, looked := 0.0, 0.0
		for range worlds {
			p, acts := looks(r, pairs, days, effects)
			for i := range p { // each pair is a stream
				var tally Tally
				wrong := 0
				for d, v := range p[i] {
					found := v <= tally.Level()
					tally = tally.Next(found)
					if found && !acts[i][d] {
						wrong++
					}
				}
				online += float64(wrong) / float64(max(1, tally.Discoveries))
				if acts[i][days-1] {
					looked++
					if p[i][days-1] <= tally.Level() {
						power++
					}
				}
				streams++
			}
			last := make([]float64, pairs) // and the last day a batch
			for i := range p {
				last[i] = p[i][days-1]
			}
			batch += falseShare(QValues(make([]float64, pairs), last), FDR, acts, days-1) / worlds
			naive += falseShare(last, FDR, acts, days-1) / worlds
		}
		t.Logf("%2.0f %% of the pairs: false discovery rate %.4f online, %.4f of batches, %.3f uncorrected; power online %.2f",
			100*effects, online/streams, batch, naive, power/max(1, looked))
		if online/streams > FDR || batch > FDR {
			t.Errorf("at %.0f %% of the pairs the rates are %.3f and %.3f, allowed %.2f", 100*effects, online/streams, batch, FDR)
		}
		if effects <= 0.1 && naive < 2*FDR {
			t.Errorf("uncorrected the rate is %.3f: the worlds are too easy to tell", naive)
		}
		if effects > 0 && power < 0.9*looked {
			t.Errorf("of %.0f effects that last %.0f are found", looked, power)
		}
	}
}

// falseShare returns the share of false ones among what is at most a level.
func falseShare(v []float64, level float64, acts [][]bool, day int) float64 {
	found, wrong := 0, 0
	for i := range v {
		if v[i] <= level {
			found++
			if !acts[i][day] {
				wrong++
			}
		}
	}
	return float64(wrong) / float64(max(1, found))
}
