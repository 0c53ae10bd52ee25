package simulator

import (
	"time"

	"flywheel/pkg/event"
)

// Ledger is what was sent and what has to come of it, kept independently of the
// pipeline: it knows the rules of the contract, not the code that carries them
// out. Only what Kafka has acknowledged is in it. It is safe for concurrent use.
type Ledger struct{}

// Summary is the part of the ledger that is cheap to read while it grows.
type Summary struct {
	EventTime  time.Time              `json:"event_time"`  // how far arrivals have come, in event time
	Sent       int64                  `json:"sent"`        // channel records; Valid + Late + Duplicate + Poison
	Valid      int64                  `json:"valid"`       // Applied + Superseded
	Applied    int64                  `json:"applied"`     // have one effect
	Superseded int64                  `json:"superseded"`  // older than what is known: no effect, no dead letter
	Late       int64                  `json:"late"`        // more than 72 h behind their source
	Duplicate  int64                  `json:"duplicate"`   // seen before
	Poison     int64                  `json:"poison"`      // sum of the reasons that are neither late nor duplicate
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
	// Revenue is what the credit rows add up to, sorted.
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
}

// Confounder is a declared event that moves Amazon's searches or sales.
type Confounder struct {
	BrandID string             `json:"brand_id"`
	Kind    event.CalendarKind `json:"kind"`
	StartMs int64              `json:"start_ms"`
	EndMs   int64              `json:"end_ms"`
}

// Summary returns the counts so far.
func (l *Ledger) Summary() Summary { return Summary{} }

// Truth returns what was planted, brand by brand, with the multipliers so far.
func (l *Ledger) Truth() []Truth { return nil }

// Spikes returns the planted spikes whose response has begun by the event time
// reached.
func (l *Ledger) Spikes() []Spike { return nil }

// Detail returns a copy of everything. It is exact once Run has returned.
func (l *Ledger) Detail() Detail { return Detail{} }
