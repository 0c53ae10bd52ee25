package simulator

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
)

// world is the brands and the span of event time they are played over. What it
// yields follows from the configuration and the span alone.
type world struct {
	cfg              Config
	run              string
	start, live, end int64 // first moment, begin of live play, and the moment after the last
	brands           []*brand
}

// newWorld returns the world that ends at a moment.
func newWorld(cfg Config, end time.Time) (*world, error) {
	w := &world{cfg: cfg, run: cfg.Run, end: end.UnixMilli()}
	w.live = w.end - (cfg.span() - cfg.Backfill).Milliseconds()
	w.start = floorDiv(w.end-cfg.span().Milliseconds(), quarterMs) * quarterMs
	if w.run == "" {
		w.run = strconv.FormatUint(mix(cfg.Seed^mix(uint64(w.end)))%(1<<32), 36)
	}
	for i := range cfg.Brands {
		t, err := newTraits(cfg, w.run, i, time.UnixMilli(w.start).UTC(), end.UTC())
		if err != nil {
			return nil, err
		}
		w.brands = append(w.brands, newBrand(cfg, t, w.start, w.live, w.end))
	}
	return w, nil
}

// entries yields the brands' own records. Their version is the end of event
// time, so that a later play replaces them.
func (w *world) entries() iter.Seq[*event.Brand] {
	return func(yield func(*event.Brand) bool) {
		for _, b := range w.brands {
			if !yield(b.record(w.end)) {
				return
			}
		}
	}
}

// items plays the world and yields what is sent, by the time it is observed. It
// can be called once.
func (w *world) items() iter.Seq[item] {
	return func(yield func(item) bool) {
		var batch []item
		for at := w.start; at < w.end; at += quarterMs {
			until := min(at+quarterMs, w.end)
			batch = batch[:0]
			for _, b := range w.brands {
				b.step()
				for len(b.pending) > 0 && b.pending[0].observedMs < until {
					batch = append(batch, b.pending.pop())
				}
			}
			slices.SortFunc(batch, func(a, b item) int {
				return cmp.Or(cmp.Compare(a.observedMs, b.observedMs), cmp.Compare(a.brand, b.brand), cmp.Compare(a.serial, b.serial))
			})
			for i := range batch {
				if !yield(batch[i]) {
					return
				}
			}
		}
	}
}

// mail encodes an item, poison included, behind what buf holds.
func (w *world) mail(e *codec.Encoder, it *item, buf []byte) (mail, []byte, error) {
	from := len(buf)
	buf, err := e.Encode(buf, it.record)
	if err != nil {
		return mail{}, buf, fmt.Errorf("encode what brand %q sends: %w", w.brands[it.brand].id, err)
	}
	m := mail{topic: it.record.Type().Info().Topic, key: w.brands[it.brand].id, value: buf[from:len(buf):len(buf)]}
	if it.poison != healthy {
		m = w.mangle(it, m)
	}
	return m, buf, nil
}
