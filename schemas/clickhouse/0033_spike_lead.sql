ALTER TABLE spike
    ADD COLUMN IF NOT EXISTS lead_p_value Float64 DEFAULT 1 COMMENT 'Probability that the stimulus before it is as strong there by chance: its rank among the brand\'s other days; 1 when it was not told.' AFTER code_version
