ALTER TABLE correlation
    COMMENT COLUMN IF EXISTS p_value 'Probability of such a correlation without an effect, by this window and the weeks before it; one of many looks, and not what the verdict rests on; 1 when there is no evidence.'
