package window

import (
	"cmp"
	"slices"
)

// Offset is one offset of a time zone from UTC, valid from a moment on.
type Offset struct{ FromMs, OffsetMs int64 }

// Zone is the local calendar of a brand: the offsets of its time zone, and the
// days on which people behave as on a weekend. The zero Zone is UTC.
type Zone struct {
	offsets  []Offset // ascending
	begun    []int64  // the latest day that has begun when the offset does
	holidays []int64  // local days since 1970-01-01, ascending
}

// Bounds of a zone, and so of how long a local day can be: no clock was ever as
// far from UTC.
const (
	offsetMsMax = 18 * HourMs
	fromMsMax   = 1 << 60
)

// NewZone returns the calendar of the offsets and holidays, in any order.
// Offsets count in whole quarter-hours and begin with one, as every zone's do
// since 1972: a rest is cut off, and so is what is beyond offsetMsMax. The first
// offset holds for the time before it as well.
func NewZone(offsets []Offset, holidays []int64) Zone {
	z := Zone{offsets: slices.Clone(offsets), begun: make([]int64, len(offsets)), holidays: slices.Clone(holidays)}
	for i := range z.offsets {
		o := &z.offsets[i]
		o.OffsetMs = max(-offsetMsMax, min(offsetMsMax, Floor(o.OffsetMs, QuarterMs)*QuarterMs))
		o.FromMs = Floor(max(-fromMsMax, min(fromMsMax, o.FromMs)), QuarterMs) * QuarterMs
	}
	slices.SortStableFunc(z.offsets, func(a, b Offset) int { return cmp.Compare(a.FromMs, b.FromMs) })
	for i, o := range z.offsets {
		if z.begun[i] = Before; i > 0 {
			z.begun[i] = z.begun[i-1]
			if last := z.offsets[i-1]; i == 1 || last.FromMs < o.FromMs {
				z.begun[i] = max(z.begun[i], Floor(o.FromMs-1+last.OffsetMs, DayMs))
			}
		}
	}
	slices.Sort(z.holidays)
	return z
}

// segment returns the place of the offset that holds at a moment; there must be
// one.
func (z *Zone) segment(at int64) int {
	i := len(z.offsets) - 1
	for i > 0 && z.offsets[i].FromMs > at {
		i--
	}
	return i
}

// offset returns what is to be added to UTC at a moment.
func (z *Zone) offset(at int64) int64 {
	if len(z.offsets) == 0 {
		return 0
	}
	return z.offsets[z.segment(at)].OffsetMs
}

// Day returns the local day that holds a moment, in days since 1970-01-01. A day
// that has begun goes on when clocks are set back behind its start.
func (z *Zone) Day(at int64) int64 {
	if len(z.offsets) == 0 {
		return Floor(at, DayMs)
	}
	i := z.segment(at)
	return max(z.begun[i], Floor(at+z.offsets[i].OffsetMs, DayMs))
}

// DayStart returns the first moment of a local day, in UTC; of a day that clocks
// skip that of the next. Days cut time into pieces: Day(at) is d for every moment
// DayStart(d) ≤ at < DayStart(d+1).
func (z *Zone) DayStart(day int64) int64 {
	local := day * DayMs
	for i, o := range z.offsets {
		at := local - o.OffsetMs
		if i > 0 {
			at = max(at, o.FromMs)
		}
		if i+1 == len(z.offsets) || at < z.offsets[i+1].FromMs {
			return at
		}
	}
	return local
}

// Bins is the number of kinds of hour; see Bin.
const Bins = 48

// Bin returns the kind of hour that begins at a moment: 0–23 the local hours
// of a working day, 24–47 those of Saturdays, Sundays and holidays.
func (z *Zone) Bin(at int64) uint8 {
	local := at + z.offset(at)
	day := Floor(local, DayMs)
	bin := uint8((local - day*DayMs) / HourMs)
	if d := weekday(day); d == 0 || d == 6 {
		return DayOff(bin)
	}
	if _, holiday := slices.BinarySearch(z.holidays, day); holiday {
		return DayOff(bin)
	}
	return bin
}

// DayOff returns the kind of an hour on a day off, given its kind on any day.
func DayOff(bin uint8) uint8 {
	if bin < Bins/2 {
		return bin + Bins/2
	}
	return bin
}

// Weekday returns the day of the week at a moment: 0 is Sunday.
func (z *Zone) Weekday(at int64) uint8 { return weekday(Floor(at+z.offset(at), DayMs)) }

// weekday returns that of a local day.
func weekday(day int64) uint8 { return uint8((day%7 + 7 + 4) % 7) } // 1970-01-01 was a Thursday
