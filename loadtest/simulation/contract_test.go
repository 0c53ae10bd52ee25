package simulation

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"flywheel/pkg/event"
)

// contract decides what must become of every record, from what was sent and
// where it lies in Kafka: the rules of the pipeline once more, written for
// clarity and sharing no code with it.
type contract struct {
	watermarks map[string]int64                 // by brand and source
	facts      map[string]bool                  // by brand and event id
	snapshots  map[string]*judged               // the newest version by brand, type, source and key
	counters   map[string]map[int64]observation // by brand and content, and by quarter-hour
	entries    map[string]*judged               // by brand
	outcomes   map[place]event.Reason
	accepted   []*judged // what was applied, in the order of each topic and partition
}

// judged is a record that was applied.
type judged struct {
	*sent
	at place
}

type observation struct {
	atMs, version, views, publishedMs int64
}

// Outcomes beside the reasons of a dead letter.
const (
	applied    = event.Reason("")
	superseded = event.Reason("superseded")
)

// newContract judges everything that was sent. Only the order within a topic's
// partition counts: a source publishes to one topic.
func newContract(all map[place]*sent) *contract {
	c := &contract{
		watermarks: make(map[string]int64), facts: make(map[string]bool), snapshots: make(map[string]*judged),
		counters: make(map[string]map[int64]observation), entries: make(map[string]*judged), outcomes: make(map[place]event.Reason),
	}
	places := slices.SortedFunc(maps.Keys(all), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset))
	})
	for _, at := range places {
		j := &judged{all[at], at}
		outcome := c.judge(j)
		c.outcomes[at] = outcome
		if outcome == applied {
			c.accepted = append(c.accepted, j)
		}
	}
	return c
}

func (c *contract) judge(j *judged) event.Reason {
	if j.spoil != "" {
		return j.spoil
	}
	if b, ok := j.value.(*event.Brand); ok {
		old := c.entries[b.BrandID]
		if old != nil {
			switch version := old.value.(*event.Brand).Version; {
			case b.Version == version:
				return event.ReasonDuplicate
			case b.Version < version:
				return superseded
			}
		}
		c.entries[b.BrandID] = j
		return applied
	}
	record := j.value.(event.Record)
	h := record.Head()
	if h.OccurredAtMs > j.atMs+60_000 {
		return event.ReasonFuture
	}
	allowed := 72 * hourMs
	if r, ok := record.(*event.AmazonSearchReport); ok {
		allowed += int64(r.PeriodMinutes) * 60_000
	}
	source := h.BrandID + " " + h.Source
	watermark, known := c.watermarks[source]
	if known && h.OccurredAtMs < watermark-allowed {
		return event.ReasonLate
	}
	switch {
	case record.Type() == event.TypeTikTokContentStatistics:
		s := record.(*event.TikTokContentStatistics)
		key, quarter := h.BrandID+" "+s.ContentID, h.OccurredAtMs/quarterMs
		if c.counters[key] == nil {
			c.counters[key] = make(map[int64]observation)
		}
		if old, ok := c.counters[key][quarter]; ok {
			switch newer := cmp.Or(cmp.Compare(h.OccurredAtMs, old.atMs), cmp.Compare(h.Version, old.version)); {
			case newer == 0:
				return event.ReasonDuplicate
			case newer < 0:
				return superseded
			}
		}
		c.counters[key][quarter] = observation{h.OccurredAtMs, h.Version, s.Views, s.PublishedAtMs}
	case h.NaturalKey != "":
		key := fmt.Sprint(h.BrandID, " ", record.Type(), " ", h.Source, " ", h.NaturalKey)
		if old := c.snapshots[key]; old != nil {
			switch version := old.value.(event.Record).Head().Version; {
			case h.Version == version:
				return event.ReasonDuplicate
			case h.Version < version:
				return superseded
			}
		}
		c.snapshots[key] = j
	default:
		id := h.BrandID + " " + h.EventID.String()
		if c.facts[id] {
			return event.ReasonDuplicate
		}
		c.facts[id] = true
	}
	if at := min(h.OccurredAtMs, j.atMs); !known || at > watermark {
		c.watermarks[source] = at
	}
	return applied
}

// amounts are a signal's sums by quarter-hour.
type amounts map[int64]int64

func (a amounts) sum(fromMs, toMs int64) (total int64) {
	for quarter, v := range a {
		if at := quarter * quarterMs; at >= fromMs && at < toMs {
			total += v
		}
	}
	return total
}

// books are the amounts of every brand and signal, of money by currency, counted
// by hand: "brand signal" or "brand signal USD".
type books map[string]amounts

func (b books) add(brand, signal string, atMs, v int64) {
	key := brand + " " + signal
	if b[key] == nil {
		b[key] = make(amounts)
	}
	b[key][atMs/quarterMs] += v
}

// hour adds an amount of which only the hour is known: a quarter of it to each
// quarter-hour, the rest to the first ones.
func (b books) hour(brand, signal string, atMs, v int64) {
	key := brand + " " + signal + " by hour"
	if b[key] == nil {
		b[key] = make(amounts)
	}
	b[key][atMs/hourMs] += v
}

// count keeps the books of what the contract accepts.
func (c *contract) count() books {
	b := make(books)
	for _, j := range c.accepted {
		record, ok := j.value.(event.Record)
		if !ok {
			continue
		}
		h := record.Head()
		if h.NaturalKey != "" && record.Type() != event.TypeTikTokContentStatistics {
			key := fmt.Sprint(h.BrandID, " ", record.Type(), " ", h.Source, " ", h.NaturalKey)
			if c.snapshots[key] != j {
				continue // a newer version has taken its place
			}
		}
		b.record(record)
	}
	for key, byQuarter := range c.counters {
		var brand string
		_, _ = fmt.Sscan(key, &brand) // it begins with it
		b.views(brand, byQuarter)
	}
	for key, hours := range b {
		var brand, signal, by string
		if n, _ := fmt.Sscan(key, &brand, &signal, &by); n < 3 || by != "by" {
			continue
		}
		delete(b, key)
		for hour, v := range hours {
			for q := range int64(4) {
				part := v / 4
				if v%4 < 0 { // rounded down
					part--
				}
				if q < v-4*part {
					part++
				}
				b.add(brand, signal, hour*hourMs+q*quarterMs, part)
			}
		}
	}
	return b
}

func (b books) record(record event.Record) {
	h := record.Head()
	add := func(signal string, v int64) { b.add(h.BrandID, signal, h.OccurredAtMs, v) }
	addIf := func(is bool, signal string, v int64) {
		if is {
			add(signal, v)
		}
	}
	kept := func(status event.OrderStatus, gross, refunded int64) int64 {
		if status == event.OrderStatusCancelled {
			return 0
		}
		return gross - refunded
	}
	switch r := record.(type) {
	case *event.TikTokContentPublished:
		add("tiktok_posts", 1)
		addIf(r.Reactivated, "reactivated_posts", 1)
	case *event.TikTokShopOrder:
		add("tiktok_gmv "+r.Currency, kept(r.Status, r.GrossMicros, r.RefundedMicros))
	case *event.TikTokAdReportHour:
		b.hour(h.BrandID, "tiktok_ad_impressions", h.OccurredAtMs, r.Impressions)
	case *event.TikTokCreatorJoined:
		add("creators_joined", 1)
		addIf(r.CustomerID != "", "known_creators_joined", 1)
	case *event.AmazonSearchReport:
		switch {
		case !r.Branded || r.PeriodMinutes > 60:
		case r.PeriodMinutes == 15:
			add("branded_searches", r.Volume)
		default:
			b.hour(h.BrandID, "branded_searches_hour", h.OccurredAtMs, r.Volume)
		}
	case *event.AmazonTrafficHour:
		b.hour(h.BrandID, "glance_views", h.OccurredAtMs, r.GlanceViews)
	case *event.AmazonOrder:
		units := int64(r.Units - r.ReturnedUnits)
		if r.Status == event.OrderStatusCancelled {
			units = 0
		}
		addIf(r.Branded, "branded_revenue "+r.Currency, kept(r.Status, r.GrossMicros, r.RefundedMicros))
		add("units_shipped", units)
		addIf(r.Repeat, "repeat_units", units)
	case *event.AmazonAdStream:
		addIf(r.Branded, "branded_ad_impressions", r.ImpressionsDelta)
		addIf(!r.Branded, "category_ad_impressions", r.ImpressionsDelta)
	case *event.AmazonReview:
		add("reviews", 1)
	case *event.ShopifyCustomerRegistered:
		addIf(r.Origin == event.RegistrationOriginQR, "amazon_registrations", 1)
		addIf(r.Consented, "consented_registrations", 1)
	case *event.ShopifyOrder:
		add("shopify_revenue "+r.Currency, kept(r.Status, r.GrossMicros, r.RefundedMicros))
		addIf(r.Referrer == event.ReferrerAI && r.Status != event.OrderStatusCancelled, "ai_orders", 1)
	case *event.ShopifySession:
		addIf(r.Referrer == event.ReferrerAI, "ai_sessions", 1)
	case *event.AICitationTrial:
		add("citations", int64(r.Citations))
	case *event.MessageEvent:
		sends, clicks := r.Action == event.MessageActionSent, r.Action == event.MessageActionClicked
		addIf(sends && r.Purpose == event.MessagePurposeReplenishment, "replenishment_sends", 1)
		addIf(sends && r.Purpose == event.MessagePurposeReactivation, "reactivation_sends", 1)
		addIf(sends && r.Purpose == event.MessagePurposeCreatorInvite, "creator_invites", 1)
		addIf(clicks && r.Purpose == event.MessagePurposeReplenishment, "replenishment_clicks", 1)
		addIf(!sends && r.Segment != "", "active_subscribers", 1)
	}
}

// views adds what a post gained: its count is a straight line between two
// observations, from 0 at its publication on, and is rounded down at the ends of
// quarter-hours.
func (b books) views(brand string, byQuarter map[int64]observation) {
	at, count := int64(-1), int64(0)
	for _, quarter := range slices.Sorted(maps.Keys(byQuarter)) {
		o := byQuarter[quarter]
		if at < 0 {
			at = min(o.publishedMs, o.atMs)
		}
		line := func(ms int64) int64 {
			if ms >= o.atMs {
				return o.views
			}
			rise := new(big.Int).Mul(big.NewInt(o.views-count), big.NewInt(max(0, ms-at)))
			return count + rise.Div(rise, big.NewInt(o.atMs-at)).Int64() // Euclidean, so rounded down
		}
		before := count
		for q := at / quarterMs; q*quarterMs < o.atMs || q == at/quarterMs; q++ {
			after := line((q + 1) * quarterMs)
			b.add(brand, "tiktok_views", q*quarterMs, after-before)
			before = after
		}
		at, count = o.atMs, o.views
	}
}
