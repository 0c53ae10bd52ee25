CREATE TABLE IF NOT EXISTS correlation
(
    brand_id LowCardinality(String) COMMENT 'The brand.',
    force Int32 COMMENT 'Number of the force, 1 to 10.',
    window_start DateTime64(3, 'UTC') COMMENT 'Start of the window, inclusive.',
    window_end DateTime64(3, 'UTC') COMMENT 'End of the window, exclusive.',
    step_minutes Int32 COMMENT 'Width of one lag step in minutes.',
    stimulus_signal LowCardinality(String) COMMENT 'Name of the signal used as stimulus.',
    response_signal LowCardinality(String) COMMENT 'Name of the signal used as response.',
    stimulus_total Int64 COMMENT 'Sum of the stimulus in the window, in the signal\'s unit.',
    response_total Int64 COMMENT 'Sum of the response in the window, in the signal\'s unit.',
    lag_profile Array(Float32) COMMENT 'Correlation of response and stimulus at lag 0, 1, 2 … steps.',
    best_lag_minutes Int32 COMMENT 'The lag with the highest correlation, in minutes; −1 when there is none.',
    best_lag_correlation Float64 COMMENT 'The correlation at that lag.',
    delay_minutes Int32 COMMENT 'Delay of the kernel chosen, in minutes.',
    half_life_minutes Int32 COMMENT 'Half-life of the kernel chosen, in minutes.',
    decayed_correlation Float64 COMMENT 'Correlation of the response with the stimulus decayed by the kernel.',
    effective_n Float64 COMMENT 'Effective number of independent observations under autocorrelation.',
    p_value Float64 COMMENT 'Probability of such a correlation without an effect, after Bartlett, for all lags and kernels searched; 1 when there is no evidence.',
    verdict LowCardinality(String) COMMENT 'What may be said.',
    reason LowCardinality(String) COMMENT 'Why the evidence is insufficient, empty otherwise.',
    effect Float64 COMMENT 'Response units per unit of stimulus, at least 0.',
    effect_low Float64 COMMENT 'Lower end of the nominal 95 % interval of the effect.',
    effect_high Float64 COMMENT 'Upper end of the nominal 95 % interval of the effect.',
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
PARTITION BY toYYYYMM(window_end)
ORDER BY (brand_id, force, window_end)
COMMENT 'The relation of one force\'s stimulus and response over one window.'
