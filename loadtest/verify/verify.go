// Package verify checks, after a play, everything that has to be true whatever
// was killed, stalled or refused on the way. It reads Kafka and ClickHouse only:
// what the services say about themselves counts for nothing.
package verify

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"flywheel/pkg/codec"
	"flywheel/pkg/kafka"
	"flywheel/pkg/topology"
	"flywheel/services/demo/oracle"
	"flywheel/services/simulator"
)

// Names of the oracles.
const (
	OracleLedger   = "one effect or one reason each, credits and baseline are the revenue"
	OracleEpisodes = "one spike for an episode"
	OracleRising   = "revisions rise"
	OracleNewest   = "ClickHouse holds the newest revisions"
	OracleBatch    = "results are those of a batch over the raw tables"
	OraclePresent  = "every force and every day with money is there"
	OracleTotals   = "totals are those summed by hand"
)

// What a correct pipeline may do to the spikes of a play: it is a statistic that finds
// them, and a stream cannot go back for ever.
//
// Of the 2 802 spikes planted after the tenth day into 400 worlds like a play's, 4 to 8 in
// each, a batch finds all but 4, and 3 of them twice, each in another world
// (go test ./services/simulator -run Planted -args -worlds 400). So one is missed with a
// probability of at most 0.37 %, and found twice with one of at most 0.32 % (Clopper &
// Pearson, 95 %), and two of eight in at most 28·0.0037² = 0.04 % of the plays.
//
// A spike that is out of sight of the last look, six days before the end, stands as it was
// last seen. Of 285 of them in 72 such worlds, read every six hours, none was other than in
// the batch, and so with a probability of at most 1.3 %: two of four in at most 0.1 %. Of
// all 600 spikes 15 said of the effect or the posts beside them what a batch says otherwise.
const (
	missedMax      = 1
	doubledMax     = 1
	finalSpikesMax = 1
)

// Failure is one thing that is not as it has to be.
type Failure struct {
	Oracle string `json:"oracle"`
	Text   string `json:"text"`
}

// Result is what was checked, and what failed.
type Result struct {
	oracle.Verdict

	Rows        int       `json:"rows"`         // of results, compared with Kafka
	Windows     int       `json:"windows"`      // compared with the batch
	Days        int       `json:"days"`         // credit rows compared with the batch
	Spiked      int       `json:"spiked"`       // spikes compared with the batch
	Letters     int       `json:"letters"`      // dead letters compared with their records
	Totals      int       `json:"totals"`       // compared with a sum by hand
	Final       int       `json:"final"`        // windows beyond restatement that differ, as they may
	FinalDays   int       `json:"final_days"`   // credit rows beyond restatement, of which only the money is compared
	FinalSpikes int       `json:"final_spikes"` // spikes out of sight that differ, as they may
	Beside      int       `json:"beside"`       // spikes of which more or other things are known since
	Failures    []Failure `json:"failures"`
}

// Pipeline is where the pipeline's data are.
type Pipeline struct {
	Kafka    kafka.Config
	Registry codec.Registry
	Conn     driver.Conn
	Topology topology.Config // of the processors
	Replays  int             // how often the input was processed again from its start
	Since    int64           // spikes of a lower revision are of a state that was deleted, and are deleted as well
}

// checker collects what fails.
type checker struct {
	*Result

	kafka    kafka.Config
	registry codec.Registry
	conn     driver.Conn
	topology topology.Config
	since    int64
}

// failuresMax bounds the failures of one oracle that are kept.
const failuresMax = 20

func (c *checker) fail(oracle, format string, args ...any) {
	n := 0
	for _, f := range c.Failures {
		if f.Oracle == oracle {
			n++
		}
	}
	if n < failuresMax {
		c.Failures = append(c.Failures, Failure{oracle, fmt.Sprintf(format, args...)})
	}
}

// All checks a pipeline that has finished and is stopped against the ledger of
// what was sent to it. The error says what could not be looked at.
func All(ctx context.Context, p Pipeline, ledger *simulator.Detail) (Result, error) {
	var r Result
	c := &checker{&r, p.Kafka, p.Registry, p.Conn, p.Topology, p.Since}
	facts, err := oracle.Gather(ctx, c.conn)
	if err != nil {
		return r, err
	}
	facts.Replays = p.Replays
	r.Verdict = oracle.Judge(ledger, &facts)
	for _, problem := range r.Problems {
		c.fail(OracleLedger, "%s", problem)
	}
	if r.Spikes.Doubled > doubledMax {
		c.fail(OracleEpisodes, "%d planted spikes have more than one alert each", r.Spikes.Doubled)
	}
	if r.Spikes.Missed > missedMax {
		c.fail(OracleEpisodes, "%d of %d planted spikes have no alert", r.Spikes.Missed, r.Spikes.Planted-r.Spikes.Early)
	}
	if err := c.committed(ctx); err != nil {
		return r, err
	}
	b, err := c.batch(ctx)
	if err != nil {
		return r, err
	}
	if err := c.windows(ctx, b); err != nil {
		return r, err
	}
	if err := c.days(ctx, b); err != nil {
		return r, err
	}
	if err := c.spikes(ctx, b); err != nil {
		return r, err
	}
	if r.FinalSpikes > finalSpikesMax {
		c.fail(OracleBatch, "%d spikes that are out of sight differ from the batch, more than %d", r.FinalSpikes, finalSpikesMax)
	}
	if 2*r.Beside > r.Spiked {
		c.fail(OracleBatch, "what is known beside %d of %d spikes is not what the batch says, and most do not change", r.Beside, r.Spiked)
	}
	if most := (r.Windows + r.Days) / 50; r.Final > most {
		c.fail(OracleBatch, "%d windows beyond restatement differ from the batch, more than %d of %d", r.Final, most, r.Windows)
	}
	return r, c.present(ctx, b)
}
