package main

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/config"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/pkg/telemetry"
	"flywheel/pkg/testkit"
	"flywheel/services/processor"
	"flywheel/services/sink"

	"github.com/goccy/go-yaml"
	"github.com/twmb/franz-go/pkg/kgo"
)

// rules is a rule file of Prometheus.
type rules struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			For         string            `yaml:"for"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

var (
	tableRow = regexp.MustCompile("(?m)^\\| `(\\w+)`")
	grouping = regexp.MustCompile(`\bby \(([^)]*)\)`)
	matcher  = regexp.MustCompile(`(\w+)\s*(=~|!=|!~|=)\s*"([^"]*)"`)
)

// scrape returns what the services expose, as Prometheus would see it: a line for each
// series, once the processor and the sink work.
func scrape(t *testing.T) []string {
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
	_, dsn := testkit.ClickHouse(t)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	tables := clickhouse.DefaultConfig()
	password, _ := u.User.Password()
	tables.Addresses, tables.Database, tables.User, tables.Password = []string{u.Host}, u.Path[1:], u.User.Username(), config.Secret(password)
	if _, err := clickhouse.Migrate(t.Context(), tables); err != nil {
		t.Fatal(err)
	}
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
	s, err := sink.New(sink.DefaultConfig(), kafkaConfig, tables, registry, tel.Logger(), tel.MeterProvider(), tel.TracerProvider())
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
	awaited := []string{"flywheel_processor_lag{", "flywheel_sink_lag{", "flywheel_processor_commit_duration_seconds_count{", "flywheel_sink_freshness_seconds_count{"}
	var series []string
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get("http://" + tel.Addr().String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		series = series[:0]
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if line := lines.Text(); !strings.HasPrefix(line, "#") {
				series = append(series, line)
			}
		}
		_ = resp.Body.Close() // it was read
		awaited = slices.DeleteFunc(awaited, func(name string) bool {
			return slices.ContainsFunc(series, func(l string) bool { return strings.HasPrefix(l, name) })
		})
		if len(awaited) == 0 {
			return series
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing exposes %v:\n%s", awaited, strings.Join(series, "\n"))
		}
	}
}

// TestAlerts holds deploy/alerts.yml, and the names in deploy/METRICS.md, against what the
// services expose from their start: a name that does not exist never fires.
func TestAlerts(t *testing.T) {
	series := scrape(t)
	exposed := func(selector string) bool {
		name, labels, _ := strings.Cut(strings.TrimSuffix(selector, "}"), "{")
		return slices.ContainsFunc(series, func(line string) bool {
			if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
				return false
			}
			for _, m := range matcher.FindAllStringSubmatch(labels, -1) {
				has := regexp.MustCompile(`[{,]` + m[1] + `="([^"]*)"`).FindStringSubmatch(line)
				if has == nil || m[2] == "=" && has[1] != m[3] || m[2] == "=~" && !regexp.MustCompile(`^(?:`+m[3]+`)$`).MatchString(has[1]) {
					return false
				}
			}
			return true
		})
	}
	var file rules
	if err := yaml.UnmarshalWithOptions([]byte(readSource(t, "deploy/alerts.yml")), &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	selector := regexp.MustCompile(`\b(?:flywheel|process|go)_\w+(?:\{[^}]*\})?`)
	alerts := make(map[string]bool)
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if alerts[r.Alert] || r.Alert == "" {
				t.Errorf("alert %q is there twice, or has no name", r.Alert)
			}
			alerts[r.Alert] = true
			for _, by := range grouping.FindAllStringSubmatch(r.Expr, -1) {
				for label := range strings.SplitSeq(by[1], ",") {
					if !slices.ContainsFunc(series, func(line string) bool { return strings.Contains(line, strings.TrimSpace(label)+`="`) }) {
						t.Errorf("%s: nothing exposes the label %s", r.Alert, label)
					}
				}
			}
			used := selector.FindAllString(grouping.ReplaceAllString(r.Expr, ""), -1)
			if len(used) == 0 && !strings.Contains(r.Expr, "up{") {
				t.Errorf("%s watches nothing of ours: %s", r.Alert, r.Expr)
			}
			for _, s := range used {
				if !exposed(s) {
					t.Errorf("%s: nothing exposes %s", r.Alert, s)
				}
			}
			if strings.Count(r.Expr, "(") != strings.Count(r.Expr, ")") || strings.Count(r.Expr, "{") != strings.Count(r.Expr, "}") {
				t.Errorf("%s: brackets of %s", r.Alert, r.Expr)
			}
			if _, err := time.ParseDuration(r.For); err != nil {
				t.Errorf("%s: for: %v", r.Alert, err)
			}
			if r.Labels["severity"] == "" || !strings.HasSuffix(r.Annotations["summary"], ".") || !strings.HasSuffix(r.Annotations["do"], ".") {
				t.Errorf("%s has no severity, or does not say in sentences what it means and what to do: %v %v", r.Alert, r.Labels, r.Annotations)
			}
		}
	}
	if len(alerts) < 5 {
		t.Errorf("only these alerts were found: %v", slices.Sorted(maps.Keys(alerts)))
	}
	table := make(map[string]bool)
	for _, row := range tableRow.FindAllStringSubmatch(readSource(t, "deploy/METRICS.md"), -1) {
		name := row[1]
		table[name] = true
		if !exposed(name) && !exposed(name+"_count") {
			t.Errorf("deploy/METRICS.md: nothing exposes %s", name)
		}
	}
	for _, line := range series {
		name, _, _ := strings.Cut(line, "{")
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, suffix)
		}
		if strings.HasPrefix(name, "flywheel_") && !table[name] {
			t.Errorf("deploy/METRICS.md does not name %s", name)
			table[name] = true
		}
	}
}
