// Package bench measures the pipeline with the load FLYWHEEL-72: processor, sink,
// broker and ClickHouse are processes of their own, and each figure is that of
// the process it is about.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"flywheel/loadtest/workload"
	"flywheel/services/processor"
	"flywheel/services/sink"
)

// Broker says on which Kafka is measured.
type Broker string

// The brokers.
const (
	Embedded Broker = "embedded"
	Apache   Broker = "apache"
)

// Config of a bench.
type Config struct {
	Binary     string // of flywheel
	Dir        string // for data; exists
	CacheDir   string // where Apache Kafka and the registry are installed
	LibraryDir string // where the ClickHouse library is; empty for its usual place
	Brokers    []Broker
	Brands     []int // numbers of brands, ascending
	Events     int   // of each backlog
	Out        io.Writer
}

// Validate reports what cannot work.
func (c Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, fmt.Errorf("there is no broker: take %s or %s", Embedded, Apache))
	}
	for _, b := range c.Brokers {
		if b != Embedded && b != Apache {
			errs = append(errs, fmt.Errorf("there is no broker %q: take %s or %s", b, Embedded, Apache))
		}
	}
	if len(c.Brands) == 0 {
		errs = append(errs, errors.New("no number of brands is given"))
	}
	if c.Events < 1 {
		errs = append(errs, fmt.Errorf("events: %d is not 1 or more", c.Events))
	}
	return errors.Join(errs...)
}

// Report is what was measured.
type Report struct {
	Runs []Run `json:"runs"`
}

// Run is a backlog of a number of brands on one broker.
type Run struct {
	Broker    Broker           `json:"broker"`
	Brands    int              `json:"brands"`
	Processor processor.Report `json:"processor"`
	BrokerCPU float64          `json:"broker_cpu_seconds"` // meanwhile
	Restored  processor.Report `json:"restored"`           // of a start with the whole state to restore
	Sink      *sink.Report     `json:"sink,omitempty"`
}

// Measure measures everything, one thing after the other.
func Measure(ctx context.Context, cfg Config) (r Report, err error) {
	if err := cfg.Validate(); err != nil {
		return r, err
	}
	for _, broker := range cfg.Brokers {
		for _, brands := range cfg.Brands {
			run, err := measure(ctx, cfg, broker, brands)
			if err != nil {
				return r, fmt.Errorf("measure %d brands on the %s broker: %w", brands, broker, err)
			}
			r.Runs = append(r.Runs, run)
		}
	}
	return r, nil
}

func measure(ctx context.Context, cfg Config, broker Broker, brands int) (run Run, err error) {
	say := func(format string, args ...any) { fmt.Fprintf(cfg.Out, format+"\n", args...) }
	run = Run{Broker: broker, Brands: brands}
	e, err := open(ctx, cfg, broker, false)
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	began := time.Now()
	if err := e.fill(ctx, workload.Flywheel72(brands, cfg.Events, time.Now())); err != nil {
		return run, err
	}
	say("%s, %d brands: %d records sent in %s", broker, brands, cfg.Events, time.Since(began).Round(time.Second))
	if run.Processor, run.BrokerCPU, err = e.drainProcessor(ctx); err != nil {
		return run, err
	}
	p := run.Processor
	say("  drained at %.0f events/s, %.2f CPU-s/M (settled %.2f after %.1f s), broker %.2f; heap %.1f KB a brand, changelog %.0f B and %.2f slots an event, evaluations %d, dead letters %d",
		p.EventsPerSecond, p.CPUSecondsPerMillion, p.SettledCPUSeconds*1e6/float64(p.Events), p.SettledSeconds, run.BrokerCPU*1e6/float64(p.Events),
		float64(p.HeapBytes)/float64(p.Brands)/1024, float64(p.ChangelogBytes)/float64(p.Events), float64(p.ChangelogRecords)/float64(p.Events), p.Evaluations, p.DeadLetters)
	if run.Restored, _, err = e.drainProcessor(ctx); err != nil {
		return run, err
	}
	say("  restored %d brands from %d records in %.2f s, %.1f CPU-s; heap %d MB, resident %d MB", run.Restored.Brands, run.Restored.RestoredRecords,
		run.Restored.RestoreSeconds, run.Restored.CPUSeconds, run.Restored.HeapBytes>>20, run.Restored.RSSBytesMax>>20)
	return run, nil
}
