package workload

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
)

// Kind is what share of the mix a record belongs to.
type Kind uint8

// The kinds.
const (
	TikTok Kind = iota
	Amazon
	Orders
	Ads
	Correction
	Poison
	kinds
)

// String returns the kind's name.
func (k Kind) String() string {
	return [...]string{"tiktok", "amazon", "orders", "ads", "correction", "poison"}[k]
}

// Record is what one producer sends.
type Record struct {
	Topic      string
	Key        []byte // the brand's id
	Value      []byte // stays as it is
	Brand      int    // its rank, from 0
	Kind       Kind
	ArrivesMs  int64 // when it is sent
	OccurredMs int64 // when it happened, before a report's is rounded to its period
	Duplicate  bool  // the same bytes were sent before
}

// Generator makes records in the order of their arrival. It is not safe for
// concurrent use.
type Generator struct {
	cfg     Config
	encoder *codec.Encoder
	rand    *rand.Rand
	brands  alias
	mix     alias
	delays  delays
	keys    [][]byte
	names   []string
	posts   []uint8 // that are observed, of each brand
	queries []uint8 // that are reported
	startMs int64
	stepMs  float64
	made    int

	id     uint64
	arena  []byte
	key    []byte
	recent []Record // to be sent again
	orders []event.AmazonOrder
	slots  names

	statistics event.TikTokContentStatistics
	published  event.TikTokContentPublished
	searches   event.AmazonSearchReport
	traffic    event.AmazonTrafficHour
	order      event.AmazonOrder
	sold       event.TikTokShopOrder
	shop       event.ShopifyOrder
	ad         event.AmazonAdStream
	report     event.TikTokAdReportHour
}

// names are texts that would cost an allocation a record.
type names struct {
	posts, queries, items, ads, campaigns []string
}

// Sizes of a brand, of memory, and of the pieces that values are cut from.
const (
	postsMax   = 64
	postHours  = 96 // between two posts of one slot
	queriesMax = 4
	items      = 3
	ads        = 3
	recentLen  = 4096
	arenaBytes = 1 << 20
)

// New returns a generator. The encoder must know the channel topics.
func New(cfg Config, encoder *codec.Encoder) (*Generator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("check the workload: %w", err)
	}
	g := &Generator{
		cfg: cfg, encoder: encoder,
		rand:    rand.New(rand.NewPCG(cfg.Seed, 0x666c79776865656c)),
		brands:  newAlias(zipf(cfg.Brands, cfg.Zipf)),
		mix:     newAlias([]float64{cfg.TikTok, cfg.Amazon, cfg.Orders, cfg.Ads, cfg.Corrections}),
		keys:    make([][]byte, cfg.Brands),
		names:   make([]string, cfg.Brands),
		startMs: cfg.End.Add(-cfg.Span).UnixMilli(),
		stepMs:  float64(cfg.Span.Milliseconds()) / float64(max(1, cfg.Records)),
	}
	g.delays = newDelays(g.rand, float64(cfg.DelayP50.Milliseconds()), float64(cfg.DelayP99.Milliseconds()))
	for i := range g.names {
		g.names[i] = fmt.Sprintf("brand-%07d", i)
		g.keys[i] = []byte(g.names[i])
	}
	// A post is observed about once an hour, and a query reported about once a
	// quarter-hour: the larger a brand, the more it has of them.
	weights, sum := zipf(cfg.Brands, cfg.Zipf), 0.0
	for _, w := range weights {
		sum += w
	}
	g.posts, g.queries = make([]uint8, cfg.Brands), make([]uint8, cfg.Brands)
	for i, w := range weights {
		perHour := float64(cfg.Records) * w / sum / cfg.Span.Hours()
		g.posts[i] = uint8(min(max(perHour*cfg.TikTok, 1), postsMax))
		g.queries[i] = uint8(min(max(perHour*cfg.Amazon/4, 1), queriesMax))
	}
	series := func(prefix string, n int) (all []string) {
		for i := range n {
			all = append(all, prefix+strconv.Itoa(i))
		}
		return all
	}
	g.slots = names{series("post-", postsMax), series("acme pan ", queriesMax), series("B00", items), series("ad-", ads), series("campaign-", ads)}
	return g, nil
}

// Next makes the next record, and says whether there was one.
func (g *Generator) Next() (Record, bool, error) {
	if g.made >= g.cfg.Records {
		return Record{}, false, nil
	}
	r := Record{ArrivesMs: g.startMs + int64(float64(g.made)*g.stepMs)}
	g.made++
	chance := g.rand.Float64()
	switch {
	case chance < g.cfg.Duplicates && len(g.recent) > 0:
		again := g.recent[g.rand.IntN(len(g.recent))]
		again.ArrivesMs, again.Duplicate = r.ArrivesMs, true
		return again, true, nil
	case chance < g.cfg.Duplicates+g.cfg.Poison:
		r.Kind, r.Topic, r.Brand, r.OccurredMs = Poison, event.TopicAmazon, g.brands.draw(g.rand), r.ArrivesMs
		r.Key = g.keys[r.Brand]
		r.Value = []byte{0, 0, 0, 0, 1, 0xff, 0xff, byte(g.made)}
		return r, true, nil
	}
	r.Kind = Kind(g.mix.draw(g.rand))
	r.Brand = g.brands.draw(g.rand)
	r.Key = g.keys[r.Brand]
	r.OccurredMs = r.ArrivesMs - g.delay()
	v := g.event(&r)
	r.Topic = v.Type().Info().Topic
	if err := g.encode(&r, v); err != nil {
		return r, false, err
	}
	if len(g.recent) < recentLen {
		g.recent = append(g.recent, r)
	} else {
		g.recent[g.made%recentLen] = r
	}
	return r, true, nil
}

// Made is how many records there were so far.
func (g *Generator) Made() int { return g.made }

func (g *Generator) encode(r *Record, v event.Record) error {
	if cap(g.arena)-len(g.arena) < event.TextBytesMax*4 {
		g.arena = make([]byte, 0, arenaBytes)
	}
	from := len(g.arena)
	out, err := g.encoder.Encode(g.arena, v)
	if err != nil {
		return err
	}
	g.arena = out
	r.Value = out[from:len(out):len(out)]
	return nil
}

// delay returns how long a record is under way, in milliseconds.
func (g *Generator) delay() int64 {
	between := func(least, most int64) int64 { return least + g.rand.Int64N(most-least+1) }
	switch chance := g.rand.Float64(); {
	case chance < g.cfg.TooLate:
		return between(g.cfg.TooLateMin.Milliseconds(), g.cfg.TooLateMax.Milliseconds())
	case chance < g.cfg.TooLate+g.cfg.Late:
		return between(g.cfg.LateMin.Milliseconds(), g.cfg.LateMax.Milliseconds())
	}
	return g.delays[g.rand.IntN(len(g.delays))]
}

const (
	quarterMs = 15 * 60_000
	hourMs    = 4 * quarterMs
)

// head fills a header. Its id, of seed and number, nothing else has; numbers begin with 1, so none is all zeros.
func (g *Generator) head(h *event.Header, r *Record, source, key string, version int64) {
	g.id++
	*h = event.Header{BrandID: g.names[r.Brand], OccurredAtMs: r.OccurredMs, ObservedAtMs: r.ArrivesMs, Source: source, NaturalKey: key, Version: version}
	for i := range 8 {
		h.EventID[i] = byte(g.cfg.Seed >> (8 * i))
		h.EventID[8+i] = byte(g.id >> (8 * i))
	}
}

// numbered returns prefix and number as one text.
func (g *Generator) numbered(prefix string, number int64) string {
	g.key = append(g.key[:0], prefix...)
	g.key = strconv.AppendInt(append(g.key, '/'), number, 10)
	return string(g.key)
}

// event makes the event of a record. Its versions grow with the arrival.
func (g *Generator) event(r *Record) event.Record {
	version := int64(g.made)
	switch r.Kind {
	case TikTok:
		if g.rand.IntN(64) == 0 {
			return g.post(r, version)
		}
		return g.views(r, version)
	case Amazon:
		if g.rand.IntN(3) == 0 {
			return g.visits(r, version)
		}
		return g.search(r, version)
	case Orders:
		return g.sale(r)
	case Ads:
		if g.rand.IntN(2) == 0 {
			return g.advert(r, version)
		}
		return g.keyword(r, 1)
	default:
		return g.correction(r, version)
	}
}

// slot returns one of the brand's posts at the event's time, and when it was
// published: every slot has a new one each postHours, staggered.
func (g *Generator) slot(r *Record) (string, int64) {
	posts := int(g.posts[r.Brand])
	i := g.rand.IntN(posts)
	period := int64(postHours * hourMs)
	shift := int64(i) * period / int64(posts)
	number := (r.OccurredMs + shift) / period
	return g.numbered(g.slots.posts[i], number), number*period - shift
}

// views observes a post: its views grow fast at first, and never shrink.
func (g *Generator) views(r *Record, version int64) event.Record {
	id, since := g.slot(r)
	s := &g.statistics
	g.head(&s.Header, r, "tiktok_poll", id, version)
	age := float64(r.OccurredMs-since) / (24 * hourMs)
	s.ContentID, s.PublishedAtMs = id, max(1, since)
	s.Views = int64(1e6 / float64(r.Brand+10) * math.Sqrt(age))
	s.Likes, s.Comments, s.Shares, s.ProductClicks, s.Carts = s.Views/20, s.Views/300, s.Views/200, s.Views/100, s.Views/1000
	return s
}

func (g *Generator) post(r *Record, version int64) event.Record {
	id, since := g.slot(r)
	if r.OccurredMs-since > postHours/2*hourMs { // nobody lists a post for so long
		return g.views(r, version)
	}
	r.OccurredMs = max(1, since)
	p := &g.published
	g.head(&p.Header, r, "tiktok_posts", id, version)
	p.ContentID, p.CreatorID, p.Kind = id, "creator-7f3a", event.ContentKindVideo
	return p
}

// search reports a quarter-hour of a query.
func (g *Generator) search(r *Record, version int64) event.Record {
	q := g.slots.queries[g.rand.IntN(int(g.queries[r.Brand]))]
	s := &g.searches
	g.head(&s.Header, r, "amazon_search", g.numbered(q, r.OccurredMs/quarterMs), version)
	s.OccurredAtMs -= s.OccurredAtMs % quarterMs
	s.Query, s.Branded, s.PeriodMinutes = q, true, 15
	s.Volume, s.ImpressionShare, s.ClickShare, s.PurchaseShare = int64(g.rand.IntN(40)), 0.4, 0.5, 0.6
	return s
}

// visits reports an hour of an item.
func (g *Generator) visits(r *Record, version int64) event.Record {
	item := g.slots.items[g.rand.IntN(items)]
	v := &g.traffic
	g.head(&v.Header, r, "amazon_traffic", g.numbered(item, r.OccurredMs/hourMs), version)
	v.OccurredAtMs -= v.OccurredAtMs % hourMs
	v.ASIN, v.GlanceViews = item, int64(g.rand.IntN(400))
	return v
}

func (g *Generator) sale(r *Record) event.Record {
	id := g.numbered("order", int64(g.made))
	units := 1 + int32(g.rand.IntN(3))
	gross := int64(units) * (9_990_000 + int64(g.rand.IntN(40))*1_000_000)
	switch g.rand.IntN(4) {
	case 0:
		o := &g.sold
		g.head(&o.Header, r, "tiktok_shop", id, 1)
		o.OrderID, o.Status, o.CustomerID, o.Units, o.GrossMicros, o.Currency = id, event.OrderStatusPlaced, "customer-19c4", units, gross, "USD"
		return o
	case 1:
		o := &g.shop
		g.head(&o.Header, r, "shopify_orders", id, 1)
		o.OrderID, o.Status, o.CustomerID, o.Referrer, o.Units, o.GrossMicros, o.Currency = id, event.OrderStatusPlaced, "customer-19c4", event.ReferrerDirect, units, gross, "USD"
		return o
	}
	o := &g.order
	*o = event.AmazonOrder{} // it may have been a correction
	g.head(&o.Header, r, "amazon_orders", id, 1)
	o.OrderID, o.Status, o.ASIN, o.Units, o.GrossMicros, o.Branded, o.Currency = id, event.OrderStatusPlaced, g.slots.items[0], units, gross, g.made%3 != 0, "USD"
	if len(g.orders) < recentLen {
		g.orders = append(g.orders, *o)
	} else {
		g.orders[g.made%recentLen] = *o
	}
	return o
}

// advert reports an hour of an ad.
func (g *Generator) advert(r *Record, version int64) event.Record {
	id := g.slots.ads[g.rand.IntN(ads)]
	a := &g.report
	g.head(&a.Header, r, "tiktok_ads", g.numbered(id, r.OccurredMs/hourMs), version)
	a.OccurredAtMs -= a.OccurredAtMs % hourMs
	a.AdID, a.Impressions, a.Clicks, a.Conversions, a.SpendMicros, a.Currency = id, int64(g.rand.IntN(5000)), 40, 2, 12_000_000, "USD"
	return a
}

// keyword is a difference of ad traffic, a correction where sign is −1.
func (g *Generator) keyword(r *Record, sign int64) event.Record {
	a := &g.ad
	g.head(&a.Header, r, "amazon_ads", "", 0)
	a.CampaignID, a.Keyword, a.Branded = g.slots.campaigns[g.rand.IntN(ads)], g.slots.queries[0], true
	a.ImpressionsDelta, a.ClicksDelta, a.SpendDeltaMicros, a.Currency = sign*int64(1+g.rand.IntN(200)), sign*3, sign*1_500_000, "USD"
	return a
}

// correction restates a report, returns an order, or takes ad traffic back.
func (g *Generator) correction(r *Record, version int64) event.Record {
	switch pick := g.rand.IntN(3); {
	case pick == 0 && len(g.orders) > 0:
		o := &g.order
		*o = g.orders[g.rand.IntN(len(g.orders))]
		r.Brand, _ = strconv.Atoi(o.BrandID[len("brand-"):])
		r.Key, r.OccurredMs = g.keys[r.Brand], o.OccurredAtMs
		g.head(&o.Header, r, o.Source, o.NaturalKey, version)
		o.Status, o.ReturnedUnits, o.RefundedMicros = event.OrderStatusReturned, o.Units, o.GrossMicros
		return o
	case pick == 1:
		return g.keyword(r, -1)
	}
	r.OccurredMs -= g.rand.Int64N(12 * hourMs)
	return g.search(r, version)
}
