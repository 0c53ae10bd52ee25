package window_test

import (
	"maps"
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // the zones the calendar is compared with

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flywheel/pkg/window"
)

func TestBucketsHoldTheirMoments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Int64Range(-1<<40, 1<<43).Draw(t, "at")
		width := rapid.SampledFrom([]int64{1, window.QuarterMs, window.HourMs, window.DayMs}).Draw(t, "width")
		n := window.Floor(at, width)
		if at < n*width || at >= (n+1)*width {
			t.Errorf("bucket %d of %d ms does not hold %d", n, width, at)
		}
		if c := window.Ceil(at, width); c*width < at || (c-1)*width >= at {
			t.Errorf("bucket %d of %d ms is not the first from %d on", c, width, at)
		}
	})
}

// TestSeriesIsAMap compares a Series with a map under every operation.
func TestSeriesIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s window.Series
		model := make(map[int64]int64)
		dropped := int64(window.Before)
		bucket := rapid.Int64Range(-500, 500)
		value := rapid.OneOf(rapid.Int64Range(-200, 200), rapid.Int64Range(-70_000, 70_000), rapid.Int64())
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				b, v := bucket.Draw(t, "bucket"), value.Draw(t, "value")
				if b >= dropped {
					s.Add(b, v)
					model[b] += v
				}
			},
			"add all": func(t *rapid.T) {
				b := bucket.Draw(t, "bucket")
				if vs := rapid.SliceOfN(value, 0, 60).Draw(t, "values"); b >= dropped {
					s.AddAll(b, vs)
					for i, v := range vs {
						model[b+int64(i)] += v
					}
				}
			},
			"set": func(t *rapid.T) {
				b, v := bucket.Draw(t, "bucket"), value.Draw(t, "value")
				if b >= dropped {
					s.Set(b, v)
					model[b] = v
				}
			},
			"drop": func(t *rapid.T) {
				dropped = max(dropped, bucket.Draw(t, "before"))
				s.Drop(dropped)
				maps.DeleteFunc(model, func(b, _ int64) bool { return b < dropped })
			},
			"": func(t *rapid.T) {
				from := max(dropped, bucket.Draw(t, "from"))
				to := from + rapid.Int64Range(0, 300).Draw(t, "length")
				want := make([]int64, to-from)
				var sum int64
				first, last, found := int64(0), int64(0), false
				for b := from; b < to; b++ {
					want[b-from] = model[b]
					sum += model[b]
					if model[b] != 0 && !found {
						first, found = b, true
					}
					if model[b] != 0 {
						last = b
					}
					if got := s.Get(b); got != model[b] {
						t.Fatalf("bucket %d holds %d, want %d", b, got, model[b])
					}
				}
				got := make([]int64, to-from)
				s.Read(got, from)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("read from %d (-want +got):\n%s", from, diff)
				}
				if got := s.Sum(from, to); got != sum {
					t.Errorf("the sum of %d to %d is %d, want %d", from, to, got, sum)
				}
				if b, ok := s.Last(from, to); ok != found || b != last {
					t.Errorf("the last of %d to %d is %d, %t, want %d, %t", from, to, b, ok, last, found)
				}
				if b, ok := s.First(from, to); ok != found || b != first {
					t.Errorf("the first of %d to %d is %d, %t, want %d, %t", from, to, b, ok, first, found)
				}
			},
		})
	})
}

func TestSeriesTakesTheWidthItsValuesNeed(t *testing.T) {
	for name, tc := range map[string]struct {
		value int64
		bytes int
	}{
		"a byte":       {-128, 24},
		"two bytes":    {128, 2 * 24},
		"four bytes":   {1 << 20, 4 * 24},
		"eight bytes":  {-1 << 40, 8 * 24},
		"nothing at 0": {0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var s window.Series
			s.Set(1000, tc.value)
			if got := s.Bytes(); got < tc.bytes || got > tc.bytes+4 {
				t.Errorf("takes %d bytes, want %d", got, tc.bytes)
			}
			if s.Get(1000) != tc.value {
				t.Errorf("holds %d", s.Get(1000))
			}
		})
	}
}

// TestSetIsASet compares a Set with a map under every operation.
func TestSetIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s window.Set
		model := make(map[int64]bool)
		n := rapid.Int64Range(-40, 40)
		length := rapid.Int64Range(-2, 12)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				from := n.Draw(t, "from")
				to := from + length.Draw(t, "length")
				s.Add(from, to)
				for i := from; i < to; i++ {
					model[i] = true
				}
			},
			"remove": func(t *rapid.T) {
				from := n.Draw(t, "from")
				to := from + length.Draw(t, "length")
				s.Remove(from, to)
				for i := from; i < to; i++ {
					delete(model, i)
				}
			},
			"add common": func(t *rapid.T) {
				var other window.Set
				at := n.Draw(t, "at")
				other.Add(at, at+5)
				other.Add(at+7, at+9)
				from := n.Draw(t, "from")
				to := from + length.Draw(t, "length")
				found := false
				for i := from; i < to; i++ {
					if other.Has(i) {
						model[i], found = true, true
					}
				}
				if got := s.AddCommon(&other, from, to); got != found {
					t.Errorf("said %t, want %t", got, found)
				}
			},
			"": func(t *rapid.T) {
				var got []int64
				last := int64(window.Before)
				for _, r := range s.Spans() {
					if r.From >= r.To || r.From <= last {
						t.Fatalf("runs are not apart: %v", s.Spans())
					}
					last = r.To
					for i := r.From; i < r.To; i++ {
						got = append(got, i)
					}
				}
				want := slices.Sorted(maps.Keys(model))
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if s.Len() != int64(len(want)) || s.Empty() != (len(want) == 0) {
					t.Errorf("counts %d, want %d", s.Len(), len(want))
				}
				for i := int64(-60); i < 60; i++ {
					if s.Has(i) != model[i] {
						t.Errorf("%d: %t", i, s.Has(i))
					}
				}
			},
		})
	})
}

// offsets lists the offsets of a zone over some years by asking every hour.
func offsets(zone *time.Location) []window.Offset {
	var out []window.Offset
	for at := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2028; at = at.Add(30 * time.Minute) {
		_, seconds := at.In(zone).Zone()
		if ms := int64(seconds) * 1000; len(out) == 0 || out[len(out)-1].OffsetMs != ms {
			out = append(out, window.Offset{FromMs: at.UnixMilli(), OffsetMs: ms})
		}
	}
	return out
}

func TestZoneIsThatOfTheTimePackage(t *testing.T) {
	for _, name := range []string{"UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Havana", "Pacific/Auckland"} {
		t.Run(name, func(t *testing.T) {
			zone, err := time.LoadLocation(name)
			if err != nil {
				t.Fatal(err)
			}
			z := window.NewZone(offsets(zone), nil)
			for day := time.Date(2026, 1, 1, 12, 0, 0, 0, zone); day.Year() < 2027; day = day.AddDate(0, 0, 1) {
				n := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, time.UTC).UnixMilli() / window.DayMs
				start := z.DayStart(n)
				first := day.Add(-24 * time.Hour)
				for ; first.Day() != day.Day(); first = first.Add(15 * time.Minute) {
				}
				first = first.Truncate(15 * time.Minute)
				if start != first.UnixMilli() {
					t.Errorf("%s starts at %s, want %s", day.Format(time.DateOnly), time.UnixMilli(start).UTC(), first.UTC())
				}
				for at := start; at < z.DayStart(n+1); at += window.HourMs {
					local := time.UnixMilli(at).In(zone)
					want := uint8(local.Hour())
					if local.Weekday() == time.Saturday || local.Weekday() == time.Sunday {
						want += 24
					}
					if got := z.Bin(at); got != want || z.Day(at) != n || z.Weekday(at) != uint8(local.Weekday()) {
						t.Fatalf("%s is hour %d of day %d and weekday %d, want %d of %d", local, got, z.Day(at), z.Weekday(at), want, n)
					}
				}
			}
		})
	}
}

// TestDaysCutTime holds every moment to lie in its day, whatever the offsets.
func TestDaysCutTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var offsets []window.Offset
		for range rapid.IntRange(0, 6).Draw(t, "offsets") {
			offsets = append(offsets, window.Offset{
				FromMs:   rapid.OneOf(rapid.Int64(), rapid.Int64Range(-3*window.DayMs, 3*window.DayMs)).Draw(t, "from"),
				OffsetMs: rapid.OneOf(rapid.Int64(), rapid.Int64Range(-window.DayMs, window.DayMs)).Draw(t, "offset"),
			})
		}
		z := window.NewZone(offsets, nil)
		before := z.Day(-5 * window.DayMs)
		for at := int64(-5 * window.DayMs); at < 5*window.DayMs; at += window.QuarterMs {
			day := z.Day(at)
			if from, to := z.DayStart(day), z.DayStart(day+1); from > at || at >= to {
				t.Fatalf("%d lies in day %d, which goes from %d to %d", at, day, from, to)
			}
			if day < before {
				t.Fatalf("at %d the day falls from %d to %d", at, before, day)
			}
			before = day
		}
	})
}

func TestHolidaysCountAsWeekends(t *testing.T) {
	christmas := time.Date(2026, 12, 25, 0, 0, 0, 0, time.UTC) // a Friday
	z := window.NewZone(nil, []int64{christmas.UnixMilli() / window.DayMs, 3})
	for hour := range 24 {
		at := christmas.Add(time.Duration(hour) * time.Hour)
		if got := z.Bin(at.UnixMilli()); got != uint8(24+hour) {
			t.Errorf("%s is hour %d", at, got)
		}
		if got := z.Bin(at.AddDate(0, 0, -1).UnixMilli()); got != uint8(hour) {
			t.Errorf("the day before, hour %d is %d", hour, got)
		}
	}
}

func BenchmarkSeriesAdd(b *testing.B) {
	var s window.Series
	i := int64(0)
	for b.Loop() {
		s.Add(i%800, 1)
		i++
	}
}

func BenchmarkSeriesRead(b *testing.B) {
	var s window.Series
	for i := range int64(864) {
		s.Set(i, i*100)
	}
	dst := make([]int64, 576)
	for b.Loop() {
		s.Read(dst, 200)
	}
}
