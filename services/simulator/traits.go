package simulator

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a host without zones plays the same

	"flywheel/pkg/event"
)

// place is where a brand lives.
type place struct {
	zone, currency string
	holidays       [][2]int // month and day
}

// unitsMean is the mean number of units of an order; see basket.
const unitsMean = 1.28

// places returns where brands live; most sell in US dollars.
func places() []place {
	newYear, christmas := [2]int{1, 1}, [2]int{12, 25}
	us := [][2]int{newYear, {7, 4}, {11, 11}, christmas}
	return []place{
		{"America/New_York", "USD", us},
		{"America/Los_Angeles", "USD", us},
		{"Europe/London", "GBP", [][2]int{newYear, christmas, {12, 26}}},
		{"America/Chicago", "USD", us},
		{"Europe/Berlin", "EUR", [][2]int{newYear, {5, 1}, {10, 3}, christmas, {12, 26}}},
		{"Australia/Sydney", "USD", [][2]int{newYear, {1, 26}, {4, 25}, christmas}},
		{"America/Denver", "USD", us},
		{"Asia/Tokyo", "USD", [][2]int{newYear, {5, 3}, {5, 4}, {5, 5}, {11, 23}}},
		{"America/Sao_Paulo", "USD", [][2]int{newYear, {9, 7}, {11, 15}, christmas}},
		{"Asia/Kolkata", "USD", [][2]int{{1, 26}, {8, 15}, {10, 2}}},
		{"Africa/Johannesburg", "USD", [][2]int{newYear, {4, 27}, {9, 24}, christmas}},
		{"Pacific/Auckland", "USD", [][2]int{newYear, {2, 6}, {4, 25}, christmas}},
	}
}

// brandName returns the made-up name of a brand.
func brandName(i int) string {
	first := [...]string{
		"Luma", "Nordpine", "Solace", "Velvet", "Kinder", "Amber", "Tidal", "Mossy", "Orbit", "Clover",
		"Juniper", "Halo", "Maple", "Pebble", "Saffron", "Willow", "Copper", "Drift", "Fable", "Lark",
	}
	second := [...]string{
		"Skin", "Coffee", "Kitchen", "Pets", "Sleep", "Fitness", "Audio", "Garden", "Home", "Tea",
		"Outdoor", "Beauty", "Toys", "Desk", "Candles", "Socks", "Oral Care",
	}
	n := len(first) * len(second)
	name := first[i%len(first)] + " " + second[i%n*7%len(second)] // the lengths share no factor
	if round := i / n; round > 0 {
		name += " " + strconv.Itoa(round+1)
	}
	return name
}

// brandID returns the id of a brand in a run.
func brandID(i int, run string) string {
	return strings.ReplaceAll(strings.ToLower(brandName(i)), " ", "-") + "-" + run
}

// traits are what a brand is like.
type traits struct {
	index    int
	id, name string
	query    string // the branded search
	place    place
	foreign  string // the other currency it is paid in now and then
	offsets  []event.UTCOffset
	holidays []int32 // local days, ascending

	null            bool
	weekly          bool    // Amazon reports its branded searches by the week only
	delay, halfLife int     // of search on views, in quarters
	effect          float64 // extra branded searches per view
	level           float64 // branded searches per quarter without posts, on average
	shape           float64 // of the noise; less is noisier
	swing           float64 // of the day
	peakHour        float64 // local
	weekend         float64 // factor
	conversion      float64 // branded orders per branded search
	price           int64   // of one unit, in micros
	postsPerWeek    float64
	views           float64 // of an ordinary post, on average
	pull            float64 // what ordinary posts add to the level, as a part of it; of a null brand, would add
	volume          float64 // factor on everything that is not a report
	shopOrders      float64 // TikTok orders per view
}

func newTraits(cfg Config, run string, index int, start, end time.Time) (traits, error) {
	d := newDraw(cfg.Seed, index, streamTraits)
	ps := places()
	t := traits{index: index, name: brandName(index), place: ps[index%len(ps)], foreign: "EUR"}
	t.query, t.id = strings.ToLower(t.name), brandID(index, run)
	if t.place.currency == t.foreign {
		t.foreign = "USD"
	}
	t.null, t.weekly = dealt(index, cfg.NullShare), dealt(index, cfg.WeeklyShare)
	t.volume = (float64(cfg.Events) - fixedPerDay) / variablePerDay
	busy := max(1, t.volume/10)

	t.delay = int(math.Round(d.logUniform(1, 8) * quartersPerHour))
	t.halfLife = int(math.Round(d.logUniform(1.5, 12) * quartersPerHour))
	t.level = min(max(d.logNormal(30, 0.5), 10), 150) * busy
	t.shape = d.uniform(12, 40)
	t.swing = d.uniform(0.3, 0.6)
	t.peakHour = d.uniform(17, 21)
	t.weekend = d.uniform(0.8, 1.3)
	t.conversion = ordersPerDay * t.volume / quartersPerDay / (30 * busy) * d.uniform(0.8, 1.25)
	t.price = int64(d.uniform(12, 60))*1_000_000 + 990_000
	t.postsPerWeek = d.uniform(3, 7)
	t.views = d.logUniform(20_000, 150_000)
	t.pull = d.uniform(0.15, 0.4)
	if !t.null {
		t.effect = t.persuasion()
	}
	t.shopOrders = shopOrdersPerDay * t.volume / quartersPerDay / t.usualViews() * d.uniform(0.7, 1.4)

	zone, err := time.LoadLocation(t.place.zone)
	if err != nil {
		return t, fmt.Errorf("load the time zone of brand %q: %w", t.id, err)
	}
	t.offsets = offsets(zone, start.AddDate(-1, 0, 0), end.AddDate(1, 0, 0))
	for year := start.Year() - 1; year <= end.Year()+1; year++ {
		for _, md := range t.place.holidays {
			t.holidays = append(t.holidays, localDay(year, md[0], md[1]))
		}
	}
	// Every play has one holiday of the brand's own.
	span := end.Sub(start).Hours() / 24
	t.holidays = append(t.holidays, int32(t.day(start.UnixMilli())+int64(d.uniform(0, max(span, 1)))))
	slices.Sort(t.holidays)
	t.holidays = slices.Compact(t.holidays)
	return t, nil
}

// dealt says whether a brand is one of a share of them, which is dealt and not
// drawn: of 20 at a fifth, 4.
func dealt(index int, share float64) bool {
	return math.Floor(float64(index+1)*share) > math.Floor(float64(index)*share)
}

// localDay is a date in days since 1970-01-01.
func localDay(year, month, day int) int32 {
	return int32(time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Unix() / 86_400)
}

// offsets lists the offsets of a zone from UTC over a span.
func offsets(zone *time.Location, from, to time.Time) []event.UTCOffset {
	var out []event.UTCOffset
	for at := from.In(zone); ; {
		_, seconds := at.Zone()
		out = append(out, event.UTCOffset{FromMs: at.UnixMilli(), OffsetMinutes: int32(seconds / 60)})
		_, next := at.ZoneBounds()
		if next.IsZero() || !next.Before(to) {
			return out
		}
		at = next
	}
}

// local returns a moment on the brand's clock, as milliseconds since 1970 there.
func (t *traits) local(at int64) int64 {
	offset := t.offsets[0].OffsetMinutes
	for _, o := range t.offsets[1:] {
		if o.FromMs > at {
			break
		}
		offset = o.OffsetMinutes
	}
	return at + int64(offset)*60_000
}

// day returns the local day of a moment.
func (t *traits) day(at int64) int64 { return floorDiv(t.local(at), dayMs) }

// dayStart returns the first moment of the local day of a moment.
func (t *traits) dayStart(day int64) int64 {
	// Every offset is a multiple of a quarter of an hour, within a day of UTC.
	for at := (day - 1) * dayMs; ; at += quarterMs {
		if t.day(at) == day {
			return at
		}
	}
}

// free says whether a local day is a Saturday, a Sunday or a holiday.
func (t *traits) free(day int64) bool {
	weekday := (day%7 + 4) % 7 // 1970-01-01 was a Thursday; 0 is Sunday
	if weekday == 0 || weekday == 6 {
		return true
	}
	_, holiday := slices.BinarySearch(t.holidays, int32(day))
	return holiday
}

// season returns the factor of the hour and the day, about 1 on average.
func (t *traits) season(at int64) float64 {
	local := t.local(at)
	day := floorDiv(local, dayMs)
	hour := float64(local-day*dayMs)/hourMs + 0.125
	s := 1 + t.swing*math.Cos(2*math.Pi*(hour-t.peakHour)/24) + 0.15*math.Cos(4*math.Pi*(hour-t.peakHour)/24)
	if t.free(day) {
		s *= t.weekend
	}
	return s
}

// record returns the brand's entry.
func (t *traits) record(version int64) *event.Brand {
	b := &event.Brand{
		BrandID: t.id, Version: version, Name: t.name,
		Variants:   []string{t.query, strings.ReplaceAll(t.query, " ", "")},
		TimeZone:   t.place.zone,
		UTCOffsets: t.offsets,
		Currency:   t.place.currency,
		Holidays:   t.holidays,
	}
	for _, n := range [...]event.NodeName{event.NodeTikTok, event.NodeAmazon, event.NodeShopify, event.NodeAISearch, event.NodeMessaging} {
		b.Accounts = append(b.Accounts, event.Account{Node: n, AccountID: fmt.Sprintf("%s-%04d", n, t.index+1)})
	}
	return b
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
