// Package embedded runs Kafka, a schema registry and ClickHouse inside this process, so that
// Flywheel needs nothing else on a fresh machine. Clients connect to them over loopback exactly as
// they would to servers: Kafka is franz-go's kfake, ClickHouse is the engine itself (libchdb) behind
// its own HTTP protocol.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"flywheel/pkg/embedded/internal/chdb"
	"flywheel/pkg/embedded/internal/local"
	"flywheel/pkg/embedded/internal/registry"
)

// Engines are the three embedded engines. Build them with New, then Start and Close once.
type Engines struct {
	config   Config
	logger   *slog.Logger
	progress io.Writer

	lock       *os.File
	kafka      *broker
	registry   *registryServer
	clickhouse *chdb.Engine
	addrs      struct{ registry, clickhouse string }
	closers    []func(context.Context) error // in order of start
}

// Option changes how Engines report.
type Option func(*Engines)

// WithLogger logs to the logger instead of slog's default.
func WithLogger(logger *slog.Logger) Option { return func(e *Engines) { e.logger = logger } }

// WithProgress shows the library's download on the writer, as a bar if it is a terminal; by default
// it is not shown.
func WithProgress(w io.Writer) Option { return func(e *Engines) { e.progress = w } }

// New checks the configuration and starts nothing.
func New(config Config, options ...Option) (*Engines, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("embedded engines: %w", err)
	}
	dir, err := filepath.Abs(config.DataDir)
	if err != nil {
		return nil, fmt.Errorf("find the data folder %q: %w", config.DataDir, err)
	}
	config.DataDir = dir
	if config.CacheDir == "" {
		if config.CacheDir, err = DefaultCacheDir(); err != nil {
			return nil, err
		}
	}
	e := &Engines{config: config, logger: slog.Default(), progress: io.Discard}
	for _, option := range options {
		option(e)
	}
	return e, nil
}

// Start brings the enabled engines up and returns when they answer. It fetches the ClickHouse
// library if the cache does not hold it. On error nothing is left running.
func (e *Engines) Start(ctx context.Context) error {
	err := e.start(ctx)
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("the disk of the data folder %q is full: free some space or set embedded.data_dir to another disk: %w", e.config.DataDir, err)
	}
	return errors.Join(err, e.Close(context.WithoutCancel(ctx)))
}

func (e *Engines) start(ctx context.Context) error {
	if err := e.claimDataDir(); err != nil {
		return err
	}
	kafka, err := e.listen("Kafka", "kafka_port", e.config.Kafka, e.config.KafkaPort)
	if err != nil {
		return err
	}
	registry, err := e.listen("schema registry", "registry_port", e.config.Registry, e.config.RegistryPort)
	if err != nil {
		return err
	}
	clickhouse, err := e.listen("ClickHouse", "clickhouse_port", e.config.ClickHouse, e.config.ClickHousePort)
	if err != nil {
		return err
	}
	if e.config.Kafka {
		if port := e.config.KafkaAdvertised; port != 0 {
			kafka = advertised{kafka, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}}
		}
		if e.kafka, err = startBroker(filepath.Join(e.config.DataDir, "kafka"), kafka, e.logger); err != nil {
			return err
		}
		e.closers = append(e.closers, func(context.Context) error { return e.kafka.close() })
	}
	if e.config.Registry {
		e.addrs.registry = registry.Addr().String()
		if e.registry, err = startRegistry(filepath.Join(e.config.DataDir, "registry"), registry); err != nil {
			return err
		}
		e.closers = append(e.closers, e.registry.close)
	}
	if e.config.ClickHouse {
		library, err := Install(ctx, e.config.CacheDir, e.progress)
		if err != nil {
			return err
		}
		e.addrs.clickhouse = clickhouse.Addr().String()
		if err := e.startClickHouse(library, clickhouse); err != nil {
			return err
		}
	}
	return nil
}

// startClickHouse serves ClickHouse on the listener. The rows of the pipeline carry Kafka's offsets,
// and the higher offset wins: beside other Kafka data than those they came from, the pipeline's
// database starts empty. Other databases stay.
func (e *Engines) startClickHouse(library string, listener net.Listener) error {
	data, file := filepath.Join(e.config.DataDir, "clickhouse"), filepath.Join(e.config.DataDir, "clickhouse-follows")
	renew := false
	if e.kafka != nil {
		follows, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look which Kafka data ClickHouse follows: %w", err)
		}
		_, err = os.Stat(data)
		if renew = err == nil && string(follows) != e.kafka.id; renew {
			e.logger.Warn("emptying the pipeline's database in the embedded ClickHouse: the Kafka data it was filled from are gone",
				slog.String("db.namespace", e.config.ClickHouseDatabase))
		}
	}
	var err error
	e.clickhouse, err = chdb.Start(chdb.Options{
		Library: library, Data: data, Renew: renew, KeepFree: clickhouseFreeBytes,
		User: e.config.ClickHouseUser, Password: e.config.ClickHousePassword.Reveal(), Database: e.config.ClickHouseDatabase,
	}, listener)
	if err != nil {
		return err
	}
	e.closers = append(e.closers, e.clickhouse.Close)
	if e.kafka != nil {
		if err := os.WriteFile(file, []byte(e.kafka.id), 0o640); err != nil {
			return fmt.Errorf("note which Kafka data ClickHouse follows: %w", err)
		}
	}
	return nil
}

// claimDataDir creates the data folder and locks it against other processes.
func (e *Engines) claimDataDir() error {
	dir := e.config.DataDir
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("create the data folder %q (set embedded.data_dir to a folder you may write): %w", dir, err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o640)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("the data folder %q is not writable: change its permissions or set embedded.data_dir to another folder: %w", dir, err)
	}
	if err != nil {
		return fmt.Errorf("open the data folder %q: %w", dir, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(lock.Name()) // only to name it
		_ = lock.Close()
		return fmt.Errorf("the data folder %q is in use by process %s: stop that one or set embedded.data_dir to another folder", dir, holder)
	}
	e.lock = lock
	if err := lock.Truncate(0); err != nil {
		return fmt.Errorf("mark the data folder %q as in use: %w", dir, err)
	}
	if _, err := lock.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0); err != nil {
		return fmt.Errorf("mark the data folder %q as in use: %w", dir, err)
	}
	return nil
}

// listen binds a loopback port before any engine starts, so that a taken port costs nothing. The
// listener is closed again by Close; a second close does no harm.
func (e *Engines) listen(engine, setting string, enabled bool, port int) (net.Listener, error) {
	if !enabled {
		return nil, nil
	}
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // binding does not wait
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("port %d for the embedded %s is already taken: stop what uses it, or set embedded.%s to another port or 0 for any", port, engine, setting)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on port %d for the embedded %s (set embedded.%s to change it): %w", port, engine, setting, err)
	}
	e.closers = append(e.closers, func(context.Context) error { _ = listener.Close(); return nil })
	return listener, nil
}

// Close lets running queries finish until ctx ends, saves everything and releases the data folder.
// It may be called more than once.
func (e *Engines) Close(ctx context.Context) error {
	var err error
	for len(e.closers) > 0 {
		last := len(e.closers) - 1
		err = errors.Join(err, e.closers[last](ctx))
		e.closers = e.closers[:last]
	}
	if e.lock != nil {
		err = errors.Join(err, e.lock.Close())
		e.lock = nil
	}
	return err
}

// Config is what the engines run with, the data folder as an absolute path.
func (e *Engines) Config() Config { return e.config }

// KafkaAddr is the broker's "host:port" as it tells its clients, "" if Kafka is disabled.
func (e *Engines) KafkaAddr() string {
	if e.kafka == nil {
		return ""
	}
	return e.kafka.addr()
}

// RegistryURL is the schema registry's base URL, "" if it is disabled.
func (e *Engines) RegistryURL() string {
	if e.registry == nil {
		return ""
	}
	return "http://" + e.addrs.registry
}

// ClickHouseAddr is ClickHouse's HTTP "host:port", "" if it is disabled.
func (e *Engines) ClickHouseAddr() string {
	if e.clickhouse == nil {
		return ""
	}
	return e.addrs.clickhouse
}

// ClickHouseURL is ClickHouse's HTTP URL without credentials, "" if it is disabled.
func (e *Engines) ClickHouseURL() string {
	if e.clickhouse == nil {
		return ""
	}
	return "http://" + e.addrs.clickhouse
}

// ClickHouseDSN is the URL with user, password and database that clickhouse-go's ParseDSN takes, ""
// if ClickHouse is disabled.
func (e *Engines) ClickHouseDSN() string {
	if e.clickhouse == nil {
		return ""
	}
	dsn := url.URL{
		Scheme: "http", Host: e.addrs.clickhouse, Path: "/" + e.config.ClickHouseDatabase,
		User: url.UserPassword(e.config.ClickHouseUser, e.config.ClickHousePassword.Reveal()),
	}
	return dsn.String()
}

// registryServer is the registry behind HTTP.
type registryServer struct {
	handler *registry.Registry
	server  *http.Server
}

func startRegistry(dir string, listener net.Listener) (*registryServer, error) {
	handler, err := registry.New(dir)
	if err != nil {
		return nil, err
	}
	s := &registryServer{handler, &http.Server{
		Handler: local.Only(handler), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
	}}
	go func() { _ = s.server.Serve(listener) }() // always ends in ErrServerClosed
	return s, nil
}

func (s *registryServer) close(ctx context.Context) error {
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("drain the schema registry: %w", errors.Join(err, s.server.Close()))
	}
	return errors.Join(err, s.handler.Close())
}

// port is the port a listener is bound to.
func port(listener net.Listener) int { return listener.Addr().(*net.TCPAddr).Port }

// syncDir makes created and removed names in the folder durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open %q: %w", dir, err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync %q: %w", dir, err)
	}
	return nil
}
