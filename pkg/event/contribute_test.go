package event

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// contribution describes what a changed sample of type R moves.
func contribution[R Record](change func(R), want ...Contribution) func(*testing.T) {
	return func(t *testing.T) {
		r := sample[R](t)
		if change != nil {
			change(r)
		}
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if want[i].AtMs == 0 {
				want[i].AtMs = r.Head().OccurredAtMs
			}
		}
		before := []Contribution{{Signal: Reviews, Value: 42}}
		got := r.Contribute(slices.Clone(before))
		if diff := cmp.Diff(append(before, want...), got); diff != "" {
			t.Errorf("contributions (-want +got):\n%s", diff)
		}
	}
}

func TestWhatEachRecordMoves(t *testing.T) {
	money := func(s Signal, micros int64, currency string) Contribution {
		return Contribution{Signal: s, Value: micros, Currency: currency}
	}
	count := func(s Signal, n int64) Contribution { return Contribution{Signal: s, Value: n} }
	const hour, halfPast = 1_789_999_200_000, 1_789_999_200_000 + 30*60_000

	for name, test := range map[string]func(*testing.T){
		"a post counts one, for its content": contribution[*TikTokContentPublished](nil,
			Contribution{Signal: TikTokPosts, Value: 1, Content: "c1"}),
		"a post of a customer won back counts as such too": contribution(func(r *TikTokContentPublished) { r.Reactivated = true },
			Contribution{Signal: TikTokPosts, Value: 1, Content: "c1"}, count(ReactivatedPosts, 1)),
		"counters give the cumulative views of their content": contribution[*TikTokContentStatistics](nil,
			Contribution{Signal: TikTokViews, Value: 10, Content: "c1", SinceMs: 1_789_000_000_000}),
		"counters at zero are an observation too": contribution(func(r *TikTokContentStatistics) { r.Views = 0 },
			Contribution{Signal: TikTokViews, Content: "c1", SinceMs: 1_789_000_000_000}),
		"an order on TikTok is worth what was not refunded": contribution[*TikTokShopOrder](nil, money(TikTokGMV, 15_000_000, "USD")),
		"a cancelled order on TikTok is worth nothing": contribution(func(r *TikTokShopOrder) { r.Status = OrderStatusCancelled },
			money(TikTokGMV, 0, "USD")),
		"an ad counts its impressions":                contribution[*TikTokAdReportHour](nil, count(TikTokAdImpressions, 100)),
		"an ad that nobody saw moves nothing":         contribution(func(r *TikTokAdReportHour) { r.Impressions = 0 }),
		"a creator counts one":                        contribution[*TikTokCreatorJoined](nil, count(CreatorsJoined, 1)),
		"a creator who is a customer counts twice":    contribution(func(r *TikTokCreatorJoined) { r.CustomerID = "u1" }, count(CreatorsJoined, 1), count(KnownCreatorsJoined, 1)),
		"an hour of searches never poses as quarters": contribution(func(r *AmazonSearchReport) { r.OccurredAtMs = hour }, count(BrandedSearchesHour, 10)),
		"an hour from half past is spread over two, the remainder first": contribution(func(r *AmazonSearchReport) { r.OccurredAtMs, r.Volume = halfPast, 11 },
			Contribution{Signal: BrandedSearchesHour, AtMs: halfPast, Value: 6},
			Contribution{Signal: BrandedSearchesHour, AtMs: hour + 60*60_000, Value: 5}),
		"45 minutes from half past, by their quarters": contribution(func(r *AmazonSearchReport) { r.OccurredAtMs, r.PeriodMinutes, r.Volume = halfPast, 45, 10 },
			Contribution{Signal: BrandedSearchesHour, AtMs: halfPast, Value: 7},
			Contribution{Signal: BrandedSearchesHour, AtMs: hour + 60*60_000, Value: 3}),
		"half an hour of one search is of its hour": contribution(func(r *AmazonSearchReport) { r.PeriodMinutes, r.Volume = 30, 1 }, count(BrandedSearchesHour, 1)),
		"a quarter of searches stays one":           contribution(func(r *AmazonSearchReport) { r.PeriodMinutes = 15 }, count(BrandedSearches, 10)),
		"a day of searches never poses as quarters": contribution(func(r *AmazonSearchReport) { r.PeriodMinutes = 1440 },
			count(BrandedSearchesDay, 10)),
		"a week of searches never poses as a day": contribution(func(r *AmazonSearchReport) { r.PeriodMinutes = 10_080 },
			count(BrandedSearchesWeek, 10)),
		"a month of searches poses as nothing":     contribution(func(r *AmazonSearchReport) { r.PeriodMinutes = 30 * 1440 }),
		"searches for something else move nothing": contribution(func(r *AmazonSearchReport) { r.Branded = false }),
		"traffic counts glance views":              contribution[*AmazonTrafficHour](nil, count(GlanceViews, 5)),
		"hourly sales count their money":           contribution[*AmazonSalesHour](nil, money(OrderedSales, 9_990_000, "USD")),
		"a branded order on Amazon moves revenue and units": contribution[*AmazonOrder](nil,
			money(BrandedRevenue, 20_000_000, "USD"), count(UnitsShipped, 2), count(RepeatUnits, 2)),
		"another order on Amazon moves units only": contribution(func(r *AmazonOrder) { r.Branded, r.Repeat = false, false }, count(UnitsShipped, 2)),
		"a cancelled order on Amazon takes all back": contribution(func(r *AmazonOrder) { r.Status = OrderStatusCancelled },
			money(BrandedRevenue, 0, "USD")),
		"a correction of ad traffic is negative":        contribution[*AmazonAdStream](nil, count(BrandedAdImpressions, -7)),
		"ad traffic on other keywords is of its own":    contribution(func(r *AmazonAdStream) { r.Branded = false }, count(CategoryAdImpressions, -7)),
		"a review counts one, whatever its stars":       contribution(func(r *AmazonReview) { r.Stars = 1 }, count(Reviews, 1)),
		"a registration from a parcel, with consent":    contribution[*ShopifyCustomerRegistered](nil, count(AmazonRegistrations, 1), count(ConsentedRegistrations, 1)),
		"a registration from an insert without consent": contribution(func(r *ShopifyCustomerRegistered) { r.Origin, r.Consented = RegistrationOriginInsert, false }, count(AmazonRegistrations, 1)),
		"a registration from an offer without consent":  contribution(func(r *ShopifyCustomerRegistered) { r.Origin, r.Consented = RegistrationOriginOffer, false }, count(AmazonRegistrations, 1)),
		"a registration that came by itself":            contribution(func(r *ShopifyCustomerRegistered) { r.Origin = RegistrationOriginOrganic }, count(ConsentedRegistrations, 1)),
		"a registration that was paid for":              contribution(func(r *ShopifyCustomerRegistered) { r.Origin = RegistrationOriginPaid }, count(ConsentedRegistrations, 1)),
		"a registration after a review request":         contribution(func(r *ShopifyCustomerRegistered) { r.Origin = RegistrationOriginReviewRequest }, count(ConsentedRegistrations, 1)),
		"an order in the store sent by an engine":       contribution[*ShopifyOrder](nil, money(ShopifyRevenue, 7, "USD"), count(AIOrders, 1)),
		"an order in the store sent by a search":        contribution(func(r *ShopifyOrder) { r.Referrer = ReferrerSearch }, money(ShopifyRevenue, 7, "USD")),
		"a cancelled order in the store":                contribution(func(r *ShopifyOrder) { r.Status = OrderStatusCancelled }, money(ShopifyRevenue, 0, "USD")),
		"a session sent by an engine":                   contribution[*ShopifySession](nil, count(AISessions, 1)),
		"a session that came directly":                  contribution(func(r *ShopifySession) { r.Referrer = ReferrerDirect }),
		"a trial counts its citations":                  contribution[*AICitationTrial](nil, count(Citations, 2)),
		"a trial that cites others moves nothing":       contribution(func(r *AICitationTrial) { r.Citations = 0 }),
		"a reminder to buy again that was sent":         contribution[*MessageEvent](nil, count(ReplenishmentSends, 1)),
		"a review request that was sent":                contribution(func(r *MessageEvent) { r.Purpose = MessagePurposeReviewRequest }, count(ReplenishmentSends, 1)),
		"a reactivation that was sent":                  contribution(func(r *MessageEvent) { r.Purpose = MessagePurposeReactivation }, count(ReactivationSends, 1)),
		"an invitation to create that was sent":         contribution(func(r *MessageEvent) { r.Purpose = MessagePurposeCreatorInvite }, count(CreatorInvites, 1)),
		"a campaign that was sent moves nothing":        contribution(func(r *MessageEvent) { r.Purpose = MessagePurposeCampaign }),
		"a message that was delivered moves nothing":    contribution(func(r *MessageEvent) { r.Action = MessageActionDelivered }),
		"a message of a segment that was opened":        contribution(func(r *MessageEvent) { r.Action, r.Segment = MessageActionOpened, "vip" }, count(ActiveSubscribers, 1)),
		"a message of no segment that was opened":       contribution(func(r *MessageEvent) { r.Action = MessageActionOpened }),
		"a reminder of a segment that was clicked":      contribution(func(r *MessageEvent) { r.Action, r.Segment = MessageActionClicked, "vip" }, count(ReplenishmentClicks, 1), count(ActiveSubscribers, 1)),
		"a promotion moves nothing by itself":           contribution[*CalendarEvent](nil),
	} {
		t.Run(name, test)
	}
}

func TestEverySignalHasARecordThatMovesIt(t *testing.T) {
	moved := make(map[Signal]bool)
	note := func(rs ...Record) {
		for _, r := range rs {
			for _, c := range r.Contribute(nil) {
				moved[c.Signal] = true
				if want := c.Signal.Info().Record; r.Type() != want {
					t.Errorf("%s is moved by %s, want %s alone", c.Signal, r.Type(), want)
				}
			}
		}
	}
	note(good()...)
	note(
		&TikTokContentPublished{Reactivated: true},
		&TikTokCreatorJoined{CustomerID: "u1"},
		&AmazonSearchReport{Branded: true, PeriodMinutes: 15, Volume: 1},
		&AmazonSearchReport{Branded: true, PeriodMinutes: 1440, Volume: 1},
		&AmazonSearchReport{Branded: true, PeriodMinutes: 10_080, Volume: 1},
		&AmazonAdStream{ImpressionsDelta: 1},
	)
	for _, purpose := range []MessagePurpose{MessagePurposeReplenishment, MessagePurposeReactivation, MessagePurposeCreatorInvite} {
		for _, action := range []MessageAction{MessageActionSent, MessageActionClicked} {
			note(&MessageEvent{Purpose: purpose, Action: action, Segment: "vip"})
		}
	}
	for s := NoSignal + 1; s < signalEnd; s++ {
		if !moved[s] {
			t.Errorf("no record moves signal %s", s)
		}
	}
}

// Spreading a report over buckets neither makes nor loses a search, and keeps
// within the period; one of more than a week is spread over none.
func TestSpreadSearchesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &AmazonSearchReport{
			Header: Header{OccurredAtMs: 1_790_000_000_000}, Branded: true,
			PeriodMinutes: rapid.Int32Range(1, PeriodMinutesMax).Draw(t, "period"),
			Volume:        rapid.Int64Range(0, CountMax).Draw(t, "volume"),
		}
		var sum int64
		for _, c := range r.Contribute(nil) {
			sum += c.Value
			if c.Value < 1 || c.AtMs < r.OccurredAtMs || c.AtMs >= r.OccurredAtMs+int64(r.PeriodMinutes)*60_000 {
				t.Fatalf("%+v of a report of %d minutes at %d", c, r.PeriodMinutes, r.OccurredAtMs)
			}
		}
		if r.PeriodMinutes > 7*1440 {
			r.Volume = 0
		}
		if sum != r.Volume {
			t.Fatalf("%d searches of %d", sum, r.Volume)
		}
	})
}
