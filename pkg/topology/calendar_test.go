package topology

import (
	"fmt"
	"math"
	"testing"

	"flywheel/pkg/event"
	"flywheel/pkg/window"
)

// Searches double in every promotion of the node: the next one is expected to double
// them too, and one of another node is not.
func TestWhatIsDeclaredIsExpected(t *testing.T) {
	const days = 30
	start := int64(monday)
	end := start + days*window.DayMs
	for name, tc := range map[string]struct {
		node event.NodeName
		want float64
	}{
		"a promotion on Amazon":        {event.NodeAmazon, 200},
		"a promotion on another node":  {event.NodeShopify, 100},
		"nothing is declared that day": {"", 100},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPartition(t)
			for hour := range int64(days * 24) {
				volume := int64(100)
				if day := hour / 24; day == 10 || day == 20 {
					volume = 200
				}
				p.Apply(searches(start+hour*window.HourMs, 1, 60, volume), taken)
			}
			for i, day := range []int64{10, 20} { // declared when it is over
				p.Apply(promotion(fmt.Sprint(i), 1, start+day*window.DayMs, start+(day+1)*window.DayMs, false), taken)
			}
			if tc.node != "" {
				next := promotion("next", 1, end, end+window.DayMs, false)
				next.Node = tc.node
				p.Apply(next, taken)
			}
			expectsAbout(t, p, end, tc.want)
		})
	}
}

// A holiday is a day off, whether the brand's entry has it or somebody tells of it as an
// event of a node: Saturdays and Sundays have half of the searches.
func TestAHolidayIsADayOff(t *testing.T) {
	const days = 30 // from a Monday on; the next is a Wednesday
	start := int64(monday)
	end := start + days*window.DayMs
	for name, tc := range map[string]struct {
		entry bool
		node  event.NodeName
		want  float64
	}{
		"in the brand's entry":         {true, "", 50},
		"told as an event of the node": {false, event.NodeAmazon, 50},
		"told in both":                 {true, event.NodeAmazon, 50},
		"of another node":              {false, event.NodeShopify, 100},
		"not at all":                   {false, "", 100},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPartition(t)
			entry := &event.Brand{BrandID: "acme", Version: 1, Currency: "USD"}
			if tc.entry {
				entry.Holidays = []int32{int32(end / window.DayMs)}
			}
			p.ApplyBrand(entry)
			for hour := range int64(days * 24) {
				volume := int64(100)
				if weekday := (hour / 24) % 7; weekday >= 5 {
					volume = 50
				}
				p.Apply(searches(start+hour*window.HourMs, 1, 60, volume), taken)
			}
			if tc.node != "" {
				holiday := promotion("holiday", 1, end, end+window.DayMs, false)
				holiday.Kind, holiday.Node = event.CalendarKindHoliday, tc.node
				p.Apply(holiday, taken)
			}
			expectsAbout(t, p, end, tc.want)
		})
	}
}

// expectsAbout checks what is expected of each hour of a day that begins where the history ends.
func expectsAbout(t *testing.T, p *Partition, startMs int64, want float64) {
	t.Helper()
	b := p.brands["acme"]
	expected := make([]float64, 24)
	p.expect(b, b.find(event.BrandedSearchesHour, [3]byte{}), startMs/window.DayMs, expected, startMs+window.DayMs, window.HourMs)
	for hour, mu := range expected {
		if math.Abs(mu-want) > 5 {
			t.Errorf("hour %d: %.1f searches are expected, want about %.0f", hour, mu, want)
		}
	}
}
