package estimate

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"flywheel/pkg/correlate"
	"flywheel/pkg/series"
)

// Result is what is published. Times are UTC; lags are seconds. What cannot be
// told is null; revenue that was not given is left out.
type Result struct {
	BestLagS      *int64      `json:"best_lag_s"`
	P             P           `json:"p"`
	Significant   bool        `json:"significant"` // P.Calibrated ≤ 5 %, whatever the verdict
	Kernel        KernelTimes `json:"kernel"`
	Effect        Effect      `json:"effect"`
	Verdict       string      `json:"verdict"`
	Why           string      `json:"why"`
	Notes         []string    `json:"notes"`
	BaselineUnits float64     `json:"baseline_units"` // the response that nobody is credited with
	// With revenue: the baseline's part and all of it; the credits make up the rest.
	BaselineRevenueMicros *int64   `json:"baseline_revenue_micros,omitempty"`
	RevenueMicros         *int64   `json:"revenue_micros,omitempty"`
	BandHalfWidth         float64  `json:"band_half_width"` // 95 %, of each lag by itself
	LagProfile            []Lag    `json:"lag_profile"`
	Credit                []Credit `json:"credit"`

	calibrated string // P.Calibrated as texts give it
}

// P are probabilities of such a relation without an effect. Effects are at least 0, so Calibrated
// is one-sided: 1 where the response falls with the stimulus and that is no chance, and 1 where
// there is too little of anything.
type P struct {
	Naive           float64 `json:"naive"`           // as if steps were independent, and one lag looked at
	Autocorrelation float64 `json:"autocorrelation"` // Bartlett's variance, and all lags
	Calibrated      float64 `json:"calibrated"`      // against placebos, and all kernels
}

// KernelTimes is how the effect is spread over time: after a delay, on average, it decays with a
// half-life. Of a delay between two steps a share acts after either, and credit is split by that.
type KernelTimes struct {
	DelayS    *int64 `json:"delay_s"`
	HalfLifeS *int64 `json:"half_life_s"`
}

// Effect is its size: response units in all per stimulus unit.
type Effect struct {
	PerUnit  *float64 `json:"per_unit"`
	Low      *float64 `json:"low"`
	High     *float64 `json:"high"`
	Level    float64  `json:"level"`
	Realised *float64 `json:"realised_coverage"`
	// The power of a step's stimulus that acts, where there is an effect: 1 in proportion, less
	// where returns diminish; and its interval at Level.
	Exponent     *float64 `json:"exponent"`
	ExponentLow  *float64 `json:"exponent_low"`
	ExponentHigh *float64 `json:"exponent_high"`
}

// Lag is one value of the lag profile.
type Lag struct {
	LagS        int64   `json:"lag_s"`
	Correlation float64 `json:"correlation"`
}

// Credit is what the stimulus of one step has earned.
type Credit struct {
	Timestamp     time.Time `json:"timestamp"`
	Units         float64   `json:"units"`
	RevenueMicros *int64    `json:"revenue_micros,omitempty"`
}

func (r *Result) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// fill takes over what was found.
func (r *Result) fill(e *Estimate, step, window time.Duration) {
	rel := &e.relation
	seconds := e.grid.step / 1000
	r.P = P{rel.Profile.PNaive, rel.Profile.PAutocorrelation, rel.P}
	r.calibrated = probability(rel)
	r.Significant = rel.P <= correlate.Alpha
	r.Verdict = string(rel.Verdict)
	r.Effect.Level = rel.Level
	r.LagProfile = make([]Lag, len(rel.Profile.Correlation))
	for i, c := range rel.Profile.Correlation {
		r.LagProfile[i] = Lag{int64(i) * seconds, c}
	}
	r.BandHalfWidth = correlate.Normal95 * rel.Profile.StandardError
	if rel.Profile.BestLag >= 0 {
		r.BestLagS = at(int64(rel.Profile.BestLag) * seconds)
	}
	if rel.Reason != correlate.NoReason {
		r.Why = reasons(rel, window)
		return
	}
	r.Kernel = KernelTimes{at(int64(math.Round(rel.Kernel.Waits() * float64(seconds)))), at(int64(math.Round(rel.Kernel.HalfLife * float64(seconds))))}
	r.Effect.PerUnit, r.Effect.Low, r.Effect.High, r.Effect.Realised = &rel.Beta, &rel.Low, &rel.High, &rel.Realised
	switch rel.Verdict {
	case correlate.Effective:
		r.Why = fmt.Sprintf("without an effect such evidence has a probability of %s, by placebos shifted beyond the window", r.calibrated)
		if below, _ := negative(e.y); below == 0 { // else there is no whole to have a share of
			r.Why += fmt.Sprintf("; the effect makes up %.0f %% of the response", 100*rel.Share)
		}
	case correlate.NoEffect:
		r.Why = fmt.Sprintf("such evidence has a probability of %s without an effect, and one of %.0f %% of the response would have been found with a probability of %.0f %%",
			r.calibrated, 100*correlate.RelevantShare, 100*rel.Power)
	default:
		found := fmt.Sprintf("the smallest that is found four times out of five makes up %.0f %%", 100*rel.Detectable)
		if rel.Detectable >= 1 {
			found = "none would be found four times out of five"
		}
		r.Why = fmt.Sprintf("such evidence has a probability of %s without an effect, but one of %.0f %% of the response would have been missed with a probability of %.0f %%; %s",
			r.calibrated, 100*correlate.RelevantShare, 100*(1-rel.Power), found)
	}
	if r.Significant {
		r.returns(rel, step)
	}
	if rel.Merged > 1 {
		r.note("kernels are searched on sums of %d steps (%s), the lag profile on single ones", rel.Merged, series.Short(step*time.Duration(rel.Merged)))
	}
	if rel.Placebos < 5 {
		r.note("the history is short: only about %.0f independent placebos calibrate the probability, so that only strong effects are found", rel.Placebos)
	}
	if extrapolated(rel) {
		r.note("a probability below %.2g lies beyond the %.0f independent placebos and is extrapolated by the tail of their distribution", 1/rel.Placebos, rel.Placebos)
	}
	if !r.Significant && rel.Low == 0 {
		r.note("the interval holds 0; its upper end bounds what may be there")
	}
}

// extrapolated says whether the placebos are too few to show a probability as small as that.
func extrapolated(rel *correlate.Relation) bool { return rel.P*rel.Placebos < 1 }

// roughBelow is from where down one digit is all that is told of a probability that is
// extrapolated; above, the second tells on which side of 5 % it is.
const roughBelow = 0.01

// probability is the calibrated one as texts give it.
func probability(rel *correlate.Relation) string {
	if extrapolated(rel) && rel.P < roughBelow {
		return fmt.Sprintf("about %.1g", rel.P)
	}
	return fmt.Sprintf("%.2g", rel.P)
}

// doubtful is the exponent from which down it makes a difference that proportion is but
// assumed.
const doubtful = 0.75

// returns says whether those of the stimulus diminish.
func (r *Result) returns(rel *correlate.Relation, step time.Duration) {
	r.Effect.Exponent, r.Effect.ExponentLow, r.Effect.ExponentHigh = &rel.Exponent, &rel.ExponentLow, &rel.ExponentHigh
	switch {
	case rel.Exponent < 1:
		r.note("returns diminish: what acts is the stimulus of each %s to the power of %.2g (%.0f %% interval %.2g to %.2g); the effect per unit is what a unit adds on average, and large steps earn less than in proportion",
			series.Short(step*time.Duration(rel.Merged)), rel.Exponent, 100*rel.Level, rel.ExponentLow, rel.ExponentHigh)
	case rel.ExponentLow <= doubtful:
		least := fmt.Sprintf("%.2g or more", rel.ExponentLow)
		if rel.ExponentLow == 0 {
			least = "any"
		}
		r.note("the effect is taken to be in proportion to the stimulus, but the data do not tell: that only a power of it acts (%s) is not refuted, and a unit would be worth more on average than the interval says",
			least)
	}
}

func at(v int64) *int64 { return &v }

func reasons(rel *correlate.Relation, window time.Duration) string {
	switch rel.Reason {
	case correlate.FlatStimulus:
		return "the stimulus does not vary, so that nothing can follow it"
	case correlate.FlatResponse:
		return "the response does not vary beyond its baseline, so that it follows nothing"
	case correlate.Falling:
		return "the response falls with the stimulus rather than rises, and effects are sought that are at least 0: to measure how far it falls, give the response with its sign turned and a constant added"
	case correlate.Confounded:
		return "a confounder is the stimulus itself, or made of it, or explains all of the response, so that nothing is left to judge by: leave it out"
	case correlate.Unreliable:
		return fmt.Sprintf("such evidence has a probability of %s without an effect, but the interval of its size is unreliable: planted into placebos, the same effect would be held by only %.0f %% of them, so that no size is told; look at the series (--plot), and declare what else moves them (--calendar, --confounder)",
			probability(rel), 100*rel.Realised)
	default:
		return fmt.Sprintf("there is too little history: a window of %s needs about %s in which at least half of both series is known",
			series.Short(window), series.Short(4*window))
	}
}

// WriteJSON writes the result as one JSON object.
func (r *Result) WriteJSON(to io.Writer) error {
	e := json.NewEncoder(to)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// WriteText writes the result for people.
func (r *Result) WriteText(to io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-13s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("verdict", "%s", r.Verdict)
	line("why", "%s", r.Why)
	line("p", "calibrated %s; by autocorrelation alone %.3g; naive %.3g", r.calibrated, r.P.Autocorrelation, r.P.Naive)
	chance := ""
	if !r.Significant {
		chance = ", which is not significant"
	}
	if r.BestLagS != nil {
		line("best lag", "%s%s", seconds(*r.BestLagS), chance)
	}
	if r.Effect.PerUnit != nil {
		decays := "halving every " + seconds(*r.Kernel.HalfLifeS)
		if *r.Kernel.HalfLifeS == 0 {
			decays = "all at once"
		}
		line("kernel", "after %s, %s%s", seconds(*r.Kernel.DelayS), decays, chance)
		line("effect", "%s of response per unit of stimulus, %.0f %% interval %s to %s (held by %.0f %% of placebos)",
			number(*r.Effect.PerUnit), 100*r.Effect.Level, number(*r.Effect.Low), number(*r.Effect.High), 100*(*r.Effect.Realised))
	}
	credited := 0.0
	for _, c := range r.Credit {
		credited += c.Units
	}
	line("credit", "%s of the response to the stimulus, %s to the baseline", number(credited), number(r.BaselineUnits))
	if r.RevenueMicros != nil {
		line("revenue", "%s in all: %s to the stimulus, %s to the baseline",
			money(*r.RevenueMicros), money(*r.RevenueMicros-*r.BaselineRevenueMicros), money(*r.BaselineRevenueMicros))
	}
	for _, n := range r.Notes {
		line("note", "%s", n)
	}
	if _, err := io.WriteString(to, b.String()); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

func seconds(s int64) string { return series.Short(time.Duration(s) * time.Second) }

func number(v float64) string {
	if v != 0 && (math.Abs(v) >= 1e6 || math.Abs(v) < 1e-3) {
		return fmt.Sprintf("%.3g", v)
	}
	return fmt.Sprintf("%.4g", v)
}

func money(micros int64) string {
	sign := ""
	if micros < 0 {
		sign = "-"
	}
	whole, part := micros/1e6, micros%1e6
	if micros < 0 {
		whole, part = -whole, -part
	}
	return fmt.Sprintf("%s%d.%06d", sign, whole, part)
}

func stamp(at time.Time) string { return at.UTC().Format(time.DateTime) }
