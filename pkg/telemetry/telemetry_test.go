package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.uber.org/goleak"

	"flywheel/pkg/telemetry"
	"flywheel/pkg/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var service = telemetry.Service{Name: "flywheel-test", Version: "v1"}

func serving() telemetry.Config {
	cfg := telemetry.DefaultConfig()
	cfg.Admin.Listen = "127.0.0.1:0"
	return cfg
}

// start runs t until the test ends and returns a function that gets a page.
func start(t *testing.T, tel *telemetry.Telemetry) (get func(page string) (int, string), stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tel.Run(ctx) }()
	select {
	case <-tel.Ready():
	case err := <-ended:
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get = func(page string) (int, string) {
		t.Helper()
		response, err := client.Get("http://" + tel.Addr().String() + page)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	return get, func() error {
		cancel()
		return <-ended
	}
}

func TestPages(t *testing.T) {
	tel, err := telemetry.New(serving(), service, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	events, err := tel.MeterProvider().Meter("flywheel/test").Int64Counter("flywheel.events")
	if err != nil {
		t.Fatal(err)
	}
	events.Add(t.Context(), 42)
	brokerDown := errors.New("no broker at localhost:9092")
	tel.AddCheck("kafka", func(context.Context) error { return brokerDown })
	tel.AddCheck("clickhouse", func(context.Context) error { return nil })
	get, stop := start(t, tel)

	if code, body := get("/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz answers %d %q", code, body)
	}
	if code, body := get("/readyz"); code != http.StatusServiceUnavailable || body != "kafka: no broker at localhost:9092\nclickhouse: ok\n" {
		t.Errorf("/readyz answers %d %q", code, body)
	}
	brokerDown = nil
	if code, body := get("/readyz"); code != http.StatusOK || body != "kafka: ok\nclickhouse: ok\n" {
		t.Errorf("/readyz answers %d %q", code, body)
	}
	_, page := get("/metrics")
	for _, want := range []string{"flywheel_events_total{", "} 42\n", `service_name="flywheel-test"`, "go_goroutines ", "process_open_fds "} {
		if !strings.Contains(page, want) {
			t.Errorf("/metrics lacks %s:\n%s", want, page)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestTheAdminServerIsOffUnlessAsked(t *testing.T) {
	tel, err := telemetry.New(telemetry.DefaultConfig(), service, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	_, stop := start(t, tel)
	if tel.Addr() != nil {
		t.Errorf("listens on %s", tel.Addr())
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestAPortAlreadyTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := serving()
	cfg.Admin.Listen = taken.Addr().String()
	tel, err := telemetry.New(cfg, service, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	want := "serve /metrics: listen tcp " + cfg.Admin.Listen + ": bind: address already in use; choose another admin.listen"
	if err := tel.Run(t.Context()); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNewRefuses(t *testing.T) {
	for want, change := range map[string]func(*telemetry.Config){
		`listen: "9464" is not host:port, such as 127.0.0.1:9464`:      func(c *telemetry.Config) { c.Admin.Listen = "9464" },
		`listen: the port in ":99999" is not a number from 0 to 65535`: func(c *telemetry.Config) { c.Admin.Listen = ":99999" },
		`endpoint: "localhost:4318" is not a URL such as`:              func(c *telemetry.Config) { c.Trace.Endpoint = "localhost:4318" },
		`ratio: 1.5 is not between 0 and 1`:                            func(c *telemetry.Config) { c.Trace.Ratio = 1.5 },
		`configure telemetry: "logfmt" is none of auto, text and json`: func(c *telemetry.Config) { c.Log.Format = "logfmt" },
	} {
		cfg := telemetry.DefaultConfig()
		change(&cfg)
		if _, err := telemetry.New(cfg, service, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestRecords(t *testing.T) {
	for name, tc := range map[string]struct {
		format telemetry.Format
		level  slog.Level
		want   string
	}{
		"json when it is no terminal": {telemetry.FormatAuto, slog.LevelInfo, `"level":"INFO","msg":"connected","service.name":"flywheel-test","server.address":"a:1","flywheel.pause":"1.5s"}` + "\n"},
		"text when asked for":         {telemetry.FormatText, slog.LevelInfo, "level=INFO msg=connected service.name=flywheel-test server.address=a:1 flywheel.pause=1.5s\n"},
		"nothing below the level":     {telemetry.FormatText, slog.LevelWarn, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var logs bytes.Buffer
			cfg := telemetry.DefaultConfig()
			cfg.Log.Format, cfg.Log.Level = tc.format, tc.level
			tel, err := telemetry.New(cfg, service, &logs)
			if err != nil {
				t.Fatal(err)
			}
			tel.Logger().Info("connected", "server.address", "a:1", "flywheel.pause", 1500*time.Millisecond)
			if !strings.HasSuffix(logs.String(), tc.want) || (tc.want == "") != (logs.Len() == 0) {
				t.Errorf("logged %q, want …%q", logs.String(), tc.want)
			}
		})
	}
}

// A collector receives the spans when the process stops, and records logged
// under a span name it.
func TestTraces(t *testing.T) {
	received := make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		received <- r.URL.Path
	}))
	defer collector.Close()
	cfg := telemetry.DefaultConfig()
	cfg.Trace.Endpoint = collector.URL
	var logs bytes.Buffer
	tel, err := telemetry.New(cfg, service, &logs)
	if err != nil {
		t.Fatal(err)
	}
	_, stop := start(t, tel)
	ctx, span := tel.TracerProvider().Tracer("flywheel/test").Start(t.Context(), "batch")
	tel.Logger().With("messaging.destination.partition.id", "3").InfoContext(ctx, "committed")
	span.End()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if path := <-received; path != "/v1/traces" {
		t.Errorf("spans went to %s", path)
	}
	var record map[string]any
	if err := json.Unmarshal(logs.Bytes(), &record); err != nil {
		t.Fatal(err)
	}
	if record["trace_id"] != span.SpanContext().TraceID().String() || record["span_id"] != span.SpanContext().SpanID().String() {
		t.Errorf("the record does not name its span: %v", record)
	}
}

func TestACollectorThatIsAwayIsToldOfOnce(t *testing.T) {
	var logs bytes.Buffer
	tel, err := telemetry.New(serving(), service, &logs)
	if err != nil {
		t.Fatal(err)
	}
	_, stop := start(t, tel)
	for range 3 { // as the SDK does at every batch
		otel.Handle(errors.New("no collector"))
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(logs.String(), "telemetry was not exported"); n != 1 {
		t.Errorf("it was told %d times, want once:\n%s", n, logs.String())
	}
}

// Both of these wait for all of the time that a stop may take, so they do it side by side.

func TestAScrapeThatHangsDoesNotFailAStop(t *testing.T) {
	t.Parallel()
	var logs testkit.Log
	tel, err := telemetry.New(serving(), service, &logs)
	if err != nil {
		t.Fatal(err)
	}
	asked, release := make(chan struct{}), make(chan struct{})
	tel.AddCheck("stuck", func(context.Context) error {
		close(asked)
		<-release
		return nil
	})
	_, stop := start(t, tel)
	scraped := make(chan error, 1)
	go func() {
		response, err := http.Get("http://" + tel.Addr().String() + "/metrics")
		if err == nil {
			err = response.Body.Close()
		}
		scraped <- err
	}()
	<-asked
	if err := stop(); err != nil {
		t.Errorf("the service has stopped, and returned %v", err)
	}
	if err := <-scraped; err == nil {
		t.Error("the scrape was answered, or its connection is open")
	}
	close(release)
	if !strings.Contains(logs.String(), `"msg":"requests to the admin server did not end and were cut off"`) {
		t.Errorf("it does not say so:\n%s", logs.String())
	}
}

func TestACollectorThatIsSilentDoesNotFailAStop(t *testing.T) {
	t.Parallel()
	collector, err := net.Listen("tcp4", "127.0.0.1:0") // which nobody answers for
	if err != nil {
		t.Fatal(err)
	}
	defer collector.Close()
	cfg := telemetry.DefaultConfig()
	cfg.Trace.Endpoint = "http://" + collector.Addr().String()
	var logs testkit.Log
	tel, err := telemetry.New(cfg, service, &logs)
	if err != nil {
		t.Fatal(err)
	}
	_, stop := start(t, tel)
	_, span := tel.TracerProvider().Tracer("flywheel/test").Start(t.Context(), "batch")
	span.End()
	if err := stop(); err != nil {
		t.Errorf("the service has stopped, and returned %v", err)
	}
	if !strings.Contains(logs.String(), `"msg":"the last spans were not sent"`) || !strings.Contains(logs.String(), cfg.Trace.Endpoint) {
		t.Errorf("it does not say so:\n%s", logs.String())
	}
}
