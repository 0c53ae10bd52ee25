package sink

import (
	"slices"
	"testing"

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
