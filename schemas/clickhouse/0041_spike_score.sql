ALTER TABLE spike
    ADD COLUMN IF NOT EXISTS anomaly_score Float64 COMMENT 'How rare such a departure is by what the response has done by itself, in [0, 1] as flywheel detect scores it: 1/(1 + times a month), of the rarest hour so far; 0 when it is retracted or too little came before.' AFTER driven
