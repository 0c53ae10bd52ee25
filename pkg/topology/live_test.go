package topology

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// lives keeps what was published of each spike: its statuses, each as often as it
// came anew, and its newest revision.
type lives struct {
	order  []event.ID
	status map[event.ID][]event.SpikeStatus
	last   map[event.ID]event.Spike
}

func (l *lives) take(v any) {
	s, is := v.(*event.Spike)
	if !is {
		return
	}
	if l.last == nil {
		l.status, l.last = make(map[event.ID][]event.SpikeStatus), make(map[event.ID]event.Spike)
	}
	if _, known := l.last[s.SpikeID]; !known {
		l.order = append(l.order, s.SpikeID)
	}
	if l.last[s.SpikeID].Status != s.Status {
		l.status[s.SpikeID] = append(l.status[s.SpikeID], s.Status)
	}
	l.last[s.SpikeID] = *s
}

// once says whether each spike was raised once and resolved once.
func (l *lives) once() bool {
	for _, status := range l.status {
		if !slices.Equal(status, []event.SpikeStatus{event.SpikeStatusActive, event.SpikeStatusResolved}) {
			return false
		}
	}
	return true
}

// TestMildSpikesOfAStreamAreRaisedOnce lets ad impressions come one by one, and looks
// every ten seconds while they are a little more than usual for an hour, and again in the
// last quarter-hour of the next before it would be over.
func TestMildSpikesOfAStreamAreRaisedOnce(t *testing.T) {
	const (
		stepMs          = 10_000
		perDay, perHour = window.DayMs / stepMs, window.HourMs / stepMs
		perQuarter      = perHour / window.QuartersPerHour
		history, days   = 13, 19
		noon            = 12 * perHour
	)
	r := rand.New(rand.NewPCG(0, 9))
	p := newPartition(t)
	var got lives
	seen, n := 0.0, 0
	impressions := func(atMs, count int64) {
		n++
		p.Apply(adTraffic(fmt.Sprint(n), atMs, count), taken)
	}
	for step := range int64(days * perDay) {
		day, of := step/perDay, step%perDay
		atMs := monday + step*stepMs
		level := 100 * (1 + 0.3*math.Sin(2*math.Pi*float64(of)/perDay))
		if step%perQuarter == 0 {
			gained := 300.0
			if of >= noon-perHour && of < noon+perHour && (day > history || day%4 == 0) {
				gained = 30_000
			}
			seen += gained * (0.7 + 0.6*r.Float64())
			p.Apply(statistics("post", step, atMs, monday, int64(seen)), taken)
		}
		if day < history {
			if step%perQuarter == 0 {
				impressions(atMs+1000, poisson(r, level))
			}
			continue
		}
		if day > history && (of >= noon && of < noon+perHour || of >= noon+7*perQuarter && of < noon+8*perQuarter) {
			level *= 1.6
		}
		for range poisson(r, level/perQuarter) {
			impressions(atMs+r.Int64N(stepMs), 1)
		}
		if day > history && of >= noon-perHour && of < noon+4*perHour || of%perHour == 0 {
			p.Refresh(taken, all, got.take)
		}
	}
	if events := days - history - 1; len(got.order) != events || !got.once() {
		t.Errorf("%d spikes of %d events: %v, want each raised and resolved", len(got.order), events, got.status)
	}
}

// TestReportsOfNoiseRaiseNothing has the report of each period come before the next
// observation of the posts, which moves the clock: it is one of the whole period.
func TestReportsOfNoiseRaiseNothing(t *testing.T) {
	const days, history = 18, 12
	for name, tc := range map[string]struct {
		quarters int64 // that a report is of
		report   func(atMs, n int64) event.Record
	}{
		"glance views by the hour":     {4, func(atMs, n int64) event.Record { return glances(fmt.Sprint(atMs), atMs, 20*n) }},
		"searches by the quarter-hour": {1, func(atMs, n int64) event.Record { return searches(atMs, 1, 15, n) }},
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 9))
			p := newPartition(t)
			var got lives
			seen, gained := 0.0, 0.0
			for q := range int64(days * 96) {
				atMs := monday + q*window.QuarterMs
				switch q % 96 {
				case 36:
					gained = 20_000 * r.ExpFloat64()
				case 0, 42:
					gained = 500
				}
				seen += gained * (0.5 + r.Float64())
				p.Apply(statistics("post", q, atMs+60_000, monday, int64(seen)), taken)
				if q%tc.quarters == 0 {
					p.Apply(tc.report(atMs, poisson(r, 50*(1+0.5*math.Sin(2*math.Pi*float64(q%96)/96)))), taken)
				}
				if q > history*96 {
					p.Refresh(taken, all, got.take)
				}
			}
			if len(got.order) > 0 {
				t.Errorf("%d spikes of Poisson noise", len(got.order))
			}
		})
	}
}

// TestASpikeStandsWhenAnotherResponseTakesOver has ad impressions end or come back while a
// spike is seen in the other response, which has other buckets.
func TestASpikeStandsWhenAnotherResponseTakesOver(t *testing.T) {
	const days, eventful, eleven, noon, evening = 20, 15, 44, 48, 72
	startMs := int64(monday + eventful*window.DayMs + 12*window.HourMs)
	at := func(day, quarter int64) int64 { return day*96 + quarter }
	const ever = days * 96
	for name, tc := range map[string]struct {
		from, to int64  // quarter-hours without ad impressions
		want     string // the response of the spike
	}{
		"ad impressions are there all the time":             {ever, ever, "branded_ad_impressions"},
		"they end after the spike":                          {at(eventful+1, 0), ever, "branded_ad_impressions"},
		"they end during it":                                {at(eventful, noon+8), ever, "branded_ad_impressions"},
		"there are none":                                    {0, ever, "glance_views"},
		"they come back during it":                          {at(11, 0), at(eventful, noon+9), "glance_views"},
		"they come back within the last hour before it":     {at(11, 0), at(eventful, noon-1), "branded_ad_impressions"},
		"they come back after it, and while it is in sight": {at(11, 0), at(eventful+2, 0), "glance_views"},
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 9))
			p, backlog, changes := newPartition(t), newPartition(t), make(log)
			var got, late lives
			seen := int64(0)
			for q := range int64(days * 96) {
				atMs, day, quarter := monday+q*window.QuarterMs, q/96, q%96
				gained, level := int64(300), 100.0
				if day == eventful && quarter >= eleven && quarter < noon+12 {
					gained = 40_000
				}
				if day == eventful && quarter >= noon && quarter < evening {
					level = 300
				}
				seen += gained
				events := []event.Record{statistics("post", q, atMs, monday, seen)}
				if quarter%4 == 3 {
					events = append(events, glances(fmt.Sprint(q), atMs-3*window.QuarterMs, poisson(r, level)))
				}
				if q < tc.from || q >= tc.to {
					events = append(events, adTraffic(fmt.Sprint(q), atMs+1000, poisson(r, level)))
				}
				for _, e := range events {
					p.Apply(e, taken)
					backlog.Apply(e, taken)
				}
				if day < 14 {
					continue
				}
				p.Refresh(taken, all, got.take)
				if changes.take(p); quarter%16 == 0 {
					p = newPartition(t)
					changes.restore(t, p)
				}
			}
			backlog.Refresh(taken, all, late.take)
			for name, l := range map[string]*lives{"live": &got, "of a backlog": &late} {
				if len(l.order) != 1 {
					t.Fatalf("there are %d spikes %s, want one: %v", len(l.order), name, l.last)
				}
				if s := l.last[l.order[0]]; s.StartedAtMs != startMs || s.ResponseSignal != tc.want || s.Status != event.SpikeStatusResolved {
					t.Errorf("the one %s is %s, of %s and starts %d min after it does", name, s.Status, s.ResponseSignal, (s.StartedAtMs-startMs)/60_000)
				}
			}
			if !got.once() {
				t.Errorf("the spike is %v, want it raised and resolved", got.status)
			}
		})
	}
}

// TestAFeedThatIsConnectedIsNoSpike has ad impressions begin beside glance views that are
// weeks old, and both rise for some hours while the ads have little history, and when they
// have enough.
func TestAFeedThatIsConnectedIsNoSpike(t *testing.T) {
	const days, connected, dispersion = 34, 15, 10
	rises := map[int64]string{19: "glance_views", 31: "branded_ad_impressions"} // by day, and the response in which they are seen
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 9))
		p := newPartition(t)
		var got lives
		seen, gained := 0.0, 0.0
		for q := range int64(days * 96) {
			atMs, day, quarter := monday+q*window.QuarterMs, q/96, q%96
			level := 20.0
			_, rise := rises[day]
			switch {
			case rise && quarter >= 44 && quarter < 52:
				gained = 60_000
			case quarter == 36:
				gained = 20_000 * r.ExpFloat64()
			case quarter == 0 || quarter == 44 || quarter == 52:
				gained = 300
			}
			if rise && quarter >= 48 && quarter < 64 {
				level *= 2.5
			}
			seen += gained * (0.5 + r.Float64())
			p.Apply(statistics("post", q, atMs, monday, int64(seen)), taken)
			if quarter%4 == 3 {
				p.Apply(glances(fmt.Sprint(q), atMs-3*window.QuarterMs, dispersion*poisson(r, level)), taken)
			}
			if q >= connected*96+48 {
				p.Apply(adTraffic(fmt.Sprint(q), atMs+1000, dispersion*poisson(r, level)), taken)
			}
			if day >= 14 && quarter%4 == 3 {
				p.Refresh(taken, all, got.take)
			}
		}
		if len(got.order) != len(rises) || !got.once() {
			t.Errorf("seed %d: there are %d spikes, want %d: %v", seed, len(got.order), len(rises), got.last)
		}
		for _, s := range got.last {
			day := (s.StartedAtMs - monday) / window.DayMs
			if want := rises[day]; s.ResponseSignal != want {
				t.Errorf("seed %d: on day %d there is one of %s, want %q", seed, day, s.ResponseSignal, want)
			}
		}
	}
}
