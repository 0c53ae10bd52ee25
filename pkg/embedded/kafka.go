package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kfake"
)

// broker is the embedded Kafka. kfake writes no abort markers for transactions that a crash cuts
// short, so after anything but a clean stop its log may show them as committed: a marker file tells
// the two apart.
type broker struct {
	cluster *kfake.Cluster
	log     *brokerLog
	marker  string
	wiped   bool // data of a run that did not stop cleanly were discarded
}

// startBroker serves Kafka on the listener, with the data in dir.
func startBroker(dir string, listener net.Listener, logger *slog.Logger) (*broker, error) {
	b := &broker{log: &brokerLog{logger: logger}, marker: filepath.Join(dir, "clean")}
	data := filepath.Join(dir, "log")
	_, err := os.Stat(b.marker)
	clean := err == nil
	entries, err := os.ReadDir(data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look at the Kafka data: %w", err)
	}
	if len(entries) > 0 && !clean {
		logger.Warn("discarding the embedded Kafka's data: the last run did not stop cleanly, so transactions in them may be broken; topics start empty",
			slog.String("file.path", data))
		if err := os.RemoveAll(data); err != nil {
			return nil, fmt.Errorf("discard the Kafka data of an unclean stop: %w", err)
		}
		b.wiped = true
	}
	if err := os.MkdirAll(data, 0o750); err != nil {
		return nil, fmt.Errorf("create the Kafka data folder: %w", err)
	}
	if err := os.Remove(b.marker); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the clean-stop marker: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return nil, err
	}
	b.cluster, err = kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.Ports(port(listener)),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return listener, nil }),
		kfake.DataDir(data),
		kfake.WithLogger(b.log),
	)
	if err != nil {
		return nil, fmt.Errorf("start the embedded Kafka on %q: %w", data, err)
	}
	return b, nil
}

func (b *broker) addr() string { return b.cluster.ListenAddrs()[0] }

// close saves the state and leaves the marker, unless something could not be saved.
func (b *broker) close() error {
	b.cluster.Close()
	if b.log.failed.Load() {
		return errors.New("stop the embedded Kafka: its state was not saved whole (see the log), so the next start discards it: check the disk")
	}
	f, err := os.OpenFile(b.marker, os.O_CREATE|os.O_WRONLY, 0o640)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err == nil {
		err = syncDir(filepath.Dir(b.marker))
	}
	if err != nil {
		return fmt.Errorf("leave the clean-stop marker of the embedded Kafka: %w", err)
	}
	return nil
}

// brokerLog passes kfake's errors on and remembers failed writes, which kfake only logs.
type brokerLog struct {
	logger *slog.Logger
	failed atomic.Bool
}

func (l *brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if level != kfake.LogLevelError {
		return
	}
	text := fmt.Sprintf(format, args...)
	for _, sign := range []string{"persist", "save", "write", "sync", "no space"} {
		if strings.Contains(text, sign) {
			l.failed.Store(true)
		}
	}
	l.logger.Error("embedded kafka", slog.String("error.message", text))
}
