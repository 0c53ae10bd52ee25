// Package workload makes FLYWHEEL-72, the load that the pipeline is measured
// with: a number of brands of very different size, the mix of events that a
// brand has, and everything that goes wrong on the way: disorder, lateness,
// duplicates, corrections and poison. What is made follows from the seed.
package workload

import (
	"errors"
	"fmt"
	"time"
)

// Config says what is made. The shares are parts of the records in all.
type Config struct {
	Seed    uint64
	Brands  int
	Records int           // in all
	Span    time.Duration // of time in which they arrive, evenly
	End     time.Time     // when the last one arrives

	Zipf        float64 // exponent: the k-th brand is k^Zipf times smaller than the first
	TikTok      float64 // observations of posts, and posts
	Amazon      float64 // reports of searches and of traffic
	Orders      float64 // on Amazon, TikTok Shop and Shopify
	Ads         float64 // on Amazon and TikTok
	Corrections float64 // newer versions and negative differences

	DelayP50, DelayP99 time.Duration // from the event to its arrival: log-normal
	Late               float64       // arrive LateMin to LateMax after the event
	LateMin, LateMax   time.Duration
	TooLate            float64 // arrive TooLateMin to TooLateMax after the event
	TooLateMin         time.Duration
	TooLateMax         time.Duration
	Duplicates         float64 // are sent a second time, a little later
	Poison             float64 // cannot be read
}

// Flywheel72 returns the standard load: 72 hours of a number of brands.
func Flywheel72(brands, records int, end time.Time) Config {
	return Config{
		Seed: 72, Brands: brands, Records: records, Span: 72 * time.Hour, End: end,
		Zipf: 1.1, TikTok: 0.60, Amazon: 0.15, Orders: 0.10, Ads: 0.10, Corrections: 0.05,
		DelayP50: 2 * time.Second, DelayP99: 5 * time.Minute,
		Late: 0.01, LateMin: time.Hour, LateMax: 24 * time.Hour,
		TooLate: 0.001, TooLateMin: 80 * time.Hour, TooLateMax: 120 * time.Hour,
		Duplicates: 0.02, Poison: 0.0001,
	}
}

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Brands < 1 || c.Brands > brandsMax {
		fail("brands: %d is not between 1 and %d", c.Brands, brandsMax)
	}
	if c.Records < 0 {
		fail("records: %d is negative", c.Records)
	}
	if c.Span < time.Second || c.Span > spanMax {
		fail("span: %s is not between 1s and %s", c.Span, spanMax)
	}
	if c.End.Before(time.Unix(0, 0).Add(c.Span + c.TooLateMax)) {
		fail("end: %s is too early", c.End)
	}
	if !(c.Zipf >= 0 && c.Zipf <= 4) {
		fail("zipf: %v is not between 0 and 4", c.Zipf)
	}
	if sum := c.TikTok + c.Amazon + c.Orders + c.Ads + c.Corrections; !(sum > 0.999 && sum < 1.001) {
		fail("the shares of the events add up to %v instead of 1", sum)
	}
	for _, share := range [...]float64{c.TikTok, c.Amazon, c.Orders, c.Ads, c.Corrections, c.Late, c.TooLate, c.Duplicates, c.Poison} {
		if !(share >= 0 && share <= 1) {
			fail("a share of %v is not between 0 and 1", share)
		}
	}
	if c.DelayP50 <= 0 || c.DelayP99 < c.DelayP50 || c.LateMin < 0 || c.LateMax < c.LateMin || c.TooLateMax < c.TooLateMin {
		fail("the delays are not in order")
	}
	return errors.Join(errs...)
}

// Bounds of the configuration.
const (
	brandsMax = 10_000_000
	spanMax   = 60 * 24 * time.Hour
)
