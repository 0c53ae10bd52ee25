package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/services/processor"
	"flywheel/services/sink"
)

// plan is one simulation: what is sent, and what goes wrong when. It stands for
// itself: any part of its steps is a plan as well.
type plan struct {
	seed      uint64
	processor processor.Config
	sink      sink.Config
	withSink  bool
	steps     []step
}

// step is one thing that happens, or is prepared to happen.
type step struct {
	number int // within the plan that was drawn
	kind   kind
	who    string        // the process it happens to
	after  time.Duration // how long it takes, or lasts
	n      int           // the how manieth request
	key    kmsg.Key      // of which kind
	// answer says that it happens when the request was answered, not when it is sent.
	answer bool
	back   time.Duration // after which a process that was killed is started again; below 0 never
	err    *kerr.Error
	send   *message
	seed   uint64 // of a history
}

type kind int

const (
	stepSend      kind = iota // a message
	stepHistory               // weeks of a brand
	stepCalm                  // the last days of a history are restated: nothing had happened
	stepWait                  // time passes
	stepStart                 // a process
	stepStop                  // a process, in peace
	stepCrash                 // a process, at once
	stepCrashAt               // a process, when a request passes
	stepStall                 // a process stands still
	stepReplace               // a process stands still, and another takes its name
	stepHangUp                // its connections break
	stepLose                  // a request or its answer is lost, with the connection
	stepRefuse                // the broker refuses a request
	stepCompact               // the broker compacts the changelog
	stepWarehouse             // ClickHouse is away
	stepSwallow               // ClickHouse takes rows and does not say so
	stepSlow                  // ClickHouse takes its time
	stepUnaware               // a process does not notice that its group excludes it
)

// name is how a fault is counted.
func (s *step) name() string {
	at := ""
	if s.kind == stepCrashAt || s.kind == stepLose || s.kind == stepRefuse {
		at = " " + s.key.Name()
		if s.answer {
			at += " answer"
		}
	}
	process := "processor"
	if s.who == "sink" {
		process = "sink"
	}
	switch s.kind {
	case stepStop:
		return process + " stopped"
	case stepCrash:
		return process + " killed"
	case stepCrashAt:
		return process + " killed at" + at
	case stepStall:
		return process + " stalled"
	case stepReplace:
		return process + " replaced while stalled"
	case stepHangUp:
		return process + " disconnected"
	case stepLose:
		return process + " loses" + at
	case stepRefuse:
		return process + " refused" + at
	case stepCompact:
		return "changelog compacted"
	case stepWarehouse:
		return "ClickHouse away"
	case stepSwallow:
		return "ClickHouse dies after taking rows"
	case stepSlow:
		return "ClickHouse slow"
	case stepUnaware:
		return process + " excluded unawares"
	}
	return ""
}

// String says what happens.
func (s *step) String() string {
	at := fmt.Sprintf("%d. %s", s.n, s.key.Name())
	if s.answer {
		at = "the answer to the " + at
	} else {
		at = "the " + at
	}
	back := fmt.Sprintf("; it is back after %s", s.back)
	if s.back < 0 {
		back = "; it stays away"
	}
	switch s.kind {
	case stepSend:
		return "send " + s.send.String()
	case stepHistory:
		return fmt.Sprintf("send weeks of %s (history %d)", s.who, s.seed)
	case stepCalm:
		return fmt.Sprintf("restate the last days of %s (history %d): nothing had happened", s.who, s.seed)
	case stepWait:
		return fmt.Sprintf("wait %s", s.after)
	case stepStart:
		return "start " + s.who
	case stepStop:
		return "stop " + s.who
	case stepCrash:
		return "kill " + s.who + back
	case stepCrashAt:
		return "kill " + s.who + " at " + at + back
	case stepStall:
		return fmt.Sprintf("%s stands still for %s", s.who, s.after)
	case stepReplace:
		return fmt.Sprintf("%s stands still for %s while another takes its name", s.who, s.after)
	case stepHangUp:
		return "the connections of " + s.who + " break"
	case stepLose:
		return fmt.Sprintf("%s loses %s", s.who, at)
	case stepRefuse:
		return fmt.Sprintf("the broker refuses %d × %s of %s: %s", s.n, s.key.Name(), s.who, s.err.Message)
	case stepCompact:
		return "the changelog is compacted"
	case stepWarehouse:
		return fmt.Sprintf("ClickHouse is away for %s", s.after)
	case stepSwallow:
		return fmt.Sprintf("ClickHouse takes the rows of %d inserts and dies before it says so", s.n)
	case stepUnaware:
		return fmt.Sprintf("%s is not heard by its group for %s, and does not notice", s.who, s.after)
	case stepSlow:
		return fmt.Sprintf("ClickHouse takes %s for each insert", s.after)
	}
	return "nothing"
}

// String lists the steps, one a line.
func (p *plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "commit_interval %s, commit_records %d, workers %d, refresh_cpu_share %g, refresh_interval %s, credit_posts %d, sink %v, prior %t\n",
		p.processor.CommitInterval, p.processor.CommitRecords, p.processor.Workers, p.processor.RefreshCPUShare, p.processor.Topology.RefreshInterval, p.processor.Topology.CreditPosts, p.withSink, p.processor.Topology.Pools != nil)
	for i := range p.steps {
		fmt.Fprintf(&b, "%4d  %s\n", p.steps[i].number, p.steps[i].String())
	}
	return b.String()
}

// Times of the simulated processes, short so that a fault is over soon.
const (
	sessionTimeout     = 6 * time.Second
	transactionTimeout = 8 * time.Second
	// The simulated broker miscounts who has joined when one that waits for its leader is
	// replaced or removed. It waits for the rebalance to time out then, which every attempt
	// to join puts off: two members that try every requestTimeout + rebalanceTimeout would do
	// so for ever, unless more than rebalanceTimeout lies between some two of their attempts.
	rebalanceTimeout = 2 * time.Second
	requestTimeout   = 3 * time.Second
)

// sinkEvery is how many seeds there are to one with a sink.
const sinkEvery = 3

// priorEvery is how many seeds there are to one with a prior on the kernels.
const priorEvery = 4

// draw makes up the plan of a seed.
func draw(seed uint64) *plan {
	r := rand.New(rand.NewPCG(seed, 20_000_101))
	p := &plan{seed: seed, processor: processor.DefaultConfig(), sink: sink.DefaultConfig(), withSink: seed%sinkEvery == 0}
	c := &p.processor
	c.CommitInterval = pick[time.Duration](r, 50, 100, 200, 400) * time.Millisecond
	c.CommitRecords = pick(r, 50_000, 50_000, 40, 7)
	c.QueueRecords = pick(r, 5_000, 5_000, 3, 1)
	c.SessionTimeout, c.TransactionTimeout, c.RebalanceTimeout = sessionTimeout, transactionTimeout, rebalanceTimeout
	c.Workers = 1 + r.IntN(2)
	c.RefreshCPUShare = pick(r, 0.5, 0.5, 0.001)
	c.Topology.RefreshInterval = pick[time.Duration](r, 0, 200, 1000) * time.Millisecond
	c.Topology.CreditPosts = pick(r, 200, 200, 2, 0)
	if seed%priorEvery == 1 {
		var pool correlate.Pool
		for i := range correlate.Folds {
			pool.Learn(fmt.Sprint("another-", i), correlate.Kernel{Delay: 2, HalfLife: 6, Lags: event.ShortWindowHours})
		}
		c.Topology.Pools = map[int]*correlate.Pool{1: &pool}
	}
	s := &p.sink
	s.InstanceID = pick(r, "", "sink")
	s.FlushInterval = pick[time.Duration](r, 100, 500, 1000) * time.Millisecond
	s.FlushRows = pick(r, 50_000, 50_000, 10, 1)
	s.RetryPause, s.DrainTimeout = 2*time.Second, 2*time.Second
	s.SessionTimeout, s.RebalanceTimeout = sessionTimeout, rebalanceTimeout

	w := newWriter(r, 2+r.IntN(3))
	zombie := r.IntN(zombieEvery) == 0
	if !zombie && r.IntN(8) == 0 {
		brand := pick(r, w.brands...)
		p.steps = append(p.steps, step{kind: stepHistory, who: brand, seed: r.Uint64N(1000)})
	}
	p.steps = append(p.steps, step{kind: stepStart, who: "one"})
	if p.withSink {
		p.steps = append(p.steps, step{kind: stepStart, who: "sink"})
	}
	if zombie {
		p.zombie(r, w)
	}
	events := 30 + r.IntN(121)
	rounds := 4 + r.IntN(8)
	for round := range rounds {
		for range events / rounds {
			p.steps = append(p.steps, step{kind: stepSend, send: w.next()})
		}
		if round > 0 || r.IntN(3) == 0 {
			for range 1 + r.IntN(2) {
				p.steps = append(p.steps, p.fault(r))
			}
			for range r.IntN(8) { // while it is prepared
				p.steps = append(p.steps, step{kind: stepSend, send: w.next()})
			}
		}
		wait := pick[time.Duration](r, 20, 100, 300, 1000, 3000, 7000, 12_000) * time.Millisecond
		w.nowMs += wait.Milliseconds()
		p.steps = append(p.steps, step{kind: stepWait, after: wait})
		if at := slices.IndexFunc(p.steps, func(s step) bool { return s.kind == stepHistory && s.seed%2 == 0 }); at >= 0 && round == rounds/2 {
			p.steps = append(p.steps, step{kind: stepCalm, who: p.steps[at].who, seed: p.steps[at].seed})
		}
	}
	for i := range p.steps {
		p.steps[i].number = i + 1
	}
	return p
}

// only returns the plan of some of its steps, by their numbers.
func (p *plan) only(numbers []int) *plan {
	smaller := *p
	smaller.steps = slices.DeleteFunc(slices.Clone(p.steps), func(s step) bool { return !slices.Contains(numbers, s.number) })
	return &smaller
}

// replay returns the command that lets a plan happen again.
func (p *plan) replay() string {
	command := fmt.Sprintf("go test -tags synctests ./loadtest/simulation -run 'TestSeed$' -v -seed=%d", p.seed)
	if last := len(p.steps); last > 0 && p.steps[last-1].number > last || last == 0 {
		var numbers []string
		for _, s := range p.steps {
			numbers = append(numbers, strconv.Itoa(s.number))
		}
		command += " -steps=" + strings.Join(numbers, ",")
	}
	return command
}

// zombieEvery is how many seeds there are to one that begins with a zombie.
const zombieEvery = 10

// zombie begins with a processor whose partitions another takes while it stands
// still. Either it does not notice, and still has many results to publish: as one
// that stands still between its last heartbeat and the end of its transaction. Or
// it had nothing to do, and comes back to what the other has gone on with.
func (p *plan) zombie(r *rand.Rand, w *writer) {
	wait := func(d time.Duration) {
		w.nowMs += d.Milliseconds()
		p.steps = append(p.steps, step{kind: stepWait, after: d})
	}
	add := func(steps ...step) { p.steps = append(p.steps, steps...) }
	wait(2 * time.Second)
	add(step{kind: stepStart, who: "two"})
	wait(3 * time.Second)
	who := pick(r, "one", "two")
	if r.IntN(2) == 0 {
		p.processor.CommitRecords = 50_000
		for range 5 {
			add(step{kind: stepSend, send: w.next()})
		}
		wait(6 * time.Second)
		add(step{kind: stepStall, who: who, after: pick[time.Duration](r, 9, 11) * time.Second})
		wait(8 * time.Second)
		for range 10 {
			add(step{kind: stepSend, send: w.next()})
		}
		wait(4 * time.Second)
		return
	}
	p.processor.RefreshCPUShare = 0.001
	p.processor.CommitInterval = pick[time.Duration](r, 200, 400) * time.Millisecond
	brand := pick(r, w.brands...)
	p.steps = slices.Insert(p.steps, 0, step{kind: stepHistory, who: brand, seed: r.Uint64N(1000)})
	w.entries[brand]++
	// Another calendar makes every day due once more.
	add(step{kind: stepSend, send: &message{value: w.entryOf(brand, w.entries[brand], pick[int32](r, 60, -300, 330), "USD")}},
		step{kind: stepUnaware, who: who, after: pick[time.Duration](r, 9, 12, 16) * time.Second})
	wait(pick[time.Duration](r, 7, 9, 11) * time.Second)
}

// fault makes up something that goes wrong.
func (p *plan) fault(r *rand.Rand) step {
	if p.withSink && r.IntN(3) == 0 {
		return p.sinkFault(r)
	}
	who := pick(r, "one", "one", "one", "two")
	back := pick[time.Duration](r, 0, 200, 1500, 9000) * time.Millisecond
	if r.IntN(6) == 0 {
		back = -1
	}
	n := 1 + r.IntN(3)
	stall := pick[time.Duration](r, 700, 4000, 7000, 9500, 15_000) * time.Millisecond
	switch r.IntN(12) {
	case 0:
		return step{kind: stepCrash, who: who, back: back}
	case 1, 2, 3, 4:
		key := pick(r, kmsg.EndTxn, kmsg.EndTxn, kmsg.EndTxn, kmsg.TxnOffsetCommit, kmsg.Produce, kmsg.Produce, kmsg.InitProducerID, kmsg.OffsetFetch,
			kmsg.JoinGroup, kmsg.SyncGroup, kmsg.ListOffsets, kmsg.Fetch)
		return step{kind: stepCrashAt, who: who, n: n, key: key, answer: r.IntN(2) == 0, back: back}
	case 5:
		key := pick(r, kmsg.EndTxn, kmsg.EndTxn, kmsg.TxnOffsetCommit, kmsg.Produce, kmsg.InitProducerID, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.OffsetFetch, kmsg.Heartbeat)
		return step{kind: stepLose, who: who, n: n, key: key, answer: r.IntN(3) > 0}
	case 6, 7:
		type refusal struct {
			key kmsg.Key
			err *kerr.Error
		}
		f := pick(r,
			refusal{kmsg.EndTxn, kerr.TransactionAbortable}, refusal{kmsg.EndTxn, kerr.UnknownServerError}, refusal{kmsg.EndTxn, kerr.CoordinatorNotAvailable},
			refusal{kmsg.TxnOffsetCommit, kerr.IllegalGeneration}, refusal{kmsg.TxnOffsetCommit, kerr.CoordinatorLoadInProgress}, refusal{kmsg.TxnOffsetCommit, kerr.UnknownMemberID},
			refusal{kmsg.Produce, kerr.NotEnoughReplicas}, refusal{kmsg.Produce, kerr.NotEnoughReplicasAfterAppend}, refusal{kmsg.Produce, kerr.UnknownServerError}, refusal{kmsg.Produce, kerr.MessageTooLarge},
			refusal{kmsg.Heartbeat, kerr.UnknownMemberID}, refusal{kmsg.Heartbeat, kerr.RebalanceInProgress}, refusal{kmsg.InitProducerID, kerr.ConcurrentTransactions},
			refusal{kmsg.OffsetFetch, kerr.UnstableOffsetCommit}, refusal{kmsg.ListOffsets, kerr.NotLeaderForPartition}, refusal{kmsg.JoinGroup, kerr.CoordinatorNotAvailable},
		)
		return step{kind: stepRefuse, who: who, n: 1 + r.IntN(2), key: f.key, err: f.err}
	case 8:
		if r.IntN(2) == 0 {
			return step{kind: stepReplace, who: who, after: stall}
		}
		return step{kind: stepStall, who: who, after: stall}
	case 9:
		return step{kind: stepHangUp, who: who}
	case 10:
		return pick(r, step{kind: stepStart, who: "two"}, step{kind: stepStop, who: who}, step{kind: stepStart, who: "one"})
	}
	return pick(r, step{kind: stepCompact}, step{kind: stepStart, who: "two"}, step{kind: stepUnaware, who: who, after: stall})
}

func (p *plan) sinkFault(r *rand.Rand) step {
	back := pick[time.Duration](r, 0, 500, 8000) * time.Millisecond
	switch r.IntN(8) {
	case 0:
		return step{kind: stepCrash, who: "sink", back: back}
	case 1, 2:
		return step{kind: stepCrashAt, who: "sink", n: 1 + r.IntN(3), key: pick(r, kmsg.OffsetCommit, kmsg.OffsetCommit, kmsg.Fetch, kmsg.JoinGroup), answer: r.IntN(3) == 0, back: back}
	case 3:
		return step{kind: stepWarehouse, after: pick[time.Duration](r, 300, 2500, 20_000) * time.Millisecond}
	case 4:
		return step{kind: stepSwallow, n: 1 + r.IntN(2)}
	case 5:
		return step{kind: stepSlow, after: pick[time.Duration](r, 50, 900, 7000) * time.Millisecond}
	case 6:
		return pick(r, step{kind: stepHangUp, who: "sink"}, step{kind: stepStall, who: "sink", after: 8 * time.Second}, step{kind: stepStop, who: "sink"}, step{kind: stepStart, who: "sink"})
	}
	return pick(r, step{kind: stepLose, who: "sink", n: 1, key: kmsg.OffsetCommit, answer: true},
		step{kind: stepRefuse, who: "sink", n: 1, key: kmsg.OffsetCommit, err: kerr.RebalanceInProgress})
}

// topics that carry the brands' events, in one order.
func inputs() []string {
	return []string{event.TopicTikTok, event.TopicAmazon, event.TopicShopify, event.TopicAISearch, event.TopicMessaging, event.TopicCalendar, event.TopicBrand}
}
