package simulator

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"flywheel/pkg/event"
)

// Ledger is what was sent and what has to come of it, kept independently of the
// pipeline: it knows the rules of the contract, not the code that carries them
// out. Only what Kafka has acknowledged is in it. It is safe for concurrent use.
//
// Its memory grows with the dead letters and the days of revenue; what it needs
// to know an event again it forgets once that event could only be late.
type Ledger struct {
	world *world

	mu       sync.Mutex
	summary  Summary
	rows     map[event.Type]int64
	letters  []DeadLetter
	accounts []account
}

// Summary is the counts of a ledger.
type Summary struct {
	EventTime  time.Time              `json:"event_time"`  // how far arrivals have come, in event time
	Sent       int64                  `json:"sent"`        // channel records; Valid + Late + Duplicate + Poison
	Valid      int64                  `json:"valid"`       // Applied + Superseded
	Applied    int64                  `json:"applied"`     // have one effect
	Superseded int64                  `json:"superseded"`  // older than what is known: no effect, no dead letter
	Late       int64                  `json:"late"`        // more than 72 h behind their source
	Duplicate  int64                  `json:"duplicate"`   // seen before
	Poison     int64                  `json:"poison"`      // sum of the reasons that are neither late nor duplicate
	Repeated   int64                  `json:"repeated"`    // of Valid and Late: sent before, so that the raw tables have their row already
	Reasons    map[event.Reason]int64 `json:"reasons"`     // expected dead letters by reason
	BrandsSent int64                  `json:"brands_sent"` // brand records, which are not in Sent
}

// Detail is the whole ledger.
type Detail struct {
	Summary

	Seed  uint64    `json:"seed"`
	Start time.Time `json:"start"` // first moment of event time
	Live  time.Time `json:"live"`  // where live play begins
	End   time.Time `json:"end"`   // where event time ends

	// Rows is how many rows each raw table holds under FINAL, by record: the
	// distinct event ids of what is well-formed, valid, rightly keyed and on its
	// topic; late, duplicated, superseded and future ones are among them.
	Rows map[string]int64 `json:"rows"`
	// DeadLetters are the dead letters to be expected, by topic, partition and
	// offset: one for each record that is refused.
	DeadLetters []DeadLetter `json:"dead_letters"`
	// Revenue is what the credit rows add up to, sorted. What has no row here is
	// 0, whether the pipeline has a row for it or not.
	Revenue []Revenue `json:"revenue"`
	// Brands is the truth planted in each brand, in their order.
	Brands []Truth `json:"brands"`
	// Spikes are the viral posts whose response has begun within event time, by
	// start. Only brands with an effect have any.
	Spikes []Spike `json:"spikes"`
	// Confounders are the declared promotions and stock-outs within event time:
	// they move Amazon without any post.
	Confounders []Confounder `json:"confounders"`
}

// DeadLetter is one refusal to be expected.
type DeadLetter struct {
	Topic     string       `json:"topic"`
	Partition int32        `json:"partition"`
	Offset    int64        `json:"offset"`
	Reason    event.Reason `json:"reason"`
	BrandID   string       `json:"brand_id"` // the record's brand, or its key when it cannot be read
	EventID   string       `json:"event_id"` // empty when the record cannot be read or has none
}

// Revenue is the money of one day, net of cancellations and refunds, by what
// the processor applies: of Amazon the branded orders, of Shopify all, of
// TikTok direct GMV.
type Revenue struct {
	BrandID  string         `json:"brand_id"`
	Day      int64          `json:"day"`    // local day, in days since 1970-01-01
	DayMs    int64          `json:"day_ms"` // its first moment, in UTC
	Node     event.NodeName `json:"node"`
	Currency string         `json:"currency"`
	Micros   int64          `json:"micros"`
	// CausedMicros is the part that TikTok posts caused: what a perfect credit
	// to TikTok would be. Only Amazon has any.
	CausedMicros int64 `json:"caused_micros"`
}

// Truth is what was planted in one brand.
type Truth struct {
	BrandID         string  `json:"brand_id"`
	Name            string  `json:"name"`
	TimeZone        string  `json:"time_zone"`
	Currency        string  `json:"currency"`
	Null            bool    `json:"null"`              // posts have no effect
	DelayMinutes    int     `json:"delay_minutes"`     // of branded search on views
	HalfLifeMinutes int     `json:"half_life_minutes"` // of the decay after the delay, cut at 72 h
	Effect          float64 `json:"effect"`            // extra branded searches per 1 000 views
	Searches        float64 `json:"searches"`          // branded searches per hour without any post, on average
	SearchRevenue   int64   `json:"search_revenue"`    // micros of branded revenue per branded search, before returns
	// CausedMicros is the Amazon revenue TikTok posts caused so far, and
	// DirectMicros TikTok's own, net of returns, in the brand's currency, as far
	// as the processor applies it. Multiplier is their quotient: the planted
	// multiplier, 0 when there is no direct revenue.
	CausedMicros int64   `json:"caused_micros"`
	DirectMicros int64   `json:"direct_micros"`
	Multiplier   float64 `json:"multiplier"`
}

// Spike is one planted spike of branded search.
type Spike struct {
	BrandID   string `json:"brand_id"`
	ContentID string `json:"content_id"` // the viral post
	PostedMs  int64  `json:"posted_ms"`
	// StartMs is when the response begins: publication plus delay. VisibleMs is
	// the first quarter-hour in which it exceeds the brand's usual level at that
	// hour, and EndMs the end of the last one.
	StartMs   int64   `json:"start_ms"`
	VisibleMs int64   `json:"visible_ms"`
	EndMs     int64   `json:"end_ms"`
	Views     int64   `json:"views"`  // the post will gain
	Excess    float64 `json:"excess"` // expected extra searches
	// Early says that it comes within the first ten days of the play: before
	// anything can know the brand's usual level.
	Early bool `json:"early"`
}

// Confounder is a declared event that moves Amazon's searches or sales.
type Confounder struct {
	BrandID string             `json:"brand_id"`
	Kind    event.CalendarKind `json:"kind"`
	StartMs int64              `json:"start_ms"`
	EndMs   int64              `json:"end_ms"`
}

// account is what the ledger holds of one brand.
type account struct {
	feeds   map[string]*feed   // by source
	ids     map[string]*recent // by topic: only of one topic acknowledgements come in order
	revenue map[revenueKey]*money
	flows   []flow // by quarter-hour from the start, in the brand's currency
}

// flow is what the planted multiplier of a window is made of.
type flow struct{ caused, direct int64 }

type revenueKey struct {
	day      int64
	node     event.NodeName
	currency string
}

type money struct{ micros, caused int64 }

// recent remembers event ids for at least idsKeptMs of arrivals: nothing is sent
// again later than that.
type recent struct {
	fresh, old map[event.ID]struct{}
	sinceMs    int64
}

const idsKeptMs = 48 * hourMs

// add says whether the id is new.
func (r *recent) add(id event.ID, observedMs int64) bool {
	if r.fresh == nil || observedMs-r.sinceMs > idsKeptMs {
		r.old, r.fresh, r.sinceMs = r.fresh, make(map[event.ID]struct{}, len(r.fresh)), observedMs
	}
	if _, known := r.fresh[id]; known {
		return false
	}
	if _, known := r.old[id]; known {
		return false
	}
	r.fresh[id] = struct{}{}
	return true
}

func newLedger(w *world) *Ledger {
	l := &Ledger{
		world: w, rows: make(map[event.Type]int64), accounts: make([]account, len(w.brands)),
		summary: Summary{EventTime: time.UnixMilli(w.start).UTC(), Reasons: make(map[event.Reason]int64)},
	}
	for i := range l.accounts {
		l.accounts[i] = account{make(map[string]*feed), make(map[string]*recent), make(map[revenueKey]*money), nil}
	}
	return l
}

// receipt is what Kafka says of a record it has taken.
type receipt struct {
	topic, key  string
	partition   int32
	offset      int64
	timestampMs int64
}

// acknowledge enters a record. Those of one brand and topic come in the order of
// their offsets.
func (l *Ledger) acknowledge(it *item, r receipt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.summary.Sent++
	if at := time.UnixMilli(it.observedMs).UTC(); at.After(l.summary.EventTime) {
		l.summary.EventTime = at
	}
	reason, repeated := it.poison.reason(), false
	if it.poison == healthy || it.poison == fromFuture { // the raw tables hold it
		ids := l.accounts[it.brand].ids
		if ids[r.topic] == nil {
			ids[r.topic] = new(recent)
		}
		if repeated = !ids[r.topic].add(it.record.Head().EventID, it.observedMs); !repeated {
			l.rows[it.record.Type()]++
		}
	}
	if it.poison == healthy {
		reason = l.judge(it, r)
	}
	if repeated && (reason == "" || reason == event.ReasonLate) {
		l.summary.Repeated++
	}
	switch reason {
	case "":
		return
	case event.ReasonLate:
		l.summary.Late++
	case event.ReasonDuplicate:
		l.summary.Duplicate++
	default:
		l.summary.Poison++
	}
	l.summary.Reasons[reason]++
	l.letters = append(l.letters, l.letter(it, r, reason))
}

// judge applies a healthy record by the rules and returns why it is refused, if
// it is.
func (l *Ledger) judge(it *item, r receipt) event.Reason {
	a, t := &l.accounts[it.brand], &l.world.brands[it.brand].traits
	source := it.record.Head().Source
	f := a.feeds[source]
	if f == nil {
		f = newFeed()
		a.feeds[source] = f
	}
	was, outcome := f.take(it.record, r.timestampMs)
	switch outcome {
	case applied:
		l.summary.Applied++
		l.summary.Valid++
		if node, micros, currency, ok := proceeds(it.record); ok {
			key := revenueKey{t.day(it.record.Head().OccurredAtMs), node, currency}
			m := a.revenue[key]
			if m == nil {
				m = new(money)
				a.revenue[key] = m
			}
			m.micros += micros - was
			if it.caused {
				m.caused += micros - was
			}
			if currency == t.place.currency {
				a.flow(int((it.record.Head().OccurredAtMs-l.world.start)/quarterMs), node, it.caused, micros-was)
			}
		}
	case superseded:
		l.summary.Superseded++
		l.summary.Valid++
	default:
		return outcome.reason()
	}
	return ""
}

func (l *Ledger) letter(it *item, r receipt, reason event.Reason) DeadLetter {
	d := DeadLetter{Topic: r.topic, Partition: r.partition, Offset: r.offset, Reason: reason, BrandID: r.key}
	switch it.poison {
	case healthy, wrongKey, impossible, fromFuture: // the record can be read
		h := it.record.Head()
		d.BrandID = h.BrandID
		if h.EventID != (event.ID{}) {
			d.EventID = h.EventID.String()
		}
	}
	return d
}

// entered counts a brand's own record.
func (l *Ledger) entered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.summary.BrandsSent++
}

// Truth returns what was planted, brand by brand, with the multipliers so far.
func (l *Ledger) Truth() []Truth {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.truth()
}

func (l *Ledger) truth() []Truth {
	ts := make([]Truth, len(l.world.brands))
	for i, b := range l.world.brands {
		t := Truth{
			BrandID: b.id, Name: b.name, TimeZone: b.place.zone, Currency: b.place.currency, Null: b.null,
			DelayMinutes: b.delay * 15, HalfLifeMinutes: b.halfLife * 15, Effect: b.effect * 1000,
			Searches: b.level * quartersPerHour, SearchRevenue: int64(b.conversion * float64(b.price) * unitsMean),
		}
		for k, m := range l.accounts[i].revenue {
			switch {
			case k.currency != b.place.currency:
			case k.node == event.NodeAmazon:
				t.CausedMicros += m.caused
			case k.node == event.NodeTikTok:
				t.DirectMicros += m.micros
			}
		}
		if t.DirectMicros > 0 {
			t.Multiplier = float64(t.CausedMicros) / float64(t.DirectMicros)
		}
		ts[i] = t
	}
	return ts
}

// Multiplier returns the planted multiplier over the 72 h that end at a moment:
// the Amazon revenue TikTok posts caused over TikTok's direct revenue. It is
// false where there is no direct revenue, or no such brand.
func (l *Ledger) Multiplier(brandID string, until time.Time) (float64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.world.brands, func(b *brand) bool { return b.id == brandID })
	if i < 0 {
		return 0, false
	}
	flows := l.accounts[i].flows
	end := min(max(0, floorDiv(until.UnixMilli()-l.world.start, quarterMs)), int64(len(flows)))
	var sum flow
	for _, f := range flows[max(0, end-shortQuarters):end] {
		sum.caused += f.caused
		sum.direct += f.direct
	}
	if sum.direct <= 0 {
		return 0, false
	}
	return float64(sum.caused) / float64(sum.direct), true
}

// flow enters money of a quarter-hour.
func (a *account) flow(quarter int, node event.NodeName, caused bool, micros int64) {
	if node == event.NodeShopify {
		return
	}
	for len(a.flows) <= quarter {
		a.flows = append(a.flows, flow{})
	}
	switch {
	case node == event.NodeTikTok:
		a.flows[quarter].direct += micros
	case caused:
		a.flows[quarter].caused += micros
	}
}

// spikes returns the planted spikes that have become visible by the event time
// reached, by start.
func (l *Ledger) spikes() []Spike {
	var out []Spike
	for _, b := range l.world.brands {
		for _, s := range b.spikes {
			if s.VisibleMs < l.summary.EventTime.UnixMilli() {
				out = append(out, s)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Spike) int { return cmp.Compare(a.StartMs, b.StartMs) })
	return out
}

// Detail returns a copy of everything. It is exact once Run has returned.
func (l *Ledger) Detail() Detail {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := Detail{
		Summary: l.summary, Seed: l.world.cfg.Seed,
		Start: time.UnixMilli(l.world.start).UTC(), Live: time.UnixMilli(l.world.live).UTC(), End: time.UnixMilli(l.world.end).UTC(),
		Rows: make(map[string]int64), DeadLetters: slices.Clone(l.letters), Brands: l.truth(), Spikes: l.spikes(),
	}
	d.Reasons = maps.Clone(l.summary.Reasons)
	for _, t := range event.Types() {
		d.Rows[t.String()] = l.rows[t]
	}
	slices.SortFunc(d.DeadLetters, func(a, b DeadLetter) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	for i, b := range l.world.brands {
		for k, m := range l.accounts[i].revenue {
			if m.micros == 0 {
				continue
			}
			d.Revenue = append(d.Revenue, Revenue{
				BrandID: b.id, Day: k.day, DayMs: b.dayStart(k.day), Node: k.node, Currency: k.currency,
				Micros: m.micros, CausedMicros: m.caused,
			})
		}
		for _, e := range b.episodes {
			switch e.kind {
			case event.CalendarKindPromotion, event.CalendarKindStockOut:
				if e.from < l.summary.EventTime.UnixMilli() {
					d.Confounders = append(d.Confounders, Confounder{BrandID: b.id, Kind: e.kind, StartMs: e.from, EndMs: e.to})
				}
			}
		}
	}
	slices.SortFunc(d.Revenue, func(a, b Revenue) int {
		return cmp.Or(cmp.Compare(a.BrandID, b.BrandID), cmp.Compare(a.Day, b.Day), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Currency, b.Currency))
	})
	return d
}
