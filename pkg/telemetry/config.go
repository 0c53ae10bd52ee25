package telemetry

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
)

// Config says what a process tells about itself. Its keys stand at the top of
// the configuration.
type Config struct {
	Log   LogConfig   `yaml:"log" doc:"What is written to standard error."`
	Admin AdminConfig `yaml:"admin" doc:"The HTTP server for /metrics, /healthz and /readyz."`
	Trace TraceConfig `yaml:"trace" doc:"Where spans go."`
}

// LogConfig says how records are logged.
type LogConfig struct {
	Level  slog.Level `yaml:"level" doc:"Least severe level that is logged: debug, info, warn or error. Except with debug, warnings of the Kafka client that say the same are logged once a minute, with their number."`
	Format Format     `yaml:"format" doc:"Form of a record: text, json, or auto for text on a terminal and json elsewhere."`
}

// AdminConfig says where the admin server listens.
type AdminConfig struct {
	Listen string `yaml:"listen" doc:"Address host:port to listen on, such as 127.0.0.1:9464; port 0 takes a free one, empty turns the server off."`
}

// TraceConfig says where spans go.
type TraceConfig struct {
	Endpoint string  `yaml:"endpoint" doc:"URL of an OTLP collector over HTTP, such as http://localhost:4318; empty turns tracing off."`
	Ratio    float64 `yaml:"ratio" doc:"Share of the traces that is kept, from 0 to 1."`
}

// Format is the form of a log record.
type Format string

// The values of Format.
const (
	FormatAuto Format = "auto"
	FormatText Format = "text"
	FormatJSON Format = "json"
)

// DefaultConfig logs from level info, serves nothing and traces nothing.
func DefaultConfig() Config {
	return Config{Log: LogConfig{Format: FormatAuto}, Trace: TraceConfig{Ratio: 1}}
}

// Validate refuses a format that does not exist.
func (f Format) Validate() error {
	switch f {
	case FormatAuto, FormatText, FormatJSON:
		return nil
	}
	return fmt.Errorf("%q is none of auto, text and json", string(f))
}

// Validate refuses an address nobody could listen on.
func (c AdminConfig) Validate() error {
	if c.Listen == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %q is not host:port, such as 127.0.0.1:9464", c.Listen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("listen: the port in %q is not a number from 0 to 65535", c.Listen)
	}
	return nil
}

// Validate refuses what is no URL and what is no share.
func (c TraceConfig) Validate() error {
	var errs []error
	if u, err := url.Parse(c.Endpoint); c.Endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, fmt.Errorf("endpoint: %q is not a URL such as http://localhost:4318", c.Endpoint))
	}
	if c.Ratio < 0 || c.Ratio > 1 {
		errs = append(errs, fmt.Errorf("ratio: %v is not between 0 and 1", c.Ratio))
	}
	return errors.Join(errs...)
}
