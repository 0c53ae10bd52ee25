package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"flywheel/loadtest/apache"
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

	embedded *process // ClickHouse, and the embedded broker and registry
	kafka    *apache.Kafka
	registry *apache.Registry
}

// open starts engines with their data in a new folder below dir. On an error
// nothing is left running.
func open(ctx context.Context, cfg Config, broker Broker, withClickHouse bool) (e *engines, err error) {
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
	free, err := freePorts(ctx, 3)
	if err != nil {
		return e, err
	}
	e.targets.ClickHouse.Addresses = []string{free[2]}
	if broker == Embedded {
		e.targets.Kafka.Brokers = []string{free[0]}
		e.targets.Registry.URLs = []string{"http://" + free[1]}
	} else if err := e.startApache(ctx, cfg.CacheDir, cfg.Out); err != nil {
		return e, err
	}
	if broker == Embedded || withClickHouse {
		on := func(b bool) string { return strconv.FormatBool(b) }
		e.embedded, err = start(e.binary, filepath.Join(dir, "embedded.log"), nil, "embedded",
			"--embedded.data_dir="+filepath.Join(dir, "embedded"), "--embedded.cache_dir="+cfg.LibraryDir,
			"--embedded.kafka="+on(broker == Embedded), "--embedded.registry="+on(broker == Embedded), "--embedded.clickhouse="+on(withClickHouse),
			"--embedded.kafka_port="+port(free[0]), "--embedded.registry_port="+port(free[1]), "--embedded.clickhouse_port="+port(free[2]))
		if err == nil {
			err = e.embedded.says(ctx, "Ctrl-C stops them")
		}
	}
	return e, err
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
	return e.embedded.pid()
}

// service starts a service of the pipeline on the engines.
func (e *engines) service(name string, args ...string) (*process, error) {
	args = append([]string{
		name, "--log.level=warn", "--kafka.brokers=" + e.targets.Kafka.Brokers[0], "--registry.urls=" + e.targets.Registry.URLs[0],
		"--clickhouse.addresses=" + e.targets.ClickHouse.Addresses[0], "--processor.instance_id=bench",
	}, args...)
	return start(e.binary, filepath.Join(e.dir, name+".log"), nil, args...)
}

// close stops the engines and removes their data.
func (e *engines) close() error {
	var errs []error
	if e.embedded != nil {
		errs = append(errs, e.embedded.kill())
	}
	if e.registry != nil {
		errs = append(errs, e.registry.Close())
	}
	if e.kafka != nil {
		errs = append(errs, e.kafka.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(e.dir))...)
}

// freePorts returns loopback addresses that were free a moment ago.
func freePorts(ctx context.Context, n int) (addresses []string, err error) {
	for range n {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() //nolint:errcheck // only its number is wanted
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

func port(address string) string {
	_, p, _ := net.SplitHostPort(address)
	return p
}

// readyTimeout bounds how long engines and services take to start.
const readyTimeout = 2 * time.Minute
