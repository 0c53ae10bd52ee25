package estimate

import (
	"slices"
	"testing"
)

func TestDeclaredSpansCountTheDaysOfTheGridOnly(t *testing.T) {
	const hour, day = 3_600_000, 24 * 3_600_000
	const years = 8000 * 365 * day
	g := grid{start: 100*day + 5*hour, step: hour, n: 30}
	for name, tc := range map[string]struct {
		span   span
		first  int // step that is declared, and how many
		steps  int
		days   []int // numbers that are given
		counts int
	}{
		"a part of a day":                {span{beginMs: g.start + 2*hour, endMs: g.start + 4*hour}, 2, 2, []int{1}, 1},
		"longer than a day":              {span{beginMs: g.start + 2*hour, endMs: g.start + 28*hour}, 2, 26, []int{1, 2}, 1},
		"from long before to long after": {span{beginMs: 100*day - years, endMs: 100*day + years}, 0, 30, []int{1, 2}, 1},
		"before":                         {span{beginMs: -years, endMs: g.start}, 0, 0, nil, 0},
		"after":                          {span{beginMs: g.start + 30*hour, endMs: years}, 0, 0, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			numbers, used := declare([]span{tc.span}, g)
			var days []int
			steps := 0
			for k, n := range numbers {
				if n == 0 {
					continue
				}
				if steps == 0 && k != tc.first {
					t.Errorf("the first step is %d, want %d", k, tc.first)
				}
				steps++
				if !slices.Contains(days, n) {
					days = append(days, n)
				}
			}
			if steps != tc.steps || used != tc.counts || !slices.Equal(days, tc.days) {
				t.Errorf("%d steps in days %v of %d spans, want %d in %v of %d", steps, days, used, tc.steps, tc.days, tc.counts)
			}
		})
	}
}
