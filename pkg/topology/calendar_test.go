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
			b := p.brands["acme"]
			expected := make([]float64, 24)
			p.expect(b, b.find(event.BrandedSearchesHour, [3]byte{}), end/window.DayMs, expected, end+window.DayMs, window.HourMs)
			for hour, mu := range expected {
				if math.Abs(mu-tc.want) > 5 {
					t.Errorf("hour %d: %.1f searches are expected, want about %.0f", hour, mu, tc.want)
				}
			}
		})
	}
}
