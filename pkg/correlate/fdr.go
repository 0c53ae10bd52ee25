package correlate

import (
	"cmp"
	"math/bits"
	"slices"
)

// FDR is the rate of false discoveries that both controls allow: the expected
// share of the false ones among all discoveries, taken for 0 where there are none.
const FDR = 0.05

// QValues sets dst to the q-values of the p-values of one batch, and returns it: a
// test is a discovery at the rate r when its q-value is at most r. dst and p are
// of the same length and may be the same.
//
// Of m tests, let p(k) be the k-th smallest p-value. With
//
//	q(k) = min over j ≥ k of p(j)·m·(1 + 1/2 + … + 1/m)/j, at most 1
//
// the false discovery rate is at most r however the tests depend on each other
// (Benjamini & Yekutieli 2001, theorem 1.3). Brands share market days and forces
// share responses, so the step-up procedure without the harmonic sum (Benjamini &
// Hochberg 1995) has no such guarantee here; the sum costs a factor of 7.5 at
// 1 000 tests.
func QValues(dst, p []float64) []float64 {
	m := len(p)
	order := make([]int, m)
	harmonic := 0.0
	for i := range order {
		order[i] = i
		harmonic += 1 / float64(i+1)
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	q := make([]float64, m)
	least := 1.0
	for k := m; k > 0; k-- {
		i := order[k-1]
		least = min(least, p[i]*float64(m)*harmonic/float64(k))
		q[i] = least
	}
	copy(dst, q)
	return dst
}

// Tally is what an online control remembers of a sequence of tests. The zero Tally
// stands before the first.
//
// The sequence is controlled by reshaped LOND (Javanmard & Montanari, Online Rules
// for Control of False Discovery Rate …, 2018; Zrnic, Ramdas & Jordan, Asynchronous
// Online Testing of Multiple Hypotheses, 2021). Test t is a discovery when
//
//	p(t) ≤ α(t) = FDR·γ(t)·β(R(t−1) + 1),
//
// R(t−1) being the discoveries before it. It holds the false discovery rate at FDR
// however the tests depend on each other, after any number of them, also one that
// is chosen by looking at them:
//
// Let R be all discoveries in the end. A discovery at t is one of them, so R ≥
// R(t−1) + 1, and as β does not fall, p(t) ≤ FDR·γ(t)·β(R). For the p-value of a
// true null hypothesis, any c, any R ≥ 0 that may depend on it, and β(r) = Σ x·ν(x)
// over x ≤ r with weights Σ ν ≤ 1,
//
//	E[1{p ≤ c·β(R)}/R] ≤ c
//
// (Blanchard & Roquain 2008, lemma 3.2: 1/R = Σ_{r ≥ R} 1/(r(r+1)), and Σ_r
// c·β(r)/(r(r+1)) = c·Σ_x ν(x) ≤ c). So each null adds at most FDR·γ(t), and all of
// them FDR, since Σ γ ≤ 1.
//
// What is free, γ and ν, is chosen for daily looks at five weeks of one pair, of
// which each day renews a 35th: nothing can be found on the first days, an effect
// shows on nearly every day once it shows, and there is no last day.
//
//	γ(t) = lookSpan/((lookSpan + t − 1)·(lookSpan + t)), which sums to 1 exactly
//
// is nearly even over the first weeks, where 1/t² spends 61 % on the first day, and
// falls to a quarter within lookSpan. ν puts 1/2 on one discovery, 1/4 on 4, 1/8
// on 16 and so on: β(1) = 1/2, β(4) = 3/2, β(16) = 7/2, about √r. The weights that
// are proportional to 1/x, as Benjamini & Yekutieli's, would leave the first discovery
// a fifth instead of a half after 90 tests, and less the more there are.
//
// Procedures that need independent or conditionally valid p-values (LORD, SAFFRON,
// alpha-investing) do not hold for looks that share 34 of 35 days. One over e-values
// (Xu & Ramdas 2024) would, but p-values turned into e-values lose far more than
// the half that β costs.
type Tally struct{ Tests, Discoveries int64 }

// lookSpan is the number of tests after which half of the level is spent.
const lookSpan = 60

// Level returns the level of the next test.
func (t Tally) Level() float64 {
	at := float64(lookSpan + t.Tests) // lookSpan + t − 1 for the t-th
	return FDR * lookSpan / (at * (at + 1)) * reshaped(t.Discoveries+1)
}

// Next returns the tally with one more test, a discovery or not.
func (t Tally) Next(discovery bool) Tally {
	t.Tests++
	if discovery {
		t.Discoveries++
	}
	return t
}

// reshaped is β(r) for r ≥ 1: the sum of 4^j·2^−(j+1) over all j with 4^j ≤ r,
// which is (2^(n+1) − 1)/2 for the n+1 of them.
func reshaped(r int64) float64 {
	terms := (bits.Len64(uint64(r)) + 1) / 2
	return float64(uint64(1)<<terms-1) / 2
}
