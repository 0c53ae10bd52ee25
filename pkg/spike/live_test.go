package spike

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// live plays a series bucket by bucket, each in parts, and returns the changes that
// would be published, and after which bucket and part.
type live struct {
	transitions []Transition
	bucket      []int
	part        []int
}

// fill draws what each of some looks at a bucket finds new, and the counts of the buckets.
func fill(r *rand.Rand, s *Series, rates []float64, looks int) (pieces [][]int64) {
	pieces = make([][]int64, len(rates))
	for i, rate := range rates {
		s.Counts[i] = 0
		for range looks {
			n := poisson(r, rate/float64(looks))
			pieces[i] = append(pieces[i], n)
			s.Counts[i] += n
		}
	}
	return pieces
}

// play looks at every step-th part of a bucket from the sixtieth on, and at its last.
func play(s *Series, pieces [][]int64, step int, cfg *Config) (l live) {
	const sight = 60
	var published []Episode
	for i := 60; i < len(s.Counts); i++ {
		sum := int64(0)
		first := max(0, i-sight)
		view := Series{First: s.First + int64(first), Counts: slices.Clone(s.Counts[first : i+1]), Expected: s.Expected[first : i+1], Scales: s.Scales[first : i+1]}
		for part, n := range pieces[i] {
			sum += n
			if view.Open = part+1 < len(pieces[i]); view.Open && (part+1)%step > 0 {
				continue
			}
			view.Counts[i-first] = sum
			now, from := Detect(nil, &view, cfg)
			changes := Diff(nil, published, now, from)
			published = Apply(published, changes, view.First)
			for _, c := range changes {
				l.transitions, l.bucket, l.part = append(l.transitions, c), append(l.bucket, i), append(l.part, part+1)
			}
		}
	}
	return l
}

// kinds lists the transitions that are more than new numbers.
func (l live) kinds() (kinds []Kind, at []int) {
	for i, t := range l.transitions {
		if t.Kind != Update {
			kinds, at = append(kinds, t.Kind), append(at, i)
		}
	}
	return kinds, at
}

// Every planted event is raised once, before its first bucket is over, and resolved
// once, however often its buckets are looked at while they fill.
func TestALiveEventIsOneSpike(t *testing.T) {
	cfg := DefaultConfig()
	for name, shape := range map[string]func(hours float64) float64{
		"a jump that decays":      func(h float64) float64 { return 1 + 4*math.Exp2(-h/2) },
		"a jump that comes again": func(h float64) float64 { return 1 + 4*math.Exp2(-math.Mod(h, 1.5)) },
		"a plateau of six hours":  func(h float64) float64 { return 3.5 },
		"one that wavers around the lower threshold": func(h float64) float64 {
			return 1 + 3*math.Exp2(-h/3)*(0.6+0.4*math.Cos(2*math.Pi*h))
		},
	} {
		for _, level := range []float64{20, 100, 1000} {
			r := lots(uint64(level))
			s := flat(800, level)
			var truth []int
			rates := make([]float64, len(s.Counts))
			for i := range rates {
				rates[i] = level
			}
			for at := 200; at+200 < len(rates); at += 300 {
				truth = append(truth, at)
				for k := range 24 {
					rates[at+k] = level * shape(float64(k)/4)
				}
			}
			l := play(s, fill(r, s, rates, 90), 1, &cfg)
			kinds, at := l.kinds()
			want := slices.Repeat([]Kind{Raise, Resolve}, len(truth))
			if !slices.Equal(kinds, want) {
				t.Errorf("%s, level %v: %v, want raise and resolve for each of %v", name, level, kinds, truth)
				continue
			}
			for k, start := range truth {
				if i := at[2*k]; l.bucket[i] != start || l.transitions[i].Episode.Start != s.First+int64(start) {
					t.Errorf("%s, level %v: the event at %d is raised in bucket %d, part %d", name, level, start, l.bucket[i], l.part[i])
				}
			}
		}
	}
}

// Forty quiet days that are looked at every ten seconds raise nothing.
func TestManyLooksRaiseNothing(t *testing.T) {
	cfg := DefaultConfig()
	for _, level := range []float64{0.5, 20} {
		r := lots(7)
		s := flat(4*24*40, level)
		if kinds, _ := play(s, fill(r, s, s.Expected, 90), 1, &cfg).kinds(); len(kinds) > 0 {
			t.Errorf("level %v: %v in forty quiet days", level, kinds)
		}
	}
}

// life is what is published of the episodes but for new numbers, and of which.
func (l live) life() (out []string) {
	for _, t := range l.transitions {
		if t.Kind != Update {
			out = append(out, fmt.Sprint(t.Kind, " ", t.Episode.Start))
		}
	}
	return out
}

// An hour that is a little above the threshold, or a little below, is raised once or
// never: what is published does not depend on how often it is looked at.
func TestMildEventsAreRaisedOnceHoweverOftenTheyAreLookedAt(t *testing.T) {
	cfg := DefaultConfig()
	raised := 0
	for _, tc := range []struct {
		level, factor float64
		looks         int // a bucket, at most
	}{
		{5, 2, 90}, {20, 1.5, 90}, {20, 2, 900}, {100, 1.3, 90}, {100, 1.5, 90}, {100, 2, 90}, {1000, 1.3, 90},
	} {
		s := flat(900, tc.level)
		rates := slices.Clone(s.Expected)
		for at := 200; at+100 < len(rates); at += 100 {
			for k := range 4 {
				rates[at+k] *= tc.factor
			}
		}
		pieces := fill(lots(uint64(tc.level)), s, rates, tc.looks)
		want := play(s, pieces, tc.looks, &cfg).life()
		for _, step := range []int{1, tc.looks / 5} {
			if got := play(s, pieces, step, &cfg).life(); !slices.Equal(got, want) {
				t.Errorf("level %v, %v times as much, looked at %d times a bucket: %v, looked at once: %v", tc.level, tc.factor, tc.looks/step, got, want)
			}
		}
		raised += len(want) / 2
	}
	if raised < 14 || raised > 34 {
		t.Errorf("%d of 42 events are raised, want some that are and some that are not", raised)
	}
}

// Nor does it where counts are anything that grows.
func TestWhatIsPublishedDoesNotDependOnLooks(t *testing.T) {
	cfg := DefaultConfig()
	rapid.Check(t, func(t *rapid.T) {
		s := flat(80, 100)
		pieces := make([][]int64, len(s.Counts))
		for i := range pieces {
			pieces[i] = []int64{s.Counts[i]}
			if i >= 60 {
				pieces[i] = rapid.SliceOfN(rapid.Int64Range(0, 60), 1, 6).Draw(t, "pieces")
			}
			s.Counts[i] = 0
			for _, n := range pieces[i] {
				s.Counts[i] += n
			}
		}
		if often, once := play(s, pieces, 1, &cfg).life(), play(s, pieces, 100, &cfg).life(); !slices.Equal(often, once) {
			t.Fatalf("looked at often: %v, once a bucket: %v", often, once)
		}
	})
}
