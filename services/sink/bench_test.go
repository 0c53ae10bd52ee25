package sink_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/event"
	"flywheel/services/sink"
)

// BenchmarkSink measures the whole way of a backlog of events from Kafka into
// ClickHouse, both of them in this process, whose time counts as well.
func BenchmarkSink(b *testing.B) {
	const rows = 400_000
	w := newWorld(b)
	records := make([]*kgo.Record, rows)
	for i := range records {
		var v event.Record = w.review(brand(i % 1000))
		if i%4 != 0 {
			v = w.views(brand(i % 1000))
		}
		records[i] = w.record(v)
	}
	w.send(records...)
	before := cpu(b)
	b.ResetTimer()
	started := time.Now()
	for i := range b.N {
		m := w.start(func(c *sink.Config) {
			*c = sink.DefaultConfig()
			c.Group += string(rune('a' + i%26))
		})
		w.drainedBy("flywheel-sink" + string(rune('a'+i%26)))
		w.end(m)
	}
	took, used := time.Since(started), cpu(b)-before
	n := float64(rows * b.N)
	b.ReportMetric(n/took.Seconds(), "rows/s")
	b.ReportMetric(used.Seconds()/n*1e6, "cpu-µs/row")
}

// cpu returns the processor time this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
