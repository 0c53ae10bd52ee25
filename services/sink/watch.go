package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"flywheel/pkg/kafka"
)

// watch asks for the ends of the topics until ctx ends: a poll is empty when there is
// nothing to read and when there is nobody to read from.
func (s *session) watch(ctx context.Context) {
	kafka.WatchEnds(ctx, s.client, s.topics, func(ctx context.Context, ends kadm.ListedOffsets, untold error) {
		err := s.look(ctx, ends, untold)
		switch silent := time.Since(s.troubles.silence()); {
		case err == nil:
			s.troubles.hear(time.Now())
			s.reads(ctx, ofBrokers)
		case silent > s.cfg.SessionTimeout/2: // a leader that steps down is followed by another long before
			s.misses(ctx, ofBrokers, fmt.Errorf("the Kafka brokers have not answered for every partition for %s: see whether they run and can be reached: %w", silent.Round(time.Second), err))
		}
		s.metrics.lag.Record(ctx, s.lag())
	})
}

// look takes over how far the topics have grown. It fails unless Kafka has answered for
// every partition of this sink.
func (s *session) look(ctx context.Context, ends kadm.ListedOffsets, untold error) error {
	if untold == nil {
		untold = errUntold
	}
	if len(ends) == 0 {
		return fmt.Errorf("ask for the ends of the topics: %w", untold)
	}
	var starts kadm.ListedOffsets
	if s.unplaced() {
		starts, _ = kadm.NewClient(s.client).ListStartOffsets(ctx, s.topics...) // asked again until it is answered
	}
	return s.learn(ends, starts, untold)
}

// errUntold is why there is no answer when nothing else is.
var errUntold = errors.New("no broker has told it")

// unplaced says whether there is a partition that was never committed nor read.
func (s *session) unplaced() bool {
	s.places.Lock()
	defer s.places.Unlock()
	for _, partitions := range s.taken {
		for _, at := range partitions {
			if at.next < 0 {
				return true
			}
		}
	}
	return false
}

// learn takes over what was answered, and says of which partition nothing was, by
// its broker's fault or by the untold one.
func (s *session) learn(ends, starts kadm.ListedOffsets, untold error) (err error) {
	s.places.Lock()
	defer s.places.Unlock()
	for topic, partitions := range s.taken {
		for p, at := range partitions {
			end, ok := ends.Lookup(topic, p)
			if !ok {
				end.Err = untold
			}
			if end.Err != nil {
				err = fmt.Errorf("ask for the end of partition %d of topic %q: %w", p, topic, end.Err)
				continue
			}
			if start, ok := starts.Lookup(topic, p); ok && start.Err == nil && at.next < 0 {
				at.next = start.Offset
			}
			at.end = end.Offset
			partitions[p] = at
		}
	}
	return err
}

// misses notes that Kafka is not read.
func (s *session) misses(ctx context.Context, c cause, err error) {
	s.troubles.set(c, err)
	s.metrics.reads.Add(ctx, 1)
	s.logger.Log(ctx, s.unread.Level(), "reading from kafka fails; trying on", slog.Any("error.message", err))
}

// reads notes that a cause not to read Kafka is over.
func (s *session) reads(ctx context.Context, c cause) {
	s.troubles.set(c, nil)
	if !s.troubles.unread().IsZero() {
		return
	}
	if lasted, was := s.unread.Over(); was {
		s.logger.InfoContext(ctx, "reading from kafka again", slog.Duration("flywheel.duration", lasted))
	}
}

// polls notes a cycle without an error of Kafka. It says something only if it lasted
// long enough for an error to come back, of a Kafka that answers.
func (s *session) polls(ctx context.Context) {
	if s.unpolled.IsZero() || time.Since(s.unpolled) < 4*fetchWait || s.troubles.silence().Before(s.unpolled) {
		return
	}
	s.unpolled = time.Time{}
	s.reads(ctx, ofRecords)
}

// excluded hears why this sink is not a member of its group at the moment.
type excluded struct{ *session }

// OnGroupManageError implements kgo.HookGroupManageError.
func (s excluded) OnGroupManageError(err error) {
	s.misses(context.Background(), ofGroup, fmt.Errorf("be a member of group %q: %w", s.cfg.Group, err))
}
