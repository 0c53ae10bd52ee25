ALTER TABLE correlation
    ADD COLUMN IF NOT EXISTS test_p_value Float64 DEFAULT 1 COMMENT 'Probability of what the day\'s test shows without an effect: of the search over the weeks up to the last UTC midnight; 1 when nothing was tested.' AFTER code_version,
    ADD COLUMN IF NOT EXISTS test_level Float64 COMMENT 'Level that probability was held to by the online control of false discoveries along the days; 0 when nothing was tested.' AFTER test_p_value,
    ADD COLUMN IF NOT EXISTS discovery Bool COMMENT 'Whether the day\'s test is a discovery, at a false discovery rate of 5 % along the days.' AFTER test_level,
    ADD COLUMN IF NOT EXISTS realised_coverage Float64 COMMENT 'Share of placebos with the effect planted whose interval holds it; 0 when not measured.' AFTER discovery,
    ADD COLUMN IF NOT EXISTS power Float64 COMMENT 'Probability that an effect of 10 % of the response would have been found; 0 when not measured.' AFTER realised_coverage,
    ADD COLUMN IF NOT EXISTS detectable_share Float64 COMMENT 'Smallest share of the response that would be found with a probability of 80 %, 1 when there is none; 0 when not measured.' AFTER power,
    ADD COLUMN IF NOT EXISTS mediated_effect Float64 COMMENT 'Part of the effect that goes through branded search, in the effect\'s unit; 0 when not told apart.' AFTER detectable_share,
    ADD COLUMN IF NOT EXISTS direct_effect Float64 COMMENT 'Part of the effect that does not, in the effect\'s unit; 0 when not told apart.' AFTER mediated_effect
