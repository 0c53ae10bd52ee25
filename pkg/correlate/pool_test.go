package correlate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// alike draws brands whose responses follow their posts within hours, through kernels
// that are alike and on no grid, and the same brands without the effect.
func alike(seed uint64, brands, days int, share float64, s *Scratch) (with, without []*Hourly) {
	bins := calendar(days * 24)
	for i := range brands {
		r := source(seed + uint64(i))
		x := posts(seed+uint64(i)+1e6, bins, 1.5, 4000)
		base := counts(r, bins, 80, 0.9, 0.4)
		y := slices.Clone(base)
		plant(r, y, x, Kernel{2 + r.IntN(3), float64(5 + r.IntN(7)), 72, 0}, share)
		with, without = append(with, fitted(x, y, bins, 72, s)), append(without, fitted(x, base, bins, 72, s))
	}
	return with, without
}

// plant adds an effect that makes up a share of the response.
func plant(r *rand.Rand, y, x []int64, k Kernel, share float64) {
	total, reached, fx, z := 0.0, 0.0, make([]float64, len(x)), make([]float64, len(x))
	for t, v := range x {
		fx[t] = float64(v)
		total += float64(y[t])
	}
	k.Convolve(z, fx)
	for _, v := range z {
		reached += v
	}
	for t := range y {
		y[t] += poisson(r, share/(1-share)*total/reached*z[t])
	}
}

// TestAPriorFindsMoreAndErrsNoMore learns a prior from brands, and judges others with it
// and without.
func TestAPriorFindsMoreAndErrsNoMore(t *testing.T) {
	const brands = 100
	var s Scratch
	var pool Pool
	teachers, _ := alike(5_000_000, 30, 35, 0.3, &s)
	for i, in := range teachers {
		if c := Choose(in, nil, &s); c.P <= 1e-3 {
			pool.Learn(fmt.Sprint("teacher-", i), c.Kernel)
		}
	}
	prior := pool.Prior(Folds - 1)
	if prior == nil {
		t.Fatal("nobody teaches")
	}
	n, nullsAlone, nulls := 0, 0, 0
	for i, tt := range []struct {
		days         int
		share, level float64
		gain         float64 // least gain of power
	}{{21, 0.1, Alpha, 0.02}, {21, 0.2, Alpha, 0.1}, {35, 0.1, Alpha, 0.05}, {35, 0.2, 1e-3, 0.05}} {
		with, without := alike(uint64(10_000*(i+1)), brands, tt.days, tt.share, &s)
		found := func(all []*Hourly, prior *Prior, level float64) (count int) {
			for _, in := range all {
				if Choose(in, prior, &s).P <= level {
					count++
				}
			}
			return count
		}
		alone, pooled := found(with, nil, tt.level), found(with, prior, tt.level)
		n, nullsAlone, nulls = n+brands, nullsAlone+found(without, nil, Alpha), nulls+found(without, prior, Alpha)
		t.Logf("%d days, %2.0f %% of the response at %g: found %d of %d alone, %d by the prior", tt.days, 100*tt.share, tt.level, alone, brands, pooled)
		if gain := float64(pooled-alone) / brands; gain < tt.gain {
			t.Errorf("%d days, %.0f %% at %g: the prior finds %+.3f", tt.days, 100*tt.share, tt.level, gain)
		}
	}
	t.Logf("of %d brands without an effect %d are called alone, %d by the prior", n, nullsAlone, nulls)
	if rate := float64(nulls) / float64(n); rate > Alpha {
		t.Errorf("by the prior %.3f of the brands without an effect are called", rate)
	}
}

// TestAnEvenPriorIsNone holds the two ways to the same answer.
func TestAnEvenPriorIsNone(t *testing.T) {
	var s Scratch
	var even Prior
	for k := range even {
		even[k] = 1 / float64(Kernels)
	}
	with, without := alike(7, 10, 28, 0.2, &s)
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-12 }
	for _, in := range append(with, without...) {
		a, b := Choose(in, nil, &s), Choose(in, &even, &s)
		if !near(a.P, b.P) || a.Kernel != b.Kernel || a.Z != b.Z || !near(a.Power(0.2, 1e-3), b.Power(0.2, 1e-3)) || a.Detectable(1e-3) != b.Detectable(1e-3) {
			t.Errorf("alone %+v, by an even prior %+v", a, b)
		}
	}
}

// TestPriorsAreInvariant holds that weights are weights, and that a brand learns from
// lower folds only: without that a null pair is called too often.
func TestPriorsAreInvariant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pool Pool
		grid := rapid.Custom(func(t *rapid.T) Kernel { return kernelAt(rapid.IntRange(0, Kernels-1).Draw(t, "kernel"), 72) })
		brand := rapid.StringMatching("[a-z0-9-]{1,12}")
		for range rapid.IntRange(0, 12).Draw(t, "brands") {
			pool.Learn(brand.Draw(t, "brand"), grid.Draw(t, "shown"))
		}
		var before [Folds]*Prior
		for fold := range before {
			p := pool.Prior(fold)
			before[fold] = p
			if p == nil {
				continue
			}
			sum := 0.0
			for k, w := range p {
				if !(w >= poolBrands/float64(Kernels)/(poolBrands+12)) {
					t.Fatalf("fold %d: kernel %d has the weight %v", fold, k, w)
				}
				sum += w
			}
			if math.Abs(sum-1) > 1e-12 {
				t.Fatalf("fold %d: the weights sum to %v", fold, sum)
			}
		}
		one := brand.Draw(t, "another")
		shown := grid.Draw(t, "shown by it")
		pool.Learn(one, shown)
		for fold := range before {
			after := pool.Prior(fold)
			if fold <= Fold(one) {
				if diff := cmp.Diff(before[fold], after); diff != "" {
					t.Fatalf("fold %d has learned from fold %d: %s", fold, Fold(one), diff)
				}
				continue
			}
			if k := nearest(shown); before[fold] != nil && after[k] <= before[fold][k] || after[k] <= 1/float64(Kernels) {
				t.Fatalf("fold %d has not learned from fold %d", fold, Fold(one))
			}
		}
		// What is written down and read again is the same.
		var again Pool
		for _, c := range pool.Counts() {
			if err := again.Add(c); err != nil {
				t.Fatal(err)
			}
		}
		if again != pool {
			t.Fatalf("read %+v of %+v", again, pool)
		}
	})
}

func TestFoldsAreAlikeInSize(t *testing.T) {
	const brands = 13_000
	for _, format := range []string{"%d", "brand-%d", "7300%09d", "%08x", "ACME %d GmbH"} {
		var sizes [Folds]int
		for i := range brands {
			sizes[Fold(fmt.Sprintf(format, i))]++
		}
		for fold, n := range sizes {
			if math.Abs(float64(n)-brands/Folds) > 5*math.Sqrt(brands/Folds) {
				t.Errorf("%s: fold %d holds %d of %d brands", format, fold, n, brands)
			}
		}
	}
}

func TestAKernelShownCountsForTheOneMostLikeIt(t *testing.T) {
	for k := range Kernels {
		if got := nearest(kernelAt(k, 72)); got != k {
			t.Errorf("kernel %d counts for %d", k, got)
		}
	}
	for _, tt := range []struct{ shown, want Kernel }{
		{Kernel{3, 4.4, 72, 0}, Kernel{3, 4, 72, 0}},
		{Kernel{3, 5.5, 72, 0}, Kernel{1, 8, 72, 0}},
		{Kernel{4, 9, 72, 0}, Kernel{6, 8, 72, 0}},
		{Kernel{7, 0.9, 72, 0}, Kernel{6, 2, 72, 0}},
		{Kernel{60, 40, 72, 0}, Kernel{36, 24, 72, 0}},
	} {
		if got := kernelAt(nearest(tt.shown), 72); got != tt.want {
			t.Errorf("%+v counts for %+v, want %+v", tt.shown, got, tt.want)
		}
	}
}

func TestCountsThatCannotBeAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		count Count
		want  string
	}{
		"a fold too many":        {Count{Folds, 3, 8, 1}, "not between 0 and 12"},
		"a fold below 0":         {Count{-1, 3, 8, 1}, "not between 0 and 12"},
		"a delay off the grid":   {Count{0, 5, 8, 1}, "a delay of 5 h and a half-life of 8 h"},
		"a half-life off it":     {Count{0, 3, 9, 1}, "a delay of 3 h and a half-life of 9 h"},
		"nobody":                 {Count{0, 3, 8, 0}, "0 brands"},
		"more than there can be": {Count{0, 3, 8, math.MaxInt}, "brands are not between"},
		"a kernel twice":         {Count{2, 6, 8, 1}, "has 4 brands of this kernel already"},
	} {
		t.Run(name, func(t *testing.T) {
			var pool Pool
			if err := pool.Add(Count{2, 6, 8, 4}); err != nil {
				t.Fatal(err)
			}
			if err := pool.Add(tt.count); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
