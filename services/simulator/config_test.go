package simulator

import (
	"strings"
	"testing"
	"time"
)

func TestTheDefaultsAreValid(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no brands":                    {func(c *Config) { c.Brands = 0 }, "brands: 0 is not between 1 and 20000"},
		"too long an ending":           {func(c *Config) { c.Run = strings.Repeat("x", 33) }, "run: is 33 bytes long, want at most 32"},
		"no rate":                      {func(c *Config) { c.Rate = 0 }, "rate: 0 is not between 1 and 10000000"},
		"a rate below what live makes": {func(c *Config) { c.Rate = 100 }, "rate: live play makes about 139 records per second (20 brands, 1000 a day each, 600 times real time), more than the rate of 100: raise it, or lower speed, brands or events"},
		"no speed":                     {func(c *Config) { c.Speed = 0 }, "speed: 0 is not above 0 and at most 86400"},
		"nothing to play":              {func(c *Config) { c.Backfill, c.For = 0, 0 }, "backfill: 0s and 0s of live play at 600 times real time make 0s of event time, want 1h to 17568h0m0s"},
		"years of live play":           {func(c *Config) { c.Rate, c.For = rateMax, 1e6*time.Hour }, "of event time, want 1h to 17568h0m0s"},
		"a negative backfill":          {func(c *Config) { c.Backfill = -time.Hour }, "backfill: -1h0m0s and"},
		"an end that is no moment":     {func(c *Config) { c.End = "yesterday" }, `end: "yesterday" is not a moment such as 2026-03-31T12:00:00Z`},
		"an end out of bounds":         {func(c *Config) { c.End = "2099-03-31T12:00:00Z" }, `end: "2099-03-31T12:00:00Z" is not a moment`},
		"too few records":              {func(c *Config) { c.Events = 10 }, "events: 10 is not between 700 and 1000000"},
		"another share above one":      {func(c *Config) { c.WeeklyShare = 2 }, "weekly_share: 2 is not between 0 and 1"},
		"a share above one":            {func(c *Config) { c.NullShare = 1.5 }, "null_share: 1.5 is not between 0 and 1"},
		"too many spikes":              {func(c *Config) { c.Spikes = 5 }, "spikes: 5 is not between 0 and 3.5"},
		"faults without end":           {func(c *Config) { c.Late, c.Poison = 0.3, 0.4 }, "late: 0.3 is not between 0 and 0.2\npoison: 0.4 is not between 0 and 0.2"},
		"nothing in flight":            {func(c *Config) { c.InFlight = 0 }, "in_flight: 0 is not between 1 and 1000000"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			tc.change(&cfg)
			if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
