package demo

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"flywheel/pkg/embedded"
)

func TestADemoStartsFromEmptyAndEmptiesOnlyItsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		files   []string // in the folder, besides what a demo leaves
		demo    bool     // whether a demo was there before
		held    bool     // whether an engine holds the folder
		refused string
	}{
		"no folder yet":                    {},
		"what the last demo has left":      {files: []string{"kafka/log/0", "clickhouse/store/a", "report.json"}, demo: true},
		"somebody's files":                 {files: []string{"thesis.tex"}, refused: "holds files that are not a demo's"},
		"the engines' data of another":     {files: []string{"kafka/log/0", "lock"}, refused: "holds files that are not a demo's"},
		"a demo that runs, or is served":   {files: []string{"kafka/log/0"}, demo: true, held: true, refused: "is in use by process 4711"},
		"somebody's file called like ours": {files: []string{"README"}, refused: "holds files that are not a demo's"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data", "demo")
			write := func(name, text string) {
				file := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			for _, f := range c.files {
				write(f, "text")
			}
			if c.demo {
				write(marker, markerText)
			}
			if c.held {
				write(lockFile, "4711")
				f, err := os.Open(filepath.Join(dir, lockFile))
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
					t.Fatal(err)
				}
			}
			err := empty(dir)
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Errorf("%v; want %q", err, c.refused)
				}
				for _, f := range c.files {
					if _, err := os.Stat(filepath.Join(dir, f)); err != nil {
						t.Errorf("a refused folder was changed: %v", err)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if e.Name() != marker && e.Name() != lockFile {
					t.Errorf("%s is still there", e.Name())
				}
			}
			if err := empty(dir); err != nil {
				t.Errorf("the next demo trips over it: %v", err)
			}
		})
	}
}

func TestATakenPortIsToldBeforeAnythingIsRemoved(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := embedded.DefaultConfig()
	cfg.KafkaPort, cfg.RegistryPort, cfg.ClickHousePort = 0, 0, 0
	if err := free(cfg); err != nil {
		t.Fatal(err)
	}
	cfg.ClickHousePort = l.Addr().(*net.TCPAddr).Port
	if err := free(cfg); err == nil || !strings.Contains(err.Error(), "ClickHouse is already taken") || !strings.Contains(err.Error(), "embedded.clickhouse_port") {
		t.Error(err)
	}
}

func TestAReportThatCannotBeWrittenIsToldBefore(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "report.json")
	if err := os.WriteFile(file, []byte("the last one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writable(file); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "the last one" {
		t.Errorf("the last report became %q, %v", text, err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "nowhere", "report.json"): "in a folder that exists",
		dir: "is a folder: name a file",
	} {
		if err := writable(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", path, err, want)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".report-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
