package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/pkg/telemetry"
	"flywheel/pkg/testkit"
	"flywheel/pkg/testkit/tables"
	"flywheel/services/processor"
	"flywheel/services/sink"
)

var tableRow = regexp.MustCompile("(?m)^\\| `(\\w+)`")

// runbookSection is a heading and the line below it.
var runbookSection = regexp.MustCompile(`(?m)^## (\w+)$\n\n([^#\n].*)?`)

// scrape returns the series that the services expose, once the processor and the sink
// work.
func scrape(t *testing.T, promQL parser.Parser) []labels.Labels {
	t.Helper()
	cluster := testkit.Kafka(t)
	kafkaConfig := kafka.DefaultConfig()
	kafkaConfig.Brokers, kafkaConfig.Topics.Partitions = cluster.ListenAddrs(), 2
	client := testkit.KafkaClient(t, cluster)
	topics, err := kafka.NewTopics(kafkaConfig, client)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topics.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	registry, err := codec.NewStatic()
	if err != nil {
		t.Fatal(err)
	}
	_, clickhouseConfig := tables.New(t)
	cfg := telemetry.DefaultConfig()
	cfg.Admin.Listen = "127.0.0.1:0"
	tel, err := telemetry.New(cfg, telemetry.Service{Name: "flywheel-test", Version: "v1"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	p, err := processor.New(processor.DefaultConfig(), kafkaConfig, registry, tel.Logger(), tel.MeterProvider(), tel.TracerProvider())
	if err != nil {
		t.Fatal(err)
	}
	s, err := sink.New(sink.DefaultConfig(), kafkaConfig, clickhouseConfig, registry, tel.Logger(), tel.MeterProvider(), tel.TracerProvider())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 3)
	for _, run := range []func(context.Context) error{tel.Run, p.Run, s.Run} {
		go func() { ended <- run(ctx) }()
	}
	defer func() {
		stop()
		for range 3 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}()
	for _, ready := range []<-chan struct{}{tel.Ready(), p.Ready(), s.Ready()} {
		select {
		case <-ready:
		case err := <-ended:
			t.Fatalf("a service ended: %v", err)
		}
	}
	// What cannot be read is a dead letter, and that a row.
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: event.TopicAmazon, Value: []byte("{}")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	awaited := []string{"flywheel_processor_lag", "flywheel_sink_lag", "flywheel_processor_commit_duration_seconds_count", "flywheel_sink_freshness_seconds_count"}
	var series []labels.Labels
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get("http://" + tel.Addr().String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		series = series[:0]
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			line := lines.Text()
			if strings.HasPrefix(line, "#") {
				continue
			}
			one, err := promQL.ParseMetric(line[:strings.LastIndexByte(line, ' ')])
			if err != nil {
				t.Fatal(err)
			}
			series = append(series, labels.NewBuilder(one).Set(model.JobLabel, "flywheel").Labels()) // as Prometheus does
		}
		_ = resp.Body.Close() // it was read
		awaited = slices.DeleteFunc(awaited, func(name string) bool {
			return slices.ContainsFunc(series, func(l labels.Labels) bool { return l.Get(model.MetricNameLabel) == name })
		})
		if len(awaited) == 0 {
			return series
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing exposes %v: %v", awaited, series)
		}
	}
}

// alertRules reads deploy/alerts.yml as Prometheus does.
func alertRules(t *testing.T, promQL parser.Parser) (rules []rulefmt.Rule) {
	t.Helper()
	file, errs := rulefmt.Parse([]byte(readSource(t, "deploy/alerts.yml")), false, model.UTF8Validation, promQL, slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

// TestAlerts reads deploy/alerts.yml as Prometheus does, and holds it, and the names in
// deploy/METRICS.md, against what the services expose from their start: a name that does
// not exist never fires. Every alert has a section of deploy/RUNBOOK.md, and the other way round.
func TestAlerts(t *testing.T) {
	promQL := parser.NewParser(parser.Options{})
	series := scrape(t, promQL)
	exposed := func(matchers ...*labels.Matcher) bool {
		return slices.ContainsFunc(series, func(l labels.Labels) bool {
			return !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(l.Get(m.Name)) })
		})
	}
	named := func(name string) bool {
		return exposed(labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name))
	}
	rules := alertRules(t, promQL)
	sections := make(map[string]bool)
	for _, heading := range runbookSection.FindAllStringSubmatch(readSource(t, "deploy/RUNBOOK.md"), -1) {
		sections[heading[1]] = strings.TrimSpace(heading[2]) != ""
	}
	alerts := make(map[string]bool)
	for _, r := range rules {
		if alerts[r.Alert] {
			t.Errorf("alert %q is there twice", r.Alert)
		}
		alerts[r.Alert] = true
		expr, err := promQL.ParseExpr(r.Expr)
		if err != nil {
			t.Fatal(err)
		}
		parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
			switch n := n.(type) {
			case *parser.VectorSelector:
				if n.Name != "up" && !exposed(n.LabelMatchers...) { // up is Prometheus's own
					t.Errorf("%s: nothing exposes %s", r.Alert, n)
				}
			case *parser.AggregateExpr:
				for _, label := range n.Grouping {
					if !exposed(labels.MustNewMatcher(labels.MatchNotEqual, label, "")) {
						t.Errorf("%s: nothing exposes the label %s", r.Alert, label)
					}
				}
			}
			return nil
		})
		if r.Labels["severity"] == "" || !strings.HasSuffix(r.Annotations["summary"], ".") || !strings.HasSuffix(r.Annotations["do"], ".") {
			t.Errorf("%s has no severity, or does not say in sentences what it means and what to do: %v %v", r.Alert, r.Labels, r.Annotations)
		}
		if want := "deploy/RUNBOOK.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want || !sections[r.Alert] {
			t.Errorf("%s links to %q, want %q, where there is something: %t", r.Alert, r.Annotations["runbook_url"], want, sections[r.Alert])
		}
	}
	for name := range sections {
		if !alerts[name] {
			t.Errorf("deploy/RUNBOOK.md has a section for %q, which is no alert", name)
		}
	}
	if len(alerts) < 5 {
		t.Errorf("only these alerts were found: %v", slices.Sorted(maps.Keys(alerts)))
	}
	table := make(map[string]bool)
	for _, row := range tableRow.FindAllStringSubmatch(readSource(t, "deploy/METRICS.md"), -1) {
		name := row[1]
		table[name] = true
		if !named(name) && !named(name+"_count") {
			t.Errorf("deploy/METRICS.md: nothing exposes %s", name)
		}
	}
	for _, l := range series {
		name := l.Get(model.MetricNameLabel)
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, suffix)
		}
		if strings.HasPrefix(name, "flywheel_") && !table[name] {
			t.Errorf("deploy/METRICS.md does not name %s", name)
			table[name] = true
		}
	}
}

// grows is a series that has a value at first, and so much more each minute.
type grows struct{ from, by float64 }

// TestFlapping has an hour of what is there for moments only.
func TestFlapping(t *testing.T) {
	promQL := parser.NewParser(parser.Options{})
	rules := alertRules(t, promQL)
	at := slices.IndexFunc(rules, func(r rulefmt.Rule) bool { return r.Alert == "FlywheelFlapping" })
	if at < 0 {
		t.Fatal("deploy/alerts.yml has no FlywheelFlapping")
	}
	const (
		commits = "flywheel_processor_commit_duration_seconds_count"
		quick   = `flywheel_processor_commit_duration_seconds_bucket{le="2"}`
		lag     = "flywheel_processor_lag"
	)
	for name, tc := range map[string]struct {
		series map[string]grows
		fires  bool
	}{
		"all is well": {map[string]grows{commits: {0, 600}, quick: {0, 600}, "flywheel_processor_silences_total": {3, 0}}, false},
		"Kafka stalls for four seconds every minute":    {map[string]grows{commits: {0, 560}, quick: {0, 559}, lag: {40_000, 0}}, true},
		"Prometheus writes bounds as numbers":           {map[string]grows{commits: {0, 560}, `flywheel_processor_commit_duration_seconds_bucket{le="2.0"}`: {0, 559}}, true},
		"commits take long while a backlog is read":     {map[string]grows{commits: {0, 20}, quick: {0, 10}, lag: {300_000, 0}}, false},
		"a processor hears nothing every other minute":  {map[string]grows{"flywheel_processor_silences_total": {0, .5}}, true},
		"one that is told once in a quarter of an hour": {map[string]grows{"flywheel_processor_silences_total": {0, 1. / 15}}, false},
		"transactions are aborted":                      {map[string]grows{"flywheel_processor_aborts_total": {0, .5}}, true},
		"Kafka is not read":                             {map[string]grows{"flywheel_sink_read_retries_total": {0, .5}}, true},
		"offsets are not committed":                     {map[string]grows{"flywheel_sink_commit_retries_total": {0, .5}}, true},
		"ClickHouse does not take rows":                 {map[string]grows{"flywheel_sink_retries_total": {0, .5}}, true},
		"the registry does not answer":                  {map[string]grows{"flywheel_sink_schema_retries_total": {0, .5}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 10_000, Timeout: time.Minute})
			end := time.Unix(1_000_000, 0)
			var all []promql.Series
			for metric, g := range tc.series {
				one, err := promQL.ParseMetric(metric)
				if err != nil {
					t.Fatal(err)
				}
				s := promql.Series{Metric: labels.NewBuilder(one).Set(model.InstanceLabel, "one").Labels()}
				for minute := range 61 {
					s.Floats = append(s.Floats, promql.FPoint{T: end.Add(time.Duration(minute-60) * time.Minute).UnixMilli(), F: g.from + float64(minute)*g.by})
				}
				all = append(all, s)
			}
			query, err := engine.NewInstantQuery(t.Context(), stored(all), nil, rules[at].Expr, end)
			if err != nil {
				t.Fatal(err)
			}
			defer query.Close()
			result := query.Exec(t.Context())
			if result.Err != nil {
				t.Fatal(result.Err)
			}
			if alerts, err := result.Vector(); err != nil || (len(alerts) > 0) != tc.fires {
				t.Errorf("it tells of %v (%v), fires: want %t", alerts, err, tc.fires)
			}
		})
	}
}

// stored has Prometheus find the series.
func stored(all []promql.Series) storage.Queryable {
	return &storage.MockQueryable{MockQuerier: &storage.MockQuerier{
		SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
			found := slices.DeleteFunc(slices.Clone(all), func(s promql.Series) bool {
				return slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.Metric.Get(m.Name)) })
			})
			return &seriesSet{SeriesSet: storage.EmptySeriesSet(), left: found}
		},
	}}
}

// seriesSet hands out series.
type seriesSet struct {
	storage.SeriesSet // an empty one, for the rest
	at                promql.Series
	left              []promql.Series
}

func (s *seriesSet) Next() bool {
	if len(s.left) == 0 {
		return false
	}
	s.at, s.left = s.left[0], s.left[1:]
	return true
}

func (s *seriesSet) At() storage.Series { return promql.NewStorageSeries(s.at) }
