package estimate

import (
	"errors"
	"fmt"
	"time"

	"flywheel/pkg/series"
)

// Spacings and sizes that can be judged.
const (
	SpacingMin = time.Minute
	SpacingMax = 24 * time.Hour
	pointsMax  = 1 << 20 // of one series
	lagsMax    = 1 << 16
)

// ErrWindow is of a window that cannot be looked through, by itself or in steps of the series.
var ErrWindow = errors.New("--window")

// Config says what is looked for.
type Config struct {
	Window time.Duration // how far an effect may reach
}

// DefaultConfig looks 72 hours back.
func DefaultConfig() Config { return Config{Window: 72 * time.Hour} }

// Validate reports a setting that cannot work.
func (c Config) Validate() error {
	if c.Window < 2*SpacingMin || c.Window > 366*24*time.Hour {
		return fmt.Errorf("%w: %s is no time an effect may take: want two minutes to a year, such as 72h", ErrWindow, series.Short(c.Window))
	}
	return nil
}
