// Package outage keeps trouble that lasts from flooding the log: it is told when
// it begins, once a minute while it lasts, and when it is over.
package outage

import (
	"log/slog"
	"sync"
	"time"
)

// interval lies between two lines about the same trouble.
const interval = time.Minute

// Outage is one kind of trouble. The zero Outage is one that is not there. Its
// methods may be called by several at once.
type Outage struct {
	mu          sync.Mutex
	since, told time.Time
}

// Level notes that the trouble is there, and returns how loud to tell of it: as
// a warning when it begins and once a minute, and for debugging in between.
func (o *Outage) Level() slog.Level { return o.level(time.Now()) }

func (o *Outage) level(now time.Time) slog.Level {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		o.since = now
	}
	if !o.told.IsZero() && now.Sub(o.told) < interval {
		return slog.LevelDebug
	}
	o.told = now
	return slog.LevelWarn
}

// Over notes that the trouble is not there, and returns how long it was; false
// if it was not.
func (o *Outage) Over() (time.Duration, bool) { return o.over(time.Now()) }

func (o *Outage) over(now time.Time) (time.Duration, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		return 0, false
	}
	lasted := now.Sub(o.since)
	o.since, o.told = time.Time{}, time.Time{}
	return lasted, true
}
