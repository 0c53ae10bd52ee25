package sink

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// There may be no flush after partitions went to another sink.
func TestLagIsThatOfThePartitionsThatStay(t *testing.T) {
	reader := metric.NewManualReader()
	m, err := newMetrics(metric.NewMeterProvider(metric.WithReader(reader)), new(Sink).staleness)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{
		Sink:  &Sink{metrics: m},
		held:  make(map[string]map[int32]kgo.EpochOffset),
		taken: map[string]map[int32]place{"one": {0: {3, 10}, 1: {0, 5}}, "two": {0: {4, 8}}},
	}
	for _, step := range []struct {
		gone map[string][]int32
		want int64
	}{
		{nil, 16},
		{map[string][]int32{"one": {0}}, 9},
		{map[string][]int32{"one": {1}, "two": {0}}, 0},
	} {
		s.released(t.Context(), nil, step.gone)
		var all metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		instruments := all.ScopeMetrics[0].Metrics
		i := slices.IndexFunc(instruments, func(m metricdata.Metrics) bool { return m.Name == "flywheel.sink.lag" })
		if i < 0 {
			t.Fatal("no lag is told")
		}
		if got := instruments[i].Data.(metricdata.Gauge[int64]).DataPoints[0].Value; got != step.want {
			t.Errorf("after %v went the lag is %d, want %d", step.gone, got, step.want)
		}
	}
}

// A gauge that rises with a trouble rises without one as well: what tells of it is a counter.
func TestWhatIsTriedAgainIsCounted(t *testing.T) {
	away := errors.New("nobody answers")
	for name, c := range map[string]struct {
		metric  string
		happens func(*session)
		want    int64
	}{
		"nothing has failed": {"flywheel.sink.read.retries", func(*session) {}, 0},
		"Kafka is not read": {"flywheel.sink.read.retries", func(s *session) {
			s.misses(t.Context(), ofBrokers, away)
			s.misses(t.Context(), ofGroup, away)
		}, 2},
		"it is read again": {"flywheel.sink.read.retries", func(s *session) { s.reads(t.Context(), ofBrokers) }, 0},
		"ClickHouse is away at start": {"flywheel.sink.retries", func(s *session) {
			s.cfg.StartTimeout = time.Hour
			ctx, stop := context.WithCancel(t.Context())
			s.dial = func(context.Context) (driver.Conn, error) {
				if s.troubles.first() != nil { // it was told of the time before
					stop()
				}
				return nil, away
			}
			if _, _, err := s.connect(ctx); !errors.Is(err, away) {
				t.Errorf("it ends with %v", err)
			}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			reader := metric.NewManualReader()
			m, err := newMetrics(metric.NewMeterProvider(metric.WithReader(reader)), new(Sink).staleness)
			if err != nil {
				t.Fatal(err)
			}
			m.begin(nil, nil)
			c.happens(&session{Sink: &Sink{cfg: Config{RetryPause: time.Second}, metrics: m, logger: slog.New(slog.DiscardHandler)}})
			var all metricdata.ResourceMetrics
			if err := reader.Collect(t.Context(), &all); err != nil {
				t.Fatal(err)
			}
			for _, m := range all.ScopeMetrics[0].Metrics {
				if m.Name == c.metric {
					if got := m.Data.(metricdata.Sum[int64]).DataPoints[0].Value; got != c.want {
						t.Errorf("%s is %d, want %d", c.metric, got, c.want)
					}
					return
				}
			}
			t.Errorf("%s is not told", c.metric)
		})
	}
}
