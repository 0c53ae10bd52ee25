package simulation

import (
	"slices"
	"strings"
	"testing"

	"flywheel/pkg/event"
)

// TestAFailureIsMadeSmall plants what a plan fails by, and expects nothing else to be left
// of it: steps that only fail together, whatever lies between them, any one of several,
// and a message that must come between two others.
func TestAFailureIsMadeSmall(t *testing.T) {
	all := draw(19)
	if len(all.steps) < 60 {
		t.Fatalf("the plan has %d steps: that is no test", len(all.steps))
	}
	last := len(all.steps)
	for name, c := range map[string]struct {
		fails func(numbers []int) bool
		want  []int
	}{
		"one step":                          {func(n []int) bool { return has(n, 41) }, []int{41}},
		"the first":                         {func(n []int) bool { return has(n, 1) }, []int{1}},
		"the last":                          {func(n []int) bool { return has(n, last) }, []int{last}},
		"two that lie far apart":            {func(n []int) bool { return has(n, 3) && has(n, last-2) }, []int{3, last - 2}},
		"three in a row":                    {func(n []int) bool { return has(n, 20) && has(n, 21) && has(n, 22) }, []int{20, 21, 22}},
		"five anywhere":                     {func(n []int) bool { return has(n, 2, 17, 18, 33, 58) }, []int{2, 17, 18, 33, 58}},
		"any two of many, so the first two": {func(n []int) bool { return len(n) >= 2 }, []int{1, 2}},
		"nothing at all":                    {func([]int) bool { return true }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tries := 0
			small := shrink(all, func(p *plan) bool {
				tries++
				return c.fails(numbers(p))
			})
			if got := numbers(small); !slices.Equal(got, c.want) {
				t.Errorf("steps %v are left, want %v", got, c.want)
			}
			if tries > shrinksMax {
				t.Errorf("%d plans were tried, more than %d", tries, shrinksMax)
			}
			if got := numbers(all); len(got) != last {
				t.Errorf("the plan itself has %d steps left", len(got))
			}
		})
	}
}

// TestAFailureThatTakesTooLongIsAsSmallAsItGot bounds the tries where every one fails to
// fail: the plan is as it was.
func TestAFailureThatTakesTooLongIsAsSmallAsItGot(t *testing.T) {
	p := &plan{steps: make([]step, 10*shrinksMax)}
	for i := range p.steps {
		p.steps[i].number = i + 1
	}
	tries := 0
	small := shrink(p, func(smaller *plan) bool {
		tries++
		return false
	})
	if tries != shrinksMax || len(small.steps) != len(p.steps) {
		t.Errorf("%d steps are left after %d tries, want %d after %d", len(small.steps), tries, len(p.steps), shrinksMax)
	}
}

// TestASmallFailureCanBeRead prints what is left of a plan: who reads it sees what
// happens, in its order, and how to let it happen again.
func TestASmallFailureCanBeRead(t *testing.T) {
	p := draw(19)
	p.steps = slices.Clone(p.steps)
	kill, order := 29, 50
	p.steps[kill] = step{number: kill + 1, kind: stepCrash, who: "one", back: -1}
	p.steps[order].kind, p.steps[order].send = stepSend, &message{note: "twice", value: &event.AmazonOrder{
		Header:  event.Header{BrandID: "brand-1", Source: "amazon-orders", OccurredAtMs: bornMs - hourMs, NaturalKey: "o-7", Version: 3},
		OrderID: "o-7", Status: event.OrderStatusCancelled, Units: 2, GrossMicros: 5_000_000, Currency: "EUR",
	}}
	small := shrink(p, func(p *plan) bool { return has(numbers(p), kill+1, order+1) })
	_, text, _ := strings.Cut(small.String(), "\n") // its configuration
	const want = "  30  kill one; it stays away\n" +
		"  51  send amazon_order of brand-1 from amazon-orders at -1.00 h, o-7 version 3: cancelled, 5000000 − 0 EUR, 2 − 0 units, branded false, repeat false (twice)\n"
	if text != want {
		t.Errorf("what is left reads\n%swant\n%s", text, want)
	}
	if again := small.replay(); !strings.HasSuffix(again, "-seed=19 -steps=30,51") {
		t.Errorf("it happens again by %q", again)
	}
	if again := numbers(draw(19).only([]int{30, 51})); !slices.Equal(again, []int{30, 51}) {
		t.Errorf("that lets the steps %v happen", again)
	}
}

func numbers(p *plan) (all []int) {
	for i := range p.steps {
		all = append(all, p.steps[i].number)
	}
	return all
}

func has(numbers []int, wanted ...int) bool {
	for _, n := range wanted {
		if !slices.Contains(numbers, n) {
			return false
		}
	}
	return true
}
