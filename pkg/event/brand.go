package event

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
