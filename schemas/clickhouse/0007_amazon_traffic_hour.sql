CREATE TABLE IF NOT EXISTS amazon_traffic_hour
(
    event_id UUID COMMENT 'Deterministic identity: the first 16 bytes of SHA-256 over record name, brand, source, natural key (or the source\'s own id) and version, length-prefixed; see event.NewID.',
    brand_id LowCardinality(String) COMMENT 'The brand the event belongs to; the Kafka key of the record.',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When it happened, by the source\'s clock; for a report, the start of its period.',
    observed_at DateTime64(3, 'UTC') COMMENT 'When the connector first saw it.',
    source LowCardinality(String) COMMENT 'The feed the event came from, for example tiktok_shop_webhook; each source of a brand has its own watermark.',
    natural_key String COMMENT 'The source\'s own key of the entity; versions of one key replace each other. Empty for a fact.',
    version Int64 COMMENT 'Monotone version within the natural key: the higher one replaces the lower. 0 for a fact.',
    asin String COMMENT 'Amazon\'s item number.',
    glance_views Int64 COMMENT 'Detail-page views in the hour.',
    kafka_topic LowCardinality(String) COMMENT 'Topic the record came from.',
    kafka_partition Int32 COMMENT 'Partition the record came from.',
    kafka_offset Int64 COMMENT 'Offset the record came from.',
    kafka_at DateTime64(3, 'UTC') COMMENT 'Kafka timestamp of the record.',
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When ClickHouse received the row.'
)
ENGINE = ReplacingMergeTree(kafka_offset)
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (brand_id, occurred_at, event_id)
COMMENT 'Detail-page traffic of one item in one hour. Snapshot by item and hour.'
