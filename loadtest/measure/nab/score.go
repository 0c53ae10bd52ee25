package nab

import (
	"cmp"
	"math"
	"slices"
)

// Profile is what an alarm is worth.
type Profile struct {
	Name string
	// False is the cost of a false alarm, Missed that of a window without an alarm;
	// one that is found at once is worth 1.
	False, Missed float64
}

// Profiles returns the benchmark's own: its standard, and those that punish false
// alarms and misses more.
func Profiles() []Profile {
	return []Profile{{"standard", 0.11, 1}, {"low FP", 0.22, 1}, {"low FN", 0.11, 2}}
}

// Outcome is what alarms at a threshold amount to.
type Outcome struct {
	Threshold float64
	// Score is 0 for no alarms and 100 for all windows found at once and no false
	// alarm.
	Score float64
	// Windows that there are, those with an alarm, and points with a false alarm.
	Windows, Found, False int
	Months                float64
}

// Recall is the part of the windows that is found.
func (o Outcome) Recall() float64 { return float64(o.Found) / max(1, float64(o.Windows)) }

// Precision is the part of the alarms that is right, one for each window.
func (o Outcome) Precision() float64 { return float64(o.Found) / max(1, float64(o.Found+o.False)) }

// F1 is the harmonic mean of both.
func (o Outcome) F1() float64 {
	return 2 * float64(o.Found) / max(1, float64(o.Windows+o.Found+o.False))
}

// FalseAMonth is the rate of false alarms.
func (o Outcome) FalseAMonth() float64 { return float64(o.False) / o.Months }

// outside is the window of a point that lies in none.
const outside = -1

// worth is what an alarm at a point counts.
type worth struct {
	score  float64 // of the detector
	value  float64 // in a window: of finding it here; outside: what it costs, below 0
	window int
}

// sigmoid is the benchmark's reward by place: in a window from about 1 at its
// first point down to 0 behind its last, and from there down to −1.
func sigmoid(place float64) float64 {
	if place > 3 {
		return -1
	}
	return 2/(1+math.Exp(5*place)) - 1
}

// judged lists the worth of every point that is judged; windows counts those of
// the corpus, of which one that ends on probation cannot be found.
func judged(all []Series, scores [][]float64, p Profile) (points []worth, windows int) {
	for k := range all {
		s := &all[k]
		next := 0
		for i := range s.Values {
			for next < len(s.Windows) && i > s.Windows[next].Last {
				next++
			}
			w := worth{score: scores[k][i], window: outside, value: -p.False}
			switch {
			case next < len(s.Windows) && i >= s.Windows[next].First:
				n := float64(s.Windows[next].Last - s.Windows[next].First + 1)
				w.window, w.value = windows+next, sigmoid(-float64(s.Windows[next].Last-i+1)/n)/sigmoid(-1)
			case next > 0:
				before := s.Windows[next-1]
				w.value = p.False * sigmoid(float64(i-before.Last)/float64(before.Last-before.First))
			}
			if i >= s.Probation() {
				points = append(points, w)
			}
		}
		windows += len(s.Windows)
	}
	return points, windows
}

// tally adds up alarms.
type tally struct {
	Outcome
	profile Profile
	best    []float64 // of each window, −1 while it is not found
	sum     float64
}

func newTally(all []Series, windows int, p Profile) *tally {
	t := &tally{profile: p, best: slices.Repeat([]float64{-1}, windows)}
	t.Windows = windows
	for k := range all {
		t.Months += all[k].Months()
	}
	return t
}

func (t *tally) alarm(w worth) {
	if w.window == outside {
		t.False++
		t.sum += w.value
		return
	}
	b := &t.best[w.window]
	if *b < 0 {
		t.Found++
		t.sum += t.profile.Missed + w.value
		*b = w.value
	} else if w.value > *b {
		t.sum += w.value - *b
		*b = w.value
	}
}

func (t *tally) at(threshold float64) Outcome {
	o := t.Outcome
	o.Threshold = threshold
	o.Score = 100 * t.sum / (float64(t.Windows) * (1 + t.profile.Missed))
	return o
}

// At judges the scores of each series' points at one threshold: a point alarms
// when its score reaches it.
func At(all []Series, scores [][]float64, p Profile, threshold float64) Outcome {
	points, windows := judged(all, scores, p)
	t := newTally(all, windows, p)
	for _, w := range points {
		if w.score >= threshold {
			t.alarm(w)
		}
	}
	return t.at(threshold)
}

// Best judges them at the one threshold for the whole corpus that gives the
// highest score.
func Best(all []Series, scores [][]float64, p Profile) Outcome {
	points, windows := judged(all, scores, p)
	slices.SortStableFunc(points, func(a, b worth) int { return cmp.Compare(b.score, a.score) })
	t := newTally(all, windows, p)
	best := t.at(math.Inf(1))
	for i, w := range points {
		t.alarm(w)
		if i+1 == len(points) || points[i+1].score != w.score {
			if o := t.at(w.score); o.Score > best.Score {
				best = o
			}
		}
	}
	return best
}
