package processor_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/schemas"
	"flywheel/services/processor"
)

// TestABacklogIsAppliedInTheOrderOfKafkasTime reads forty days at once. Read one
// topic after the other, the citations would carry the brand's clock to their end,
// and the orders of the first days would be refused, or corrected in vain.
func TestABacklogIsAppliedInTheOrderOfKafkasTime(t *testing.T) {
	w := newWorld(t)
	const days = 40
	start := time.Now().Add(-days * 24 * time.Hour).Truncate(24 * time.Hour).UnixMilli()
	const hour = 3_600_000
	want := make(map[int64]int64) // revenue by day
	for day := range int64(days) {
		at := start + day*24*hour
		for i := range int64(4) {
			when := at + i*6*hour
			id := fmt.Sprint("trial-", day, "-", i)
			cited := w.record(&event.AICitationTrial{
				Header: event.Header{
					EventID: event.NewID("ai_citation_trial", "acme", "ai", id, 0), BrandID: "acme",
					OccurredAtMs: when, ObservedAtMs: when, Source: "ai",
				},
				TrialID: id, Engine: "engine", Model: "model", PromptHash: strings.Repeat("0a", 32), AnswerHash: strings.Repeat("0b", 32), Mentioned: true, Citations: 1,
			})
			cited.Timestamp = time.UnixMilli(when + 1000)
			w.send(cited)
		}
		o := w.order("acme")
		o.OccurredAtMs, o.ObservedAtMs = at+hour, at+hour
		first := w.record(o)
		first.Timestamp = time.UnixMilli(at + hour + 1000)
		o.Version, o.GrossMicros = 2, 20_000_000+day
		o.EventID = event.NewID("amazon_order", "acme", "orders", o.OrderID, 2)
		second := w.record(o)
		second.Timestamp = time.UnixMilli(at + 3*hour)
		w.send(first, second)
		want[at] = o.GrossMicros
	}
	m := w.start(nil)
	w.drained()
	if letters := w.letters(); len(letters) > 0 {
		t.Errorf("%d valid events were refused: %v", len(letters), letters)
	}
	decoder, err := codec.NewDecoder(w.static)
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("every day has what was sold in the end", func() bool {
		got := make(map[int64]int64)
		for _, r := range w.committed(event.TopicCredit) {
			v, err := decoder.Decode(t.Context(), r.Topic, r.Value)
			if err != nil {
				t.Fatal(err)
			}
			if c := v.(*event.Credit); c.Node == event.NodeAmazon {
				got[c.DayMs] = c.RevenueMicros
			}
		}
		for day, micros := range want {
			if got[day] != micros {
				return false
			}
		}
		return true
	})
	w.end(m)
}

// TestATopicWhoseLeaderIsAwayIsWaitedFor has a brand's entry taken by a broker that
// does not hand it out for a while, and then a fortnight of orders by another. Applied
// first, they would be counted by UTC days, the first of which would be final when the
// entry comes.
func TestATopicWhoseLeaderIsAwayIsWaitedFor(t *testing.T) {
	for name, mute := range map[string]bool{
		"its fetches stall":                          false,
		"nor does it say how many records there are": true,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, kfake.NumBrokers(2))
			file, err := schemas.LoadTopics()
			if err != nil {
				t.Fatal(err)
			}
			for _, topic := range file.Topics {
				for p := range int32(partitions) {
					node := int32(0)
					if topic.Name == event.TopicBrand {
						node = 1
					}
					if err := w.cluster.MoveTopicPartition(topic.Name, p, node); err != nil {
						t.Fatal(err)
					}
				}
			}
			w.cluster.RehashCoordinators()
			m := w.start(nil)
			<-m.Ready()
			back := make(chan struct{})
			stall := func() {
				if w.cluster.CurrentNode() == 1 {
					w.cluster.SleepControl(func() { <-back })
				}
			}
			w.cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
				w.cluster.KeepControl()
				stall()
				return nil, nil, false
			})
			var asked atomic.Int64 // of the other
			w.cluster.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
				w.cluster.KeepControl()
				if w.cluster.CurrentNode() == 0 {
					asked.Add(1)
				}
				if mute {
					stall()
				}
				return nil, nil, false
			})
			w.send(w.record(&event.Brand{BrandID: "acme", Version: 1, Currency: "USD", UTCOffsets: []event.UTCOffset{{OffsetMinutes: -360}}}))
			// The ends are asked for in vain: the next question follows when one was answered or
			// given up, and the first may have come to the one broker before it stalled.
			w.eventually("the ends were asked for", func() bool { return asked.Load() > 2 })
			const days, hour = 14, 3_600_000
			start := time.Now().Add(-days * 24 * time.Hour).Truncate(24 * time.Hour).UnixMilli()
			for i := range int64(days * 4) {
				o := w.order("acme")
				o.OccurredAtMs, o.ObservedAtMs = start+i*6*hour, start+i*6*hour
				w.send(w.record(o))
			}
			time.Sleep(1500 * time.Millisecond) // longer than a fetch takes
			close(back)
			w.drained()
			decoder, err := codec.NewDecoder(w.static)
			if err != nil {
				t.Fatal(err)
			}
			var credits []*kgo.Record
			w.eventually("the credits are published", func() bool {
				credits = w.committed(event.TopicCredit)
				return len(credits) >= days
			})
			for _, r := range credits {
				v, err := decoder.Decode(t.Context(), r.Topic, r.Value)
				if err != nil {
					t.Fatal(err)
				}
				if c := v.(*event.Credit); c.DayMs%(24*hour) != 6*hour {
					t.Fatalf("credits are counted by a day that begins at %s", time.UnixMilli(c.DayMs).UTC())
				}
			}
			w.end(m)
		})
	}
}

// TestAClientThatReadsNothingIsMadeAnew has Kafka answer fetches without records, of the input to
// the client that there is or to every one.
func TestAClientThatReadsNothingIsMadeAnew(t *testing.T) {
	for name, every := range map[string]bool{"another reads on": false, "another does so neither, and is kept": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			m := w.start(func(c *processor.Config) { c.TransactionTimeout = 4 * time.Second })
			restarts := func() int64 {
				return told(t, m.reader, "flywheel.processor.restarts").(metricdata.Sum[int64]).DataPoints[0].Value
			}
			<-m.Ready()
			w.load(60)
			w.drained()
			var anew atomic.Bool
			w.cluster.ControlKey(int16(kmsg.InitProducerID), func(kmsg.Request) (kmsg.Response, error, bool) {
				w.cluster.KeepControl()
				anew.Store(true)
				return nil, nil, false
			})
			w.cluster.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
				w.cluster.KeepControl()
				changelog := r.(*kmsg.FetchRequest).MaxWaitMillis > 1000 // the input is waited for less long
				if changelog || anew.Load() && !every {
					return nil, nil, false
				}
				w.cluster.SleepControl(func() { time.Sleep(50 * time.Millisecond) })
				return r.ResponseKind(), nil, true
			})
			w.load(60)
			w.eventually("the client is made anew", func() bool { return restarts() == 1 })
			if every {
				time.Sleep(6 * time.Second) // in which it would be
				m.stop()
			} else {
				w.drained()
				w.exact()
				w.end(m)
			}
			if n := restarts(); n != 1 {
				t.Errorf("the client was made anew %d times, want once", n)
			}
		})
	}
}

// TestWhatWasPausedIsReadAfterARebalance has topics paused nearly all the time, and
// another processor join and leave meanwhile.
func TestWhatWasPausedIsReadAfterARebalance(t *testing.T) {
	w := newWorld(t)
	w.load(6000)
	few := func(name string) func(*processor.Config) {
		return func(c *processor.Config) {
			c.InstanceID, c.QueueRecords, c.CommitRecords, c.SessionTimeout = name, 1, 50, 2*time.Second
		}
	}
	m := w.start(few("one"))
	<-m.Ready()
	for range 2 {
		other := w.start(few("two"))
		<-other.Ready()
		w.load(600)
		w.end(other)
	}
	w.drained()
	w.exact()
	w.end(m)
}
