CREATE TABLE IF NOT EXISTS brand
(
    brand_id LowCardinality(String) COMMENT 'Stable id of the brand; the Kafka key of the record.',
    version Int64 COMMENT 'Monotone version of the brand\'s entry: the higher one replaces the lower.',
    name String COMMENT 'What people call the brand.',
    variants Array(String) COMMENT 'Spellings by which people search for the brand, lower case.',
    time_zone LowCardinality(String) COMMENT 'IANA name of the time zone days and hours are counted in.',
    `utc_offsets.from` Array(DateTime64(3, 'UTC')) COMMENT 'The zone\'s offsets from UTC, oldest first, so that no reader needs a time-zone database. First moment of the offset.',
    `utc_offsets.offset_minutes` Array(Int32) COMMENT 'The zone\'s offsets from UTC, oldest first, so that no reader needs a time-zone database. Minutes to add to UTC.',
    currency LowCardinality(String) COMMENT 'ISO 4217 code of the reporting currency.',
    holidays Array(Date) COMMENT 'Public holidays, in days since 1970-01-01 in the brand\'s zone, ascending.',
    `accounts.node` Array(LowCardinality(String)) COMMENT 'The accounts the brand owns on each platform. The platform\'s node.',
    `accounts.account_id` Array(String) COMMENT 'The accounts the brand owns on each platform. The platform\'s id of the account.',
    retired Bool COMMENT 'Whether the brand is no longer processed.',
    kafka_topic LowCardinality(String) COMMENT 'Topic the record came from.',
    kafka_partition Int32 COMMENT 'Partition the record came from.',
    kafka_offset Int64 COMMENT 'Offset the record came from.',
    kafka_at DateTime64(3, 'UTC') COMMENT 'Kafka timestamp of the record.',
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When ClickHouse received the row.'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (brand_id)
COMMENT 'A brand: names, zone, currency, holidays and accounts.'
