package verify

import (
	"fmt"

	"gonum.org/v1/gonum/stat/distuv"
)

// Tally counts what may be other than planted, or than in the batch, where nothing is
// wrong, and of how many: it is a statistic that finds spikes, and a stream cannot go back
// for ever. TooMuch bounds it, in a play, and in all plays of a proof added up: what chance
// brings once, a mistake brings in every play.
type Tally struct {
	Looks       int `json:"looks"`        // plays that are added up
	Planted     int `json:"planted"`      // spikes planted after the tenth day
	Missed      int `json:"missed"`       // of these, without an alert
	Doubled     int `json:"doubled"`      // planted spikes with more than one alert
	Windows     int `json:"windows"`      // compared with the batch
	Final       int `json:"final"`        // of these beyond restatement, that differ
	Spiked      int `json:"spiked"`       // spikes compared with the batch
	Beside      int `json:"beside"`       // of these, that differ in what was known beside them only, but for those Unsettled
	Unsettled   int `json:"unsettled"`    // of these, provisional, and settled in the batch by a report that has come since
	OutOfSight  int `json:"out_of_sight"` // spikes out of sight of the last look, compared with the batch
	FinalSpikes int `json:"final_spikes"` // of these, that differ
}

// Add adds what another play has found.
func (t *Tally) Add(o Tally) {
	t.Looks += o.Looks
	t.Planted += o.Planted
	t.Missed += o.Missed
	t.Doubled += o.Doubled
	t.Windows += o.Windows
	t.Final += o.Final
	t.Spiked += o.Spiked
	t.Beside += o.Beside
	t.Unsettled += o.Unsettled
	t.OutOfSight += o.OutOfSight
	t.FinalSpikes += o.FinalSpikes
}

// TooMuch says what there is more of than chance brings once in a thousand times.
//
// Of the 2 802 spikes planted after the tenth day into 400 worlds like a play's, 4 to 8 in
// each, a batch finds all but 4, and 3 of them twice, each in another world
// (go test ./services/simulator -run Planted -args -worlds 400). A spike that is out of
// sight of the last look, six days before the end, stands as it was last seen: of 285 of
// them in 72 such worlds, read every six hours, none was other than in the batch. Of all
// 600 spikes there 15 said of the effect or the posts beside them what a batch says
// otherwise. So of eight spikes one may be missed, one doubled and three be other beside.
//
// When a report comes does not hang on the stream: in 42 plays 26 of 352 spikes were other
// in any of these fields, and of four that were looked at three were provisional where the
// report came after their last change. So of eight four may be.
//
// Windows beyond restatement differ in runs, all of a brand for a while, and are no
// independent draws: none has differed in seven looks at 7 352 windows. A play may have
// one of 50; all plays together what one may have, and a tenth of what each may.
func (t *Tally) TooMuch() (all []Failure) {
	for _, c := range []struct {
		oracle, what string
		is, of       int
		usual        frequency
	}{
		{OracleEpisodes, "planted spikes have no alert", t.Missed, t.Planted, frequency{4, 2802}},
		{OracleEpisodes, "planted spikes have more than one alert each", t.Doubled, t.Planted, frequency{3, 2802}},
		{OracleBatch, "spikes that are out of sight differ from the batch", t.FinalSpikes, t.OutOfSight, frequency{0, 285}},
		{OracleBatch, "spikes have beside them what the batch says otherwise", t.Beside, t.Spiked, frequency{15, 600}},
		{OracleBatch, "spikes are provisional and settled in the batch", t.Unsettled, t.Spiked, frequency{26, 352}},
	} {
		if most := c.usual.most(c.of); c.is > most {
			all = append(all, Failure{c.oracle, fmt.Sprintf("%d of %d %s, more than %d", c.is, c.of, c.what, most)})
		}
	}
	most := t.Windows / 50
	if t.Looks > 1 {
		most = (t.Windows/t.Looks + t.Windows/10) / 50
	}
	if t.Final > most {
		all = append(all, Failure{OracleBatch, fmt.Sprintf("%d of %d windows differ from the batch, which may be as they are beyond restatement, more than %d", t.Final, t.Windows, most)})
	}
	return all
}

// frequency is how many of some trials had an outcome.
type frequency struct{ had, trials int }

// highest is the upper end of the 95 % interval of the outcome's probability (C. J. Clopper
// & E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
// binomial", Biometrika 26, 1934).
func (f frequency) highest() float64 {
	return distuv.Beta{Alpha: float64(f.had + 1), Beta: float64(f.trials - f.had)}.Quantile(0.975)
}

// most is how many of n further trials have the outcome at the highest probability, but
// for one time in a thousand.
func (f frequency) most(n int) (k int) {
	for of := (distuv.Binomial{N: float64(n), P: f.highest()}); of.Survival(float64(k)) > 0.001; {
		k++
	}
	return k
}
