package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
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
// no topic that exists. The error has one sentence for each way in which topics
// are not as the pipeline needs them, and comes with the states.
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
	if err := t.seen(ctx, states); err != nil {
		return states, err
	}
	return states, t.judge(states)
}

// seenPause lies between two looks whether new topics are there.
const seenPause = 50 * time.Millisecond

// seen waits until the broker tells of the topics that were just created: it
// says that they are before it says so to those who ask.
func (t *Topics) seen(ctx context.Context, states []TopicState) error {
	deadline, cancel := context.WithTimeout(ctx, t.cfg.ConnectTimeout)
	defer cancel()
	for {
		partitions, err := t.partitions(ctx)
		if err != nil {
			return err
		}
		missing := slices.IndexFunc(states, func(s TopicState) bool { return s.Created && partitions[s.Name] == 0 })
		if missing < 0 {
			return nil
		}
		select {
		case <-deadline.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("wait for topic %q on %s: %w", states[missing].Name, t.where(), ctx.Err())
			}
			return fmt.Errorf("topic %q was created on %s and does not appear within %s: check the cluster's controllers, then run 'flywheel topics apply' again", states[missing].Name, t.where(), t.cfg.ConnectTimeout)
		case <-time.After(seenPause):
		}
	}
}

// Check reports the topics that are missing or not as the pipeline needs them,
// one sentence for each fault, and comes with the states.
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
	if w.Copartitioned && len(w.Records) > 0 {
		// The broker's clock tells what lies in the future: a producer whose clock
		// is wrong is wrong in both of its times.
		configs["message.timestamp.type"] = kadm.StringPtr("LogAppendTime")
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

// judge compares what is with what must be; topics with the same fault share a
// sentence. The partition count matters where one processor owns the same
// partition of several topics.
func (t *Topics) judge(states []TopicState) error {
	want := t.cfg.Topics.Partitions
	var missing []string
	counts, copartitioned := make(map[int32][]string), 0
	var policies []error
	for _, s := range states {
		if s.Copartitioned {
			copartitioned++
		}
		switch {
		case s.Partitions == 0:
			missing = append(missing, s.Name)
			continue
		case s.Copartitioned && s.Partitions != want:
			counts[s.Partitions] = append(counts[s.Partitions], s.Name)
		}
		if s.Policy != s.Cleanup {
			policies = append(policies, fmt.Errorf("topic %q on %s has cleanup.policy %q, want %q: set it with 'kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config cleanup.policy=%s'",
				s.Name, t.where(), s.Policy, s.Cleanup, s.Name, s.Cleanup))
		}
	}
	var errs []error
	if len(missing) > 0 {
		errs = append(errs, fmt.Errorf("%s missing on %s: run 'flywheel topics apply'", some(missing, "is", "are"), t.where()))
	}
	for _, n := range slices.Sorted(maps.Keys(counts)) {
		remedy := fmt.Sprintf("delete and re-create with %d what has another count, or set kafka.topics.partitions to the count they all have", want)
		if len(counts[n]) == copartitioned {
			remedy = fmt.Sprintf("set kafka.topics.partitions to %d, or delete all topics and run 'flywheel topics apply'", n)
		}
		errs = append(errs, fmt.Errorf("%s %d partitions on %s, want %d as in kafka.topics.partitions: co-partitioned topics must have equally many, so %s",
			some(counts[n], "has", "have"), n, t.where(), want, remedy))
	}
	return errors.Join(append(errs, policies...)...)
}

// some names up to three topics, and says how many more there are.
func some(names []string, one, many string) string {
	const shownMax = 3
	if len(names) == 1 {
		return fmt.Sprintf("topic %q %s", names[0], one)
	}
	quoted := make([]string, min(len(names), shownMax))
	for i := range quoted {
		quoted[i] = strconv.Quote(names[i])
	}
	list := strings.Join(quoted, ", ")
	if more := len(names) - len(quoted); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return "topics " + list + " " + many
}

// transactionVersion is the level of the feature transaction.version from which
// the broker itself fences what a retry of an old transaction left behind
// (KIP-890).
const transactionVersion = 2

// TransactionVersion returns the level of the feature transaction.version that
// the cluster has agreed on, and a sentence of advice when it is older than
// KIP-890. Brokers that are away at the moment are passed over.
func (t *Topics) TransactionVersion(ctx context.Context) (level int16, advice string, err error) {
	brokers, err := t.admin.ApiVersions(ctx)
	if err != nil {
		return 0, "", fmt.Errorf("ask %s for its features: %w", t.where(), err)
	}
	level = math.MaxInt16
	answered := false
	var errs []error
	for _, b := range brokers.Sorted() {
		if b.Err != nil {
			errs = append(errs, fmt.Errorf("ask broker %d for its features: %w", b.NodeID, b.Err))
			continue
		}
		answered = true
		var has int16
		for _, f := range b.Raw().FinalizedFeatures {
			if f.Name == "transaction.version" {
				has = f.MaxVersionLevel
			}
		}
		level = min(level, has)
	}
	switch {
	case !answered:
		return 0, "", errors.Join(append(errs, fmt.Errorf("no broker at %s tells its features: try again", t.where()))...)
	case level >= transactionVersion:
		return level, "", nil
	}
	return level, fmt.Sprintf("the Kafka cluster at %s has transaction.version %d, below %d (KIP-890): a delayed message of a dead processor could leave a transaction hanging; "+
		"upgrade it with 'kafka-features.sh upgrade --feature transaction.version=%d'", t.where(), level, transactionVersion, transactionVersion), nil
}

func (t *Topics) where() string { return strings.Join(t.cfg.Brokers, ", ") }
