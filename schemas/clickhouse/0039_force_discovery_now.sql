CREATE OR REPLACE VIEW force_discovery
(
    brand_id LowCardinality(String) COMMENT 'The brand.',
    force Int32 COMMENT 'Number of the force, 1 to 10.',
    force_name LowCardinality(String) COMMENT 'The force as its two nodes, such as tiktok → amazon.',
    window_end DateTime64(3, 'UTC') COMMENT 'End of the newest window, exclusive; its day is the one tested.',
    test_p_value Float64 COMMENT 'Probability of what the day\'s test shows without an effect.',
    test_level Float64 COMMENT 'Level that probability was held to by the online control along the days.',
    discovery Bool COMMENT 'Whether the day\'s test is a discovery along the days of this brand and force, at a false discovery rate of 5 %.',
    tests UInt64 COMMENT 'Tests of the batch: the rows of this view, which are the brands and forces whose newest day could be tested.',
    q_value Float64 COMMENT 'The least false discovery rate over all brands and forces at which this test is a discovery, whatever they depend on (Benjamini & Yekutieli 2001).',
    discovery_of_all Bool COMMENT 'Whether it is a discovery over all brands and forces, at a false discovery rate of 5 %.',
    power Float64 COMMENT 'Probability that an effect of 10 % of the response would have been found; 0 when not measured.',
    detectable_share Float64 COMMENT 'Smallest share of the response that would be found with a probability of 80 %, 1 when there is none; 0 when not measured.',
    effect Nullable(Float64) COMMENT 'Response units per unit of stimulus, at least 0, by the weeks before the window; NULL when they are no evidence.',
    effect_low Nullable(Float64) COMMENT 'Lower end of its 95 % interval, calibrated on placebos; NULL when there is none.',
    effect_high Nullable(Float64) COMMENT 'Upper end of its 95 % interval, calibrated on placebos; NULL when there is none.',
    tier LowCardinality(String) COMMENT 'provisional from hourly proxies, settled once the platform\'s report has landed.',
    revision Int64 COMMENT 'Version of the result: the highest there is.'
)
COMMENT 'Which forces act on which brands now, with false discoveries controlled along the days of each and over all of them at once. A brand whose newest window ended 72 hours before the newest of all shares no moment with it and is left out until it is heard of again; so is one that is retired.'
AS SELECT
    brand_id,
    force,
    force_name,
    window_end,
    test_p_value,
    test_level,
    discovery,
    tests,
    least(1, min(test_p_value * tests * harmonic / place) OVER (ORDER BY place ASC ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)) AS q_value,
    q_value <= 0.05 AS discovery_of_all,
    power,
    detectable_share,
    effect,
    effect_low,
    effect_high,
    tier,
    revision
FROM
(
    SELECT
        *,
        count() OVER () AS tests,
        sum(1 / place) OVER () AS harmonic
    FROM
    (
        SELECT
            *,
            row_number() OVER (ORDER BY test_p_value ASC, brand_id ASC, force ASC) AS place
        FROM brand_correlation_latest
        WHERE test_level > 0
            AND window_end > (SELECT max(window_end) FROM correlation) - INTERVAL 72 HOUR
            AND brand_id NOT IN (SELECT brand_id FROM brand FINAL WHERE retired)
    )
)
