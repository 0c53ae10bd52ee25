package window

import "slices"

// Offset is one offset of a time zone from UTC, valid from a moment on.
type Offset struct{ FromMs, OffsetMs int64 }

// Zone is the local calendar of a brand: the offsets of its time zone, and the
// days on which people behave as on a weekend. The zero Zone is UTC.
type Zone struct {
	offsets  []Offset // ascending
	holidays []int64  // local days since 1970-01-01, ascending
}

// offsetMsMax bounds an offset, and so how long a local day can be: no clock was
// ever as far from UTC.
const offsetMsMax = 18 * HourMs

// NewZone returns the calendar of the offsets and holidays, in any order.
// Offsets count in whole quarter-hours, as every zone's do since 1972: a rest
// is cut off, and so is what is beyond offsetMsMax. The first offset holds for
// the time before it as well.
func NewZone(offsets []Offset, holidays []int64) Zone {
	z := Zone{slices.Clone(offsets), slices.Clone(holidays)}
	for i, o := range z.offsets {
		z.offsets[i].OffsetMs = max(-offsetMsMax, min(offsetMsMax, Floor(o.OffsetMs, QuarterMs)*QuarterMs))
	}
	slices.SortStableFunc(z.offsets, func(a, b Offset) int {
		switch {
		case a.FromMs < b.FromMs:
			return -1
		case a.FromMs > b.FromMs:
			return 1
		}
		return 0
	})
	slices.Sort(z.holidays)
	return z
}

// offset returns what is to be added to UTC at a moment.
func (z *Zone) offset(at int64) int64 {
	if len(z.offsets) == 0 {
		return 0
	}
	i := len(z.offsets) - 1
	for i > 0 && z.offsets[i].FromMs > at {
		i--
	}
	return z.offsets[i].OffsetMs
}

// Day returns the local day that holds a moment, in days since 1970-01-01.
func (z *Zone) Day(at int64) int64 { return Floor(at+z.offset(at), DayMs) }

// DayStart returns the first moment from which on it is a local day or a later
// one, in UTC: the days cut time into pieces, of nothing where clocks skip a day.
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
	weekday := (day%7 + 7 + 4) % 7 // 1970-01-01 was a Thursday; 0 is Sunday
	if weekday == 0 || weekday == 6 {
		return bin + Bins/2
	}
	if _, holiday := slices.BinarySearch(z.holidays, day); holiday {
		return bin + Bins/2
	}
	return bin
}
