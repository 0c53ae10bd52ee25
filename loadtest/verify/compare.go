package verify

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"flywheel/pkg/event"
)

// whenDerived are the fields of a result that say when it was derived, and so what no
// batch can give. Revisions rise, and ClickHouse holds the newest; watermarks rise, and
// none is ahead of the newest event accepted (Ahead, Behind). All other fields are compared with
// the batch, those as well that a result gets one day.
func whenDerived() []string { return []string{"Revision", "Watermarks"} }

// besideASpike are the fields of a spike that say what was known beside it when its
// episode last changed (topology/DESIGN.md): of the history before it, of the effect the
// force had by that day, and of reports, which come later. A batch knows all of it, and
// mostly says the same. What holds of them in any case says Sound.
func besideASpike() []string {
	return []string{"LeadPValue", "ExplainedShare", "Driven", "AnomalyScore", "LeadingContentID", "LeadingViews", "Tier"}
}

// Differs says in what a result differs from the batch, "" if in nothing.
func Differs(batch, stream any) string {
	fields := whenDerived()
	if _, ok := stream.(*event.Spike); ok {
		fields = append(fields, besideASpike()...)
	}
	return differ(batch, stream, fields)
}

// differ compares two records of a kind but for some fields; no list is an empty one.
func differ(want, got any, fields []string) string {
	want, got = without(want, fields), without(got, fields)
	if reflect.DeepEqual(want, got) { // which is much faster, byte by byte as well
		return ""
	}
	return cmp.Diff(want, got)
}

// without returns a copy of a record in which some fields are empty.
func without(record any, fields []string) any {
	was := reflect.ValueOf(record).Elem()
	out := reflect.New(was.Type())
	out.Elem().Set(was)
	for i := range was.NumField() {
		f := out.Elem().Field(i)
		if slices.Contains(fields, was.Type().Field(i).Name) || f.Kind() == reflect.Slice && f.Len() == 0 {
			f.SetZero()
		}
	}
	return out.Interface()
}

// Sound says what cannot be of a spike, whenever it was derived, "" if nothing. Its bounds
// stand here once more, on purpose: an oracle that took them from the code it judges would
// follow it into its mistakes.
func Sound(s *event.Spike) string {
	force := event.Forces()[0]
	var wrong []string
	must := func(is bool, format string, args ...any) {
		if !is {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	must(s.Force == int32(force.Number), "it is of force %d", s.Force)
	must(s.SpikeID == event.NewID("spike", s.BrandID, force.Responses[0].String(), "", s.StartedAtMs), "its id is not that of a start at %d", s.StartedAtMs)
	must(slices.ContainsFunc(force.Responses, func(r event.Signal) bool { return r.String() == s.ResponseSignal }), "%q is no response of its force", s.ResponseSignal)
	must(s.StartedAtMs <= s.PeakAtMs && s.PeakAtMs < s.EndedAtMs, "it begins at %d, is highest at %d and ends at %d", s.StartedAtMs, s.PeakAtMs, s.EndedAtMs)
	must(0 < s.LeadPValue && s.LeadPValue <= 1, "the probability of what leads it is %v", s.LeadPValue)
	must(s.ExplainedShare >= 0, "%v of it is explained", s.ExplainedShare)
	must(s.Driven == (s.ExplainedShare >= 0.5), "driven is %t where %v of it is explained", s.Driven, s.ExplainedShare)
	must(0 <= s.AnomalyScore && s.AnomalyScore <= 1, "its score is %v", s.AnomalyScore)
	must((s.LeadingContentID == "") == (s.LeadingViews == 0), "the post %q leads it with %d views", s.LeadingContentID, s.LeadingViews)
	must(s.Tier == event.TierSettled || s.Tier == event.TierProvisional, "its tier is %q", s.Tier)
	must(s.Tier == event.TierSettled || s.ResponseSignal != event.BrandedSearches.String(), "branded searches are %s", s.Tier)
	switch s.Status {
	case event.SpikeStatusActive:
		must(s.LeadPValue <= 0.5, "what leads it is no more than on other days (%v)", s.LeadPValue)
	case event.SpikeStatusResolved:
	case event.SpikeStatusRetracted:
		must(s.ExplainedShare == 0, "%v of it is explained, and it is retracted", s.ExplainedShare)
		must(s.AnomalyScore == 0, "it is retracted, and its score is %v", s.AnomalyScore)
	default:
		must(false, "its status is %q", s.Status)
	}
	return strings.Join(wrong, "; ")
}

// Follows says whether a spike may have a status after another, of which "" is none:
// what was not raised is not retracted, and what is retracted not once more.
func Follows(before, after event.SpikeStatus) bool {
	return after != event.SpikeStatusRetracted || before == event.SpikeStatusActive || before == event.SpikeStatusResolved
}

// Ahead says which watermark is ahead of the newest event accepted of its source, of a
// source without any, or out of order, "" if none. A result of a brand of which something
// was accepted rests on some of it, and so has a watermark at least.
func Ahead(watermarks []event.SourceWatermark, newest map[string]int64) string {
	if len(watermarks) == 0 && len(newest) > 0 {
		return fmt.Sprintf("there is no watermark, and events of %d sources were accepted", len(newest))
	}
	for i, w := range watermarks {
		switch at, known := newest[w.Source]; {
		case !known:
			return fmt.Sprintf("nothing of the source %q was accepted", w.Source)
		case w.WatermarkMs > at:
			return fmt.Sprintf("the watermark of %q is %d, and its newest event of %d", w.Source, w.WatermarkMs, at)
		case i > 0 && watermarks[i-1].Source >= w.Source:
			return fmt.Sprintf("the watermark of %q comes after that of %q", w.Source, watermarks[i-1].Source)
		}
	}
	return ""
}

// Behind says which watermark is less than it was or is gone, "" if none.
func Behind(was, is []event.SourceWatermark) string {
	for _, w := range was {
		i := slices.IndexFunc(is, func(x event.SourceWatermark) bool { return x.Source == w.Source })
		if i < 0 || is[i].WatermarkMs < w.WatermarkMs {
			return fmt.Sprintf("the watermark of %q was %d", w.Source, w.WatermarkMs)
		}
	}
	return ""
}
