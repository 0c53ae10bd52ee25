package correlate

import "math"

// The shape of the seasonal model.
const (
	// Bins is the number of seasonal bins: 0–23 the local hours of a working
	// day, 24–47 those of a weekend day or holiday.
	Bins = 48
	// SeasonalHoursMin is the history below which a baseline is its level only.
	SeasonalHoursMin = 10 * 24
	// weekdayHoursMin is the history below which it does not tell days of the week
	// apart.
	weekdayHoursMin = 21 * 24

	weekdays = 7
	// Declarations bounds the kinds of what is declared: promotions, stock-outs …
	Declarations = 8

	weekHours  = 168
	levelsMax  = HistoryHoursMax/weekHours + 1
	huberC     = 2.0
	iterations = 8
	madToSigma = 1.4826 // of a normal distribution
	winsorised = 0.9205 // E min(Z², c²) of a standard normal Z
)

// Calendar says what kind of time each bucket is, on the clock that people live by.
type Calendar struct {
	Bins     []uint8 // the seasonal bin, below Bins
	Days     []uint8 // the day of the week, below 7; nil tells none apart
	Declared []uint8 // the kind of what was declared, below Declarations, 0 for nothing; nil for nothing at all
}

// from returns the calendar without the first buckets.
func (c Calendar) from(first int) Calendar {
	cut := func(kinds []uint8) []uint8 { return kinds[min(first, len(kinds)):] }
	return Calendar{cut(c.Bins), cut(c.Days), cut(c.Declared)}
}

// History is the hourly past a baseline is fitted to, oldest first.
type History struct {
	Counts []int64 // events, or micros, of each hour
	Calendar
}

// Baseline is what a series would be without bursts: a slow level, one value a
// week, times a factor of the hour, one of the day of the week and one of what is
// declared. The zero value expects nothing.
type Baseline struct {
	season [Bins]float64     // factors around 1
	days   [weekdays]float64 // factors around 1
	// declared is what each kind of declared time lifts the others by.
	declared [Declarations]float64
	levels   [levelsMax]float64 // per hour, of the last week, the one before …
	weeks    int
	hours    int
	scale    float64
}

// Fit returns the baseline of a history; of a longer one than HistoryHoursMax
// the newest part counts. Below SeasonalHoursMin hours the seasonal factors
// stay 1, below three weeks those of the days do, and an empty history gives the zero
// Baseline.
//
// The model is quasi-Poisson: E y = μ = level × season × day × declared, Var y = φ μ
// (McCullagh & Nelder, Generalized Linear Models, 2nd ed. 1989, ch. 6 and 9). Its
// score equations have a closed form for one factor given the others, season[b] =
// Σ w y / Σ w level day declared over the hours in bin b, and they are solved in turn
// (iterative proportional fitting). A gamma prior of mean and variance 1 on each
// season and day adds φ to both sums: it holds bins with hardly an event near 1.
//
// Bursts are bounded by Huber's weights w = min(1, limit/|y − μ|) with limit =
// c·σ·√μ, c = 2 (Huber, Robust Estimation of a Location Parameter, 1964; for GLMs
// Cantoni & Ronchetti 2001, here without their consistency correction: the level
// of a Poisson comes out up to 10 % low), and σ from the median absolute Pearson
// residual. Where most hours are empty that median says nothing: there the limit
// is at least what a small hour holds, the lower quartile of the hours with anything.
// The iterations are few and fixed: the result is a function of the integers.
func Fit(h History, s *Scratch) Baseline { return FitRest(h, h.Counts, s) }

// FitRest is Fit of what is left of a series when something known is taken out of each
// hour: how small an hour may be that holds anything is told by the whole series.
func FitRest(h History, whole []int64, s *Scratch) Baseline {
	whole = whole[max(0, len(whole)-HistoryHoursMax):]
	if n := len(h.Counts); n > HistoryHoursMax {
		h = History{h.Counts[n-HistoryHoursMax:], h.from(n - HistoryHoursMax)}
	}
	n := len(h.Counts)
	b := Baseline{hours: n}
	if n == 0 {
		return b
	}
	// An old remainder of less than half a week joins the week after it.
	b.weeks = max(1, (n+weekHours/2)/weekHours)
	for i := range b.season {
		b.season[i] = 1
	}
	for i := range b.days {
		b.days[i] = 1
	}
	for i := range b.declared {
		b.declared[i] = 1
	}
	weight := grow(&s.floats[0], n)
	residual := grow(&s.floats[1], n)
	sorted := grow(&s.floats[2], n)
	small := smallHour(whole, weight)
	for i := range weight {
		weight[i] = 1
	}
	for range iterations {
		b.fitLevels(h, weight)
		if n >= SeasonalHoursMin {
			b.fitSeason(h, weight)
		}
		if n >= weekdayHoursMin && len(h.Days) > 0 {
			b.fitDays(h, weight)
		}
		if len(h.Declared) > 0 {
			b.fitDeclared(h, weight)
		}
		b.reweigh(h, small, weight, residual, sorted)
	}
	return b
}

// week returns which week back the i-th of n hours belongs to.
func (b *Baseline) week(i, n int) int { return min((n-1-i)/weekHours, b.weeks-1) }

func (b *Baseline) fitLevels(h History, weight []float64) {
	var sum, norm [levelsMax]float64
	for i, y := range h.Counts {
		w := b.week(i, len(h.Counts))
		sum[w] += weight[i] * float64(y)
		norm[w] += weight[i] * b.season[h.Bins[i]] * b.weekday(&h.Calendar, i) * b.lift(&h.Calendar, i)
	}
	for w := range b.weeks {
		if norm[w] > 0 {
			b.levels[w] = max(0, sum[w]/norm[w])
		}
	}
}

func (b *Baseline) fitSeason(h History, weight []float64) {
	var sum, norm [Bins]float64
	for i, y := range h.Counts {
		bin := h.Bins[i]
		sum[bin] += weight[i] * float64(y)
		norm[bin] += weight[i] * b.levels[b.week(i, len(h.Counts))] * b.weekday(&h.Calendar, i) * b.lift(&h.Calendar, i)
	}
	prior := b.scale * b.scale
	for bin := range b.season {
		other := (bin + Bins/2) % Bins
		switch {
		case norm[bin] > 0:
			b.season[bin] = max(0, (sum[bin]+prior)/(norm[bin]+prior))
		case norm[other] > 0: // never seen: the same hour of the other kind of day
			b.season[bin] = max(0, (sum[other]+prior)/(norm[other]+prior))
		default:
			b.season[bin] = 1
		}
	}
}

func (b *Baseline) fitDays(h History, weight []float64) {
	var sum, norm [weekdays]float64
	for i, y := range h.Counts {
		day := h.Days[i]
		sum[day] += weight[i] * float64(y)
		norm[day] += weight[i] * b.levels[b.week(i, len(h.Counts))] * b.season[h.Bins[i]] * b.lift(&h.Calendar, i)
	}
	prior := b.scale * b.scale
	for day := range b.days {
		if norm[day]+prior > 0 {
			b.days[day] = max(0, (sum[day]+prior)/(norm[day]+prior))
		}
	}
}

// weekday returns the factor of the day of the week of a bucket.
func (b *Baseline) weekday(c *Calendar, i int) float64 {
	if len(c.Days) == 0 {
		return 1
	}
	return b.days[c.Days[i]]
}

// lift returns the factor of what is declared of a bucket.
func (b *Baseline) lift(c *Calendar, i int) float64 {
	if len(c.Declared) == 0 {
		return 1
	}
	return b.declared[c.Declared[i]]
}

// fitDeclared fits what each kind of declared time lifts the others by: so it is
// taken out of the past, and expected where the same is declared again.
func (b *Baseline) fitDeclared(h History, weight []float64) {
	var sum, norm [Declarations]float64
	for i, y := range h.Counts {
		kind := h.Declared[i]
		sum[kind] += weight[i] * float64(y)
		norm[kind] += weight[i] * b.levels[b.week(i, len(h.Counts))] * b.season[h.Bins[i]] * b.weekday(&h.Calendar, i)
	}
	prior := b.scale * b.scale
	for kind := 1; kind < Declarations; kind++ {
		if norm[kind] > 0 {
			b.declared[kind] = max(0, (sum[kind]+prior)/(norm[kind]+prior))
		}
	}
}

// smallHour returns, where most counts are 0, the lower quartile of the absolute
// others, else 0; v is room for all.
func smallHour(counts []int64, v []float64) float64 {
	n := 0
	for _, y := range counts {
		if y != 0 {
			v[n] = math.Abs(float64(y))
			n++
		}
	}
	if n == 0 || 2*n > len(counts) {
		return 0
	}
	return selectKth(v[:n], n/4)
}

// expectedMin keeps Pearson's residual finite where nothing is expected.
const expectedMin = 0.01

// reweigh sets the weights and the scale from the present fit.
func (b *Baseline) reweigh(h History, small float64, weight, residual, sorted []float64) {
	n := len(h.Counts)
	for i, y := range h.Counts {
		mu := b.levels[b.week(i, n)] * b.season[h.Bins[i]] * b.weekday(&h.Calendar, i) * b.lift(&h.Calendar, i)
		weight[i] = math.Sqrt(max(mu, expectedMin))
		residual[i] = math.Abs(float64(y)-mu) / weight[i]
	}
	copy(sorted, residual)
	sigma := madToSigma * median(sorted)
	squares := 0.0
	for i, r := range residual {
		limit := max(huberC*sigma, small/weight[i])
		weight[i] = 1
		if r > limit {
			weight[i] = limit / r
			r = limit
		}
		squares += r * r
	}
	b.scale = math.Sqrt(squares / float64(n) / winsorised)
}

// level is that of an hour that ended hoursAgo before the end of the history. It runs linearly
// between the middles of the weeks and is flat beyond the first and the last.
func (b *Baseline) level(hoursAgo float64) float64 {
	at := hoursAgo/weekHours - 0.5
	if at <= 0 || b.weeks < 2 {
		return b.levels[0]
	}
	w := int(at)
	if w >= b.weeks-1 {
		return b.levels[b.weeks-1]
	}
	return b.levels[w] + (at-float64(w))*(b.levels[w+1]-b.levels[w])
}

// Fill sets dst to the expected counts of consecutive buckets of stepMinutes,
// given what kind of time each is; the last bucket ends endHoursAgo before the end of
// the history (negative: after it).
func (b *Baseline) Fill(dst []float64, c Calendar, stepMinutes int, endHoursAgo float64) {
	hours := float64(stepMinutes) / 60
	for i := range dst {
		ago := endHoursAgo + hours*float64(len(dst)-1-i)
		dst[i] = b.level(ago) * b.season[c.Bins[i]] * b.weekday(&c, i) * b.lift(&c, i) * hours
	}
}

// Scale is the residual scale √φ: a bucket that expects μ has standard
// deviation Scale·√μ. It is the root mean square of the Pearson residuals, each
// bounded as in the fit.
func (b *Baseline) Scale() float64 { return b.scale }

// Hours is the length of the history fitted.
func (b *Baseline) Hours() int { return b.hours }

// median returns the middle value (the mean of the two middle ones) and
// reorders v, by Hoare's selection.
func median(v []float64) float64 {
	mid := len(v) / 2
	upper := selectKth(v, mid)
	if len(v)%2 == 1 {
		return upper
	}
	lower := v[0]
	for _, x := range v[1:mid] {
		lower = max(lower, x)
	}
	return (lower + upper) / 2
}

func selectKth(v []float64, k int) float64 {
	lo, hi := 0, len(v)-1
	for lo < hi {
		pivot := v[lo+(hi-lo)/2]
		i, j := lo, hi
		for i <= j {
			for v[i] < pivot {
				i++
			}
			for v[j] > pivot {
				j--
			}
			if i <= j {
				v[i], v[j] = v[j], v[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return v[k]
		}
	}
	return v[k]
}
