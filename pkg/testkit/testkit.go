// Package testkit gives tests the real engines: an embedded Kafka, schema registry and ClickHouse.
package testkit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/embedded"
)

// engine is the one ClickHouse of this test process: the library holds one data folder a process,
// so it runs until the process ends and the next test process clears its folder away.
var engine = sync.OnceValues(startEngine)

// databases numbers the databases handed out.
var databases atomic.Uint64

// ClickHouse returns a connection to a fresh database on a real ClickHouse, and its DSN. The library
// is fetched on first use; without npm the test fails and says so.
func ClickHouse(t testing.TB) (driver.Conn, string) {
	t.Helper()
	e, err := engine()
	if err != nil {
		t.Fatal(err)
	}
	name := "test_" + strconv.FormatUint(databases.Add(1), 10)
	admin := open(t, e.ClickHouseDSN())
	if err := admin.Exec(context.Background(), "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create a database for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := admin.Exec(context.Background(), "DROP DATABASE IF EXISTS "+name+" SYNC"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	dsn, err := url.Parse(e.ClickHouseDSN())
	if err != nil {
		t.Fatal(err)
	}
	dsn.Path = "/" + name
	return open(t, dsn.String()), dsn.String()
}

func open(t testing.TB, dsn string) driver.Conn {
	t.Helper()
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Errorf("close the ClickHouse connection: %v", err)
		}
	})
	return conn
}

func startEngine() (*embedded.Engines, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	config := embedded.DefaultConfig()
	config.Kafka, config.Registry, config.ClickHousePort = false, false, 0
	if _, err := embedded.Install(ctx, config.CacheDir, os.Stderr); err != nil {
		return nil, err
	}
	root := filepath.Join(os.TempDir(), "flywheel-testkit")
	if err := os.MkdirAll(root, 0o750); err != nil {
		return nil, fmt.Errorf("create the folder of the test engines: %w", err)
	}
	// Held while folders are cleared and claimed, so that none is cleared before its owner locks it.
	guard, err := os.OpenFile(filepath.Join(root, "lock"), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the test engines: %w", err)
	}
	defer guard.Close()
	if err := syscall.Flock(int(guard.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock the folder of the test engines: %w", err)
	}
	if err := clearAbandoned(root); err != nil {
		return nil, err
	}
	if config.DataDir, err = os.MkdirTemp(root, "data-"); err != nil {
		return nil, fmt.Errorf("create a folder for the test engine: %w", err)
	}
	e, err := embedded.New(config)
	if err != nil {
		return nil, err
	}
	return e, e.Start(ctx)
}

// clearAbandoned removes the folders of test processes that have ended.
func clearAbandoned(root string) error {
	dirs, err := filepath.Glob(filepath.Join(root, "data-*"))
	if err != nil {
		return fmt.Errorf("list the folders of the test engines: %w", err)
	}
	for _, dir := range dirs {
		lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o640)
		if err != nil {
			return fmt.Errorf("open the lock of an abandoned test engine: %w", err)
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			err = os.RemoveAll(dir)
		}
		if err := errors.Join(err, lock.Close()); err != nil {
			return fmt.Errorf("clear an abandoned test engine: %w", err)
		}
	}
	return nil
}

// Kafka returns a broker that lives in memory until the test ends; seed clients with its
// ListenAddrs.
func Kafka(t testing.TB, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, options...)...)
	if err != nil {
		t.Fatalf("start a Kafka for the test: %v", err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// KafkaClient returns a client of the cluster that is closed when the test ends.
func KafkaClient(t testing.TB, cluster *kfake.Cluster, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, options...)...)
	if err != nil {
		t.Fatalf("connect to the test's Kafka: %v", err)
	}
	t.Cleanup(client.Close)
	return client
}

// Registry returns the URL of an empty schema registry that lives until the test ends.
func Registry(t testing.TB) string {
	t.Helper()
	config := embedded.DefaultConfig()
	config.DataDir, config.Kafka, config.ClickHouse, config.RegistryPort = t.TempDir(), false, false, 0
	e, err := embedded.New(config, embedded.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Errorf("close the test's schema registry: %v", err)
		}
	})
	return e.RegistryURL()
}
