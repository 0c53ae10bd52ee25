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
	src      sourceNumber
	version  int64
	atMs     int64
	lateMs   int64 // see latenessMs
	contribs []contrib
	period   *period
}

// period is what a calendar event declares; it is kept as long as its hours.
type period struct {
	id           event.ID // of its snapshot
	kind         event.CalendarKind
	node         event.NodeName
	fromMs, toMs int64
}

func (p *Partition) applySnapshot(b *brand, record event.Record, src sourceNumber, takenMs int64) Outcome {
	h := record.Head()
	key := event.NewID(record.Type().String(), "", h.Source, h.NaturalKey, 0)
	old, known := b.snapshots.get(key, p.work.contribs[:0])
	p.work.contribs = old.contribs
	known = known && !b.ended(&old) // whenever it was looked for last what can be forgotten
	if known {
		switch {
		case h.Version == old.version:
			return Duplicate
		case h.Version < old.version:
			return Superseded
		}
	}
	s := snapshot{src: b.accept(h, src, takenMs), version: h.Version, atMs: h.OccurredAtMs, lateMs: latenessMs(record)}
	p.contribs = p.contribs[:0]
	for i := range p.contributions {
		c := &p.contributions[i]
		p.contribs = append(p.contribs, contrib{c.Signal, code(c.Currency), c.AtMs, c.Value})
	}
	s.contribs = p.contribs
	if !known || !slices.Equal(old.contribs, s.contribs) {
		if known {
			for _, c := range old.contribs {
				c.value = -c.value
				p.add(b, c)
			}
		}
		for _, c := range s.contribs {
			p.add(b, c)
		}
	}
	if c, ok := record.(*event.CalendarEvent); ok {
		if old.period != nil && known {
			p.declared(b, old.period)
		}
		b.undeclare(key)
		if !c.Cancelled {
			s.period = &period{
				id: key, kind: event.CalendarKind(strings.Clone(string(c.Kind))), node: event.NodeName(strings.Clone(string(c.Node))),
				fromMs: c.OccurredAtMs, toMs: c.EndsAtMs,
			}
			b.addPeriod(s.period)
			p.declared(b, s.period)
		}
	}
	b.snapshots.put(key, &s)
	return Applied
}

// declared notes which results change with what is declared: the baselines of its
// node's signals rest on it.
func (p *Partition) declared(b *brand, d *period) {
	for _, ser := range b.series {
		if ser.signal.Info().Node == d.node {
			p.moves(b, ser, d.fromMs)
			ser.ahead = slices.DeleteFunc(ser.ahead, func(a dayAhead) bool { return d.fromMs < (a.day+1)*window.DayMs })
		}
	}
}

// undeclare forgets what a calendar event says.
func (b *brand) undeclare(id event.ID) {
	b.periods = slices.DeleteFunc(b.periods, func(p *period) bool { return p.id == id })
}

func (b *brand) addPeriod(p *period) {
	i, _ := slices.BinarySearchFunc(b.periods, p, func(a, b *period) int {
		return cmp.Or(cmp.Compare(a.fromMs, b.fromMs), cmp.Compare(a.toMs, b.toMs), cmp.Compare(a.kind, b.kind), cmp.Compare(a.node, b.node))
	})
	b.periods = slices.Insert(b.periods, i, p)
}

// explained says whether a declared promotion, price change or stock-out of a
// node holds at a moment: what happens then needs no post as its reason.
func (b *brand) explained(node event.NodeName, atMs int64) bool {
	return slices.ContainsFunc(b.periods, func(p *period) bool {
		return p.node == node && p.fromMs <= atMs && atMs < p.toMs && p.kind != event.CalendarKindHoliday
	})
}

// ended says whether no version of a snapshot can be applied any more, and nothing
// needs what it declares.
func (b *brand) ended(s *snapshot) bool {
	if s.period != nil && s.period.toMs > b.clockMs-hoursKept*window.HourMs {
		return false
	}
	return s.atMs < b.sources[s.src].watermarkMs-s.lateMs
}
