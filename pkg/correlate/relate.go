package correlate

import "math"

// Relation is what a stimulus does to a response.
type Relation struct {
	// Profile is the lag profile, at the steps of the pair.
	Profile Lagged
	// P is the probability of such evidence in the best kernel without an effect,
	// calibrated on the placebo; 1 when there is too little of anything. It is one-sided, as
	// effects are at least 0: 1 as well where the evidence of one below 0 is the larger, and no
	// chance at Alpha (Falling).
	P float64
	// Kernel is the kernel the data speak for, in steps of the pair.
	Kernel Kernel
	// Beta is the response in all per unit of stimulus, Low … High its interval at
	// Level, Realised the share of placebos with such an effect planted whose
	// interval holds it.
	Beta, Low, High float64
	Level, Realised float64
	// Exponent is the power of the stimulus that acts: 1 in proportion; less, where the data
	// say that its returns diminish, and Beta is what a unit adds on average. ExponentLow …
	// ExponentHigh is its interval at Level; where proportion is not refuted it is taken for
	// the truth, whatever else may be.
	Exponent, ExponentLow, ExponentHigh float64
	// Placebos is how many independent placebos P rests on, about one in two windows.
	Placebos float64
	// Share is the share of the response that an effect of Beta makes up. Where
	// nothing is found, Power is the probability that an effect of RelevantShare
	// would have been, and Detectable the smallest share that is found with a
	// probability of 80 %, 1 when there is none.
	Share, Power, Detectable float64
	// Expected is the response of each step without the stimulus, what confounders add
	// included.
	Expected []float64
	Verdict  Conclusion
	Reason   Reason
	// Merged is how many steps of the pair make one of the grid that kernels were
	// searched on.
	Merged int
}

// Conclusion is what may be said about an effect.
type Conclusion string

// The conclusions.
const (
	Effective    Conclusion = "effect"
	NoEffect     Conclusion = "no effect"             // one of RelevantShare would have been seen
	Inconclusive Conclusion = "insufficient evidence" // see Reason, or too little power
)

// RelevantShare is the share of the response from which an effect matters.
const RelevantShare = 0.1

// powerMin is the power that "no effect" needs.
const powerMin = 0.8

// realisedMin is the realised coverage that an interval of 1 − Alpha needs to be told.
const realisedMin = 0.8

// Relate judges a pair; see DESIGN.md for what it does and why.
func Relate(p *Pair) Relation {
	var e Estimator
	rel := e.Screen(p)
	e.Bend(&rel)
	e.Bound(&rel)
	e.Assess(&rel)
	return rel
}

// Estimator judges pairs one after the other, in memory it keeps, and in stages:
// Screen says whether there is an effect, and which, in proportion to the stimulus; Bend
// asks whether its returns diminish instead; Bound and Assess, which cost more, complete
// the relation last screened, unless that has a reason to say nothing. The zero value is
// ready; one per goroutine.
type Estimator struct {
	mem   memory
	study study
	// Of the relation screened last:
	pair     *Pair
	null     *world
	evidence trial
	settled  *world
	fit      fit
	// less and more are how much smaller and larger the size may be by the exponent alone, as
	// logarithms.
	less, more float64
	prober     *prober
}

// Screen judges whether there is an effect, finds the best and its kernel, the lag
// profile and the baseline; without an interval yet, and with a verdict that is
// Inconclusive where nothing is found.
func (e *Estimator) Screen(p *Pair) Relation {
	rel := Relation{P: 1, Level: 1 - Alpha, Detectable: 1, Exponent: 1, ExponentHigh: 1, Verdict: Inconclusive}
	e.mem.release(mark{})
	e.pair, e.null, e.settled, e.prober = p, nil, nil, nil
	e.less, e.more = 0, 0
	s := &e.study
	s.mem = &e.mem
	c, merged := p.coarse()
	rel.Merged = merged
	if rel.Reason = s.load(c); rel.Reason != NoReason {
		rel.Profile = lagged(p, 0, &e.mem)
		return rel
	}
	rel.Placebos = s.independent

	// The null hypothesis is judged in a world without the effect.
	e.null = s.world()
	e.null.assume(fit{})
	if variance(e.null.residual, s.judged) <= s.negligible {
		rel.Reason = FlatResponse
		rel.Profile = lagged(p, 0, &e.mem)
		return rel
	}
	e.evidence = e.null.try(fit{})
	rel.P = e.evidence.p
	if t := &e.evidence; t.fall > t.statistic && t.pFall <= Alpha {
		rel.P, rel.Reason = 1, Falling
		rel.Profile = lagged(p, 0, &e.mem)
		return rel
	}
	if rel.P <= Alpha {
		rel.Verdict = Effective
	}

	e.settled, e.fit = s.settle(e.null)
	if rel.Verdict == Effective {
		e.settled, e.fit = s.refine(e.settled, e.fit)
	}
	e.describe(&rel)
	return rel
}

// describe says what the fit is.
func (e *Estimator) describe(rel *Relation) {
	s, p, merged := e.settled.study, e.pair, rel.Merged
	k, beta := &s.atoms[e.fit.at], e.fit.beta
	rel.Kernel = k.Finer(merged)
	rel.Kernel.Lags = p.Lags
	confounded := e.settled.confounded(e.fit)
	rel.Profile = lagged(p.less(confounded, merged), rel.Kernel.HalfLife, &e.mem)
	if rel.Verdict == Effective {
		rel.Profile.near(int(math.Round(rel.Kernel.Waits())), max(merged, int(rel.Kernel.HalfLife)/8))
	}
	rel.Beta = beta * e.settled.kept(e.fit)
	if s.sumY != 0 {
		rel.Share = rel.Beta * s.sumX / s.sumY
	}
	rel.Expected = make([]float64, len(p.Y))
	first := len(p.Y) - s.n*merged
	for t := range rel.Expected {
		i := max(0, t-first) / merged
		rel.Expected[t] = max(0, e.settled.expected[i]+confounded[i]) / float64(merged)
	}
}

// Bound adds the interval to the relation screened last.
func (e *Estimator) Bound(rel *Relation) {
	if e.settled == nil {
		return
	}
	e.prober = newProber(e.settled, e.fit, e.evidence.largest, rel.P <= Alpha)
	rel.Low, rel.High = e.prober.interval(rel.P)
	if rel.Exponent < 1 {
		rel.Low, rel.High = e.widen(rel.Low, rel.High)
	}
	rel.Beta = min(max(rel.Beta, rel.Low), rel.High)
}

// Assess adds to the relation that was bounded last how the interval does on
// placebos, and where nothing was found, what would have been: only then may the
// verdict be NoEffect.
func (e *Estimator) Assess(rel *Relation) {
	if e.prober == nil {
		return
	}
	s := &e.study
	rel.Realised = e.settled.realised(e.fit)
	if rel.Realised < realisedMin {
		rel.Verdict, rel.Reason = Inconclusive, Unreliable
		return
	}
	if rel.P <= Alpha {
		return
	}
	rel.Power, rel.Detectable = e.null.power()
	if rel.Power >= powerMin && rel.High*s.sumX < RelevantShare*s.sumY*2 {
		rel.Verdict = NoEffect
	}
}
