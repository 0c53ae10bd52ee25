package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"flywheel/pkg/embedded"
)

// Folder is where a demo whose engines are configured so keeps its data: beside
// those of `flywheel embedded`, which it leaves alone.
func Folder(cfg embedded.Config) string { return filepath.Join(cfg.DataDir, "demo") }

// marker is the file that says that a folder belongs to demos, so that nothing
// else is ever emptied. It holds what to know about the folder.
const (
	marker     = "README"
	markerText = "Data of the last 'flywheel demo'. The next one empties this folder.\n"
	lockFile   = "lock" // of the embedded engines
)

// empty prepares the folder of a demo: what the last one has left goes, for the
// ledger must be exact. It refuses a folder in use and one that holds anything
// that is not a demo's.
func empty(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("create the data folder %q (set embedded.data_dir to a folder you may write): %w", dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look at the data folder %q: %w", dir, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, marker))
	if len(entries) > 0 && (err != nil || string(text) != markerText) {
		return fmt.Errorf("the folder %q holds files that are not a demo's, and a demo empties its folder: move them away, or set embedded.data_dir to another folder", dir)
	}
	if err := os.WriteFile(filepath.Join(dir, marker), []byte(markerText), 0o640); err != nil {
		return fmt.Errorf("write to the data folder %q: %w", dir, err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return fmt.Errorf("open the data folder %q: %w", dir, err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(lock.Name()) // only to name it
		return fmt.Errorf("the data folder %q is in use by process %s: stop that one, or set embedded.data_dir to another folder", dir, strings.TrimSpace(string(holder)))
	}
	for _, e := range entries {
		if e.Name() == marker || e.Name() == lockFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("remove the data of the last demo: %w", err)
		}
	}
	return nil
}

// free makes sure, before anything is removed, that the engines' ports are.
func free(cfg embedded.Config) error {
	for _, p := range []struct {
		engine, key string
		port        int
	}{
		{"Kafka", "kafka_port", cfg.KafkaPort},
		{"schema registry", "registry_port", cfg.RegistryPort},
		{"ClickHouse", "clickhouse_port", cfg.ClickHousePort},
	} {
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port))) //nolint:noctx // binding does not wait
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("port %d for the demo's %s is already taken, perhaps by 'flywheel embedded' or another demo: stop what uses it, or set embedded.%s to another port or 0 for any", p.port, p.engine, p.key)
		}
		if err != nil {
			return fmt.Errorf("listen on port %d for the demo's %s (set embedded.%s to change it): %w", p.port, p.engine, p.key, err)
		}
		if err := l.Close(); err != nil {
			return fmt.Errorf("give port %d back: %w", p.port, err)
		}
	}
	return nil
}

// full says whether the disk of a folder has no room left worth the name.
func full(dir string) bool {
	const least = 8 << 20
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return false
	}
	return uint64(s.Bavail)*uint64(s.Bsize) < least //nolint:unconvert // their types differ between systems
}

// writable makes sure, before the play, that the report can be written. An
// existing one stays as it is until then.
func writable(file string) error {
	temp, err := os.CreateTemp(filepath.Dir(file), ".report-*")
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("--report: cannot write to the folder of %q: name a file in a folder that exists and that you may write", file)
		}
		return fmt.Errorf("--report: write to the folder of %q: %w", file, err)
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return errors.Join(fmt.Errorf("--report: %q is a folder: name a file", file), temp.Close(), os.Remove(temp.Name()))
	}
	return errors.Join(temp.Close(), os.Remove(temp.Name()))
}
