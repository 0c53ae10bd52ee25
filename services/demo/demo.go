// Package demo runs the whole pipeline in one process on simulated brands whose
// truth is known, shows what it finds while it finds it, and in the end holds
// what ClickHouse has against the ledger of what was sent. The units are those
// of production, built by the same constructors.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/embedded"
	"flywheel/pkg/run"
	"flywheel/pkg/setup"
)

// Demo runs once.
type Demo struct {
	cfg     Config
	parts   Parts
	report  string
	command string
	screen  *Screen
	logger  *slog.Logger
	meters  metric.MeterProvider
	tracers trace.TracerProvider
	engines *embedded.Engines
	stopped bool // the engines are closed
}

// New checks the configuration and starts nothing. The report goes to a file,
// one in the data folder if it is empty. Command is how the reader starts the
// binary.
func New(cfg Config, parts Parts, report, command string, screen *Screen,
	logger *slog.Logger, meters metric.MeterProvider, tracers trace.TracerProvider,
) (*Demo, error) {
	if err := errors.Join(cfg.Validate(), parts.Processor.Validate(), parts.Sink.Validate(), parts.Simulator.Validate()); err != nil {
		return nil, fmt.Errorf("check the demo's configuration: %w", err)
	}
	parts.Embedded.DataDir = Folder(parts.Embedded)
	parts.Embedded.Kafka, parts.Embedded.Registry, parts.Embedded.ClickHouse = true, true, true
	engines, err := embedded.New(parts.Embedded, embedded.WithLogger(logger), embedded.WithProgress(screen.out))
	if err != nil {
		return nil, err
	}
	if report != "" {
		if err := writable(report); err != nil {
			return nil, err
		}
	}
	return &Demo{
		cfg: cfg, parts: parts, report: report, command: command, screen: screen,
		logger: logger, meters: meters, tracers: tracers, engines: engines,
	}, nil
}

// ErrInterrupted says that the demo was stopped before it could check anything.
var ErrInterrupted = errors.New("the demo was stopped before its end, so nothing was checked")

// enginesCloseTimeout bounds how long running queries may go on in the end.
const enginesCloseTimeout = 15 * time.Second

// Run plays, checks, writes the report and sums up. Its error says what is
// wrong: something could not be done, or does not add up, or an ErrInterrupted
// when ctx ended before. The units beside run as long as the play.
func (d *Demo) Run(ctx context.Context, beside ...run.Unit) error {
	dir := d.engines.Config().DataDir
	if err := free(d.parts.Embedded); err != nil {
		return err
	}
	d.screen.say("Starting Kafka, schema registry and ClickHouse in this process.") // first: to empty the folder may take seconds
	if err := empty(dir); err != nil {
		return err
	}
	p, err := d.run(ctx, beside)
	if err != nil && full(dir) && !errors.Is(err, syscall.ENOSPC) {
		first, _, _ := strings.Cut(err.Error(), "\n") // what follows has the same cause
		err = fmt.Errorf("the disk of the data folder %q is full: free some space, or set embedded.data_dir to another disk, and run the demo again: %s", dir, first)
	}
	switch {
	case p == nil || p.report == nil:
		if ctx.Err() != nil {
			if err != nil {
				d.logger.DebugContext(ctx, "interrupted", slog.Any("error.message", err))
			}
			if d.screen.Terminal() {
				d.screen.say("") // below what was cut short
			}
			return ErrInterrupted
		}
		return err
	case d.report == "":
		d.report = filepath.Join(dir, "report.json")
	}
	written := p.report.write(d.report)
	d.summarise(p, written == nil)
	return errors.Join(p.report.Err(), err, written)
}

// run serves the engines and plays on them.
func (d *Demo) run(ctx context.Context, beside []run.Unit) (p *play, err error) {
	if err := d.engines.Start(ctx); err != nil {
		return nil, err
	}
	defer func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), enginesCloseTimeout)
		defer cancel()
		err = errors.Join(err, d.engines.Close(drain))
		d.stopped = true
	}()
	targets, done, err := setup.Embedded(ctx, d.engines, d.parts.Targets, d.logger, d.meters)
	if err != nil {
		return nil, err
	}
	d.screen.say("Ready: %d topics at %s, %d contracts at %s, tables at %s.",
		len(done.Topics), d.engines.KafkaAddr(), len(done.Contracts), d.engines.RegistryURL(), d.engines.ClickHouseURL())
	d.screen.say("While it runs you can ask, in another terminal:\n\n  %s\n", d.query("SELECT brand_id, verdict, round(test_p_value, 6) AS p, best_lag_hours FROM brand_correlation_latest WHERE force_name = 'tiktok → amazon' ORDER BY brand_id FORMAT PrettyCompact"))
	if p, err = d.newPlay(ctx, targets); err != nil {
		return nil, err
	}
	return p, errors.Join(p.run(ctx, beside), p.close())
}

// query is a statement as a command line that works on the data: while the
// engines run, and afterwards where they are served again.
func (d *Demo) query(sql string) string {
	cfg := d.engines.Config()
	url := d.engines.ClickHouseURL()
	if url == "" || d.stopped {
		port := cfg.ClickHousePort
		if port == 0 {
			port = embedded.DefaultConfig().ClickHousePort
		}
		url = fmt.Sprintf("http://127.0.0.1:%d", port)
	}
	return fmt.Sprintf(`curl -u %s:%s '%s/?database=%s' -d "%s"`, cfg.ClickHouseUser, clickhouse.Shown(cfg.ClickHousePassword), url, cfg.ClickHouseDatabase, sql)
}
