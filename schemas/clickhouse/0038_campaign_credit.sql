CREATE OR REPLACE VIEW campaign_credit
(
    brand_id LowCardinality(String) COMMENT 'The brand.',
    day DateTime64(3, 'UTC') COMMENT 'Start of the day in the brand\'s time zone.',
    node LowCardinality(String) COMMENT 'The node the revenue was made on.',
    currency LowCardinality(String) COMMENT 'ISO 4217 code of the amount: amounts of different currencies do not add up.',
    force Int32 COMMENT 'Number of the force that earned the credit.',
    force_name LowCardinality(String) COMMENT 'The force as its two nodes, such as tiktok → amazon.',
    campaign_id String COMMENT 'The campaign; empty for posts of none, and those whose publication is not known.',
    posts UInt64 COMMENT 'How many posts earned it.',
    credit_micros Int64 COMMENT 'The credit in millionths of the currency; over all campaigns the rows add up to those of the posts in post_credit.'
)
COMMENT 'What each campaign was worth: the credit of its posts, by brand, day, node, currency and force.'
AS SELECT
    brand_id,
    day,
    node,
    currency,
    force,
    force_name,
    ifNull(published.campaign, '') AS campaign_id,
    count() AS posts,
    sum(credit_micros) AS credit_micros
FROM post_credit
LEFT JOIN
(
    SELECT
        brand_id,
        content_id,
        argMax(tiktok_content_published.campaign_id, version) AS campaign
    FROM tiktok_content_published
    GROUP BY
        brand_id,
        content_id
) AS published USING (brand_id, content_id)
WHERE part = 'post'
GROUP BY
    brand_id,
    day,
    node,
    currency,
    force,
    force_name,
    campaign_id
