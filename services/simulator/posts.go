package simulator

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"flywheel/pkg/event"
)

// post is one video.
type post struct {
	contentID, creatorID string
	productID            string
	campaignID           string
	kind                 event.ContentKind
	atMs                 int64   // published
	total                float64 // views it will gain
	tau                  float64 // when it gains most, in ms after publication
	viral                bool
	reactivated          bool
}

// Polling of a post's counters: every quarter-hour for pollQuarters, every hour
// until pollLast.
const (
	pollQuarters = 36 * quartersPerHour
	pollLast     = 96 * quartersPerHour
)

// viewsAt returns the views since publication: few at first, then many, then
// fewer and fewer.
func (p *post) viewsAt(at int64) int64 {
	if at <= p.atMs {
		return 0
	}
	x := float64(at-p.atMs) / p.tau
	return int64(p.total * (1 - (1+x)*math.Exp(-x)))
}

// gains returns the views of each of n quarters from the one that starts at a
// moment.
func (p *post) gains(from int64, n int) []float64 {
	g := make([]float64, n)
	before := p.viewsAt(from)
	for i := range g {
		after := p.viewsAt(from + int64(i+1)*quarterMs)
		g[i] = float64(after - before)
		before = after
	}
	return g
}

// episode is a declared event that moves Amazon.
type episode struct {
	kind     event.CalendarKind
	node     event.NodeName
	from, to int64
	name     string
	lift     float64 // factor on searches of a promotion, on orders of a stock-out, on prices of a price change
}

// plan is what a brand will do.
type plan struct {
	posts    []post // by publication
	episodes []episode
	spikes   []Spike
}

// warmUpMs is how much past a detector needs before it can know a brand's usual
// level at each hour of working and free days.
const warmUpMs = 10 * dayMs

// newPlan draws the posts, promotions and stock-outs of a brand.
func newPlan(cfg Config, t *traits, start, live, end int64) plan {
	d := newDraw(cfg.Seed, t.index, streamPlan)
	var p plan
	days := float64(end-start) / dayMs

	creators := make([]string, 12)
	for i := range creators {
		creators[i] = hex(d.Uint64(), d.Uint64())
	}
	newPost := func(at int64) post {
		creator := min(int(d.ExpFloat64()*3), len(creators)-1)
		c := post{
			creatorID: creators[creator],
			productID: "sku-" + strconv.Itoa(1+d.IntN(asins)),
			kind:      event.ContentKindVideo,
			atMs:      at, tau: d.logUniform(0.7, 4) * hourMs,
			reactivated: d.chance(0.1),
		}
		if d.chance(0.1) {
			c.kind = event.ContentKindLive
		}
		if creator%2 == 1 { // works under the affiliate collaboration for the product
			c.campaignID = "collaboration-" + c.productID
		}
		return c
	}

	// Viral posts: one in each stretch of time, counted back from the end.
	if cfg.Spikes > 0 {
		stretch := 7 * dayMs / cfg.Spikes
		earliest := start + min(5*dayMs, (end-start)/2) // a baseline comes first
		for i := 0; ; i++ {
			upper := end - int64(float64(i)*stretch)
			lower := upper - int64(stretch)
			if lower < earliest {
				break
			}
			// A third of the stretch stays free, so that two never meet.
			at := lower + int64(d.uniform(0.1, 0.7)*stretch)
			if inLive := d.chance(0.5); i == 0 && inLive && end-live >= 3*hourMs {
				// Its response begins while somebody watches.
				at = live + int64(d.uniform(0.05, 0.5)*float64(end-live)) - int64(t.delay)*quarterMs
			}
			v := newPost(max(at, earliest))
			v.viral, v.tau = true, d.logUniform(1, 3)*hourMs
			p.posts = append(p.posts, v)
		}
	}
	for i := range p.posts {
		p.spike(t, &p.posts[i], d.uniform(6, 12), start)
	}

	k := newKernel(t.delay, t.halfLife, shortQuarters)
	quarters := float64(shortQuarters + t.delay)
	for range d.poisson(t.postsPerWeek * days / 7) {
		c := newPost(start + int64(d.Float64()*float64(end-start)))
		// Views are heavy-tailed; the cap keeps an ordinary post from being a spike.
		const sigma = 1.0
		c.total = d.logNormal(t.views*math.Exp(-sigma*sigma/2), sigma)
		c.total = min(c.total, 0.5*t.level/(t.persuasion()*peak(k, c, int(quarters))))
		p.posts = append(p.posts, c)
	}
	slices.SortStableFunc(p.posts, func(a, b post) int { return cmp.Compare(a.atMs, b.atMs) })
	for i := range p.posts {
		p.posts[i].contentID = strconv.FormatInt(7_300_000_000_000_000_000+int64(t.index)*1_000_000_000+int64(i)*7919+d.Int64N(7919), 10)
	}
	for i := range p.spikes {
		for _, c := range p.posts {
			if c.viral && c.atMs == p.spikes[i].PostedMs {
				p.spikes[i].ContentID = c.contentID
			}
		}
	}
	slices.SortFunc(p.spikes, func(a, b Spike) int { return cmp.Compare(a.StartMs, b.StartMs) })

	p.declare(d, t, start, end)
	return p
}

// persuasion is the effect of a view, and of a null brand the effect its views
// are sized by.
func (t *traits) persuasion() float64 { return t.pull * t.level / t.usualViews() }

// usualViews is the views of an average quarter without viral posts.
func (t *traits) usualViews() float64 { return t.views * t.postsPerWeek / (7 * quartersPerDay) }

// peak is the most that one view of a post, spread as its views are, adds to
// one quarter.
func peak(k kernel, c post, quarters int) float64 {
	c.total = 1e6
	g := c.gains(c.atMs, quarters)
	var most float64
	for t := range g {
		// The kernel rises once and falls: beyond the peak there is nothing.
		v := k.at(g, t)
		if v < most {
			break
		}
		most = v
	}
	return most / c.total
}

// spike sizes a viral post so that its response peaks at a multiple of the
// brand's level, and plants it unless the brand is null.
func (p *plan) spike(t *traits, c *post, multiple float64, start int64) {
	k := newKernel(t.delay, t.halfLife, shortQuarters)
	first := floorDiv(c.atMs, quarterMs) * quarterMs
	n := shortQuarters + int(8*c.tau/quarterMs)
	c.total = math.Round(multiple * t.level / (t.persuasion() * peak(k, *c, n)))
	if t.null {
		return
	}
	s := Spike{
		BrandID: t.id, PostedMs: c.atMs, StartMs: c.atMs + int64(t.delay)*quarterMs,
		Views: int64(c.total), Excess: t.effect * c.total,
	}
	g := c.gains(first, n)
	for q := range g {
		at := first + int64(q)*quarterMs
		if t.effect*k.at(g, q) < t.level*t.season(at) {
			continue
		}
		if s.VisibleMs == 0 {
			s.VisibleMs = at
		}
		s.EndMs = at + quarterMs
	}
	if s.VisibleMs > 0 {
		s.Early = s.VisibleMs < start+warmUpMs
		p.spikes = append(p.spikes, s)
	}
}

// declare draws promotions, a stock-out and a price cut, away from the
// spikes, so that what moved search is never in doubt.
func (p *plan) declare(d draw, t *traits, start, end int64) {
	add := func(e episode, hours float64) {
		for range 20 { // tries to find a place
			from := start + dayMs/2 + int64(d.Float64()*float64(end-start))
			from = floorDiv(from, hourMs) * hourMs
			e.from, e.to = from, from+int64(math.Round(hours))*hourMs
			if e.from >= end || p.taken(e.from-6*hourMs, e.to+6*hourMs) {
				continue
			}
			p.episodes = append(p.episodes, e)
			return
		}
	}
	days := float64(end-start) / dayMs
	for range int(days/9 + d.Float64()) {
		lift := d.uniform(1.3, 1.8)
		add(episode{kind: event.CalendarKindPromotion, node: event.NodeAmazon, name: "Lightning deal", lift: lift}, d.uniform(12, 36))
	}
	if d.chance(0.3) {
		add(episode{kind: event.CalendarKindStockOut, node: event.NodeAmazon, name: "Warehouse empty", lift: 0.05}, d.uniform(4, 10))
	}
	if d.chance(0.3) {
		add(episode{kind: event.CalendarKindPriceChange, node: event.NodeAmazon, name: "Price cut", lift: d.uniform(0.85, 0.95)}, d.uniform(12, 36))
	}
	for _, day := range t.holidays {
		from := t.dayStart(int64(day))
		if from < start || from >= end {
			continue
		}
		p.episodes = append(p.episodes, episode{
			kind: event.CalendarKindHoliday, node: event.NodeAmazon, name: "Public holiday",
			from: from, to: t.dayStart(int64(day) + 1), lift: 1,
		})
	}
	slices.SortStableFunc(p.episodes, func(a, b episode) int { return cmp.Compare(a.from, b.from) })
}

// taken says whether a viral post acts, or a promotion or stock-out is, within
// a span.
func (p *plan) taken(from, to int64) bool {
	for _, c := range p.posts {
		if c.viral && c.atMs < to && from < c.atMs+48*hourMs {
			return true
		}
	}
	for _, e := range p.episodes {
		if e.from < to && from < e.to {
			return true
		}
	}
	return false
}
