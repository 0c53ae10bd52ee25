package simulation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/event"
)

// resumesWithin is by when everything must be processed once nothing goes wrong
// any more: a dead processor's session and transaction have to time out, the
// group has to rebalance, and the pause before a new session may be at its longest.
const resumesWithin = 60 * time.Second

// outputs are the topics the processor writes, the changelog among them.
func outputs() []string {
	return []string{event.TopicCorrelation, event.TopicCredit, event.TopicSpike, event.TopicDeadLetter, event.TopicState}
}

// quiet is for how long nothing may be written for everything to be done: longer
// than the processor's longest pause before it starts over.
const quiet = 11 * time.Second

// drain waits until all input is committed and nothing is written any more, and
// says whether that came about.
func (w *world) drain(ctx context.Context) bool {
	const look = 500 * time.Millisecond
	until := time.Now().Add(resumesWithin)
	var last string
	var since time.Time
	for {
		behind := w.behind()
		ends := w.ends()
		if behind != "" || ends != last {
			since = time.Now()
		}
		last = ends
		if time.Since(since) >= quiet {
			break
		}
		if time.Now().After(until) {
			if behind == "" {
				behind = "results are written without end"
			}
			w.fail(oracleProgress, "%s after all was well again: %s", resumesWithin, behind)
			return false
		}
		time.Sleep(look)
	}
	if !w.plan.withSink {
		return true
	}
	for until = time.Now().Add(resumesWithin); ; time.Sleep(look) {
		behind, err := w.sinkBehind(ctx)
		switch {
		case err != nil:
			w.fail(oracleSimulator, "%v", err)
			return false
		case behind == "":
			return true
		case time.Now().After(until):
			w.fail(oracleProgress, "%s after the results were there: %s", resumesWithin, behind)
			return false
		}
	}
}

// behind says which input is not committed; empty when all is.
func (w *world) behind() string {
	group := w.cluster.GroupInfo(w.plan.processor.Group)
	if group == nil || group.State != "Stable" {
		return "the group of processors is not stable"
	}
	for _, m := range group.Members {
		if m.InstanceID == nil || !w.breathes(*m.InstanceID) {
			return fmt.Sprintf("the group waits for the dead processor %s", m.MemberID)
		}
	}
	for _, topic := range inputs() {
		for _, p := range w.cluster.PartitionInfos(topic) {
			if p.HighWatermark == 0 {
				continue
			}
			if group.Commits[topic][p.Partition].Offset < p.HighWatermark {
				return fmt.Sprintf("partition %d of %s is not committed to its end, %d", p.Partition, topic, p.HighWatermark)
			}
		}
	}
	for _, topic := range outputs() {
		for _, p := range w.cluster.PartitionInfos(topic) {
			if p.LastStableOffset < p.HighWatermark {
				return fmt.Sprintf("a transaction hangs in partition %d of %s", p.Partition, topic)
			}
		}
	}
	return ""
}

// ends is how far the outputs were written.
func (w *world) ends() string {
	var b strings.Builder
	for _, topic := range outputs() {
		for _, p := range w.cluster.PartitionInfos(topic) {
			fmt.Fprint(&b, p.HighWatermark, " ")
		}
	}
	return b.String()
}

// sinkBehind says which record the sink has not committed; empty when there is none.
func (w *world) sinkBehind(ctx context.Context) (string, error) {
	group := w.cluster.GroupInfo(w.plan.sink.Group)
	if group == nil {
		return "there is no group of the sink", nil
	}
	if w.records == nil {
		if err := w.read(ctx); err != nil {
			return "", err
		}
	}
	for _, r := range slices.Backward(w.records) {
		if r.Topic != event.TopicState && group.Commits[r.Topic][r.Partition].Offset <= r.Offset {
			return fmt.Sprintf("the sink has not committed %s/%d/%d", r.Topic, r.Partition, r.Offset), nil
		}
	}
	return "", nil
}

// read reads everything that is committed, in the order of each partition.
func (w *world) read(ctx context.Context) error {
	w.records = []*kgo.Record{}
	return w.fetch(ctx, slices.Concat(inputs(), outputs()), func(r *kgo.Record) {
		if !r.Attrs.IsControl() {
			w.records = append(w.records, r)
		}
	})
}

// fetch hands over the committed records of topics, and the ends of transactions.
func (w *world) fetch(ctx context.Context, topics []string, take func(*kgo.Record)) error {
	left := make(map[place]bool)
	for _, topic := range topics {
		for _, p := range w.cluster.PartitionInfos(topic) {
			if p.HighWatermark > p.LogStartOffset {
				left[place{topic, p.Partition, p.HighWatermark - 1}] = true
			}
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.Brokers...), kgo.Dialer(w.network.DialContext), kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for len(left) > 0 {
		fetches := client.PollFetches(wait)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read what was committed, %d partitions left: %w", len(left), err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			delete(left, place{r.Topic, r.Partition, r.Offset})
			take(r)
		})
	}
	return nil
}

// owners looks whether a partition has two owners, and one owner all topics of a
// partition number.
func (w *world) owners() {
	group := w.cluster.GroupInfo(w.plan.processor.Group)
	if group == nil || group.State != "Stable" {
		return
	}
	owner := make(map[string]string)
	for _, m := range group.Members {
		for topic, numbers := range m.Assignment {
			for _, n := range numbers {
				at := fmt.Sprint(topic, "/", n)
				if other, taken := owner[at]; taken {
					w.fail(oracleOwner, "%s belongs to %s and %s", at, other, m.MemberID)
				}
				owner[at] = m.MemberID
			}
		}
	}
	for n := range int32(partitions) {
		first := owner[fmt.Sprint(inputs()[0], "/", n)]
		for _, topic := range inputs() {
			if o := owner[fmt.Sprint(topic, "/", n)]; o != first {
				w.fail(oracleOwner, "partition %d belongs to %s of %s and to %s of %s", n, first, inputs()[0], o, topic)
			}
		}
	}
}

// breathes says whether anybody lives under a name, also when somebody else has
// taken it since.
func (w *world) breathes(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.lives, func(l *life) bool {
		select {
		case <-l.done:
			return false
		default:
			return l.name == name && !l.killed
		}
	})
}
