package simulator

import (
	"errors"
	"fmt"
	"time"
)

// Config says what is played. Everything that is sent follows from Seed,
// Brands, Run, the volumes, the shares and the span of event time.
type Config struct {
	Seed        uint64        `yaml:"seed" doc:"Seed of the play; the same seed, brands and span of event time send the same records."`
	Brands      int           `yaml:"brands" doc:"Number of brands."`
	Run         string        `yaml:"run" doc:"Text that ends the brands' ids; empty derives it from seed and end, so that a second play does not meet the state of the first."`
	Rate        int           `yaml:"rate" doc:"Records per second while backfilling, by schedule, whether or not Kafka keeps up."`
	Speed       float64       `yaml:"speed" doc:"Seconds of event time that pass in one second of live play."`
	Backfill    time.Duration `yaml:"backfill" doc:"Event time played at the set rate before live play begins."`
	For         time.Duration `yaml:"for" doc:"How long live play lasts, in real time; its event time is this times the speed."`
	End         string        `yaml:"end" doc:"Event time at which the play ends, such as 2026-03-31T12:00:00Z, not in the future; empty ends at the moment of the start."`
	Events      int           `yaml:"events" doc:"Records per brand and day of event time, about; about 630 of them are reports at fixed times, the others are orders, visits and messages."`
	NullShare   float64       `yaml:"null_share" doc:"Part of the brands on which posts have no effect, 0 to 1."`
	WeeklyShare float64       `yaml:"weekly_share" doc:"Part of the brands whose branded searches Amazon reports by the week only, 0 to 1: in between there are proxies."`
	Spikes      float64       `yaml:"spikes" doc:"Viral posts per brand and week."`
	Late        float64       `yaml:"late" doc:"Part of the records that arrive late, 0 to 0.2; half of them too late to be applied."`
	Duplicates  float64       `yaml:"duplicates" doc:"Part of the records that are sent twice, 0 to 0.2."`
	Corrected   float64       `yaml:"corrected" doc:"Part of the reports that are corrected by a higher version, 0 to 0.2; some arrive in the wrong order."`
	Poison      float64       `yaml:"poison" doc:"Poisonous records per record, 0 to 0.2: garbage, cut off, of an unknown schema, on the wrong topic or key, with impossible values, from the future, or too large."`
	InFlight    int           `yaml:"in_flight" doc:"Records sent and not yet acknowledged, at most; then sending waits, and catches up with the schedule afterwards."`
}

// DefaultConfig plays twenty brands: four weeks, then two minutes at 600 times
// real time.
func DefaultConfig() Config {
	return Config{
		Seed: 1, Brands: 20, Rate: 20_000, Speed: 600,
		Backfill: 28 * 24 * time.Hour, For: 2 * time.Minute,
		Events: 1_000, NullShare: 0.2, WeeklyShare: 0.25, Spikes: 1.5,
		Late: 0.01, Duplicates: 0.01, Corrected: 0.01, Poison: 0.01,
		InFlight: 10_000,
	}
}

// TrialConfig plays what the load test plays: four brands, sixteen days, then two days at
// 10 800 times real time, with twice the faults.
func TrialConfig() Config {
	cfg := DefaultConfig()
	cfg.Brands, cfg.Events = 4, 800
	cfg.Backfill, cfg.Speed, cfg.For = 16*24*time.Hour, 10_800, 16*time.Second
	cfg.Late, cfg.Duplicates, cfg.Corrected, cfg.Poison = 0.02, 0.02, 0.02, 0.02
	return cfg
}

// Bounds of the configuration.
const (
	brandsMax   = 20_000
	rateMax     = 10_000_000
	speedMax    = 86_400
	spanMax     = 2 * 366 * 24 * time.Hour
	eventsMin   = 700
	eventsMax   = 1_000_000
	faultMax    = 0.2
	spikesMax   = 3.5
	inFlightMax = 1_000_000
	runBytesMax = 32
)

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Brands < 1 || c.Brands > brandsMax {
		fail("brands: %d is not between 1 and %d", c.Brands, brandsMax)
	}
	if len(c.Run) > runBytesMax {
		fail("run: is %d bytes long, want at most %d", len(c.Run), runBytesMax)
	}
	if c.Rate < 1 || c.Rate > rateMax {
		fail("rate: %d is not between 1 and %d", c.Rate, rateMax)
	}
	if !(c.Speed > 0 && c.Speed <= speedMax) {
		fail("speed: %v is not above 0 and at most %d", c.Speed, speedMax)
		return errors.Join(errs...) // the span cannot be judged
	}
	if c.Backfill < 0 || c.For < 0 || c.span() < time.Hour || c.span() > spanMax {
		fail("backfill: %s and %s of live play at %v times real time make %s of event time, want 1h to %s", c.Backfill, c.For, c.Speed, c.span(), spanMax)
	}
	if _, err := c.end(); err != nil {
		fail("end: %q is not a moment such as 2026-03-31T12:00:00Z", c.End)
	}
	if c.Events < eventsMin || c.Events > eventsMax {
		fail("events: %d is not between %d and %d", c.Events, eventsMin, eventsMax)
	}
	if live := c.liveRate(); c.For > 0 && live > float64(c.Rate) {
		fail("rate: live play makes about %.0f records per second (%d brands, %d a day each, %v times real time), more than the rate of %d: raise it, or lower speed, brands or events",
			live, c.Brands, c.Events, c.Speed, c.Rate)
	}
	for _, s := range []struct {
		name     string
		v, upper float64
	}{
		{"null_share", c.NullShare, 1},
		{"weekly_share", c.WeeklyShare, 1},
		{"spikes", c.Spikes, spikesMax},
		{"late", c.Late, faultMax},
		{"duplicates", c.Duplicates, faultMax},
		{"corrected", c.Corrected, faultMax},
		{"poison", c.Poison, faultMax},
	} {
		if !(s.v >= 0 && s.v <= s.upper) {
			fail("%s: %v is not between 0 and %v", s.name, s.v, s.upper)
		}
	}
	if c.InFlight < 1 || c.InFlight > inFlightMax {
		fail("in_flight: %d is not between 1 and %d", c.InFlight, inFlightMax)
	}
	return errors.Join(errs...)
}

// span is the event time that is played.
func (c Config) span() time.Duration {
	live := c.For.Seconds() * c.Speed
	if live > 2*spanMax.Seconds() { // beyond what a Duration holds
		return 2 * spanMax
	}
	return c.Backfill + time.Duration(live*float64(time.Second))
}

// end is the configured end of event time; the zero time is the present.
func (c Config) end() (time.Time, error) {
	if c.End == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, c.End)
	if err == nil && (t.Year() < 2000 || t.UnixMilli() >= futureMs-366*24*hourMs) {
		err = errors.New("out of bounds")
	}
	return t, err
}

// liveRate is the number of records a second of live play takes, about.
func (c Config) liveRate() float64 {
	return float64(c.Brands) * float64(c.Events) / 86_400 * c.Speed
}

// futureMs is where poisonous records from the future claim to come from: a
// date that stays in the future whenever the play ends, and that a record may
// hold.
const futureMs = 4_085_000_000_000 // June 2099
