package correlate

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

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
		plant(r, y, x, Kernel{2 + r.IntN(3), float64(5 + r.IntN(7)), 72}, share)
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

// evidence weighs every brand.
func evidence(t *testing.T, all []*Hourly, s *Scratch) []Evidence {
	t.Helper()
	var out []Evidence
	for _, in := range all {
		c, e := Weigh(in, s)
		if c.Verdict == Insufficient {
			t.Fatal(c.Reason)
		}
		out = append(out, e)
	}
	return out
}

// TestPoolingFindsMoreAndErrsNoMore judges brands alone and with a prior that was
// learned from the others, half of which have an effect.
func TestPoolingFindsMoreAndErrsNoMore(t *testing.T) {
	const brands = 100
	var s Scratch
	type tally struct{ alone, pooled int }
	var nulls tally
	n := 0
	for i, tt := range []struct {
		days  int
		share float64
		gain  float64 // least gain of power
	}{{21, 0.1, 0.02}, {21, 0.2, 0.1}, {35, 0.1, 0.05}, {35, 0.2, 0}} {
		with, without := alike(uint64(10_000*(i+1)), brands, tt.days, tt.share, &s)
		seen := evidence(t, append(with[:brands/2:brands/2], without[brands/2:]...), &s)
		pool := NewPool(seen)
		judge := func(in *Hourly, own *Evidence, count *tally) {
			if Choose(in, &s).P <= Alpha {
				count.alone++
			}
			prior := pool.Prior(own)
			if ChooseBy(in, &prior, &s).P <= Alpha {
				count.pooled++
			}
		}
		var found, wrong tally
		for k := range brands {
			if k < brands/2 {
				judge(with[k], &seen[k], &found)
			} else {
				judge(without[k], &seen[k], &wrong)
			}
			// A brand that the others do not know yet.
			if k >= brands/2 {
				judge(with[k], nil, &found)
			} else {
				judge(without[k], nil, &wrong)
			}
		}
		t.Logf("%d days, %2.0f %% of the response: found %.3f alone, %.3f pooled; without an effect %.3f and %.3f", tt.days, 100*tt.share,
			float64(found.alone)/brands, float64(found.pooled)/brands, float64(wrong.alone)/brands, float64(wrong.pooled)/brands)
		if gain := float64(found.pooled-found.alone) / brands; gain < tt.gain {
			t.Errorf("%d days, %.0f %%: pooling finds %+.3f", tt.days, 100*tt.share, gain)
		}
		nulls.alone, nulls.pooled, n = nulls.alone+wrong.alone, nulls.pooled+wrong.pooled, n+brands
	}
	if rate := float64(nulls.pooled) / float64(n); rate > Alpha {
		t.Errorf("pooled %.3f of %d brands without an effect are called, alone %.3f", rate, n, float64(nulls.alone)/float64(n))
	}
}

// TestPoolLearnsThePlantedKernels draws the evidence itself: of 400 brands a third
// follows one of two kernels.
func TestPoolLearnsThePlantedKernels(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 4))
	planted := map[int]float64{20: 0.75, 45: 0.25}
	draw := func() (e Evidence) {
		for k := range e.Z {
			e.Z[k] = r.NormFloat64()
		}
		return e
	}
	var all []Evidence
	for range 400 {
		e := draw()
		if r.Float64() < 1./3 {
			k := 20
			if r.Float64() > planted[20] {
				k = 45
			}
			e.Z[k] += math.Abs(poolEffect * r.NormFloat64())
		}
		all = append(all, e)
	}
	pool := NewPool(all)
	prior := pool.Prior(nil)
	t.Logf("kernel 20 has %.2f, kernel 45 %.2f; without an effect %.2f", prior[20], prior[45], pool.none)
	if math.Abs(pool.none-2./3) > 0.12 {
		t.Errorf("%.2f of the brands are without an effect, 0.67 are", pool.none)
	}
	if prior[20] < 2*prior[45] || prior[45] < 3*prior[10] {
		t.Errorf("the weights are %.3f and %.3f, and %.3f of a kernel that none follows", prior[20], prior[45], prior[10])
	}
	// Where nothing is to be learned, the weights stay even.
	for i := range all {
		all[i] = draw()
	}
	pool = NewPool(all)
	for k, w := range pool.Prior(nil) {
		if w > 4/float64(Kernels) {
			t.Errorf("kernel %d has %.3f of nothing", k, w)
		}
	}
}

func TestPoolsAreInvariant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		brand := rapid.Custom(func(t *rapid.T) (e Evidence) {
			for k := range e.Z {
				e.Z[k] = rapid.Float64Range(-50, 50).Draw(t, "z")
			}
			return e
		})
		all := rapid.SliceOfN(brand, 0, 8).Draw(t, "brands")
		pool := NewPool(all)
		check := func(what string, p Prior) {
			sum := 0.0
			for k, w := range p {
				if !(w > 0) {
					t.Fatalf("%s: kernel %d has the weight %v", what, k, w)
				}
				sum += w
			}
			if math.Abs(sum-1) > 1e-9 {
				t.Fatalf("%s: the weights sum to %v", what, sum)
			}
		}
		check("of all", pool.Prior(nil))
		for i := range all {
			check("without one", pool.Prior(&all[i]))
		}
		if len(all) == 0 {
			for k, w := range pool.Prior(nil) {
				if math.Abs(w-1/float64(Kernels)) > 1e-12 {
					t.Fatalf("without brands kernel %d has %v", k, w)
				}
			}
			return
		}
		// What a brand has added it takes out again, for the most part.
		var strong Evidence
		strong.Z[7] = 25
		own := NewPool(append(all[1:len(all):len(all)], strong))
		with, without := own.Prior(nil), own.Prior(&strong)
		if len(all) == 1 && math.Abs(without[7]-1/float64(Kernels)) > 0.1/float64(Kernels) || without[7] > with[7] {
			t.Fatalf("the brand's own kernel has %v with it and %v without", with[7], without[7])
		}
	})
}

// TestAnEvenPriorIsNone holds the two ways to the same answer.
func TestAnEvenPriorIsNone(t *testing.T) {
	var s Scratch
	even := Uniform()
	with, without := alike(7, 10, 28, 0.2, &s)
	for _, in := range append(with, without...) {
		a, b := Choose(in, &s), ChooseBy(in, &even, &s)
		if c, e := Weigh(in, &s); c != a || e.Z == [Kernels]float64{} {
			t.Errorf("alone %+v, weighed %+v", a, c)
		}
		if math.Abs(a.P-b.P) > 1e-12 || a.Kernel != b.Kernel || a.Z != b.Z {
			t.Errorf("alone %+v, by an even prior %+v", a, b)
		}
	}
}
