package topology

import (
	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// ways is a cached mediation.
type ways struct {
	day      int64 // end of the history
	valid    bool
	from, to *series // stimulus and mediator
	k        correlate.Kernel
	correlate.Mediation
}

type pastWays struct {
	from, to *series
	k        correlate.Kernel
	day      int64
}

// mediate tells the part of a force's effect on the revenue that goes through its
// response, the branded search, from what does not, by the history up to a UTC
// day.
func (p *Partition) mediate(b *brand, i int, stimulus, response *series, k correlate.Kernel, day int64, live bool, out *event.Correlation) {
	money := b.find(p.plan.forces[i].Revenue, b.currency())
	if money == nil {
		return
	}
	cache := &b.force(i).state().ways
	key := pastWays{stimulus, response, k, day}
	m, known := p.work.ways[key]
	switch {
	case cache.valid && cache.day == day && cache.from == stimulus && cache.to == response && cache.k == k:
		m = cache.Mediation
	case !known:
		m = p.waysOf(b, stimulus, response, money, k, day)
		if live {
			*cache = ways{day, true, stimulus, response, k, m}
		} else {
			if p.work.ways == nil {
				p.work.ways = make(map[pastWays]correlate.Mediation)
			}
			p.work.ways[key] = m
		}
	}
	out.MediatedEffect, out.MediatedLow, out.MediatedHigh = m.Mediated, m.MediatedLow, m.MediatedHigh
	out.DirectEffect, out.DirectLow, out.DirectHigh = m.Direct, m.DirectLow, m.DirectHigh
}

func (p *Partition) waysOf(b *brand, stimulus, response, money *series, k correlate.Kernel, day int64) correlate.Mediation {
	in := p.history(b, stimulus, response, day*24, day)
	n := len(in.X)
	if n <= k.Lags {
		return correlate.Mediation{}
	}
	revenue, expected := make([]int64, n), make([]float64, n)
	money.hours.Read(revenue, day*24-int64(n))
	// It takes over the memory of the pair's calendar, with the same: response and money are of one node.
	p.expect(b, money, day, expected, day*window.DayMs, window.HourMs)
	m, _ := correlate.Mediate(in.Mediation(k, revenue, expected, &p.work.scratch))
	return m
}
