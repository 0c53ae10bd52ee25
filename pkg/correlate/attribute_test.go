package correlate

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// naiveResponsibility is λ(t) by definition.
func naiveResponsibility(st *Stimulus, t int) float64 {
	sum := 0.0
	for _, p := range st.Pulses {
		if p.Amount > 0 {
			sum += float64(p.Amount) * st.Kernel.Weight(t-p.Bucket)
		}
	}
	return st.Beta * sum
}

func drawKernel(t *rapid.T) Kernel {
	lags := rapid.IntRange(1, 60).Draw(t, "lags")
	k := Kernel{rapid.IntRange(0, lags).Draw(t, "delay"), float64(rapid.IntRange(0, 160).Draw(t, "half_life")) / 4, lags, 0}
	if k.Delay < lags {
		k.Later = float64(rapid.IntRange(0, 8).Draw(t, "later")) / 8
	}
	return k
}

func drawStimuli(t *rapid.T, k Kernel, buckets int) []Stimulus {
	stimuli := make([]Stimulus, rapid.IntRange(0, 6).Draw(t, "stimuli"))
	for p := range stimuli {
		at := rapid.SliceOfN(rapid.IntRange(-2*k.Lags, buckets-1), 0, 8).Draw(t, "at")
		slices.Sort(at)
		stimuli[p] = Stimulus{Kernel: k, Beta: rapid.Float64Range(0, 1e6).Draw(t, "beta")}
		for _, b := range at {
			stimuli[p].Pulses = append(stimuli[p].Pulses, Pulse{b, rapid.Int64Range(-5, 1e6).Draw(t, "amount")})
		}
	}
	return stimuli
}

func TestResponsibilityMatchesItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for _, st := range drawStimuli(t, drawKernel(t), 80) {
			c := newCarrier(&st)
			for bucket := range 80 {
				got, want := c.responsibility(&st, bucket), naiveResponsibility(&st, bucket)
				if math.Abs(got-want) > 1e-6*(1+want) {
					t.Fatalf("bucket %d: %v, want %v", bucket, got, want)
				}
			}
		}
	})
}

func TestCreditsAndBaselineAreTheRevenueInEveryBucketAndInAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawKernel(t)
		money := rapid.SliceOfN(rapid.Int64Range(-1e12, 1e13), 1, 96).Draw(t, "money")
		base := make([]float64, len(money))
		for i := range base {
			base[i] = rapid.Float64Range(0, 1e12).Draw(t, "base")
		}
		var s Scratch
		check := func(money []int64, stimuli []Stimulus) {
			a := Attribute(money, base, stimuli, &s)
			sum := a.Baseline
			for _, c := range a.Credits {
				sum += c
			}
			for _, m := range money {
				sum -= m
			}
			if sum != 0 {
				t.Fatalf("off by %d micros", sum)
			}
		}
		stimuli := drawStimuli(t, k, len(money))
		check(money, stimuli)
		check(money[:1], stimuli)
	})
}

// A post's credit is also Σ_s x(s)·G(s), with G from one pass backwards over
// money ÷ responsibility: O(buckets + posts) for all posts of one kernel.
func TestCreditsMatchTheBackwardRecursion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawKernel(t)
		const buckets = 96
		money, base := make([]int64, buckets), make([]float64, buckets)
		for i := range money {
			money[i] = rapid.Int64Range(0, 1e10).Draw(t, "money")
			base[i] = rapid.Float64Range(1, 1e9).Draw(t, "base")
		}
		stimuli := drawStimuli(t, k, buckets)
		price := make([]float64, buckets)
		for bucket := range price {
			whole := base[bucket]
			for p := range stimuli {
				whole += naiveResponsibility(&stimuli[p], bucket)
			}
			price[bucket] = float64(money[bucket]) / whole
		}
		back := make([]float64, buckets+1) // Σ_{i ≥ 0} decay^i·price(t+i)
		for bucket := buckets - 1; bucket >= 0; bucket-- {
			back[bucket] = price[bucket] + k.decay()*back[bucket+1]
		}
		from := func(bucket int) float64 {
			switch {
			case bucket >= buckets:
				return 0
			case bucket >= 0:
				return back[bucket]
			case k.HalfLife == 0:
				return 0
			}
			return math.Exp2(float64(bucket)/float64(k.HalfLife)) * back[0]
		}
		first, second, cut := k.terms()
		var s Scratch
		got := Attribute(money, base, stimuli, &s)
		for p, st := range stimuli {
			want, gross := 0.0, 0.0
			for _, pulse := range st.Pulses {
				if pulse.Amount > 0 {
					gain := st.Beta * float64(pulse.Amount)
					acts := gain * (first*from(pulse.Bucket+k.Delay) + second*from(pulse.Bucket+k.Delay+1))
					want += acts - gain*cut*from(pulse.Bucket+k.Lags+1)
					gross += acts
				}
			}
			// Each bucket rounds by at most a micro, and the tail's subtraction cancels digits.
			if diff := math.Abs(float64(got.Credits[p]) - want); diff > buckets+1e-6*want+1e-12*gross {
				t.Fatalf("post %d: %d, want %.1f", p, got.Credits[p], want)
			}
		}
	})
}

func TestOverlappingPostsShareAndDoNotDouble(t *testing.T) {
	k := Kernel{Delay: 1, HalfLife: 2, Lags: 8}
	post := Stimulus{[]Pulse{{0, 100}}, k, 10}
	money, base := []int64{0, 900, 900, 900}, make([]float64, 4)
	var s Scratch
	alone := Attribute(money, base, []Stimulus{post}, &s)
	if alone.Credits[0] != 2700 || alone.Baseline != 0 {
		t.Fatalf("one post: %+v", alone)
	}
	both := Attribute(money, base, []Stimulus{post, post}, &s)
	if !slices.Equal(both.Credits, []int64{1350, 1350}) {
		t.Fatalf("two equal posts: %+v", both)
	}
}

func BenchmarkAttribute(b *testing.B) {
	k := Kernel{Delay: 12, HalfLife: 32, Lags: 288}
	r := source(4)
	money, base := make([]int64, 96), make([]float64, 96)
	for i := range money {
		money[i], base[i] = poisson(r, 200)*1_000_000, 1e8
	}
	stimuli := make([]Stimulus, 20)
	for p := range stimuli {
		stimuli[p] = Stimulus{Kernel: k, Beta: 1e4}
		for bucket := -288 + 10*p; bucket < 96; bucket++ {
			stimuli[p].Pulses = append(stimuli[p].Pulses, Pulse{bucket, poisson(r, 30)})
		}
	}
	var s Scratch
	b.ReportAllocs()
	for b.Loop() {
		Attribute(money, base, stimuli, &s)
	}
}
