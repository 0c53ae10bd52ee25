package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"flywheel/loadtest/smalldisk"
	"flywheel/loadtest/stage"
	"flywheel/loadtest/verify"
	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/fault"
	"flywheel/pkg/kafka"
	"flywheel/services/simulator"
)

// TestThePipelineSurvivesKills plays one seed on the embedded engines; many
// more, on Apache Kafka as well, are the work of 'make integration'.
func TestThePipelineSurvivesKills(t *testing.T) {
	binary, err := stage.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), Config{
		Seed: 20_261_124, Broker: stage.Embedded, Nodes: 1, Binary: binary, Dir: t.TempDir(), Rate: 4000, Out: tell{t},
		Only: []Kind{
			KillProcessor, KillSink, KillBoth, KillClickHouse, ClickHouseDies,
			KillAt(fault.ProcessorFlushed), KillAt(fault.ProcessorEnded), KillAt(fault.SinkInserted),
		},
		inspect: func(ctx context.Context, p verify.Pipeline, ledger *simulator.Detail) error {
			if tampers {
				tamper(ctx, t, p, ledger)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Failures {
		t.Errorf("%s: %s", f.Oracle, f.Text)
	}
	if r.Kills < 3 || len(r.RecoveryMs) == 0 {
		t.Errorf("%d kills and %d recoveries: that is no test", r.Kills, len(r.RecoveryMs))
	}
	for kind := range r.Faults {
		if f := faults[kind]; !f.hurries && f.untimed == "" && len(r.ResumedMs[kind]) == 0 {
			t.Errorf("the way back from %q was not timed", kind)
		}
	}
}

// tamper changes things in what a play has left, a few at a time: each oracle must notice
// what is its to notice, and say so.
func tamper(ctx context.Context, t *testing.T, p verify.Pipeline, ledger *simulator.Detail) {
	const (
		window  = " WHERE force = 1 AND window_end = (SELECT max(window_end) FROM correlation WHERE force = 1)"
		spike   = " WHERE started_at = (SELECT max(started_at) FROM spike FINAL WHERE status != 'retracted')" // in its newest revision
		nothing = "SELECT 1"                                                                                  // it was done before
		letter  = " WHERE kafka_offset = (SELECT max(kafka_offset) FROM dead_letter)"
	)
	var columns, fields []string
	for column, field := range map[string]string{
		"best_lag_correlation": "BestLagCorrelation", "effective_n": "EffectiveN", "mediated_effect": "MediatedEffect", "direct_high": "DirectHigh",
		"nowcast_total": "NowcastTotal", "nowcast_error": "NowcastError", "settled_total": "SettledTotal", "step_minutes": "StepMinutes",
	} {
		columns, fields = append(columns, column+" = "+column+" + 1"), append(fields, field+":")
	}
	for column, field := range map[string]string{"tier": "Tier", "reason": "Reason", "effect_signal": "EffectSignal", "code_version": "CodeVersion"} {
		columns, fields = append(columns, column+" = concat("+column+", '?')"), append(fields, field+":")
	}
	p.Failures = 1_000_000 // one change may have many, and must not hide another's
	forge(ctx, t, p)
	oracles := verify.Oracles()
	for _, changes := range [][]struct {
		name, sql, oracle string
		says              []string
	}{
		{
			{"a window that the batch does not give", "ALTER TABLE correlation UPDATE " + strings.Join(columns, ", ") + window, verify.OracleBatch, fields},
			{"a watermark of what was not sent", "ALTER TABLE correlation UPDATE `watermarks.watermark` = arrayMap(x -> x + INTERVAL 1 YEAR, `watermarks.watermark`)" + window, verify.OracleBatch, []string{"and its newest event of"}},
			{"the same of credits", "ALTER TABLE credit UPDATE `watermarks.watermark` = arrayMap(x -> x + INTERVAL 1 YEAR, `watermarks.watermark`) WHERE day = (SELECT min(day) FROM credit)", verify.OracleBatch, []string{"^credit .* and its newest event of"}},
			{"a window that counts a view too many", "ALTER TABLE correlation UPDATE stimulus_total = stimulus_total + 1" + window, verify.OracleTotals, []string{"by hand"}},
			{"a result that never arrived", "ALTER TABLE correlation DELETE WHERE force = 3 AND window_end = (SELECT max(window_end) FROM correlation WHERE force = 3)", verify.OracleNewest, []string{"is in Kafka, and not in ClickHouse"}},
			{"a credit that the batch does not give", "ALTER TABLE credit UPDATE multiplier = multiplier + 1 WHERE day = (SELECT max(day) FROM credit)", verify.OracleBatch, []string{"Multiplier:"}},
			{"a spike of another height, driven by nothing", "ALTER TABLE spike UPDATE peak_z = peak_z + 1, driven = NOT driven" + spike, verify.OracleBatch, []string{"PeakZ:", "of it is explained"}},
			{"a spike by another name", "INSERT INTO spike SELECT * REPLACE (generateUUIDv4() AS spike_id) FROM spike LIMIT 1", verify.OracleBatch, []string{"its id is not that of a start"}},
			{"the same", nothing, verify.OracleNewest, []string{"^spike .* is in ClickHouse, and not in Kafka"}},
			{"a result that took the place of a newer one", nothing, verify.OracleRising, []string{"^credit .*: revision 1 comes after [0-9]+", "^credit .*, revision 1: the watermark of .* was"}},
			{"a spike that is retracted, and was never raised", nothing, verify.OracleRising, []string{`: retracted comes after ""`}},
			{"a dead letter that was written twice", nothing, verify.OracleNewest, []string{"is in Kafka 2 times"}},
			{"a dead letter of another record", "ALTER TABLE dead_letter UPDATE payload = concat(payload, '?')" + letter, verify.OracleBatch, []string{"Payload:"}},
		},
		{
			{"spikes that never arrived", "ALTER TABLE spike DELETE WHERE true", verify.OracleBatch, []string{"was never published"}},
			{"the same", nothing, verify.OracleEpisodes, []string{"planted spikes have no alert"}},
			{"a force that is silent", "ALTER TABLE correlation DELETE WHERE force = 2", verify.OraclePresent, []string{"no window of force 2 of"}},
			{"an event that nobody sent", "INSERT INTO shopify_order SELECT * REPLACE (generateUUIDv4() AS event_id, kafka_offset + 1000000000 AS kafka_offset) FROM shopify_order LIMIT 1", verify.OracleRaw, []string{"is in ClickHouse, and not in Kafka"}},
			{"a day that never arrived", "ALTER TABLE credit DELETE WHERE day = (SELECT max(day) FROM credit WHERE revenue_micros > 0)", verify.OraclePresent, []string{"^credit .* was never published"}},
		},
		{
			{"an event that never arrived", "ALTER TABLE amazon_order DELETE WHERE event_id = (SELECT max(event_id) FROM amazon_order)", verify.OracleLedger, []string{"amazon_order are missing"}},
			{"the same", nothing, verify.OracleRaw, []string{"is an event, and no row has its id"}},
			{"an event of another size", "ALTER TABLE amazon_search_report UPDATE volume = volume + 1000 WHERE branded AND period_minutes = 15 AND occurred_at > (SELECT max(occurred_at) FROM amazon_search_report) - INTERVAL 1 DAY", verify.OracleBatch, []string{"ResponseTotal:"}},
			{"an event of another size than its record", nothing, verify.OracleRaw, []string{"Volume:"}},
			{"results that came no more", "ALTER TABLE correlation DELETE WHERE force = 7 AND window_end > (SELECT max(window_end) FROM correlation WHERE force = 7) - INTERVAL 1 DAY", verify.OraclePresent, []string{"the newest window of force 7 ends at"}},
			{"a dead letter of no record", "INSERT INTO dead_letter SELECT * REPLACE (generateUUIDv4() AS event_id, `offset` + 1000000000 AS `offset`) FROM dead_letter LIMIT 1", verify.OracleBatch, []string{"is about a record that does not exist"}},
		},
	} {
		for _, c := range changes {
			oracles = slices.DeleteFunc(oracles, func(o string) bool { return o == c.oracle })
			if err := p.Conn.Exec(ctx, c.sql+" SETTINGS mutations_sync = 1"); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		r, err := verify.All(ctx, p, ledger)
		if err != nil {
			t.Error(err)
		}
		for _, c := range changes {
			for _, says := range c.says {
				if !slices.ContainsFunc(r.Failures, func(f verify.Failure) bool {
					return f.Oracle == c.oracle && regexp.MustCompile(says).MatchString(f.Text)
				}) {
					t.Errorf("%s is not noticed by the oracle %q with the words %q", c.name, c.oracle, says)
				}
			}
		}
	}
	if len(oracles) > 0 {
		t.Errorf("nobody knows whether %q notice anything", oracles)
	}
}

// forge publishes what no processor would: a dead letter once more, a credit that is older
// than the last, and the retraction of a spike that was never raised.
func forge(ctx context.Context, t *testing.T, p verify.Pipeline) {
	decoder, err := codec.NewDecoder(p.Registry)
	if err != nil {
		t.Fatal(err)
	}
	encoder, err := codec.NewEncoder(ctx, p.Registry, event.TopicCredit, event.TopicSpike)
	if err != nil {
		t.Fatal(err)
	}
	for topic, change := range map[string]func(any){
		event.TopicDeadLetter: nil,
		event.TopicCredit: func(v any) {
			c := v.(*event.Credit)
			c.Revision = 1
			for i := range c.Watermarks {
				c.Watermarks[i].WatermarkMs = 1
			}
		},
		event.TopicSpike: func(v any) {
			s := v.(*event.Spike)
			s.SpikeID, s.Status = event.NewID("spike", s.BrandID, "of nobody", "", 0), event.SpikeStatusRetracted
		},
	} {
		client, err := kafka.Connect(ctx, p.Kafka, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider(),
			kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		r := fetches.Records()[0]
		value := r.Value
		if change != nil {
			v, err := decoder.Decode(ctx, topic, r.Value)
			if err != nil {
				t.Fatal(err)
			}
			change(v)
			if value, err = encoder.Encode(nil, v); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: r.Partition, Key: r.Key, Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// tell writes to the log of a test.
type tell struct{ *testing.T }

func (t tell) Write(b []byte) (int, error) {
	t.Log(strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

func TestEveryKindCanBeDrawn(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		with []Kind
		not  []Kind
	}{
		"the embedded broker is not killed: it would lose what a transaction has promised": {
			Config{Broker: stage.Embedded, Nodes: 1}, []Kind{KillProcessor, KillSink, KillClickHouse, Zombie, KafkaStalls, ClickHouseFull, BrokerFull}, []Kind{KillBroker, LoseLeader, NodeFull},
		},
		"a single node has no other to lead": {Config{Broker: stage.Apache, Nodes: 1}, []Kind{KillProcessor, ClickHouseFull}, []Kind{KillBroker, LoseLeader, NodeFull, BrokerFull}},
		"of three nodes one may be lost":     {Config{Broker: stage.Apache, Nodes: 3}, []Kind{KillBroker, LoseLeader, NodeFull}, []Kind{BrokerFull}},
		"only what is asked for":             {Config{Broker: stage.Apache, Nodes: 3, Only: []Kind{Zombie}}, []Kind{Zombie}, []Kind{KillProcessor, KillBroker}},
	} {
		t.Run(name, func(t *testing.T) {
			drawn := make(map[Kind]bool)
			for _, k := range (&play{Config: c.cfg}).kinds() {
				drawn[k] = true
			}
			for _, k := range c.with {
				if !drawn[k] {
					t.Errorf("%q is never drawn", k)
				}
			}
			for _, k := range c.not {
				if drawn[k] {
					t.Errorf("%q is drawn", k)
				}
			}
		})
	}
}

// A kill that did not come where it should have says how fast the way back from a kill is, and
// nothing about that from its point.
func TestTheWayBackIsTimedOfWhatWasInflicted(t *testing.T) {
	kind := KillAt(fault.SinkInserted)
	for name, c := range map[string]struct {
		inflicted      error
		killed         bool
		resumed, kills int
		had            bool
	}{
		"the kill at its point":         {nil, true, 1, 1, true},
		"a kill elsewhere":              {fmt.Errorf("after a while: %w", errUnreached), true, 0, 1, false},
		"what kills nothing":            {nil, false, 1, 0, true},
		"what this machine cannot have": {smalldisk.ErrUnavailable, false, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &play{report: &Report{Faults: map[Kind]int{kind: 1}, Seen: map[Kind]int{kind: 1}, ResumedMs: make(map[Kind][]int64)}}
			if c.killed {
				p.killed = time.Now()
			}
			if err := p.times(t.Context(), kind, c.inflicted); err != nil {
				t.Fatal(err)
			}
			resumed := 0
			for _, ms := range p.report.ResumedMs {
				resumed += len(ms)
			}
			if kills := len(p.report.RecoveryMs); resumed != c.resumed || kills != c.kills {
				t.Errorf("%d ways back by kind and %d from kills are noted, want %d and %d", resumed, kills, c.resumed, c.kills)
			}
			if got := p.report.Had(kind); got != c.had {
				t.Errorf("the fault was had: %t, want %t", got, c.had)
			}
		})
	}
}

// A seed draws the same wherever it is played: what cannot be done there takes
// nothing from it, and so what comes after is the same.
func TestADiskThatCannotBeHadChangesNoSeed(t *testing.T) {
	for _, kind := range []Kind{ClickHouseFull, BrokerFull, NodeFull} {
		p := &play{Config: Config{Nodes: 3}, Stage: new(stage.Stage), report: new(Report), random: rand.New(rand.NewPCG(1, 0))}
		if err := faults[kind].inflict(t.Context(), p); !errors.Is(err, smalldisk.ErrUnavailable) {
			t.Errorf("%q on a stage without disks: %v", kind, err)
		}
		if got, want := p.random.Uint64(), rand.New(rand.NewPCG(1, 0)).Uint64(); got != want {
			t.Errorf("%q has drawn something", kind)
		}
	}
}

func TestAnUnknownFaultIsRefused(t *testing.T) {
	if _, err := ParseKinds("zombie", "zombies"); err == nil || !strings.Contains(err.Error(), `"zombies"`) {
		t.Errorf("%v", err)
	}
	if k, err := ParseKinds("zombie", "kill at sink.inserted"); err != nil || !slices.Equal(k, []Kind{Zombie, KillAt(fault.SinkInserted)}) {
		t.Errorf("%q, %v", k, err)
	}
}

func TestAPlayOnNoBrokerIsRefused(t *testing.T) {
	_, err := Run(t.Context(), Config{Broker: "rabbit", Dir: t.TempDir(), Out: io.Discard})
	if err == nil || !strings.Contains(err.Error(), `there is no broker "rabbit"`) {
		t.Errorf("%v", err)
	}
}

func TestAPlayIsPlayedAgainByItsCommand(t *testing.T) {
	for want, r := range map[string]Report{
		"go run ./loadtest chaos --seed 2 --broker embedded":                                             {Seed: 2, Broker: stage.Embedded, Nodes: 1},
		"go run ./loadtest chaos --seed 1 --broker apache --first all":                                   {Seed: 1, Broker: stage.Apache, Nodes: 1, First: Kinds(stage.Apache, 1)},
		`go run ./loadtest chaos --seed 3 --broker apache --nodes 3 --first "kill broker,lose a leader"`: {Seed: 3, Broker: stage.Apache, Nodes: 3, First: []Kind{KillBroker, LoseLeader}},
		`go run ./loadtest chaos --seed 4 --broker apache --replay --away 20s --first "zombie"`:          {Seed: 4, Broker: stage.Apache, Nodes: 1, Replay: true, Away: 20 * time.Second, First: []Kind{Zombie}},
		`go run ./loadtest chaos --seed 5 --broker embedded --rate 400 --only "zombie,kill sink"`:        {Seed: 5, Broker: stage.Embedded, Nodes: 1, Rate: 400, Only: []Kind{Zombie, KillSink}},
	} {
		if got := r.Again(); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}

func TestAPlayThatCannotBeIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		Config
		want string
	}{
		"any of a lone broker":        {Config{Broker: stage.Apache, Nodes: 1, Only: []Kind{Zombie}}, ""},
		"a leader of one node":        {Config{Broker: stage.Apache, Nodes: 1, Only: []Kind{Zombie, LoseLeader}}, `"lose a leader" cannot be done to apache with 1 nodes: it needs --broker apache --nodes 3`},
		"a leader of the embedded":    {Config{Broker: stage.Embedded, Nodes: 1, First: []Kind{LoseLeader}}, `"lose a leader" cannot be done to embedded with 1 nodes: it needs --broker apache --nodes 3`},
		"what only the embedded has":  {Config{Broker: stage.Apache, Nodes: 3, First: []Kind{Zombie, BrokerFull}}, `"the disk of Kafka fills" cannot be done to apache with 3 nodes: it needs --broker embedded`},
		"nodes of the embedded":       {Config{Broker: stage.Embedded, Nodes: 3}, "the embedded broker is one node, not 3: play it with --broker apache"},
		"of a broker that is not one": {Config{Broker: "kafka", Nodes: 1}, `there is no broker "kafka": take embedded or apache`},
	} {
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
