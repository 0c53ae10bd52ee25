package demo

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"flywheel/services/demo/oracle"
)

// Report is what a demo found, as it is written to the report file. Every
// figure is counted from ClickHouse or taken from the ledger of what was sent,
// none from the pipeline's own counters.
type Report struct {
	oracle.Verdict

	LatencyMs LatencyMs `json:"latency_ms"`
	// ThroughputPerS is the rows of the backfill over the time from the first
	// one's Kafka timestamp to the moment ClickHouse took the last one.
	ThroughputPerS float64 `json:"throughput_per_s"`
	// CPUSPerMillion is CPU seconds of the whole process per million events, from
	// the begin of the play to the end of the drain: Kafka, registry, ClickHouse,
	// simulator, processor, sink and screen.
	CPUSPerMillion float64 `json:"cpu_s_per_million"`

	Run    RunInfo   `json:"run"`
	Brands []Finding `json:"brands"`
}

// LatencyMs is milliseconds from Kafka's timestamp of an event to its row
// (P50, P99) and to a result that rests on it (AnswerP50, AnswerP99; nil where
// there is none yet), in live play.
type LatencyMs struct {
	P50       float64  `json:"p50"`
	P99       float64  `json:"p99"`
	AnswerP50 *float64 `json:"answer_p50"`
	AnswerP99 *float64 `json:"answer_p99"`
}

// RunInfo says what was played.
type RunInfo struct {
	Seed    uint64    `json:"seed"`
	Brands  int       `json:"brands"`
	Start   time.Time `json:"start"` // of event time
	Live    time.Time `json:"live"`
	End     time.Time `json:"end"`
	Seconds float64   `json:"seconds"` // of real time, from the begin of the play to the end of the drain
}

// Finding is what was found out about a brand beside what was planted, for
// force 1: what TikTok does to Amazon.
type Finding struct {
	BrandID  string   `json:"brand_id"`
	Name     string   `json:"name"`
	Currency string   `json:"currency"`
	Verdict  string   `json:"verdict"`
	Reason   string   `json:"reason"` // why the evidence is insufficient
	LagHours *float64 `json:"lag_hours"`
	// CreditedMicros is the Amazon revenue credited to TikTok over the whole
	// play, CausedMicros what TikTok caused.
	CreditedMicros int64 `json:"credited_micros"`
	CausedMicros   int64 `json:"caused_micros"`
	// Multiplier is that of the last 72 hours and Low to High its nominal 95 %
	// interval; 0 without evidence. PlantedMultiplier is the truth about the same
	// hours.
	Multiplier        float64 `json:"multiplier"`
	Low               float64 `json:"multiplier_low"`
	High              float64 `json:"multiplier_high"`
	PlantedMultiplier float64 `json:"planted_multiplier"`
	PlantedDelayHours float64 `json:"planted_delay_hours"`
	PlantedNull       bool    `json:"planted_null"` // posts have no effect
}

// write puts the report into a file, whole or not at all.
func (r *Report) write(file string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if err := renameio.WriteFile(file, append(data, '\n'), 0o644, renameio.WithTempDir(filepath.Dir(file))); err != nil {
		return fmt.Errorf("write the report to %q: %w", file, err)
	}
	return nil
}
