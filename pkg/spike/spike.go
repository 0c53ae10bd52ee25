// Package spike finds the episodes in which a brand's branded-search side runs
// far above its baseline.
//
// The episodes of a window are a pure function of its buckets (Detect): any
// order of arrival, late data and restatements included, gives the same list,
// and a stream gives what a batch gives. Diff compares the list with what was
// published and says what to raise, update, resolve or retract.
//
// Detect is given the expectation, which the pipeline fits to the history before
// each day and restates with it: as in a Scorer, no event teaches what to expect
// while it goes on. A Scorer needs nothing but the points of a series in
// their order: it learns what to expect as it goes, cannot be restated, and says
// how rare each point is. It is what 'flywheel detect' runs. PeakZ of an episode counts
// standard deviations, by which bursts are not as rare as a normal tail says; how rare they
// are says a Scorer that is shown the same hours (pkg/topology/DESIGN.md).
package spike

import "math"

// Config holds the thresholds, in standard deviations, and the times, in buckets.
type Config struct {
	// Raise starts an episode in one bucket, Sustain in two in a row. A single
	// bucket at Sustain is a suspicion.
	Raise, Sustain float64
	// Clear is the score below which a bucket is quiet; ClearBuckets quiet ones
	// in a row resolve an episode.
	Clear        float64
	ClearBuckets int
	// EpisodeBucketsMax ends an episode: what lasts longer is a new level.
	EpisodeBucketsMax int
	// Lead is how many buckets up to the first of an episode are searched for a
	// stimulus, LeadRaise the score that makes one, and LeadChance the probability from
	// which on it is no more than on other days (Chance); the caller sees to that.
	Lead       int
	LeadRaise  float64
	LeadChance float64
}

// DefaultConfig is for buckets of 15 minutes: quiet for an hour resolves, and
// the stimulus may lead by a day.
func DefaultConfig() Config {
	return Config{
		Raise: 5, Sustain: 3.5, Clear: 2,
		ClearBuckets: 4, EpisodeBucketsMax: 192,
		Lead: 96, LeadRaise: 3.5, LeadChance: 0.5,
	}
}

// Series is a run of buckets, oldest first.
type Series struct {
	First    int64     // number of the first bucket, from any fixed origin
	Counts   []int64   // the response
	Expected []float64 // its baseline, per whole bucket
	Scales   []float64 // the residual scale √φ of the baseline, for each bucket
	// Open says that the last bucket still fills. It is held to what the whole of it is
	// expected to hold: so it may raise, and is never quiet (Detect).
	Open bool
	// Skip is how many of the first buckets are there for their stimulus only: the response
	// begins behind them.
	Skip int
	// Stimulus, StimulusExpected and StimulusScales are the same of the stimulus; empty when
	// there is none.
	Stimulus         []int64
	StimulusExpected []float64
	StimulusScales   []float64
}

// Status is the state of an episode.
type Status uint8

// The states.
const (
	Suspected Status = iota + 1 // one bucket at Sustain; not published
	Active
	Resolved
	Retracted // published, and its evidence has gone
)

// String returns the status's name as in tables.
func (s Status) String() string {
	return [...]string{"none", "suspected", "active", "resolved", "retracted"}[s]
}

// Episode is a run of buckets far above the baseline. Start is its identity: the
// caller derives the spike's id from brand, force and Start.
type Episode struct {
	Status Status
	Start  int64 // first bucket
	Peak   int64 // bucket of the highest score, the earliest of equals
	End    int64 // bucket after the last that was not quiet
	PeakZ  float64
	// Excess is the response above the baseline from Start to End, rounded.
	Excess int64
	// Evidence is what the stimulus did up to Start.
	Evidence Evidence
	// Revision counts what Diff has published of it, from 1.
	Revision int64
}

// Evidence is the stimulus's own excess in the Lead buckets up to an episode's
// first. The caller names the content that led, over From ≤ bucket ≤ Start.
type Evidence struct {
	From   int64
	Peak   int64 // bucket of the highest score
	PeakZ  float64
	Excess int64 // rounded, at least 0
	// Attributed says that PeakZ reached LeadRaise.
	Attributed bool
}

// Score says by how many standard deviations a count exceeds (or falls short of)
// what was expected. It is the signed deviance residual of the quasi-Poisson
// model with variance φ·μ, φ = max(1, scale²):
//
//	z = sign(y − μ)·√(2·(y·ln(y/μ) − (y − μ))/φ)
//
// (McCullagh & Nelder, Generalized Linear Models, 2nd ed. 1989, §2.4.3). For
// large μ it is (y − μ)/√(φμ); for small μ it does not mistake the Poisson's
// long tail for a spike: two events where 0.1 were expected score 2.9, not 6.
// Expected values below a hundredth count as one; negative counts as 0.
func Score(count int64, expected, scale float64) float64 {
	y, mu := max(0, float64(count)), max(0.01, expected)
	d := mu - y
	if y > 0 {
		d += y * math.Log(y/mu)
	}
	return math.Copysign(math.Sqrt(max(0, 2*d/max(1, scale*scale))), y-mu)
}

// excess is Score where that may reach least, else 0. Above the expected, Pearson's
// (y − μ)/√(φμ) bounds the deviance residual and spares most buckets the logarithm.
func excess(count int64, expected, scale, least float64) float64 {
	mu := max(0.01, expected)
	d := float64(count) - mu
	if d <= 0 || d*d < least*least*mu*max(1, scale*scale) {
		return 0
	}
	return Score(count, expected, scale)
}

// Detect appends the episodes of a series to dst, oldest first, and returns it
// with the first bucket an episode could start in. The last episode may be
// Suspected or Active, all others are Resolved.
//
// An episode starts only after ClearBuckets quiet buckets in a row were seen
// since the response began or the last one was cut at EpisodeBucketsMax. So a
// response that begins in the middle of an episode does not invent another start
// for it, and cutting the series elsewhere changes nothing after the first quiet
// run. Give it more than EpisodeBucketsMax buckets.
//
// An open bucket is compared with what is expected of it when it is over, and so is its
// stimulus. Its score then only grows as it fills, and what it has raised stands, with the
// same start, unless counts are taken back. Compared with the part that has passed, an
// excess E in the part t of a bucket of mean μ would score E/√(φμt), and E/√(φμ) once the rest
// has come as expected: what is raised in the first (Sustain/Raise)² of a bucket would often
// fall below Sustain again. The price is that a jump to r times the expected is seen once the part
// 1/r + Raise·√φ/(r·√μ) has passed, instead of Raise²·φ/((r − 1)²·μ).
func Detect(dst []Episode, series *Series, cfg *Config) (episodes []Episode, from int64) {
	d := detector{blocked: true}
	from = series.First + int64(len(series.Counts))
	for i := series.Skip; i < len(series.Counts); i++ {
		if done, ok := d.step(series, i, cfg); ok {
			dst = append(dst, done)
		}
		if bucket := series.First + int64(i) + 1; !d.blocked && bucket < from {
			from = bucket
		}
	}
	if d.episode.Status != 0 {
		dst = append(dst, d.result())
	}
	return dst, from
}

// detector is what is known between two buckets.
type detector struct {
	blocked bool // no episode starts before a quiet run
	quiet   int  // quiet buckets in a row
	episode Episode
	excess  float64 // since Start, quiet buckets included
	settled float64 // since Start, up to End
}

// step takes the i-th bucket in; it returns the episode that the bucket resolved.
func (d *detector) step(series *Series, i int, cfg *Config) (Episode, bool) {
	bucket := series.First + int64(i)
	expected := series.Expected[i]
	z := excess(series.Counts[i], expected, series.Scales[i], cfg.Clear)
	whole := !series.Open || i < len(series.Counts)-1

	if z >= cfg.Clear {
		d.quiet = 0
	} else if whole {
		d.quiet++
	}
	if d.blocked {
		d.blocked = d.quiet < cfg.ClearBuckets
		return Episode{}, false
	}
	e := &d.episode
	switch {
	case e.Status == Active:
	case z < cfg.Sustain:
		if whole { // a suspicion stands until its bucket is over
			*e = Episode{}
		}
		return Episode{}, false
	case e.Status == Suspected:
		e.Status = Active
	default:
		d.excess, d.settled = 0, 0
		*e = Episode{Status: Suspected, Start: bucket, Evidence: series.evidence(i, cfg)}
		if z >= cfg.Raise {
			e.Status = Active
		}
	}

	d.excess += float64(series.Counts[i]) - expected
	if z > e.PeakZ {
		e.Peak, e.PeakZ = bucket, z
	}
	if z >= cfg.Clear {
		e.End, d.settled = bucket+1, d.excess
	}
	d.blocked = whole && bucket+1-e.Start >= int64(cfg.EpisodeBucketsMax)
	if d.quiet < cfg.ClearBuckets && !d.blocked {
		return Episode{}, false
	}
	d.blocked = d.quiet < cfg.ClearBuckets
	done := d.result()
	done.Status = Resolved
	*e = Episode{}
	return done, true
}

func (d *detector) result() Episode {
	e := d.episode
	e.Excess = int64(math.RoundToEven(d.settled))
	return e
}

// evidence looks for a stimulus in the buckets up to the i-th.
func (s *Series) evidence(i int, cfg *Config) Evidence {
	from := max(0, i-cfg.Lead)
	ev := Evidence{From: s.First + int64(from), Peak: s.First + int64(from)}
	if len(s.Stimulus) != len(s.Counts) {
		return ev
	}
	excess := 0.0
	for k := from; k <= i; k++ {
		expected := s.StimulusExpected[k]
		excess += float64(s.Stimulus[k]) - expected
		if z := Score(s.Stimulus[k], expected, s.StimulusScales[k]); z > ev.PeakZ {
			ev.Peak, ev.PeakZ = s.First+int64(k), z
		}
	}
	ev.Excess = max(0, int64(math.RoundToEven(excess)))
	ev.Attributed = ev.PeakZ >= cfg.LeadRaise
	return ev
}
