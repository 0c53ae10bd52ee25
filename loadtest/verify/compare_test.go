package verify

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"flywheel/pkg/event"
)

// TestEveryColumnOfAResultIsComparedWithTheBatch changes one field after the other, that
// of a list's items as well: each is noticed, but for those that are said to tell when a
// result was derived. A field that a result gets is compared without a word here; one that
// a batch cannot give has to be said.
func TestEveryColumnOfAResultIsComparedWithTheBatch(t *testing.T) {
	for table, empty := range results() {
		if table == "dead_letter" { // compared with the record it is about, as a whole
			continue
		}
		whenever := whenDerived()
		if table == "spike" {
			whenever = append(whenever, besideASpike()...)
		}
		for _, one := range columnsOf(reflect.TypeOf(empty()).Elem(), nil) {
			name := reflect.TypeOf(empty()).Elem().FieldByIndex(one.field).Name
			got, want := empty(), empty()
			field := reflect.ValueOf(got).Elem().FieldByIndex(one.field)
			if one.part != nil {
				field.Set(reflect.MakeSlice(field.Type(), 1, 1))
				other := reflect.ValueOf(want).Elem().FieldByIndex(one.field)
				other.Set(reflect.MakeSlice(field.Type(), 1, 1))
				field = field.Index(0).Field(one.of)
			}
			change(t, field)
			if noticed, must := Differs(want, got) != "", !slices.Contains(whenever, name); noticed != must {
				t.Errorf("%s.%s is compared: %t, want %t", table, one.sql, noticed, must)
			}
			whenever = slices.DeleteFunc(whenever, func(n string) bool { return n == name && (one.part == nil || one.of == 1) })
		}
		if len(whenever) > 0 {
			t.Errorf("%s has no %v", table, whenever)
		}
	}
}

// change gives a field another value.
func change(t *testing.T, f reflect.Value) {
	t.Helper()
	switch f.Kind() {
	case reflect.String:
		f.SetString(f.String() + "x")
	case reflect.Int32, reflect.Int64:
		f.SetInt(f.Int() + 1)
	case reflect.Float64, reflect.Float32:
		f.SetFloat(f.Float() + 1e-9)
	case reflect.Bool:
		f.SetBool(!f.Bool())
	case reflect.Array:
		f.Index(0).SetUint(f.Index(0).Uint() + 1)
	case reflect.Slice:
		f.Set(reflect.Append(f, reflect.Zero(f.Type().Elem())))
	default:
		t.Fatalf("what is another %s?", f.Type())
	}
}

func spiked() *event.Spike {
	const at = 20_000 * 86_400_000
	return &event.Spike{
		BrandID: "acme", SpikeID: event.NewID("spike", "acme", "branded_searches", "", at), Force: 1, Status: event.SpikeStatusResolved,
		StartedAtMs: at, PeakAtMs: at + 900_000, EndedAtMs: at + 3_600_000, PeakZ: 7, Excess: 40, ResponseSignal: "branded_searches",
		LeadingContentID: "post", LeadingViews: 1000, Tier: event.TierSettled, LeadPValue: 0.1, ExplainedShare: 0.7, Driven: true, AnomalyScore: 0.9,
	}
}

func TestASpikeThatCannotBeIsNoticed(t *testing.T) {
	if text := Sound(spiked()); text != "" {
		t.Fatal(text)
	}
	for name, c := range map[string]struct {
		change func(*event.Spike)
		want   string
	}{
		"of another force":              {func(s *event.Spike) { s.Force = 2 }, "force 2"},
		"an id of another start":        {func(s *event.Spike) { s.StartedAtMs -= 900_000 }, "its id"},
		"a signal of another force":     {func(s *event.Spike) { s.ResponseSignal = "citations" }, "no response"},
		"an end before the peak":        {func(s *event.Spike) { s.EndedAtMs = s.PeakAtMs }, "highest at"},
		"a peak before the start":       {func(s *event.Spike) { s.PeakAtMs = s.StartedAtMs - 1 }, "highest at"},
		"an impossible probability":     {func(s *event.Spike) { s.LeadPValue = 0 }, "probability"},
		"a stimulus as on other days":   {func(s *event.Spike) { s.Status, s.LeadPValue = event.SpikeStatusActive, 0.6 }, "no more than on other days"},
		"less than nothing explained":   {func(s *event.Spike) { s.ExplainedShare, s.Driven = -1, false }, "-1 of it"},
		"driven without an explanation": {func(s *event.Spike) { s.ExplainedShare = 0.4 }, "driven is true"},
		"explained and not driven":      {func(s *event.Spike) { s.Driven = false }, "driven is false"},
		"a leader without views":        {func(s *event.Spike) { s.LeadingViews = 0 }, `the post "post"`},
		"views of nobody":               {func(s *event.Spike) { s.LeadingContentID = "" }, `the post ""`},
		"no tier":                       {func(s *event.Spike) { s.Tier = "" }, "its tier"},
		"provisional searches":          {func(s *event.Spike) { s.Tier = event.TierProvisional }, "branded searches are provisional"},
		"no score in [0, 1]":            {func(s *event.Spike) { s.AnomalyScore = 1.1 }, "its score is 1.1"},
		"retracted, with a score":       {func(s *event.Spike) { s.Status, s.ExplainedShare, s.Driven = event.SpikeStatusRetracted, 0, false }, "its score is 0.9"},
		"retracted and explained":       {func(s *event.Spike) { s.Status = event.SpikeStatusRetracted }, "retracted"},
		"no status":                     {func(s *event.Spike) { s.Status = "" }, "its status"},
	} {
		s := spiked()
		c.change(s)
		if text := Sound(s); !strings.Contains(text, c.want) {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}

func TestTheLifeOfASpike(t *testing.T) {
	const active, resolved, retracted = event.SpikeStatusActive, event.SpikeStatusResolved, event.SpikeStatusRetracted
	for _, life := range [][]event.SpikeStatus{
		{active, active, resolved}, {resolved, resolved, retracted, resolved}, {active, retracted, active}, {resolved, active, resolved},
	} {
		if at := broken(life); at >= 0 {
			t.Errorf("%v ends at the %d. step", life, at+1)
		}
	}
	for _, life := range [][]event.SpikeStatus{{retracted}, {active, retracted, retracted}} {
		if at := broken(life); at != len(life)-1 {
			t.Errorf("%v is a life until step %d", life, at+1)
		}
	}
}

// broken returns the first step of a life that cannot be, −1 if there is none.
func broken(life []event.SpikeStatus) int {
	before := event.SpikeStatus("")
	for i, s := range life {
		if !Follows(before, s) {
			return i
		}
		before = s
	}
	return -1
}

func TestWatermarks(t *testing.T) {
	marks := func(pairs ...any) (all []event.SourceWatermark) {
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, event.SourceWatermark{Source: pairs[i].(string), WatermarkMs: int64(pairs[i+1].(int))})
		}
		return all
	}
	newest := map[string]int64{"ads": 5, "shop": 9}
	for name, c := range map[string]struct {
		is, was []event.SourceWatermark
		wrong   bool
	}{
		"as new as there is":       {is: marks("ads", 5, "shop", 9), was: marks("ads", 4)},
		"older":                    {is: marks("ads", 3)},
		"none":                     {wrong: true},
		"newer than what was sent": {is: marks("ads", 6), wrong: true},
		"of a source that is none": {is: marks("mail", 1), wrong: true},
		"a source twice":           {is: marks("ads", 5, "ads", 5), wrong: true},
		"not in order":             {is: marks("shop", 9, "ads", 5), wrong: true},
		"older than before":        {is: marks("ads", 4), was: marks("ads", 5), wrong: true},
		"gone":                     {is: marks("ads", 5), was: marks("ads", 5, "shop", 1), wrong: true},
	} {
		if text := Ahead(c.is, newest) + Behind(c.was, c.is); (text != "") != c.wrong {
			t.Errorf("%s: %q", name, text)
		}
	}
}
