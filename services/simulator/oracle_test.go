package simulator

import (
	"fmt"
	"testing"

	"flywheel/pkg/event"
)

// TestTheRules writes the contract down case by case: what arrives, in order,
// and what becomes of it.
func TestTheRules(t *testing.T) {
	const start = 1_790_000_000_000 / quarterMs * quarterMs
	head := func(id byte, hours float64, key string, version int64) event.Header {
		return event.Header{EventID: event.ID{id}, OccurredAtMs: start + int64(hours*hourMs), NaturalKey: key, Version: version}
	}
	fact := func(id byte, hours float64) event.Record {
		return &event.AmazonReview{Header: head(id, hours, "", 0)}
	}
	order := func(key string, hours float64, version, gross, refunded int64, status event.OrderStatus) event.Record {
		return &event.ShopifyOrder{Header: head(0, hours, key, version), GrossMicros: gross, RefundedMicros: refunded, Status: status}
	}
	poll := func(hours float64) event.Record {
		return &event.TikTokContentStatistics{Header: head(0, hours, "video", 1)}
	}
	report := func(hours float64, minutes int32) event.Record {
		return &event.AmazonSearchReport{Header: head(0, hours, fmt.Sprint("query/", hours), 1), PeriodMinutes: minutes}
	}
	type step struct {
		r    event.Record
		want outcome
		was  int64 // money replaced
	}
	for name, steps := range map[string][]step{
		"a fact counts once": {{fact(1, 0), applied, 0}, {fact(2, 1), applied, 0}, {fact(1, 0), duplicate, 0}},
		"a fact is late beyond 72 h behind its source": {
			{fact(1, 100), applied, 0}, {fact(2, 28), applied, 0}, {fact(3, 27.99), late, 0}, {fact(2, 28), duplicate, 0},
		},
		"what is late and sent again is late":     {{fact(1, 0), applied, 0}, {fact(2, 73), applied, 0}, {fact(1, 0), late, 0}},
		"what is late moves no watermark":         {{fact(1, 100), applied, 0}, {fact(2, 1), late, 0}, {fact(3, 29), applied, 0}},
		"from the future":                         {{fact(1, 1000), future, 0}, {fact(2, 0), applied, 0}},
		"a higher version replaces a lower":       {{order("a", 0, 1, 500, 0, "placed"), applied, 0}, {order("a", 0, 2, 500, 200, "returned"), applied, 500}, {order("a", 0, 3, 500, 0, "cancelled"), applied, 300}},
		"a lower version has no effect":           {{order("a", 0, 2, 500, 0, "placed"), applied, 0}, {order("a", 0, 1, 400, 0, "placed"), superseded, 0}, {order("a", 0, 3, 600, 0, "placed"), applied, 500}},
		"the same version is a duplicate":         {{order("a", 0, 2, 500, 0, "placed"), applied, 0}, {order("a", 0, 2, 500, 0, "placed"), duplicate, 0}},
		"other keys are other things":             {{order("a", 0, 1, 500, 0, "placed"), applied, 0}, {order("b", 0, 1, 400, 0, "placed"), applied, 0}},
		"the newest of a quarter-hour counts":     {{poll(0.1), applied, 0}, {poll(0.2), applied, 0}, {poll(0.1), superseded, 0}, {poll(0.2), duplicate, 0}, {poll(0.3), applied, 0}, {poll(0.1), superseded, 0}},
		"an older quarter-hour has its own":       {{poll(5), applied, 0}, {poll(1), applied, 0}, {poll(1), duplicate, 0}},
		"a report may be later by its period":     {{report(300, 10080), applied, 0}, {report(60, 10080), applied, 0}, {report(59, 10080), late, 0}},
		"a quarter's report, by a quarter":        {{report(100, 15), applied, 0}, {report(27.75, 15), applied, 0}, {report(27.7, 15), late, 0}},
		"days later all is as strict as it was":   {{fact(1, 0), applied, 0}, {fact(2, 60), applied, 0}, {fact(3, 130), applied, 0}, {fact(2, 60), duplicate, 0}, {fact(1, 0), late, 0}},
		"versions are known for as long as facts": {{order("a", 0, 1, 5, 0, "placed"), applied, 0}, {order("b", 71, 1, 7, 0, "placed"), applied, 0}, {order("a", 0, 2, 4, 0, "placed"), applied, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFeed()
			for i, s := range steps {
				if was, got := f.take(s.r, start+500*hourMs); got != s.want || was != s.was {
					t.Errorf("step %d: outcome %d and %d micros replaced, want %d and %d", i, got, was, s.want, s.was)
				}
			}
		})
	}
}

func TestIdsAreKnownForTwoDays(t *testing.T) {
	var r recent
	add := func(id byte, hours int64) bool { return r.add(event.ID{id}, 1_790_000_000_000+hours*hourMs) }
	for i, s := range []struct {
		id    byte
		hours int64
		want  bool
	}{{1, 0, true}, {1, 1, false}, {2, 47, true}, {3, 49, true}, {2, 90, false}, {1, 48, false}, {4, 100, true}, {3, 100, false}} {
		if got := add(s.id, s.hours); got != s.want {
			t.Errorf("step %d: new is %v, want %v", i, got, s.want)
		}
	}
}
