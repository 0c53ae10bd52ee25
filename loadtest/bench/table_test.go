package bench_test

import (
	"strings"
	"testing"

	"flywheel/loadtest/bench"
	"flywheel/loadtest/stage"
	"flywheel/services/processor"
)

// TestTheTableShowsEachFigureBesideItsTarget holds that columns and rows match.
func TestTheTableShowsEachFigureBesideItsTarget(t *testing.T) {
	r := bench.Report{
		Machine: bench.Machine{Cores: 2, GiB: 24, System: "linux/amd64", Go: "go1.26", Commit: "abc", Date: "2026-11-25", Note: "The machine was busy."},
		Runs: []bench.Run{
			{Broker: stage.Embedded, Brands: 1000, Processor: processor.Report{Events: 4_000_000, EventsPerSecond: 250_000, CPUSecondsPerMillion: 2.5}, Costs: []float64{2.4, 2.5, 2.64}},
			{Broker: stage.Embedded, Brands: 100_000, Processor: processor.Report{CPUSecondsPerMillion: 2.9}, Restored: processor.Report{Brands: 1, HeapBytes: 65 << 10}},
			{Broker: stage.Apache, Brands: 1000, Processor: processor.Report{Events: 1, EventsPerSecond: 249_999, CPUSecondsPerMillion: 2}, AfterKill: bench.Restart{Result: 6.5, Row: 3.25}},
			{Broker: stage.Apache, Brands: 100_000, Processor: processor.Report{CPUSecondsPerMillion: 3.1, EventsPerSecond: 250_000}, AfterKill: bench.Restart{Row: 10}},
		},
		Month: []bench.Run{{Broker: stage.Embedded, Brands: 1000, Processor: processor.Report{Events: 4_000_000, CPUSecondsPerMillion: 3}, AfterKill: bench.Restart{Row: 10.5}}},
		Together: []bench.Together{
			{Broker: stage.Embedded, Brands: 1000, Rows: bench.Latency{P50: 3000, P99: 2001, P999: 3000}},
			{Broker: stage.Apache, Brands: 1000, Rows: bench.Latency{N: 1, P50: 512, P99: 1234, P999: 1500}},
		},
	}
	text := r.Table()
	for _, want := range []string{
		"2 cores", "24 GiB", "commit abc", "The machine was busy.",
		"| events drained a second | 250 000 | **0** | **249 999** | 250 000 | 800 000 to 1 060 000: reading alone | ≥ 250 000 |",
		"| CPU-s per million events, processor | 2.50 | 2.90 | 2.00 | **3.10** | 1.2 to 1.6 | ≤ 3 |",
		"| the same, from the middle of a broker's, % | -7 | 7 | **-22** | **22** | 0 | ± 20 |",
		"| runs of it | 3 | 0 | 0 | 0 |",
		"| from the cheapest to the dearest of them, % | 10 | 0 | 0 | 0 |",
		"| heap of a restored processor, KB a brand | 0.0 | **65.0** | 0.0 | 0.0 | 16 B for each of its snapshots | ≤ 64 |",
		"| growth of an event's cost over 72 hours | 1.20 | 1 |",
		"| from kill −9 to the first result in Kafka, s | 0.00 | 0.00 | 6.50 | 0.00 | 0.2: a restart without state |",
		"| from kill −9 to the first correct row in ClickHouse, s | 0.00 | 0.00 | **3.25** | 10.00 | the row above, and up to 1: the flush interval | 1 k: ≤ 3, 100 k: ≤ 10 |",
		"| from kill −9 to the first correct row in ClickHouse, s | **10.50** | the row above",
		"| event to its row, p50 ms | 3 000 | 512 |",
		"| event to its row, p99 ms | **2 001** | 1 234 | 1 000: the flush interval | ≤ 2 000 |",
		"apache, 100 000 brands",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the table lacks %q:\n%s", want, text)
		}
	}
	columns := 0
	for line := range strings.Lines(text) {
		switch {
		case !strings.HasPrefix(line, "|"):
			columns = 0
		case columns == 0:
			columns = strings.Count(line, "|")
		case strings.Count(line, "|") != columns:
			t.Errorf("a row has not the columns of its table: %s", line)
		}
	}
}

func TestWhatCannotBeMeasuredIsRefused(t *testing.T) {
	good := bench.Config{Brokers: []stage.Broker{stage.Embedded}, Brands: []int{1}, Events: 1, Repeat: 1}
	for name, change := range map[string]func(*bench.Config){
		"no broker":        func(c *bench.Config) { c.Brokers = nil },
		"an unknown one":   func(c *bench.Config) { c.Brokers = []stage.Broker{"rabbit"} },
		"no brands":        func(c *bench.Config) { c.Brands = nil },
		"a backlog of nil": func(c *bench.Config) { c.Events = 0 },
		"no runs":          func(c *bench.Config) { c.Repeat = 0 },
		"no median":        func(c *bench.Config) { c.Repeat = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			change(&cfg)
			if cfg.Validate() == nil {
				t.Error("it was accepted")
			}
		})
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}
