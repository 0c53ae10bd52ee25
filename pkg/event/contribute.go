package event

// Contribution is what one event adds to one signal of its brand.
type Contribution struct {
	Signal Signal
	AtMs   int64 // event time; the bucket is derived from it
	Value  int64 // for a counter the cumulative count, otherwise the addend
	// Content is the piece of content the value belongs to, empty when none.
	Content string
	// SinceMs of a counter is when it was 0.
	SinceMs int64
	// Currency of a money signal. A value in another currency than the brand's
	// reporting currency is kept apart, never summed.
	Currency string
}

func add(c []Contribution, s Signal, h *Header, v int64) []Contribution {
	if v == 0 {
		return c
	}
	return append(c, Contribution{Signal: s, AtMs: h.OccurredAtMs, Value: v})
}

func addMoney(c []Contribution, s Signal, h *Header, micros int64, currency string) []Contribution {
	return append(c, Contribution{Signal: s, AtMs: h.OccurredAtMs, Value: micros, Currency: currency})
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// keptMicros is the money of an order that stayed: nothing once it was
// cancelled, otherwise what was not refunded.
func keptMicros(s OrderStatus, gross, refunded int64) int64 {
	if s == OrderStatusCancelled {
		return 0
	}
	return gross - refunded
}

func keptUnits(s OrderStatus, units, returned int32) int64 {
	if s == OrderStatusCancelled {
		return 0
	}
	return int64(units - returned)
}

// Type implements Record.
func (*TikTokContentPublished) Type() Type { return TypeTikTokContentPublished }

// Validate implements Record.
func (r *TikTokContentPublished) Validate() error {
	var c check
	c.header(&r.Header, Snapshot)
	c.id("content_id", r.ContentID)
	c.text("creator_id", r.CreatorID)
	c.text("product_id", r.ProductID)
	c.text("campaign_id", r.CampaignID)
	return c.err
}

// Contribute implements Record: one post, and one post of a reactivated
// customer where it is one.
func (r *TikTokContentPublished) Contribute(c []Contribution) []Contribution {
	c = append(c, Contribution{Signal: TikTokPosts, AtMs: r.OccurredAtMs, Value: 1, Content: r.ContentID})
	return add(c, ReactivatedPosts, &r.Header, one(r.Reactivated))
}

// Type implements Record.
func (*TikTokContentStatistics) Type() Type { return TypeTikTokContentStatistics }

// Validate implements Record.
func (r *TikTokContentStatistics) Validate() error {
	var c check
	c.header(&r.Header, Counter)
	c.id("content_id", r.ContentID)
	if r.PublishedAtMs <= 0 || r.PublishedAtMs > r.OccurredAtMs {
		c.fail("published_at", r.PublishedAtMs, "a time not after occurred_at")
	}
	c.count("views", r.Views)
	c.count("likes", r.Likes)
	c.count("comments", r.Comments)
	c.count("shares", r.Shares)
	c.count("product_clicks", r.ProductClicks)
	c.count("carts", r.Carts)
	return c.err
}

// Contribute implements Record: the cumulative views of the content since it
// was published.
func (r *TikTokContentStatistics) Contribute(c []Contribution) []Contribution {
	return append(c, Contribution{Signal: TikTokViews, AtMs: r.OccurredAtMs, Value: r.Views, Content: r.ContentID, SinceMs: r.PublishedAtMs})
}

// Type implements Record.
func (*TikTokShopOrder) Type() Type { return TypeTikTokShopOrder }

// Validate implements Record.
func (r *TikTokShopOrder) Validate() error {
	var c check
	c.header(&r.Header, Snapshot)
	c.id("order_id", r.OrderID)
	c.text("content_id", r.ContentID)
	c.text("creator_id", r.CreatorID)
	c.text("customer_id", r.CustomerID)
	c.order(r.Units, r.ReturnedUnits, r.GrossMicros, r.RefundedMicros)
	c.currency(r.Currency)
	return c.err
}

// Contribute implements Record: direct TikTok revenue, net of returns.
func (r *TikTokShopOrder) Contribute(c []Contribution) []Contribution {
	return addMoney(c, TikTokGMV, &r.Header, keptMicros(r.Status, r.GrossMicros, r.RefundedMicros), r.Currency)
}

// Type implements Record.
func (*TikTokAdReportHour) Type() Type { return TypeTikTokAdReportHour }

// Validate implements Record.
func (r *TikTokAdReportHour) Validate() error {
	var c check
	c.header(&r.Header, Snapshot)
	c.id("ad_id", r.AdID)
	c.text("content_id", r.ContentID)
	c.count("impressions", r.Impressions)
	c.count("clicks", r.Clicks)
	c.count("conversions", r.Conversions)
	c.micros("spend_micros", r.SpendMicros)
	c.currency(r.Currency)
	return c.err
}

// Contribute implements Record: ad impressions.
func (r *TikTokAdReportHour) Contribute(c []Contribution) []Contribution {
	return add(c, TikTokAdImpressions, &r.Header, r.Impressions)
}

// Type implements Record.
func (*TikTokCreatorJoined) Type() Type { return TypeTikTokCreatorJoined }

// Validate implements Record.
func (r *TikTokCreatorJoined) Validate() error {
	var c check
	c.header(&r.Header, Fact)
	c.id("creator_id", r.CreatorID)
	c.text("customer_id", r.CustomerID)
	return c.err
}

// Contribute implements Record: a creator, known when a customer.
func (r *TikTokCreatorJoined) Contribute(c []Contribution) []Contribution {
	c = add(c, CreatorsJoined, &r.Header, 1)
	return add(c, KnownCreatorsJoined, &r.Header, one(r.CustomerID != ""))
}

// Type implements Record.
func (*AmazonSearchReport) Type() Type { return TypeAmazonSearchReport }

// PeriodMinutesMax bounds the period of a search report: a quarter.
const PeriodMinutesMax = 92 * 1440

// Validate implements Record.
func (r *AmazonSearchReport) Validate() error {
	var c check
	c.header(&r.Header, Snapshot)
	c.id("query", r.Query)
	if r.PeriodMinutes <= 0 || r.PeriodMinutes > PeriodMinutesMax {
		c.fail("period_minutes", r.PeriodMinutes, "1 to a quarter")
	}
	c.count("volume", r.Volume)
	c.share("impression_share", r.ImpressionShare)
	c.share("click_share", r.ClickShare)
	c.share("purchase_share", r.PurchaseShare)
	return c.err
}

// Contribute implements Record: branded searches, on the signal of the
// report's own period, so that a week never poses as an hour, an hour as its
// quarters, nor a month as a week. A report of more than a quarter-hour whose quarters
// lie in two hours is spread over these by largest remainder of the quarters.
func (r *AmazonSearchReport) Contribute(c []Contribution) []Contribution {
	switch {
	case !r.Branded:
		return c
	case r.PeriodMinutes <= 15:
		return add(c, BrandedSearches, &r.Header, r.Volume)
	case r.PeriodMinutes <= 60:
		const quarterMs, hourMs = 15 * 60_000, 60 * 60_000
		quarters := int64(r.PeriodMinutes+14) / 15
		inFirst := min(quarters, (hourMs-r.OccurredAtMs%hourMs+quarterMs-1)/quarterMs) // those that begin in its hour
		first := r.Volume/quarters*inFirst + min(r.Volume%quarters, inFirst)
		c = add(c, BrandedSearchesHour, &r.Header, first)
		if rest := r.Volume - first; rest != 0 {
			c = append(c, Contribution{Signal: BrandedSearchesHour, AtMs: r.OccurredAtMs + inFirst*quarterMs, Value: rest})
		}
		return c
	case r.PeriodMinutes <= 1440:
		return add(c, BrandedSearchesDay, &r.Header, r.Volume)
	case r.PeriodMinutes <= 10080:
		return add(c, BrandedSearchesWeek, &r.Header, r.Volume)
	default: // of a month or a quarter no week is known
		return c
	}
}

// Type implements Record.
func (*AmazonTrafficHour) Type() Type { return TypeAmazonTrafficHour }

// Validate implements Record.
func (r *AmazonTrafficHour) Validate() error {
	var c check
	c.header(&r.Header, Snapshot)
	c.id("asin", r.ASIN)
	c.count("glance_views", r.GlanceViews)
	return c.err
}

// Contribute implements Record: glance views.
func (r *AmazonTrafficHour) Contribute(c []Contribution) []Contribution {
	return add(c, GlanceViews, &r.Header, r.GlanceViews)
}

// Type implements Record.
func (*AmazonSalesHour) Type() Type { return TypeAmazonSalesHour }

// Validate implements Record.
func (r *AmazonSalesHour) Validate() error {
	var c check
	c.header(&r.Header, Snapshot)
	c.id("asin", r.ASIN)
	c.count("units", r.Units)
	c.micros("ordered_micros", r.OrderedMicros)
	c.currency(r.Currency)
	return c.err
}

// Contribute implements Record: ordered sales.
func (r *AmazonSalesHour) Contribute(c []Contribution) []Contribution {
	return addMoney(c, OrderedSales, &r.Header, r.OrderedMicros, r.Currency)
}

// Type implements Record.
func (*AmazonOrder) Type() Type { return TypeAmazonOrder }

// Validate implements Record.
func (r *AmazonOrder) Validate() error {
	var c check
	c.header(&r.Header, Snapshot)
	c.id("order_id", r.OrderID)
	c.text("asin", r.ASIN)
	c.order(r.Units, r.ReturnedUnits, r.GrossMicros, r.RefundedMicros)
	c.currency(r.Currency)
	return c.err
}

// Contribute implements Record: branded revenue net of returns, units, and
// units bought again.
func (r *AmazonOrder) Contribute(c []Contribution) []Contribution {
	units := keptUnits(r.Status, r.Units, r.ReturnedUnits)
	if r.Branded {
		c = addMoney(c, BrandedRevenue, &r.Header, keptMicros(r.Status, r.GrossMicros, r.RefundedMicros), r.Currency)
	}
	c = add(c, UnitsShipped, &r.Header, units)
	return add(c, RepeatUnits, &r.Header, units*one(r.Repeat))
}

// Type implements Record.
func (*AmazonAdStream) Type() Type { return TypeAmazonAdStream }

// Validate implements Record.
func (r *AmazonAdStream) Validate() error {
	var c check
	c.header(&r.Header, Fact)
	c.id("campaign_id", r.CampaignID)
	c.text("keyword", r.Keyword)
	c.delta("impressions_delta", r.ImpressionsDelta)
	c.delta("clicks_delta", r.ClicksDelta)
	if r.SpendDeltaMicros < -MicrosMax || r.SpendDeltaMicros > MicrosMax {
		c.fail("spend_delta_micros", r.SpendDeltaMicros, "a difference of amounts")
	}
	c.currency(r.Currency)
	return c.err
}

// Contribute implements Record: impressions on branded keywords, or on others.
func (r *AmazonAdStream) Contribute(c []Contribution) []Contribution {
	if r.Branded {
		return add(c, BrandedAdImpressions, &r.Header, r.ImpressionsDelta)
	}
	return add(c, CategoryAdImpressions, &r.Header, r.ImpressionsDelta)
}

// Type implements Record.
func (*AmazonReview) Type() Type { return TypeAmazonReview }

// Validate implements Record.
func (r *AmazonReview) Validate() error {
	var c check
	c.header(&r.Header, Fact)
	c.id("review_id", r.ReviewID)
	c.text("asin", r.ASIN)
	if r.Stars < 1 || r.Stars > 5 {
		c.fail("stars", r.Stars, "1 to 5")
	}
	return c.err
}

// Contribute implements Record: one review.
func (r *AmazonReview) Contribute(c []Contribution) []Contribution {
	return add(c, Reviews, &r.Header, 1)
}

// Type implements Record.
func (*ShopifyCustomerRegistered) Type() Type { return TypeShopifyCustomerRegistered }

// Validate implements Record.
func (r *ShopifyCustomerRegistered) Validate() error {
	var c check
	c.header(&r.Header, Fact)
	c.id("customer_id", r.CustomerID)
	return c.err
}

// Contribute implements Record: a registration that came from an Amazon
// parcel, and one with consent.
func (r *ShopifyCustomerRegistered) Contribute(c []Contribution) []Contribution {
	switch r.Origin {
	case RegistrationOriginInsert, RegistrationOriginQR, RegistrationOriginOffer:
		c = add(c, AmazonRegistrations, &r.Header, 1)
	}
	return add(c, ConsentedRegistrations, &r.Header, one(r.Consented))
}

// Type implements Record.
func (*ShopifyOrder) Type() Type { return TypeShopifyOrder }

// Validate implements Record.
func (r *ShopifyOrder) Validate() error {
	var c check
	c.header(&r.Header, Snapshot)
	c.id("order_id", r.OrderID)
	c.text("customer_id", r.CustomerID)
	c.order(r.Units, r.ReturnedUnits, r.GrossMicros, r.RefundedMicros)
	c.currency(r.Currency)
	return c.err
}

// Contribute implements Record: revenue, and an order referred by an engine.
func (r *ShopifyOrder) Contribute(c []Contribution) []Contribution {
	c = addMoney(c, ShopifyRevenue, &r.Header, keptMicros(r.Status, r.GrossMicros, r.RefundedMicros), r.Currency)
	return add(c, AIOrders, &r.Header, one(r.Referrer == ReferrerAI && r.Status != OrderStatusCancelled))
}

// Type implements Record.
func (*ShopifySession) Type() Type { return TypeShopifySession }

// Validate implements Record.
func (r *ShopifySession) Validate() error {
	var c check
	c.header(&r.Header, Fact)
	c.id("session_id", r.SessionID)
	c.text("customer_id", r.CustomerID)
	return c.err
}

// Contribute implements Record: a session referred by an engine.
func (r *ShopifySession) Contribute(c []Contribution) []Contribution {
	return add(c, AISessions, &r.Header, one(r.Referrer == ReferrerAI))
}

// Type implements Record.
func (*AICitationTrial) Type() Type { return TypeAICitationTrial }

// Validate implements Record.
func (r *AICitationTrial) Validate() error {
	var c check
	c.header(&r.Header, Fact)
	c.id("trial_id", r.TrialID)
	c.id("engine", r.Engine)
	c.text("model", r.Model)
	c.text("prompt_hash", r.PromptHash)
	c.text("answer_hash", r.AnswerHash)
	c.count("citations", int64(r.Citations))
	return c.err
}

// Contribute implements Record: citations of the brand.
func (r *AICitationTrial) Contribute(c []Contribution) []Contribution {
	return add(c, Citations, &r.Header, int64(r.Citations))
}

// Type implements Record.
func (*MessageEvent) Type() Type { return TypeMessageEvent }

// Validate implements Record.
func (r *MessageEvent) Validate() error {
	var c check
	c.header(&r.Header, Fact)
	c.id("message_id", r.MessageID)
	c.id("customer_id", r.CustomerID)
	c.text("segment", r.Segment)
	return c.err
}

// Contribute implements Record: what was sent for which purpose, and what
// subscribers did with it.
func (r *MessageEvent) Contribute(c []Contribution) []Contribution {
	replenish := r.Purpose == MessagePurposeReplenishment || r.Purpose == MessagePurposeReviewRequest
	switch r.Action {
	case MessageActionSent:
		c = add(c, ReplenishmentSends, &r.Header, one(replenish))
		c = add(c, ReactivationSends, &r.Header, one(r.Purpose == MessagePurposeReactivation))
		c = add(c, CreatorInvites, &r.Header, one(r.Purpose == MessagePurposeCreatorInvite))
	case MessageActionOpened:
		c = add(c, ActiveSubscribers, &r.Header, one(r.Segment != ""))
	case MessageActionClicked:
		c = add(c, ReplenishmentClicks, &r.Header, one(replenish))
		c = add(c, ActiveSubscribers, &r.Header, one(r.Segment != ""))
	}
	return c
}

// Type implements Record.
func (*CalendarEvent) Type() Type { return TypeCalendarEvent }

// Validate implements Record.
func (r *CalendarEvent) Validate() error {
	var c check
	c.header(&r.Header, Snapshot)
	if r.EndsAtMs <= r.OccurredAtMs || r.EndsAtMs > timeMsMax {
		c.fail("ends_at", r.EndsAtMs, "a time after occurred_at")
	}
	c.text("name", r.Name)
	return c.err
}

// Contribute implements Record: a calendar event moves no signal by itself; it
// explains one.
func (r *CalendarEvent) Contribute(c []Contribution) []Contribution { return c }
