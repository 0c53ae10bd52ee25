package simulator

import "flywheel/pkg/event"

// The rules by which a record is applied or refused, written down once more and
// on purpose apart from the processor's: this is what it is held against.
const (
	latenessMs        = 72 * hourMs
	futureToleranceMs = 60_000
)

// outcome is what becomes of a healthy record.
type outcome uint8

const (
	applied outcome = iota
	superseded
	duplicate
	late
	future
)

func (o outcome) reason() event.Reason {
	return [...]event.Reason{duplicate: event.ReasonDuplicate, late: event.ReasonLate, future: event.ReasonFuture}[o]
}

// feed is what was accepted from one source of a brand.
type feed struct {
	watermarkMs int64 // highest occurred_at applied; 0 before the first
	prunedMs    int64 // watermark of the last pruning
	facts       map[event.ID]int64
	snapshots   map[string]snapshot // by natural key; a source has one record type
	polls       map[poll]int64      // newest observation within a quarter-hour
}

type snapshot struct {
	version, micros  int64
	occurredMs, late int64
}

type poll struct {
	content string
	quarter int64
}

func newFeed() *feed {
	return &feed{facts: make(map[event.ID]int64), snapshots: make(map[string]snapshot), polls: make(map[poll]int64)}
}

// take judges a record that Kafka took at a moment and, where it is applied,
// returns the money an older version of it had brought.
func (f *feed) take(r event.Record, takenMs int64) (wasMicros int64, o outcome) {
	h := r.Head()
	lateness := int64(latenessMs)
	if s, ok := r.(*event.AmazonSearchReport); ok { // its time is its start
		lateness += int64(s.PeriodMinutes) * 60_000
	}
	switch {
	case h.OccurredAtMs > takenMs+futureToleranceMs:
		return 0, future
	case f.watermarkMs != 0 && h.OccurredAtMs < f.watermarkMs-lateness:
		return 0, late
	}
	switch r.Type().Info().Mode {
	case event.Fact:
		if _, known := f.facts[h.EventID]; known {
			return 0, duplicate
		}
		f.facts[h.EventID] = h.OccurredAtMs
	case event.Snapshot:
		was, known := f.snapshots[h.NaturalKey]
		switch {
		case known && h.Version == was.version:
			return 0, duplicate
		case known && h.Version < was.version:
			return 0, superseded
		}
		_, micros, _, _ := proceeds(r)
		f.snapshots[h.NaturalKey] = snapshot{h.Version, micros, h.OccurredAtMs, lateness}
		wasMicros = was.micros
	case event.Counter:
		key := poll{h.NaturalKey, floorDiv(h.OccurredAtMs, quarterMs)}
		newest, known := f.polls[key]
		switch {
		case known && h.OccurredAtMs == newest:
			return 0, duplicate
		case known && h.OccurredAtMs < newest:
			return 0, superseded
		}
		f.polls[key] = h.OccurredAtMs
	}
	f.watermarkMs = max(f.watermarkMs, h.OccurredAtMs)
	f.prune()
	return wasMicros, applied
}

// prune forgets, once a day, what could only be late if it came again.
func (f *feed) prune() {
	if f.watermarkMs-f.prunedMs < dayMs {
		return
	}
	f.prunedMs = f.watermarkMs
	for id, at := range f.facts {
		if at < f.watermarkMs-latenessMs {
			delete(f.facts, id)
		}
	}
	for key, s := range f.snapshots {
		if s.occurredMs < f.watermarkMs-s.late {
			delete(f.snapshots, key)
		}
	}
	for key := range f.polls {
		if (key.quarter+1)*quarterMs < f.watermarkMs-latenessMs {
			delete(f.polls, key)
		}
	}
}

// proceeds returns the money a record brings where the pipeline counts it, net
// of cancellations and refunds.
func proceeds(r event.Record) (node event.NodeName, micros int64, currency string, ok bool) {
	kept := func(s event.OrderStatus, gross, refunded int64) int64 {
		if s == event.OrderStatusCancelled {
			return 0
		}
		return gross - refunded
	}
	switch r := r.(type) {
	case *event.AmazonOrder:
		return event.NodeAmazon, kept(r.Status, r.GrossMicros, r.RefundedMicros), r.Currency, r.Branded
	case *event.TikTokShopOrder:
		return event.NodeTikTok, kept(r.Status, r.GrossMicros, r.RefundedMicros), r.Currency, true
	case *event.ShopifyOrder:
		return event.NodeShopify, kept(r.Status, r.GrossMicros, r.RefundedMicros), r.Currency, true
	}
	return "", 0, "", false
}
