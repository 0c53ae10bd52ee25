package main

import (
	"math"
	"math/rand/v2"
	"strconv"

	"flywheel/pkg/correlate"
	"flywheel/pkg/window"
)

// firstLook is the day after which a brand is looked at for the first time: below it
// there is too little history for a test.
const firstLook = 11

// historyDays is what a look rests on at most, as in the processor.
const historyDays = 35

// startMs is the Monday every history begins with.
const startMs = 1_767_571_200_000

// calendar is what all brands share: the kinds of hour, and market days on which
// everybody searches more or less, or posts more or less. The two are independent, so
// they make brands depend on each other without being an effect.
type calendar struct {
	bins            []uint8
	searches, posts []float64 // factors by day
}

func newCalendar(seed uint64, days int) *calendar {
	r := rand.New(rand.NewPCG(seed, 1))
	zone := window.NewZone(nil, nil)
	c := &calendar{bins: make([]uint8, 24*days)}
	for h := range c.bins {
		c.bins[h] = zone.Bin(startMs + int64(h)*window.HourMs)
	}
	for range days {
		search, post := 0.1*r.NormFloat64(), 0.1*r.NormFloat64()
		if r.IntN(10) == 0 {
			search += 0.5 * r.NormFloat64()
		}
		if r.IntN(10) == 0 {
			post += 0.5 * r.NormFloat64()
		}
		c.searches, c.posts = append(c.searches, math.Exp(search)), append(c.posts, math.Exp(post))
	}
	return c
}

// truth is what is planted into a brand.
type truth struct {
	kernel correlate.Kernel
	share  float64 // of the response, while it acts
	from   int     // day it begins
	effect float64 // searches per view
}

// name returns a brand's id.
func name(number int) string { return "brand-" + strconv.Itoa(number) }

// brand is one brand's hourly series: what the same posts bring without an effect and
// with one.
type brand struct {
	truth
	stimulus, without, with []int64
	other                   []int64 // what confounds both, nil for nothing
}

// confoundedShare is the share of each side that a confounder makes up.
const confoundedShare = 0.4

// confound adds to both sides what follows messages that the brand sends: each by a
// kernel drawn for it.
func (b *brand) confound(r *rand.Rand) {
	n := len(b.stimulus)
	sends := make([]float64, n)
	for t := range sends {
		if r.Float64() < 1.0/30 { // a campaign
			size := math.Exp(math.Log(500) + r.NormFloat64())
			for u := t; u < min(n, t+6); u++ {
				sends[u] += size / 6
			}
		}
	}
	b.other = make([]int64, n)
	for t := range sends {
		b.other[t] = int64(sends[t])
		sends[t] = float64(b.other[t])
	}
	adds := make([]float64, n)
	add := func(sides ...[]int64) {
		k := correlate.Kernel{Delay: []int{0, 1, 3, 12}[r.IntN(4)], HalfLife: []float64{1, 2, 8, 24}[r.IntN(4)], Lags: 72}
		k.Convolve(adds, sends)
		sum, total := 0.0, 0.0
		for t, v := range adds {
			sum, total = sum+v, total+float64(sides[0][t])
		}
		for t, v := range adds {
			more := int64(poisson(r, v*confoundedShare/(1-confoundedShare)*total/sum))
			for _, side := range sides {
				side[t] += more
			}
		}
	}
	add(b.stimulus)
	add(b.without, b.with)
}

// newBrand draws a brand: posts with log-normal reach that decay within hours, on a
// ground; searches with a season, a level that wanders, noise that lasts for a day and
// bursts with a heavy tail of their own, as in loadtest/measure.
func newBrand(seed uint64, number int, c *calendar, alike bool) brand {
	r := rand.New(rand.NewPCG(seed, uint64(number)+2))
	n := len(c.bins)
	b := brand{stimulus: make([]int64, n), without: make([]int64, n), with: make([]int64, n)}
	b.kernel = correlate.Kernel{Delay: []int{1, 3, 12}[number%3], HalfLife: []float64{2, 8, 24}[number/3%3], Lags: 72}
	if alike {
		b.kernel.Delay, b.kernel.HalfLife = 2+number%3, float64(5+number/3%7)
	}
	b.share = []float64{0.1, 0.2, 0.3}[number/9%3]
	if number/27%2 == 1 { // half of them begin later
		b.from = firstLook + r.IntN(max(1, n/24-firstLook)/2)
	}

	views := make([]float64, n)
	aDay, reach := math.Exp(math.Log(0.7)+1.5*r.Float64()), math.Exp(math.Log(1000)+3*r.Float64())
	for t := range views {
		views[t] += reach / 200
		for range poisson(r, aDay/24*c.posts[t/24]) {
			total := reach * math.Exp(r.NormFloat64())
			for u := t; u < min(n, t+72); u++ {
				views[u] += total * math.Exp(-float64(u-t)/8) / 8.5
			}
		}
	}
	acts := make([]float64, n)
	b.kernel.Convolve(acts, views)

	level := math.Exp(math.Log(10) + 3*r.Float64())
	season, phase := 0.3+0.5*r.Float64(), 24*r.Float64()
	burst := make([]float64, n)
	for t := range burst {
		if r.Float64() < 1.0/36 {
			size, last := min(30, math.Pow(r.Float64(), -1/1.3)-0.5)*level, math.Exp(r.NormFloat64()+0.5)
			for u := t; u < min(n, t+int(8*last)+1); u++ {
				burst[u] += size * math.Exp(-float64(u-t)/last)
			}
		}
	}
	slow, fast, sum, base := 0.0, 0.0, 0.0, make([]float64, n)
	for t := range base {
		slow = 0.995*slow + math.Sqrt(1-0.995*0.995)*r.NormFloat64()
		fast = 0.9*fast + math.Sqrt(1-0.9*0.9)*r.NormFloat64()
		s := math.Exp(season * math.Sin(2*math.Pi*(float64(t%24)-phase)/24))
		if c.bins[t] >= 24 {
			s *= 0.7
		}
		base[t] = (level*math.Exp(0.15*slow+0.3*fast) + burst[t]) * s * c.searches[t/24]
		sum += base[t]
	}
	reached := 0.0
	for _, v := range acts {
		reached += v
	}
	b.effect = b.share / (1 - b.share) * sum / reached
	for t := range base {
		b.stimulus[t] = int64(views[t])
		b.without[t] = int64(poisson(r, base[t]))
		b.with[t] = b.without[t]
		if t >= 24*b.from {
			b.with[t] += int64(poisson(r, b.effect*acts[t]))
		}
	}
	return b
}

func poisson(r *rand.Rand, mean float64) int {
	if mean > 200 {
		return int(max(0, math.Round(mean+math.Sqrt(mean)*r.NormFloat64())))
	}
	limit, product, n := math.Exp(-mean), r.Float64(), 0
	for product > limit {
		product *= r.Float64()
		n++
	}
	return n
}

// looks are the daily tests, and their probabilities without a prior: by the tail that
// the control uses, and by the normal one.
type looks struct {
	tail, normal []float64
	evidence     []correlate.Evidence
}

// look tests a response at every midnight from firstLook on, as the processor does, but that it knows no
// days of the week, which this world does not have either.
//
// What confounds both, nil for nothing, is given as the processor gives it.
func (c *calendar) look(stimulus, response, other []int64, s *correlate.Scratch) (l looks) {
	for day := firstLook; 24*day <= len(c.bins); day++ {
		from, to := 24*max(0, day-historyDays), 24*day
		in := correlate.Hourly{
			X: stimulus[from:to], Y: response[from:to], Calendar: correlate.Calendar{Bins: c.bins[from:to]}, Kernel: correlate.Kernel{Lags: 72},
			ExpectedX: make([]float64, to-from), ExpectedY: make([]float64, to-from),
		}
		expect := func(expected []float64, counts []int64) {
			base := correlate.Fit(correlate.History{Counts: counts, Calendar: in.Calendar}, s)
			base.Fill(expected, in.Calendar, 60, 0)
		}
		expect(in.ExpectedX, in.X)
		expect(in.ExpectedY, in.Y)
		if other != nil {
			above := make([]float64, to-from)
			expect(above, other[from:to])
			for t, v := range other[from:to] {
				above[t] = float64(v) - above[t]
			}
			in.Confounders = [][]float64{above}
		}
		evidence := correlate.Weigh(&in, s)
		found := evidence.Choose(nil)
		normal := min(1, float64(correlate.Kernels)*math.Erfc(found.Z/math.Sqrt2)/2)
		l.tail, l.normal, l.evidence = append(l.tail, found.P), append(l.normal, normal), append(l.evidence, evidence)
	}
	return l
}
