package smalldisk

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/metric/noop"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/embedded"
	"flywheel/pkg/kafka"
)

// disk mounts one, or ends the test where none can be had and says why: a failure for who may mount.
func disk(t *testing.T, mib int) (*Disk, string) {
	t.Helper()
	dir := t.TempDir()
	d, err := Mount(t.Context(), dir, mib)
	if errors.Is(err, ErrUnavailable) && !Entitled() {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d, dir
}

func TestOnlyItsProcessesSeeTheDisk(t *testing.T) {
	d, dir := disk(t, 8)
	run := func(script string) (string, error) {
		out, err := d.Command(t.Context(), "sh", "-c", script, "sh", dir).CombinedOutput()
		return string(out), err
	}
	if out, err := run(`echo kept > "$1/file"`); err != nil {
		t.Fatal(err, out)
	}
	if out, err := run(`cat "$1/file"`); out != "kept\n" {
		t.Errorf("another process of the disk reads %q, %v", out, err)
	}
	if got, err := os.ReadFile(d.Path("file")); string(got) != "kept\n" {
		t.Errorf("from outside it reads %q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "file")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of everybody else has the file: %v", err)
	}
	if err := d.Fill(1 << 20); err != nil {
		t.Fatal(err)
	}
	if free, err := d.Free(); err != nil || free > 1<<20 {
		t.Errorf("%d bytes are free (%v), want 1 MiB at most", free, err)
	}
	const write = `dd if=/dev/zero of="$1/more" bs=65536 count=32 2>&1`
	if out, err := run(write); err == nil || !strings.Contains(out, "No space left on device") {
		t.Errorf("2 MiB fit: %s, %v", out, err)
	}
	if err := d.Relieve(); err != nil {
		t.Fatal(err)
	}
	if out, err := run(write); err != nil {
		t.Errorf("relieved it takes nothing: %s, %v", out, err)
	}
}

// Who is not root has a disk all the same, as root of a namespace of users.
func TestADiskNeedsNoRoot(t *testing.T) {
	dir := t.TempDir()
	d, err := mount(t.Context(), dir, 8, true)
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if out, err := d.Command(t.Context(), "sh", "-c", `echo kept > "$1/file"; cat "$1/file"`, "sh", dir).CombinedOutput(); string(out) != "kept\n" {
		t.Errorf("it reads %q, %v", out, err)
	}
	if err := d.Fill(1 << 20); err != nil {
		t.Error(err)
	}
}

func TestWhoMayMountIsEntitled(t *testing.T) {
	for name, c := range map[string]struct {
		status string
		want   bool
	}{
		"root":                           {"Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t000001ffffffffff\nSeccomp:\t0\n", true},
		"root in a container":            {"Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t00000000a80425fb\nSeccomp:\t2\n", false},
		"a user":                         {"Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n", false},
		"a system without such a status": {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mounts(c.status); got != c.want {
				t.Errorf("%t, want %t", got, c.want)
			}
		})
	}
}

func TestADiskNeedsASizeAndAPlace(t *testing.T) {
	for _, c := range []struct {
		dir string
		mib int
	}{{"relative", 8}, {t.TempDir(), 0}} {
		if _, err := Mount(t.Context(), c.dir, c.mib); err == nil || errors.Is(err, ErrUnavailable) {
			t.Errorf("%q, %d MiB: %v", c.dir, c.mib, err)
		}
	}
	if _, err := Mount(t.Context(), filepath.Join(t.TempDir(), "missing"), 8); err == nil || errors.Is(err, ErrUnavailable) {
		t.Errorf("a folder that is missing: %v", err)
	}
}

// engines runs the embedded engines in a process whose data lie on the disk.
func engines(t *testing.T, d *Disk, dir string) (kafkaAt, clickhouseAt string, lines func(string) int) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "flywheel")
	if out, err := exec.Command("go", "build", "-o", binary, "flywheel/services/flywheel").CombinedOutput(); err != nil {
		t.Fatalf("build the binary: %v\n%s", err, out)
	}
	cache, err := embedded.DefaultCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	var ports [2]int
	for i := range ports {
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = listener.Addr().(*net.TCPAddr).Port
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cmd := d.Command(t.Context(), binary, "embedded", "--embedded.data_dir="+filepath.Join(dir, "data"), "--embedded.cache_dir="+cache, "--embedded.registry_port=0",
		fmt.Sprintf("--embedded.kafka_port=%d", ports[0]), fmt.Sprintf("--embedded.clickhouse_port=%d", ports[1]))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var (
		mu   sync.Mutex
		said []string
		read sync.WaitGroup
	)
	ready := make(chan struct{})
	read.Go(func() {
		once := sync.OnceFunc(func() { close(ready) })
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if strings.Contains(lines.Text(), "are ready") {
				once()
			}
		}
	})
	read.Go(func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			mu.Lock()
			said = append(said, lines.Text())
			mu.Unlock()
		}
	})
	t.Cleanup(func() { // the test's context has ended, and with it the engines: a second signal would kill them
		read.Wait()
		if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("the engines ended with %v:\n%s", err, strings.Join(said, "\n"))
		}
	})
	select {
	case <-ready:
	case <-time.After(time.Minute):
		mu.Lock()
		defer mu.Unlock()
		t.Fatalf("the engines are not ready:\n%s", strings.Join(said, "\n"))
	}
	return fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1]), func(text string) int {
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for _, line := range said {
			if strings.Contains(line, text) {
				n++
			}
		}
		return n
	}
}

// A disk that fills holds records and rows back with one line; relieved, it has
// all of them, once.
func TestTheEnginesOutliveAFullDisk(t *testing.T) {
	d, dir := disk(t, 192)
	kafkaAt, clickhouseAt, lines := engines(t, d, dir)

	cfg := kafka.DefaultConfig()
	cfg.Brokers = []string{kafkaAt}
	client, err := kafka.Connect(t.Context(), cfg, slog.New(slog.DiscardHandler), noop.NewMeterProvider(),
		kgo.ConsumeTopics("full"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, "full"); err != nil {
		t.Fatal(err)
	}
	target := clickhouse.DefaultConfig()
	target.Addresses = []string{clickhouseAt}
	conn, err := clickhouse.Open(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Exec(t.Context(), "CREATE TABLE full (n Int64, filling String) ENGINE = MergeTree ORDER BY n"); err != nil {
		t.Fatal(err)
	}

	const each = 200
	var sent sync.WaitGroup
	records := 0
	produce := func(n int) {
		for range n {
			sent.Add(1)
			client.Produce(t.Context(), &kgo.Record{Topic: "full", Value: fmt.Appendf(make([]byte, 0, 1024), "%01024d", records)}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Errorf("a record was not delivered: %v", err)
				}
				sent.Done()
			})
			records++
		}
	}
	insert := func(n int64) error {
		return clickhouse.Insert(t.Context(), conn, "full", []clickhouse.Column{{Name: "n", Type: "Int64"}, {Name: "filling", Type: "String"}}, []any{[]int64{n}, []string{"x"}})
	}
	produce(each)
	sent.Wait()
	if err := insert(1); err != nil {
		t.Fatal(err)
	}

	const nearlyFull = "the disk of the embedded Kafka is nearly full"
	// Once is not enough: ClickHouse may give back space meanwhile.
	for deadline := time.Now().Add(time.Minute); lines(nearlyFull) == 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the broker does not say that its disk is full")
		}
		if err := d.Fill(5 << 20); err != nil {
			t.Fatal(err)
		}
		produce(1)
	}
	produce(each)
	if err := d.Fill(5 << 20); err != nil {
		t.Fatal(err)
	}
	refused := insert(2)
	if refused == nil || clickhouse.FaultOf(refused) != clickhouse.FaultServer {
		t.Errorf("ClickHouse on a full disk: %v, want the server's fault", refused)
	}
	if err := d.Relieve(); err != nil {
		t.Fatal(err)
	}
	sent.Wait()
	for refused != nil {
		refused = insert(2)
		if t.Context().Err() != nil {
			t.Fatal(refused)
		}
	}

	seen := make(map[string]int)
	for n := 0; n < records; {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			n++
			seen[string(r.Value)]++
		})
	}
	if len(seen) != records {
		t.Errorf("%d different records among %d", len(seen), records)
	}
	var rows uint64
	if err := conn.QueryRow(t.Context(), "SELECT uniqExact(n) FROM full").Scan(&rows); err != nil || rows != 2 {
		t.Errorf("%d rows (%v), want 2", rows, err)
	}
	if n := lines(nearlyFull); n != 1 {
		t.Errorf("the broker has said %d times that its disk is full, want once", n)
	}
}
