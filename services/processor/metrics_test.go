package processor

import (
	"testing"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/topology"
)

func TestAProcessorIsBehindOnlyWithWhatIsItsOwn(t *testing.T) {
	reader := metric.NewManualReader()
	p := &session{Processor: new(Processor)}
	var err error
	if p.metrics, err = newMetrics(metric.NewMeterProvider(metric.WithReader(reader)), p.staleness); err != nil {
		t.Fatal(err)
	}
	registry, err := codec.NewStatic()
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorker(0, topology.DefaultConfig(), registry)
	if err != nil {
		t.Fatal(err)
	}
	w.queues = []queue{{topic: event.TopicAmazon, next: 10, end: 60}}
	lag := func() int64 {
		var all metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		for _, m := range all.ScopeMetrics[0].Metrics {
			if m.Name == "flywheel.processor.lag" {
				return m.Data.(metricdata.Gauge[int64]).DataPoints[0].Value
			}
		}
		t.Fatal("there is no lag")
		return 0
	}
	p.holds(t.Context(), []*worker{w})
	if n := lag(); n != 50 {
		t.Errorf("a partition has 50 records left, and the lag is %d", n)
	}
	p.holds(t.Context(), nil) // it is another's now
	if n := lag(); n != 0 {
		t.Errorf("a processor without partitions lags by %d", n)
	}
}
