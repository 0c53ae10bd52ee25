package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"flywheel/pkg/kafka"
	"flywheel/schemas"
)

// monitor asks Kafka how far the services are.
type monitor struct {
	client *kgo.Client
	admin  *kadm.Client
	inputs []string

	inTime, tooLate time.Duration // to catch up in, and how much longer is waited
}

func newMonitor(ctx context.Context, cfg kafka.Config) (*monitor, error) {
	topics, err := schemas.LoadTopics()
	if err != nil {
		return nil, err
	}
	client, err := kafka.Connect(ctx, cfg, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider())
	if err != nil {
		return nil, err
	}
	m := &monitor{client: client, admin: kadm.NewClient(client), inTime: recoveryMax, tooLate: tooLateMax}
	for _, t := range topics.Topics {
		if t.Copartitioned && len(t.Records) > 0 {
			m.inputs = append(m.inputs, t.Name)
		}
	}
	return m, nil
}

func (m *monitor) close() { m.client.Close() }

// look lies between two looks at the progress.
const look = 50 * time.Millisecond

// tooLateMax is how long is waited for who has not caught up in time: whether it is slow or
// stands still is worth knowing.
const tooLateMax = time.Minute

// caughtUp waits until a group has committed all input there is at the call, and
// returns how long that took since the moment given; an error when it takes
// longer than there is time for. Kafka may be away meanwhile.
func (m *monitor) caughtUp(ctx context.Context, group string, since time.Time) (time.Duration, error) {
	var ends kadm.ListedOffsets
	why := errors.New("no answer from Kafka")
	for time.Since(since) < m.inTime+m.tooLate {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		left, err := m.left(attempt, group, &ends)
		cancel()
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case err != nil:
			why = err
		case left == 0 && time.Since(since) <= m.inTime:
			return time.Since(since), nil
		case left == 0:
			return 0, fmt.Errorf("the group %q took %s, not %s, to commit what was there when the fault came; shortly before, %w", group, time.Since(since).Round(time.Millisecond), m.inTime, why)
		default:
			why = fmt.Errorf("%d records were left", left)
		}
		time.Sleep(look)
	}
	return 0, fmt.Errorf("the group %q has not committed within %s, nor %s later, what was there when the fault came: %w", group, m.inTime, m.tooLate, why)
}

// left counts what the group has not committed of the input up to the ends, which
// the first call fills in.
func (m *monitor) left(ctx context.Context, group string, ends *kadm.ListedOffsets) (n int64, err error) {
	if *ends == nil {
		// Committed, for a transaction that is open may be aborted by its timeout only.
		listed, err := m.admin.ListCommittedOffsets(ctx, m.inputs...)
		if err = errors.Join(err, listed.Error()); err != nil {
			return 0, fmt.Errorf("find the end of the input: %w", err)
		}
		*ends = listed
	}
	committed, err := m.admin.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return 0, fmt.Errorf("ask how far the group is: %w", err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		at := int64(0)
		if c, ok := committed.Lookup(o.Topic, o.Partition); ok {
			at = max(0, c.At)
		}
		n += max(0, o.Offset-at)
	})
	return n, nil
}
