package embedded

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// broker is the embedded Kafka. kfake writes no abort markers for transactions that a crash cuts
// short, so after anything but a clean stop its log may show them as committed: a marker file tells
// the two apart.
type broker struct {
	cluster *kfake.Cluster
	stopped chan struct{}
	log     *brokerLog
	marker  string
	reserve string // a file whose space lets the state be saved when the disk is full
	space   *space
	wiped   bool   // data of a run that did not stop cleanly were discarded
	id      string // of the data, until they are discarded
}

// startBroker serves Kafka on the listener, with the data in dir.
func startBroker(dir string, listener net.Listener, logger *slog.Logger) (*broker, error) {
	b := &broker{stopped: make(chan struct{}), log: &brokerLog{logger: logger}, marker: filepath.Join(dir, "clean"), reserve: filepath.Join(dir, "reserve")}
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
		// The id goes first: whatever follows from the data ends with them, even if a crash comes between.
		if err := errors.Join(remove(filepath.Join(dir, "id")), os.RemoveAll(data)); err != nil {
			return nil, fmt.Errorf("discard the Kafka data of an unclean stop: %w", err)
		}
		b.wiped = true
	}
	if err := os.MkdirAll(data, 0o750); err != nil {
		return nil, fmt.Errorf("create the Kafka data folder: %w", err)
	}
	if b.id, err = dataID(filepath.Join(dir, "id")); err != nil {
		return nil, err
	}
	if err := remove(b.marker); err != nil {
		return nil, fmt.Errorf("remove the clean-stop marker: %w", err)
	}
	if err := writeReserve(b.reserve); err != nil {
		return nil, err
	}
	if err := syncDir(dir); err != nil {
		return nil, err
	}
	b.cluster, err = kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.Ports(port(listener)),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return listener, nil }),
		kfake.DataDir(data),
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": strconv.FormatInt(never.Milliseconds(), 10)}),
		kfake.WithLogger(b.log),
	)
	if err != nil {
		return nil, fmt.Errorf("start the embedded Kafka on %q: %w", data, err)
	}
	b.space = newSpace(dir, b.reserve, logger)
	b.space.guard(b.cluster)
	go b.retain()
	return b, nil
}

// never is when kfake compacts: it takes what an open transaction has written
// for committed, and forgets where an aborted one ended, and so loses records.
const never = 10 * 365 * 24 * time.Hour

// retain deletes what topics keep no longer, which kfake would do together with
// compacting.
func (b *broker) retain() {
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			b.cluster.ApplyRetention()
		case <-b.stopped:
			return
		}
	}
}

// advertised is a listener that clients reach by another address.
type advertised struct {
	net.Listener
	addr net.Addr
}

// Addr implements net.Listener.
func (a advertised) Addr() net.Addr { return a.addr }

// dataID returns the id in the file, a new one if there is none.
func dataID(file string) (string, error) {
	id, err := os.ReadFile(file)
	if err == nil && len(id) > 0 {
		return string(id), nil
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		id = []byte(rand.Text())
		err = os.WriteFile(file, id, 0o640)
	}
	if err != nil {
		return "", fmt.Errorf("give the Kafka data an id: %w", err)
	}
	return string(id), nil
}

// remove removes a file that may be absent.
func remove(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err //nolint:wrapcheck // names the file; the caller says why
	}
	return nil
}

func (b *broker) addr() string { return b.cluster.ListenAddrs()[0] }

// close saves the state and leaves the marker, unless something could not be saved.
func (b *broker) close() error {
	if err := remove(b.reserve); err != nil { // it stops all the same; without room, its log says so
		b.log.logger.Warn("the space reserved for stopping the embedded Kafka was not given back", slog.String("file.path", b.reserve), slog.Any("error.message", err))
	}
	b.log.closing.Store(true)
	close(b.stopped)
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

// brokerLog hears of failed writes, which kfake only logs. A record that could not be written is
// refused with UNKNOWN_SERVER_ERROR; a transaction marker, a compaction or the final state that
// could not be written makes the data unusable.
type brokerLog struct {
	logger  *slog.Logger
	closing atomic.Bool
	failed  atomic.Bool
	warned  atomic.Int64 // unix seconds of the last warning
}

func (l *brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if level > kfake.LogLevelWarn || !slices.ContainsFunc([]string{"persist", "save session", "rebuildSegments"}, func(sign string) bool { return strings.Contains(format, sign) }) {
		return
	}
	if level == kfake.LogLevelError || l.closing.Load() || strings.Contains(format, "rebuildSegments") {
		l.failed.Store(true)
	}
	const secondsBetween = 10 // producers try again many times a second
	now, last := time.Now().Unix(), l.warned.Load()
	if now-last >= secondsBetween && l.warned.CompareAndSwap(last, now) {
		l.logger.Error("the embedded Kafka could not write its data and refuses records until it can: free disk space or check the data folder",
			slog.String("error.message", fmt.Sprintf(format, args...)))
	}
}
