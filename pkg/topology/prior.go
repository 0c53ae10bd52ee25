package topology

import (
	"fmt"
	"hash/fnv"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
)

// learned is what is expected of the kernels before a brand is looked at. Partitions
// hold brands, so it cannot be learned from the stream: what a brand is found to be
// would hang on which others share its partition, and on the order of their events. It
// is configuration, the same at every processor.
type learned struct {
	name   string // of all of it; empty for none
	priors [forcesMax][correlate.Folds]*correlate.Prior
}

// Pooled says why the brands of a force cannot learn its kernel from each other, nil if
// they can.
func Pooled(number int) error {
	if number < 1 || number > forcesMax {
		return fmt.Errorf("there is no force %d", number)
	}
	if event.Forces()[number-1].WindowHours > event.ShortWindowHours {
		return fmt.Errorf("the kernels of force %d are not searched in its history: only those of forces of %d h are", number, event.ShortWindowHours)
	}
	return nil
}

// learn derives the priors, which Config.Validate has found to be of forces that have some.
func learn(pools map[int]*correlate.Pool) (l learned) {
	h := fnv.New64a()
	for i := range l.priors {
		pool := pools[i+1]
		if pool == nil {
			continue
		}
		for _, c := range pool.Counts() {
			fmt.Fprintln(h, i+1, c.Fold, c.Delay, c.HalfLife, c.Brands) // never fails
			l.name = fmt.Sprintf("%016x", h.Sum64())
		}
		for fold := range l.priors[i] {
			l.priors[i][fold] = pool.Prior(fold)
		}
	}
	return l
}

// prior returns that of a brand, nil for none.
func (l *learned) prior(i int, b *brand) *correlate.Prior {
	if l.name == "" {
		return nil
	}
	return l.priors[i][correlate.Fold(b.id)]
}

// suffix is what the version of results ends with.
func (l *learned) suffix() string {
	if l.name == "" {
		return ""
	}
	return "+prior/" + l.name
}
