package correlate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// plot draws a lag profile: lags from left to right, eight to a column, by the
// highest of them; one row is a tenth of correlation.
func plot(res *Result) string {
	const perColumn = 8
	var columns []float32
	for lag, r := range res.Lags {
		if lag%perColumn == 0 {
			columns = append(columns, r)
		}
		last := &columns[len(columns)-1]
		*last = max(*last, r)
	}
	var b strings.Builder
	for row := 9; row >= 0; row-- {
		line := make([]byte, len(columns))
		for i, r := range columns {
			line[i] = ' '
			if r > float32(row)/10 {
				line[i] = '#'
			}
		}
		fmt.Fprintf(&b, "%.1f |%s\n", float64(row)/10, strings.TrimRight(string(line), " "))
	}
	fmt.Fprintf(&b, "    +%s\n", strings.Repeat("-", len(columns)))
	fmt.Fprintf(&b, "best lag %d (%.2f), delay %d, half-life %g, decayed %.2f\n",
		res.BestLag, res.BestCorrelation, res.Kernel.Delay, res.Kernel.HalfLife, res.Decayed)
	fmt.Fprintf(&b, "effective n %.0f, p %.2g: %v %v", res.EffectiveN, res.P, res.Verdict, res.Reason)
	return strings.TrimRight(b.String(), " ") + "\n"
}

// TestLagProfiles draws scenarios: seed, stride, delay and half-life in steps of
// 15 minutes, beta in responses per stimulus, posts as hours before the end.
func TestLagProfiles(t *testing.T) {
	var s Scratch
	hours := calendar(28 * 24)
	bins := steps(hours)
	datadriven.RunTest(t, "testdata/profile", func(t *testing.T, d *datadriven.TestData) string {
		seed, stride, delay, halfLife, beta := 0, 1, 0, 0, "0"
		d.ScanArgs(t, "seed", &seed)
		d.ScanArgs(t, "stride", &stride)
		d.ScanArgs(t, "delay", &delay)
		d.ScanArgs(t, "half-life", &halfLife)
		d.ScanArgs(t, "beta", &beta)
		var effect float64
		if _, err := fmt.Sscan(beta, &effect); err != nil {
			t.Fatalf("beta %q: %v", beta, err)
		}
		r := source(uint64(seed))
		x, y := counts(r, bins, 400, 0, 0), counts(r, bins, 20, 0, 0)
		for _, line := range strings.Fields(d.Input) {
			var back int
			if _, err := fmt.Sscan(line, &back); err != nil {
				t.Fatalf("post %q: %v", line, err)
			}
			burst(x, len(x)-4*back, 20000)
		}
		respond(x, y, Kernel{delay, float64(halfLife), 288, 0}, effect)
		res := Profile(pair72(x, y, hours, stride, &s), &s)
		return plot(&res)
	})
}
