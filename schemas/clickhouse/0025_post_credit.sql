CREATE OR REPLACE VIEW post_credit
(
    brand_id LowCardinality(String) COMMENT 'The brand.',
    day DateTime64(3, 'UTC') COMMENT 'Start of the day in the brand\'s time zone.',
    node LowCardinality(String) COMMENT 'The node the revenue was made on.',
    currency LowCardinality(String) COMMENT 'ISO 4217 code of the amount: amounts of different currencies do not add up.',
    part LowCardinality(String) COMMENT 'What is credited: post, node (the remainder of a node\'s stimulus without a post), or baseline (no stimulus).',
    force Int32 COMMENT 'Number of the force that earned the credit; 0 for the baseline.',
    force_name LowCardinality(String) COMMENT 'The force as its two nodes, such as tiktok → amazon; empty for the baseline.',
    stimulus_node LowCardinality(String) COMMENT 'The node of the stimulus; empty for the baseline.',
    content_id String COMMENT 'The post; empty for a node\'s remainder and for the baseline.',
    credit_micros Int64 COMMENT 'The credit in millionths of the currency; over brand, day, node and currency the rows add up to the revenue.',
    revision Int64 COMMENT 'Version of the result: the highest there is.',
    tier LowCardinality(String) COMMENT 'provisional from hourly proxies, settled once the platform\'s report has landed.'
)
COMMENT 'What each post was worth: the revenue of every brand, day, node and currency split into credits and baseline, in the newest revision.'
AS SELECT
    brand_id,
    day,
    node,
    currency,
    multiIf(force = 0, 'baseline', content_id = '', 'node', 'post') AS part,
    force,
    transform(force, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], ['tiktok → amazon', 'tiktok → aisearch', 'amazon → shopify', 'amazon → aisearch', 'shopify → tiktok', 'shopify → messaging', 'aisearch → amazon', 'aisearch → shopify', 'messaging → amazon', 'messaging → tiktok'], '') AS force_name,
    stimulus_node,
    content_id,
    credit_micros,
    revision,
    tier
FROM credit FINAL
ARRAY JOIN
    arrayPushBack(`credits.force`, 0) AS force,
    arrayPushBack(`credits.node`, '') AS stimulus_node,
    arrayPushBack(`credits.content_id`, '') AS content_id,
    arrayPushBack(`credits.credit_micros`, baseline_micros) AS credit_micros
