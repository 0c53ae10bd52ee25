package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"flywheel/loadtest/apache"
	"flywheel/loadtest/process"
	"flywheel/loadtest/stage"
	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/kafka"
	"flywheel/pkg/setup"
)

// engines are a broker, a registry and, if wanted, ClickHouse, each in a process
// that is not the one measured, with topics, contracts and tables.
type engines struct {
	targets setup.Targets
	binary  string
	dir     string

	embedded   *process.Process // the embedded broker and registry
	clickhouse *process.Process
	kafka      *apache.Kafka
	registry   *apache.Registry
}

// open starts engines with their data in a new folder below dir. On an error
// nothing is left running.
func open(ctx context.Context, cfg Config, broker stage.Broker, withClickHouse bool) (e *engines, err error) {
	dir, err := os.MkdirTemp(cfg.Dir, string(broker)+"-")
	if err != nil {
		return nil, fmt.Errorf("create a folder for the engines: %w", err)
	}
	e = &engines{binary: cfg.Binary, dir: dir, targets: setup.Targets{
		Kafka: kafka.DefaultConfig(), Registry: codec.DefaultConfig(), ClickHouse: clickhouse.DefaultConfig(),
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
			e = nil
		}
	}()
	e.targets.Kafka.BufferRecords = 100_000
	if broker == stage.Apache {
		err = e.startApache(ctx, cfg.CacheDir, cfg.Out)
	} else {
		err = e.startEmbedded(ctx)
	}
	if err == nil && withClickHouse {
		err = e.startClickHouse(ctx, cfg.LibraryDir)
	}
	return e, err
}

// startEmbedded starts the embedded broker and registry.
func (e *engines) startEmbedded(ctx context.Context) error {
	free, err := process.FreePorts(2)
	if err != nil {
		return err
	}
	e.targets.Kafka.Brokers = []string{process.Address(free[0])}
	e.targets.Registry.URLs = []string{"http://" + process.Address(free[1])}
	if e.embedded, err = e.start("kafka", "embedded", "--embedded.data_dir="+filepath.Join(e.dir, "kafka"), "--embedded.clickhouse=false",
		"--embedded.kafka_port="+strconv.Itoa(free[0]), "--embedded.registry_port="+strconv.Itoa(free[1])); err != nil {
		return err
	}
	return e.embedded.Says(ctx, "are ready", readyTimeout)
}

// startClickHouse starts ClickHouse, with the tables in it.
func (e *engines) startClickHouse(ctx context.Context, libraryDir string) error {
	free, err := process.FreePorts(1)
	if err != nil {
		return err
	}
	e.targets.ClickHouse.Addresses = []string{process.Address(free[0])}
	if e.clickhouse, err = e.start("clickhouse", "embedded", "--embedded.data_dir="+filepath.Join(e.dir, "clickhouse"), "--embedded.cache_dir="+libraryDir,
		"--embedded.kafka=false", "--embedded.registry=false", "--embedded.clickhouse_port="+strconv.Itoa(free[0])); err != nil {
		return err
	}
	return e.clickhouse.Says(ctx, "are ready", readyTimeout)
}

func (e *engines) startApache(ctx context.Context, cache string, out io.Writer) error {
	installed, err := apache.Install(ctx, cache, out)
	if err != nil {
		return err
	}
	if e.kafka, err = installed.StartKafka(ctx, filepath.Join(e.dir, "kafka"), 1); err != nil {
		return err
	}
	if e.registry, err = installed.StartRegistry(ctx, filepath.Join(e.dir, "registry")); err != nil {
		return err
	}
	e.targets.Kafka.Brokers = e.kafka.Brokers()
	e.targets.Registry.URLs = []string{e.registry.URL()}
	if _, err := setup.Topics(ctx, e.targets.Kafka, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider()); err != nil {
		return err
	}
	_, err = setup.Contracts(ctx, e.targets.Registry)
	return err
}

// brokerPID is the process of the broker.
func (e *engines) brokerPID() int {
	if e.kafka != nil {
		return e.kafka.ProcessID(1)
	}
	return e.embedded.ID()
}

// service starts a service of the pipeline on the engines.
func (e *engines) service(name string, args ...string) (*process.Process, error) {
	return e.start(name, name, append([]string{
		"--log.level=warn", "--kafka.brokers=" + e.targets.Kafka.Brokers[0], "--registry.urls=" + e.targets.Registry.URLs[0],
		"--clickhouse.addresses=" + e.targets.ClickHouse.Addresses[0], "--processor.instance_id=bench",
	}, args...)...)
}

// start starts a command of flywheel under a name.
func (e *engines) start(name, command string, args ...string) (*process.Process, error) {
	cmd := exec.Command(e.binary, append([]string{command}, args...)...) //nolint:noctx // it ends when its bench says so
	return process.Start("flywheel "+name, filepath.Join(e.dir, name+".log"), cmd)
}

// close stops the engines and removes their data.
func (e *engines) close() error {
	errs := []error{e.clickhouse.Kill(), e.embedded.Kill()}
	if e.registry != nil {
		errs = append(errs, e.registry.Close())
	}
	if e.kafka != nil {
		errs = append(errs, e.kafka.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(e.dir))...)
}

// readyTimeout bounds how long engines and services take to start.
const readyTimeout = 2 * time.Minute
