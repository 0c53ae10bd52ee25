package sink_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/config"
	"flywheel/pkg/kafka"
	"flywheel/services/sink"
)

// childEnv holds, in the environment of a process of this test, what the sink
// it is to run is configured with.
const childEnv = "FLYWHEEL_TEST_SINK"

// child is what a sink in another process needs to know.
type child struct {
	Sink       sink.Config
	Kafka      kafka.Config
	ClickHouse clickhouse.Config
	Password   string // which a configuration does not tell
}

func TestMain(m *testing.M) {
	settings := os.Getenv(childEnv)
	if settings == "" {
		os.Exit(m.Run())
	}
	if err := runChild(settings); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runChild(settings string) error {
	var c child
	if err := json.Unmarshal([]byte(settings), &c); err != nil {
		return err
	}
	c.ClickHouse.Password = config.Secret(c.Password)
	registry, err := codec.NewStatic()
	if err != nil {
		return err
	}
	s, err := sink.New(c.Sink, c.Kafka, c.ClickHouse, registry, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider())
	if err != nil {
		return err
	}
	return s.Run(context.Background())
}

// spawn runs a sink in a process of its own.
func (w *world) spawn(cfg sink.Config) *exec.Cmd {
	w.t.Helper()
	settings, err := json.Marshal(child{cfg, w.kafka, w.clickhouse, w.clickhouse.Password.Reveal()})
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(settings))
	cmd.Stdout, cmd.Stderr = w.t.Output(), w.t.Output()
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have been killed already
		_ = cmd.Wait()
	})
	return cmd
}

// kill -9 at any moment: of reading, writing or committing.
func TestKilledSinksLoseAndDoubleNothing(t *testing.T) {
	w := newWorld(t)
	lots := rand.New(rand.NewPCG(3, 4))
	cfg := w.config()
	cfg.SessionTimeout, cfg.FlushInterval = time.Second, 5*time.Millisecond
	written := uint64(0)
	for kills := 0; kills < 4; {
		cmd := w.spawn(cfg)
		w.eventually("a sink writes", func() bool {
			w.load(40)
			return w.count("SELECT uniqExact(event_id) FROM amazon_review") > written
		})
		for range lots.IntN(20) { // some of it is under way then
			w.load(40)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it says that it was killed
		written = w.count("SELECT uniqExact(event_id) FROM amazon_review")
		kills++
	}
	m := w.start(nil)
	w.drained()
	w.reviews()
	w.end(m)
}
