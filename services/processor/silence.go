package processor

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"flywheel/pkg/outage"
)

// silence is trouble that ends no session: Kafka does not tell where the input ends,
// which it is asked once a second. What was begun waits, until Kafka answers or the
// transaction has lasted too long. Its methods may be called by several at once.
type silence struct {
	mu     sync.Mutex
	heard  time.Time // when Kafka last told it of every partition
	why    error     // what it says since; nil unless that is long ago
	outage outage.Outage
}

// begin notes that nobody has asked in this session before.
func (s *silence) begin(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard, s.why = now, nil
}

// hear notes an answer, or why there is none, and tells of a silence that has lasted for
// longer than a time, and of its end. It says whether one begins to be told.
func (s *silence) hear(ctx context.Context, logger *slog.Logger, now time.Time, long time.Duration, err error) (begins bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lasted := now.Sub(s.heard)
	switch {
	case err == nil:
		s.heard, s.why = now, nil
		if told, was := s.outage.Over(); was {
			logger.InfoContext(ctx, "kafka answers again", slog.Duration("flywheel.duration", told))
		}
	case lasted > long:
		begins = s.why == nil
		s.why = err
		logger.Log(ctx, s.outage.Level(), "kafka does not answer for every partition; what was begun waits",
			slog.Any("error.message", err), slog.Duration("flywheel.duration", lasted.Round(time.Millisecond)))
	}
	return begins
}

// lasts returns for how long it has lasted, 0 if there is none to tell of.
func (s *silence) lasts(now time.Time) time.Duration {
	lasted, _ := s.told(now)
	return lasted
}

// told returns for how long it has lasted, and what Kafka says since.
func (s *silence) told(now time.Time) (lasted time.Duration, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == nil {
		return 0, nil
	}
	return now.Sub(s.heard), s.why
}

// check returns why readiness is to fail; nil when Kafka answers.
func (s *silence) check(now time.Time) error {
	lasted, why := s.told(now)
	if why == nil {
		return nil
	}
	return fmt.Errorf("the Kafka brokers have not answered for every partition for %s: see whether they run and can be reached; what was begun waits: %w", lasted.Round(time.Second), why)
}
