package simulator

import (
	"reflect"

	"flywheel/pkg/event"
)

// item is one record on its way: when it is sent, and what only the ledger may
// know of it.
type item struct {
	observedMs int64
	serial     uint64 // within its brand
	brand      int
	record     event.Record
	caused     bool   // an order that a TikTok post caused
	resent     bool   // exactly these bytes were sent before
	poison     poison // what is wrong with it
	bits       uint64 // randomness of the poison
}

// emit puts a record into the queue, and faults with it.
func (b *brand) emit(r event.Record, caused bool) {
	f, head := b.faults, r.Head()
	if f.chance(b.cfg.Late) {
		hours := f.logUniform(1, 70)
		if f.chance(0.5) {
			hours = f.uniform(73, 100) // most sources are too far ahead by then
		}
		head.ObservedAtMs += int64(hours * hourMs)
	}
	if correctable(r) && f.chance(b.cfg.Corrected) {
		true2 := clone(r)
		distort(r, f.uniform(0.7, 0.95))
		h := true2.Head()
		h.Version = head.Version + 1
		h.EventID = event.NewID(r.Type().String(), h.BrandID, h.Source, h.NaturalKey, h.Version)
		h.ObservedAtMs += int64(f.logUniform(0.2, 20) * hourMs)
		if f.chance(0.25) { // the correction overtakes what it corrects
			head.ObservedAtMs, h.ObservedAtMs = h.ObservedAtMs, head.ObservedAtMs
		}
		b.push(item{observedMs: h.ObservedAtMs, record: true2})
	}
	b.push(item{observedMs: head.ObservedAtMs, record: r, caused: caused})
	if f.chance(b.cfg.Duplicates) {
		b.push(item{observedMs: head.ObservedAtMs + int64(f.logUniform(1, 40*3600)*1000), record: r, caused: caused, resent: true})
	}
	if f.chance(b.cfg.Poison) {
		b.poisonous(r)
	}
}

func (b *brand) push(it item) {
	b.emitted++
	it.serial, it.brand = b.emitted, b.index
	b.pending.push(it)
}

// correctable says whether a record is a report whose numbers may be restated.
func correctable(r event.Record) bool {
	switch r.(type) {
	case *event.AmazonSearchReport, *event.AmazonTrafficHour, *event.AmazonSalesHour, *event.TikTokAdReportHour:
		return true
	}
	return false
}

// distort makes the numbers of a report what they seem to be at first.
func distort(r event.Record, by float64) {
	scale := func(v *int64) { *v = int64(float64(*v) * by) }
	switch r := r.(type) {
	case *event.AmazonSearchReport:
		scale(&r.Volume)
	case *event.AmazonTrafficHour:
		scale(&r.GlanceViews)
	case *event.AmazonSalesHour:
		scale(&r.Units)
		scale(&r.OrderedMicros)
	case *event.TikTokAdReportHour:
		scale(&r.Impressions)
		scale(&r.SpendMicros)
	}
}

// clone returns a copy of a record.
func clone(r event.Record) event.Record {
	from := reflect.ValueOf(r).Elem()
	to := reflect.New(from.Type())
	to.Elem().Set(from)
	return to.Interface().(event.Record)
}

// queue holds items by the moment they are observed, the earliest first.
type queue []item

func (a *item) before(b *item) bool {
	if a.observedMs != b.observedMs {
		return a.observedMs < b.observedMs
	}
	return a.serial < b.serial
}

func (q *queue) push(it item) {
	*q = append(*q, it)
	h := *q
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

// pop removes the earliest item; the queue must not be empty.
func (q *queue) pop() item {
	h := *q
	first, last := h[0], len(h)-1
	h[0] = h[last]
	h[last] = item{} // lets go of the record
	h = h[:last]
	*q = h
	for i := 0; ; {
		down := 2*i + 1
		if down >= last {
			return first
		}
		if down+1 < last && h[down+1].before(&h[down]) {
			down++
		}
		if !h[down].before(&h[i]) {
			return first
		}
		h[i], h[down] = h[down], h[i]
		i = down
	}
}
