package event

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestIDsArePublishedValues(t *testing.T) {
	for name, c := range map[string]struct {
		record, brand, source, key string
		version                    int64
		want                       string
	}{
		"nothing at all":      {"", "", "", "", 0, "15ec7bf0-b507-32b4-9f82-28e07d243653"},
		"a fact":              {"amazon_review", "acme", "amazon_reviews", "R1KX", 0, "bd4c9167-3897-ed1a-9f7d-1a5db4b11de4"},
		"a snapshot":          {"tiktok_shop_order", "acme", "tiktok_shop_webhook", "576684019603311365", 1_664_095_610, "aefcad3e-09e5-400f-07db-864a3bee1b53"},
		"its next version":    {"tiktok_shop_order", "acme", "tiktok_shop_webhook", "576684019603311365", 1_664_095_611, "1f2689c2-06c6-0cfa-e252-2e7f5acb2fa7"},
		"a negative version":  {"tiktok_shop_order", "acme", "tiktok_shop_webhook", "576684019603311365", -1, "f6a8d8f0-86a6-1ec8-177c-cd0ebb8534cd"},
		"a key of many bytes": {"amazon_search_report", "größe", "sqp", strings.Repeat("名", 100), 7, "f4754ac9-8344-7f96-befa-93d699b9cded"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := NewID(c.record, c.brand, c.source, c.key, c.version).String(); got != c.want {
				t.Errorf("NewID: %s, published as %s", got, c.want)
			}
		})
	}
}

// Moving a byte from one part to the next must not give the same identity.
func TestIDsTellTuplesApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(1, 12, -1)
		whole := text.Draw(t, "a") + text.Draw(t, "b")
		i := rapid.IntRange(0, len(whole)).Draw(t, "i")
		j := rapid.IntRange(0, len(whole)).Draw(t, "j")
		same := NewID(whole[:i], whole[i:], "s", "k", 1) == NewID(whole[:j], whole[j:], "s", "k", 1)
		if same != (i == j) {
			t.Fatalf("%q cut at %d and at %d: same identity %v", whole, i, j, same)
		}
	})
}

// head is a good header of the mode.
func head(m Mode) Header {
	h := Header{
		EventID: ID{1}, BrandID: "acme", Source: "test",
		OccurredAtMs: 1_790_000_000_000, ObservedAtMs: 1_790_000_001_000,
	}
	if m != Fact {
		h.NaturalKey, h.Version = "key", 3
	}
	return h
}

// good holds a valid record of each type.
func good() []Record {
	return []Record{
		&TikTokContentPublished{Header: head(Snapshot), ContentID: "c1", Kind: ContentKindVideo},
		&TikTokContentStatistics{Header: head(Counter), ContentID: "c1", PublishedAtMs: 1_789_000_000_000, Views: 10},
		&TikTokShopOrder{Header: head(Snapshot), OrderID: "o1", Status: OrderStatusPlaced, Units: 2, ReturnedUnits: 1, GrossMicros: 20_000_000, RefundedMicros: 5_000_000, Currency: "USD"},
		&TikTokAdReportHour{Header: head(Snapshot), AdID: "a1", Impressions: 100, SpendMicros: 1, Currency: "EUR"},
		&TikTokCreatorJoined{Header: head(Fact), CreatorID: "k1"},
		&AmazonSearchReport{Header: head(Snapshot), Query: "acme soap", Branded: true, PeriodMinutes: 60, Volume: 10, ClickShare: 1},
		&AmazonTrafficHour{Header: head(Snapshot), ASIN: "B00", GlanceViews: 5},
		&AmazonSalesHour{Header: head(Snapshot), ASIN: "B00", Units: 1, OrderedMicros: 9_990_000, Currency: "USD"},
		&AmazonOrder{Header: head(Snapshot), OrderID: "o1", Status: OrderStatusShipped, Units: 3, ReturnedUnits: 1, GrossMicros: 30_000_000, RefundedMicros: 10_000_000, Branded: true, Repeat: true, Currency: "USD"},
		&AmazonAdStream{Header: head(Fact), CampaignID: "m1", Branded: true, ImpressionsDelta: -7, Currency: "USD"},
		&AmazonReview{Header: head(Fact), ReviewID: "r1", Stars: 5},
		&ShopifyCustomerRegistered{Header: head(Fact), CustomerID: "u1", Origin: RegistrationOriginQR, Consented: true},
		&ShopifyOrder{Header: head(Snapshot), OrderID: "o1", Status: OrderStatusDelivered, Referrer: ReferrerAI, Units: 1, GrossMicros: 7, Currency: "USD"},
		&ShopifySession{Header: head(Fact), SessionID: "s1", Referrer: ReferrerAI},
		&AICitationTrial{Header: head(Fact), TrialID: "t1", Engine: "e1", Citations: 2},
		&MessageEvent{Header: head(Fact), MessageID: "m1", CustomerID: "u1", Action: MessageActionSent, Purpose: MessagePurposeReplenishment},
		&CalendarEvent{Header: head(Snapshot), Kind: CalendarKindPromotion, Node: NodeAmazon, EndsAtMs: 1_790_000_086_400, Name: "sale"},
	}
}

// sample returns a good record of type R.
func sample[R Record](t *testing.T) R {
	t.Helper()
	for _, r := range good() {
		if r, ok := r.(R); ok {
			return r
		}
	}
	t.Fatal("there is no sample of the type")
	panic("unreachable")
}

func TestGoodRecordsOfEveryTypeAreValid(t *testing.T) {
	seen := make(map[Type]bool)
	for _, r := range good() {
		seen[r.Type()] = true
		if err := r.Validate(); err != nil {
			t.Errorf("%s: %v", r.Type(), err)
		}
	}
	if len(seen) != len(Types()) {
		t.Errorf("%d of %d types have a sample", len(seen), len(Types()))
	}
}

// refuse changes a good record and expects the named field to be at fault.
func refuse[R Record](field string, change func(R)) func(*testing.T) {
	return func(t *testing.T) {
		r := sample[R](t)
		change(r)
		wantFault(t, r, field)
	}
}

func wantFault(t *testing.T, r Record, field string) {
	t.Helper()
	err := r.Validate()
	var fault *FieldError
	if !errors.As(err, &fault) || fault.Field != field {
		t.Fatalf("%s: %v, want field %s refused", r.Type(), err, field)
	}
	if fault.Want == "" || !strings.Contains(err.Error(), field) {
		t.Errorf("the error does not say what the field may hold: %v", err)
	}
}

func TestBadHeadersAreRefusedInEveryType(t *testing.T) {
	long := strings.Repeat("x", TextBytesMax+1)
	for name, c := range map[string]struct {
		field  string
		change func(*Header)
	}{
		"no event id":                    {"event_id", func(h *Header) { h.EventID = ID{} }},
		"no brand":                       {"brand_id", func(h *Header) { h.BrandID = "" }},
		"a brand that is too long":       {"brand_id", func(h *Header) { h.BrandID = long }},
		"no source":                      {"source", func(h *Header) { h.Source = "" }},
		"a source that is too long":      {"source", func(h *Header) { h.Source = long }},
		"it happened at no time":         {"occurred_at", func(h *Header) { h.OccurredAtMs = 0 }},
		"it happened before 1970":        {"occurred_at", func(h *Header) { h.OccurredAtMs = -1 }},
		"it happened after 2100":         {"occurred_at", func(h *Header) { h.OccurredAtMs = timeMsMax + 1 }},
		"its time is in seconds no more": {"occurred_at", func(h *Header) { h.OccurredAtMs *= 1000 }},
		"it was seen at no time":         {"observed_at", func(h *Header) { h.ObservedAtMs = 0 }},
		"it was seen after 2100":         {"observed_at", func(h *Header) { h.ObservedAtMs = math.MaxInt64 }},
		"its natural key is too long":    {"natural_key", func(h *Header) { h.NaturalKey = long }},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range good() {
				c.change(r.Head())
				wantFault(t, r, c.field)
			}
		})
	}
}

func TestKeyAndVersionGoWithTheMode(t *testing.T) {
	for _, r := range good() {
		h, fact := r.Head(), r.Type().Info().Mode == Fact
		was := *h
		if fact {
			h.NaturalKey = "key"
			wantFault(t, r, "natural_key")
			h.NaturalKey, h.Version = "", 1
			wantFault(t, r, "natural_key")
		} else {
			h.NaturalKey = ""
			wantFault(t, r, "natural_key")
			h.NaturalKey, h.Version = was.NaturalKey, -1
			wantFault(t, r, "version")
		}
	}
}

func TestBadFieldsAreRefused(t *testing.T) {
	long := strings.Repeat("x", TextBytesMax+1)
	for name, test := range map[string]func(*testing.T){
		"a post without content":                  refuse("content_id", func(r *TikTokContentPublished) { r.ContentID = "" }),
		"a post of a creator that is too long":    refuse("creator_id", func(r *TikTokContentPublished) { r.CreatorID = long }),
		"a post of a product that is too long":    refuse("product_id", func(r *TikTokContentPublished) { r.ProductID = long }),
		"a post of a campaign that is too long":   refuse("campaign_id", func(r *TikTokContentPublished) { r.CampaignID = long }),
		"counters without content":                refuse("content_id", func(r *TikTokContentStatistics) { r.ContentID = "" }),
		"counters before publication":             refuse("published_at", func(r *TikTokContentStatistics) { r.PublishedAtMs = r.OccurredAtMs + 1 }),
		"counters of what was never published":    refuse("published_at", func(r *TikTokContentStatistics) { r.PublishedAtMs = 0 }),
		"fewer than no views":                     refuse("views", func(r *TikTokContentStatistics) { r.Views = -1 }),
		"more views than there can be":            refuse("views", func(r *TikTokContentStatistics) { r.Views = CountMax + 1 }),
		"fewer than no likes":                     refuse("likes", func(r *TikTokContentStatistics) { r.Likes = -1 }),
		"fewer than no comments":                  refuse("comments", func(r *TikTokContentStatistics) { r.Comments = -1 }),
		"fewer than no shares":                    refuse("shares", func(r *TikTokContentStatistics) { r.Shares = -1 }),
		"fewer than no product clicks":            refuse("product_clicks", func(r *TikTokContentStatistics) { r.ProductClicks = -1 }),
		"fewer than no carts":                     refuse("carts", func(r *TikTokContentStatistics) { r.Carts = -1 }),
		"an order without id":                     refuse("order_id", func(r *TikTokShopOrder) { r.OrderID = "" }),
		"an order of fewer than no units":         refuse("units", func(r *TikTokShopOrder) { r.Units, r.ReturnedUnits = -1, -1 }),
		"more units returned than ordered":        refuse("returned_units", func(r *AmazonOrder) { r.ReturnedUnits = r.Units + 1 }),
		"fewer than no units returned":            refuse("returned_units", func(r *ShopifyOrder) { r.ReturnedUnits = -1 }),
		"an order of a negative amount":           refuse("gross_micros", func(r *AmazonOrder) { r.GrossMicros = -1 }),
		"an order beyond all amounts":             refuse("gross_micros", func(r *AmazonOrder) { r.GrossMicros = MicrosMax + 1 }),
		"more refunded than paid":                 refuse("refunded_micros", func(r *ShopifyOrder) { r.RefundedMicros = r.GrossMicros + 1 }),
		"a negative refund":                       refuse("refunded_micros", func(r *TikTokShopOrder) { r.RefundedMicros = -1 }),
		"an order in no currency":                 refuse("currency", func(r *TikTokShopOrder) { r.Currency = "" }),
		"an order in a currency of small letters": refuse("currency", func(r *AmazonOrder) { r.Currency = "usd" }),
		"a currency of four letters":              refuse("currency", func(r *ShopifyOrder) { r.Currency = "EURO" }),
		"an order of content that is too long":    refuse("content_id", func(r *TikTokShopOrder) { r.ContentID = long }),
		"an order of an item that is too long":    refuse("asin", func(r *AmazonOrder) { r.ASIN = long }),
		"an order of a buyer that is too long":    refuse("customer_id", func(r *ShopifyOrder) { r.CustomerID = long }),
		"an ad without id":                        refuse("ad_id", func(r *TikTokAdReportHour) { r.AdID = "" }),
		"an ad shown fewer than no times":         refuse("impressions", func(r *TikTokAdReportHour) { r.Impressions = -1 }),
		"an ad clicked fewer than no times":       refuse("clicks", func(r *TikTokAdReportHour) { r.Clicks = -1 }),
		"an ad of fewer than no conversions":      refuse("conversions", func(r *TikTokAdReportHour) { r.Conversions = -1 }),
		"an ad of negative spend":                 refuse("spend_micros", func(r *TikTokAdReportHour) { r.SpendMicros = -1 }),
		"a creator without id":                    refuse("creator_id", func(r *TikTokCreatorJoined) { r.CreatorID = "" }),
		"a search for nothing":                    refuse("query", func(r *AmazonSearchReport) { r.Query = "" }),
		"a report of no time":                     refuse("period_minutes", func(r *AmazonSearchReport) { r.PeriodMinutes = 0 }),
		"a report of more than a quarter":         refuse("period_minutes", func(r *AmazonSearchReport) { r.PeriodMinutes = PeriodMinutesMax + 1 }),
		"fewer than no searches":                  refuse("volume", func(r *AmazonSearchReport) { r.Volume = -1 }),
		"a share of more than all impressions":    refuse("impression_share", func(r *AmazonSearchReport) { r.ImpressionShare = 1.01 }),
		"a negative share of clicks":              refuse("click_share", func(r *AmazonSearchReport) { r.ClickShare = -0.01 }),
		"a share of purchases that is no number":  refuse("purchase_share", func(r *AmazonSearchReport) { r.PurchaseShare = math.NaN() }),
		"traffic of no item":                      refuse("asin", func(r *AmazonTrafficHour) { r.ASIN = "" }),
		"fewer than no glance views":              refuse("glance_views", func(r *AmazonTrafficHour) { r.GlanceViews = -1 }),
		"sales of no item":                        refuse("asin", func(r *AmazonSalesHour) { r.ASIN = "" }),
		"sales of fewer than no units":            refuse("units", func(r *AmazonSalesHour) { r.Units = -1 }),
		"sales of a negative amount":              refuse("ordered_micros", func(r *AmazonSalesHour) { r.OrderedMicros = -1 }),
		"a delta of no campaign":                  refuse("campaign_id", func(r *AmazonAdStream) { r.CampaignID = "" }),
		"a delta of impressions beyond bounds":    refuse("impressions_delta", func(r *AmazonAdStream) { r.ImpressionsDelta = math.MinInt64 }),
		"a delta of clicks beyond bounds":         refuse("clicks_delta", func(r *AmazonAdStream) { r.ClicksDelta = CountMax + 1 }),
		"a delta of spend beyond bounds":          refuse("spend_delta_micros", func(r *AmazonAdStream) { r.SpendDeltaMicros = -MicrosMax - 1 }),
		"a review without id":                     refuse("review_id", func(r *AmazonReview) { r.ReviewID = "" }),
		"a review of no stars":                    refuse("stars", func(r *AmazonReview) { r.Stars = 0 }),
		"a review of six stars":                   refuse("stars", func(r *AmazonReview) { r.Stars = 6 }),
		"a registration of nobody":                refuse("customer_id", func(r *ShopifyCustomerRegistered) { r.CustomerID = "" }),
		"a session without id":                    refuse("session_id", func(r *ShopifySession) { r.SessionID = "" }),
		"a trial without id":                      refuse("trial_id", func(r *AICitationTrial) { r.TrialID = "" }),
		"a trial of no engine":                    refuse("engine", func(r *AICitationTrial) { r.Engine = "" }),
		"fewer than no citations":                 refuse("citations", func(r *AICitationTrial) { r.Citations = -1 }),
		"a message without id":                    refuse("message_id", func(r *MessageEvent) { r.MessageID = "" }),
		"a message to nobody":                     refuse("customer_id", func(r *MessageEvent) { r.CustomerID = "" }),
		"a message to a segment too long":         refuse("segment", func(r *MessageEvent) { r.Segment = long }),
		"a promotion that ends as it starts":      refuse("ends_at", func(r *CalendarEvent) { r.EndsAtMs = r.OccurredAtMs }),
		"a promotion that ends after 2100":        refuse("ends_at", func(r *CalendarEvent) { r.EndsAtMs = timeMsMax + 1 }),
	} {
		t.Run(name, test)
	}
}

func TestValuesOnTheBoundsAreTaken(t *testing.T) {
	full := strings.Repeat("x", TextBytesMax)
	order := sample[*AmazonOrder](t)
	order.OrderID, order.Units, order.ReturnedUnits = full, math.MaxInt32, math.MaxInt32
	order.GrossMicros, order.RefundedMicros = MicrosMax, MicrosMax
	order.BrandID, order.NaturalKey, order.Source, order.OccurredAtMs, order.Version = full, full, full, timeMsMax, math.MaxInt64
	deltas := sample[*AmazonAdStream](t)
	deltas.ImpressionsDelta, deltas.ClicksDelta, deltas.SpendDeltaMicros = -CountMax, CountMax, -MicrosMax
	counters := sample[*TikTokContentStatistics](t)
	counters.PublishedAtMs, counters.Views = counters.OccurredAtMs, CountMax
	for _, r := range []Record{order, deltas, counters} {
		if err := r.Validate(); err != nil {
			t.Errorf("%s: %v", r.Type(), err)
		}
	}
}

func TestBrandsAreBounded(t *testing.T) {
	good := func() *Brand {
		return &Brand{
			BrandID: "acme", Version: 1, Name: "Acme", Variants: []string{"acme"}, TimeZone: "Europe/Berlin",
			UTCOffsets: []UTCOffset{{OffsetMinutes: 60}}, Currency: "EUR", Holidays: []int32{20_000}, Accounts: []Account{{NodeAmazon, "A1"}},
		}
	}
	if err := good().Validate(); err != nil {
		t.Errorf("a good entry is refused: %v", err)
	}
	farthest := good()
	farthest.UTCOffsets = []UTCOffset{{FromMs: timeMsMax, OffsetMinutes: -1080}, {}}
	farthest.Holidays = []int32{47_481, 0} // 2099-12-31
	if err := farthest.Validate(); err != nil {
		t.Errorf("an entry at the bounds is refused: %v", err)
	}
	for name, tc := range map[string]struct {
		field  string
		change func(*Brand)
	}{
		"it has no id":                     {"brand_id", func(b *Brand) { b.BrandID = "" }},
		"its version is negative":          {"version", func(b *Brand) { b.Version = -1 }},
		"its name is too long":             {"name", func(b *Brand) { b.Name = strings.Repeat("x", TextBytesMax+1) }},
		"its zone is too long":             {"time_zone", func(b *Brand) { b.TimeZone = strings.Repeat("x", TextBytesMax+1) }},
		"its currency is none":             {"currency", func(b *Brand) { b.Currency = "eur" }},
		"an offset is of no zone":          {"utc_offsets", func(b *Brand) { b.UTCOffsets[0].OffsetMinutes = 1081 }},
		"an offset begins before 1970":     {"utc_offsets", func(b *Brand) { b.UTCOffsets[0].FromMs = -1 }},
		"an offset begins after 2100":      {"utc_offsets", func(b *Brand) { b.UTCOffsets[0].FromMs = timeMsMax + 1 }},
		"it has more offsets than changes": {"utc_offsets", func(b *Brand) { b.UTCOffsets = make([]UTCOffset, 1001) }},
		"a holiday is before 1970":         {"holidays", func(b *Brand) { b.Holidays[0] = -1 }},
		"a holiday is in 2100":             {"holidays", func(b *Brand) { b.Holidays[0] = 47_482 }},
		"it has more holidays than days":   {"holidays", func(b *Brand) { b.Holidays = make([]int32, 10_001) }},
		"a variant is too long":            {"variants", func(b *Brand) { b.Variants[0] = strings.Repeat("x", TextBytesMax+1) }},
		"it has too many variants":         {"variants", func(b *Brand) { b.Variants = make([]string, 1001) }},
		"an account has no id":             {"accounts", func(b *Brand) { b.Accounts[0].AccountID = "" }},
		"it has too many accounts":         {"accounts", func(b *Brand) { b.Accounts = make([]Account, 10_001) }},
	} {
		t.Run(name, func(t *testing.T) {
			b := good()
			tc.change(b)
			var field *FieldError
			if err := b.Validate(); !errors.As(err, &field) || field.Field != tc.field {
				t.Errorf("got %v, want a fault in %s", err, tc.field)
			}
		})
	}
}
