// Package window holds event time: numbered buckets, integer series over them,
// sets of them, and the local calendar of a brand. It is pure.
//
// Buckets are numbered from 1970-01-01 UTC: bucket n of a width covers the
// milliseconds from n·width to (n+1)·width, exclusive. Sums wrap around like
// every int64, so that a series is the same in whatever order it was added up.
package window

// Widths of buckets, in milliseconds.
const (
	QuarterMs = 15 * 60_000
	HourMs    = 4 * QuarterMs
	DayMs     = 24 * HourMs
)

// QuartersPerHour is the number of quarter-hours in an hour.
const QuartersPerHour = HourMs / QuarterMs

// Floor returns the number of the bucket of a width that holds the moment at.
func Floor(at, width int64) int64 {
	n := at / width
	if at%width < 0 {
		n--
	}
	return n
}

// Ceil returns the number of the first bucket of a width that begins at or
// after the moment at.
func Ceil(at, width int64) int64 { return -Floor(-at, width) }
