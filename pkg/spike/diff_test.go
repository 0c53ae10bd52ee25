package spike

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestDiff(t *testing.T) {
	active := Episode{Status: Active, Start: 50, Peak: 51, End: 53, PeakZ: 6, Excess: 70}
	with := func(e Episode, status Status, revision int64) Episode {
		e.Status, e.Revision = status, revision
		return e
	}
	grown := active
	grown.End, grown.Excess = 54, 90
	tests := []struct {
		name           string
		published, now []Episode
		from           int64
		want           []Transition
	}{
		{"nothing", nil, nil, 0, nil},
		{"new", nil, []Episode{active}, 0, []Transition{{Raise, with(active, Active, 1)}}},
		{"new and over at once", nil, []Episode{with(active, Resolved, 0)}, 0, []Transition{{Resolve, with(active, Resolved, 1)}}},
		{"a suspicion is not published", nil, []Episode{with(active, Suspected, 0)}, 0, nil},
		{"unchanged", []Episode{with(active, Active, 3)}, []Episode{active}, 0, nil},
		{"grown", []Episode{with(active, Active, 3)}, []Episode{grown}, 0, []Transition{{Update, with(grown, Active, 4)}}},
		{"over", []Episode{with(active, Active, 3)}, []Episode{with(active, Resolved, 0)}, 0, []Transition{{Resolve, with(active, Resolved, 4)}}},
		{"restated after it was over", []Episode{with(active, Resolved, 3)}, []Episode{with(grown, Resolved, 0)}, 0, []Transition{{Update, with(grown, Resolved, 4)}}},
		{"its evidence is gone", []Episode{with(active, Resolved, 3)}, nil, 0, []Transition{{Retract, with(active, Retracted, 4)}}},
		{"only a suspicion is left", []Episode{with(active, Active, 3)}, []Episode{with(active, Suspected, 0)}, 0, []Transition{{Retract, with(active, Retracted, 4)}}},
		{"retracted once", []Episode{with(active, Retracted, 4)}, nil, 0, nil},
		{"back after a retraction", []Episode{with(active, Retracted, 4)}, []Episode{active}, 0, []Transition{{Raise, with(active, Active, 5)}}},
		{"out of sight and over: it stands", []Episode{with(active, Resolved, 3)}, nil, 60, nil},
		{"out of sight and active: resolved", []Episode{with(active, Active, 3)}, nil, 60, []Transition{{Resolve, with(active, Resolved, 4)}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Diff(nil, tt.published, tt.now, tt.from)
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// Whatever is restated, what is published becomes what the buckets say, revisions
// only grow, and nothing is published twice.
func TestPublishedFollowsTheBuckets(t *testing.T) {
	cfg := DefaultConfig()
	rapid.Check(t, func(t *rapid.T) {
		var published []Episode
		revisions := map[int64]int64{}
		for range rapid.IntRange(1, 5).Draw(t, "restatements") {
			s := drawSeries(t)
			now, from := Detect(nil, s, &cfg)
			changes := Diff(nil, published, now, from)
			for _, c := range changes {
				if c.Episode.Revision <= revisions[c.Episode.Start] {
					t.Fatalf("revision %d after %d", c.Episode.Revision, revisions[c.Episode.Start])
				}
				revisions[c.Episode.Start] = c.Episode.Revision
			}
			published = Apply(published, changes, s.First)
			if again := Diff(nil, published, now, from); len(again) > 0 {
				t.Fatalf("not settled: %+v", again)
			}
			var standing, want []Episode
			for _, e := range published {
				if e.Status != Retracted && e.Start >= from {
					e.Revision = 0
					standing = append(standing, e)
				}
			}
			for _, e := range now {
				if e.Status != Suspected {
					want = append(want, e)
				}
			}
			if !slices.Equal(standing, want) {
				t.Fatalf("published %+v, the buckets say %+v", standing, want)
			}
		}
	})
}

// An episode that slides out of the series is neither retracted nor raised again.
func TestAnEpisodeThatSlidesOutStands(t *testing.T) {
	cfg := DefaultConfig()
	s := flat(600, 100)
	for i := 250; i < 280; i++ {
		s.Counts[i] = 200
	}
	var published []Episode
	var kinds []Kind
	for end := 230; end <= 600; end++ {
		first := max(0, end-240)
		view := &Series{First: int64(first), Counts: s.Counts[first:end], Expected: s.Expected[first:end], Scales: s.Scales[first:end]}
		now, from := Detect(nil, view, &cfg)
		changes := Diff(nil, published, now, from)
		for _, c := range changes {
			if c.Kind != Update {
				kinds = append(kinds, c.Kind)
			}
		}
		published = Apply(published, changes, view.First)
	}
	if !slices.Equal(kinds, []Kind{Raise, Resolve}) || len(published) != 0 {
		t.Errorf("transitions %v, left %v; want raise, resolve and nothing left", kinds, published)
	}
}

func FuzzDetect(f *testing.F) {
	f.Add([]byte("ddddddddd\xff\xffdddddd\xc8d"), true)
	f.Fuzz(func(t *testing.T, raw []byte, open bool) {
		cfg := DefaultConfig()
		s := flat(min(len(raw), 1000), 100)
		s.Open = open
		for i := range s.Counts {
			s.Counts[i] = int64(int8(raw[i])) * 4
		}
		episodes, from := Detect(nil, s, &cfg)
		before := from
		for i, e := range episodes {
			if e.Start < before || e.Peak < e.Start || e.End <= e.Peak || e.PeakZ < cfg.Sustain {
				t.Fatalf("episode %d of %+v", i, episodes)
			}
			if i < len(episodes)-1 && e.Status != Resolved {
				t.Fatalf("episode %d is %v and not the last", i, e.Status)
			}
			before = e.End
		}
		published := Apply(nil, Diff(nil, nil, episodes, from), s.First)
		if again := Diff(nil, published, episodes, from); len(again) > 0 {
			t.Fatalf("not settled: %+v", again)
		}
	})
}
