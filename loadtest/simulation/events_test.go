package simulation

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"flywheel/pkg/event"
)

const (
	quarterMs = int64(15 * 60_000)
	hourMs    = int64(3_600_000)
	dayMs     = 24 * hourMs
	// bornMs is when a simulation begins: 2000-01-01, a Saturday.
	bornMs = int64(946_684_800_000)
)

// message is one record that is sent: a value, and what is done to it on its way.
type message struct {
	value any          // event.Record or *event.Brand
	spoil event.Reason // why it cannot be applied whatever came before; empty when it can
	note  string       // how it came about, for people
}

// String says what is sent.
func (m *message) String() string {
	ago := func(ms int64) string { return fmt.Sprintf("%+.2f h", float64(ms-bornMs)/float64(hourMs)) }
	text := ""
	switch v := m.value.(type) {
	case *event.Brand:
		return fmt.Sprintf("the entry of %s, version %d, %s, %v minutes from UTC %s", v.BrandID, v.Version, v.Currency, v.UTCOffsets, m.note)
	case *event.TikTokContentStatistics:
		text = fmt.Sprintf("%d views of %s since %s", v.Views, v.ContentID, ago(v.PublishedAtMs))
	case *event.TikTokShopOrder:
		text = fmt.Sprintf("%s, %d − %d %s", v.Status, v.GrossMicros, v.RefundedMicros, v.Currency)
	case *event.AmazonOrder:
		text = fmt.Sprintf("%s, %d − %d %s, %d − %d units, branded %v, repeat %v", v.Status, v.GrossMicros, v.RefundedMicros, v.Currency, v.Units, v.ReturnedUnits, v.Branded, v.Repeat)
	case *event.ShopifyOrder:
		text = fmt.Sprintf("%s, %d − %d %s, from %s", v.Status, v.GrossMicros, v.RefundedMicros, v.Currency, v.Referrer)
	case *event.AmazonSearchReport:
		text = fmt.Sprintf("%d searches in %d minutes", v.Volume, v.PeriodMinutes)
	case *event.AmazonAdStream:
		text = fmt.Sprintf("%+d impressions", v.ImpressionsDelta)
	case *event.AmazonTrafficHour:
		text = fmt.Sprintf("%d glances", v.GlanceViews)
	case *event.AICitationTrial:
		text = fmt.Sprintf("%d citations", v.Citations)
	}
	r := m.value.(event.Record)
	h := r.Head()
	out := fmt.Sprintf("%s of %s from %s at %s", r.Type(), h.BrandID, h.Source, ago(h.OccurredAtMs))
	if h.NaturalKey != "" {
		out += fmt.Sprintf(", %s version %d", h.NaturalKey, h.Version)
	} else {
		out += fmt.Sprintf(", id %.8s", h.EventID)
	}
	if text != "" {
		out += ": " + text
	}
	if m.note != "" {
		out += " (" + m.note + ")"
	}
	return out
}

// feed is one source of one brand.
type feed struct {
	brand, source string
	kinds         []event.Type
	lagMs         int64 // how far it is behind
	newestMs      int64 // highest time sent
}

// writer makes up events. What it makes depends on its random numbers only.
type writer struct {
	random  *rand.Rand
	brands  []string
	feeds   []*feed
	nowMs   int64 // a lower bound of the time at which it will be sent
	spread  int64 // how far back a feed's events lie
	seq     int
	sent    []*message // that can be applied
	posts   map[string][]*post
	entries map[string]int64
}

// post is a content that is observed.
type post struct {
	id          string
	publishedMs int64
	views       int64
}

func newWriter(random *rand.Rand, brands int) *writer {
	w := &writer{
		random: random, nowMs: bornMs, posts: make(map[string][]*post), entries: make(map[string]int64),
		spread: pick[int64](random, 2, 20, 40) * hourMs,
	}
	for b := range brands {
		id := fmt.Sprintf("brand-%d", b)
		w.brands = append(w.brands, id)
		for _, f := range []feed{
			{source: "tiktok-display", kinds: []event.Type{event.TypeTikTokContentPublished, event.TypeTikTokContentStatistics, event.TypeTikTokContentStatistics}},
			{source: "tiktok-shop", kinds: []event.Type{event.TypeTikTokShopOrder, event.TypeTikTokCreatorJoined}},
			{source: "amazon-orders", kinds: []event.Type{event.TypeAmazonOrder, event.TypeAmazonReview}},
			{source: "amazon-reports", kinds: []event.Type{event.TypeAmazonSearchReport, event.TypeAmazonTrafficHour, event.TypeAmazonSalesHour}},
			{source: "amazon-stream", kinds: []event.Type{event.TypeAmazonAdStream}},
			{source: "shopify", kinds: []event.Type{event.TypeShopifyOrder, event.TypeShopifySession, event.TypeShopifyCustomerRegistered}},
			{source: "prompts", kinds: []event.Type{event.TypeAICitationTrial}},
			{source: "messages", kinds: []event.Type{event.TypeMessageEvent}},
			{source: "calendar", kinds: []event.Type{event.TypeCalendarEvent}},
			{source: "tiktok-ads", kinds: []event.Type{event.TypeTikTokAdReportHour}},
		} {
			f.brand = id
			switch random.IntN(5) {
			case 0: // it is days behind the others, and not late
				f.lagMs = (80 + random.Int64N(20)) * hourMs
			case 1:
				f.lagMs = random.Int64N(20) * hourMs
			}
			w.feeds = append(w.feeds, &f)
		}
	}
	return w
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// next makes up one message.
func (w *writer) next() *message {
	w.seq++
	switch n := w.random.IntN(100); {
	case n < 5:
		return w.entry()
	case n < 13 && len(w.sent) > 0:
		return w.again()
	case n < 30 && len(w.sent) > 0:
		if m := w.correction(); m != nil {
			return m
		}
	case n < 37:
		return w.spoiled()
	}
	m := w.event()
	w.sent = append(w.sent, m)
	return m
}

// again sends something once more.
func (w *writer) again() *message {
	m := *pick(w.random, w.sent...)
	m.note = "again"
	if w.random.IntN(3) == 0 {
		if o, ok := m.value.(*event.AmazonOrder); ok {
			c := *o
			c.GrossMicros += 1_000_000
			m.value, m.note = &c, "the same version with another amount"
		}
	}
	return &m
}

// entry is a brand's entry.
func (w *writer) entry() *message {
	id := pick(w.random, w.brands...)
	version := w.entries[id] + 1
	note := ""
	if version > 1 && w.random.IntN(3) == 0 {
		version, note = max(1, version-1-w.random.Int64N(2)), "an old version"
	}
	w.entries[id] = max(w.entries[id], version)
	minutes := pick[int32](w.random, 0, 0, 60, -300, 330)
	return &message{note: note, value: w.entryOf(id, version, minutes, pick(w.random, "USD", "USD", "EUR"))}
}

func (w *writer) entryOf(id string, version int64, minutes int32, currency string) *event.Brand {
	return &event.Brand{
		BrandID: id, Version: version, Name: id, TimeZone: "Etc/Simulated", Currency: currency,
		UTCOffsets: []event.UTCOffset{{OffsetMinutes: minutes}}, Holidays: []int32{int32(bornMs/dayMs) - 3},
	}
}

// at returns a time for an event of a feed.
func (w *writer) at(f *feed) (ms int64, note string) {
	switch n := w.random.IntN(100); {
	case n < 6 && f.newestMs > 0: // around the edge of being late
		edge := f.newestMs - event.LatenessHours*hourMs
		return edge + pick[int64](w.random, -3*hourMs, -1, 0, 1, hourMs, 2*hourMs), "at the edge of being late"
	case n < 8: // a clock that is ahead, as much as is tolerated
		ms, note = w.nowMs-f.lagMs+w.random.Int64N(60_000), "ahead of its time"
	case n < 16: // a silent feed goes on much later
		ms = w.nowMs - f.lagMs
	default:
		ms = w.nowMs - f.lagMs - w.random.Int64N(w.spread)
	}
	f.newestMs = max(f.newestMs, min(ms, w.nowMs))
	return ms, note
}

// header fills in who and when.
func (w *writer) header(f *feed, kind event.Type, id string, version, atMs int64) event.Header {
	h := event.Header{
		EventID: event.NewID(kind.String(), f.brand, f.source, id, version), BrandID: f.brand,
		OccurredAtMs: atMs, ObservedAtMs: atMs, Source: f.source,
	}
	if kind.Info().Mode != event.Fact {
		h.NaturalKey, h.Version = id, version
	}
	return h
}

// event makes up something that has happened.
func (w *writer) event() *message {
	f := pick(w.random, w.feeds...)
	atMs, note := w.at(f)
	return &message{value: w.record(f, pick(w.random, f.kinds...), atMs), note: note}
}

func (w *writer) record(f *feed, kind event.Type, atMs int64) event.Record {
	r := w.random
	id := fmt.Sprintf("%s-%d", kind.String(), w.seq)
	version := 1 + r.Int64N(2)
	head := func() event.Header { return w.header(f, kind, id, version, atMs) }
	gross := 1 + r.Int64N(90_000_000)
	switch kind {
	case event.TypeTikTokContentPublished:
		return &event.TikTokContentPublished{Header: head(), ContentID: id, CreatorID: "c", Kind: event.ContentKindVideo, Reactivated: r.IntN(2) == 0}
	case event.TypeTikTokContentStatistics:
		return w.observation(f, atMs)
	case event.TypeTikTokShopOrder:
		return &event.TikTokShopOrder{Header: head(), OrderID: id, Status: event.OrderStatusPlaced, CustomerID: "k", Units: 1, GrossMicros: gross, Currency: w.currency()}
	case event.TypeTikTokAdReportHour:
		return &event.TikTokAdReportHour{Header: head(), AdID: id, Impressions: 1 + r.Int64N(5000), Currency: "USD"}
	case event.TypeTikTokCreatorJoined:
		return &event.TikTokCreatorJoined{Header: head(), CreatorID: id, CustomerID: pick(r, "", "k")}
	case event.TypeAmazonSearchReport:
		minutes := pick[int32](r, 15, 15, 15, 60, 60, 1440, 10_080)
		width := int64(minutes) * 60_000
		atMs = min(atMs, w.nowMs-width) / width * width
		return &event.AmazonSearchReport{Header: head(), Query: "q", Branded: r.IntN(8) > 0, PeriodMinutes: minutes, Volume: 1 + r.Int64N(5000)}
	case event.TypeAmazonTrafficHour:
		return &event.AmazonTrafficHour{Header: head(), ASIN: "A", GlanceViews: 1 + r.Int64N(500)}
	case event.TypeAmazonSalesHour:
		return &event.AmazonSalesHour{Header: head(), ASIN: "A", Units: 2, OrderedMicros: gross, Currency: w.currency()}
	case event.TypeAmazonOrder:
		return &event.AmazonOrder{Header: head(), OrderID: id, Status: event.OrderStatusPlaced, ASIN: "A", Units: 1 + r.Int32N(5), GrossMicros: gross, Branded: r.IntN(4) > 0, Repeat: r.IntN(3) == 0, Currency: w.currency()}
	case event.TypeAmazonAdStream:
		return &event.AmazonAdStream{Header: head(), CampaignID: "a", Keyword: "q", Branded: r.IntN(5) > 0, ImpressionsDelta: r.Int64N(400) - 100, Currency: "USD"}
	case event.TypeAmazonReview:
		return &event.AmazonReview{Header: head(), ReviewID: id, ASIN: "A", Stars: 5}
	case event.TypeShopifyCustomerRegistered:
		return &event.ShopifyCustomerRegistered{Header: head(), CustomerID: id, Origin: pick(r, event.RegistrationOriginQR, event.RegistrationOriginOrganic), Consented: r.IntN(2) == 0}
	case event.TypeShopifyOrder:
		return &event.ShopifyOrder{Header: head(), OrderID: id, Status: event.OrderStatusPlaced, CustomerID: "k", Referrer: pick(r, event.ReferrerAI, event.ReferrerDirect), Units: 1, GrossMicros: gross, Currency: w.currency()}
	case event.TypeShopifySession:
		return &event.ShopifySession{Header: head(), SessionID: id, Referrer: pick(r, event.ReferrerAI, event.ReferrerDirect)}
	case event.TypeAICitationTrial:
		return &event.AICitationTrial{Header: head(), TrialID: id, Engine: "e", Mentioned: true, Citations: r.Int32N(4)}
	case event.TypeMessageEvent:
		return &event.MessageEvent{
			Header: head(), MessageID: id, CustomerID: "k", Channel: event.MessageChannelEmail, Segment: pick(r, "", "s"),
			Action:  pick(r, event.MessageActionSent, event.MessageActionOpened, event.MessageActionClicked),
			Purpose: pick(r, event.MessagePurposeReplenishment, event.MessagePurposeReactivation, event.MessagePurposeCreatorInvite),
		}
	default:
		return &event.CalendarEvent{Header: head(), Kind: event.CalendarKindPromotion, Node: event.NodeAmazon, EndsAtMs: atMs + 5*hourMs, Name: "n"}
	}
}

func (w *writer) currency() string { return pick(w.random, "USD", "USD", "USD", "EUR") }

// observation is the next, or a skipped, count of a post's views.
func (w *writer) observation(f *feed, atMs int64) event.Record {
	r := w.random
	posts := w.posts[f.brand]
	if len(posts) == 0 || len(posts) < 4 && r.IntN(4) == 0 {
		posts = append(posts, &post{id: fmt.Sprintf("video-%s-%d", f.brand, len(posts)), publishedMs: atMs - r.Int64N(10*hourMs)})
		w.posts[f.brand] = posts
	}
	p := pick(r, posts...)
	if r.IntN(3) == 0 { // within the quarter-hour of another
		atMs = atMs / quarterMs * quarterMs
		atMs += r.Int64N(3) * 60_000
	}
	p.views += r.Int64N(3000)
	views := p.views
	if r.IntN(12) == 0 {
		views = max(0, views-r.Int64N(500)) // a platform takes views back
	}
	published := min(p.publishedMs, atMs)
	kind := event.TypeTikTokContentStatistics
	version := 1 + r.Int64N(4)
	return &event.TikTokContentStatistics{Header: w.header(f, kind, p.id, version, atMs), ContentID: p.id, PublishedAtMs: published, Views: views}
}

// correction is another version of something sent before; nil when there is none.
func (w *writer) correction() *message {
	for range 8 {
		old := pick(w.random, w.sent...)
		rec, ok := old.value.(event.Record)
		if !ok || rec.Type().Info().Mode != event.Snapshot {
			continue
		}
		h := *rec.Head()
		note := "a correction"
		if h.Version += 1 + w.random.Int64N(2); w.random.IntN(4) == 0 {
			h.Version, note = max(0, rec.Head().Version-1), "an older version"
		}
		h.EventID = event.NewID(rec.Type().String(), h.BrandID, h.Source, h.NaturalKey, h.Version)
		m := &message{note: note}
		switch v := rec.(type) {
		case *event.AmazonOrder:
			c := *v
			c.Header = h
			c.Status, c.RefundedMicros, c.ReturnedUnits = event.OrderStatusReturned, w.random.Int64N(c.GrossMicros+1), w.random.Int32N(c.Units+1)
			if w.random.IntN(4) == 0 {
				c.Status = event.OrderStatusCancelled
			}
			m.value = &c
		case *event.TikTokShopOrder:
			c := *v
			c.Header, c.Status, c.RefundedMicros = h, event.OrderStatusReturned, w.random.Int64N(c.GrossMicros+1)
			m.value = &c
		case *event.ShopifyOrder:
			c := *v
			c.Header, c.Status = h, event.OrderStatusCancelled
			m.value = &c
		case *event.AmazonSearchReport:
			c := *v
			c.Header, c.Volume = h, w.random.Int64N(4000)
			m.value = &c
		case *event.CalendarEvent:
			c := *v
			c.Header, c.Cancelled = h, !c.Cancelled
			m.value = &c
		default:
			continue
		}
		w.sent = append(w.sent, m)
		return m
	}
	return nil
}

// spoiled is something that cannot be applied.
func (w *writer) spoiled() *message {
	f := pick(w.random, w.feeds...)
	reason := pick(w.random, event.ReasonInvalid, event.ReasonWrongKey, event.ReasonWrongTopic, event.ReasonMalformed, event.ReasonUnknownSchema, event.ReasonOversized, event.ReasonFuture)
	kind := pick(w.random, f.kinds...)
	if reason == event.ReasonInvalid || reason == event.ReasonOversized {
		kind = event.TypeAmazonReview
		f = w.feeds[slices.IndexFunc(w.feeds, func(o *feed) bool { return o.brand == f.brand && slices.Contains(o.kinds, kind) })]
	}
	atMs := w.nowMs - f.lagMs
	if reason == event.ReasonFuture {
		atMs = w.nowMs + 2*hourMs + w.random.Int64N(dayMs)
		kind = event.TypeAmazonReview
		f = w.feeds[slices.IndexFunc(w.feeds, func(o *feed) bool { return o.brand == f.brand && slices.Contains(o.kinds, kind) })]
	}
	m := &message{value: w.record(f, kind, atMs), spoil: reason, note: string(reason)}
	if review, ok := m.value.(*event.AmazonReview); ok {
		switch reason {
		case event.ReasonInvalid:
			review.Stars = 6
		case event.ReasonFuture:
			m.spoil = "" // the contract says so by itself
		}
	}
	return m
}

// history makes up weeks of a brand whose searches follow its posts, and whose
// revenue follows its searches: enough evidence for credits. All of it lies
// hours before bornMs. One of its posts goes viral in the last days, and the searches
// with it.
func history(seed uint64, brand string) []*message {
	const (
		days   = 18
		effect = 0.3
	)
	random := rand.New(rand.NewPCG(seed, 77))
	w := &writer{random: random, nowMs: bornMs}
	source := func(name string) *feed { return &feed{brand: brand, source: name} }
	display, reports, orders, shop := source("tiktok-display"), source("amazon-reports"), source("amazon-orders"), source("tiktok-shop")
	startMs := bornMs - days*dayMs
	hours := days * 24
	views := make([]float64, hours)
	var out []*message
	put := func(r event.Record) { out = append(out, &message{value: r, note: "history"}) }
	post := func(id string, at int, total float64) {
		published := startMs + int64(at)*hourMs
		seen := 0.0
		for q := 0; q < 12 && at+q < hours; q++ {
			gain := total * math.Exp(-float64(q)/4) / 4
			views[at+q] += gain
			seen += gain
			put(&event.TikTokContentStatistics{
				Header:    w.header(display, event.TypeTikTokContentStatistics, id, int64(q), published+int64(q+1)*hourMs),
				ContentID: id, PublishedAtMs: published, Views: int64(seen),
			})
		}
	}
	for i := range days {
		for k := range 2 {
			post(fmt.Sprintf("history-%d-%d", i, k), i*24+random.IntN(24), 1000*math.Exp(random.NormFloat64()))
		}
	}
	post("history-viral", hours-calmHours+random.IntN(calmHours/2), 20_000)
	excess, searches := 0.0, int64(0)
	for t := range hours {
		atMs := startMs + int64(t)*hourMs
		excess *= 0.7
		if t >= 2 {
			excess += effect * 0.3 * views[t-2]
		}
		volume := int64(12 + 4*math.Sin(2*math.Pi*float64(t)/24) + excess + 2*random.NormFloat64())
		volume = max(1, volume)
		if searches += volume; t%24 == 23 { // the report of the day
			put(&event.AmazonSearchReport{
				Header: w.header(reports, event.TypeAmazonSearchReport, fmt.Sprint("history-day-", t), 1, atMs-23*hourMs),
				Query:  "q", Branded: true, PeriodMinutes: 24 * 60, Volume: searches,
			})
			searches = 0
		}
		w.seq++
		put(&event.AmazonSearchReport{Header: w.header(reports, event.TypeAmazonSearchReport, fmt.Sprint("history-", t), 1, atMs), Query: "q", Branded: true, PeriodMinutes: 60, Volume: volume})
		put(&event.AmazonTrafficHour{Header: w.header(reports, event.TypeAmazonTrafficHour, fmt.Sprint("history-", t), 1, atMs), ASIN: "A", GlanceViews: 3*volume + random.Int64N(10)})
		put(&event.AmazonOrder{
			Header: w.header(orders, event.TypeAmazonOrder, fmt.Sprint("history-", t), 1, atMs+60_000), OrderID: fmt.Sprint("history-", t),
			Status: event.OrderStatusPlaced, ASIN: "A", Units: 1, GrossMicros: volume*310_007 + 1, Branded: true, Currency: "USD",
		})
		if t%6 == 0 {
			put(&event.TikTokShopOrder{Header: w.header(shop, event.TypeTikTokShopOrder, fmt.Sprint("history-", t), 1, atMs), OrderID: fmt.Sprint("history-", t), Status: event.OrderStatusPlaced, CustomerID: "k", Units: 1, GrossMicros: 3_000_001, Currency: "USD"})
		}
	}
	slices.SortStableFunc(out, func(a, b *message) int {
		return int(a.value.(event.Record).Head().OccurredAtMs - b.value.(event.Record).Head().OccurredAtMs)
	})
	return out
}

// calmHours is how far back the searches of a history are restated: none of them is late.
const calmHours = 60

// calm is the reports of the last hours of a history once more, in which nobody has
// searched for more than usual.
func calm(seed uint64, brand string) []*message {
	var out []*message
	for _, m := range history(seed, brand) {
		if r, ok := m.value.(*event.AmazonSearchReport); ok && r.PeriodMinutes == 60 && r.OccurredAtMs >= bornMs-calmHours*hourMs {
			v := *r
			v.Version, v.Volume = 2, min(12, r.Volume)
			v.EventID = event.NewID(v.Type().String(), v.BrandID, v.Source, v.NaturalKey, v.Version)
			out = append(out, &message{value: &v, note: "as if nothing had been"})
		}
	}
	return out
}
