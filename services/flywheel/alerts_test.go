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

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/pkg/telemetry"
	"flywheel/pkg/testkit"
	"flywheel/pkg/testkit/tables"
	"flywheel/services/processor"
	"flywheel/services/sink"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/twmb/franz-go/pkg/kgo"
)

var tableRow = regexp.MustCompile("(?m)^\\| `(\\w+)`")

// runbookSection is a heading and the line below it.
var runbookSection = regexp.MustCompile(`(?m)^## (\w+)$\n\n([^#\n].*)?`)

// scrape returns the series that the services expose, once the processor and the sink
// work.
func scrape(t *testing.T, promql parser.Parser) []labels.Labels {
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
			one, err := promql.ParseMetric(line[:strings.LastIndexByte(line, ' ')])
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

// TestAlerts reads deploy/alerts.yml as Prometheus does, and holds it, and the names in
// deploy/METRICS.md, against what the services expose from their start: a name that does
// not exist never fires. Every alert has a section of deploy/RUNBOOK.md, and the other way round.
func TestAlerts(t *testing.T) {
	promql := parser.NewParser(parser.Options{})
	series := scrape(t, promql)
	exposed := func(matchers ...*labels.Matcher) bool {
		return slices.ContainsFunc(series, func(l labels.Labels) bool {
			return !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(l.Get(m.Name)) })
		})
	}
	named := func(name string) bool {
		return exposed(labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name))
	}
	file, errs := rulefmt.Parse([]byte(readSource(t, "deploy/alerts.yml")), false, model.UTF8Validation, promql, slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Fatal(err)
	}
	sections := make(map[string]bool)
	for _, heading := range runbookSection.FindAllStringSubmatch(readSource(t, "deploy/RUNBOOK.md"), -1) {
		sections[heading[1]] = strings.TrimSpace(heading[2]) != ""
	}
	alerts := make(map[string]bool)
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if alerts[r.Alert] {
				t.Errorf("alert %q is there twice", r.Alert)
			}
			alerts[r.Alert] = true
			expr, err := promql.ParseExpr(r.Expr)
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
