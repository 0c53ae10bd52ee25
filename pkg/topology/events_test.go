package topology

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// monday is the first moment of event time in these tests, a Monday's midnight.
const monday = 1_788_739_200_000

func newPartition(t testing.TB) *Partition { return newLearned(t, nil) }

// newLearned returns an empty partition with a prior.
func newLearned(t testing.TB, pools map[int]*correlate.Pool) *Partition {
	t.Helper()
	cfg := DefaultConfig()
	cfg.RefreshInterval, cfg.Pools = 0, pools
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func fact(record, id string, atMs int64, source string) event.Header {
	return event.Header{
		EventID: event.NewID(record, "acme", source, id, 0), BrandID: "acme",
		OccurredAtMs: atMs, ObservedAtMs: atMs, Source: source,
	}
}

func entity(record, key string, version, atMs int64, source string) event.Header {
	return event.Header{
		EventID: event.NewID(record, "acme", source, key, version), BrandID: "acme",
		OccurredAtMs: atMs, ObservedAtMs: atMs, Source: source, NaturalKey: key, Version: version,
	}
}

func review(id string, atMs int64) *event.AmazonReview {
	return &event.AmazonReview{Header: fact("amazon_review", id, atMs, "reviews"), ReviewID: id, ASIN: "B0", Stars: 5}
}

func citation(id string, atMs int64, n int32) *event.AICitationTrial {
	return &event.AICitationTrial{Header: fact("ai_citation_trial", id, atMs, "trials"), TrialID: id, Engine: "e", Citations: n}
}

func order(id string, version, atMs, gross, refunded int64, status event.OrderStatus) *event.AmazonOrder {
	return &event.AmazonOrder{
		Header:  entity("amazon_order", id, version, atMs, "orders"),
		OrderID: id, Status: status, Units: 2, ReturnedUnits: int32(min(refunded, 1)),
		GrossMicros: gross, RefundedMicros: refunded, Branded: true, Currency: "USD",
	}
}

func shopOrder(id string, atMs, gross int64, currency string) *event.TikTokShopOrder {
	return &event.TikTokShopOrder{
		Header: entity("tiktok_shop_order", id, 1, atMs, "shop"), OrderID: id, Status: event.OrderStatusPlaced,
		Units: 1, GrossMicros: gross, Currency: currency,
	}
}

func statistics(content string, version, atMs, sinceMs, views int64) *event.TikTokContentStatistics {
	return &event.TikTokContentStatistics{
		Header:    entity("tiktok_content_statistics", content, version, atMs, "poll"),
		ContentID: content, PublishedAtMs: sinceMs, Views: views,
	}
}

func searches(atMs, version int64, minutes int32, volume int64) *event.AmazonSearchReport {
	source := fmt.Sprintf("search_%d", minutes)
	return &event.AmazonSearchReport{
		Header: entity("amazon_search_report", fmt.Sprint("acme ", atMs), version, atMs, source),
		Query:  "acme", Branded: true, PeriodMinutes: minutes, Volume: volume,
	}
}

func glances(key string, atMs, views int64) *event.AmazonTrafficHour {
	return &event.AmazonTrafficHour{Header: entity("amazon_traffic_hour", key, 1, atMs, "traffic"), ASIN: "B0", GlanceViews: views}
}

func adTraffic(id string, atMs, impressions int64) *event.AmazonAdStream {
	return &event.AmazonAdStream{
		Header: fact("amazon_ad_stream", id, atMs, "ads"), CampaignID: "c", Keyword: "acme", Branded: true,
		ImpressionsDelta: impressions, Currency: "USD",
	}
}

func promotion(key string, version, fromMs, toMs int64, cancelled bool) *event.CalendarEvent {
	return &event.CalendarEvent{
		Header: entity("calendar_event", key, version, fromMs, "calendar"),
		Kind:   event.CalendarKindPromotion, Node: event.NodeAmazon, EndsAtMs: toMs, Cancelled: cancelled,
	}
}

// drawEvents draws events of every mode within a span of time, in which nothing
// is late whatever the order.
func drawEvents(t *rapid.T, fromMs, spanMs int64) []event.Record {
	at := func(label string) int64 {
		return fromMs + rapid.Int64Range(0, spanMs-1).Draw(t, label)
	}
	var out []event.Record
	for i := range rapid.IntRange(1, 40).Draw(t, "events") {
		id := fmt.Sprint(fromMs/window.HourMs, "-", i)
		switch rapid.IntRange(0, 8).Draw(t, "kind") {
		case 0:
			out = append(out, review(id, at("at")))
		case 1:
			out = append(out, citation(id, at("at"), rapid.Int32Range(0, 3).Draw(t, "citations")))
		case 2: // versions of one order share their time
			when, gross := at("at"), rapid.Int64Range(1, 1<<40).Draw(t, "gross")
			for v := range rapid.Int64Range(1, 3).Draw(t, "versions") {
				status := rapid.SampledFrom([]event.OrderStatus{event.OrderStatusPlaced, event.OrderStatusReturned, event.OrderStatusCancelled}).Draw(t, "status")
				out = append(out, order(id, v, when, gross, rapid.Int64Range(0, gross).Draw(t, "refunded"), status))
			}
		case 3:
			out = append(out, shopOrder(id, at("at"), rapid.Int64Range(0, 1<<30).Draw(t, "gross"), rapid.SampledFrom([]string{"USD", "EUR"}).Draw(t, "currency")))
		case 4: // observations of one post, some in the same quarter-hour
			since := fromMs - rapid.Int64Range(0, 100*window.HourMs).Draw(t, "since")
			seen := make(map[int64]bool)
			for v := range rapid.Int64Range(1, 6).Draw(t, "observations") {
				when := at("at")
				if !seen[when] {
					out = append(out, statistics(id, v, when, since, rapid.Int64Range(0, 1<<30).Draw(t, "views")))
				}
				seen[when] = true
			}
		case 5:
			minutes := rapid.SampledFrom([]int32{15, 60, 1440, 10080}).Draw(t, "minutes")
			r := searches(at("at"), 1, minutes, rapid.Int64Range(0, 5000).Draw(t, "volume"))
			r.NaturalKey += " " + id
			out = append(out, r)
		case 6:
			out = append(out, glances(id, at("at"), rapid.Int64Range(0, 5000).Draw(t, "views")))
		case 7:
			out = append(out, adTraffic(id, at("at"), rapid.Int64Range(-50, 5000).Draw(t, "impressions")))
		default:
			from := at("at")
			out = append(out, promotion(id, 1, from, from+window.HourMs, rapid.Bool().Draw(t, "cancelled")))
		}
	}
	return out
}

// taken is when Kafka takes events in these tests: later than all of them.
const taken = monday + 400*window.DayMs

// all is a budget that nothing exhausts.
const all = Budget(1 << 40)

// dump returns the whole state as readable text by key.
func dump(p *Partition) map[string]string {
	out := make(map[string]string)
	p.State(func(key, value []byte) { out[fmt.Sprintf("%q", key)] = fmt.Sprintf("%x", value) })
	return out
}

// log keeps a changelog as compaction leaves it.
type log map[string][]byte

func (l log) take(p *Partition) {
	p.Changes(func(key, value []byte) {
		if value == nil {
			delete(l, string(key))
			return
		}
		l[string(key)] = slices.Clone(value)
	})
}

func (l log) restore(t rapid.TB, p *Partition) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(l)) {
		if err := p.Restore([]byte(key), l[key]); err != nil {
			t.Fatal(err)
		}
	}
}

// results keeps the newest revision of every result by its key, without what
// depends on when it was computed.
type results map[string]any

func (r results) take(v any) {
	switch v := v.(type) {
	case *event.Correlation:
		c := *v
		c.LagProfile, c.Watermarks, c.Revision = append([]float32(nil), c.LagProfile...), nil, 0
		r[fmt.Sprintf("force %02d %d", c.Force, c.WindowEndMs)] = c
	case *event.Credit:
		c := *v
		c.Credits, c.Watermarks, c.Revision = append([]event.CreditShare(nil), c.Credits...), nil, 0
		r[fmt.Sprintf("day %d %s %s", c.DayMs, c.Node, c.Currency)] = c
	case *event.Spike:
		s := *v
		s.Watermarks, s.Revision = nil, 0
		r["spike "+s.SpikeID.String()] = s
	}
}

// byTime sorts events by their time, as they would come from one source.
func byTime(events []event.Record) {
	slices.SortStableFunc(events, func(a, b event.Record) int { return cmp.Compare(a.Head().OccurredAtMs, b.Head().OccurredAtMs) })
}
