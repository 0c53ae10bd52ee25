package simulator

import (
	"math"
	"strconv"

	"flywheel/pkg/event"
)

// orderKind says what an order on Amazon is.
type orderKind struct {
	branded, repeat bool
	caused          bool // by a TikTok post: known to nobody but the ledger
}

// stage is one state of an order and when it is reached.
type stage struct {
	status   event.OrderStatus
	at       int64
	returned int32
	refunded int64
}

// basket draws what one order is worth.
func (b *brand) basket(price float64) (units int32, micros int64, currency string) {
	units = 1
	for units < 5 && b.details.chance(0.22) {
		units++
	}
	currency = b.place.currency
	if b.details.chance(0.01) {
		currency = b.foreign
	}
	unit := math.Round(float64(b.price)*price*b.details.uniform(0.9, 1.1)/10_000) * 10_000 // whole cents
	return units, int64(units) * int64(unit), currency
}

// stages draws the states of an order placed at a moment. A few returns come
// back so late that they can no longer be applied.
func (b *brand) stages(placed int64, units int32, micros int64) []stage {
	hours := func(low, high float64) int64 { return placed + int64(b.details.uniform(low, high)*hourMs) }
	s := []stage{{status: event.OrderStatusPlaced, at: placed}}
	if b.details.chance(0.03) {
		return append(s, stage{status: event.OrderStatusCancelled, at: hours(0.3, 8)})
	}
	s = append(s, stage{status: event.OrderStatusShipped, at: hours(3, 30)})
	switch u := b.details.Float64(); {
	case u < 0.06:
		back := 1 + int32(b.details.IntN(int(units)))
		at := hours(31, 70)
		if b.details.chance(0.1) {
			at = hours(75, 200)
		}
		return append(s, stage{status: event.OrderStatusReturned, at: at, returned: back, refunded: micros / int64(units) * int64(back)})
	case u < 0.4:
		return append(s, stage{status: event.OrderStatusDelivered, at: hours(31, 70)})
	}
	return s
}

func (b *brand) order(at int64, price float64, kind orderKind) {
	when := b.within(at)
	units, micros, currency := b.basket(price)
	item := b.details.IntN(asins)
	n := 100_000_000_000_000_000 + b.number()*104_729
	s := strconv.FormatInt(n, 10)
	id := s[:3] + "-" + s[3:10] + "-" + s[11:]
	for len(b.units) <= b.t {
		b.units = append(b.units, 0)
	}
	b.units[b.t] += float32(units)
	if currency == b.place.currency {
		b.hour.units[item] += int64(units)
		b.hour.micros[item] += micros
	}
	for v, st := range b.stages(when, units, micros) {
		b.emit(&event.AmazonOrder{
			Header:  b.version(event.TypeAmazonOrder, "amazon_order_poll", id, int64(v+1), when, b.after(st.at, 60)),
			OrderID: id, Status: st.status, ASIN: asin(item), Units: units, ReturnedUnits: st.returned,
			GrossMicros: micros, RefundedMicros: st.refunded, Branded: kind.branded, Repeat: kind.repeat, Currency: currency,
		}, kind.caused)
	}
}

func (b *brand) shopOrder(at int64, views float64) {
	when := b.within(at)
	units, micros, currency := b.basket(0.8)
	id := strconv.FormatInt(576_000_000_000_000_000+b.number()*7919, 10)
	buyer := b.customer()
	var seller *post
	if views > 0 {
		// One of the posts that were seen, by its views.
		pick := int64(b.details.Float64() * views)
		for i := b.oldest; i < len(b.posts); i++ {
			p := &b.posts[i]
			if pick -= p.viewsAt(at+quarterMs) - p.viewsAt(at); pick < 0 {
				seller = p
				break
			}
		}
	}
	for v, st := range b.stages(when, units, micros) {
		r := &event.TikTokShopOrder{
			Header:  b.version(event.TypeTikTokShopOrder, "tiktok_shop_webhook", id, int64(v+1), when, b.after(st.at, 3)),
			OrderID: id, Status: st.status, CustomerID: buyer, Units: units, ReturnedUnits: st.returned,
			GrossMicros: micros, RefundedMicros: st.refunded, Currency: currency,
		}
		if seller != nil {
			r.ContentID, r.CreatorID = seller.contentID, seller.creatorID
		}
		b.emit(r, false)
	}
}

func (b *brand) storeOrder(at int64, from event.Referrer) {
	when := b.within(at)
	units, micros, currency := b.basket(1.1)
	id := strconv.FormatInt(5_000_000_000+b.number(), 10)
	buyer := b.customer()
	for v, st := range b.stages(when, units, micros) {
		b.emit(&event.ShopifyOrder{
			Header:  b.version(event.TypeShopifyOrder, "shopify_order_webhook", id, int64(v+1), when, b.after(st.at, 3)),
			OrderID: id, Status: st.status, CustomerID: buyer, Referrer: from, Units: units, ReturnedUnits: st.returned,
			GrossMicros: micros, RefundedMicros: st.refunded, Currency: currency,
		}, false)
	}
}
