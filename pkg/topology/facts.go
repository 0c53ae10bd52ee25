package topology

import (
	"bytes"
	"cmp"
	"slices"

	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// facts are the ids of the facts applied, exactly, for as long as an equal one
// could still be applied: those further behind their source are refused as late.
type facts struct {
	ids   map[event.ID]struct{}
	hours []*factHour // by source name and hour
	seq   uint64      // of the next chunk in the changelog
}

// factHour is the ids of one source and hour of event time, in the order they
// came. The changelog holds them in chunks, one a transaction: what was written
// is never written again.
type factHour struct {
	src    *source
	hour   int64
	ids    []event.ID
	logged int      // ids[:logged] are in the changelog,
	chunks []uint64 // in these chunks
}

func compareFactHours(a, b *factHour) int {
	return cmp.Or(cmp.Compare(a.src.name, b.src.name), cmp.Compare(a.hour, b.hour))
}

// at returns the ids of a source and hour.
func (f *facts) at(src *source, hour int64) *factHour {
	want := &factHour{src: src, hour: hour}
	i, found := slices.BinarySearchFunc(f.hours, want, compareFactHours)
	if !found {
		f.hours = slices.Insert(f.hours, i, want)
	}
	return f.hours[i]
}

func (f *facts) add(id event.ID, src *source, hour int64) {
	f.ids[id] = struct{}{}
	h := f.at(src, hour)
	h.ids = append(h.ids, id)
}

// known says whether a fact was applied before. What could only come late now is
// forgotten first, whenever it was looked for last.
func (p *Partition) known(b *brand, id event.ID) bool {
	if _, known := b.facts.ids[id]; !known {
		return false
	}
	if gone := b.facts.expired(); len(gone) > 0 {
		b.expired = append(b.expired, gone...)
		p.touch(b)
	}
	_, known := b.facts.ids[id]
	return known
}

// expired takes out the hours that no fact can come from any more.
func (f *facts) expired() []*factHour {
	var gone []*factHour
	f.hours = slices.DeleteFunc(f.hours, func(h *factHour) bool {
		old := (h.hour+1)*window.HourMs <= h.src.watermarkMs-event.DedupHorizonHours*window.HourMs
		if old {
			gone = append(gone, h)
		}
		return old
	})
	for _, h := range gone {
		for _, id := range h.ids {
			delete(f.ids, id)
		}
	}
	return gone
}

// sorted returns ids in ascending order.
func sorted(ids []event.ID) []event.ID {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b event.ID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}
