package codec

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// unansweredError says that the registry could not be asked: it may be starting.
type unansweredError struct{ error }

func (e unansweredError) Unwrap() error { return e.error }

// awaitPause lies between two attempts to reach the registry.
const awaitPause = 500 * time.Millisecond

// AwaitEncoder returns what NewEncoder does, and waits for a registry that does not
// answer, for as long as within. It tells every attempt in vain. What a registry
// answers is final. When ctx ends before, the error is also ctx's.
func AwaitEncoder(ctx context.Context, r Registry, within time.Duration, tell func(error), topics ...string) (*Encoder, error) {
	for started := time.Now(); ; {
		e, err := NewEncoder(ctx, r, topics...)
		var unanswered unansweredError
		switch {
		case err == nil || !errors.As(err, &unanswered):
			return e, err
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
		case time.Since(started) >= within:
			return nil, fmt.Errorf("waited %s in vain: %w", time.Since(started).Round(time.Second), err)
		}
		tell(err)
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(awaitPause):
		}
	}
}
