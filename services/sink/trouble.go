package sink

import (
	"sync"
	"time"
)

// cause is what a trouble is about. It is over once that has succeeded which
// cannot succeed while it lasts, and by nothing else.
type cause int

// The one that is told first comes first.
const (
	ofBrokers    cause = iota // until they tell the ends of the topics
	ofGroup                   // until it gives out its partitions again
	ofRecords                 // until they are polled without an error
	ofClickHouse              // until it takes rows
	ofRegistry                // until it tells the schema that is asked for
	ofOffsets                 // until they are committed
	ofStart                   // until the group gives out its partitions for the first time
	causes
)

// unread says whether there may be records in Kafka that the sink does not know of.
func (c cause) unread() bool { return c <= ofRecords || c == ofStart }

// troubles are what keeps the sink from delivering at the moment. Its methods may
// be called by several at once.
type troubles struct {
	mu     sync.Mutex
	errs   [causes]error
	heard  time.Time // when Kafka last told the ends of the topics
	before time.Time // heard, when the sink ceased to read; 0 while it reads
}

// set notes a trouble, or with nil that it is over.
func (t *troubles) set(c cause, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errs[c] = err
	switch reads := t.reads(); {
	case reads:
		t.before = time.Time{}
	case t.before.IsZero():
		t.before = t.heard
	}
}

func (t *troubles) reads() bool {
	for c, err := range t.errs {
		if err != nil && cause(c).unread() {
			return false
		}
	}
	return true
}

// hear notes that Kafka has told the ends of the topics.
func (t *troubles) hear(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard = at
}

// silence returns since when Kafka has not told the ends of the topics.
func (t *troubles) silence() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.heard
}

// unread returns since when the sink may not know of all records; 0 while it does.
func (t *troubles) unread() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.before
}

// first returns the trouble to tell of; nil when there is none.
func (t *troubles) first() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, err := range t.errs {
		if err != nil {
			return err
		}
	}
	return nil
}
