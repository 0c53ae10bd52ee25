package correlate

import (
	"fmt"
	"hash/fnv"
	"math"

	"flywheel/pkg/event"
)

// Kernels is the number of kernels a history is searched for (Choose), by half-life
// and delay.
const Kernels = len(kernelHalfLives) * len(kernelDelays)

// kernelAt returns a kernel of the search, by its number.
func kernelAt(k, lags int) Kernel {
	delay, halfLife := kernelDelays[k%len(kernelDelays)], kernelHalfLives[k/len(kernelDelays)]
	return Kernel{Delay: delay * lags / kernelGrid, HalfLife: float64(halfLife * lags / kernelGrid), Lags: lags}
}

// Prior is the weight of every kernel searched before a history is looked at, by
// half-life and delay. The weights are above 0 and sum to 1.
//
// By a prior π Choose holds each kernel's probability against its own share of the level,
//
//	P = min over k of p(k)/π(k),
//
// which errs in at most P of null pairs for any weights that do not depend on the pair,
// since the probability that p(k) ≤ π(k)·P for some k is at most ΣP·π(k) (Genovese,
// Roeder & Wasserman, False Discovery Control with p-Value Weighting, 2006).
// Bonferroni's bound is that with even weights: a prior that knows the kernel is worth
// the 62 that are not searched. The placebo of each kernel is the one without a prior.
// A Pool gives weights that do not depend on the pair.
type Prior [Kernels]float64

// Pool is what many brands have shown of the kernels of one force: how many of them
// follow each, by Fold. The zero Pool has seen nobody.
//
// A brand learns from the brands of lower folds only. So by induction its prior is a
// function of the data of lower folds, however often priors are learned anew from what
// was found by earlier ones: those of fold 0 have none, and what the brands of a fold
// show is a function of their own data and of their priors. Where brands are
// independent, the prior is independent of the brand's own data, and P holds given the
// prior, and so on the whole. (Cross-fitting, where each fold learns from all others,
// is independent once. The second time the others have been found, or not, by priors
// that had seen the brand.)
//
// The weights are the posterior mean of a multinomial distribution under a symmetric
// Dirichlet one that is worth as much as poolBrands brands (partial pooling: Robbins
// 1956, Good 1965): where few were found, the weights stay nearly even. Before that
// counts are spread to their neighbours in delay and half-life, as kernels of different
// brands are alike, not the same, and what one brand shows is not exact.
type Pool struct {
	brands [Folds][Kernels]int
}

// Folds is in how many parts brands are cut. A prime, so that all of the hash counts;
// in the middle a brand learns from 6/13 of the others.
const Folds = 13

// Fold returns the part that a brand belongs to, 0 to Folds − 1, by a hash of its id.
func Fold(brand string) int {
	h := fnv.New64a()
	h.Write([]byte(brand)) // never fails
	return int(h.Sum64() % Folds)
}

// poolBrands is how many brands speak for an even prior.
const poolBrands = 6

// Count says how many brands of a fold follow a kernel of the search, in hours.
type Count struct {
	Fold            int
	Delay, HalfLife int
	Brands          int
}

// Learn adds a brand that has shown a kernel, in hours: to the kernel of the search
// that is most like it.
func (p *Pool) Learn(brand string, shown Kernel) {
	p.brands[Fold(brand)][nearest(shown)]++
}

// nearest returns the number of the kernel whose weights, summed up to each lag, are
// nearest to those of one in squares (the distance of Cramér & von Mises): half an hour
// sooner or later makes them no strangers.
func nearest(shown Kernel) (at int) {
	least := math.Inf(1)
	for k := range Kernels {
		other := kernelAt(k, shown.Lags)
		ahead, apart := 0.0, 0.0
		for lag := range shown.Lags + 1 {
			ahead += other.Weight(lag) - shown.Weight(lag)
			apart += ahead * ahead
		}
		if apart < least {
			at, least = k, apart
		}
	}
	return at
}

// Counts returns what was added and learned, by fold, half-life and delay.
func (p *Pool) Counts() (all []Count) {
	for fold := range p.brands {
		for k, n := range p.brands[fold] {
			if n > 0 {
				at := kernelAt(k, event.ShortWindowHours)
				all = append(all, Count{Fold: fold, Delay: at.Delay, HalfLife: int(at.HalfLife), Brands: n})
			}
		}
	}
	return all
}

// Add adds a count; an error says why it can be none.
func (p *Pool) Add(c Count) error {
	if c.Fold < 0 || c.Fold >= Folds {
		return fmt.Errorf("fold %d is not between 0 and %d", c.Fold, Folds-1)
	}
	if c.Brands < 1 || c.Brands > countMax {
		return fmt.Errorf("%d brands are not between 1 and %d", c.Brands, countMax)
	}
	for k := range Kernels {
		if at := kernelAt(k, event.ShortWindowHours); at.Delay == c.Delay && int(at.HalfLife) == c.HalfLife {
			if p.brands[c.Fold][k] > 0 {
				return fmt.Errorf("fold %d has %d brands of this kernel already", c.Fold, p.brands[c.Fold][k])
			}
			p.brands[c.Fold][k] = c.Brands
			return nil
		}
	}
	return fmt.Errorf("no kernel that is searched has a delay of %d h and a half-life of %d h", c.Delay, c.HalfLife)
}

// countMax bounds the brands of one count, so that sums stay exact.
const countMax = 1_000_000_000

// Prior returns the weights for the brands of a fold; nil, which is none, where those
// before it have shown nothing.
func (p *Pool) Prior(fold int) *Prior {
	var counts Prior
	total := 0
	for f := range fold {
		for k, n := range p.brands[f] {
			counts[k] += float64(n)
			total += n
		}
	}
	if total == 0 {
		return nil
	}
	out := spread(&counts)
	for k := range out {
		out[k] = (out[k] + poolBrands/float64(Kernels)) / float64(total+poolBrands)
	}
	return &out
}

// spread gives a quarter of each kernel's count to its neighbours in half-life, and
// then in delay. At the edge it is kept.
func spread(counts *Prior) Prior {
	const delays = len(kernelDelays)
	out := *counts
	pass := func(step, at, n int, k int) {
		if at > 0 {
			out[k-step] += counts[k] / 8
			out[k] -= counts[k] / 8
		}
		if at < n-1 {
			out[k+step] += counts[k] / 8
			out[k] -= counts[k] / 8
		}
	}
	for k := range counts {
		pass(delays, k/delays, len(kernelHalfLives), k)
	}
	half := out
	counts = &half
	for k := range counts {
		pass(1, k%delays, delays, k)
	}
	return out
}
