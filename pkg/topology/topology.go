// Package topology is the processor without its I/O: it applies events to the
// state of the brands of one partition and derives results from that state.
//
// The state holds integers only: buckets of signals, and what is needed to know
// an event that was seen before. It is a function of the set of events accepted,
// whatever their order, and every result of a window is a function of the state:
// what a stream gives, a batch over the same events gives too. The package is
// pure: the time of day is an argument, and so is how much work to do.
//
// Life of a Partition: New, then Restore with every record of its changelog,
// then Apply, ApplyBrand, Refresh and Changes in any order by one goroutine.
package topology

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/spike"
	"flywheel/pkg/window"
)

// Config holds the bounds of the state and of the statistics.
type Config struct {
	RefreshInterval time.Duration `yaml:"refresh_interval" doc:"Least time between two refreshes of one brand's results."`
	RestateHours    int           `yaml:"restate_hours" doc:"How far behind a brand's newest event results are at least restated, in hours: by how much a source may lag behind the others, and 72 for late events. Each day costs about a kilobyte a brand."`
	HistoryHours    int           `yaml:"history_hours" doc:"History a baseline or an effect rests on, in hours."`
	CreditPosts     int           `yaml:"credit_posts" doc:"Posts of a brand and day that get credit of their own, the most viewed; the others share the rest."`
	// Pools are what brands have shown of the kernels, by number of the force; none is an
	// even prior. The processor reads them from a file.
	Pools map[int]*correlate.Pool `yaml:"-"`
}

// DefaultConfig refreshes every second, restates ten days and looks back five
// weeks.
func DefaultConfig() Config {
	return Config{RefreshInterval: time.Second, RestateHours: 10 * 24, HistoryHours: 5 * 7 * 24, CreditPosts: 200}
}

// Bounds of the configuration and of a brand.
const (
	restateHoursMax = 28 * 24
	creditPostsMax  = 10_000
	sourcesMax      = 64
)

// FutureToleranceMs is how far an event's time may lie after the moment Kafka
// took it: clocks differ.
const FutureToleranceMs = 60_000

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.RefreshInterval < 0 || c.RefreshInterval > time.Hour {
		fail("refresh_interval: %s is not between 0s and 1h", c.RefreshInterval)
	}
	if c.RestateHours < event.LatenessHours || c.RestateHours > restateHoursMax {
		fail("restate_hours: %d is not between the %d h events may be late and %d", c.RestateHours, event.LatenessHours, restateHoursMax)
	}
	if c.HistoryHours < correlate.SeasonalHoursMin || c.HistoryHours > correlate.HistoryHoursMax {
		fail("history_hours: %d is not between %d and %d", c.HistoryHours, correlate.SeasonalHoursMin, correlate.HistoryHoursMax)
	}
	// A window that is restated rests on a history, and on another that ends three
	// to four days before it, with baselines up to the midnight before that.
	if most := hoursKept - event.ShortWindowHours - 2*24 - c.RestateHours; c.HistoryHours > most {
		fail("history_hours: %d is more than the %d that are kept behind what restate_hours %d restates", c.HistoryHours, most, c.RestateHours)
	}
	if c.CreditPosts < 0 || c.CreditPosts > creditPostsMax {
		fail("credit_posts: %d is not between 0 and %d", c.CreditPosts, creditPostsMax)
	}
	for _, number := range slices.Sorted(maps.Keys(c.Pools)) {
		if err := Pooled(number); err != nil {
			fail("kernel_prior: %w", err)
		}
	}
	return errors.Join(errs...)
}

// Partition is the state of the brands of one partition. It is not safe for
// concurrent use.
type Partition struct {
	cfg  Config
	plan plan
	// version names the program and the prior that results are of, statistics the program
	// and the history that studies are of: those take no prior.
	version, statistics string
	learned             learned
	brands              map[string]*brand
	last                *brand // that was looked up: records come brand by brand

	touched []*brand  // changed since Changes, in the order of their first change
	queue   []waiting // brands with input that no result shows yet
	past    []*brand  // with restated windows
	// restored were read from the changelog and are not settled yet.
	restored  []*brand
	bytes     int64
	staleMs   int64
	refreshes uint64 // so far

	contributions []event.Contribution
	contribs      []contrib
	work          workspace
}

// plan is what follows from the table of forces.
type plan struct {
	forces  []event.Force
	stepsMs [forcesMax]int64 // of the forces
	// touches are the forces, as bits from 0, whose results a signal moves.
	touches [event.SignalsMax]uint16
	// confounds are those whose history a signal confounds: nothing before the next
	// midnight moves with it.
	confounds [event.SignalsMax]uint16
	// besides are those that a signal of a feed confounds, by the number of the feed: its
	// history begins with that of the feed.
	besides  [feedsMax]uint16
	credits  uint16                  // the forces that earn credit
	nowcasts uint16                  // those whose windows say how many branded searches they hold
	feeds    [event.SignalsMax]uint8 // numbers of the signals' feeds
	spikes   spike.Config
}

// New returns an empty partition.
func New(cfg Config) (*Partition, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("check the topology's configuration: %w", err)
	}
	p := &Partition{cfg: cfg, brands: make(map[string]*brand), plan: plan{forces: event.Forces(), spikes: spike.DefaultConfig()}}
	p.learned = learn(cfg.Pools)
	p.version = correlate.Version + p.learned.suffix()
	p.statistics = fmt.Sprintf("%s, %d h", correlate.Version, cfg.HistoryHours)
	if len(p.plan.forces) != forcesMax {
		return nil, fmt.Errorf("there are %d forces, want %d", len(p.plan.forces), forcesMax)
	}
	for i, f := range p.plan.forces {
		p.plan.stepsMs[i] = stepMs(&f)
		for _, s := range slices.Concat(f.Stimuli, f.Responses, []event.Signal{f.Revenue}) {
			p.plan.touches[s] |= 1 << i
		}
		for _, s := range f.Confounders {
			p.plan.confounds[s] |= 1 << i
		}
		if f.Revenue != event.NoSignal {
			p.plan.credits |= 1 << i
		}
		if slices.Contains(f.Responses, event.BrandedSearches) { // the reports that settle it
			p.plan.nowcasts |= 1 << i
			p.plan.touches[event.BrandedSearchesDay] |= 1 << i
			p.plan.touches[event.BrandedSearchesWeek] |= 1 << i
			for _, s := range proxies() {
				p.plan.touches[s] |= 1 << i
			}
		}
	}
	p.plan.touches[event.NoSignal] = 0
	var feeds []feed
	for s := range p.plan.feeds {
		f := feedOf(event.Signal(s))
		if !slices.Contains(feeds, f) {
			feeds = append(feeds, f)
		}
		p.plan.feeds[s] = uint8(slices.Index(feeds, f))
	}
	if len(feeds) > feedsMax {
		return nil, fmt.Errorf("the signals have %d feeds, want at most %d", len(feeds), feedsMax)
	}
	for s, forces := range p.plan.confounds {
		p.plan.besides[p.plan.feeds[s]] |= forces
	}
	return p, nil
}

// Outcome is what became of an event.
type Outcome uint8

// The outcomes.
const (
	Applied    Outcome = iota + 1
	Superseded         // a newer version of the same thing is known: no effect
	Duplicate          // seen before
	Late               // too far behind its source to be applied
	Future             // later than the moment Kafka took it
)

// String returns the outcome's name.
func (o Outcome) String() string {
	return [...]string{"none", "applied", "superseded", "duplicate", "late", "future"}[o]
}

// Apply applies a valid event that Kafka took at the moment takenMs. It keeps
// nothing of the record's memory.
//
// An event more than event.LatenessHours behind the newest of its source is
// Late; a report has its period in addition, since its time is its start. So is
// one that is more than 63 days behind the brand's newest event, whatever its
// source: no bucket is kept for it.
func (p *Partition) Apply(record event.Record, takenMs int64) Outcome {
	p.settle()
	p.work.forget()
	h := record.Head()
	if h.OccurredAtMs > takenMs+FutureToleranceMs {
		return Future
	}
	b := p.brand(h.BrandID)
	known := b != nil
	if !known {
		b = newBrand(strings.Clone(h.BrandID))
	}
	lateMs := latenessMs(record)
	src := b.source(h.Source)
	if src != noSource && h.OccurredAtMs < b.sources[src].watermarkMs-lateMs {
		return Late
	}
	p.contributions = record.Contribute(p.contributions[:0])
	if len(p.contributions) > 0 && h.OccurredAtMs < b.clockMs-hoursKept*window.HourMs {
		return Late // no bucket would hold it
	}
	outcome := Applied
	switch record.Type().Info().Mode {
	case event.Fact:
		if p.known(b, h.EventID) {
			return Duplicate
		}
		src = b.accept(h, src, takenMs)
		b.facts.add(h.EventID, src, window.Floor(h.OccurredAtMs, window.HourMs))
		for i := range p.contributions {
			c := &p.contributions[i]
			p.add(b, contrib{c.Signal, code(c.Currency), c.AtMs, c.Value})
		}
	case event.Snapshot:
		outcome = p.applySnapshot(b, record, src, takenMs)
	case event.Counter:
		outcome = p.applyCounter(b, h, src, takenMs)
	}
	if outcome != Applied {
		return outcome
	}
	if !known {
		p.brands[b.id] = b
	}
	p.touch(b)
	p.enqueue(b, takenMs)
	return Applied
}

// brand returns a brand that is known, nil if it is not.
func (p *Partition) brand(id string) *brand {
	if p.last == nil || p.last.id != id {
		p.last = p.brands[id]
	}
	return p.last
}

// latenessMs is how far behind its source's newest event one is applied.
func latenessMs(record event.Record) int64 {
	late := int64(event.LatenessHours * window.HourMs)
	if r, ok := record.(*event.AmazonSearchReport); ok {
		late += int64(r.PeriodMinutes) * 60_000
	}
	return late
}

// ApplyBrand takes a brand's entry over: its time zone, holidays and currency.
// It keeps nothing of the entry's memory.
func (p *Partition) ApplyBrand(entry *event.Brand) Outcome {
	p.settle()
	p.work.forget()
	b, known := p.brands[entry.BrandID]
	if known && b.entry.known {
		switch {
		case entry.Version == b.entry.version:
			return Duplicate
		case entry.Version < b.entry.version:
			return Superseded
		}
	}
	if !known {
		b = newBrand(strings.Clone(entry.BrandID))
		p.brands[b.id] = b
	}
	was := b.entry.zone
	b.entry = newEntry(entry)
	b.rezone(&was)
	b.entryTouched = true
	b.forget()
	p.touch(b)
	p.enqueue(b, unknownMs)
	return Applied
}

// touch notes that the brand's state has changed.
func (p *Partition) touch(b *brand) {
	if !b.touched {
		b.touched = true
		p.touched = append(p.touched, b)
	}
}

// unknownMs stands for a moment that only the next Refresh can tell.
const unknownMs = -1

// enqueue notes that the brand has input since sinceMs that no result shows.
func (p *Partition) enqueue(b *brand, sinceMs int64) {
	if !b.queued {
		b.queued = true
		p.queue = append(p.queue, waiting{b, sinceMs})
	}
}

// waiting is a brand with the moment since when it waits for a refresh.
type waiting struct {
	brand   *brand
	sinceMs int64
}

// Stats is what is to be known of a partition.
type Stats struct {
	Brands      int
	Bytes       int64 // memory of the state, as of each brand's last refresh
	Dirty       int   // brands with input that no result shows yet
	StalenessMs int64 // age of the oldest such input at the last Refresh
}

// Stats returns the figures of the partition.
func (p *Partition) Stats() Stats {
	return Stats{Brands: len(p.brands), Bytes: p.bytes, Dirty: len(p.queue) + len(p.past), StalenessMs: p.staleMs}
}
