ALTER TABLE credit
    ADD COLUMN IF NOT EXISTS multiplier_realised_coverage Float64 COMMENT 'Share of placebos with the multiplier\'s effect planted whose interval holds it; 0 when there is none.' AFTER code_version
