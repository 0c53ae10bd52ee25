package ingest

import (
	"fmt"
	"time"

	"flywheel/pkg/event"
)

// Grain of a response: what is finer is summed up, since the pipeline tells
// search volumes by their period and counts in quarter-hours.
const quarter = 15 * time.Minute

// Fits returns the period of the reports that a series becomes, 0 for a stimulus,
// and an error if there are none of its spacing.
func (c Config) Fits(s *Series) (time.Duration, error) {
	if c.As != Response {
		return 0, nil
	}
	p, err := period(s.Spacing)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.path, err)
	}
	return p, nil
}

// period returns the period of the reports that a series of searches becomes.
func period(spacing time.Duration) (time.Duration, error) {
	switch {
	case spacing <= quarter && quarter%spacing == 0:
		return quarter, nil
	case spacing <= time.Hour && spacing%quarter == 0, spacing == 24*time.Hour, spacing == 7*24*time.Hour:
		return spacing, nil
	}
	return 0, fmt.Errorf("the series has a value every %s: branded searches come by a part of 15 minutes, by 15, 30, 45 or 60 minutes, by day or by week; sum the series up to one of these", spacing)
}

// maker turns points into records, in the order of their event time. The
// records carry ids and versions that follow from the series alone, so the same
// series gives the same events every time.
type maker struct {
	cfg     Config
	spacing time.Duration
	period  time.Duration // of a response
	emit    func(event.Record) error

	started bool
	first   time.Time
	last    time.Time // end of the last interval of a stimulus, start of the period of a response
	total   int64     // views so far, or searches in the period
}

// topic is where the records go.
func (c Config) topic() string {
	if c.As == Response {
		return event.TopicAmazon
	}
	return event.TopicTikTok
}

// source names the feed; each series is one of its own, so that an old one is
// not late beside a newer one.
func (c Config) source() string { return "mentions." + string(c.As) + "." + c.Content }

// add takes the next point.
func (m *maker) add(p Point) error {
	if m.cfg.As == Response {
		return m.addSearches(p)
	}
	return m.addViews(p)
}

// end is called after the last point.
func (m *maker) end() error {
	if m.cfg.As == Response && m.started {
		return m.emit(m.searches())
	}
	return nil
}

func (m *maker) addViews(p Point) error {
	if !m.started {
		m.started, m.first, m.last = true, p.At, p.At
		published := &event.TikTokContentPublished{ContentID: m.cfg.Content, Kind: event.ContentKindVideo}
		m.head(published, p.At, m.cfg.Content, 1)
		if err := m.emit(published); err != nil {
			return err
		}
	}
	// The gain between two observations is spread over the time between them:
	// after a gap one more says that nothing was gained in it.
	if p.At.After(m.last) {
		if err := m.emit(m.views(p.At)); err != nil {
			return err
		}
	}
	m.total += p.Value
	m.last = p.At.Add(m.spacing)
	return m.emit(m.views(m.last))
}

func (m *maker) views(at time.Time) event.Record {
	r := &event.TikTokContentStatistics{ContentID: m.cfg.Content, PublishedAtMs: m.first.UnixMilli(), Views: m.total}
	m.head(r, at, m.cfg.Content, at.UnixMilli())
	return r
}

func (m *maker) addSearches(p Point) error {
	start := p.At
	if m.spacing < m.period {
		start = p.At.Truncate(m.period)
	}
	if m.started && start != m.last {
		if err := m.emit(m.searches()); err != nil {
			return err
		}
		m.total = 0
	}
	m.started, m.last = true, start
	m.total += p.Value
	return nil
}

func (m *maker) searches() event.Record {
	r := &event.AmazonSearchReport{Query: m.cfg.Query, Branded: true, PeriodMinutes: int32(m.period / time.Minute), Volume: m.total}
	m.head(r, m.last, fmt.Sprintf("%s/%s/%s", m.cfg.Query, m.period, m.last.UTC().Format(time.RFC3339)), 1)
	return r
}

// head fills the header of a record.
func (m *maker) head(r event.Record, at time.Time, key string, version int64) {
	source := m.cfg.source()
	*r.Head() = event.Header{
		EventID: event.NewID(r.Type().String(), m.cfg.BrandID, source, key, version),
		BrandID: m.cfg.BrandID, OccurredAtMs: at.UnixMilli(), ObservedAtMs: time.Now().UnixMilli(),
		Source: source, NaturalKey: key, Version: version,
	}
}
