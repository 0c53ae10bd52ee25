CREATE TABLE IF NOT EXISTS dead_letter
(
    event_id UUID COMMENT 'The event\'s id; derived from topic, partition and offset when it cannot be read.',
    brand_id LowCardinality(String) COMMENT 'The brand, or the Kafka key when the record cannot be read.',
    reason LowCardinality(String) COMMENT 'Why the record was refused.',
    detail String COMMENT 'What, where and what to do next, in one sentence.',
    record LowCardinality(String) COMMENT 'Name of the record type, empty when unknown.',
    topic LowCardinality(String) COMMENT 'The topic it came from.',
    partition Int32 COMMENT 'The partition it came from.',
    offset Int64 COMMENT 'The offset it came from.',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When it happened; the Kafka timestamp when the record cannot be read.',
    key String COMMENT 'The Kafka key as received, cut at 1 KiB.',
    payload String COMMENT 'The Kafka value as received, cut at 1 MiB less 16 KiB.',
    kafka_topic LowCardinality(String) COMMENT 'Topic the record came from.',
    kafka_partition Int32 COMMENT 'Partition the record came from.',
    kafka_offset Int64 COMMENT 'Offset the record came from.',
    kafka_at DateTime64(3, 'UTC') COMMENT 'Kafka timestamp of the record.',
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When ClickHouse received the row.'
)
ENGINE = ReplacingMergeTree(kafka_offset)
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (brand_id, topic, partition, offset)
COMMENT 'A record that was not applied, with its one reason.'
