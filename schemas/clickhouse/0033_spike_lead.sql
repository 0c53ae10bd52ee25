ALTER TABLE spike
    ADD COLUMN IF NOT EXISTS lead_p_value Float64 DEFAULT 1 COMMENT 'Probability that the stimulus before it is as strong there by chance: its rank among the brand\'s other days; 1 when it was not told.' AFTER code_version,
    ADD COLUMN IF NOT EXISTS explained_share Float64 COMMENT 'Part of the excess that the stimulus makes by the effect the force has; 0 where that is not known.' AFTER lead_p_value,
    ADD COLUMN IF NOT EXISTS driven Bool COMMENT 'Whether the stimulus drives it: it makes half of the excess, and the force was a discovery at the midnight before.' AFTER explained_share
