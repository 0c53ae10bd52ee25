package topology

import (
	"slices"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

const proxiesMax = 3

// proxies are the signals that are there at once where branded searches are
// reported by the day or week, in the order of correlate.Report.
func proxies() [proxiesMax]event.Signal {
	return [...]event.Signal{event.BrandedAdImpressions, event.GlanceViews, event.OrderedSales}
}

// proxyOf returns the place of a signal among the proxies, −1 for none.
func proxyOf(s event.Signal) int {
	for j, p := range proxies() {
		if p == s {
			return j
		}
	}
	return -1
}

// nowcast is what is known of the branded searches of some hours by way of
// proxies.
type nowcast struct {
	correlate.Nowcast
	correlate.Prediction         // 0 where no proxy was there all of the time
	settled              float64 // what the platform's reports say, 0 as long as they do not cover all hours
	shown                [correlate.ProxiesMax]int64
}

// nowcast says what the platform will report of the hours from ≤ hour < to, and
// what it has reported. It learns from the reports of periods that have ended by
// then, so that of any moment it says what could be said.
func (p *Partition) nowcast(b *brand, from, to int64) (n nowcast, ok bool) {
	reports, covers := p.reports(b, from, to)
	if reports == nil {
		return n, false
	}
	span := reports.signal.Info().Grain.Minutes() / 60
	first := to - int64(p.cfg.HistoryHours)
	told := p.told(b, first, to)
	var past []correlate.Report
	for hour, more := reports.hours.First(first, to-span+1); more; hour, more = reports.hours.First(hour+1, to-span+1) {
		past = append(past, correlate.Report{Total: reports.hours.Get(hour), Proxies: told.sums(hour, hour+span)})
	}
	n.Nowcast, n.shown = correlate.FitNowcast(past), told.sums(from, to)
	n.Prediction, _ = n.Predict(n.shown)
	if !covers {
		return n, true
	}
	for hour, _ := reports.hours.First(from-span+1, to); from < to; hour, _ = reports.hours.First(hour+1, to) {
		until := min(to, hour+span)
		if told.from > hour || told.to < hour+span {
			told = p.told(b, min(first, hour), max(to, hour+span))
		}
		share, known := n.Share(told.sums(from, until), told.sums(hour, hour+span))
		if !known { // no proxy was there all of the time: the hours count alike
			share = float64(until-from) / float64(span)
		}
		n.settled += float64(reports.hours.Get(hour)) * share
		from = until
	}
	return n, true
}

// reports returns the platform's reports, of days or of weeks, by which the hours from ≤ hour
// < to are told of, nil for none, and whether they cover all of them. Where both kinds do, or
// neither, it is those that tell of more of the history: one that strayed in says little.
func (p *Partition) reports(b *brand, from, to int64) (reports *series, covers bool) {
	var most int64
	for _, s := range [...]event.Signal{event.BrandedSearchesDay, event.BrandedSearchesWeek} {
		ser := b.find(s, [3]byte{})
		if ser == nil {
			continue
		}
		whole, _ := ser.reported(from, to)
		_, told := ser.reported(to-int64(p.cfg.HistoryHours), to)
		if reports == nil || whole && !covers || whole == covers && told > most {
			reports, covers, most = ser, whole, told
		}
	}
	return reports, covers
}

// reported says whether the reports of a coarse signal cover all hours from ≤ hour < to, and
// how many of them.
func (ser *series) reported(from, to int64) (all bool, hours int64) {
	span, n := ser.signal.Info().Grain.Minutes()/60, to-from
	for hour, more := ser.hours.First(from-span+1, to); more; hour, more = ser.hours.First(hour+1, to) {
		until := min(to, hour+span)
		hours += until - max(from, hour)
		from = until
	}
	return hours == n, hours
}

// told is what the proxies have shown by the hour, and which hours of them are gaps.
type told struct {
	from, to int64
	values   [proxiesMax][]int64
	gaps     [proxiesMax][]bool
}

// told returns what the proxies have shown in the hours from ≤ hour < to, until its
// next use.
func (p *Partition) told(b *brand, from, to int64) *told {
	t := &p.work.told
	t.from, t.to = from, to
	for j, s := range proxies() {
		var currency [3]byte
		if s.Info().Money {
			currency = b.currency()
		}
		values := grow(&t.values[j], int(to-from))
		clear(values)
		if ser := b.find(s, currency); ser != nil {
			ser.hours.Read(values, from)
		}
		correlate.Gaps(grow(&t.gaps[j], len(values)), values)
	}
	return t
}

// sums returns what the proxies have shown in the hours from ≤ hour < to, 0 of one that
// was not there all of the time.
func (t *told) sums(from, to int64) (sums [correlate.ProxiesMax]int64) {
	for j := range t.values {
		if slices.Contains(t.gaps[j][from-t.from:to-t.from], true) {
			continue
		}
		for _, v := range t.values[j][from-t.from : to-t.from] {
			sums[j] += v
		}
	}
	return sums
}

// spreadMs returns the moment from which on nowcasts change with an hour of a signal: a
// report that covers an hour of a proxy is spread over all its hours as the proxy is, those
// of a window among them that ends before this one.
func (b *brand) spreadMs(s event.Signal, atMs int64) int64 {
	if proxyOf(s) < 0 {
		return atMs
	}
	hour := window.Floor(atMs, window.HourMs)
	for _, reports := range [...]event.Signal{event.BrandedSearchesDay, event.BrandedSearchesWeek} {
		ser := b.find(reports, [3]byte{})
		if ser == nil {
			continue
		}
		span := reports.Info().Grain.Minutes() / 60
		if begin, covers := ser.hours.First(hour-span+1, hour+1); covers {
			atMs = min(atMs, begin*window.HourMs)
		}
	}
	return atMs
}

// searches fills in what is known of the branded searches of a window beside its
// response, and has an effect on a proxy that stands in for them say how many
// branded searches it makes. As long as that rests on the nowcast, the interval
// is wider by the nowcast's own error.
func (p *Partition) searches(b *brand, f *event.Force, response *series, out *event.Correlation) {
	if f.Responses[0] != event.BrandedSearches {
		return
	}
	if out.EffectSignal == event.BrandedSearchesHour.String() { // the unit is the same
		out.EffectSignal = event.BrandedSearches.String()
	}
	to := window.Floor(out.WindowEndMs, window.HourMs)
	n, ok := p.nowcast(b, to-int64(f.WindowHours), to)
	if !ok {
		return
	}
	out.NowcastTotal, out.NowcastLow, out.NowcastHigh = n.Value, n.Low, n.High
	out.NowcastError, out.SettledTotal = n.Error, n.settled
	j := proxyOf(response.signal)
	if j < 0 || n.Ratio(j) == 0 || out.EffectHigh == 0 {
		return
	}
	out.EffectSignal = event.BrandedSearches.String()
	if shown := n.shown[j]; out.Tier == event.TierSettled && n.settled > 0 && shown > 0 {
		ratio := n.settled / float64(shown)
		out.Effect, out.EffectLow, out.EffectHigh = out.Effect*ratio, out.EffectLow*ratio, out.EffectHigh*ratio
		return
	}
	e := n.Widen(j, out.Effect, out.EffectLow, out.EffectHigh)
	out.Effect, out.EffectLow, out.EffectHigh = e.Value, e.Low, e.High
}
