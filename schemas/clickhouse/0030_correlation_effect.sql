ALTER TABLE correlation
    COMMENT COLUMN IF EXISTS delay_minutes 'Delay of the kernel the window is judged by, which is that of the effect where there is one, in minutes.',
    COMMENT COLUMN IF EXISTS half_life_minutes 'Half-life of that kernel, in minutes.',
    COMMENT COLUMN IF EXISTS effect 'Response units per unit of stimulus, at least 0, by the weeks before the window; 0 when they are no evidence.',
    COMMENT COLUMN IF EXISTS effect_low 'Lower end of its 95 % interval, calibrated on placebos.',
    COMMENT COLUMN IF EXISTS effect_high 'Upper end of its 95 % interval, calibrated on placebos; 0 when there is none.'
