package topology

import (
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"flywheel/pkg/event"
)

// factLog writes a changelog of facts as restoreFacts reads it.
type factLog []struct{ key, value []byte }

// put appends a chunk; one without ids is a tombstone.
func (l *factLog) put(src string, hour int64, seq uint64, ids ...event.ID) {
	var key, value writer
	key.int(hour)
	key.uint(seq)
	key.text(src)
	for _, id := range ids {
		value.bytes(id[:])
	}
	*l = append(*l, struct{ key, value []byte }{key, value})
}

func (l factLog) restore(b *brand) {
	for _, r := range l {
		b.restoreFacts(&reader{left: r.key}, &reader{left: r.value}, len(r.value) == 0)
	}
	b.facts.sweep()
}

// TestFactsThatExpireWhileTheyAreRestored holds a log to what is left of it chunk by chunk.
func TestFactsThatExpireWhileTheyAreRestored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type hour struct {
			src string
			no  int64
		}
		var log factLog
		want := make(map[event.ID]hour)
		chunks := make(map[hour][]uint64)
		for seq := range uint64(rapid.IntRange(1, 60).Draw(t, "records")) {
			h := hour{fmt.Sprint("source-", rapid.IntRange(0, 1).Draw(t, "source")), int64(rapid.IntRange(100, 103).Draw(t, "hour"))}
			if of := chunks[h]; len(of) > 0 && rapid.Bool().Draw(t, "expires") {
				for _, seq := range of {
					log.put(h.src, h.no, seq)
				}
				delete(chunks, h)
				maps.DeleteFunc(want, func(_ event.ID, of hour) bool { return of == h })
				continue
			}
			var ids []event.ID
			for range rapid.IntRange(1, 3).Draw(t, "ids") {
				id := event.NewID("fact", "", "", "", int64(rapid.IntRange(0, 20).Draw(t, "id")))
				ids = append(ids, id)
				if _, known := want[id]; !known {
					want[id] = h
				}
			}
			log.put(h.src, h.no, seq, ids...)
			chunks[h] = append(chunks[h], seq)
		}
		b := newBrand("acme")
		log.restore(b)
		if n := len(b.facts.list); n != len(want) || b.facts.logged != n || len(b.facts.gone) > 0 {
			t.Fatalf("%d facts are restored, %d of them known to be in the changelog, want %d", n, b.facts.logged, len(want))
		}
		for id, h := range want {
			_, place, known := b.facts.find(id)
			if !known {
				t.Fatalf("%x of %v is lost", id, h)
			}
			if x := b.facts.list[place]; int64(x.hour) != h.no || b.sources[x.src].name.Value() != h.src {
				t.Fatalf("%x is of %s, hour %d, want %v", id, b.sources[x.src].name.Value(), x.hour, h)
			}
		}
		left := 0
		for _, of := range chunks {
			left += len(of)
		}
		if len(b.facts.chunks) != left {
			t.Fatalf("%d chunks are restored, want %d", len(b.facts.chunks), left)
		}
	})
}

// BenchmarkRestoreFacts restores the facts of a large brand from a log that was never compacted:
// a month, 200 of each of five sources an hour, 50 a transaction.
func BenchmarkRestoreFacts(b *testing.B) {
	var log factLog
	seq := uint64(0)
	const days, sources, chunks, ids = 29, 5, 4, 50
	first := make(map[int64]uint64)
	for hour := int64(1); hour <= days*24; hour++ {
		first[hour] = seq
		for c := range chunks * sources {
			var all []event.ID
			for i := range ids {
				all = append(all, event.NewID(fmt.Sprint(c), "", "", fmt.Sprint(i), hour))
			}
			log.put(fmt.Sprint("source-", c%sources), hour, seq, all...)
			seq++
		}
		if old := hour - event.DedupHorizonHours; old > 0 {
			for c := range uint64(chunks * sources) {
				log.put(fmt.Sprint("source-", c%sources), old, first[old]+c)
			}
		}
	}
	for b.Loop() {
		log.restore(newBrand("acme"))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(log)), "ns/record")
}
