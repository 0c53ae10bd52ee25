package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"math/rand/v2"
	"net"
	"os"
	command "os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/embedded"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/pkg/setup"
	"flywheel/pkg/topology"
	"flywheel/services/simulator"
)

// road is the pipeline as production runs it: processor and sink are processes
// of their own, which may be killed.
type road struct {
	*testing.T
	binary   string
	targets  setup.Targets
	conn     driver.Conn
	registry *codec.Client
	logs     string
}

func newRoad(t *testing.T) *road {
	t.Helper()
	r := &road{T: t, binary: filepath.Join(t.TempDir(), "flywheel"), logs: t.TempDir()}
	if out, err := command.Command("go", "build", "-o", r.binary, "flywheel/services/flywheel").CombinedOutput(); err != nil {
		t.Fatalf("build the binary: %v\n%s", err, out)
	}
	r.serve()
	var err error
	if r.conn, err = clickhouse.Open(t.Context(), r.targets.ClickHouse); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.conn.Close() })
	if r.registry, err = codec.NewClient(r.targets.Registry); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.registry.Close)
	return r
}

// serve runs the engines in a process too: one process holds one ClickHouse.
func (r *road) serve() {
	r.Helper()
	var ports [3]int
	for i := range ports {
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			r.Fatal(err)
		}
		ports[i] = listener.Addr().(*net.TCPAddr).Port
		if err := listener.Close(); err != nil {
			r.Fatal(err)
		}
	}
	cache, err := embedded.DefaultCacheDir()
	if err != nil {
		r.Fatal(err)
	}
	engines := command.Command(r.binary, "embedded", "--embedded.data_dir="+r.TempDir(), "--embedded.cache_dir="+cache, "--kafka.topics.partitions=4",
		fmt.Sprintf("--embedded.kafka_port=%d", ports[0]), fmt.Sprintf("--embedded.registry_port=%d", ports[1]), fmt.Sprintf("--embedded.clickhouse_port=%d", ports[2]))
	out, err := engines.StdoutPipe()
	if err != nil {
		r.Fatal(err)
	}
	engines.Stderr = os.Stderr
	if err := engines.Start(); err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() {
		if err := errors.Join(engines.Process.Signal(os.Interrupt), engines.Wait()); err != nil {
			r.Errorf("stop the engines: %v", err)
		}
	})
	lines := bufio.NewReader(out)
	for line := ""; !strings.Contains(line, "are ready"); {
		if line, err = lines.ReadString('\n'); err != nil {
			r.Fatalf("the engines did not start: %v", err)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // they must not wait for a reader
	r.targets = setup.Targets{Kafka: kafka.DefaultConfig(), Registry: codec.DefaultConfig(), ClickHouse: clickhouse.DefaultConfig()}
	r.targets.Kafka.Brokers = []string{fmt.Sprintf("127.0.0.1:%d", ports[0])}
	r.targets.Kafka.Topics.Partitions = 4
	r.targets.Registry.URLs = []string{fmt.Sprintf("http://127.0.0.1:%d", ports[1])}
	r.targets.ClickHouse.Addresses = []string{fmt.Sprintf("127.0.0.1:%d", ports[2])}
}

// service is one process of a service, started again after every kill.
type service struct {
	name, instance string
	cmd            *command.Cmd
	log            *os.File
}

func (r *road) start(s *service) {
	r.Helper()
	s.cmd = command.Command(r.binary, s.name)
	s.cmd.Env = append(os.Environ(),
		"FLYWHEEL_KAFKA_BROKERS="+strings.Join(r.targets.Kafka.Brokers, ","),
		"FLYWHEEL_KAFKA_TOPICS_PARTITIONS=4",
		"FLYWHEEL_REGISTRY_URLS="+strings.Join(r.targets.Registry.URLs, ","),
		"FLYWHEEL_CLICKHOUSE_ADDRESSES="+strings.Join(r.targets.ClickHouse.Addresses, ","),
		"FLYWHEEL_PROCESSOR_INSTANCE_ID="+s.instance, "FLYWHEEL_PROCESSOR_SESSION_TIMEOUT=6s",
		"FLYWHEEL_SINK_INSTANCE_ID="+s.instance, "FLYWHEEL_SINK_SESSION_TIMEOUT=6s",
	)
	if s.log == nil {
		var err error
		if s.log, err = os.Create(filepath.Join(r.logs, s.name+"-"+s.instance+".log")); err != nil {
			r.Fatal(err)
		}
	}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		r.Fatal(err)
	}
}

// kill ends a process as a power cut would.
func (r *road) kill(s *service) {
	r.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		r.Errorf("kill %s: %v", s.name, err)
	}
	_ = s.cmd.Wait() // it was killed
}

// stop asks a process to end and expects it to do so in peace.
func (r *road) stop(s *service) {
	r.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		r.Errorf("stop %s: %v", s.name, err)
	}
	if err := s.cmd.Wait(); err != nil {
		r.Errorf("%s ended with %v", s.name, err)
	}
}

// tail prints the end of the services' logs.
func (r *road) tail() {
	files, err := filepath.Glob(filepath.Join(r.logs, "*.log"))
	if err != nil {
		r.Error(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			r.Error(err)
		}
		r.Logf("%s ends with\n%s", filepath.Base(f), b[max(0, len(b)-4000):])
	}
}

// TestTheRoadSurvivesKills plays a world with every fault on it while processor
// and sink are killed in the middle of their work, again and again. In the end
// ClickHouse must hold what the ledger says, to the micro, and every result must
// be what a batch over the raw tables gives.
func TestTheRoadSurvivesKills(t *testing.T) {
	const seed = 20_261_124
	r := newRoad(t)
	cfg := simulator.DefaultConfig()
	cfg.Brands, cfg.Rate, cfg.Events, cfg.Seed = 4, 6000, 800, 7
	cfg.Backfill, cfg.Speed, cfg.For = 16*24*time.Hour, 21_600, 8*time.Second // two days in the end
	cfg.Late, cfg.Duplicates, cfg.Corrected, cfg.Poison = 0.02, 0.02, 0.02, 0.02
	sim, err := simulator.New(cfg, r.targets.Kafka, r.registry, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider())
	if err != nil {
		t.Fatal(err)
	}
	services := []*service{{name: "processor", instance: "one"}, {name: "processor", instance: "two"}, {name: "sink", instance: "one"}}
	for _, s := range services {
		r.start(s)
	}
	defer func() {
		if t.Failed() {
			r.tail()
		}
	}()

	playing, done := context.WithCancel(t.Context())
	kills := 0
	var killer sync.WaitGroup
	killer.Go(func() {
		random := rand.New(rand.NewPCG(seed, 0))
		for {
			select {
			case <-playing.Done():
				return
			case <-time.After(time.Duration(700+random.IntN(1500)) * time.Millisecond):
			}
			s := services[random.IntN(len(services))]
			r.kill(s)
			kills++
			if random.IntN(4) == 0 { // stay away for a while
				time.Sleep(time.Second)
			}
			r.start(s)
		}
	})
	if err := sim.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	done()
	killer.Wait()

	groups, err := newGroups(t.Context(), r.targets.Kafka, "flywheel-processor", "flywheel-sink", slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider())
	if err != nil {
		t.Fatal(err)
	}
	defer groups.close()
	groups.settle = settle
	if err := groups.wait(t.Context(), 3*time.Minute, func(standing) {}); err != nil {
		t.Fatal(err)
	}
	for _, s := range services {
		r.stop(s)
	}
	detail := sim.Ledger().Detail()
	f, err := gather(t.Context(), r.conn)
	if err != nil {
		t.Fatal(err)
	}
	report := judge(&detail, &f)
	t.Logf("%d kills; events %+v, %d rows, %d results, %d dead letters, lost %d, doubled %d, residual %d", kills, report.Events,
		report.ClickHouse.EventRows, report.ClickHouse.ResultRows, report.DeadLettered, report.Lost, report.DoubleCounted, report.ConservationResidualMicros)
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	if kills < 5 || detail.Late == 0 || detail.Duplicate == 0 || detail.Poison == 0 || report.ClickHouse.ResultRows == 0 {
		t.Errorf("%d kills, %+v: that is no test", kills, detail.Summary)
	}
	r.carried()
	r.recompute()
}

// log reads everything that is committed in some topics; it hands over what can
// be decoded.
func (r *road) log(topics []string, f func(v any)) {
	r.Helper()
	decoder, err := codec.NewDecoder(r.registry)
	if err != nil {
		r.Fatal(err)
	}
	client, err := kafka.Connect(r.Context(), r.targets.Kafka, slog.New(slog.DiscardHandler), metricnoop.NewMeterProvider(),
		kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		r.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(r.Context(), topics...)
	if err != nil {
		r.Fatal(err)
	}
	left := make(map[string]int64)
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[fmt.Sprint(o.Topic, o.Partition)] = o.Offset - 1
		}
	})
	for len(left) > 0 {
		fetches := client.PollFetches(r.Context())
		if err := fetches.Err(); err != nil {
			r.Fatal(err)
		}
		fetches.EachRecord(func(k *kgo.Record) {
			if at := fmt.Sprint(k.Topic, k.Partition); left[at] <= k.Offset {
				delete(left, at)
			}
			if k.Attrs.IsControl() {
				return
			}
			v, err := decoder.Decode(r.Context(), k.Topic, k.Value)
			if refused := new(codec.Error); err != nil && !errors.As(err, &refused) {
				r.Fatal(err)
			}
			if err == nil {
				f(v)
			}
		})
	}
}

// carried reads the committed results back from Kafka: ClickHouse must hold the
// newest revision of each.
func (r *road) carried() {
	r.Helper()
	want := make(map[string]int64)
	r.log([]string{event.TopicCorrelation, event.TopicCredit, event.TopicSpike}, func(v any) {
		var key string
		var revision int64
		switch v := v.(type) {
		case *event.Correlation:
			key, revision = fmt.Sprint("correlation ", v.BrandID, " ", v.Force, " ", v.WindowEndMs), v.Revision
		case *event.Credit:
			key, revision = fmt.Sprint("credit ", v.BrandID, " ", v.DayMs, " ", v.Node, " ", v.Currency), v.Revision
		case *event.Spike:
			key, revision = fmt.Sprint("spike ", v.BrandID, " ", v.SpikeID), v.Revision
		}
		if revision <= want[key] {
			r.Errorf("%s: revision %d comes after %d", key, revision, want[key])
		}
		want[key] = revision
	})
	got := make(map[string]int64)
	for _, sql := range []string{
		"SELECT concat('correlation ', brand_id, ' ', toString(force), ' ', toString(toUnixTimestamp64Milli(window_end))), revision FROM correlation FINAL",
		"SELECT concat('credit ', brand_id, ' ', toString(toUnixTimestamp64Milli(day)), ' ', node, ' ', currency), revision FROM credit FINAL",
		"SELECT concat('spike ', brand_id, ' ', toString(spike_id)), revision FROM spike FINAL",
	} {
		r.query(sql, func(rows driver.Rows) error {
			var key string
			var revision int64
			if err := rows.Scan(&key, &revision); err != nil {
				return err
			}
			got[key] = revision
			return nil
		})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.Errorf("revisions of the results (-Kafka +ClickHouse):\n%s", diff)
	}
}

// recompute reads the raw tables back, applies what the processor has accepted
// to a state of its own, and compares every published window and day with it.
func (r *road) recompute() {
	r.Helper()
	p, err := topology.New(topology.DefaultConfig())
	if err != nil {
		r.Fatal(err)
	}
	// Accepted is what came more often than it was refused: an event that was
	// applied may come again and then be late.
	accepted := make(map[string]int64)
	var topics []string
	for _, kind := range event.Types() {
		topics = append(topics, kind.Info().Topic)
	}
	slices.Sort(topics)
	r.log(slices.Compact(topics), func(v any) {
		if e, ok := v.(event.Record); ok {
			accepted[e.Head().EventID.String()]++
		}
	})
	r.query("SELECT toString(event_id), count() FROM dead_letter FINAL GROUP BY event_id", func(rows driver.Rows) error {
		var id string
		var times uint64
		err := rows.Scan(&id, &times)
		accepted[id] -= int64(times)
		return err
	})
	var events []event.Record
	for _, kind := range event.Types() {
		for _, e := range r.raw(kind) {
			if accepted[e.Head().EventID.String()] > 0 {
				events = append(events, e)
			}
		}
	}
	// By their time nothing is late.
	slices.SortStableFunc(events, func(a, b event.Record) int { return int(a.Head().OccurredAtMs - b.Head().OccurredAtMs) })
	newest := make(map[string]int64)
	now := time.Now().UnixMilli()
	for _, e := range events {
		switch outcome := p.Apply(e, now); outcome {
		case topology.Applied, topology.Superseded:
			newest[e.Head().BrandID] = max(newest[e.Head().BrandID], e.Head().OccurredAtMs)
		default:
			r.Errorf("the batch finds %s %s %v", e.Type(), e.Head().EventID, outcome)
		}
	}
	r.query("SELECT brand_id, version, currency, arrayMap(x -> toUnixTimestamp64Milli(x), utc_offsets.from), utc_offsets.offset_minutes, arrayMap(x -> toInt32(toUInt16(x)), holidays) FROM brand FINAL", func(rows driver.Rows) error {
		b := new(event.Brand)
		var from []int64
		var minutes []int32
		if err := rows.Scan(&b.BrandID, &b.Version, &b.Currency, &from, &minutes, &b.Holidays); err != nil {
			return err
		}
		for i := range from {
			b.UTCOffsets = append(b.UTCOffsets, event.UTCOffset{FromMs: from[i], OffsetMinutes: minutes[i]})
		}
		p.ApplyBrand(b)
		return nil
	})

	windows, days, final, byHand := 0, 0, 0, 0
	plain := buckets(events)
	reach := int64(topology.DefaultConfig().RestateHours) * 3_600_000
	r.query(`SELECT brand_id, force, toUnixTimestamp64Milli(window_end), stimulus_signal, response_signal, stimulus_total, response_total, lag_profile,
		best_lag_minutes, delay_minutes, half_life_minutes, decayed_correlation, p_value, verdict, effect, effect_low, effect_high FROM correlation FINAL`, func(rows driver.Rows) error {
		var got event.Correlation
		var verdict string
		if err := rows.Scan(&got.BrandID, &got.Force, &got.WindowEndMs, &got.StimulusSignal, &got.ResponseSignal, &got.StimulusTotal, &got.ResponseTotal, &got.LagProfile,
			&got.BestLagMinutes, &got.DelayMinutes, &got.HalfLifeMinutes, &got.DecayedCorrelation, &got.PValue, &verdict, &got.Effect, &got.EffectLow, &got.EffectHigh); err != nil {
			return err
		}
		got.Verdict = event.Verdict(verdict)
		var want event.Correlation
		p.RecomputeWindow(got.BrandID, int(got.Force), got.WindowEndMs, func(v any) {
			c := v.(*event.Correlation)
			want = event.Correlation{
				BrandID: c.BrandID, Force: c.Force, WindowEndMs: c.WindowEndMs, StimulusSignal: c.StimulusSignal, ResponseSignal: c.ResponseSignal,
				StimulusTotal: c.StimulusTotal, ResponseTotal: c.ResponseTotal, LagProfile: slices.Clone(c.LagProfile),
				BestLagMinutes: c.BestLagMinutes, DelayMinutes: c.DelayMinutes, HalfLifeMinutes: c.HalfLifeMinutes,
				DecayedCorrelation: c.DecayedCorrelation, PValue: c.PValue, Verdict: c.Verdict, Effect: c.Effect, EffectLow: c.EffectLow, EffectHigh: c.EffectHigh,
			}
		})
		windows++
		hours := int64(event.Forces()[got.Force-1].WindowHours)
		views, searches := plain[got.BrandID].sums(got.WindowEndMs-hours*3_600_000, got.WindowEndMs)
		for _, side := range []struct {
			signal      string
			total, want int64
		}{
			{got.StimulusSignal, got.StimulusTotal, views}, {got.ResponseSignal, got.ResponseTotal, searches},
		} {
			if side.signal != event.TikTokViews.String() && side.signal != event.BrandedSearches.String() {
				continue
			}
			if byHand++; side.total != side.want {
				r.Errorf("%s, force %d, window to %d: %d of %s, by hand %d", got.BrandID, got.Force, got.WindowEndMs, side.total, side.signal, side.want)
			}
		}
		if len(got.LagProfile) == 0 && len(want.LagProfile) == 0 {
			got.LagProfile, want.LagProfile = nil, nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			if got.WindowEndMs < newest[got.BrandID]-reach {
				final++
				return nil
			}
			r.Errorf("window (-batch +stream), %.1f h before the newest event:\n%s", float64(newest[got.BrandID]-got.WindowEndMs)/3_600_000, diff)
		}
		return nil
	})
	r.query(`SELECT brand_id, toUnixTimestamp64Milli(day), node, currency, revenue_micros, baseline_micros, direct_gmv_micros, credits.force, credits.content_id, credits.credit_micros,
		multiplier, multiplier_low, multiplier_high FROM credit FINAL`, func(rows driver.Rows) error {
		var got event.Credit
		var node string
		var forces []int32
		var contents []string
		var micros []int64
		if err := rows.Scan(&got.BrandID, &got.DayMs, &node, &got.Currency, &got.RevenueMicros, &got.BaselineMicros, &got.DirectGMVMicros, &forces, &contents, &micros,
			&got.Multiplier, &got.MultiplierLow, &got.MultiplierHigh); err != nil {
			return err
		}
		got.Node = event.NodeName(node)
		for i := range forces {
			got.Credits = append(got.Credits, event.CreditShare{Force: forces[i], ContentID: contents[i], CreditMicros: micros[i]})
		}
		if got.DayMs < newest[got.BrandID]-reach {
			return nil // final: it rests on the history there was then
		}
		var want event.Credit
		p.RecomputeDay(got.BrandID, got.DayMs, func(v any) {
			c := v.(*event.Credit)
			if c.Node != got.Node || c.Currency != got.Currency {
				return
			}
			want = event.Credit{
				BrandID: c.BrandID, DayMs: c.DayMs, Node: c.Node, Currency: c.Currency, RevenueMicros: c.RevenueMicros, BaselineMicros: c.BaselineMicros,
				DirectGMVMicros: c.DirectGMVMicros, Multiplier: c.Multiplier, MultiplierLow: c.MultiplierLow, MultiplierHigh: c.MultiplierHigh,
			}
			for _, s := range c.Credits {
				want.Credits = append(want.Credits, event.CreditShare{Force: s.Force, ContentID: s.ContentID, CreditMicros: s.CreditMicros})
			}
		})
		days++
		if want.BrandID == "" && got.RevenueMicros == 0 && got.BaselineMicros == 0 && len(got.Credits) == 0 {
			return nil // the stream has seen money that was taken back
		}
		if diff := cmp.Diff(want, got); diff != "" {
			r.Errorf("day (-batch +stream):\n%s", diff)
		}
		return nil
	})
	r.Logf("%d events give again %d windows, %d totals of them summed by hand, and %d days; %d final ones differ", len(events), windows, byHand, days, final)
	if windows < 500 || byHand < 100 || days < 20 || final > (windows+days)/100 {
		r.Errorf("of %d windows and %d days %d differ: that is no test", windows, days, final)
	}
}

// plainBuckets is one brand's views and branded searches by quarter-hour, got from
// the records by the definitions alone.
type plainBuckets struct{ views, searches map[int64]int64 }

const quarterMs = 15 * 60_000

func (p *plainBuckets) sums(fromMs, toMs int64) (views, searches int64) {
	for q := fromMs / quarterMs; q < toMs/quarterMs; q++ {
		views += p.views[q]
		searches += p.searches[q]
	}
	return views, searches
}

// buckets counts without any of the pipeline's code: of a report the highest
// version, of a post's observations the newest of each quarter-hour, with views
// linear between them from the publication on, each end of a quarter-hour
// rounded down.
func buckets(events []event.Record) map[string]*plainBuckets {
	out := make(map[string]*plainBuckets)
	reports := make(map[[2]string]*event.AmazonSearchReport)
	posts := make(map[[2]string]map[int64]*event.TikTokContentStatistics)
	for _, e := range events {
		brand := e.Head().BrandID
		if out[brand] == nil {
			out[brand] = &plainBuckets{make(map[int64]int64), make(map[int64]int64)}
		}
		switch e := e.(type) {
		case *event.AmazonSearchReport:
			key := [2]string{brand, e.Source + " " + e.NaturalKey}
			if old := reports[key]; e.Branded && e.PeriodMinutes == 15 && (old == nil || old.Version < e.Version) {
				reports[key] = e
			}
		case *event.TikTokContentStatistics:
			key, q := [2]string{brand, e.ContentID}, e.OccurredAtMs/quarterMs
			if posts[key] == nil {
				posts[key] = make(map[int64]*event.TikTokContentStatistics)
			}
			if old := posts[key][q]; old == nil || old.OccurredAtMs < e.OccurredAtMs || old.OccurredAtMs == e.OccurredAtMs && old.Version < e.Version {
				posts[key][q] = e
			}
		}
	}
	for key, r := range reports {
		out[key[0]].searches[r.OccurredAtMs/quarterMs] += r.Volume
	}
	for key, byQuarter := range posts {
		at, count := int64(-1), int64(0)
		for _, q := range slices.Sorted(maps.Keys(byQuarter)) {
			o := byQuarter[q]
			if at < 0 {
				at = min(o.PublishedAtMs, o.OccurredAtMs)
			}
			between := func(ms int64) int64 { // floor(count + (views − count)·(ms − at)/(occurred − at))
				if ms >= o.OccurredAtMs {
					return o.Views
				}
				rise := new(big.Int).Mul(big.NewInt(o.Views-count), big.NewInt(max(0, ms-at)))
				return count + rise.Div(rise, big.NewInt(o.OccurredAtMs-at)).Int64()
			}
			before := count
			for b := at / quarterMs; b*quarterMs < o.OccurredAtMs || b == at/quarterMs; b++ {
				after := between((b + 1) * quarterMs)
				out[key[0]].views[b] += after - before
				before = after
			}
			at, count = o.OccurredAtMs, o.Views
		}
	}
	return out
}

func (r *road) query(sql string, row func(driver.Rows) error) {
	r.Helper()
	if err := each(r.Context(), r.conn, sql, row); err != nil && !errors.Is(err, io.EOF) {
		r.Fatal(err)
	}
}

// raw reads every row of a raw table as the record it came from.
func (r *road) raw(kind event.Type) []event.Record {
	r.Helper()
	info := kind.Info()
	var columns []string
	var fields [][]int
	var visit func(t reflect.Type, at []int)
	visit = func(t reflect.Type, at []int) {
		for i := range t.NumField() {
			f := t.Field(i)
			path := append(slices.Clone(at), i)
			tag := f.Tag.Get("avro")
			switch {
			case tag == ",inline":
				visit(f.Type, path)
				continue
			case f.Type == reflect.TypeFor[event.ID]():
			case strings.HasSuffix(f.Name, "Ms"):
				tag = "toUnixTimestamp64Milli(" + tag + ")"
			}
			columns, fields = append(columns, tag), append(fields, path)
		}
	}
	visit(reflect.TypeOf(info.New()).Elem(), nil)
	var out []event.Record
	r.query(fmt.Sprintf("SELECT %s FROM %s FINAL", strings.Join(columns, ", "), info.Name), func(rows driver.Rows) error {
		record := info.New()
		v := reflect.ValueOf(record).Elem()
		into := make([]any, len(fields))
		for i, path := range fields {
			f := v.FieldByIndex(path)
			switch {
			case f.Type() == reflect.TypeFor[event.ID]():
				into[i] = (*uuid.UUID)(f.Addr().Interface().(*event.ID))
			case f.Kind() == reflect.String && f.Type() != reflect.TypeFor[string]():
				into[i] = f.Addr().Convert(reflect.TypeFor[*string]()).Interface()
			default:
				into[i] = f.Addr().Interface()
			}
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		out = append(out, record)
		return nil
	})
	return out
}
