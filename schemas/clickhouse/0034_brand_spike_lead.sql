CREATE OR REPLACE VIEW brand_spike
(
    brand_id LowCardinality(String) COMMENT 'The brand.',
    spike_id UUID COMMENT 'Deterministic identity: brand, force and start.',
    force Int32 COMMENT 'Number of the force it is evidence for.',
    force_name LowCardinality(String) COMMENT 'The force as its two nodes, such as tiktok → amazon.',
    status LowCardinality(String) COMMENT 'active while it goes on, resolved when it has ended, retracted when restated data took its evidence away.',
    started_at DateTime64(3, 'UTC') COMMENT 'Start of the first bucket of the episode.',
    peak_at DateTime64(3, 'UTC') COMMENT 'Start of the bucket with the highest score.',
    ended_at DateTime64(3, 'UTC') COMMENT 'End of the last bucket seen so far.',
    duration_minutes Int64 COMMENT 'From the start to the end seen so far, in minutes.',
    peak_z Float64 COMMENT 'Highest score: standard deviations above the baseline.',
    excess Int64 COMMENT 'Response above the baseline so far, in the signal\'s unit.',
    response_signal LowCardinality(String) COMMENT 'Name of the signal it was seen in.',
    leading_content_id String COMMENT 'The post with most responsibility, empty when none.',
    leading_views Int64 COMMENT 'Views that post gained in the window before the spike.',
    lead_p_value Float64 COMMENT 'Probability that the stimulus before it is as strong there by chance: its rank among the brand\'s other days; 1 when it was not told.',
    revision Int64 COMMENT 'Version of the result: the highest there is.',
    tier LowCardinality(String) COMMENT 'provisional from hourly proxies, settled once the platform\'s report has landed.',
    inserted_at DateTime64(3, 'UTC') COMMENT 'When ClickHouse received the row.'
)
COMMENT 'Every spike of branded search in its newest revision, with the post that leads it; retracted ones included.'
AS SELECT
    brand_id,
    spike_id,
    force,
    transform(force, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], ['tiktok → amazon', 'tiktok → aisearch', 'amazon → shopify', 'amazon → aisearch', 'shopify → tiktok', 'shopify → messaging', 'aisearch → amazon', 'aisearch → shopify', 'messaging → amazon', 'messaging → tiktok'], '') AS force_name,
    status,
    started_at,
    peak_at,
    ended_at,
    dateDiff('minute', started_at, ended_at) AS duration_minutes,
    peak_z,
    excess,
    response_signal,
    leading_content_id,
    leading_views,
    lead_p_value,
    revision,
    tier,
    inserted_at
FROM spike FINAL
