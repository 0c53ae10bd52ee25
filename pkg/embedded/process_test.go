package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"flywheel/pkg/embedded"
)

// serveEnv makes the test binary serve the engines on the folder it names instead of testing: the
// ClickHouse library runs once a process, and only another process can be killed.
const serveEnv = "FLYWHEEL_TEST_SERVE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveEnv); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serve(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	e, err := embedded.New(without(dir, func(c *embedded.Config) { c.ClickHouse = true }))
	if err != nil {
		return err
	}
	if err := e.Start(ctx); err != nil {
		return err
	}
	fmt.Println(e.ClickHouseDSN())
	<-ctx.Done()
	drain, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return e.Close(drain)
}

// process is another process that serves the engines.
type process struct {
	cmd *exec.Cmd
	dsn string
	err *os.File // what it wrote to standard error
}

func spawn(t *testing.T, dir string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), serveEnv+"="+dir)
	var err error
	p.err, err = os.Create(filepath.Join(t.TempDir(), "stderr"))
	must(t, err)
	t.Cleanup(func() { _ = p.err.Close() })
	p.cmd.Stderr = p.err
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	must(t, p.cmd.Start())
	t.Cleanup(func() { _, _ = p.cmd.Process.Kill(), p.cmd.Wait() }) // does nothing to one that has ended
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = p.cmd.Wait()
		t.Fatalf("the engines did not start: %s", p.log(t))
	}
	p.dsn = strings.TrimSpace(line)
	return p
}

func (p *process) log(t *testing.T) string {
	t.Helper()
	log, err := os.ReadFile(p.err.Name())
	must(t, err)
	return string(log)
}

// installed fetches the library first, so that no spawned process has to.
func installed(t *testing.T) {
	t.Helper()
	_, err := embedded.Install(t.Context(), "", os.Stderr)
	must(t, err)
}

func TestClickHouseLosesNoAcknowledgedRowWhenKilled(t *testing.T) {
	installed(t)
	dir := t.TempDir()
	p := spawn(t, dir)
	conn := connect(t, p.dsn, nil)
	must(t, conn.Exec(t.Context(), "CREATE DATABASE kept"))
	must(t, conn.Exec(t.Context(), "CREATE TABLE kept.k (batch UInt32, n UInt32) ENGINE = MergeTree ORDER BY (batch, n)"))
	const rows = 1000
	var acknowledged atomic.Uint64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for batch := uint32(0); insertRows(t.Context(), conn, batch, rows) == nil; batch++ {
			acknowledged.Add(1)
		}
	}()
	until(t, "some batches are in", func() bool { return acknowledged.Load() >= 5 })
	must(t, p.cmd.Process.Kill())
	<-ended
	_ = p.cmd.Wait()

	p = spawn(t, dir)
	if !strings.Contains(p.log(t), "did not stop cleanly") {
		t.Errorf("Kafka's data were not discarded: %s", p.log(t))
	}
	conn = connect(t, p.dsn, nil)
	var batches, partial uint64
	must(t, conn.QueryRow(t.Context(), "SELECT count(), countIf(c != {rows:UInt64}) FROM (SELECT batch, count() AS c FROM kept.k GROUP BY batch)",
		clickhouse.Named("rows", fmt.Sprint(rows))).Scan(&batches, &partial))
	if known := acknowledged.Load(); batches < known || batches > known+1 || partial > 0 {
		t.Errorf("%d batches acknowledged, %d found, %d of them partial", known, batches, partial)
	}
}

func TestTheDatabaseFollowsTheKafkaData(t *testing.T) {
	installed(t)
	dir := t.TempDir()
	// derived counts the rows of the pipeline's database and of another one.
	derived := func(p *process) (pipeline, other bool) {
		t.Helper()
		must(t, connect(t, p.dsn, nil).QueryRow(t.Context(), "SELECT countIf(database = 'flywheel') > 0, countIf(database = 'other') > 0 FROM system.tables WHERE name = 'derived'").Scan(&pipeline, &other))
		return pipeline, other
	}
	p := spawn(t, dir)
	conn := connect(t, p.dsn, nil)
	must(t, conn.Exec(t.Context(), "CREATE DATABASE other"))
	must(t, conn.Exec(t.Context(), "CREATE TABLE derived (n UInt32) ENGINE = MergeTree ORDER BY n"))
	must(t, conn.Exec(t.Context(), "CREATE TABLE other.derived (n UInt32) ENGINE = MergeTree ORDER BY n"))
	must(t, conn.Close())
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	must(t, p.cmd.Wait())

	p = spawn(t, dir)
	if pipeline, other := derived(p); !pipeline || !other {
		t.Errorf("after a clean stop: pipeline's table %t, other table %t, want both", pipeline, other)
	}
	must(t, p.cmd.Process.Kill())
	_ = p.cmd.Wait()

	p = spawn(t, dir)
	if pipeline, other := derived(p); pipeline || !other {
		t.Errorf("after a kill, which costs Kafka its data: pipeline's table %t, other table %t, want only the other", pipeline, other)
	}
	if !strings.Contains(p.log(t), "emptying the pipeline's database") {
		t.Errorf("nobody said so: %s", p.log(t))
	}
}

func insertRows(ctx context.Context, conn driver.Conn, batch uint32, rows int) error {
	b, err := conn.PrepareBatch(ctx, "INSERT INTO kept.k")
	if err != nil {
		return err
	}
	for n := range rows {
		if err := b.Append(batch, uint32(n)); err != nil {
			return err
		}
	}
	return b.Send()
}

func TestClickHouseDrainsWhatRunsAndCancelsTheRest(t *testing.T) {
	installed(t)
	dir := t.TempDir()
	p := spawn(t, dir)
	conn := connect(t, p.dsn, nil)
	short, endless := make(chan error, 1), make(chan error, 1)
	go func() { short <- conn.Exec(t.Context(), "SELECT sleepEachRow(0.5) AS short FROM numbers(2)") }()
	go func() {
		endless <- conn.Exec(t.Context(), "SELECT count() AS endless FROM numbers(1000000000000) WHERE sipHash64(number) = 1")
	}()
	until(t, "both run", func() bool {
		var n uint64
		must(t, conn.QueryRow(t.Context(), "SELECT count() FROM system.processes WHERE (query LIKE '%short%' OR query LIKE '%endless%') AND query NOT LIKE '%processes%'").Scan(&n))
		return n == 2
	})
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	if err := <-short; err != nil {
		t.Errorf("the short query: %v", err)
	}
	if err := <-endless; err == nil {
		t.Error("the endless query ended well")
	}
	if err := p.cmd.Wait(); err == nil || !strings.Contains(p.log(t), "drain running ClickHouse queries") {
		t.Errorf("the process ended with %v: %s", err, p.log(t))
	}
	if _, err := os.Stat(filepath.Join(dir, "kafka", "clean")); err != nil {
		t.Errorf("Kafka was not stopped cleanly: %v", err)
	}
}
