// Package verify checks, after a play, everything that has to be true whatever
// was killed, stalled or refused on the way. It reads Kafka and ClickHouse only:
// what the services say about themselves counts for nothing.
package verify

import (
	"cmp"
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
	OracleRaw      = "raw rows say what their records say"
	OracleBatch    = "results are those of a batch over the raw tables"
	OraclePresent  = "every force and every day with money is there, and up to date"
	OracleTotals   = "totals are those summed by hand"
)

// Oracles returns their names.
func Oracles() []string {
	return []string{OracleLedger, OracleEpisodes, OracleRising, OracleNewest, OracleRaw, OracleBatch, OraclePresent, OracleTotals}
}

// Failure is one thing that is not as it has to be.
type Failure struct {
	Oracle string `json:"oracle"`
	Text   string `json:"text"`
}

// Result is what was checked, and what failed.
type Result struct {
	oracle.Verdict
	Tally

	Rows     int       `json:"rows"`    // of results, compared with Kafka
	Raw      int       `json:"raw"`     // rows of events and brands, compared with Kafka
	Days     int       `json:"days"`    // credit rows compared with the batch in all they say
	Letters  int       `json:"letters"` // dead letters compared with their records
	Totals   int       `json:"totals"`  // compared with a sum by hand
	Newest   int       `json:"newest"`  // windows that were asked how new they are
	Failures []Failure `json:"failures"`
}

// Pipeline is where the pipeline's data are.
type Pipeline struct {
	Kafka    kafka.Config
	Registry codec.Registry
	Conn     driver.Conn
	Topology topology.Config // of the processors
	Replays  int             // how often the input was processed again from its start
	Since    int64           // spikes of a lower revision are of a state that was deleted, and are deleted as well
	Failures int             // of one oracle that are kept at the most; 0 for enough to see what is wrong
}

// checker collects what fails.
type checker struct {
	*Result

	kafka    kafka.Config
	registry codec.Registry
	conn     driver.Conn
	topology topology.Config
	replays  int
	since    int64
	most     int
	letters  map[string]int // dead letters in Kafka by the record they are about
}

// failuresMax is how many failures of one oracle are kept where nobody wants more.
const failuresMax = 20

func (c *checker) fail(oracle, format string, args ...any) {
	n := 0
	for _, f := range c.Failures {
		if f.Oracle == oracle {
			n++
		}
	}
	if n < c.most {
		c.Failures = append(c.Failures, Failure{oracle, fmt.Sprintf(format, args...)})
	}
}

// All checks a pipeline that has finished and is stopped against the ledger of
// what was sent to it. The error says what could not be looked at.
func All(ctx context.Context, p Pipeline, ledger *simulator.Detail) (Result, error) {
	var r Result
	c := &checker{&r, p.Kafka, p.Registry, p.Conn, p.Topology, p.Replays, p.Since, cmp.Or(p.Failures, failuresMax), nil}
	facts, err := oracle.Gather(ctx, c.conn)
	if err != nil {
		return r, err
	}
	facts.Replays = p.Replays
	r.Verdict = oracle.Judge(ledger, &facts)
	for _, problem := range r.Problems {
		c.fail(OracleLedger, "%s", problem)
	}
	r.Looks, r.Planted, r.Missed, r.Doubled = 1, r.Spikes.Planted-r.Spikes.Early, r.Spikes.Missed, r.Spikes.Doubled
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
	r.Failures = append(r.Failures, r.TooMuch()...)
	return r, c.present(ctx, b)
}
