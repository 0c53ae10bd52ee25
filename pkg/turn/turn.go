// Package turn holds a mutex that may be held while waiting for others, such as
// a broker: simulated time passes while a goroutine waits for its turn, which it
// does not at a sync.Mutex (see testing/synctest).
package turn

import "sync"

// Turn is a mutual exclusion. The zero value is free. It must not be copied
// after its first use.
type Turn struct {
	once sync.Once
	free chan struct{} // holds one value while nobody has the turn
}

func (t *Turn) init() {
	t.once.Do(func() {
		t.free = make(chan struct{}, 1)
		t.free <- struct{}{}
	})
}

// Lock waits for the turn and takes it.
func (t *Turn) Lock() {
	t.init()
	<-t.free
}

// TryLock takes the turn if it is free, and says whether it did.
func (t *Turn) TryLock() bool {
	t.init()
	select {
	case <-t.free:
		return true
	default:
		return false
	}
}

// Unlock passes the turn on. Only who has it may call it.
func (t *Turn) Unlock() {
	t.init()
	select {
	case t.free <- struct{}{}:
	default:
		panic("turn: passed on by somebody who does not have it")
	}
}
