CREATE TABLE IF NOT EXISTS credit
(
    brand_id LowCardinality(String) COMMENT 'The brand.',
    day DateTime64(3, 'UTC') COMMENT 'Start of the day in the brand\'s time zone.',
    node LowCardinality(String) COMMENT 'The node the revenue was made on.',
    currency LowCardinality(String) COMMENT 'ISO 4217 code of every amount.',
    revenue_micros Int64 COMMENT 'Revenue of the day, net of returns.',
    baseline_micros Int64 COMMENT 'The part no stimulus is responsible for.',
    direct_gmv_micros Int64 COMMENT 'TikTok Shop\'s own revenue of the day, net of returns: the denominator of the multiplier.',
    `credits.force` Array(Int32) COMMENT 'The parts stimuli are responsible for. Number of the force.',
    `credits.node` Array(LowCardinality(String)) COMMENT 'The parts stimuli are responsible for. The node of the stimulus.',
    `credits.content_id` Array(String) COMMENT 'The parts stimuli are responsible for. The content, empty for the node\'s remainder.',
    `credits.credit_micros` Array(Int64) COMMENT 'The parts stimuli are responsible for. The credit, in millionths of the record\'s currency.',
    multiplier Float64 COMMENT 'Amazon revenue credited to TikTok over direct TikTok revenue, over the window that ends with the day; 0 when there is none.',
    multiplier_low Float64 COMMENT 'Lower end of its nominal 95 % interval.',
    multiplier_high Float64 COMMENT 'Upper end of its nominal 95 % interval.',
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
PARTITION BY toYYYYMM(day)
ORDER BY (brand_id, day, node, currency)
COMMENT 'One brand\'s revenue of one day on one node, split by responsibility: credits plus baseline are the revenue, to the micro.'
