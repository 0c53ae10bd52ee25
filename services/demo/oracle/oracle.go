// Package oracle knows what has to be true after a play, whatever happened on the
// way: it waits until the pipeline has finished, and holds what ClickHouse has
// against the ledger of what was sent, which is an implementation of the rules
// apart from the pipeline's.
package oracle

import "errors"

// Verdict is what was found. Every figure is counted from ClickHouse or taken
// from the ledger, none from the pipeline's own counters.
type Verdict struct {
	Events     Events     `json:"events"`
	ClickHouse ClickHouse `json:"clickhouse"`

	// Lost counts what had to be there and is not: rows, dead letters, events
	// refused without reason, and cells of revenue (brand, day, node, currency)
	// that hold too little.
	Lost int64 `json:"lost"`
	// DoubleCounted counts what is there too often: rows and dead letters beyond
	// the expected under FINAL, and cells of revenue that hold too much.
	DoubleCounted int64 `json:"double_counted"`
	// Misjudged counts dead letters with another reason, brand or event than
	// they had to have.
	Misjudged int64 `json:"misjudged"`
	// DeadLettered is the dead letters there are.
	DeadLettered int64 `json:"dead_lettered"`
	// ConservationResidualMicros adds up |credits + baseline − revenue| of every
	// credit row, and |revenue − revenue of the ledger| of every brand, day, node
	// and currency.
	ConservationResidualMicros int64 `json:"conservation_residual_micros"`

	Spikes Spikes `json:"spikes"`

	// Problems says, a sentence each, what does not add up and where to look.
	Problems []string `json:"problems"`
	// Details names the records the problems are about, a hundred of a kind.
	Details []string `json:"details"`
}

// Events is what was sent, by the ledger: Sent is Valid, Late, Duplicate and
// Poison together.
type Events struct {
	Sent      int64 `json:"sent"`
	Valid     int64 `json:"valid"`
	Late      int64 `json:"late"`
	Duplicate int64 `json:"duplicate"`
	Poison    int64 `json:"poison"`
	// Future is how many of Poison are sound but lie in the future, and Repeated how
	// many of Valid and Late were sent before. The raw tables hold an event of each
	// that is valid, late or in the future, once.
	Future   int64 `json:"future"`
	Repeated int64 `json:"repeated"`
}

// ClickHouse is the rows there are, under FINAL: of all raw tables, and of
// correlation, credit and spike.
type ClickHouse struct {
	EventRows  int64 `json:"event_rows"`
	ResultRows int64 `json:"result_rows"`
}

// Spikes compares alerts with viral posts that were planted. It is information:
// a statistic may err.
type Spikes struct {
	Planted  int `json:"planted"`  // their response is visible within the play
	Detected int `json:"detected"` // of these, with an alert of the brand while the response lasts
	Doubled  int `json:"doubled"`  // of these, with more than one alert
	Missed   int `json:"missed"`   // without an alert, but for early ones
	False    int `json:"false"`    // alerts that meet none planted
	// Early is how many of the planted ones come in the first ten days, before
	// anything can know the brand's usual level.
	Early int `json:"early"`
	// Confounded is how many of the false ones fall into a declared promotion or
	// stock-out.
	Confounded int `json:"confounded"`
	// Led is how many of the detected ones name the planted post.
	Led int `json:"led"`
	// Driven is how many of the detected ones are laid to the posts with proof.
	Driven int `json:"driven"`
}

// Err is nil if everything adds up, and otherwise says what does not.
func (v *Verdict) Err() error {
	errs := make([]error, len(v.Problems))
	for i, p := range v.Problems {
		errs[i] = errors.New(p)
	}
	return errors.Join(errs...)
}
