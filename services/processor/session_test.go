package processor

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A transaction that its coordinator has ended for its age looks as if another
// processor had the name; and one that was replaced may run into anything else first.
// The group tells them apart.
func TestTheGroupKnowsWhoHasTheName(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "input"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	cfg := DefaultConfig()
	cfg.InstanceID = "one"
	join := func() *kgo.Client {
		client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("input"),
			kgo.ConsumerGroup(cfg.Group), kgo.InstanceID(cfg.InstanceID))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.CloseAllowingRebalance)
		for begun := time.Now(); ; {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			client.PollFetches(ctx)
			cancel()
			if _, generation := client.GroupMetadata(); generation >= 0 {
				return client
			}
			if time.Since(begun) > 20*time.Second {
				t.Fatal("the group takes no member")
			}
		}
	}
	fenced := fmt.Errorf("commit a transaction: %w", kerr.ProducerFenced)
	late := fmt.Errorf("commit a transaction: %w", context.DeadlineExceeded)
	long := cfg.TransactionTimeout + time.Second
	one := join()
	if err := explain(t.Context(), one, &cfg, long, fenced); errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.FencedInstanceID) || err == nil {
		t.Errorf("nobody else is there: %v", err)
	} else {
		t.Log(err)
	}
	if err := explain(t.Context(), one, &cfg, time.Second, fenced); !errors.Is(err, kerr.ProducerFenced) {
		t.Errorf("its transaction was not old: %v", err)
	}
	if err := explain(t.Context(), one, &cfg, long, late); !errors.Is(err, late) || errors.Is(err, kerr.FencedInstanceID) {
		t.Errorf("Kafka was late, and nobody else is there: %v", err)
	}
	member, generation := one.GroupMetadata()
	one.PauseFetchTopics("input")
	two := join()
	if id, _ := two.GroupMetadata(); id == member {
		t.Fatalf("both are %s in generation %d", id, generation)
	}
	var slow atomic.Bool
	cluster.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if slow.Load() {
			cluster.SleepControl(func() { time.Sleep(2 * time.Second) })
		}
		return nil, nil, false
	})
	for _, first := range []error{fenced, late, late} { // and again of a Kafka that is slow
		if err := explain(t.Context(), one, &cfg, long, first); !errors.Is(err, kerr.FencedInstanceID) || !errors.Is(err, first) {
			t.Errorf("another has its place, and it was told %v: %v; Kafka is slow: %t", first, err, slow.Load())
		}
		slow.Store(errors.Is(first, late))
	}
}

// The end of a backlog is drained as its middle is.
func TestABacklogIsOverWhenLittleIsLeft(t *testing.T) {
	for name, tc := range map[string]struct {
		lag                 int64
		gone                int64 // of them, by retention
		missed              bool  // nobody waits for them
		backlog             bool
		catchingUp, belongs bool
	}{
		"one commit is no backlog":                 {lag: 1000},
		"more than one commit is":                  {lag: 1001, catchingUp: true, belongs: true},
		"what is left of it belongs to it":         {lag: 51, backlog: true, belongs: true},
		"a twentieth of a commit does not":         {lag: 50, backlog: true},
		"what retention has taken is none":         {lag: 5000, gone: 5000, backlog: true},
		"nor what nobody waits for any more":       {lag: 5000, missed: true, backlog: true},
		"in the middle of it transactions last on": {lag: 5000, backlog: true, catchingUp: true, belongs: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &session{Processor: &Processor{cfg: Config{CommitRecords: 1000}}, backlog: tc.backlog}
			s.owned = []*worker{{queues: []queue{{next: 7, read: 7 + tc.gone, end: 7 + tc.lag, missed: tc.missed}}}}
			if s.gauge(); s.catchingUp != tc.catchingUp || s.backlog != tc.belongs {
				t.Errorf("%d records behind: catching up %v, backlog %v, want %v and %v", tc.lag, s.catchingUp, s.backlog, tc.catchingUp, tc.belongs)
			}
		})
	}
}
