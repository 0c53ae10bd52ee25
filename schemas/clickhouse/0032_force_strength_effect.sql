CREATE OR REPLACE VIEW force_strength
(
    brand_id LowCardinality(String) COMMENT 'The brand.',
    force Int32 COMMENT 'Number of the force, 1 to 10.',
    force_name LowCardinality(String) COMMENT 'The force as its two nodes, such as tiktok → amazon.',
    day Date COMMENT 'Day in UTC on which the windows end.',
    windows UInt64 COMMENT 'Windows that end on the day.',
    windows_insufficient UInt64 COMMENT 'Windows of the day whose evidence is insufficient.',
    windows_significant UInt64 COMMENT 'Windows of the day with a significant correlation.',
    share_significant Float64 COMMENT 'Significant windows over all windows of the day.',
    decayed_correlation Nullable(Float64) COMMENT 'Mean correlation with the decayed stimulus, over the windows with evidence; NULL when there are none.',
    best_lag_hours Nullable(Float64) COMMENT 'The best lag in hours of the day\'s newest window with evidence; NULL when there is none.',
    effect Nullable(Float64) COMMENT 'Response units per unit of stimulus in the day\'s newest window that has an effect; NULL when none has.',
    effect_low Nullable(Float64) COMMENT 'Lower end of its 95 % interval, calibrated on placebos.',
    effect_high Nullable(Float64) COMMENT 'Upper end of its 95 % interval, calibrated on placebos.',
    stimulus_signal LowCardinality(String) COMMENT 'Signal used as stimulus in the day\'s newest window.',
    response_signal LowCardinality(String) COMMENT 'Signal used as response in the day\'s newest window.',
    newest_window_end DateTime64(3, 'UTC') COMMENT 'End of the day\'s newest window, exclusive.'
)
COMMENT 'How strongly each force acted on a brand, day by day: over all windows of the day, each in its newest revision.'
AS SELECT
    brand_id,
    force,
    transform(force, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], ['tiktok → amazon', 'tiktok → aisearch', 'amazon → shopify', 'amazon → aisearch', 'shopify → tiktok', 'shopify → messaging', 'aisearch → amazon', 'aisearch → shopify', 'messaging → amazon', 'messaging → tiktok'], '') AS force_name,
    toDate(window_end, 'UTC') AS day,
    count() AS windows,
    countIf(verdict = 'insufficient') AS windows_insufficient,
    countIf(verdict = 'significant') AS windows_significant,
    windows_significant / windows AS share_significant,
    avgOrNullIf(c.decayed_correlation, verdict != 'insufficient') AS decayed_correlation,
    argMaxOrNullIf(c.best_lag_minutes / 60, window_end, verdict != 'insufficient' AND best_lag_minutes >= 0) AS best_lag_hours,
    argMaxOrNullIf(c.effect, window_end, c.effect_high > 0) AS effect,
    argMaxOrNullIf(c.effect_low, window_end, c.effect_high > 0) AS effect_low,
    argMaxOrNullIf(c.effect_high, window_end, c.effect_high > 0) AS effect_high,
    argMax(c.stimulus_signal, window_end) AS stimulus_signal,
    argMax(c.response_signal, window_end) AS response_signal,
    max(window_end) AS newest_window_end
FROM correlation AS c FINAL
GROUP BY brand_id, force, day
