// Package stage runs the pipeline as production does, so that it can be treated
// as production treats it: processor, sink and ClickHouse are processes of their
// own, Kafka and the schema registry are the embedded ones or Apache Kafka and
// Apicurio, and all of them can be killed, stopped and started again.
package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"flywheel/loadtest/apache"
	"flywheel/loadtest/process"
	"flywheel/loadtest/proxy"
	"flywheel/loadtest/smalldisk"
	"flywheel/loadtest/verify"
	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/embedded"
	"flywheel/pkg/fault"
	"flywheel/pkg/kafka"
	"flywheel/pkg/setup"
	"flywheel/pkg/topology"
)

// Broker says which Kafka is on stage.
type Broker string

// The brokers.
const (
	Embedded Broker = "embedded"
	Apache   Broker = "apache"
)

// Config of a stage.
type Config struct {
	Binary     string // of flywheel
	Dir        string // of data and logs; exists, is empty, and stays
	Broker     Broker
	Nodes      int // of Apache Kafka: 1 to 5
	Partitions int32
	CacheDir   string    // where Apache Kafka and the registry are installed
	Migrate    string    // rule of package fault that interrupts the making of the tables; empty for none
	Env        []string  // of every service, such as FLYWHEEL_PROCESSOR_TRANSACTION_TIMEOUT=5s
	Disks      bool      // give each engine's data a small disk of its own, where the machine lets us
	Out        io.Writer // hears what takes long
}

// Stage is a pipeline without its services, which Start adds.
type Stage struct {
	Targets  setup.Targets
	Conn     driver.Conn // to ClickHouse itself, whatever stands before it
	Registry *codec.Client
	Kafka    *apache.Kafka // nil on the embedded broker

	MigrationKills int // how often ClickHouse was killed while its tables were made

	cfg        Config
	apacheReg  *apache.Registry
	broker     *process.Process // the embedded Kafka and registry
	clickhouse *process.Process
	ports      ports
	proxies    []*proxy.Proxy             // before each node of Kafka
	disks      map[string]*smalldisk.Disk // by the name of the engine, but for Apache Kafka's
	diskless   error                      // why there are none

	mu        sync.Mutex
	processes []*process.Process
}

type ports struct{ kafka, registry, clickhouse int }

// Build builds the binary into dir, with the points of package fault in it.
func Build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "flywheel-faults")
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "faults", "-o", binary, "flywheel/services/flywheel")
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return "", fmt.Errorf("build flywheel with its points of fault: %w", ctx.Err())
	}
	if err != nil {
		return "", fmt.Errorf("build flywheel with its points of fault: %w\n%s", err, out)
	}
	return binary, nil
}

// Open starts the engines and makes them ready: topics, contracts, tables. On an
// error nothing is left running.
func Open(ctx context.Context, cfg Config) (s *Stage, err error) {
	if cfg.Broker != Embedded && cfg.Broker != Apache {
		return nil, fmt.Errorf("there is no broker %q: take %s or %s", cfg.Broker, Embedded, Apache)
	}
	s = &Stage{cfg: cfg, Targets: setup.Targets{Kafka: kafka.DefaultConfig(), Registry: codec.DefaultConfig(), ClickHouse: clickhouse.DefaultConfig()}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
			s = nil
		}
	}()
	free, err := process.FreePorts(3)
	if err != nil {
		return s, err
	}
	s.ports = ports{free[0], free[1], free[2]}
	if err := s.mount(ctx); err != nil {
		return s, err
	}
	if err := s.migrate(ctx); err != nil {
		return s, err
	}
	logger, meters := slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider()
	s.Targets.ClickHouse.Addresses = []string{process.Address(s.ports.clickhouse)}
	s.Targets.Kafka.Topics.Partitions = cfg.Partitions
	if s.Conn, err = clickhouse.Open(ctx, s.Targets.ClickHouse); err != nil {
		return s, err
	}
	switch cfg.Broker {
	case Embedded:
		before, err := proxy.Listen(ctx, process.Address(s.ports.kafka))
		if err != nil {
			return s, err
		}
		s.proxies = append(s.proxies, before)
		if err := s.startBroker(ctx, before.Port()); err != nil {
			return s, err
		}
		s.Targets.Kafka.Brokers = []string{before.Addr()}
		s.Targets.Registry.URLs = []string{"http://" + process.Address(s.ports.registry)}
	case Apache:
		if err := s.startApache(ctx); err != nil {
			return s, err
		}
		s.Targets.Kafka.Brokers = s.Kafka.Proxied()
		s.Targets.Registry.URLs = []string{s.apacheReg.URL()}
		if cfg.Nodes > 1 {
			s.Targets.Kafka.Topics.Replication = int16(cfg.Nodes)
		}
		if _, err := setup.Topics(ctx, s.Targets.Kafka, logger, meters); err != nil {
			return s, err
		}
		if _, err := setup.Contracts(ctx, s.Targets.Registry); err != nil {
			return s, err
		}
	}
	s.Registry, err = codec.NewClient(s.Targets.Registry)
	return s, err
}

func (s *Stage) startApache(ctx context.Context) error {
	installed, err := apache.Install(ctx, s.cfg.CacheDir, s.cfg.Out)
	if err != nil {
		return err
	}
	options := []apache.KafkaOption{apache.WithProxy(func(_ int, listens string) (string, error) {
		before, err := proxy.Listen(ctx, listens)
		if err != nil {
			return "", err
		}
		s.proxies = append(s.proxies, before)
		return before.Addr(), nil
	})}
	if s.cfg.Disks && s.diskless == nil {
		options = append(options, apache.WithDisks(diskMiB))
	}
	if s.Kafka, err = installed.StartKafka(ctx, filepath.Join(s.cfg.Dir, "kafka"), s.cfg.Nodes, options...); err != nil {
		return err
	}
	s.apacheReg, err = installed.StartRegistry(ctx, filepath.Join(s.cfg.Dir, "registry"))
	return err
}

// Versions asks Kafka and the schema registry what they are. Those that are part of
// this program are merely called embedded.
func (s *Stage) Versions(ctx context.Context) (kafka, registry string, err error) {
	if s.cfg.Broker == Embedded {
		return string(Embedded), string(Embedded), nil
	}
	if kafka, err = s.Kafka.Version(ctx); err != nil {
		return "", "", err
	}
	registry, err = s.apacheReg.About(ctx)
	return kafka, registry, err
}

// The engines, as their folders and logs are called.
const (
	clickhouseName = "clickhouse"
	brokerName     = "broker" // embedded
)

// diskMiB is the size of a small disk: a play writes about 45 MiB.
const diskMiB = 256

// mount gives the engines their disks, or notes why they have none.
func (s *Stage) mount(ctx context.Context) error {
	if !s.cfg.Disks {
		return nil
	}
	engines := []string{clickhouseName}
	if s.cfg.Broker == Embedded {
		engines = append(engines, brokerName)
	}
	s.disks = make(map[string]*smalldisk.Disk)
	for _, name := range engines {
		dir, err := filepath.Abs(filepath.Join(s.cfg.Dir, name))
		if err != nil {
			return fmt.Errorf("find the folder of the stage: %w", err)
		}
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return fmt.Errorf("create the folder of a disk: %w", err)
		}
		d, err := smalldisk.Mount(ctx, dir, diskMiB)
		if errors.Is(err, smalldisk.ErrUnavailable) {
			s.diskless = err
			return nil
		}
		if err != nil {
			return err
		}
		s.disks[name] = d
	}
	return nil
}

// ClickHouseDisk is the small disk of ClickHouse's data; the error is a
// smalldisk.ErrUnavailable where the machine does not let us have one.
func (s *Stage) ClickHouseDisk() (*smalldisk.Disk, error) { return s.disk(clickhouseName) }

// BrokerDisk is that of the embedded Kafka's data.
func (s *Stage) BrokerDisk() (*smalldisk.Disk, error) { return s.disk(brokerName) }

// NodeDisk is that of the data of a node of Apache Kafka.
func (s *Stage) NodeDisk(node int) (*smalldisk.Disk, error) {
	if !s.cfg.Disks || s.diskless != nil {
		return nil, s.noDisk("Kafka")
	}
	return s.Kafka.Disk(node)
}

func (s *Stage) disk(engine string) (*smalldisk.Disk, error) {
	if d := s.disks[engine]; d != nil {
		return d, nil
	}
	return nil, s.noDisk(engine)
}

// noDisk says why an engine has none.
func (s *Stage) noDisk(engine string) error {
	if s.diskless != nil {
		return s.diskless
	}
	return fmt.Errorf("%w: the %s on this stage was started without", smalldisk.ErrUnavailable, engine)
}

// startBroker starts the embedded Kafka and registry in a process. They end in
// peace only: killed, the embedded Kafka loses what a transaction has promised.
func (s *Stage) startBroker(ctx context.Context, advertised int) (err error) {
	s.broker, err = s.engines(ctx, brokerName, nil, "--embedded.clickhouse=false",
		"--kafka.topics.partitions="+strconv.Itoa(int(s.cfg.Partitions)),
		"--embedded.kafka_port="+strconv.Itoa(s.ports.kafka), "--embedded.kafka_advertised_port="+strconv.Itoa(advertised),
		"--embedded.registry_port="+strconv.Itoa(s.ports.registry))
	return err
}

// migrate starts ClickHouse with its tables. When a rule interrupts that, the
// process dies with ClickHouse in it and is started again.
func (s *Stage) migrate(ctx context.Context) error {
	if s.cfg.Migrate == "" {
		return s.StartClickHouse(ctx)
	}
	p, err := s.clickhouseProcess(ctx, fault.Variable+"="+s.cfg.Migrate)
	switch {
	case err == nil: // the rule names a passing that never came
		s.clickhouse = p
		return nil
	case p == nil || !p.KilledItself():
		return err
	}
	s.MigrationKills++
	return s.StartClickHouse(ctx)
}

// StartClickHouse starts ClickHouse, again after it was killed, with what it had.
func (s *Stage) StartClickHouse(ctx context.Context) (err error) {
	s.clickhouse, err = s.clickhouseProcess(ctx)
	return err
}

func (s *Stage) clickhouseProcess(ctx context.Context, env ...string) (*process.Process, error) {
	return s.engines(ctx, clickhouseName, env, "--embedded.kafka=false", "--embedded.registry=false",
		"--embedded.clickhouse_port="+strconv.Itoa(s.ports.clickhouse))
}

// ClickHouse is the process of ClickHouse.
func (s *Stage) ClickHouse() *process.Process { return s.clickhouse }

// readyTimeout bounds how long engines may take to start.
const readyTimeout = 2 * time.Minute

// engines starts embedded engines and waits until they are ready. A process that
// ended before comes with the error.
func (s *Stage) engines(ctx context.Context, name string, env []string, args ...string) (*process.Process, error) {
	cache, err := embedded.DefaultCacheDir()
	if err != nil {
		return nil, err
	}
	p, err := s.start(ctx, name, env,
		append([]string{"embedded", "--embedded.data_dir=" + filepath.Join(s.cfg.Dir, name), "--embedded.cache_dir=" + cache}, args...))
	if err != nil {
		return nil, err
	}
	if err := p.Says(ctx, "are ready", readyTimeout); err != nil {
		return p, errors.Join(err, p.Kill())
	}
	return p, nil
}

// start starts flywheel under a name.
func (s *Stage) start(ctx context.Context, name string, env, args []string) (*process.Process, error) {
	cmd := s.disks[name].Command(context.WithoutCancel(ctx), s.cfg.Binary, args...) // it ends when the stage says so
	cmd.Env = env
	return process.Start(name, s.log(name), cmd)
}

func (s *Stage) log(name string) string { return filepath.Join(s.cfg.Dir, name+".log") }

// Start starts a service, "processor" or "sink", under the name of an instance. Its log
// says where its metrics are. The variables come on top of the stage's.
func (s *Stage) Start(ctx context.Context, service, instance string, env ...string) (*process.Process, error) {
	name := service + "-" + instance
	all := slices.Concat([]string{
		"FLYWHEEL_KAFKA_BROKERS=" + strings.Join(s.Targets.Kafka.Brokers, ","),
		"FLYWHEEL_KAFKA_TOPICS_PARTITIONS=" + strconv.Itoa(int(s.cfg.Partitions)),
		"FLYWHEEL_REGISTRY_URLS=" + strings.Join(s.Targets.Registry.URLs, ","),
		"FLYWHEEL_CLICKHOUSE_ADDRESSES=" + strings.Join(s.Targets.ClickHouse.Addresses, ","),
		"FLYWHEEL_PROCESSOR_INSTANCE_ID=" + instance,
		"FLYWHEEL_SINK_INSTANCE_ID=" + instance,
		"FLYWHEEL_ADMIN_LISTEN=127.0.0.1:0",
	}, s.cfg.Env, env)
	p, err := s.start(ctx, name, all, []string{service})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes = append(slices.DeleteFunc(s.processes, func(p *process.Process) bool { return !p.Running() }), p)
	return p, nil
}

// stopTimeout is how long a process may take to end in peace: below what it gives
// itself, so that one that hangs can be asked where.
const stopTimeout = 20 * time.Second

// Stop asks a process to end, and returns an error if it does not end in peace.
func Stop(p *process.Process) error {
	if err := p.Stop(stopTimeout); err != nil {
		return err
	}
	if p.ExitCode() != 0 {
		return p.Failure()
	}
	return nil
}

// StallKafka keeps the network to Kafka from carrying anything, for everybody,
// until PassKafka.
func (s *Stage) StallKafka() {
	for _, p := range s.proxies {
		p.Stall()
	}
}

// RefuseKafka resets all connections to Kafka, and every new one, until PassKafka.
func (s *Stage) RefuseKafka() {
	for _, p := range s.proxies {
		p.Refuse()
	}
}

// PassKafka ends a StallKafka, after which what was taken goes on, or a RefuseKafka.
func (s *Stage) PassKafka() {
	for _, p := range s.proxies {
		p.Pass()
	}
}

// CutKafka resets all connections to Kafka.
func (s *Stage) CutKafka() {
	for _, p := range s.proxies {
		p.Cut()
	}
}

// Pipeline is where the data are, for the checks.
func (s *Stage) Pipeline() verify.Pipeline {
	return verify.Pipeline{Kafka: s.Targets.Kafka, Registry: s.Registry, Conn: s.Conn, Topology: topology.DefaultConfig()}
}

// Tail returns the ends of all logs, for a person to look at.
func (s *Stage) Tail() string {
	files, err := filepath.Glob(s.log("*"))
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "%s ends with\n%s\n", filepath.Base(f), process.Tail(f))
	}
	return b.String()
}

// Close stops exactly what was started: services that still run, Apache Kafka and the registry are
// killed, the embedded engines end in peace.
func (s *Stage) Close() error {
	var errs []error
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.processes {
		errs = append(errs, p.Kill())
	}
	if s.Registry != nil {
		s.Registry.Close()
	}
	if s.Conn != nil {
		errs = append(errs, s.Conn.Close())
	}
	if s.apacheReg != nil {
		errs = append(errs, s.apacheReg.Close())
	}
	if s.Kafka != nil {
		errs = append(errs, s.Kafka.Close())
	}
	for _, p := range []*process.Process{s.broker, s.clickhouse} {
		if p != nil && p.Running() {
			errs = append(errs, Stop(p))
		}
	}
	for _, p := range s.proxies {
		errs = append(errs, p.Close())
	}
	for _, d := range s.disks {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}
