package correlate

import "testing"

func TestHotPathsDoNotAllocate(t *testing.T) {
	var s Scratch
	hours := calendar(28 * 24)
	r := source(2)
	y := counts(r, hours, 50, 0.5, 0.3)
	in := pair72(counts(r, steps(hours), 400, 0.5, 0.3), counts(r, steps(hours), 20, 0.5, 0.3), hours, 1, &s)
	history := fitted(counts(r, hours, 400, 0.5, 0.3), y, hours, 72, &s)
	money, base := make([]int64, 96), make([]float64, 96)
	for i := range money {
		money[i], base[i] = 1e7+int64(i), 1e3
	}
	posts := []Stimulus{
		{[]Pulse{{-10, 500}, {4, 100}}, Kernel{4, 8, 288, 0}, 3},
		{[]Pulse{{20, 700}}, Kernel{4, 8, 288, 0}, 3},
	}
	for name, run := range map[string]func(){
		"Fit":       func() { Fit(History{y, Calendar{Bins: hours}}, &s) },
		"Profile":   func() { Profile(in, &s) },
		"Choose":    func() { Choose(history, nil, &s) },
		"Attribute": func() { Attribute(money, base, posts, &s) },
	} {
		if n := testing.AllocsPerRun(5, run); n != 0 {
			t.Errorf("%s allocates %v times a call", name, n)
		}
	}
}
