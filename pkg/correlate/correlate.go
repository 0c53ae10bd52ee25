// Package correlate holds Flywheel's statistics: what a brand's series would
// have been (Baseline), how strongly and how late a response follows a stimulus
// (Profile), whether the weeks speak for an effect (Choose), also by what other brands
// have shown (Pool), and whose money it was
// (Attribute, Split); and how large an effect is, with everything calibrated, of a
// brand's history or of a pair that somebody brings (Estimator, Credit; see DESIGN.md).
//
// Everything is a pure function of its arguments: no clock, no randomness, no
// state but the integers in Cross. On one architecture the same integers give
// bit-identical floats. Hot paths do not allocate: they work in a Scratch that
// the caller keeps, one per goroutine; slices in results point into it and are
// valid until its next use.
//
// Time is counted in steps (the lag resolution, 15 minutes or two hours) and
// buckets (the response's grain, one or more steps); slices run from the oldest
// to the newest.
package correlate

// Version names the statistics; it changes whenever a number may.
const Version = "correlate/15"

// Bounds of one evaluation; Cross keeps exact 64-bit integers within them.
const (
	// LagsMax bounds the window, in steps.
	LagsMax = 512
	// StrideMax bounds the steps of a response bucket.
	StrideMax = 4
	// HistoryHoursMax bounds the history a baseline or an effect rests on.
	HistoryHoursMax = 60 * 24
)

// Verdict is what may be said about a relation.
type Verdict uint8

// The verdicts.
const (
	Insufficient   Verdict = iota // no statement: see Reason
	NotSignificant                // enough data, but no evidence at Alpha
	Significant                   // evidence at Alpha, the search taken into account
)

// String returns the verdict's name as in tables.
func (v Verdict) String() string {
	switch v {
	case NotSignificant:
		return "not_significant"
	case Significant:
		return "significant"
	default:
		return "insufficient"
	}
}

// Alpha is the nominal rate of null pairs called significant.
const Alpha = 0.05

// Reason says why evidence is insufficient.
type Reason uint8

// The reasons, in the order they are checked.
const (
	NoReason        Reason = iota
	ShortHistory           // less history than the baseline and the window need
	FlatStimulus           // the stimulus does not vary
	FlatResponse           // the response does not vary, or only as its baseline does
	FewObservations        // autocorrelation leaves too few independent observations
	LowPower               // nothing is found, and an effect of RelevantShare might not have been
	Falling                // the response falls with the stimulus: effects are at least 0
	Confounded             // confounders are the stimulus, or explain all of the response
	Unreliable             // the interval does not hold what is planted into placebos
)

// String returns the reason's name as in tables, "" for none.
func (r Reason) String() string {
	return [...]string{"", "short_history", "flat_stimulus", "flat_response", "few_observations", "low_power", "falling", "confounded", "unreliable"}[r]
}

// EffectiveMin is the least effective number of observations a verdict needs:
// below it Fisher's z is no longer near normal.
const EffectiveMin = 10

// EffectiveGivenMin is the same where a kernel is given and nothing is searched.
const EffectiveGivenMin = 5

// Scratch is the working memory of this package's functions. The zero value is
// ready; it grows to what the largest call needs and is then reused.
type Scratch struct {
	cross    Cross
	moving   []int64
	floats   [6][]float64
	profile  []float32
	weights  []float64
	shares   []int64
	order    []remainder
	carriers []carrier
}

func grow[T any](buf *[]T, n int) []T {
	if cap(*buf) < n {
		*buf = make([]T, n)
	}
	return (*buf)[:n]
}
