package topology

import (
	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// rezone carries the days published over to a new calendar: those that start at
// another moment now are to be taken back, and the days that hold the same time
// published instead. A day that may reach back into what is final is left out:
// rather is a part of a day missing than money there twice.
func (b *brand) rezone(was *window.Zone) {
	d, zone := &b.days, &b.entry.zone
	if d.published.Empty() {
		return
	}
	var now window.Set
	firstMs := was.DayStart(d.published.First())
	for _, r := range d.published.Spans() {
		now.Add(zone.Day(was.DayStart(r.From)), zone.Day(was.DayStart(r.To)-1)+1)
		for day := r.From; day < r.To; day++ {
			start := was.DayStart(day)
			if zone.DayStart(zone.Day(start)) != start {
				d.void.Add(start/window.QuarterMs, start/window.QuarterMs+1)
			}
		}
	}
	first := now.First()
	if startMs := zone.DayStart(first); startMs < b.oldestDayMs()+window.DayMs && b.earned(startMs, firstMs) {
		now.Remove(first, first+1)
	}
	now.Remove(zone.Day(b.clockMs)+1, window.After)
	for _, r := range now.Spans() {
		for day := r.From; day < r.To; day++ {
			start := zone.DayStart(day) / window.QuarterMs
			d.void.Remove(start, start+1)
		}
	}
	d.published = now
	d.due = window.Set{} // forget has all of them published
}

// earned says whether any money came in between two moments.
func (b *brand) earned(fromMs, toMs int64) bool {
	for _, ser := range b.series {
		if ser.signal.Info().Money && ser.quarters.Any(fromMs/window.QuarterMs, toMs/window.QuarterMs) {
			return true
		}
	}
	return false
}

// publishVoid takes back the credits of days that are none any more: what they
// held is in others now.
func (p *Partition) publishVoid(b *brand, emit func(any)) (spent Budget) {
	for _, r := range b.days.void.Spans() {
		for start := r.From; start < r.To; start++ {
			for _, ser := range b.series {
				if !ser.published {
					continue
				}
				emit(&event.Credit{
					BrandID: b.id, DayMs: start * window.QuarterMs, Node: ser.signal.Info().Node, Currency: string(ser.currency[:]),
					Revision: b.revision, Tier: event.TierSettled, Watermarks: p.watermarks(b), CodeVersion: p.version,
				})
				spent++
			}
		}
	}
	b.days.void = window.Set{}
	return spent
}
