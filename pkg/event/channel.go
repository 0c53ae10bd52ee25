package event

// Header is what every channel record begins with, in this order.
type Header struct {
	// Deterministic identity: the first 16 bytes of SHA-256 over record name, brand, source, natural
	// key (or the source's own id) and version, length-prefixed; see event.NewID.
	EventID ID `avro:"event_id"`
	// The brand the event belongs to; the Kafka key of the record.
	BrandID string `avro:"brand_id"`
	// When it happened, by the source's clock; for a report, the start of its period.
	OccurredAtMs int64 `avro:"occurred_at"`
	// When the connector first saw it.
	ObservedAtMs int64 `avro:"observed_at"`
	// The feed the event came from, for example tiktok_shop_webhook; each source of a brand has its
	// own watermark.
	Source string `avro:"source"`
	// The source's own key of the entity; versions of one key replace each other. Empty for a fact.
	NaturalKey string `avro:"natural_key"`
	// Monotone version within the natural key: the higher one replaces the lower. 0 for a fact.
	Version int64 `avro:"version"`
}

// TikTokContentPublished is the record of one event. A video or live was published on TikTok.
// Snapshot by content_id.
type TikTokContentPublished struct {
	Header `avro:",inline"`
	// TikTok's id of the video or live.
	ContentID string `avro:"content_id"`
	// Keyed pseudonym of the creator.
	CreatorID string `avro:"creator_id"`
	// What was published.
	Kind ContentKind `avro:"kind"`
	// The product the content links to, empty when none.
	ProductID string `avro:"product_id"`
	// Whether the creator is a customer won back by a message (force 10).
	Reactivated bool `avro:"reactivated"`
	// The campaign the content was made for, such as TikTok Shop's id of an affiliate
	// collaboration; empty when none.
	CampaignID string `avro:"campaign_id"`
}

// TikTokContentStatistics is the record of one event. Cumulative counters of one piece of content
// at one moment. Counter by content_id: the gain between two observations is the signal.
type TikTokContentStatistics struct {
	Header `avro:",inline"`
	// TikTok's id of the video or live.
	ContentID string `avro:"content_id"`
	// When the content was published; before it every counter was 0.
	PublishedAtMs int64 `avro:"published_at"`
	// Views since publication.
	Views int64 `avro:"views"`
	// Likes since publication.
	Likes int64 `avro:"likes"`
	// Comments since publication.
	Comments int64 `avro:"comments"`
	// Shares since publication.
	Shares int64 `avro:"shares"`
	// Clicks on the product anchor since publication.
	ProductClicks int64 `avro:"product_clicks"`
	// Additions to cart since publication.
	Carts int64 `avro:"carts"`
}

// TikTokShopOrder is the record of one event. An order on TikTok Shop in its current state.
// Snapshot by order_id.
type TikTokShopOrder struct {
	Header `avro:",inline"`
	// TikTok Shop's id of the order.
	OrderID string `avro:"order_id"`
	// State of the order.
	Status OrderStatus `avro:"status"`
	// The content that sold it, empty when none.
	ContentID string `avro:"content_id"`
	// Keyed pseudonym of the creator who sold it, empty when none.
	CreatorID string `avro:"creator_id"`
	// Keyed pseudonym of the buyer.
	CustomerID string `avro:"customer_id"`
	// Units ordered.
	Units int32 `avro:"units"`
	// Units returned so far.
	ReturnedUnits int32 `avro:"returned_units"`
	// Order value before returns, in millionths of the currency.
	GrossMicros int64 `avro:"gross_micros"`
	// Refunded so far, in millionths of the currency.
	RefundedMicros int64 `avro:"refunded_micros"`
	// ISO 4217 code of every amount in the record.
	Currency string `avro:"currency"`
}

// TikTokAdReportHour is the record of one event. One ad's delivery in one hour. Snapshot by ad
// and hour.
type TikTokAdReportHour struct {
	Header `avro:",inline"`
	// TikTok's id of the ad.
	AdID string `avro:"ad_id"`
	// The content advertised, empty when none.
	ContentID string `avro:"content_id"`
	// Whether it is a Spark Ad: an organic post promoted.
	Spark bool `avro:"spark"`
	// Impressions in the hour.
	Impressions int64 `avro:"impressions"`
	// Clicks in the hour.
	Clicks int64 `avro:"clicks"`
	// Conversions in the hour.
	Conversions int64 `avro:"conversions"`
	// Spend in the hour, in millionths of the currency.
	SpendMicros int64 `avro:"spend_micros"`
	// ISO 4217 code of every amount in the record.
	Currency string `avro:"currency"`
}

// TikTokCreatorJoined is the record of one event. A creator joined the brand's affiliate
// programme. Fact.
type TikTokCreatorJoined struct {
	Header `avro:",inline"`
	// Keyed pseudonym of the creator.
	CreatorID string `avro:"creator_id"`
	// Keyed pseudonym of the customer the creator is known to be, empty when unknown.
	CustomerID string `avro:"customer_id"`
}

// AmazonSearchReport is the record of one event. Branded-search volume of one query over one
// period. Snapshot by query and period.
type AmazonSearchReport struct {
	Header `avro:",inline"`
	// The search query, normalised to lower case.
	Query string `avro:"query"`
	// Whether the query names the brand or one of its variants.
	Branded bool `avro:"branded"`
	// Length of the period in minutes: 15, 60, 1440 (day), 10080 (week) or longer.
	PeriodMinutes int32 `avro:"period_minutes"`
	// Searches in the period.
	Volume int64 `avro:"volume"`
	// Share of impressions, 0 to 1.
	ImpressionShare float64 `avro:"impression_share"`
	// Share of clicks, 0 to 1.
	ClickShare float64 `avro:"click_share"`
	// Share of purchases, 0 to 1.
	PurchaseShare float64 `avro:"purchase_share"`
}

// AmazonTrafficHour is the record of one event. Detail-page traffic of one item in one hour.
// Snapshot by item and hour.
type AmazonTrafficHour struct {
	Header `avro:",inline"`
	// Amazon's item number.
	ASIN string `avro:"asin"`
	// Detail-page views in the hour.
	GlanceViews int64 `avro:"glance_views"`
}

// AmazonSalesHour is the record of one event. Ordered sales of one item in one hour: a proxy
// until the orders land. Snapshot by item and hour.
type AmazonSalesHour struct {
	Header `avro:",inline"`
	// Amazon's item number.
	ASIN string `avro:"asin"`
	// Units ordered in the hour.
	Units int64 `avro:"units"`
	// Ordered revenue in the hour, in millionths of the currency.
	OrderedMicros int64 `avro:"ordered_micros"`
	// ISO 4217 code of every amount in the record.
	Currency string `avro:"currency"`
}

// AmazonOrder is the record of one event. An order on Amazon in its current state. Snapshot by
// order_id.
type AmazonOrder struct {
	Header `avro:",inline"`
	// Amazon's id of the order.
	OrderID string `avro:"order_id"`
	// State of the order.
	Status OrderStatus `avro:"status"`
	// Amazon's item number.
	ASIN string `avro:"asin"`
	// Units ordered.
	Units int32 `avro:"units"`
	// Units returned so far.
	ReturnedUnits int32 `avro:"returned_units"`
	// Order value before returns, in millionths of the currency.
	GrossMicros int64 `avro:"gross_micros"`
	// Refunded so far, in millionths of the currency.
	RefundedMicros int64 `avro:"refunded_micros"`
	// Whether the order is branded revenue: won through a branded search or the brand store.
	Branded bool `avro:"branded"`
	// Whether the buyer has ordered from the brand before.
	Repeat bool `avro:"repeat"`
	// ISO 4217 code of every amount in the record.
	Currency string `avro:"currency"`
}

// AmazonAdStream is the record of one event. A delta of ad traffic by keyword; corrections arrive
// as negative deltas. Fact: deltas add up.
type AmazonAdStream struct {
	Header `avro:",inline"`
	// Amazon's id of the campaign.
	CampaignID string `avro:"campaign_id"`
	// The keyword, normalised to lower case.
	Keyword string `avro:"keyword"`
	// Whether the keyword names the brand or one of its variants.
	Branded bool `avro:"branded"`
	// Change of impressions, may be negative.
	ImpressionsDelta int64 `avro:"impressions_delta"`
	// Change of clicks, may be negative.
	ClicksDelta int64 `avro:"clicks_delta"`
	// Change of spend in millionths of the currency, may be negative.
	SpendDeltaMicros int64 `avro:"spend_delta_micros"`
	// ISO 4217 code of every amount in the record.
	Currency string `avro:"currency"`
}

// AmazonReview is the record of one event. A review was published on Amazon. Fact.
type AmazonReview struct {
	Header `avro:",inline"`
	// Amazon's id of the review.
	ReviewID string `avro:"review_id"`
	// Amazon's item number.
	ASIN string `avro:"asin"`
	// Rating, 1 to 5.
	Stars int32 `avro:"stars"`
}

// ShopifyCustomerRegistered is the record of one event. A customer registered in the Shopify
// store. Fact.
type ShopifyCustomerRegistered struct {
	Header `avro:",inline"`
	// Keyed pseudonym of the customer.
	CustomerID string `avro:"customer_id"`
	// How the customer came to register.
	Origin RegistrationOrigin `avro:"origin"`
	// Whether the customer consented to messages.
	Consented bool `avro:"consented"`
}

// ShopifyOrder is the record of one event. An order in the Shopify store in its current state.
// Snapshot by order_id.
type ShopifyOrder struct {
	Header `avro:",inline"`
	// Shopify's id of the order.
	OrderID string `avro:"order_id"`
	// State of the order.
	Status OrderStatus `avro:"status"`
	// Keyed pseudonym of the buyer.
	CustomerID string `avro:"customer_id"`
	// Where the buyer came from.
	Referrer Referrer `avro:"referrer"`
	// Units ordered.
	Units int32 `avro:"units"`
	// Units returned so far.
	ReturnedUnits int32 `avro:"returned_units"`
	// Order value before returns, in millionths of the currency.
	GrossMicros int64 `avro:"gross_micros"`
	// Refunded so far, in millionths of the currency.
	RefundedMicros int64 `avro:"refunded_micros"`
	// ISO 4217 code of every amount in the record.
	Currency string `avro:"currency"`
}

// ShopifySession is the record of one event. A visit to the Shopify store. Fact.
type ShopifySession struct {
	Header `avro:",inline"`
	// Shopify's id of the session.
	SessionID string `avro:"session_id"`
	// Keyed pseudonym of the visitor, empty when unknown.
	CustomerID string `avro:"customer_id"`
	// Where the visitor came from.
	Referrer Referrer `avro:"referrer"`
}

// AICitationTrial is the record of one event. One prompt put to one AI engine, and whether the
// answer cited the brand. Fact.
type AICitationTrial struct {
	Header `avro:",inline"`
	// Id of the trial.
	TrialID string `avro:"trial_id"`
	// The AI engine asked.
	Engine string `avro:"engine"`
	// The model that answered.
	Model string `avro:"model"`
	// Hex SHA-256 of the prompt.
	PromptHash string `avro:"prompt_hash"`
	// Hex SHA-256 of the answer.
	AnswerHash string `avro:"answer_hash"`
	// Whether the answer names the brand.
	Mentioned bool `avro:"mentioned"`
	// How many sources of the brand the answer cites.
	Citations int32 `avro:"citations"`
}

// MessageEvent is the record of one event. Something happened to one email or text message. Fact.
type MessageEvent struct {
	Header `avro:",inline"`
	// Id of the message.
	MessageID string `avro:"message_id"`
	// Keyed pseudonym of the recipient.
	CustomerID string `avro:"customer_id"`
	// How the message travels.
	Channel MessageChannel `avro:"channel"`
	// What happened.
	Action MessageAction `avro:"action"`
	// What the message is for.
	Purpose MessagePurpose `avro:"purpose"`
	// The segment the message went to, empty when none.
	Segment string `avro:"segment"`
}

// CalendarEvent is the record of one event. Something known in advance or declared that moves
// sales by itself: a confounder. Snapshot by natural key.
type CalendarEvent struct {
	Header `avro:",inline"`
	// What it is.
	Kind CalendarKind `avro:"kind"`
	// The node it acts on.
	Node NodeName `avro:"node"`
	// When it ends, exclusive; occurred_at is its start.
	EndsAtMs int64 `avro:"ends_at"`
	// What people call it.
	Name string `avro:"name"`
	// Whether the event was withdrawn.
	Cancelled bool `avro:"cancelled"`
}
