package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"flywheel/pkg/event"
	"flywheel/pkg/setup"
)

// Replayed is the kind of fault that processes a topic again.
const Replayed Kind = "input replayed from its start"

// replay has the stopped pipeline process the whole input again, as
// services/processor/DESIGN.md says: without the state, from the first offset, and
// in the end without the spikes that the state before had published. It returns
// the lowest revision that can be of the new state.
func (p *play) replay(ctx context.Context) (since int64, err error) {
	p.last = string(Replayed)
	if err := p.reset(ctx); err != nil {
		return 0, fmt.Errorf("prepare the replay: %w", err)
	}
	since = time.Now().UnixMilli()
	for _, s := range p.services {
		if err := p.start(ctx, s); err != nil {
			return 0, err
		}
	}
	p.report.Faults[Replayed]++
	if err := p.drain(ctx); err != nil {
		return 0, err
	}
	if err := p.Conn.Exec(ctx, fmt.Sprintf("ALTER TABLE spike DELETE WHERE revision < %d SETTINGS mutations_sync = 1", since)); err != nil {
		return 0, fmt.Errorf("delete the spikes of the state before: %w", err)
	}
	return since, nil
}

// reset deletes the state and the group that has consumed the input, once its
// members, which are static and so never leave, have expired.
func (p *play) reset(ctx context.Context) error {
	admin := p.monitor.admin
	if _, err := admin.DeleteTopic(ctx, event.TopicState); err != nil {
		return fmt.Errorf("delete the topic %q: %w", event.TopicState, err)
	}
	expired := time.Now().Add(sessionTimeout + recoveryMax)
	for {
		_, err := admin.DeleteGroup(ctx, groupOf("processor"))
		switch {
		case err == nil, errors.Is(err, kerr.GroupIDNotFound):
			return p.createAgain(ctx, admin)
		case !errors.Is(err, kerr.NonEmptyGroup) || time.Now().After(expired):
			return fmt.Errorf("delete the group %q: %w", groupOf("processor"), err)
		}
		time.Sleep(look)
	}
}

// createAgain creates the topic of the state, which a broker may still be
// deleting.
func (p *play) createAgain(ctx context.Context, admin *kadm.Client) error {
	for until := time.Now().Add(recoveryMax); ; time.Sleep(look) {
		_, err := setup.Topics(ctx, p.Targets.Kafka, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider())
		if err == nil {
			topics, err := admin.ListTopics(ctx, event.TopicState)
			if err = errors.Join(err, topics.Error()); err == nil {
				return nil
			}
		}
		if time.Now().After(until) {
			return err
		}
	}
}
