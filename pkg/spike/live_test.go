package spike

import (
	"math"
	"slices"
	"testing"
)

// live plays a series bucket by bucket, each in parts, and returns the changes that
// would be published, and after which bucket and part.
type live struct {
	transitions []Transition
	bucket      []int
	part        []int
}

const parts = 5

func play(s *Series, pieces [][]int64, cfg *Config) (l live) {
	var published []Episode
	for i := 60; i < len(s.Counts); i++ {
		sum := int64(0)
		for part, n := range pieces[i] {
			sum += n
			first := max(0, i-240)
			view := Series{
				First: s.First + int64(first), Counts: slices.Clone(s.Counts[first : i+1]), Expected: s.Expected[first : i+1], Scale: s.Scale,
				Exposure: float64(part+1) / parts,
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
			s := flat(1200, level)
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
			pieces := make([][]int64, len(rates))
			for i, rate := range rates {
				s.Counts[i] = 0
				for range parts {
					n := poisson(r, rate/parts)
					pieces[i] = append(pieces[i], n)
					s.Counts[i] += n
				}
			}
			l := play(s, pieces, &cfg)
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

// Forty quiet days that are looked at five times a bucket raise next to nothing.
func TestManyLooksRaiseNothing(t *testing.T) {
	cfg := DefaultConfig()
	for _, level := range []float64{0.5, 20} {
		r := lots(7)
		s := flat(4*24*40, level)
		pieces := make([][]int64, len(s.Counts))
		for i := range pieces {
			s.Counts[i] = 0
			for range parts {
				n := poisson(r, level/parts)
				pieces[i] = append(pieces[i], n)
				s.Counts[i] += n
			}
		}
		if kinds, _ := play(s, pieces, &cfg).kinds(); len(kinds) > 0 {
			t.Errorf("level %v: %v in forty quiet days", level, kinds)
		}
	}
}
