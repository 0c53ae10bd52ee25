package chaos

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flywheel/loadtest/stage"
)

func TestADeckHoldsEveryKindAsOftenAsItsWeight(t *testing.T) {
	kinds := (&play{Config: Config{Broker: stage.Apache, Nodes: 3}}).kinds()
	d := newDeck(kinds, nil, 7)
	for round := range 2 {
		var drawn []Kind
		for range kinds {
			drawn = append(drawn, d.draw())
		}
		if slices.IsSorted(drawn) {
			t.Errorf("round %d is not shuffled", round)
		}
		slices.Sort(drawn)
		if diff := cmp.Diff(kinds, drawn); diff != "" {
			t.Errorf("round %d (-in the deck +drawn):\n%s", round, diff)
		}
	}
}

func TestASeedIsADeck(t *testing.T) {
	kinds := (&play{Config: Config{Broker: stage.Embedded, Nodes: 1}}).kinds()
	first := []Kind{Zombie, KafkaCut}
	if diff := cmp.Diff(newDeck(kinds, first, 3).cards, newDeck(kinds, first, 3).cards); diff != "" {
		t.Errorf("two decks of one seed differ:\n%s", diff)
	}
	if slices.Equal(newDeck(kinds, first, 3).cards, newDeck(kinds, first, 4).cards) {
		t.Error("two seeds have one deck")
	}
}

func TestWhatIsMissingComesFirst(t *testing.T) {
	kinds := (&play{Config: Config{Broker: stage.Apache, Nodes: 3}}).kinds()
	for seed := range uint64(50) {
		d := newDeck(kinds, []Kind{Zombie, LoseLeader, KillSink, NodeFull}, seed)
		rare, others := []Kind{d.draw(), d.draw()}, []Kind{d.draw(), d.draw()}
		slices.Sort(rare)
		slices.Sort(others)
		if !slices.Equal(rare, []Kind{LoseLeader, NodeFull}) || !slices.Equal(others, []Kind{KillSink, Zombie}) {
			t.Errorf("seed %d begins with %q and %q", seed, rare, others)
		}
		if len(d.cards) != len(kinds)-4 {
			t.Errorf("seed %d: %d of %d cards are left", seed, len(d.cards), len(kinds))
		}
	}
}

func TestWhatIsPutBackComesAgainSoon(t *testing.T) {
	d := newDeck([]Kind{Zombie, Join, KafkaCut, KillSink}, nil, 1)
	failed := d.draw()
	d.putBack(failed)
	if got := []Kind{d.draw(), d.draw(), d.draw(), d.draw()}; got[2] != failed {
		t.Errorf("%q is put back, %q is drawn", failed, got)
	}
	d.putBack(failed) // on an empty deck
	if got := d.draw(); got != failed {
		t.Errorf("%q is put back, %q is drawn", failed, got)
	}
}
