package topology

import (
	"cmp"
	"errors"
	"hash/fnv"
	"math"
	"slices"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// study is what the hours up to one show of the effect of a stimulus on a response: the
// best kernel, the size, and its calibrated interval (correlate.Estimator). It takes as
// long as a hundred refreshes. So it is made once a day of a force with evidence, at an
// hour of the brand's own, of a history that events which are late do not reach; and it
// is kept in the changelog, as long as a window that rests on it may be restated. What
// it says is a function of the buckets: one that has seen an hour which changes is
// dropped.
type study struct {
	studyKey
	from    int64 // first hour of its history, when any of both nodes was first seen
	valid   bool  // false: to be deleted
	changed bool  // since Changes
	effect
}

// studyKey says which study it is.
type studyKey struct {
	end                int64 // of the history: the hour behind its last
	force              int   // from 0
	stimulus, response seriesKey
}

// effect is the size of an effect, and its interval at 95 %.
type effect struct {
	kernel          correlate.Kernel // in hours
	beta, low, high float64          // response units per unit of stimulus, in all
	realised        float64          // share of placebos with it planted whose interval holds it
}

// known says whether there is one: a history may be too short.
func (e *effect) known() bool { return e.high > 0 }

// studyCost is a study in evaluations of a window, for the budget of refreshing.
const studyCost = 100

// studies are those of a brand, by their key.
type studies []study

func compareStudies(x, y studyKey) int {
	return cmp.Or(cmp.Compare(x.end, y.end), cmp.Compare(x.force, y.force), cmp.Compare(x.stimulus, y.stimulus), cmp.Compare(x.response, y.response))
}

func (s studies) find(key studyKey) (int, bool) {
	return slices.BinarySearchFunc(s, key, func(x study, key studyKey) int { return compareStudies(x.studyKey, key) })
}

// put keeps a study in the place of the one before.
func (s *studies) put(x study) {
	i, known := s.find(x.studyKey)
	if !known {
		*s = slices.Insert(*s, i, study{})
	}
	(*s)[i] = x
}

// drop has studies deleted.
func (s studies) drop(is func(*study) bool) {
	for i := range s {
		if x := &s[i]; x.valid && is(x) {
			x.valid, x.changed = false, true
		}
	}
}

// moved drops the studies that have seen an hour of a series, which may confound some
// forces, or whose history begins elsewhere by it, or that of a confounder of its feed
// (besides).
func (s studies) moved(ser *series, hour int64, confounds, besides uint16) {
	if len(s) == 0 || hour >= s[len(s)-1].end {
		return
	}
	key, from := keyOf(ser.signal, ser.currency), feedOf(ser.signal)
	s.drop(func(x *study) bool {
		begins := hour <= x.from && (besides&(1<<x.force) != 0 || feedOf(x.stimulus.signal()) == from || feedOf(x.response.signal()) == from)
		return hour < x.end && (key == x.stimulus || key == x.response || begins || confounds&(1<<x.force) != 0)
	})
}

// studyEnd returns the end of the newest study that may stand behind a window which
// starts at an hour. It is at an hour of the brand's own, so that not all brands are
// studied at once.
func (b *brand) studyEnd(start int64) int64 {
	return window.Floor(start-b.studyHour, 24)*24 + b.studyHour
}

// studyHour returns the hour of the day of a brand's studies.
func studyHour(id string) int64 {
	h := fnv.New64a()
	h.Write([]byte(id)) // never fails
	return int64(h.Sum64() % 24)
}

// study returns the effect of a stimulus on a response by the newest study that ends
// before an hour. It makes the study if there is none.
func (p *Partition) study(b *brand, i int, stimulus, response *series, start int64) effect {
	key := studyKey{b.studyEnd(start), i, keyOf(stimulus.signal, stimulus.currency), keyOf(response.signal, response.currency)}
	if at, known := b.studies.find(key); known && b.studies[at].valid {
		return b.studies[at].effect
	}
	p.work.studied++
	from, e := p.estimate(b, i, stimulus, response, key.end)
	b.studies.put(study{studyKey: key, from: from, valid: true, changed: true, effect: e})
	return e
}

// estimate makes a study, and returns where its history begins.
func (p *Partition) estimate(b *brand, i int, stimulus, response *series, end int64) (from int64, e effect) {
	others := p.confounding(b, i, stimulus, response, end) // before the calendar, which shares its memory
	from, n := p.reach(b, stimulus, response, end)
	w := &p.work
	x, y := grow(&w.x, n), grow(&w.y, n)
	stimulus.hours.Read(x, from)
	response.hours.Read(y, from)
	c := p.calendar(b, response.signal.Info().Node, n, end*window.HourMs, window.HourMs)
	pair := correlate.Pair{
		X: make([]float64, n), Y: make([]float64, n), Hours: c.Bins, Days: c.Days,
		StepSeconds: window.HourMs / 1000, StartS: from * (window.HourMs / 1000), Lags: event.ShortWindowHours,
	}
	for t := range n {
		pair.X[t], pair.Y[t] = float64(x[t]), float64(y[t])
	}
	if c.Declared != nil {
		pair.Declared = make([]int, n)
		for t, kind := range c.Declared {
			pair.Declared[t] = int(kind)
		}
	}
	for _, ser := range others {
		c := make([]float64, n)
		ser.hours.Read(x, from)
		first, _ := ser.hours.First(from, end)
		for t := range c {
			if c[t] = float64(x[t]); from+int64(t) < first {
				c[t] = math.NaN() // nothing was told of it yet
			}
		}
		pair.Confounders = append(pair.Confounders, c)
	}
	var estimator correlate.Estimator // its memory is worth a hundredth of its time
	rel := estimator.Screen(&pair)
	if rel.Reason != correlate.NoReason {
		return from, effect{}
	}
	estimator.Bound(&rel)
	estimator.Assess(&rel)
	if rel.Reason != correlate.NoReason {
		return from, effect{}
	}
	return from, effect{rel.Kernel, rel.Beta, rel.Low, rel.High, rel.Realised}
}

// confounders returns the series that confound a force and hold anything in some hours.
func (p *Partition) confounders(b *brand, i int, from, to int64) []*series {
	all := p.work.confounders[:0]
	for _, s := range p.plan.forces[i].Confounders {
		if ser := b.find(s, [3]byte{}); ser != nil && ser.hours.Any(from, to) {
			all = append(all, ser)
		}
	}
	p.work.confounders = all
	return all
}

// confounding returns those of the confounders of a force that the hours up to one show
// to act on either side.
func (p *Partition) confounding(b *brand, i int, stimulus, response *series, end int64) (some []*series) {
	day := window.Floor(end, 24)
	above := p.above(b, i, stimulus, response, end, day) // as in choose
	if len(above) == 0 {
		return nil
	}
	in := p.history(b, stimulus, response, end, day)
	in.Kernel.Lags, in.Confounders = event.ShortWindowHours, above
	for _, at := range in.Confounding(&p.work.scratch) {
		some = append(some, p.work.confounders[at])
	}
	return some
}

// reach returns the hours up to one that tell of both sides: from the first data of
// both feeds on.
func (p *Partition) reach(b *brand, stimulus, response *series, end int64) (from int64, n int) {
	from = end - int64(p.cfg.HistoryHours)
	from = max(b.first(feedOf(stimulus.signal), from, end), b.first(feedOf(response.signal), from, end))
	return from, int(end - from)
}

// closeStudies drops the studies that no window rests on which may still be restated.
func (p *Partition) closeStudies(b *brand) {
	b.studies.drop(func(x *study) bool {
		first := p.oldestEnd(b, x.force) * p.plan.stepsMs[x.force]
		return x.end < b.studyEnd(window.Floor(first, window.HourMs)-event.ShortWindowHours)
	})
}

func (l *changelog) studies(b *brand) {
	b.studies = slices.DeleteFunc(b.studies, func(x study) bool {
		if x.changed {
			l.study(b, &x)
		}
		return !x.valid
	})
	for i := range b.studies {
		b.studies[i].changed = false
	}
	if len(b.studies) == 0 {
		b.studies = nil
	}
}

// study writes what a study says, and of which program and history it is.
func (l *changelog) study(b *brand, x *study) {
	l.begin(b, kindStudy)
	l.key.int(x.end)
	l.key.uint(uint64(x.force))
	for _, side := range [...]seriesKey{x.stimulus, x.response} {
		l.key.uint(uint64(side.signal()))
		currency := side.currency()
		l.key.bytes(currency[:])
	}
	if !x.valid {
		l.delete()
		return
	}
	w := &l.value
	w.text(l.statistics)
	w.int(x.from)
	w.int(int64(x.kernel.Delay))
	w.int(int64(math.Round(x.kernel.HalfLife / halfLifeUnit)))
	for _, v := range [...]float64{x.beta, x.low, x.high, x.realised} {
		w.float(v)
	}
	w.float(x.kernel.Later)
	l.put()
}

// halfLifeUnit is the part of an hour in which the changelog tells half-lives: that in
// which correlate does.
const halfLifeUnit = 1.0 / 64

// Faults of a study.
var (
	errNoForce    = errors.New("there is no such force")
	errNoInterval = errors.New("the numbers of a study are no interval")
	errNoKernel   = errors.New("the part of a study's kernel that acts later is no share")
)

// restoreStudy reads a study. One of another program or another history is not used.
func (b *brand) restoreStudy(key, r *reader, tombstone bool, statistics string) {
	x := study{studyKey: studyKey{end: key.number(window.HourMs)}}
	force := key.uint()
	if force >= forcesMax {
		key.refuse(errNoForce)
		return
	}
	x.force = int(force)
	x.stimulus = keyOf(key.signal(), key.currency())
	x.response = keyOf(key.signal(), key.currency())
	if tombstone {
		if i, known := b.studies.find(x.studyKey); known {
			b.studies = slices.Delete(b.studies, i, i+1)
		}
		return
	}
	x.valid = r.text() == statistics
	x.changed = !x.valid
	x.from = r.number(window.HourMs)
	x.kernel = correlate.Kernel{
		Delay: int(r.within(0, event.ShortWindowHours)), HalfLife: halfLifeUnit * float64(r.within(0, correlate.LagsMax/halfLifeUnit)), Lags: event.ShortWindowHours,
	}
	x.beta, x.low, x.high, x.realised = r.float(), r.float(), r.float(), r.float()
	if !(0 <= x.low && x.low <= x.beta && x.beta <= x.high && x.high <= math.MaxFloat64 && 0 <= x.realised && x.realised <= 1) {
		r.refuse(errNoInterval)
		return
	}
	if len(r.left) > 0 { // programs before correlate/13 wrote none
		x.kernel.Later = r.float()
	}
	if !(0 <= x.kernel.Later && x.kernel.Later <= 1) || x.kernel.Later > 0 && x.kernel.Delay == x.kernel.Lags {
		r.refuse(errNoKernel)
		return
	}
	b.studies.put(x)
}
