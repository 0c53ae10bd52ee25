package topology

import (
	"cmp"
	"math"
	"slices"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// creditWork is memory for attributing revenue.
type creditWork struct {
	money, hours []int64
	base         []float64
	acting, adds []float64 // a stimulus, and what it adds
	claims       []claim
	posts        []post
	stimuli      []correlate.Stimulus
	labels       []label
	pulses       []correlate.Pulse
	shares       []event.CreditShare
}

// claim is a force that the history has shown to move the revenue of a node.
type claim struct {
	force              int // from 0
	stimulus, response *series
	effect
}

// post is a content with views in a time, to choose the most viewed.
type post struct {
	content *content
	views   int64
}

// label says whose a stimulus of an attribution is.
type label struct {
	force   int
	content string
	from    int // of its pulses
}

// refreshDays publishes the credits of the running day, and those of days that
// have ended since the last time.
func (p *Partition) refreshDays(b *brand, emit func(any)) (spent Budget) {
	if !slices.ContainsFunc(b.series, b.makesMoney) {
		return 0
	}
	spent = p.publishVoid(b, emit)
	today := b.entry.zone.Day(b.clockMs)
	first := today
	if published := &b.days.published; !published.Empty() {
		first = min(today, published.Last())
	} else {
		for _, ser := range b.series {
			if hour, holds := ser.hours.First(b.oldestHour, window.After); holds && ser.signal.Info().Money {
				first = min(first, b.entry.zone.Day(hour*window.HourMs))
			}
		}
	}
	first = max(first, today-hoursKept/24) // further back is a brand that was silent, or a clock that was wrong
	if first < today {
		b.days.due.Add(first, today)
	}
	if basis := window.Floor(b.clockMs, window.DayMs); basis != b.days.basis {
		b.days.basis = basis
		b.days.due.AddCommon(&b.days.published, window.Before, today)
	}
	b.days.hit.Add(first, today)
	if !b.days.published.Has(today) {
		b.days.hit.Add(today, today+1)
	}
	b.days.published.Add(first, today+1)
	b.days.due.Add(today, today+1)
	b.days.due.Remove(today+1, window.After)
	p.sift(b)
	if !b.days.due.Has(today) {
		return spent
	}
	b.days.due.Remove(today, today+1)
	spent += p.publishDay(b, today, emit)
	p.plain(b)
	return spent
}

// sift takes the days off that would come out as they were published. As long as no
// force earns credit, a day rests on nothing but its own money: then a late event,
// which may show an effect in the history that all days rest on, has left them alone.
func (p *Partition) sift(b *brand) {
	d := &b.days
	if d.plain = d.plain && !p.claimed(b); !d.plain {
		return
	}
	var left window.Set
	for _, r := range d.due.Spans() {
		left.AddCommon(&d.hit, r.From, r.To)
	}
	d.due = left
}

// plain notes, once all days are published, whether an effect is behind them.
func (p *Partition) plain(b *brand) {
	d := &b.days
	if !d.plain && d.due.Empty() && d.basis == window.Floor(b.clockMs, window.DayMs) {
		d.plain = !p.claimed(b)
	}
}

// claimed says whether a force earns credit by the history up to the brand's clock.
func (p *Partition) claimed(b *brand) bool {
	for _, revenue := range revenues() {
		if p.claims(b, revenue); len(p.work.credit.claims) > 0 {
			return true
		}
	}
	return false
}

// revenues are the signals whose money is split.
func revenues() [3]event.Signal {
	return [...]event.Signal{event.BrandedRevenue, event.ShopifyRevenue, event.TikTokGMV}
}

// makesMoney says whether there are credits of a series.
func (b *brand) makesMoney(ser *series) bool {
	return ser.published || ser.signal.Info().Money && ser.hours.Any(b.oldestHour, window.After)
}

// publishDay publishes the credits of a local day: one record for each node
// and currency that money came in.
func (p *Partition) publishDay(b *brand, day int64, emit func(any)) (spent Budget) {
	startMs, endMs := b.entry.zone.DayStart(day), b.entry.zone.DayStart(day+1)
	if startMs == endMs {
		return 0 // the clocks skip it
	}
	untilMs := min(endMs, startMs+window.Ceil(b.clockMs+1-startMs, window.HourMs)*window.HourMs)
	reporting := b.currency()
	b.days.hit.Remove(day, day+1)
	for _, revenue := range revenues() {
		p.claims(b, revenue)
		for _, ser := range b.series {
			if ser.signal != revenue {
				continue
			}
			if !b.makesMoney(ser) {
				continue
			}
			ser.published = true
			claims := p.work.credit.claims
			if ser.currency != reporting {
				claims = nil // effects are estimated in the reporting currency only
			}
			emit(p.publishCredit(b, revenue.Info().Node, ser, startMs, untilMs, endMs, claims))
			spent++
		}
	}
	return spent
}

// claims finds the forces with evidence for moving a revenue by the history up to the
// UTC day of the brand's clock, and how much a unit of each stimulus moves it by the
// newest study of a window that ends with it. All days rest on the same: those that can
// still be restated are, once a day and whenever that history changes.
//
// The study of the next day is made as soon as its hours cannot be late any more, at an
// hour of the brand's own, so that not all are made at midnight.
func (p *Partition) claims(b *brand, revenue event.Signal) {
	claims := p.work.credit.claims[:0]
	defer func() { p.work.credit.claims = claims }()
	money := b.find(revenue, b.currency())
	if money == nil {
		return
	}
	day := window.Floor(b.clockMs, window.DayMs)
	for i := range p.plan.forces {
		f := &p.plan.forces[i]
		if f.Revenue != revenue {
			continue
		}
		basis := p.basis(b, i)
		if !proves(basis.Choice) {
			continue
		}
		midnight := day*24 - event.ShortWindowHours
		if e := p.study(b, i, basis.from, money, midnight); e.known() && e.beta > 0 {
			claims = append(claims, claim{i, basis.from, basis.to, e})
		}
		if window.Floor(b.clockMs, window.HourMs) >= day*24+b.studyHour {
			p.study(b, i, basis.from, money, midnight+24)
		}
	}
}

// basis returns what the history up to the UTC day of the brand's clock shows of
// a force.
func (p *Partition) basis(b *brand, i int) choice {
	f := &p.plan.forces[i]
	day := window.Floor(b.clockMs, window.DayMs)
	stimulus, response := p.seen(b, f.Stimuli, day), p.seen(b, f.Responses, day)
	if stimulus == nil || response == nil {
		return choice{}
	}
	return choice{from: stimulus, to: response, Choice: p.choose(b, i, &b.force(i).state().basis, stimulus, response, day, true)}
}

// seen returns the first of some signals that the history up to a UTC day holds.
func (p *Partition) seen(b *brand, signals []event.Signal, day int64) *series {
	for _, s := range signals {
		if ser := b.find(s, [3]byte{}); ser != nil && ser.hours.Any(max(b.oldestHour, day*24-int64(p.cfg.HistoryHours)), day*24) {
			return ser
		}
	}
	return nil
}

// publishCredit splits one day's revenue of a node and currency.
func (p *Partition) publishCredit(b *brand, node event.NodeName, ser *series, startMs, untilMs, endMs int64, claims []claim) *event.Credit {
	w := &p.work.credit
	out := &event.Credit{
		BrandID: b.id, DayMs: startMs, Node: node, Currency: string(ser.currency[:]),
		Revision: b.revision, Tier: event.TierSettled, Watermarks: p.watermarks(b), CodeVersion: p.version,
	}
	for _, c := range claims {
		if t := p.tier(b, &p.plan.forces[c.force], c.response, startMs, untilMs); t != event.TierSettled {
			out.Tier = t
		}
	}
	a := p.attribute(b, ser, startMs, endMs, claims, true)
	for _, m := range w.money {
		out.RevenueMicros += m
	}
	out.BaselineMicros = a.Baseline
	shares := w.shares[:0]
	for i, credit := range a.Credits {
		if credit != 0 {
			f := &p.plan.forces[w.labels[i].force]
			shares = append(shares, event.CreditShare{Force: int32(f.Number), Node: f.From, ContentID: w.labels[i].content, CreditMicros: credit})
		}
	}
	slices.SortFunc(shares, func(a, b event.CreditShare) int {
		return cmp.Or(cmp.Compare(a.Force, b.Force), cmp.Compare(a.ContentID, b.ContentID))
	})
	w.shares, out.Credits = shares, shares
	if gmv := b.find(event.TikTokGMV, ser.currency); gmv != nil {
		out.DirectGMVMicros = quarterSum(gmv, startMs, endMs)
		if node == event.NodeAmazon {
			p.multiply(b, ser, gmv, untilMs, claims, out)
		}
	}
	return out
}

func quarterSum(ser *series, fromMs, toMs int64) int64 {
	return ser.quarters.Sum(fromMs/window.QuarterMs, toMs/window.QuarterMs)
}

// multiply fills in the multiplier over the window that ends at untilMs: the
// revenue C credited to force 1, of R in all, over the direct revenue.
//
// It says what the posts of 72 hours have brought, and of that two things are not known.
// How much a view brings on average: that is in proportion as uncertain as the effect is
// (the shares saturate, and would make it look more certain). And which of the orders
// they were: given the orders, one is a post's with the probability p by which its hour
// is split, so what posts brought has the variance Σ v²·p·(1 − p) over the orders' values
// v, which is at most φ·C·(1 − C/R) where φ = Σ v²/Σ v (Jensen). φ comes from quarters of an
// hour m that follow each other, Σ (m(t) − m(t−1))²/2 over Σ m, which is that where orders
// come by chance (von Neumann 1941). Both are independent, so that their squares add up.
func (p *Partition) multiply(b *brand, ser, gmv *series, untilMs int64, claims []claim, out *event.Credit) {
	fromMs := untilMs - event.ShortWindowHours*window.HourMs
	direct := quarterSum(gmv, fromMs, untilMs)
	at := slices.IndexFunc(claims, func(c claim) bool { return c.force == spikeForce })
	if direct <= 0 || at < 0 {
		return
	}
	c := &claims[at]
	a := p.attribute(b, ser, fromMs, untilMs, claims, false)
	credited := 0.0
	for i, credit := range a.Credits {
		if p.work.credit.labels[i].force == spikeForce {
			credited += float64(credit)
		}
	}
	if credited == 0 {
		return
	}
	whole := float64(quarterSum(ser, fromMs, untilMs))
	chance := 0.0
	if 0 < credited && credited < whole {
		chance = correlate.Normal95 * math.Sqrt(orderSize(ser, fromMs, untilMs)*credited*(1-credited/whole))
	}
	low, high := credited*(1-c.low/c.beta), credited*(c.high/c.beta-1)
	out.Multiplier = credited / float64(direct)
	out.MultiplierLow = max(0, credited-math.Hypot(low, chance)) / float64(direct)
	out.MultiplierHigh = (credited + math.Hypot(high, chance)) / float64(direct)
	out.MultiplierRealisedCoverage = c.realised
}

// orderSize returns Σ v²/Σ v of the orders v of a time, 0 without revenue; see multiply.
func orderSize(ser *series, fromMs, toMs int64) float64 {
	first := window.Floor(fromMs, window.QuarterMs)
	squares, sum, last := 0.0, 0.0, float64(ser.quarters.Get(first-1))
	for quarter := first; quarter < window.Ceil(toMs, window.QuarterMs); quarter++ {
		m := float64(ser.quarters.Get(quarter))
		squares, sum, last = squares+(m-last)*(m-last)/2, sum+m, m
	}
	if sum <= 0 {
		return 0
	}
	return squares / sum
}

// attribute splits the revenue between two moments by hours, the last of which
// may be a part of one. With perPost the views of each of the most viewed posts
// make a claim of their own.
func (p *Partition) attribute(b *brand, ser *series, fromMs, toMs int64, claims []claim, perPost bool) correlate.Attribution {
	w := &p.work.credit
	hours := int(window.Ceil(toMs-fromMs, window.HourMs))
	money := grow(&w.money, hours)
	for t := range money {
		at := fromMs + int64(t)*window.HourMs
		money[t] = quarterSum(ser, at, min(at+window.HourMs, toMs))
	}
	endMs := fromMs + int64(hours)*window.HourMs
	base := grow(&w.base, hours)
	clear(base)
	w.pulses, w.labels, w.stimuli = w.pulses[:0], w.labels[:0], w.stimuli[:0]
	if len(claims) > 0 {
		day := window.Floor(b.clockMs, window.DayMs)
		left := p.rest(b, ser, claims, day) // before the calendar, which shares its memory
		c := p.calendar(b, ser.signal.Info().Node, hours, endMs, window.HourMs)
		left.Fill(base, c, 60, float64(day*window.DayMs-endMs)/window.HourMs)
		for _, c := range claims {
			p.stimuli(b, c, fromMs, endMs, perPost)
		}
	}
	for i, l := range w.labels {
		to := len(w.pulses)
		if i+1 < len(w.labels) {
			to = w.labels[i+1].from
		}
		c := claims[slices.IndexFunc(claims, func(c claim) bool { return c.force == l.force })]
		w.stimuli = append(w.stimuli, correlate.Stimulus{Pulses: w.pulses[l.from:to], Kernel: c.kernel, Beta: c.beta})
	}
	return correlate.Attribute(money, base, w.stimuli, &p.work.scratch)
}

// rest is the baseline of a revenue that is left when what some claims add to it is
// taken out.
type rest struct {
	ser    *series
	day    int64 // that ends its history
	claims []claim
	base   correlate.Baseline
}

// rest returns the baseline of what claims leave of a revenue, by the history up to a
// UTC day. One of the revenue itself takes with it what they add to its weeks and
// hours, and credits came out an eighth too small.
func (p *Partition) rest(b *brand, ser *series, claims []claim, day int64) *correlate.Baseline {
	for i := range b.rests {
		if r := &b.rests[i]; r.ser == ser && r.day == day && slices.Equal(r.claims, claims) {
			return &r.base
		}
	}
	w := &p.work.credit
	node, to := ser.signal.Info().Node, day*24
	from := b.first(feedOf(ser.signal), to-int64(p.cfg.HistoryHours), to)
	n := int(to - from)
	left := make([]int64, n)
	ser.hours.Read(left, from)
	whole := slices.Clone(left)
	for _, c := range claims {
		lags := c.kernel.Lags
		hours, acting, adds := grow(&w.hours, n+lags), grow(&w.acting, n+lags), grow(&w.adds, n+lags)
		c.stimulus.hours.Read(hours, from-int64(lags))
		for t, v := range hours {
			acting[t] = float64(v)
		}
		c.kernel.Convolve(adds, acting)
		for t := range left {
			left[t] -= int64(c.beta * adds[lags+t])
		}
	}
	calendar := p.calendar(b, node, n, to*window.HourMs, window.HourMs)
	b.rests = slices.DeleteFunc(b.rests, func(r rest) bool { return r.ser == ser || r.day != day })
	b.rests = append(b.rests, rest{ser, day, slices.Clone(claims), correlate.FitRest(correlate.History{Counts: left, Calendar: calendar}, whole, &p.work.scratch)})
	return &b.rests[len(b.rests)-1].base
}

// stimuli appends the pulses of a claim that act between two moments: one
// stimulus for each of the most viewed posts where it is of views and they are
// asked for, and one for the rest.
func (p *Partition) stimuli(b *brand, c claim, fromMs, endMs int64, perPost bool) {
	w := &p.work.credit
	from := window.Floor(fromMs, window.HourMs) - int64(c.kernel.Lags) - 1
	to := window.Ceil(endMs, window.HourMs)
	rest := grow(&w.hours, int(to-from))
	c.stimulus.hours.Read(rest, from)
	bucket := func(hour int64) int { return int(window.Floor(hour*window.HourMs-fromMs, window.HourMs)) }
	if perPost && c.stimulus.signal == event.TikTokViews {
		for _, post := range p.posts(b, from, to) {
			gains := &post.content.gains
			w.labels = append(w.labels, label{c.force, post.content.id, len(w.pulses)})
			for hour, more := gains.First(from, to); more; hour, more = gains.First(hour+1, to) {
				v := gains.Get(hour)
				w.pulses = append(w.pulses, correlate.Pulse{Bucket: bucket(hour), Amount: v})
				rest[hour-from] -= v
			}
		}
	}
	w.labels = append(w.labels, label{c.force, "", len(w.pulses)})
	for i, v := range rest {
		if v > 0 {
			w.pulses = append(w.pulses, correlate.Pulse{Bucket: bucket(from + int64(i)), Amount: v})
		}
	}
}

// posts returns the posts that gained most views from ≤ hour < to, by their id.
func (p *Partition) posts(b *brand, from, to int64) []post {
	w := &p.work.credit
	posts := w.posts[:0]
	for _, c := range b.contents.list {
		if views := c.gains.Sum(from, to); views > 0 {
			posts = append(posts, post{c, views})
		}
	}
	w.posts = posts
	slices.SortFunc(posts, func(a, b post) int {
		return cmp.Or(cmp.Compare(b.views, a.views), cmp.Compare(a.content.id, b.content.id))
	})
	return posts[:min(len(posts), p.cfg.CreditPosts)]
}
