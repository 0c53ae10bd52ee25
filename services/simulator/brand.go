package simulator

import (
	"math"
	"strconv"

	"flywheel/pkg/event"
)

// What a brand makes on an average day at volume 1; see Config.Events.
const (
	ordersPerDay     = 45 // branded ones on Amazon
	otherOrders      = 20
	shopOrdersPerDay = 5 // through views, and shopDirect without
	shopDirect       = 4
	storeOrders      = 12
	sessionsPerDay   = 60
	registrations    = 8
	asins            = 3

	fixedPerDay    = 630
	variablePerDay = 600
)

// brand is the state of one brand's world at a moment of event time.
type brand struct {
	traits
	plan
	cfg   Config
	start int64

	counts, details, faults draw

	t      int     // the quarter that is played next
	daily  float64 // factor of the day
	onDay  int64
	gained []float64 // views, in each quarter
	kernel kernel

	// Stimuli of the other forces by quarter, and their echoes.
	units, reviews, invites, consents, citations, care, wakes, seen []float32

	force2, force3, force4, force5, force6   *echo
	force7, force8, force9, force9r, force10 *echo

	hour    hourly
	week    weekly
	oldest  int   // post that is still watched
	serial  int64 // of orders and other things with a number
	pending queue
	emitted uint64
}

// hourly is what is reported by the hour.
type hourly struct {
	glances, units, micros [asins]int64
}

// weekly is what the week's report will say.
type weekly struct {
	from   int64 // start of the week; 0 before the first whole one
	volume int64
}

func newBrand(cfg Config, t traits, start, live, end int64) *brand {
	b := &brand{
		traits: t, plan: newPlan(cfg, &t, start, live, end), cfg: cfg, start: start,
		counts:  newDraw(cfg.Seed, t.index, streamCounts),
		details: newDraw(cfg.Seed, t.index, streamDetails),
		faults:  newDraw(cfg.Seed, t.index, streamFaults),
		kernel:  newKernel(t.delay, t.halfLife, shortQuarters),
		onDay:   math.MinInt64,
	}
	// The other forces are mild and the same for all brands but for their pace.
	pace := func(hours float64) int { return max(1, int(hours*b.details.uniform(0.7, 1.4)*quartersPerHour)) }
	b.force2 = newEcho(pace(6), pace(24), longQuarters)
	b.force3 = newEcho(pace(36), pace(48), longQuarters)
	b.force4 = newEcho(pace(12), pace(48), longQuarters)
	b.force5 = newEcho(pace(3), pace(30), longQuarters)
	b.force6 = newEcho(pace(1), pace(24), longQuarters)
	b.force7 = newEcho(pace(2), pace(8), shortQuarters)
	b.force8 = newEcho(pace(1), pace(5), shortQuarters)
	b.force9 = newEcho(pace(2), pace(10), shortQuarters)
	b.force9r = newEcho(pace(5), pace(12), shortQuarters)
	b.force10 = newEcho(pace(6), pace(36), longQuarters)
	return b
}

// step plays one quarter-hour: everything that occurs in it is put into the
// queue, to be sent when it is observed.
func (b *brand) step() {
	at := b.start + int64(b.t)*quarterMs
	if day := b.day(at); day != b.onDay {
		b.onDay, b.daily = day, b.counts.logNormal(1, 0.04)
	}
	season := b.season(at)

	b.calendar(at)
	views := b.content(at)
	b.gained = append(b.gained, views)
	b.seen = append(b.seen, float32(views))

	b.amazon(at, season)
	b.shop(at, season, views)
	b.store(at, season)
	b.engines(at)
	b.messages(at)
	if (b.t+1)%quartersPerHour == 0 {
		b.hourEnds(at + quarterMs - hourMs)
	}
	b.t++
}

// within returns a moment of the quarter that starts at a moment.
func (b *brand) within(at int64) int64 { return at + b.details.Int64N(quarterMs) }

// after returns a moment some seconds after another, now and then many.
func (b *brand) after(at int64, medianSeconds float64) int64 {
	return at + 1 + int64(min(b.details.logNormal(medianSeconds, 0.8), 3600)*1000)
}

func (b *brand) number() int64 {
	b.serial++
	return b.serial
}

// customer returns the pseudonym of one of the brand's customers.
func (b *brand) customer() string {
	n := uint64(b.details.IntN(400 + b.t*4))
	key := mix(b.cfg.Seed ^ mix(uint64(b.index)+1))
	return hex(mix(key^n), mix(key+n))
}

// fact returns the header of something that happened once.
func (b *brand) fact(t event.Type, source, own string, at, seen int64) event.Header {
	return event.Header{
		EventID: event.NewID(t.String(), b.id, source, own, 0),
		BrandID: b.id, OccurredAtMs: at, ObservedAtMs: seen, Source: source,
	}
}

// version returns the header of one version of something.
func (b *brand) version(t event.Type, source, key string, version, at, seen int64) event.Header {
	return event.Header{
		EventID: event.NewID(t.String(), b.id, source, key, version),
		BrandID: b.id, OccurredAtMs: at, ObservedAtMs: seen, Source: source, NaturalKey: key, Version: version,
	}
}

// calendar declares what begins in the quarter.
func (b *brand) calendar(at int64) {
	for i := range b.episodes {
		e := &b.episodes[i]
		if e.from < at || e.from >= at+quarterMs {
			continue
		}
		key := string(e.kind) + "/" + strconv.FormatInt(e.from/hourMs, 10)
		b.emit(&event.CalendarEvent{
			Header: b.version(event.TypeCalendarEvent, "calendar_file", key, 1, e.from, b.after(e.from, 5)),
			Kind:   e.kind, Node: e.node, EndsAtMs: e.to, Name: e.name,
		}, false)
	}
}

// lift returns the product of the factors of the declared events of a kind.
func (b *brand) lift(kind event.CalendarKind, at int64) float64 {
	f := 1.0
	for i := range b.episodes {
		if e := &b.episodes[i]; e.kind == kind && e.from <= at && at < e.to {
			f *= e.lift
		}
	}
	return f
}

// content publishes posts and polls their counters; it returns the views gained.
func (b *brand) content(at int64) float64 {
	var sum int64
	for b.oldest < len(b.posts) && b.posts[b.oldest].atMs < at-(pollLast+quartersPerHour)*quarterMs {
		b.oldest++ // nobody watches it any more
	}
	for i := b.oldest; i < len(b.posts); i++ {
		p := &b.posts[i]
		if p.atMs >= at+quarterMs {
			break
		}
		if p.atMs >= at {
			b.emit(&event.TikTokContentPublished{
				Header:    b.version(event.TypeTikTokContentPublished, "tiktok_content_webhook", p.contentID, 1, p.atMs, b.after(p.atMs, 4)),
				ContentID: p.contentID, CreatorID: p.creatorID, Kind: p.kind, ProductID: p.productID, Reactivated: p.reactivated, CampaignID: p.campaignID,
			}, false)
		}
		sum += p.viewsAt(at+quarterMs) - p.viewsAt(at)
		age := (at - p.atMs) / quarterMs
		if at <= p.atMs || age > pollLast || age > pollQuarters && b.t%quartersPerHour != 0 {
			continue
		}
		polled := at + int64(b.index%50)*1000 + int64(i%10)*97
		views := p.viewsAt(polled)
		b.emit(&event.TikTokContentStatistics{
			Header:    b.version(event.TypeTikTokContentStatistics, "tiktok_content_poll", p.contentID, polled, polled, b.after(polled, 3)),
			ContentID: p.contentID, PublishedAtMs: p.atMs,
			Views: views, Likes: views * 6 / 100, Comments: views / 250, Shares: views / 180, ProductClicks: views / 45, Carts: views / 400,
		}, false)
	}
	return float64(sum)
}

// amazon plays searches, orders, ads and reviews.
func (b *brand) amazon(at int64, season float64) {
	promotion := b.lift(event.CalendarKindPromotion, at)
	stock := b.lift(event.CalendarKindStockOut, at)
	price := b.lift(event.CalendarKindPriceChange, at)

	// Force 1, term by term, and force 7.
	excess := b.effect * b.kernel.at(b.gained, b.t)
	cited := 0.3 * b.level / 30 * b.force7.next(b.citations, b.t-1)
	base := b.counts.count(b.level*season*b.daily*promotion+cited, b.shape)
	caused := b.counts.count(excess, 2*b.shape)
	searches := base + caused
	b.search(at, searches)

	quarter := 1.0 / quartersPerDay
	again := 0.5 * b.force9.next(b.care, b.t-1)
	for range b.counts.poisson(float64(base) * b.conversion * stock * math.Sqrt(promotion)) {
		b.order(at, price, orderKind{branded: true, repeat: b.details.chance(0.2)})
	}
	for range b.counts.poisson(float64(caused) * b.conversion * stock) {
		b.order(at, price, orderKind{branded: true, caused: true, repeat: b.details.chance(0.05)})
	}
	for range b.counts.poisson(otherOrders * b.volume * quarter * season * stock) {
		b.order(at, price, orderKind{repeat: b.details.chance(0.1)})
	}
	for range b.counts.poisson(again * stock) {
		b.order(at, price, orderKind{branded: true, repeat: true})
	}
	for len(b.units) <= b.t {
		b.units = append(b.units, 0)
	}

	for i := range b.hour.glances {
		b.hour.glances[i] += b.counts.poisson(float64(searches)*0.5/float64(i+1) + b.level*0.2*season)
	}
	b.adStream(at, season, searches)

	reviewed := 0.0
	for range b.counts.poisson(3*b.volume*quarter*season + 0.25*b.force9r.next(b.care, b.t-1)) {
		reviewed++
		own := "R" + strconv.FormatInt(10_000_000+b.number(), 36)
		when := b.within(at)
		b.emit(&event.AmazonReview{
			Header:   b.fact(event.TypeAmazonReview, "amazon_review_poll", own, when, b.after(when, 400)),
			ReviewID: own, ASIN: asin(b.details.IntN(asins)), Stars: 5 - int32(min(4, b.details.ExpFloat64())),
		}, false)
	}
	b.reviews = append(b.reviews, float32(reviewed))
}

// search reports the branded searches of a quarter, and of the week.
func (b *brand) search(at, searches int64) {
	if day := floorDiv(at, dayMs); at == day*dayMs && (day%7+4)%7 == 0 { // Sunday, as Amazon counts
		if b.week.from != 0 {
			seen := at + int64(b.details.uniform(20, 50)*hourMs)
			b.emit(b.searchReport("amazon_sqp", b.week.from, seen, 7*24*60, b.week.volume), false)
		}
		b.week = weekly{from: at}
	}
	b.week.volume += searches
	if !b.weekly {
		b.emit(b.searchReport("amazon_search_quarter", at, b.after(at+quarterMs, 90), 15, searches), false)
	}
}

func (b *brand) searchReport(source string, from, seen int64, minutes int32, volume int64) *event.AmazonSearchReport {
	key := b.query + "/" + strconv.Itoa(int(minutes)) + "/" + strconv.FormatInt(from/60_000, 10)
	return &event.AmazonSearchReport{
		Header: b.version(event.TypeAmazonSearchReport, source, key, 1, from, seen),
		Query:  b.query, Branded: true, PeriodMinutes: minutes, Volume: volume,
		ImpressionShare: b.details.uniform(0.7, 0.95), ClickShare: b.details.uniform(0.6, 0.9), PurchaseShare: b.details.uniform(0.6, 0.95),
	}
}

// adStream plays the ad traffic of a quarter, and corrections of it hours later.
func (b *brand) adStream(at int64, season float64, searches int64) {
	delta := func(campaign, keyword string, branded bool, impressions int64) {
		when := b.within(at)
		own := campaign + "/" + strconv.FormatInt(b.number(), 10)
		clicks := b.details.share(impressions, 0.06)
		spend := clicks * int64(b.details.uniform(300_000, 1_200_000))
		b.emit(&event.AmazonAdStream{
			Header:     b.fact(event.TypeAmazonAdStream, "amazon_marketing_stream", own, when, b.after(when, 120)),
			CampaignID: campaign, Keyword: keyword, Branded: branded,
			ImpressionsDelta: impressions, ClicksDelta: clicks, SpendDeltaMicros: spend, Currency: b.place.currency,
		}, false)
		if !b.details.chance(0.03) {
			return
		}
		// Invalid traffic is taken back by a negative delta at the same time.
		back := clicks / 2
		b.emit(&event.AmazonAdStream{
			Header:     b.fact(event.TypeAmazonAdStream, "amazon_marketing_stream", own+"/back", when, b.after(when+int64(b.details.uniform(1, 8)*hourMs), 120)),
			CampaignID: campaign, Keyword: keyword, Branded: branded,
			ImpressionsDelta: -impressions / 10, ClicksDelta: -back, SpendDeltaMicros: -spend / 2, Currency: b.place.currency,
		}, false)
	}
	delta("campaign-brand", b.query, true, b.counts.poisson(float64(searches)*0.7))
	if b.t%quartersPerHour == 0 {
		delta("campaign-category", "best "+b.query[len(b.query)/2:], false, b.counts.count(40*season, 8))
	}
}

// shop plays TikTok Shop and the creators who join.
func (b *brand) shop(at int64, season, views float64) {
	quarter := 1.0 / quartersPerDay
	for range b.counts.poisson(views*b.shopOrders + shopDirect*b.volume*quarter*season) {
		b.shopOrder(at, views)
	}
	// Forces 5 and 10.
	known := 0.15 * b.force5.next(b.invites, b.t-1)
	woken := 0.05 * b.force10.next(b.wakes, b.t-1)
	join := func(n int64, known bool) {
		for range n {
			when := b.within(at)
			creator := hex(b.details.Uint64(), b.details.Uint64())
			r := &event.TikTokCreatorJoined{
				Header:    b.fact(event.TypeTikTokCreatorJoined, "tiktok_affiliate_poll", creator, when, b.after(when, 300)),
				CreatorID: creator,
			}
			if known {
				r.CustomerID = b.customer()
			}
			b.emit(r, false)
		}
	}
	join(b.counts.poisson(0.5*quarter+woken), false)
	join(b.counts.poisson(0.1*quarter+known), true)
}

// store plays the Shopify store: registrations, visits and orders.
func (b *brand) store(at int64, season float64) {
	v, quarter := b.volume, 1.0/quartersPerDay
	var consents float32
	register := func(n int64, origins ...event.RegistrationOrigin) {
		for range n {
			when := b.within(at)
			r := &event.ShopifyCustomerRegistered{
				CustomerID: hex(b.details.Uint64(), b.details.Uint64()),
				Origin:     origins[b.details.IntN(len(origins))],
				Consented:  b.details.chance(0.7),
			}
			r.Header = b.fact(event.TypeShopifyCustomerRegistered, "shopify_customer_webhook", r.CustomerID, when, b.after(when, 3))
			if r.Consented {
				consents++
			}
			b.emit(r, false)
		}
	}
	register(b.counts.poisson(registrations*v*quarter*season), event.RegistrationOriginOrganic, event.RegistrationOriginPaid, event.RegistrationOriginReviewRequest)
	register(b.counts.poisson(0.08*b.force3.next(b.units, b.t)), event.RegistrationOriginInsert, event.RegistrationOriginQR, event.RegistrationOriginOffer)
	b.consents = append(b.consents, consents)

	cited := b.force8.next(b.citations, b.t-1)
	visit := func(n int64, referrers ...event.Referrer) {
		for range n {
			when := b.within(at)
			own := "s" + strconv.FormatInt(b.number(), 36)
			r := &event.ShopifySession{
				Header:    b.fact(event.TypeShopifySession, "shopify_pixel", own, when, b.after(when, 2)),
				SessionID: own, Referrer: referrers[b.details.IntN(len(referrers))],
			}
			if b.details.chance(0.3) {
				r.CustomerID = b.customer()
			}
			b.emit(r, false)
		}
	}
	visit(b.counts.count(sessionsPerDay*v*quarter*season, b.shape),
		event.ReferrerDirect, event.ReferrerSearch, event.ReferrerSocial, event.ReferrerMessage, event.ReferrerPaid, event.ReferrerOther)
	visit(b.counts.poisson(0.8*cited+0.02*sessionsPerDay*v*quarter*season), event.ReferrerAI)

	for range b.counts.poisson(storeOrders * v * quarter * season) {
		b.storeOrder(at, [...]event.Referrer{event.ReferrerDirect, event.ReferrerSearch, event.ReferrerSocial, event.ReferrerMessage}[b.details.IntN(4)])
	}
	for range b.counts.poisson(0.08 * cited) {
		b.storeOrder(at, event.ReferrerAI)
	}
}

// engines asks the AI engines every half-hour, one after the other.
func (b *brand) engines(at int64) {
	mean := 0.35 + 0.35*b.force2.next(b.seen, b.t)/b.usualViews() + 0.4*b.force4.next(b.reviews, b.t)
	var cited float32
	if b.t%2 == 0 {
		names := [...]string{"chatgpt", "perplexity", "gemini", "claude"}
		models := [...]string{"gpt-5.2", "sonar-3", "gemini-3-pro", "claude-opus-5"}
		n := b.t / 2 % len(names)
		when := b.within(at)
		citations := int32(min(b.counts.poisson(mean), 12))
		cited = float32(citations)
		own := strconv.FormatInt(b.number(), 10)
		r := &event.AICitationTrial{
			Header:  b.fact(event.TypeAICitationTrial, "prompt_sampler", own, when, b.after(when, 8)),
			TrialID: own, Engine: names[n], Model: models[n],
			PromptHash: hex(mix(uint64(b.t/2%24)), b.cfg.Seed) + hex(uint64(b.index), mix(uint64(b.t/2%24))),
			AnswerHash: hex(b.details.Uint64(), b.details.Uint64()) + hex(b.details.Uint64(), b.details.Uint64()),
			Mentioned:  citations > 0 || b.details.chance(0.3), Citations: citations,
		}
		b.emit(r, false)
	}
	b.citations = append(b.citations, cited)
}

// messages sends the day's messages, most of them in the morning, and plays
// what the recipients do.
func (b *brand) messages(at int64) {
	local := b.local(at)
	hour := (local - floorDiv(local, dayMs)*dayMs) / hourMs
	rate := 0.0 // of the day's messages
	switch {
	case hour == 10:
		rate = 0.6 / quartersPerHour
	case hour > 10 && hour < 20:
		rate = 0.4 / 9 / quartersPerHour
	}
	rate *= b.volume * b.daily
	// Batches differ from day to day.
	batch := 0.4 + 1.2*float64(mix(b.cfg.Seed^uint64(b.index)<<32^uint64(b.onDay))%1000)/1000

	var sent [6]float32
	send := func(mean float64, purpose event.MessagePurpose, segment string, slot int) {
		for range b.counts.poisson(mean) {
			sent[slot]++
			b.message(at, purpose, segment)
		}
	}
	send(24*rate*batch, event.MessagePurposeReplenishment, "due", 0)
	send(8*rate, event.MessagePurposeReviewRequest, "", 1)
	send(10*rate*batch, event.MessagePurposeReactivation, "lapsed", 2)
	send(6*rate, event.MessagePurposeCreatorInvite, "fans", 3)
	send(12*rate*batch, event.MessagePurposeCampaign, "all", 4)
	// Force 6: who has just registered opens what welcomes them.
	for range b.counts.poisson(0.5 * b.force6.next(b.consents, b.t)) {
		b.react(b.within(at), "m"+strconv.FormatInt(b.number(), 36), b.customer(), event.MessageActionOpened, event.MessagePurposeTransactional, "welcome")
	}
	b.care = append(b.care, sent[0]+sent[1])
	b.wakes = append(b.wakes, sent[2])
	b.invites = append(b.invites, sent[3])
}

// message sends one message and plays what becomes of it.
func (b *brand) message(at int64, purpose event.MessagePurpose, segment string) {
	id, to, when := "m"+strconv.FormatInt(b.number(), 36), b.customer(), b.within(at)
	b.react(when, id, to, event.MessageActionSent, purpose, segment)
	if !b.details.chance(0.98) {
		return
	}
	b.react(b.after(when, 5), id, to, event.MessageActionDelivered, purpose, segment)
	if !b.details.chance(0.3) {
		return
	}
	opened := when + int64(b.details.logNormal(2, 1)*hourMs)
	b.react(opened, id, to, event.MessageActionOpened, purpose, segment)
	switch u := b.details.Float64(); {
	case u < 0.2:
		clicked := opened + b.details.Int64N(120_000)
		b.react(clicked, id, to, event.MessageActionClicked, purpose, segment)
		if b.details.chance(0.15) {
			b.react(clicked+b.details.Int64N(2*hourMs), id, to, event.MessageActionConverted, purpose, segment)
		}
	case u > 0.99:
		b.react(opened+b.details.Int64N(60_000), id, to, event.MessageActionUnsubscribed, purpose, segment)
	}
}

func (b *brand) react(at int64, id, to string, action event.MessageAction, purpose event.MessagePurpose, segment string) {
	channel, source := event.MessageChannelEmail, "klaviyo_webhook"
	if mix(uint64(len(id))^uint64(id[len(id)-1]))%4 == 0 {
		channel, source = event.MessageChannelSMS, "sms_webhook"
	}
	b.emit(&event.MessageEvent{
		Header:    b.fact(event.TypeMessageEvent, source, id+"/"+string(action), at, b.after(at, 3)),
		MessageID: id, CustomerID: to, Channel: channel, Action: action, Purpose: purpose, Segment: segment,
	}, false)
}

// hourEnds reports the hour that began at a moment.
func (b *brand) hourEnds(from int64) {
	hour := strconv.FormatInt(from/hourMs, 10)
	for i := range asins {
		key := asin(i) + "/" + hour
		seen := b.after(from+hourMs, 200)
		b.emit(&event.AmazonTrafficHour{
			Header: b.version(event.TypeAmazonTrafficHour, "amazon_traffic_stream", key, 1, from, seen),
			ASIN:   asin(i), GlanceViews: b.hour.glances[i],
		}, false)
		b.emit(&event.AmazonSalesHour{
			Header: b.version(event.TypeAmazonSalesHour, "amazon_sales_stream", key, 1, from, b.after(from+hourMs, 250)),
			ASIN:   asin(i), Units: b.hour.units[i], OrderedMicros: b.hour.micros[i], Currency: b.place.currency,
		}, false)
	}
	lead := b.leading(from)
	for i, ad := range [...]string{"ad-spark", "ad-prospecting"} {
		impressions := b.counts.count([...]float64{600, 1500}[i]*b.season(from), 10)
		clicks := b.details.share(impressions, 0.012)
		r := &event.TikTokAdReportHour{
			Header: b.version(event.TypeTikTokAdReportHour, "tiktok_ads_report", ad+"/"+hour, 1, from, b.after(from+hourMs, 300)),
			AdID:   ad, Spark: i == 0, Impressions: impressions, Clicks: clicks,
			Conversions: b.details.share(clicks, 0.02), SpendMicros: impressions * 7_000, Currency: b.place.currency,
		}
		if r.Spark {
			r.ContentID = lead
		}
		b.emit(r, false)
	}
	b.hour = hourly{}
}

// leading returns the content that gained most views in an hour.
func (b *brand) leading(from int64) string {
	var lead string
	var most int64
	for i := b.oldest; i < len(b.posts) && b.posts[i].atMs < from+hourMs; i++ {
		p := &b.posts[i]
		if gained := p.viewsAt(from+hourMs) - p.viewsAt(from); gained > most {
			lead, most = p.contentID, gained
		}
	}
	return lead
}

func asin(i int) string { return "B0FLY" + strconv.Itoa(10_000+i*37) }
