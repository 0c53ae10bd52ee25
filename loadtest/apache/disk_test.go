//go:build integration

package apache_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/loadtest/apache"
	"flywheel/pkg/codec"
	"flywheel/pkg/event"
)

// A node whose disk fills ends: Kafka gives up a folder that it cannot write. The processor and
// whoever sends go on with the two others, the node does on a disk with space, and every order
// counts once. Alone it could end between the decision and the markers of a transaction, which
// the processor would wait for ever for (KAFKA-20734).
func TestAFullDiskLosesAndDoublesNothing(t *testing.T) {
	k := kafka(t, 3, apache.WithDisks(192))
	p := newPipelineOn(t, k)
	static, err := codec.NewStatic()
	if err != nil {
		t.Fatal(err)
	}
	encoder, err := codec.NewEncoder(t.Context(), static)
	if err != nil {
		t.Fatal(err)
	}
	one, _, stop, done := p.start(static)
	p.ready(one, done)

	var (
		orders int64
		sent   sync.WaitGroup
		failed atomic.Pointer[error]
		taken  atomic.Int32 // partition of the orders
	)
	send := func() {
		orders++
		v := order("brand", strconv.FormatInt(orders, 10))
		value, err := encoder.Encode(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		sent.Add(1)
		p.client.Produce(t.Context(), &kgo.Record{Topic: v.Type().Info().Topic, Key: []byte(v.BrandID), Value: value}, func(r *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
			taken.Store(r.Partition)
			sent.Done()
		})
	}
	for range 100 {
		send()
	}
	eventually(t, "the first orders are taken", func() bool { return p.committed(event.TopicAmazon) == 100 })

	node, err := k.Leader(t.Context(), event.TopicAmazon, taken.Load())
	if err != nil {
		t.Fatal(err)
	}
	d, err := k.Disk(node)
	if err != nil {
		t.Fatal(err)
	}
	ended, err := k.Ended(node)
	if err != nil {
		t.Fatal(err)
	}
	full := func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}
	for deadline := time.Now().Add(time.Minute); !full(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the node does not end although its disk is full")
		}
		if err := d.Fill(0); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			send()
		}
	}
	all := func() {
		t.Helper()
		for range 100 {
			send()
		}
		sent.Wait()
		if err := failed.Load(); err != nil {
			t.Fatalf("an order was not delivered: %v", *err)
		}
		eventually(t, "all orders are taken", func() bool { return p.committed(event.TopicAmazon) == orders })
	}
	all() // by the two others
	if err := d.Relieve(); err != nil {
		t.Fatal(err)
	}
	if err := k.Start(t.Context(), node); err != nil {
		t.Fatalf("relieved, the node does not start: %v", err)
	}
	all()
	eventually(t, "the processor is well", func() bool { return one.Check(t.Context()) == nil })
	if n := p.letters(); n != 0 {
		t.Errorf("%d orders were refused", n)
	}
	t.Logf("%d orders", orders)
	p.revenue(static, orders*25_000_000)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// revenue waits until the results of the only brand add up to so many micros.
func (p *pipeline) revenue(registry codec.Registry, want int64) {
	p.Helper()
	decoder, err := codec.NewDecoder(registry)
	if err != nil {
		p.Fatal(err)
	}
	client := connect(p.T, p.kafka.Brokers, kgo.ConsumeTopics(event.TopicCredit), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond))
	days := make(map[int64]event.Credit) // newest revisions
	sum := func() (n int64) {
		for _, c := range days {
			n += c.RevenueMicros
		}
		return n
	}
	for deadline := time.Now().Add(time.Minute); sum() != want; {
		if time.Now().After(deadline) {
			p.Fatalf("the results have %d micros of revenue, want %d", sum(), want)
		}
		ctx, cancel := context.WithTimeout(p.Context(), time.Second)
		fetches := client.PollFetches(ctx)
		cancel()
		fetches.EachRecord(func(r *kgo.Record) {
			v, err := decoder.Decode(p.Context(), r.Topic, r.Value)
			if err != nil {
				p.Fatal(err)
			}
			if c := v.(*event.Credit); c.Revision > days[c.DayMs].Revision {
				days[c.DayMs] = event.Credit{Revision: c.Revision, RevenueMicros: c.RevenueMicros}
			}
		})
	}
}
