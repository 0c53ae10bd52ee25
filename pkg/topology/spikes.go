package topology

import (
	"math"
	"slices"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/spike"
	"flywheel/pkg/window"
)

// spikeForce is the force whose response is watched: tiktok → amazon.
const spikeForce = 0

// spikeHours is the series an episode is looked for in.
const spikeHours = 6 * 24

// defaultHalfLifeHours decays the views a spike is laid to, where the force's
// kernel is not known.
const defaultHalfLifeHours = 3

// refreshSpikes looks for episodes in the response up to its newest bucket and
// publishes what has changed. An episode without a stimulus before it, or that a
// declared promotion, price change or stock-out explains, is none.
func (p *Partition) refreshSpikes(b *brand, emit func(any)) {
	f := &p.plan.forces[spikeForce]
	state := &b.forces[spikeForce]
	if state.published.Empty() {
		return
	}
	end := state.published.Last()
	response, stimulus := p.response(b, f, end), p.stimulus(b, f, end)
	if response == nil {
		return
	}
	width, cfg := int64(window.QuarterMs), p.plan.spikes
	if response.signal.Info().Grain != event.QuarterHour {
		width = window.HourMs
		cfg.ClearBuckets, cfg.EpisodeBucketsMax, cfg.Lead = 2, cfg.EpisodeBucketsMax/4, cfg.Lead/4
	}
	endMs := end * stepMs(*f)
	day := window.Floor(endMs, window.DayMs)
	base := p.fit(b, response, day)
	if base.Hours() < correlate.SeasonalHoursMin {
		return
	}
	firstMs := max((day*24-int64(base.Hours()))*window.HourMs, endMs-spikeHours*window.HourMs)
	if width < window.HourMs {
		firstMs = max(firstMs, b.oldestQuarter*width)
	}
	n := int((endMs - firstMs) / width)
	w := &p.work
	s := &w.series
	*s = spike.Series{
		First: endMs/width - int64(n), Counts: grow(&w.y, n), Expected: grow(&w.ey, n), Scale: base.Scale(),
		Exposure: float64(b.clockMs-(endMs-width)) / float64(width),
	}
	read(s.Counts, response, endMs, width)
	p.expect(b, response, day, s.Expected, endMs, width)
	if stimulus != nil {
		s.Stimulus, s.StimulusExpected = grow(&w.x, n), grow(&w.ex, n)
		read(s.Stimulus, stimulus, endMs, width)
		p.expect(b, stimulus, day, s.StimulusExpected, endMs, width)
		s.StimulusScale = p.fit(b, stimulus, day).Scale()
	}
	episodes, from := spike.Detect(w.episodes[:0], s, &cfg)
	w.episodes = slices.DeleteFunc(episodes, func(e spike.Episode) bool {
		return !e.Evidence.Attributed || b.explained(f.To, e.Start*width)
	})
	w.steps = spike.Diff(w.steps[:0], b.episodes, w.episodes, from)
	for _, t := range w.steps {
		p.publishSpike(b, f, &t.Episode, response, width, emit)
	}
	b.episodes = spike.Apply(b.episodes, w.steps, s.First)
}

func (p *Partition) publishSpike(b *brand, f *event.Force, e *spike.Episode, response *series, width int64, emit func(any)) {
	startMs := e.Start * width
	out := event.Spike{
		BrandID: b.id, SpikeID: event.NewID("spike", b.id, f.Responses[0].String(), "", startMs),
		Force: int32(f.Number), Status: event.SpikeStatus(e.Status.String()),
		StartedAtMs: startMs, PeakAtMs: e.Peak * width, EndedAtMs: e.End * width, PeakZ: e.PeakZ, Excess: e.Excess,
		ResponseSignal: response.signal.String(),
		Revision:       b.revision, Tier: p.tier(b, f, response, startMs, e.End*width), Watermarks: p.watermarks(b), CodeVersion: correlate.Version,
	}
	out.LeadingContentID, out.LeadingViews = b.leading(
		window.Floor(e.Evidence.From*width, window.HourMs), window.Floor(e.Peak*width, window.HourMs), p.basis(b, spikeForce).Choice)
	emit(&out)
}

// leading returns the post with most responsibility for an hour: its views
// gained from the hour from on, decayed by the force's kernel, and how many
// they were.
func (b *brand) leading(from, peak int64, evidence correlate.Choice) (id string, views int64) {
	k := correlate.Kernel{HalfLife: defaultHalfLifeHours}
	if proves(evidence) {
		k = evidence.Kernel
	}
	best := 0.0
	for _, c := range b.contents.list {
		var sum, gained float64
		for hour, more := c.gains.First(from, peak+1); more; hour, more = c.gains.First(hour+1, peak+1) {
			gain := max(0, float64(c.gains.Get(hour)))
			gained += gain
			switch age := float64(peak - hour - int64(k.Delay)); {
			case age < 0:
			case k.HalfLife > 0:
				sum += gain * math.Exp2(-age/float64(k.HalfLife))
			case age == 0:
				sum += gain
			}
		}
		if sum > best || sum == best && sum > 0 && c.id < id {
			best, id, views = sum, c.id, int64(gained)
		}
	}
	return id, views
}
