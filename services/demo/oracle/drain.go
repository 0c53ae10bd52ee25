package oracle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/metric"

	"flywheel/pkg/kafka"
	"flywheel/schemas"
)

// Settle is how long nothing must have been published before the pipeline
// counts as finished: longer than a brand's results may wait for their refresh.
const Settle = 3 * time.Second

// Groups asks Kafka how far processor and sink are.
type Groups struct {
	cfg             kafka.Config
	client          *kgo.Client
	admin           *kadm.Client
	logger          *slog.Logger
	meters          metric.MeterProvider
	processor, sink string   // groups
	inputs, outputs []string // topics with records: what the processor reads, and what it writes
	all             []string
	settle          time.Duration
}

// NewGroups connects to Kafka. Processor and sink are the names of their groups.
// It returns an error when no broker answers; Close ends it.
func NewGroups(ctx context.Context, cfg kafka.Config, processor, sink string, logger *slog.Logger, meters metric.MeterProvider) (*Groups, error) {
	topics, err := schemas.LoadTopics()
	if err != nil {
		return nil, err
	}
	client, err := kafka.Connect(ctx, cfg, logger, meters)
	if err != nil {
		return nil, err
	}
	g := &Groups{cfg: cfg, client: client, admin: kadm.NewClient(client), logger: logger, meters: meters, processor: processor, sink: sink, settle: Settle}
	for _, t := range topics.Topics {
		g.all = append(g.all, t.Name)
		switch {
		case len(t.Records) == 0:
		case t.Copartitioned:
			g.inputs = append(g.inputs, t.Name)
		default:
			g.outputs = append(g.outputs, t.Name)
		}
	}
	return g, nil
}

// Close ends the connection.
func (g *Groups) Close() { g.client.Close() }

// Standing is where everything is at a moment.
type Standing struct {
	end             kadm.ListedOffsets
	sink            kadm.OffsetResponses
	ProcessorBehind int64 // input records the processor has not committed
	SinkBehind      int64 // of those, and brands, the sink has not
	outputsTotal    int64 // grows while the processor publishes
	worst           string
}

// Standing asks where everything is now.
func (g *Groups) Standing(ctx context.Context) (Standing, error) {
	var s Standing
	end, err := g.admin.ListEndOffsets(ctx, g.all...)
	if err == nil {
		err = end.Error()
	}
	if err != nil {
		return s, fmt.Errorf("ask Kafka where its topics end: %w", err)
	}
	s.end = end
	end.Each(func(o kadm.ListedOffset) { s.outputsTotal += o.Offset })
	done, err := g.committed(ctx, g.processor)
	if err != nil {
		return s, err
	}
	if s.sink, err = g.committed(ctx, g.sink); err != nil {
		return s, err
	}
	var most int64
	behind := func(group string, committed kadm.OffsetResponses) (total int64) {
		for _, topic := range g.inputs {
			for p, o := range end[topic] {
				n := o.Offset
				if c, ok := committed.Lookup(topic, p); ok && c.At > 0 {
					n -= c.At
				}
				if total += n; n > most {
					most, s.worst = n, fmt.Sprintf("the group %q is %d records behind in partition %d of %q", group, n, p, topic)
				}
			}
		}
		return total
	}
	s.ProcessorBehind, s.SinkBehind = behind(g.processor, done), behind(g.sink, s.sink)
	return s, nil
}

// committed is how far a group is; one that is not there has committed nothing.
func (g *Groups) committed(ctx context.Context, group string) (kadm.OffsetResponses, error) {
	offsets, err := g.admin.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("ask Kafka how far the group %q is: %w", group, err)
	}
	return offsets, nil
}

// Wait returns when processor and sink have finished everything that was sent:
// all input is committed by both, nothing new has been published for a while,
// and the sink has committed the last result.
func (g *Groups) Wait(ctx context.Context, timeout time.Duration, tell func(Standing)) error {
	const pause = 250 * time.Millisecond
	started, still := time.Now(), time.Now()
	var last Standing
	why := "nothing was committed"
	for time.Since(started) < timeout {
		s, err := g.Standing(ctx)
		if err != nil { // a broker may have to be found again
			still, why = time.Now(), err.Error()
			if !wait(ctx, pause) {
				return ctx.Err()
			}
			continue
		}
		tell(s)
		if s.outputsTotal != last.outputsTotal || s.ProcessorBehind+s.SinkBehind > 0 {
			still = time.Now()
			if why = s.worst; why == "" {
				why = "the processor still publishes results"
			}
		}
		last = s
		if time.Since(still) >= g.settle {
			left, err := g.unread(ctx, s)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				left = err.Error()
			case left == "":
				return nil
			}
			why = left
		}
		if !wait(ctx, pause) {
			return ctx.Err()
		}
	}
	return fmt.Errorf("the pipeline has not finished within %s after the last record (%s): give it longer with demo.drain_timeout, or play less with --rate or --brands", timeout, strings.TrimSpace(why))
}

// wait returns false when ctx ends meanwhile.
func wait(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// unreadMax bounds how long the rest of the results is read: behind a transaction that
// nobody ends nothing comes.
const unreadMax = 10 * time.Second

// unread says what the sink has not committed of the results, "" if nothing.
// Offsets alone do not tell: the end of a transaction takes one as well. So the
// rest is read, and only records count.
func (g *Groups) unread(ctx context.Context, s Standing) (string, error) {
	from, open := make(map[string]map[int32]kgo.Offset), make(map[string]map[int32]int64)
	for _, topic := range g.outputs {
		for p, o := range s.end[topic] {
			var at int64
			if c, ok := s.sink.Lookup(topic, p); ok && c.At > 0 {
				at = c.At
			}
			if at < o.Offset {
				if from[topic] == nil {
					from[topic], open[topic] = make(map[int32]kgo.Offset), make(map[int32]int64)
				}
				from[topic][p], open[topic][p] = kgo.NewOffset().At(at), o.Offset
			}
		}
	}
	if len(from) == 0 {
		return "", nil
	}
	client, err := kafka.Connect(ctx, g.cfg, g.logger, g.meters, kgo.ConsumePartitions(from), kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return "", err
	}
	defer client.Close()
	reading, stop := context.WithTimeout(ctx, unreadMax)
	defer stop()
	for len(open) > 0 {
		fetches := client.PollFetches(reading)
		if err := fetches.Err(); err != nil {
			return "", fmt.Errorf("read the results up to %v, the ends of their partitions by topic (a transaction may be open before): %w", open, err)
		}
		for r := range fetches.RecordsAll() {
			end, ok := open[r.Topic][r.Partition]
			if !ok {
				continue
			}
			if !r.Attrs.IsControl() {
				return fmt.Sprintf("the group %q has not committed the last results in partition %d of %q", g.sink, r.Partition, r.Topic), nil
			}
			if r.Offset+1 >= end {
				if delete(open[r.Topic], r.Partition); len(open[r.Topic]) == 0 {
					delete(open, r.Topic)
				}
			}
		}
	}
	return "", nil
}
