package topology

import (
	"cmp"
	"slices"
	"strings"

	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// snapshot is the newest version of one entity, such as an order: what it adds
// can be taken back when a newer one comes. It is kept for as long as a version
// of it could still be applied. The time of an entity is part of what it is: a
// version that moves it by more than that counts as another entity.
type snapshot struct {
	src      *source
	version  int64
	atMs     int64
	lateMs   int64 // see latenessMs
	contribs []contrib
	period   *period
}

// period is what a calendar event declares; it is kept as long as its hours.
type period struct {
	kind         event.CalendarKind
	node         event.NodeName
	fromMs, toMs int64
}

func (p *Partition) applySnapshot(b *brand, record event.Record, src *source, takenMs int64) Outcome {
	h := record.Head()
	key := event.NewID(record.Type().String(), "", h.Source, h.NaturalKey, 0)
	old := b.snapshots[key]
	if old != nil && old.expired(b.clockMs) {
		old = nil // whenever it was looked for last what can be forgotten
	}
	if old != nil {
		switch {
		case h.Version == old.version:
			return Duplicate
		case h.Version < old.version:
			return Superseded
		}
	}
	s := &snapshot{src: b.accept(h, src, takenMs), version: h.Version, atMs: h.OccurredAtMs, lateMs: latenessMs(record)}
	p.contribs = p.contribs[:0]
	for i := range p.contributions {
		c := &p.contributions[i]
		p.contribs = append(p.contribs, contrib{c.Signal, code(c.Currency), c.AtMs, c.Value})
	}
	if old != nil && slices.Equal(old.contribs, p.contribs) {
		s.contribs = old.contribs // nothing to be moved
	} else {
		if old != nil {
			for _, c := range old.contribs {
				c.value = -c.value
				p.add(b, c)
			}
		}
		s.contribs = slices.Clone(p.contribs)
		for _, c := range s.contribs {
			p.add(b, c)
		}
	}
	if c, ok := record.(*event.CalendarEvent); ok {
		p.declare(b, old, s, c)
	}
	b.snapshots[key] = s
	b.changed = append(b.changed, key)
	return Applied
}

// declare keeps what a calendar event says.
func (p *Partition) declare(b *brand, old, s *snapshot, c *event.CalendarEvent) {
	if old != nil {
		b.periods = slices.DeleteFunc(b.periods, func(other *snapshot) bool { return other == old })
	}
	if c.Cancelled {
		return
	}
	s.period = &period{
		kind: event.CalendarKind(strings.Clone(string(c.Kind))), node: event.NodeName(strings.Clone(string(c.Node))),
		fromMs: c.OccurredAtMs, toMs: c.EndsAtMs,
	}
	b.addPeriod(s)
}

func (b *brand) addPeriod(s *snapshot) {
	i, _ := slices.BinarySearchFunc(b.periods, s, func(a, b *snapshot) int {
		return cmp.Or(cmp.Compare(a.period.fromMs, b.period.fromMs), cmp.Compare(a.period.toMs, b.period.toMs),
			cmp.Compare(a.period.kind, b.period.kind), cmp.Compare(a.period.node, b.period.node))
	})
	b.periods = slices.Insert(b.periods, i, s)
}

// explained says whether a declared promotion, price change or stock-out of a
// node holds at a moment: what happens then needs no post as its reason.
func (b *brand) explained(node event.NodeName, atMs int64) bool {
	return slices.ContainsFunc(b.periods, func(s *snapshot) bool {
		return s.period.node == node && s.period.fromMs <= atMs && atMs < s.period.toMs && s.period.kind != event.CalendarKindHoliday
	})
}

// expired says whether no version of the snapshot can be applied any more, and
// nothing needs what it declares.
func (s *snapshot) expired(clockMs int64) bool {
	if s.period != nil && s.period.toMs > clockMs-hoursKept*window.HourMs {
		return false
	}
	return s.atMs < s.src.watermarkMs-s.lateMs
}
