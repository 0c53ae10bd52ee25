package verify

import (
	"fmt"
	"testing"
	"time"

	"flywheel/pkg/event"
	"flywheel/pkg/topology"
)

// TestADayThatIsNoneAnyMoreMustHoldNothing sells for some days before the brand's
// time zone is known: the stream has taken the days of UTC back by then, and the
// batch knows the brand's own only.
func TestADayThatIsNoneAnyMoreMustHoldNothing(t *testing.T) {
	const (
		brand   = "acme"
		days    = 4
		dayMs   = 86_400_000
		beginMs = 20_000 * dayMs
	)
	stream, batch := partition(t), &batch{Partition: partition(t)}
	sell := func(p *topology.Partition) {
		for hour := range int64(days * 24) {
			id, at := fmt.Sprint(hour), beginMs+hour*3_600_000
			header := func(record, source string) event.Header {
				return event.Header{
					EventID: event.NewID(record, brand, source, id, 1), BrandID: brand, OccurredAtMs: at, ObservedAtMs: at,
					Source: source, NaturalKey: id, Version: 1,
				}
			}
			for _, r := range []event.Record{
				&event.AmazonOrder{Header: header("amazon_order", "orders"), OrderID: id, Status: event.OrderStatusPlaced, Units: 1, GrossMicros: 1e6 + hour, Currency: "USD"},
				&event.TikTokShopOrder{Header: header("tiktok_shop_order", "shop"), OrderID: id, Status: event.OrderStatusPlaced, Units: 1, GrossMicros: 1e5, Currency: "USD"},
			} {
				if outcome := p.Apply(r, at); outcome != topology.Applied {
					t.Fatalf("order %s: %v", id, outcome)
				}
			}
		}
	}
	entry := func(p *topology.Partition) {
		p.ApplyBrand(&event.Brand{BrandID: brand, Version: 1, Currency: "USD", UTCOffsets: []event.UTCOffset{{OffsetMinutes: -300}}})
	}
	type key struct {
		dayMs int64
		node  event.NodeName
	}
	rows := make(map[key]event.Credit)
	publish := func() {
		const all = topology.Budget(1 << 40)
		for again := true; again; again = stream.Stats().Dirty > 0 {
			stream.Refresh(beginMs+days*dayMs, all, func(result any) {
				if r, ok := result.(*event.Credit); ok {
					rows[key{r.DayMs, r.Node}] = *clone(r)
				}
			})
		}
	}
	sell(stream)
	publish()
	entry(stream)
	publish()
	sell(batch.Partition)
	entry(batch.Partition)

	var none, some int
	for k, row := range rows {
		if diff := Differs(batch.day(&row), &row); diff != "" {
			t.Errorf("%s on the day that begins at %s (-batch +stream):\n%s", k.node, time.UnixMilli(k.dayMs).UTC(), diff)
		}
		if k.dayMs%dayMs == 0 {
			none++
		} else {
			some++
		}
		row.DirectGMVMicros++
		if Differs(batch.day(&row), &row) == "" {
			t.Errorf("%s on the day that begins at %s: a sale too many is not noticed", k.node, time.UnixMilli(k.dayMs).UTC())
		}
	}
	if none == 0 || some == 0 {
		t.Errorf("%d rows of UTC's days and %d of the brand's own: that is no test", none, some)
	}
}

func partition(t *testing.T) *topology.Partition {
	t.Helper()
	cfg := topology.DefaultConfig()
	cfg.RefreshInterval = 0
	p, err := topology.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
