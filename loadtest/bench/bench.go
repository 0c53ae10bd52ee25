// Package bench measures the pipeline with the load FLYWHEEL-72: processor, sink,
// broker and ClickHouse are processes of their own, and each figure is that of
// the process it is about.
package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"flywheel/loadtest/stage"
	"flywheel/loadtest/workload"
	"flywheel/services/processor"
)

// Config of a bench.
type Config struct {
	Binary     string // of flywheel
	Dir        string // for data; exists
	CacheDir   string // where Apache Kafka and the registry are installed
	LibraryDir string // where the ClickHouse library is; empty for its usual place
	Brokers    []stage.Broker
	Brands     []int         // numbers of brands, ascending
	Events     int           // of each backlog
	Repeat     int           // times that each backlog is measured, an odd number
	Live       time.Duration // how long events are played as they come; 0 leaves it out
	Rate       float64       // of them a second; 0 takes half of what a backlog is drained at
	Month      bool          // measure 30 days as well
	Out        io.Writer
}

// Validate reports what cannot work.
func (c Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, fmt.Errorf("there is no broker: take %s or %s", stage.Embedded, stage.Apache))
	}
	for _, b := range c.Brokers {
		if b != stage.Embedded && b != stage.Apache {
			errs = append(errs, fmt.Errorf("there is no broker %q: take %s or %s", b, stage.Embedded, stage.Apache))
		}
	}
	if len(c.Brands) == 0 {
		errs = append(errs, errors.New("no number of brands is given"))
	}
	if c.Events < 1 {
		errs = append(errs, fmt.Errorf("events: %d is not 1 or more", c.Events))
	}
	if c.Repeat < 1 || c.Repeat%2 == 0 {
		errs = append(errs, fmt.Errorf("repeat: %d is not odd and 1 or more: there would be no median", c.Repeat))
	}
	return errors.Join(errs...)
}

// Report is what was measured.
type Report struct {
	Machine  Machine    `json:"machine"`
	Runs     []Run      `json:"runs"`
	Month    []Run      `json:"month"` // the fewest brands again, over 30 days instead of 72 hours
	Together []Together `json:"together"`
}

// Machine is what was measured on.
type Machine struct {
	Cores  int    `json:"cores"`
	GiB    int    `json:"gib"`
	System string `json:"system"`
	Go     string `json:"go"`
	Commit string `json:"commit"`
	Date   string `json:"date"`
	Note   string `json:"note,omitempty"`
}

// Run is a backlog of a number of brands on one broker. Of several it is the one with
// the median cost, and the slowest restart.
type Run struct {
	Broker    stage.Broker     `json:"broker"`
	Brands    int              `json:"brands"`
	Hours     float64          `json:"hours"`
	Processor processor.Report `json:"processor"`
	Costs     []float64        `json:"cpu_s_per_million"`        // of the processor each time, ascending
	BrokerCPU float64          `json:"broker_cpu_s_per_million"` // meanwhile
	Restored  processor.Report `json:"restored"`                 // of a start with the whole state to restore
	AfterKill Restart          `json:"after_kill"`
}

// month is the longer span.
const month = 30 * 24 * time.Hour

// Measure measures everything, one thing after the other. On an error it returns
// what it has.
func Measure(ctx context.Context, cfg Config) (r Report, err error) {
	if err := cfg.Validate(); err != nil {
		return r, err
	}
	r.Machine = machine(ctx)
	for _, broker := range cfg.Brokers {
		for _, brands := range cfg.Brands {
			run, err := repeated(ctx, cfg, broker, brands, 72*time.Hour)
			if err != nil {
				return r, fmt.Errorf("measure %d brands on the %s broker: %w", brands, broker, err)
			}
			r.Runs = append(r.Runs, run)
		}
		if cfg.Live > 0 {
			t, err := together(ctx, cfg, broker, cfg.Brands[0])
			if err != nil {
				return r, fmt.Errorf("measure processor and sink side by side on the %s broker: %w", broker, err)
			}
			r.Together = append(r.Together, t)
		}
	}
	if !cfg.Month {
		return r, nil
	}
	for _, broker := range cfg.Brokers {
		run, err := repeated(ctx, cfg, broker, cfg.Brands[0], month)
		if err != nil {
			return r, fmt.Errorf("measure a month on the %s broker: %w", broker, err)
		}
		r.Month = append(r.Month, run)
	}
	return r, nil
}

// repeated measures a backlog as often as is asked for, each time with engines of its own.
func repeated(ctx context.Context, cfg Config, broker stage.Broker, brands int, span time.Duration) (Run, error) {
	runs := make([]Run, cfg.Repeat)
	for i := range runs {
		var err error
		if runs[i], err = measure(ctx, cfg, broker, brands, span); err != nil {
			return Run{}, err
		}
	}
	return typical(runs), nil
}

// typical is the run with the median cost, with the slowest restart of all: what a cost
// is told by chance either way, what a restart may take is a promise. It sorts runs.
func typical(runs []Run) Run {
	cost := func(r Run) float64 { return r.Processor.CPUSecondsPerMillion }
	slices.SortFunc(runs, func(a, b Run) int { return cmp.Compare(cost(a), cost(b)) })
	one := runs[len(runs)/2]
	one.Costs = nil
	for _, r := range runs {
		one.Costs = append(one.Costs, cost(r))
		one.AfterKill.Result = max(one.AfterKill.Result, r.AfterKill.Result)
		one.AfterKill.Row = max(one.AfterKill.Row, r.AfterKill.Row)
	}
	return one
}

func measure(ctx context.Context, cfg Config, broker stage.Broker, brands int, span time.Duration) (run Run, err error) {
	say := func(format string, args ...any) { fmt.Fprintf(cfg.Out, format+"\n", args...) }
	run = Run{Broker: broker, Brands: brands, Hours: span.Hours()}
	e, err := open(ctx, cfg, broker, false)
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	began := time.Now()
	load := workload.Flywheel72(brands, cfg.Events, time.Now())
	load.Span = span
	if err := e.fill(ctx, load); err != nil {
		return run, err
	}
	say("%s, %d brands, %.0f h: %d records sent in %s", broker, brands, span.Hours(), cfg.Events, time.Since(began).Round(time.Second))
	var cpu float64
	if run.Processor, cpu, err = e.drainProcessor(ctx); err != nil {
		return run, err
	}
	p := run.Processor
	run.BrokerCPU = cpu * 1e6 / float64(p.Events)
	say("  drained at %.0f events/s, %.2f CPU-s/M (settled %.2f after %.1f s), broker %.2f; heap while draining %.1f KB a brand, changelog %.0f B and %.2f slots an event, evaluations %d, dead letters %d",
		p.EventsPerSecond, p.CPUSecondsPerMillion, p.SettledCPUSeconds*1e6/float64(p.Events), p.SettledSeconds, run.BrokerCPU,
		float64(p.HeapBytes)/float64(p.Brands)/1024, float64(p.ChangelogBytes)/float64(p.Events), float64(p.ChangelogRecords)/float64(p.Events), p.Evaluations, p.DeadLetters)
	if run.Restored, _, err = e.drainProcessor(ctx); err != nil {
		return run, err
	}
	if run.AfterKill, err = e.afterKill(ctx, cfg.LibraryDir); err != nil {
		return run, err
	}
	say("  restored %d brands from %d records in %.2f s, %.1f CPU-s; heap %d MB, resident %d MB; from kill −9 %.2f s to the first result in Kafka, %.2f s to the first correct row in ClickHouse", run.Restored.Brands, run.Restored.RestoredRecords,
		run.Restored.RestoreSeconds, run.Restored.CPUSeconds, run.Restored.HeapBytes>>20, run.Restored.RSSBytesMax>>20, run.AfterKill.Result, run.AfterKill.Row)
	return run, nil
}
