package spike

import (
	"cmp"
	"slices"
)

// Kind says what happened to a published episode.
type Kind uint8

// The transitions.
const (
	Raise   Kind = iota + 1 // new, or back after a retraction
	Update                  // its numbers have changed
	Resolve                 // it is over; also raised and over at once
	Retract                 // restated data took its evidence away
)

// String returns the transition's name.
func (k Kind) String() string {
	return [...]string{"none", "raise", "update", "resolve", "retract"}[k]
}

// Transition is one change to publish.
type Transition struct {
	Kind    Kind
	Episode Episode // with its new revision
}

// Diff compares what was published with what Detect says now and appends the
// transitions to dst, by start of the episode. Both lists are by start; from is
// the first bucket an episode could start in, as Detect returned it. A published
// episode that is now missing, or merely suspected, is retracted; one that starts
// before from is out of sight: it stands, resolved. After Apply a second Diff
// gives nothing.
func Diff(dst []Transition, published, now []Episode, from int64) []Transition {
	for len(published) > 0 || len(now) > 0 {
		switch {
		case len(now) > 0 && now[0].Status == Suspected:
			now = now[1:]
		case len(now) == 0 || len(published) > 0 && published[0].Start < now[0].Start:
			dst = missing(dst, published[0], from)
			published = published[1:]
		case len(published) == 0 || now[0].Start < published[0].Start:
			dst = append(dst, fresh(now[0], 1))
			now = now[1:]
		default:
			dst = changed(dst, published[0], now[0])
			published, now = published[1:], now[1:]
		}
	}
	return dst
}

func missing(dst []Transition, old Episode, from int64) []Transition {
	kind := Retract
	if old.Start < from {
		kind = Resolve
	}
	if old.Status == Retracted || kind == Resolve && old.Status == Resolved {
		return dst
	}
	old.Status = Retracted
	if kind == Resolve {
		old.Status = Resolved
	}
	old.Revision++
	return append(dst, Transition{kind, old})
}

func fresh(e Episode, revision int64) Transition {
	e.Revision = revision
	if e.Status == Resolved {
		return Transition{Resolve, e}
	}
	return Transition{Raise, e}
}

func changed(dst []Transition, old, now Episode) []Transition {
	now.Revision = old.Revision
	if now == old {
		return dst
	}
	if old.Status == Retracted {
		return append(dst, fresh(now, old.Revision+1))
	}
	now.Revision++
	if now.Status == Resolved && old.Status == Active {
		return append(dst, Transition{Resolve, now})
	}
	return append(dst, Transition{Update, now})
}

// Apply returns published with the transitions applied, without the episodes that
// start before first, the series' first bucket: those can no longer change. It
// reuses published's memory.
func Apply(published []Episode, transitions []Transition, first int64) []Episode {
	for _, t := range transitions {
		i, found := slices.BinarySearchFunc(published, t.Episode.Start, func(e Episode, start int64) int {
			return cmp.Compare(e.Start, start)
		})
		if found {
			published[i] = t.Episode
		} else {
			published = slices.Insert(published, i, t.Episode)
		}
	}
	return slices.DeleteFunc(published, func(e Episode) bool { return e.Start < first })
}
