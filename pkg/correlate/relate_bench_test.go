package correlate

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// cpuTime is what this process has used, also where others use the machine.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The case of the stream is 35 days of hours, that of the command 60 days of quarters.
func BenchmarkEstimator(b *testing.B) {
	for _, tc := range []struct {
		name  string
		days  int
		step  int64
		share float64
	}{
		{"35 days of hours, no effect", 35, 3600, 0},
		{"35 days of hours, an effect", 35, 3600, 0.3},
		{"60 days of quarters, an effect", 60, 900, 0.3},
	} {
		perDay := int(daySeconds / tc.step)
		lags := 3 * perDay
		p, _ := posted(3, tc.days*perDay/24, Kernel{lags / 24, float64(lags / 18), lags, 0}, tc.share)
		p.StepSeconds, p.Lags = tc.step, lags
		var e Estimator
		for stages, name := range []string{"screen", "and bend", "and bound", "and assess"} {
			b.Run(fmt.Sprintf("%s: %s", tc.name, name), func(b *testing.B) {
				b.ReportAllocs()
				cpu := cpuTime()
				for b.Loop() {
					rel := e.Screen(p)
					if stages > 0 {
						e.Bend(&rel)
					}
					if stages > 1 {
						e.Bound(&rel)
					}
					if stages > 2 {
						e.Assess(&rel)
					}
				}
				b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// The hours of five weeks and of two months, less a kernel of three days.
func BenchmarkMediate(b *testing.B) {
	for _, days := range []int{32, 57} {
		in := twoWays(1, days*24, planted{a: 0.5, b: 0.8, direct: 0.4, kernel: Kernel{Delay: 1}})
		b.Run(fmt.Sprintf("%d days", days), func(b *testing.B) {
			b.ReportAllocs()
			cpu := cpuTime()
			for b.Loop() {
				Mediate(in)
			}
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}
