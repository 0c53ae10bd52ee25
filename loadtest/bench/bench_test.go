package bench

import (
	"slices"
	"testing"

	"flywheel/services/processor"
)

// TestOfSeveralRunsTheMedianCostIsTold holds that neither a lucky run nor a fast restart is.
func TestOfSeveralRunsTheMedianCostIsTold(t *testing.T) {
	run := func(cost, result, row float64) Run {
		return Run{Brands: int(10 * cost), Processor: processor.Report{CPUSecondsPerMillion: cost}, AfterKill: Restart{Result: result, Row: row}}
	}
	got := typical([]Run{run(2.4, 1, 3), run(1.6, 2.5, 2.75), run(1.8, 0.5, 0.75)})
	if got.Brands != 18 || got.Processor.CPUSecondsPerMillion != 1.8 {
		t.Errorf("told is %+v, want the run that cost 1.8", got)
	}
	if want := (Restart{Result: 2.5, Row: 3}); got.AfterKill != want {
		t.Errorf("told of restarts is %+v, want %+v", got.AfterKill, want)
	}
	if want := []float64{1.6, 1.8, 2.4}; !slices.Equal(got.Costs, want) {
		t.Errorf("the costs are %v, want %v", got.Costs, want)
	}
}
