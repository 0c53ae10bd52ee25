CREATE TABLE IF NOT EXISTS spike
(
    brand_id LowCardinality(String) COMMENT 'The brand.',
    spike_id UUID COMMENT 'Deterministic identity: brand, force and start.',
    force Int32 COMMENT 'Number of the force it is evidence for.',
    status LowCardinality(String) COMMENT 'Whether it goes on, has ended, or lost its evidence to restated data.',
    started_at DateTime64(3, 'UTC') COMMENT 'Start of the first bucket of the episode.',
    peak_at DateTime64(3, 'UTC') COMMENT 'Start of the bucket with the highest score.',
    ended_at DateTime64(3, 'UTC') COMMENT 'End of the last bucket seen so far.',
    peak_z Float64 COMMENT 'Highest score: standard deviations above the baseline.',
    excess Int64 COMMENT 'Response above the baseline so far, in the signal\'s unit.',
    response_signal LowCardinality(String) COMMENT 'Name of the signal it was seen in.',
    leading_content_id String COMMENT 'The content with most responsibility, empty when none.',
    leading_views Int64 COMMENT 'Views that content gained in the window before the spike.',
    revision Int64 COMMENT 'Monotone version of this result: the higher one replaces the lower.',
    tier LowCardinality(String) COMMENT 'provisional from hourly proxies, settled once the platform\'s report has landed.',
    `watermarks.source` Array(String) COMMENT 'The input watermark of each source when the result was computed, by source name. Name of the source.',
    `watermarks.watermark` Array(DateTime64(3, 'UTC')) COMMENT 'The input watermark of each source when the result was computed, by source name. Highest occurred_at accepted from it.',
    code_version LowCardinality(String) COMMENT 'The version of the statistics that computed it.',
    kafka_topic LowCardinality(String) COMMENT 'Topic the record came from.',
    kafka_partition Int32 COMMENT 'Partition the record came from.',
    kafka_offset Int64 COMMENT 'Offset the record came from.',
    kafka_at DateTime64(3, 'UTC') COMMENT 'Kafka timestamp of the record.',
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When ClickHouse received the row.'
)
ENGINE = ReplacingMergeTree(revision)
ORDER BY (brand_id, spike_id)
COMMENT 'An episode in which the branded-search side of a brand runs far above its baseline.'
