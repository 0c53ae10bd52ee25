//go:build integration

package apache_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"flywheel/loadtest/apache"
)

// place is one broker with a name for what belongs to one row.
type place struct {
	*testing.T
	brokers []string
	client  *kgo.Client
	name    string // of topic, group and transactional id
}

// TestWhatBrokersDo states, for everything the pipeline leans on, what the broker in production does
// and what the embedded one does. Where they differ, only the former proves anything.
func TestWhatBrokersDo(t *testing.T) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "100"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	production := kafka(t, 1)
	number := 0
	for name, row := range map[string]struct {
		apache, kfake string // "" in kfake: the same
		do            func(p place) string
	}{
		"the transactions are those of KIP-890": {apache: "2", do: func(p place) string {
			return strconv.Itoa(p.feature("transaction.version"))
		}},
		"who does not insist on a stable offset gets the one before the open transaction": {apache: "3", do: func(p place) string {
			p.pend(7)
			return p.offset(false)
		}},
		"a pending offset is withheld from who insists on a stable one": {apache: "UNSTABLE_OFFSET_COMMIT", do: func(p place) string {
			p.pend(7)
			return p.offset(true)
		}},
		"the offset of an aborted transaction is forgotten": {apache: "3", do: func(p place) string {
			p.end(p.pend(7), false)
			var got string
			eventually(p.T, "the offset is stable", func() bool { got = p.offset(true); return got != kerr.UnstableOffsetCommit.Message })
			return got
		}},
		"a successor begins while a transaction is open": {apache: "CONCURRENT_TRANSACTIONS, then epoch 2", kfake: "epoch 1", do: func(p place) string {
			p.pend(7)
			var got []string
			eventually(p.T, "a successor begins", func() bool {
				next := p.init(-1, -1)
				if next.ErrorCode == 0 {
					got = append(got, "epoch "+strconv.Itoa(int(next.ProducerEpoch)))
				} else {
					got = append(got, code(next.ErrorCode))
				}
				return next.ErrorCode == 0
			})
			return strings.Join(slices.Compact(got), ", then ")
		}},
		"a fenced producer asks to go on with its epoch": {apache: "PRODUCER_FENCED", kfake: "none", do: func(p place) string {
			old := p.init(-1, -1)
			p.init(-1, -1)
			p.init(-1, -1)
			return code(p.init(old.ProducerID, old.ProducerEpoch).ErrorCode)
		}},
		"a zombie commits": {apache: "PRODUCER_FENCED", kfake: "INVALID_TXN_STATE", do: func(p place) string {
			old := p.init(-1, -1)
			p.init(-1, -1)
			return p.end(old, true)
		}},
		"a zombie commits an offset": {apache: "PRODUCER_FENCED", do: func(p place) string {
			old := p.init(-1, -1)
			p.init(-1, -1)
			return p.commitOffset(old, 7)
		}},
		"a zombie sends a record": {apache: "INVALID_PRODUCER_EPOCH", do: func(p place) string {
			create(p.T, p.client, p.name, 1, nil)
			zombie := connect(p.T, p.brokers, kgo.TransactionalID(p.name), kgo.DefaultProduceTopic(p.name))
			if err := zombie.BeginTransaction(); err != nil {
				p.Fatal(err)
			}
			if err := zombie.ProduceSync(p.Context(), kgo.StringRecord("early")).FirstErr(); err != nil {
				p.Fatal(err)
			}
			for p.init(-1, -1).ErrorCode != 0 {
				time.Sleep(10 * time.Millisecond)
			}
			return message(zombie.ProduceSync(p.Context(), kgo.StringRecord("late")).FirstErr())
		}},
		"a transaction is left open beyond its timeout": {apache: "aborted, its owner hears INVALID_TXN_STATE", do: func(p place) string {
			create(p.T, p.client, p.name, 1, nil)
			owner := connect(p.T, p.brokers, kgo.TransactionalID(p.name), kgo.DefaultProduceTopic(p.name), kgo.TransactionTimeout(time.Second))
			if err := owner.BeginTransaction(); err != nil {
				p.Fatal(err)
			}
			if err := owner.ProduceSync(p.Context(), kgo.StringRecord("left")).FirstErr(); err != nil {
				p.Fatal(err)
			}
			eventually(p.T, "the transaction has ended", func() bool { return p.stable() })
			seen := "aborted"
			if got := values(p.T, p.brokers, p.name, kgo.ReadCommitted()); len(got) > 0 {
				seen = "committed"
			}
			return seen + ", its owner hears " + message(owner.EndTransaction(p.Context(), kgo.TryCommit))
		}},
		"what follows an open transaction is withheld": {apache: "0 of 2", do: func(p place) string {
			create(p.T, p.client, p.name, 1, nil)
			owner := connect(p.T, p.brokers, kgo.TransactionalID(p.name), kgo.DefaultProduceTopic(p.name))
			if err := owner.BeginTransaction(); err != nil {
				p.Fatal(err)
			}
			if err := owner.ProduceSync(p.Context(), kgo.StringRecord("open")).FirstErr(); err != nil {
				p.Fatal(err)
			}
			if err := p.client.ProduceSync(p.Context(), &kgo.Record{Topic: p.name}).FirstErr(); err != nil {
				p.Fatal(err)
			}
			decided, end := p.ends()
			return fmt.Sprintf("%d of %d", decided, end)
		}},
		"a second member of the same name": {apache: "the first hears FENCED_INSTANCE_ID", do: func(p place) string {
			create(p.T, p.client, p.name, 1, nil)
			fenced := make(chan error, 1)
			join := func(opts ...kgo.Opt) {
				client := connect(p.T, p.brokers, append(opts, kgo.ConsumerGroup(p.name), kgo.InstanceID("one"), kgo.ConsumeTopics(p.name),
					kgo.HeartbeatInterval(100*time.Millisecond), kgo.SessionTimeout(10*time.Second))...)
				eventually(p.T, "the member has its partition", func() bool {
					wait, cancel := context.WithTimeout(p.Context(), 50*time.Millisecond)
					defer cancel()
					client.PollFetches(wait)
					_, generation := client.GroupMetadata()
					return generation > 0
				})
			}
			join(kgo.WithHooks(excluded{fenced}))
			join()
			select {
			case why := <-fenced:
				return "the first hears " + message(why)
			case <-time.After(time.Minute):
				return "the first hears nothing"
			}
		}},
		"a record's time on a topic with LogAppendTime": {apache: "the broker's", kfake: "the producer's", do: func(p place) string {
			create(p.T, p.client, p.name, 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
			sent := time.UnixMilli(1_000_000_000_000)
			consumer := connect(p.T, p.brokers, kgo.ConsumeTopics(p.name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			if err := p.client.ProduceSync(p.Context(), &kgo.Record{Topic: p.name, Timestamp: sent}).FirstErr(); err != nil {
				p.Fatal(err)
			}
			fetches := consumer.PollFetches(p.Context())
			if err := fetches.Err(); err != nil {
				p.Fatal(err)
			}
			if fetches.Records()[0].Timestamp.Equal(sent) {
				return "the producer's"
			}
			return "the broker's"
		}},
		"a topic with an unknown setting":                   {apache: "INVALID_CONFIG", kfake: "none", do: func(p place) string { return p.create(1, "no.such.setting", "1") }},
		"a topic with an impossible value of a setting":     {apache: "INVALID_CONFIG", kfake: "none", do: func(p place) string { return p.create(1, "cleanup.policy", "sometimes") }},
		"a topic with more replicas than there are brokers": {apache: "INVALID_REPLICATION_FACTOR", do: func(p place) string { return p.create(3, "cleanup.policy", "delete") }},
		"a record larger than its topic takes": {apache: "MESSAGE_TOO_LARGE", do: func(p place) string {
			create(p.T, p.client, p.name, 1, map[string]string{"max.message.bytes": "1000"})
			value := make([]byte, 2000)
			_, _ = rand.Read(value) // which does not compress
			return message(p.client.ProduceSync(p.Context(), &kgo.Record{Topic: p.name, Value: value}).FirstErr())
		}},
		"compaction keeps the newest value of a key": {apache: "b=2 a=3", do: func(p place) string {
			create(p.T, p.client, p.name, 1, map[string]string{
				"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.001", "max.compaction.lag.ms": "100",
			})
			send := func(key, value string) {
				if err := p.client.ProduceSync(p.Context(), &kgo.Record{Topic: p.name, Key: []byte(key), Value: []byte(key + "=" + value)}).FirstErr(); err != nil {
					p.Fatal(err)
				}
			}
			send("a", "1")
			send("b", "2")
			send("a", "3")
			var got []string
			for i := 0; len(got) != 2 && i < 100; i++ { // what is written last is never compacted
				time.Sleep(100 * time.Millisecond)
				send("end", strconv.Itoa(i))
				got = slices.DeleteFunc(values(p.T, p.brokers, p.name, kgo.ReadCommitted()), func(v string) bool { return strings.HasPrefix(v, "end") })
			}
			return strings.Join(got, " ")
		}},
	} {
		for broker, brokers := range map[string][]string{"apache": production.Brokers(), "kfake": fake.ListenAddrs()} {
			number++
			t.Run(name+"/"+broker, func(t *testing.T) {
				want := row.apache
				if broker == "kfake" && row.kfake != "" {
					want = row.kfake
				}
				got := row.do(place{t, brokers, connect(t, brokers), fmt.Sprintf("row-%d", number)})
				if got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		}
	}
}

// TestABrokerIsKilledInATransaction kills each broker between a committed transaction and the end of
// the next one, and looks at what it shows after the producer has come back.
func TestABrokerIsKilledInATransaction(t *testing.T) {
	k := kafka(t, 1)
	dir := t.TempDir()
	fake, address := child(t, kfakeEnv, dir)
	for name, tc := range map[string]struct {
		brokers []string
		restart func(t *testing.T) []string
		want    string
	}{
		"apache keeps what was committed and drops the rest": {k.Brokers(), func(t *testing.T) []string {
			if err := errors.Join(k.Kill(1), k.Start(t.Context(), 1)); err != nil {
				t.Fatal(err)
			}
			return k.Brokers()
		}, "committed again"},
		"kfake leaves the transaction open for ever, before all that follows": {[]string{address}, func(t *testing.T) []string {
			if err := fake.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = fake.Wait() // killed
			_, address := child(t, kfakeEnv, dir)
			return []string{address}
		}, "committed"},
	} {
		t.Run(name, func(t *testing.T) {
			begin := func(brokers []string) *kgo.Client {
				producer := connect(t, brokers, kgo.TransactionalID("t"), kgo.DefaultProduceTopic("t"))
				if err := producer.BeginTransaction(); err != nil {
					t.Fatal(err)
				}
				return producer
			}
			send := func(producer *kgo.Client, value string) {
				if err := producer.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			commit := func(producer *kgo.Client) {
				if err := producer.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
					t.Fatal(err)
				}
			}
			create(t, connect(t, tc.brokers), "t", 1, nil)
			producer := begin(tc.brokers)
			send(producer, "committed")
			commit(producer)
			if err := producer.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			send(producer, "left")
			brokers := tc.restart(t)
			producer = begin(brokers)
			send(producer, "again")
			commit(producer)
			if got := strings.Join(values(t, brokers, "t", kgo.ReadCommitted()), " "); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if got := strings.Join(values(t, brokers, "t", kgo.ReadUncommitted()), " "); got != "committed left again" {
				t.Errorf("%q is there, want everything that was acknowledged", got)
			}
		})
	}
}

// TestACoordinatorIsKilledBetweenADecisionAndItsMarkers kills the coordinator of a transaction that it
// has decided to commit before it has told all partitions, and looks at how many hear of it later. A
// node alone takes them for deleted while it is on its way back, since they have no leader then
// (KAFKA-20734): there they hear nothing, and hide all that follows.
func TestACoordinatorIsKilledBetweenADecisionAndItsMarkers(t *testing.T) {
	for nodes, want := range map[int]bool{1: false, 3: true} {
		t.Run(fmt.Sprintf("of %d", nodes), func(t *testing.T) {
			k := kafka(t, nodes)
			open := decideAndKill(t, k, nodes, "t")
			// Markers may be quicker than the kill.
			for n := 1; !want && open == 0 && n < 6; n++ {
				open = decideAndKill(t, k, nodes, fmt.Sprintf("t-%d", n))
			}
			switch heard := open == 0; {
			case heard && !want:
				t.Skip("markers were quicker than every kill, which shows nothing")
			case !heard && want:
				t.Errorf("%d partitions wait for the end of a transaction that has ended", open)
			}
		})
	}
}

// decideAndKill has a transaction over the partitions of a topic of its own decided, kills its
// coordinator at once, and returns how many of them have not heard of it when the next
// transaction of the same name has ended.
func decideAndKill(t *testing.T, k *apache.Kafka, nodes int, name string) (open int) {
	t.Helper()
	const partitions = 100
	client := connect(t, k.Brokers(), kgo.TransactionalID(name), kgo.DefaultProduceTopic(name), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(t.Context(), partitions, int16(nodes), nil, name); err != nil {
		t.Fatal(err)
	}
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	var records []*kgo.Record
	for n := range int32(partitions) {
		records = append(records, &kgo.Record{Partition: n, Value: []byte("x")})
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	coordinator := 0
	for _, c := range admin.FindTxnCoordinators(t.Context(), name) {
		coordinator = int(c.NodeID)
	}
	if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(k.Kill(coordinator), k.Start(t.Context(), coordinator)); err != nil {
		t.Fatal(err)
	}
	// Whoever is coordinator now is done with the transaction when it begins another.
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Value: []byte("next")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := client.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	decided, err := admin.ListCommittedOffsets(t.Context(), name)
	if err = errors.Join(err, decided.Error()); err != nil {
		t.Fatal(err)
	}
	decided.Each(func(o kadm.ListedOffset) {
		if o.Offset == 0 {
			open++
		}
	})
	t.Logf("%d of %d partitions have not heard of it", open, partitions)
	return open
}

// excluded hears why a member is out of its group.
type excluded struct{ why chan error }

func (e excluded) OnGroupManageError(err error) {
	select {
	case e.why <- err:
	default:
	}
}

// code names a broker's answer.
func code(c int16) string { return message(kerr.ErrorForCode(c)) }

func message(err error) string {
	var known *kerr.Error
	switch {
	case err == nil:
		return "none"
	case errors.As(err, &known):
		return known.Message
	}
	return err.Error()
}

func request[R kmsg.Response](p place, req kmsg.Request) R {
	p.Helper()
	resp, err := p.client.Request(p.Context(), req)
	if err != nil {
		p.Fatal(err)
	}
	return resp.(R)
}

func (p place) feature(name string) int {
	brokers, err := kadm.NewClient(p.client).ApiVersions(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	level := -1
	for _, b := range brokers {
		for _, f := range b.Raw().FinalizedFeatures {
			if f.Name == name {
				level = int(f.MaxVersionLevel)
			}
		}
	}
	return level
}

// init asks for the right to transactions, as anew or as the producer given.
func (p place) init(id int64, epoch int16) *kmsg.InitProducerIDResponse {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = &p.name, 30_000, id, epoch
	var resp *kmsg.InitProducerIDResponse
	eventually(p.T, "the coordinator answers", func() bool { // a new cluster has none at first
		resp = request[*kmsg.InitProducerIDResponse](p, req)
		return !slices.Contains([]int16{kerr.CoordinatorLoadInProgress.Code, kerr.CoordinatorNotAvailable.Code, kerr.NotCoordinator.Code}, resp.ErrorCode)
	})
	return resp
}

// pend leaves an offset of the group in an open transaction, after the committed offset 3.
func (p place) pend(offset int64) *kmsg.InitProducerIDResponse {
	p.Helper()
	create(p.T, p.client, p.name, 1, nil)
	var before kadm.Offsets
	before.AddOffset(p.name, 0, 3, -1)
	eventually(p.T, "the new topic is known to the coordinator", func() bool {
		return kadm.NewClient(p.client).CommitAllOffsets(p.Context(), p.name, before) == nil
	})
	id := p.init(-1, -1)
	if got := p.commitOffset(id, offset); got != "none" {
		p.Fatalf("the offset is refused: %s", got)
	}
	return id
}

func (p place) topicID() kadm.TopicID {
	topics, err := kadm.NewClient(p.client).ListTopics(p.Context(), p.name)
	if err != nil {
		p.Fatal(err)
	}
	return topics[p.name].ID
}

// commitOffset adds an offset of the group to the transaction.
func (p place) commitOffset(id *kmsg.InitProducerIDResponse, offset int64) string {
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.Group, add.ProducerID, add.ProducerEpoch = p.name, p.name, id.ProducerID, id.ProducerEpoch
	if got := request[*kmsg.AddOffsetsToTxnResponse](p, add); got.ErrorCode != 0 {
		return code(got.ErrorCode)
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = p.name, p.name, id.ProducerID, id.ProducerEpoch
	partition := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	partition.Offset = offset
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: p.name, TopicID: p.topicID(), Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{partition}}}
	return code(request[*kmsg.TxnOffsetCommitResponse](p, req).Topics[0].Partitions[0].ErrorCode)
}

// offset returns the committed offset of the group.
func (p place) offset(stable bool) string {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = stable
	topic := kmsg.NewOffsetFetchRequestGroupTopic()
	topic.Topic, topic.TopicID, topic.Partitions = p.name, p.topicID(), []int32{0}
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group, group.Topics = p.name, []kmsg.OffsetFetchRequestGroupTopic{topic}
	req.Groups = []kmsg.OffsetFetchRequestGroup{group}
	got := request[*kmsg.OffsetFetchResponse](p, req).Groups[0]
	if got.ErrorCode != 0 {
		return code(got.ErrorCode)
	}
	if c := got.Topics[0].Partitions[0].ErrorCode; c != 0 {
		return code(c)
	}
	return strconv.FormatInt(got.Topics[0].Partitions[0].Offset, 10)
}

func (p place) end(id *kmsg.InitProducerIDResponse, commit bool) string {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = p.name, id.ProducerID, id.ProducerEpoch, commit
	return code(request[*kmsg.EndTxnResponse](p, req).ErrorCode)
}

// stable reports whether nothing on the topic is undecided.
func (p place) stable() bool {
	decided, end := p.ends()
	return decided == end
}

// ends returns up to where the topic is decided, and its end.
func (p place) ends() (decided, end int64) {
	admin := kadm.NewClient(p.client)
	stable, err := admin.ListCommittedOffsets(p.Context(), p.name)
	if err != nil {
		p.Fatal(err)
	}
	all, err := admin.ListEndOffsets(p.Context(), p.name)
	if err != nil {
		p.Fatal(err)
	}
	a, _ := stable.Lookup(p.name, 0)
	b, _ := all.Lookup(p.name, 0)
	return a.Offset, b.Offset
}

// create asks for a topic with one setting.
func (p place) create(replicas int16, key, value string) string {
	_, err := kadm.NewClient(p.client).CreateTopic(p.Context(), 1, replicas, map[string]*string{key: &value}, p.name)
	return message(err)
}
