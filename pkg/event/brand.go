package event

import "fmt"

// Brand is a brand: names, zone, currency, holidays and accounts; published to the compacted topic
// flywheel.brand.
type Brand struct {
	// Stable id of the brand; the Kafka key of the record.
	BrandID string `avro:"brand_id"`
	// Monotone version of the brand's entry: the higher one replaces the lower.
	Version int64 `avro:"version"`
	// What people call the brand.
	Name string `avro:"name"`
	// Spellings by which people search for the brand, lower case.
	Variants []string `avro:"variants"`
	// IANA name of the time zone days and hours are counted in.
	TimeZone string `avro:"time_zone"`
	// The zone's offsets from UTC, oldest first, so that no reader needs a time-zone database.
	UTCOffsets []UTCOffset `avro:"utc_offsets"`
	// ISO 4217 code of the reporting currency.
	Currency string `avro:"currency"`
	// Public holidays, in days since 1970-01-01 in the brand's zone, ascending.
	Holidays []int32 `avro:"holidays"`
	// The accounts the brand owns on each platform.
	Accounts []Account `avro:"accounts"`
	// Whether the brand is no longer processed.
	Retired bool `avro:"retired"`
}

// UTCOffset is one offset of a time zone from UTC, valid from a moment on.
type UTCOffset struct {
	// First moment of the offset.
	FromMs int64 `avro:"from"`
	// Minutes to add to UTC.
	OffsetMinutes int32 `avro:"offset_minutes"`
}

// Account is one account on one platform.
type Account struct {
	// The platform's node.
	Node NodeName `avro:"node"`
	// The platform's id of the account.
	AccountID string `avro:"account_id"`
}

// Bounds of a brand's entry.
const (
	variantsMax      = 1000
	offsetsMax       = 1000
	holidaysMax      = 10_000
	accountsMax      = 10_000
	offsetMinutesMax = 18 * 60 // no zone is further from UTC
	holidayMax       = timeMsMax/(24*60*60*1000) - 1
)

// Validate reports the first field whose value is out of bounds.
func (b *Brand) Validate() error {
	var c check
	c.id("brand_id", b.BrandID)
	if b.Version < 0 {
		c.fail("version", b.Version, "0 or more")
	}
	c.text("name", b.Name)
	c.text("time_zone", b.TimeZone)
	c.currency(b.Currency)
	for _, l := range []struct {
		field   string
		n, most int
	}{
		{"variants", len(b.Variants), variantsMax},
		{"utc_offsets", len(b.UTCOffsets), offsetsMax},
		{"holidays", len(b.Holidays), holidaysMax},
		{"accounts", len(b.Accounts), accountsMax},
	} {
		if l.n > l.most {
			c.fail(l.field, fmt.Sprintf("%d entries long", l.n), fmt.Sprintf("at most %d", l.most))
		}
	}
	for _, v := range b.Variants {
		c.text("variants", v)
	}
	for _, o := range b.UTCOffsets {
		if o.FromMs < 0 || o.FromMs > timeMsMax {
			c.fail("utc_offsets", o.FromMs, "from a time between 1970 and 2100, in milliseconds")
		}
		if o.OffsetMinutes < -offsetMinutesMax || o.OffsetMinutes > offsetMinutesMax {
			c.fail("utc_offsets", o.OffsetMinutes, fmt.Sprintf("minutes within ±%d", offsetMinutesMax))
		}
	}
	for _, day := range b.Holidays {
		if day < 0 || day > holidayMax {
			c.fail("holidays", day, fmt.Sprintf("days from 0 to %d since 1970-01-01", holidayMax))
		}
	}
	for _, a := range b.Accounts {
		c.id("accounts", a.AccountID)
	}
	return c.err
}
