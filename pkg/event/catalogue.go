package event

// Mode says how events of one type act on the state.
type Mode uint8

const (
	// Fact happened once and never changes: a second event with the same id is
	// a duplicate.
	Fact Mode = iota
	// Snapshot is the newest state of an entity: of one natural key the highest
	// version counts, whatever the order of arrival.
	Snapshot
	// Counter is a cumulative count of an entity: what counts is the gain
	// between two observations.
	Counter
)

// String returns the mode's name.
func (m Mode) String() string { return [...]string{"fact", "snapshot", "counter"}[m] }

// DedupHorizonHours is how far behind its source's watermark an event is still
// recognised as a duplicate. It equals the allowed lateness, so that whatever
// is old enough to be forgotten is refused as late.
const DedupHorizonHours = LatenessHours

// LatenessHours is how far behind its source's watermark an event is applied.
const LatenessHours = 72

// Type is the kind of a channel record. The numbers are part of the state's
// format: never reuse one.
type Type uint8

// The types of channel records.
const (
	NoType Type = iota
	TypeTikTokContentPublished
	TypeTikTokContentStatistics
	TypeTikTokShopOrder
	TypeTikTokAdReportHour
	TypeTikTokCreatorJoined
	TypeAmazonSearchReport
	TypeAmazonTrafficHour
	TypeAmazonSalesHour
	TypeAmazonOrder
	TypeAmazonAdStream
	TypeAmazonReview
	TypeShopifyCustomerRegistered
	TypeShopifyOrder
	TypeShopifySession
	TypeAICitationTrial
	TypeMessageEvent
	TypeCalendarEvent
	typeEnd
)

// TypeInfo describes one type of channel record.
type TypeInfo struct {
	Name  string // of the Avro record, the folder in schemas/avro and the table
	Topic string
	Mode  Mode
	New   func() Record // returns a new, empty record
}

// Info returns the entry of the type; the zero TypeInfo for an unknown one.
func (t Type) Info() TypeInfo {
	if t >= typeEnd {
		return TypeInfo{}
	}
	return types[t]
}

// String returns the record name.
func (t Type) String() string { return t.Info().Name }

// Types returns every type of channel record, in the order of their numbers.
func Types() []Type {
	ts := make([]Type, 0, int(typeEnd)-1)
	for t := NoType + 1; t < typeEnd; t++ {
		ts = append(ts, t)
	}
	return ts
}

// TypeByName returns the type of the Avro record with that name, NoType when
// there is none.
func TypeByName(name string) Type {
	for t := NoType + 1; t < typeEnd; t++ {
		if types[t].Name == name {
			return t
		}
	}
	return NoType
}

// New returns a pointer to the empty struct of the Avro record with that name, of a
// channel, a brand or a result; nil when there is none.
func New(record string) any {
	switch record {
	case "brand":
		return new(Brand)
	case "correlation":
		return new(Correlation)
	case "credit":
		return new(Credit)
	case "spike":
		return new(Spike)
	case "dead_letter":
		return new(DeadLetter)
	}
	if t := TypeByName(record); t != NoType {
		return t.Info().New()
	}
	return nil
}

// Topics of the channel records, one a node and one for the calendar.
const (
	TopicTikTok    = "channel.tiktok"
	TopicAmazon    = "channel.amazon"
	TopicShopify   = "channel.shopify"
	TopicAISearch  = "channel.aisearch"
	TopicMessaging = "channel.messaging"
	TopicCalendar  = "channel.calendar"
)

// Topics of the pipeline itself.
const (
	TopicBrand       = "flywheel.brand"
	TopicCorrelation = "flywheel.correlation"
	TopicCredit      = "flywheel.credit"
	TopicSpike       = "flywheel.spike"
	TopicState       = "flywheel.state"
	TopicDeadLetter  = "flywheel.deadletter"
)

//nolint:gochecknoglobals // a table nobody writes to
var types = [typeEnd]TypeInfo{
	TypeTikTokContentPublished:    {"tiktok_content_published", TopicTikTok, Snapshot, func() Record { return new(TikTokContentPublished) }},
	TypeTikTokContentStatistics:   {"tiktok_content_statistics", TopicTikTok, Counter, func() Record { return new(TikTokContentStatistics) }},
	TypeTikTokShopOrder:           {"tiktok_shop_order", TopicTikTok, Snapshot, func() Record { return new(TikTokShopOrder) }},
	TypeTikTokAdReportHour:        {"tiktok_ad_report_hour", TopicTikTok, Snapshot, func() Record { return new(TikTokAdReportHour) }},
	TypeTikTokCreatorJoined:       {"tiktok_creator_joined", TopicTikTok, Fact, func() Record { return new(TikTokCreatorJoined) }},
	TypeAmazonSearchReport:        {"amazon_search_report", TopicAmazon, Snapshot, func() Record { return new(AmazonSearchReport) }},
	TypeAmazonTrafficHour:         {"amazon_traffic_hour", TopicAmazon, Snapshot, func() Record { return new(AmazonTrafficHour) }},
	TypeAmazonSalesHour:           {"amazon_sales_hour", TopicAmazon, Snapshot, func() Record { return new(AmazonSalesHour) }},
	TypeAmazonOrder:               {"amazon_order", TopicAmazon, Snapshot, func() Record { return new(AmazonOrder) }},
	TypeAmazonAdStream:            {"amazon_ad_stream", TopicAmazon, Fact, func() Record { return new(AmazonAdStream) }},
	TypeAmazonReview:              {"amazon_review", TopicAmazon, Fact, func() Record { return new(AmazonReview) }},
	TypeShopifyCustomerRegistered: {"shopify_customer_registered", TopicShopify, Fact, func() Record { return new(ShopifyCustomerRegistered) }},
	TypeShopifyOrder:              {"shopify_order", TopicShopify, Snapshot, func() Record { return new(ShopifyOrder) }},
	TypeShopifySession:            {"shopify_session", TopicShopify, Fact, func() Record { return new(ShopifySession) }},
	TypeAICitationTrial:           {"ai_citation_trial", TopicAISearch, Fact, func() Record { return new(AICitationTrial) }},
	TypeMessageEvent:              {"message_event", TopicMessaging, Fact, func() Record { return new(MessageEvent) }},
	TypeCalendarEvent:             {"calendar_event", TopicCalendar, Snapshot, func() Record { return new(CalendarEvent) }},
}
