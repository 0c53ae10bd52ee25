package chaos

import (
	"math/rand/v2"
	"slices"
)

// deck is what a play draws its faults from: each kind as often as its weight, and
// all of them anew when none is left.
type deck struct {
	kinds  []Kind // each as often as its weight
	cards  []Kind // left of them, the next one first
	random *rand.Rand
}

// newDeck shuffles a deck by a seed. One card of each kind that is to come first lies
// on top, and above those of kinds that any stage can have the others.
func newDeck(kinds, first []Kind, seed uint64) *deck {
	d := &deck{kinds: kinds, random: rand.New(rand.NewPCG(seed, 1))}
	d.shuffle()
	var rare, top, rest []Kind
	for _, kind := range d.cards {
		switch {
		case !slices.Contains(first, kind), slices.Contains(rare, kind), slices.Contains(top, kind):
			rest = append(rest, kind)
		case faults[kind].brokers != nil:
			rare = append(rare, kind)
		default:
			top = append(top, kind)
		}
	}
	d.cards = slices.Concat(rare, top, rest)
	return d
}

func (d *deck) shuffle() {
	d.cards = slices.Clone(d.kinds)
	d.random.Shuffle(len(d.cards), func(i, j int) { d.cards[i], d.cards[j] = d.cards[j], d.cards[i] })
}

func (d *deck) draw() Kind {
	if len(d.cards) == 0 {
		d.shuffle()
	}
	kind := d.cards[0]
	d.cards = d.cards[1:]
	return kind
}

// againAfter is how many other faults come before one that is put back.
const againAfter = 2

// putBack has a kind come again soon.
func (d *deck) putBack(kind Kind) {
	d.cards = slices.Insert(d.cards, min(againAfter, len(d.cards)), kind)
}
