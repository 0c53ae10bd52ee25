package event

// Signal is a per-brand integer series: a bucket holds the sum of the
// contributions whose time lies in it.
type Signal uint8

// The signals. The numbers are part of the state's format: never reuse one.
const (
	NoSignal Signal = iota
	TikTokPosts
	TikTokViews
	TikTokAdImpressions
	TikTokGMV
	CreatorsJoined
	KnownCreatorsJoined
	ReactivatedPosts
	BrandedSearches
	BrandedSearchesDay
	BrandedSearchesWeek
	BrandedAdImpressions
	GlanceViews
	OrderedSales
	BrandedRevenue
	UnitsShipped
	RepeatUnits
	Reviews
	AmazonRegistrations
	ConsentedRegistrations
	AISessions
	AIOrders
	ShopifyRevenue
	ActiveSubscribers
	ReplenishmentSends
	ReplenishmentClicks
	ReactivationSends
	CreatorInvites
	Citations
	CategoryAdImpressions
	BrandedSearchesHour
	signalEnd
)

// SignalsMax is the number of signals plus one: a bound for arrays by signal.
const SignalsMax = int(signalEnd)

// Grain is the finest time resolution at which a signal's source reports.
type Grain uint8

// The grains.
const (
	QuarterHour Grain = iota
	Hour
	Day
	Week
)

// Minutes returns the width of one bucket of the grain.
func (g Grain) Minutes() int64 { return [...]int64{15, 60, 1440, 10080}[g] }

// SignalInfo describes one signal.
type SignalInfo struct {
	Name   string // as in tables and metrics
	Unit   string // as in UCUM: {view}, or {micro} for millionths of the brand's currency
	Node   NodeName
	Grain  Grain
	Money  bool // in millionths of the brand's reporting currency
	Record Type // of the channel records that move it
}

// Info returns the description of the signal; the zero SignalInfo for an
// unknown one.
func (s Signal) Info() SignalInfo {
	if s >= signalEnd {
		return SignalInfo{}
	}
	return signals[s]
}

// String returns the signal's name.
func (s Signal) String() string { return s.Info().Name }

//nolint:gochecknoglobals // a table nobody writes to
var signals = [SignalsMax]SignalInfo{
	TikTokPosts:            {"tiktok_posts", "{post}", NodeTikTok, QuarterHour, false, TypeTikTokContentPublished},
	TikTokViews:            {"tiktok_views", "{view}", NodeTikTok, QuarterHour, false, TypeTikTokContentStatistics},
	TikTokAdImpressions:    {"tiktok_ad_impressions", "{impression}", NodeTikTok, Hour, false, TypeTikTokAdReportHour},
	TikTokGMV:              {"tiktok_gmv", "{micro}", NodeTikTok, QuarterHour, true, TypeTikTokShopOrder},
	CreatorsJoined:         {"creators_joined", "{creator}", NodeTikTok, QuarterHour, false, TypeTikTokCreatorJoined},
	KnownCreatorsJoined:    {"known_creators_joined", "{creator}", NodeTikTok, QuarterHour, false, TypeTikTokCreatorJoined},
	ReactivatedPosts:       {"reactivated_posts", "{post}", NodeTikTok, QuarterHour, false, TypeTikTokContentPublished},
	BrandedSearches:        {"branded_searches", "{search}", NodeAmazon, QuarterHour, false, TypeAmazonSearchReport},
	BrandedSearchesDay:     {"branded_searches_day", "{search}", NodeAmazon, Day, false, TypeAmazonSearchReport},
	BrandedSearchesWeek:    {"branded_searches_week", "{search}", NodeAmazon, Week, false, TypeAmazonSearchReport},
	BrandedAdImpressions:   {"branded_ad_impressions", "{impression}", NodeAmazon, QuarterHour, false, TypeAmazonAdStream},
	GlanceViews:            {"glance_views", "{view}", NodeAmazon, Hour, false, TypeAmazonTrafficHour},
	OrderedSales:           {"ordered_sales", "{micro}", NodeAmazon, Hour, true, TypeAmazonSalesHour},
	BrandedRevenue:         {"branded_revenue", "{micro}", NodeAmazon, QuarterHour, true, TypeAmazonOrder},
	UnitsShipped:           {"units_shipped", "{unit}", NodeAmazon, QuarterHour, false, TypeAmazonOrder},
	RepeatUnits:            {"repeat_units", "{unit}", NodeAmazon, QuarterHour, false, TypeAmazonOrder},
	Reviews:                {"reviews", "{review}", NodeAmazon, QuarterHour, false, TypeAmazonReview},
	AmazonRegistrations:    {"amazon_registrations", "{registration}", NodeShopify, QuarterHour, false, TypeShopifyCustomerRegistered},
	ConsentedRegistrations: {"consented_registrations", "{registration}", NodeShopify, QuarterHour, false, TypeShopifyCustomerRegistered},
	AISessions:             {"ai_sessions", "{session}", NodeShopify, QuarterHour, false, TypeShopifySession},
	AIOrders:               {"ai_orders", "{order}", NodeShopify, QuarterHour, false, TypeShopifyOrder},
	ShopifyRevenue:         {"shopify_revenue", "{micro}", NodeShopify, QuarterHour, true, TypeShopifyOrder},
	ActiveSubscribers:      {"active_subscribers", "{event}", NodeMessaging, QuarterHour, false, TypeMessageEvent},
	ReplenishmentSends:     {"replenishment_sends", "{message}", NodeMessaging, QuarterHour, false, TypeMessageEvent},
	ReplenishmentClicks:    {"replenishment_clicks", "{click}", NodeMessaging, QuarterHour, false, TypeMessageEvent},
	ReactivationSends:      {"reactivation_sends", "{message}", NodeMessaging, QuarterHour, false, TypeMessageEvent},
	CreatorInvites:         {"creator_invites", "{message}", NodeMessaging, QuarterHour, false, TypeMessageEvent},
	Citations:              {"citations", "{citation}", NodeAISearch, QuarterHour, false, TypeAICitationTrial},
	CategoryAdImpressions:  {"category_ad_impressions", "{impression}", NodeAmazon, Hour, false, TypeAmazonAdStream},
	BrandedSearchesHour:    {"branded_searches_hour", "{search}", NodeAmazon, Hour, false, TypeAmazonSearchReport},
}

// Force is a directed, measurable influence between two nodes.
type Force struct {
	Number      int
	From, To    NodeName
	WindowHours int // how long a stimulus is taken to act
	// Stimuli and Responses name the signals, the most telling first. The first
	// that holds anything in the window is correlated; a later one stands in
	// for it, and the result says which was used.
	Stimuli, Responses []Signal
	// Confounders name what else may move the responses, and the stimuli with them: the
	// stimuli of other nodes, and the brand's ads on keywords that do not name it. What
	// they may have added is no evidence for the force. Long windows leave no history to
	// tell it by.
	Confounders []Signal
	// Revenue is the money the force earns credit of, NoSignal when it moves no
	// money by itself.
	Revenue Signal
}

// StepMinutes is the width of one lag step: 15 minutes for the short windows,
// two hours for the long ones.
func (f Force) StepMinutes() int {
	if f.WindowHours <= ShortWindowHours {
		return 15
	}
	return 120
}

// The two windows of the forces.
const (
	ShortWindowHours = 72
	LongWindowHours  = 28 * 24
)

// Forces returns the ten forces, by number. The caller may not change it.
func Forces() []Force { return forces[:] }

//nolint:gochecknoglobals // a table nobody writes to
var forces = [...]Force{
	{1, NodeTikTok, NodeAmazon, ShortWindowHours, []Signal{TikTokViews, TikTokAdImpressions}, []Signal{BrandedSearches, BrandedSearchesHour, BrandedAdImpressions, GlanceViews}, []Signal{Citations, ReplenishmentSends, CategoryAdImpressions}, BrandedRevenue},
	{2, NodeTikTok, NodeAISearch, LongWindowHours, []Signal{TikTokViews, TikTokPosts}, []Signal{Citations}, nil, NoSignal},
	{3, NodeAmazon, NodeShopify, LongWindowHours, []Signal{UnitsShipped}, []Signal{AmazonRegistrations}, nil, NoSignal},
	{4, NodeAmazon, NodeAISearch, LongWindowHours, []Signal{Reviews}, []Signal{Citations}, nil, NoSignal},
	{5, NodeShopify, NodeTikTok, LongWindowHours, []Signal{CreatorInvites}, []Signal{KnownCreatorsJoined}, nil, NoSignal},
	{6, NodeShopify, NodeMessaging, LongWindowHours, []Signal{ConsentedRegistrations}, []Signal{ActiveSubscribers}, nil, NoSignal},
	{7, NodeAISearch, NodeAmazon, ShortWindowHours, []Signal{Citations}, []Signal{BrandedSearches, BrandedSearchesHour, BrandedAdImpressions, GlanceViews}, []Signal{TikTokViews, ReplenishmentSends, CategoryAdImpressions}, BrandedRevenue},
	{8, NodeAISearch, NodeShopify, ShortWindowHours, []Signal{Citations}, []Signal{AISessions, AIOrders}, []Signal{TikTokViews, ReplenishmentSends}, ShopifyRevenue},
	{9, NodeMessaging, NodeAmazon, ShortWindowHours, []Signal{ReplenishmentSends, ReplenishmentClicks}, []Signal{RepeatUnits, Reviews}, []Signal{TikTokViews, Citations, CategoryAdImpressions}, BrandedRevenue},
	{10, NodeMessaging, NodeTikTok, LongWindowHours, []Signal{ReactivationSends}, []Signal{CreatorsJoined, ReactivatedPosts}, nil, NoSignal},
}
