package topology

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// content is the views of one post as they were observed: a cumulative count
// that is 0 when the post is published, linear between two observations, and
// flat after the last. The views gained in a bucket are the difference of the
// count, rounded down, at its two ends: whole numbers that add up to what was
// observed, and the same in whatever order the observations come.
type content struct {
	id      string
	src     sourceNumber
	sinceMs int64         // when it was published, as the first observation had it
	nodes   []node        // by time, at most one a quarter-hour
	pruned  bool          // what came before nodes[0] was forgotten, and is in the gains
	behind  bool          // it is one of contents.behind
	counted int           // nodes[:counted] are in the gains and the brand's buckets; see derive
	gains   window.Series // by hour; derived from the observations
	// slots are those of the changelog that hold observations, ascending. The
	// changelog keeps them as long as the gains are needed, memory only as long
	// as another observation could still come between them.
	slots []int64
	// head is the slot that the changelog's word on sinceMs and pruned is from.
	head int64
	// moved is the slot that was last noted as changed, window.Before when none was
	// since Changes.
	moved int64
}

// contents are the contents of a brand.
type contents struct {
	list   []*content // in no order
	index  index      // of places in list
	behind []*content // with observations that are not counted yet
}

func newContent(id string, src sourceNumber) *content {
	return &content{id: strings.Clone(id), src: src, moved: window.Before}
}

// find returns where in the index an id is or belongs, and the place of its content.
func (c *contents) find(id string) (entry, place int, found bool) {
	return c.index.find(hashText(id), func(place int) bool { return c.list[place].id == id })
}

func hashText(s string) uint32 { return uint32(xxhash.Sum64String(s)) }

// get returns a content, nil when there is none.
func (c *contents) get(id string) *content {
	if _, place, found := c.find(id); found {
		return c.list[place]
	}
	return nil
}

// add adds a content that is not there.
func (c *contents) add(of *content) {
	c.list = append(c.list, of)
	if c.index.full() {
		c.reindex()
	} else {
		c.index.add(hashText(of.id), len(c.list)-1)
	}
}

// remove takes out the contents that gone wants out.
func (c *contents) remove(gone func(*content) bool) {
	n := len(c.list)
	if c.list = slices.DeleteFunc(c.list, gone); len(c.list) < n {
		c.reindex()
	}
}

func (c *contents) reindex() {
	c.index.reset(len(c.list))
	for place, of := range c.list {
		c.index.add(hashText(of.id), place)
	}
}

// node is an observation.
type node struct {
	atMs, version, count int64
}

// slotQuarters is how many quarter-hours of a content one slot of the changelog
// holds.
const slotQuarters = 24

// slot is a part of a content in the changelog.
type slot struct {
	content *content
	number  int64
}

func slotOf(atMs int64) int64 { return window.Floor(atMs, slotQuarters*window.QuarterMs) }

// anchored says that nodes[0] only says where the count stood. So it is once
// what came before was pruned, and with a post that was first observed later
// than hours are kept: its past is not guessed.
func (c *content) anchored() bool {
	return c.pruned || c.nodes[0].atMs-c.sinceMs > hoursKept*window.HourMs
}

func (p *Partition) applyCounter(b *brand, h *event.Header, src sourceNumber, takenMs int64) Outcome {
	obs := &p.contributions[0]
	n := node{h.OccurredAtMs, h.Version, obs.Value}
	c := b.contents.get(obs.Content)
	if c == nil {
		c = newContent(obs.Content, b.accept(h, src, takenMs))
		b.contents.add(c)
		p.insert(b, c, 0, n, obs.SinceMs, false)
		return Applied
	}
	i := c.search(n.atMs)
	quarter := window.Floor(n.atMs, window.QuarterMs)
	replace := false
	for _, k := range [...]int{i - 1, i} {
		if k < 0 || k >= len(c.nodes) || window.Floor(c.nodes[k].atMs, window.QuarterMs) != quarter {
			continue
		}
		old := c.nodes[k]
		switch d := cmp.Or(cmp.Compare(n.atMs, old.atMs), cmp.Compare(n.version, old.version)); {
		case d == 0:
			return Duplicate
		case d < 0:
			return Superseded
		}
		i, replace = k, true
	}
	if i == 0 && c.pruned && !replace {
		return Superseded // before all that is known of it
	}
	if src = b.accept(h, src, takenMs); b.compareSources(src, c.src) < 0 { // the same in any order
		c.src = src
	}
	p.insert(b, c, i, n, obs.SinceMs, replace)
	return Applied
}

// insert puts an observation at place i, and notes which results that moves. The
// views gained before it are counted when they are needed: many observations may
// come before.
func (p *Partition) insert(b *brand, c *content, i int, n node, sinceMs int64, replace bool) {
	within := i+1 < c.counted // rather than at the end of what is counted
	appended := i == len(c.nodes)
	if within {
		p.derive(b)
	}
	gained := &p.work.gained
	gained.clear()
	first := int64(window.After) // quarter-hour that moves
	if !appended && !within {
		first = min(b.firstGain(c, i), b.firstGain(c, i+1))
	}
	if i < c.counted {
		gained.add(c, i, -1)
	}
	if replace {
		if within {
			gained.add(c, i+1, -1)
		}
		b.move(c, c.nodes[i].atMs)
		c.nodes[i] = n
	} else {
		c.nodes = slices.Insert(c.nodes, i, n)
	}
	if i == 0 {
		c.sinceMs = sinceMs
		if len(c.nodes) > 1 {
			b.move(c, c.nodes[1].atMs) // it held the time of publication until now
		}
	}
	if within {
		gained.add(c, i, 1)
		gained.add(c, i+1, 1)
		c.counted = len(c.nodes)
	} else {
		c.counted = min(c.counted, i)
		first = min(first, b.firstGain(c, i), b.firstGain(c, i+1))
		if !c.behind {
			c.behind = true
			b.contents.behind = append(b.contents.behind, c)
		}
	}
	if first = min(first, p.gain(b, c, gained)); first != window.After {
		hour := window.Floor(first, window.QuartersPerHour)
		if !b.derives(hour) { // a slot holds its views
			p.derive(b)
		}
		ser := b.obtain(event.TikTokViews, [3]byte{})
		p.moves(b, ser, first*window.QuarterMs)
		p.begin(b, ser, hour, appended)
	}
	c.holds(slotOf(n.atMs))
	b.move(c, n.atMs)
}

// firstGain returns the first quarter-hour that is kept in which views were gained
// between observation i−1, or the publication, and i; window.After if there is none.
func (b *brand) firstGain(c *content, i int) int64 {
	first := int64(window.After)
	c.between(i, func(quarter, _ int64) bool {
		if window.Floor(quarter, window.QuartersPerHour) >= b.oldestHour {
			first = quarter
		}
		return first == window.After
	})
	return first
}

// derive brings the gains of the posts and the buckets of the views up to what was
// observed. Whatever reads them calls it first.
func (p *Partition) derive(b *brand) {
	gained := &p.work.gained
	for _, c := range b.contents.behind {
		gained.clear()
		for i := c.counted; i < len(c.nodes); i++ {
			gained.add(c, i, 1)
		}
		c.behind, c.counted = false, len(c.nodes)
		p.gain(b, c, gained)
	}
	b.contents.behind = emptied(b.contents.behind)
}

// search returns the place of the first observation at a moment or later; most come
// last.
func (c *content) search(atMs int64) int {
	if last := len(c.nodes); last == 0 || c.nodes[last-1].atMs < atMs {
		return last
	}
	i, _ := slices.BinarySearchFunc(c.nodes, atMs, func(m node, at int64) int { return cmp.Compare(m.atMs, at) })
	return i
}

// holds notes that a slot of the changelog holds observations.
func (c *content) holds(number int64) {
	if last := len(c.slots) - 1; last >= 0 && c.slots[last] == number {
		return
	}
	if i, found := slices.BinarySearch(c.slots, number); !found {
		c.slots = slices.Insert(c.slots, i, number)
	}
}

// move notes that a slot of a content has changed.
func (b *brand) move(c *content, atMs int64) {
	if number := slotOf(atMs); number != c.moved {
		c.moved = number
		b.moved = append(b.moved, slot{c, number}) // Changes sorts them
	}
}

// gained is by how much the views gained in quarter-hours change.
type gained struct {
	first int64 // quarter-hour of views[0]
	views []int64
	hours []int64 // memory for their sums
}

func (g *gained) clear() { g.views = g.views[:0] }

// add adds sign times the views gained between observation i−1 and i.
func (g *gained) add(c *content, i int, sign int64) {
	c.between(i, func(quarter, views int64) bool {
		if len(g.views) == 0 {
			g.first = quarter
		}
		if quarter < g.first {
			g.views = slices.Insert(g.views, 0, make([]int64, g.first-quarter)...)
			g.first = quarter
		}
		for int64(len(g.views)) <= quarter-g.first {
			g.views = append(g.views, 0)
		}
		g.views[quarter-g.first] += sign * views
		return true
	})
}

// gain moves the buckets of the views, and returns the first quarter-hour that moves,
// window.After if none does. What is not forgotten is in the changelog with the
// observations.
func (p *Partition) gain(b *brand, c *content, g *gained) (first int64) {
	first = window.After
	if len(g.views) == 0 {
		return first
	}
	const quarters = window.QuartersPerHour
	hour := window.Floor(g.first, quarters)
	hours := grow(&g.hours, int(window.Floor(g.first+int64(len(g.views))-1, quarters)-hour)+1)
	clear(hours)
	for k, views := range g.views {
		quarter := g.first + int64(k)
		at := window.Floor(quarter, quarters)
		hours[at-hour] += views
		if views == 0 || at < b.oldestHour {
			continue
		}
		first = min(first, quarter)
		if !b.derives(at) {
			b.hours.Add(at, at+1)
		}
	}
	c.gains.AddAll(hour, hours)
	if first == window.After {
		return first
	}
	ser := b.obtain(event.TikTokViews, [3]byte{})
	fromHour := max(hour, b.oldestHour) // before the first that moves
	ser.hours.AddAll(fromHour, hours[fromHour-hour:])
	if from := max(g.first, fromHour*quarters, b.oldestQuarter); from < g.first+int64(len(g.views)) {
		ser.quarters.AddAll(from, g.views[from-g.first:])
	}
	return first
}

// derives says whether the views of an hour follow from the observations that
// the changelog keeps, so that its slot does not hold them.
func (b *brand) derives(hour int64) bool {
	return b.oldestQuarter == window.Before || hour*window.QuartersPerHour >= b.oldestQuarter
}

// between calls f for each quarter-hour in which views were gained between
// observation i−1, or the publication, and i, ascending, until it returns false.
// Quarters further back than hours are kept are left out.
func (c *content) between(i int, f func(quarter, views int64) bool) {
	if i >= len(c.nodes) || i == 0 && c.anchored() {
		return
	}
	to := c.nodes[i]
	from := node{atMs: min(c.sinceMs, to.atMs)}
	if i > 0 {
		from = c.nodes[i-1]
	}
	last := window.Floor(to.atMs, window.QuarterMs)
	if to.atMs > from.atMs && to.atMs%window.QuarterMs == 0 {
		last-- // the moment itself gains nothing
	}
	first := max(window.Floor(from.atMs, window.QuarterMs), last-hoursKept*window.QuartersPerHour)
	before := from.count
	if startMs := first * window.QuarterMs; startMs > from.atMs {
		before = from.at(to, startMs)
	}
	for q := first; q <= last; q++ {
		after := from.at(to, (q+1)*window.QuarterMs)
		if after != before && !f(q, after-before) {
			return
		}
		before = after
	}
}

// at returns the count at a moment between two observations, rounded down.
func (n node) at(to node, atMs int64) int64 {
	switch {
	case atMs >= to.atMs:
		return to.count
	case atMs <= n.atMs:
		return n.count
	}
	rise := to.count - n.count // counts are below 2^41
	size, down := uint64(rise), false
	if rise < 0 {
		size, down = uint64(-rise), true
	}
	hi, lo := bits.Mul64(size, uint64(atMs-n.atMs))
	quotient, rest := bits.Div64(hi, lo, uint64(to.atMs-n.atMs))
	step := int64(quotient)
	if down {
		step = -step
		if rest > 0 {
			step--
		}
	}
	return n.count + step
}

// kept returns the first slot of a content that a later observation may need: that
// of the newest observation behind which none can be applied any more.
func (b *brand) kept(c *content) int64 {
	i := c.search(b.sources[c.src].watermarkMs - event.LatenessHours*window.HourMs)
	return slotOf(c.nodes[max(0, i-1)].atMs)
}

// forgetObservations drops from memory the observations before the kept slot. They
// must be in the changelog.
func (b *brand) forgetObservations() {
	for _, c := range b.contents.list {
		first := b.kept(c)
		i := slices.IndexFunc(c.nodes, func(n node) bool { return slotOf(n.atMs) >= first })
		if i = min(i, c.counted); i > 0 { // what is not counted yet is still needed
			c.nodes = slices.Clone(c.nodes[i:])
			c.counted -= i
			c.pruned = true
		}
	}
}

// prune forgets what no later observation and, before a moment, no window needs.
// Of the changelog the last slot before that moment stays: the gains behind it
// begin with its last observation.
func (b *brand) prune(c *content, beforeMs int64) {
	c.gains.Drop(window.Floor(beforeMs, window.HourMs))
	last := window.Floor(min(beforeMs, c.nodes[0].atMs), slotQuarters*window.QuarterMs) // it ends behind the moment
	i, _ := slices.BinarySearch(c.slots, last)
	if i--; i <= 0 {
		return
	}
	for _, number := range c.slots[:i] {
		b.moved = append(b.moved, slot{c, number}) // Changes sorts them
	}
	c.slots = slices.Clone(c.slots[i:])
}
