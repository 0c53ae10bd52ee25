// Package telemetry is what a process tells about itself: log records by slog,
// metrics and traces by OpenTelemetry, and an admin server with three pages:
//
//	/metrics  the metrics, in the format Prometheus reads
//	/healthz  200 while the process lives
//	/readyz   200 once every readiness check passes, else 503; one line per check
//
// Attribute keys are OpenTelemetry's: dotted, in lower case. Records logged
// with a context carry the trace_id and span_id of its span.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	promclient "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"flywheel/pkg/outage"
)

const (
	checkTimeout    = 2 * time.Second
	shutdownTimeout = 5 * time.Second
	headerTimeout   = 5 * time.Second
)

// Service is the process that tells.
type Service struct {
	Name    string // service.name, such as "flywheel-processor"
	Version string // service.version
}

// Telemetry is one process's means to tell about itself.
type Telemetry struct {
	cfg      Config
	logger   *slog.Logger
	registry *promclient.Registry
	metrics  *sdkmetric.MeterProvider
	traces   *sdktrace.TracerProvider // nil while tracing is off
	spans    *otlptrace.Exporter
	ready    chan struct{}
	addr     net.Addr // set before ready is closed

	mu     sync.Mutex
	checks []check
}

// New checks cfg and builds the providers. Nothing listens before Run. Records
// go to logs; they are text where the configuration or a terminal asks for it.
func New(cfg Config, service Service, logs io.Writer) (*Telemetry, error) {
	if err := errors.Join(cfg.Log.Format.Validate(), cfg.Admin.Validate(), cfg.Trace.Validate()); err != nil {
		return nil, fmt.Errorf("configure telemetry: %w", err)
	}
	about := resource.NewSchemaless(
		attribute.String("service.name", service.Name),
		attribute.String("service.version", service.Version),
	)
	t := &Telemetry{
		cfg:      cfg,
		logger:   newLogger(cfg.Log, logs).With("service.name", service.Name),
		registry: promclient.NewRegistry(),
		ready:    make(chan struct{}),
	}
	exporter, err := prometheus.New(prometheus.WithRegisterer(t.registry))
	if err != nil {
		return nil, fmt.Errorf("build the metrics exporter: %w", err)
	}
	t.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	t.metrics = sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithResource(about))
	_, err = t.metrics.Meter("flywheel/pkg/telemetry").Int64ObservableGauge("flywheel.ready",
		metric.WithDescription("1 while the process is ready, as /readyz says, and 0 while it is not."),
		metric.WithInt64Callback(func(ctx context.Context, o metric.Int64Observer) error {
			if _, ready := t.readiness(ctx); ready {
				o.Observe(1)
			} else {
				o.Observe(0)
			}
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("create the instrument of readiness: %w", err)
	}
	if cfg.Trace.Endpoint == "" {
		return t, nil
	}
	endpoint, err := url.JoinPath(cfg.Trace.Endpoint, "v1", "traces")
	if err != nil {
		return nil, fmt.Errorf("configure telemetry: endpoint: %w", err)
	}
	t.spans = otlptracehttp.NewUnstarted(otlptracehttp.WithEndpointURL(endpoint))
	t.traces = sdktrace.NewTracerProvider(
		sdktrace.WithResource(about),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(cfg.Trace.Ratio))),
	)
	return t, nil
}

// Logger returns the logger of the process.
func (t *Telemetry) Logger() *slog.Logger { return t.logger }

// MeterProvider returns where instruments are made.
func (t *Telemetry) MeterProvider() metric.MeterProvider { return t.metrics }

// TracerProvider returns where spans are made; they go nowhere while tracing is off, and
// before Run.
func (t *Telemetry) TracerProvider() trace.TracerProvider {
	if t.traces == nil {
		return noop.NewTracerProvider()
	}
	return t.traces
}

// Ready is closed once the admin server listens, or at once if it is off.
func (t *Telemetry) Ready() <-chan struct{} { return t.ready }

// Addr returns where the admin server listens; nil before Ready and when it is off.
func (t *Telemetry) Addr() net.Addr {
	select {
	case <-t.ready:
		return t.addr
	default:
		return nil
	}
}

// Run serves the admin pages until ctx ends, then sends the spans still held. Requests
// that do not end, and a collector that takes no spans, are told of and are no error.
func (t *Telemetry) Run(ctx context.Context) error {
	// The SDK reports failed exports only to one handler for the whole process.
	// A collector that is away is told of once a minute, not at every batch.
	var away outage.Outage
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		t.logger.Log(ctx, away.Level(), "telemetry was not exported", slog.Any("error.message", err))
	}))
	if t.traces == nil {
		return t.serve(ctx)
	}
	if err := t.spans.Start(ctx); err != nil {
		return fmt.Errorf("start sending spans to %s: %w", t.cfg.Trace.Endpoint, err)
	}
	t.traces.RegisterSpanProcessor(sdktrace.NewBatchSpanProcessor(t.spans))
	served := t.serve(ctx)
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := t.traces.Shutdown(flush); err != nil { // no fault of the service, whose work is done
		t.logger.WarnContext(ctx, "the last spans were not sent", slog.String("url.full", t.cfg.Trace.Endpoint), slog.Any("error.message", err))
	}
	return served
}

func (t *Telemetry) serve(ctx context.Context) error {
	if t.cfg.Admin.Listen == "" {
		close(t.ready)
		<-ctx.Done()
		return nil
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", t.cfg.Admin.Listen)
	if err != nil {
		return fmt.Errorf("serve /metrics: %w; choose another admin.listen", err)
	}
	t.addr = listener.Addr()
	close(t.ready)
	t.logger.Info("admin server listens", "server.address", t.addr.String())

	server := &http.Server{Handler: t.handler(ctx), ReadHeaderTimeout: headerTimeout}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve /metrics: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil { // no fault of the service, whose work is done
		t.logger.WarnContext(ctx, "requests to the admin server did not end and were cut off",
			slog.Duration("flywheel.duration", shutdownTimeout), slog.Any("error.message", errors.Join(err, server.Close())))
	}
	return nil
}

// handler serves the pages; once ctx has ended the process is no longer ready.
func (t *Telemetry) handler(ctx context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n") // a client that left needs no answer
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		report, ready := t.readiness(r.Context())
		if ctx.Err() != nil {
			report, ready = "stopping\n", false
		}
		if !ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, report) // a client that left needs no answer
	})
	return mux
}
