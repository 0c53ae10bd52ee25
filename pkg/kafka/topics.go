package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"flywheel/schemas"
)

// Topics creates and checks the topics of schemas/topics.yaml.
type Topics struct {
	cfg    Config
	wanted []schemas.Topic
	client *kgo.Client
	admin  *kadm.Client
}

// NewTopics returns the topics as seen through the client, which stays the
// caller's.
func NewTopics(cfg Config, client *kgo.Client) (*Topics, error) {
	file, err := schemas.LoadTopics()
	if err != nil {
		return nil, err
	}
	admin := kadm.NewClient(client)
	admin.SetTimeoutMillis(int32(cfg.RequestTimeout.Milliseconds()))
	return &Topics{cfg: cfg, wanted: file.Topics, client: client, admin: admin}, nil
}

// TopicState is what one topic is on the cluster.
type TopicState struct {
	schemas.Topic

	Partitions int32  // 0 when the topic does not exist
	Policy     string // its cleanup.policy
	Created    bool   // by this call
}

// Apply creates the topics that are missing and checks all of them. It changes
// no topic that exists. The error has one sentence for each topic that is not
// as the pipeline needs it.
func (t *Topics) Apply(ctx context.Context) ([]TopicState, error) {
	states, err := t.describe(ctx)
	if err != nil {
		return nil, err
	}
	for i := range states {
		s := &states[i]
		if s.Partitions > 0 {
			continue
		}
		if err := t.create(ctx, s.Topic); err != nil {
			return nil, err
		}
		s.Partitions, s.Policy, s.Created = t.cfg.Topics.Partitions, s.Cleanup, true
	}
	return states, t.judge(states)
}

// Check reports every topic that is missing or not as the pipeline needs it,
// one sentence each.
func (t *Topics) Check(ctx context.Context) ([]TopicState, error) {
	states, err := t.describe(ctx)
	if err != nil {
		return nil, err
	}
	return states, t.judge(states)
}

func (t *Topics) describe(ctx context.Context) ([]TopicState, error) {
	partitions, err := t.partitions(ctx)
	if err != nil {
		return nil, err
	}
	states := make([]TopicState, len(t.wanted))
	var exist []string
	for i, w := range t.wanted {
		states[i] = TopicState{Topic: w, Partitions: partitions[w.Name]}
		if states[i].Partitions > 0 {
			exist = append(exist, w.Name)
		}
	}
	if len(exist) == 0 {
		return states, nil
	}
	configs, err := t.admin.DescribeTopicConfigs(ctx, exist...)
	if err != nil {
		return nil, fmt.Errorf("read the settings of the topics on %s: %w", t.where(), err)
	}
	for i := range states {
		if states[i].Partitions == 0 {
			continue
		}
		c, err := configs.On(states[i].Name, nil)
		if err := errors.Join(err, c.Err); err != nil {
			return nil, fmt.Errorf("read the settings of topic %q: %w", states[i].Name, err)
		}
		for _, kv := range c.Configs {
			if kv.Key == "cleanup.policy" {
				states[i].Policy = kv.MaybeValue()
			}
		}
	}
	return states, nil
}

// partitions returns the partition count of every wanted topic that exists. It
// asks the broker itself: the client's own metadata may be seconds old.
func (t *Topics) partitions(ctx context.Context) (map[string]int32, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, w := range t.wanted {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(w.Name)
		req.Topics = append(req.Topics, topic)
	}
	resp, err := req.RequestWith(ctx, t.client)
	if err != nil {
		return nil, fmt.Errorf("list the topics on %s: %w", t.where(), err)
	}
	counts := make(map[string]int32, len(resp.Topics))
	for _, topic := range resp.Topics {
		switch err := kerr.ErrorForCode(topic.ErrorCode); {
		case err == nil:
			counts[*topic.Topic] = int32(len(topic.Partitions))
		case !errors.Is(err, kerr.UnknownTopicOrPartition):
			return nil, fmt.Errorf("look at topic %q on %s: %w", *topic.Topic, t.where(), err)
		}
	}
	return counts, nil
}

// segmentBytes bounds the active segment of a compacted topic: compaction
// leaves that one alone, and a restore reads all of it.
const segmentBytes = 64 << 20

func (t *Topics) create(ctx context.Context, w schemas.Topic) error {
	retention := int64(-1)
	if w.RetentionHours >= 0 {
		retention = (time.Duration(w.RetentionHours) * time.Hour).Milliseconds()
	}
	configs := map[string]*string{
		"cleanup.policy": kadm.StringPtr(w.Cleanup),
		"retention.ms":   kadm.StringPtr(strconv.FormatInt(retention, 10)),
	}
	if w.Cleanup == "compact" {
		configs["segment.bytes"] = kadm.StringPtr(strconv.Itoa(segmentBytes))
	}
	if t.cfg.Topics.Replication >= 3 {
		configs["min.insync.replicas"] = kadm.StringPtr("2")
	}
	_, err := t.admin.CreateTopic(ctx, t.cfg.Topics.Partitions, t.cfg.Topics.Replication, configs, w.Name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create topic %q with %d partitions and %d replicas on %s: %w",
			w.Name, t.cfg.Topics.Partitions, t.cfg.Topics.Replication, t.where(), err)
	}
	return nil
}

// judge compares what is with what must be. The partition count matters where
// one processor owns the same partition of several topics.
func (t *Topics) judge(states []TopicState) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	want := t.cfg.Topics.Partitions
	for _, s := range states {
		switch {
		case s.Partitions == 0:
			fail("topic %q is missing on %s: run 'flywheel topics apply'", s.Name, t.where())
			continue
		case s.Copartitioned && s.Partitions != want:
			fail("topic %q on %s has %d partitions, want %d as in kafka.topics.partitions: co-partitioned topics must have equally many, so delete and re-create it with %d, or set kafka.topics.partitions to the count they all have",
				s.Name, t.where(), s.Partitions, want, want)
		}
		if s.Policy != s.Cleanup {
			fail("topic %q on %s has cleanup.policy %q, want %q: set it with 'kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config cleanup.policy=%s'",
				s.Name, t.where(), s.Policy, s.Cleanup, s.Name, s.Cleanup)
		}
	}
	return errors.Join(errs...)
}

// transactionVersion is the level of the feature transaction.version from which
// the broker itself fences what a retry of an old transaction left behind
// (KIP-890).
const transactionVersion = 2

// TransactionWarning returns a sentence when the cluster's transactions are
// older than KIP-890, and nothing when they are not.
func (t *Topics) TransactionWarning(ctx context.Context) (string, error) {
	brokers, err := t.admin.ApiVersions(ctx)
	if err != nil {
		return "", fmt.Errorf("ask %s for its features: %w", t.where(), err)
	}
	lowest := int16(transactionVersion)
	for _, b := range brokers.Sorted() {
		if b.Err != nil {
			return "", fmt.Errorf("ask broker %d for its features: %w", b.NodeID, b.Err)
		}
		var level int16
		for _, f := range b.Raw().FinalizedFeatures {
			if f.Name == "transaction.version" {
				level = f.MaxVersionLevel
			}
		}
		lowest = min(lowest, level)
	}
	if lowest == transactionVersion {
		return "", nil
	}
	return fmt.Sprintf("the Kafka cluster at %s has transaction.version %d, below %d (KIP-890): a delayed message of a dead processor could leave a transaction hanging; "+
		"upgrade it with 'kafka-features.sh upgrade --feature transaction.version=%d'", t.where(), lowest, transactionVersion, transactionVersion), nil
}

func (t *Topics) where() string { return strings.Join(t.cfg.Brokers, ", ") }
