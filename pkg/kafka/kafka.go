// Package kafka is the pipeline's way to Kafka: client options from the
// configuration, the topics as schemas/topics.yaml wants them, and the producer
// of the connectors.
package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"github.com/twmb/franz-go/plugin/kotel"
	"go.opentelemetry.io/otel/metric"

	"flywheel/pkg/event"
)

const (
	mechanismPlain    = "plain"
	mechanismScram256 = "scram-sha-256"
	mechanismScram512 = "scram-sha-512"
)

// metadataAgeMin lies between two looks at who leads what, while something is wrong. A batch
// that a broker refuses for now waits in franz-go for the next one: also results that come before
// the markers of the transaction before are written, as on a busy broker (CONCURRENT_TRANSACTIONS,
// seen on Apache Kafka 4.3.0). franz-go's own 5 s are a third of what a transaction may last.
const metadataAgeMin = 250 * time.Millisecond

// Options returns the client options that every client of the pipeline shares:
// addresses, security, timeouts, partitioning by key, logging and metrics.
// It fails when a certificate cannot be read.
func Options(cfg Config, logger *slog.Logger, meters metric.MeterProvider) ([]kgo.Opt, error) {
	if err := errors.Join(cfg.Validate(), cfg.TLS.Validate(), cfg.SASL.Validate(), cfg.Topics.Validate()); err != nil {
		return nil, fmt.Errorf("check the Kafka configuration: %w", err)
	}
	meter := kotel.NewKotel(kotel.WithMeter(kotel.NewMeter(kotel.MeterProvider(meters))))
	opts := []kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.ClientID(cfg.ClientID),
		kgo.DialTimeout(cfg.DialTimeout),
		kgo.RequestTimeoutOverhead(cfg.RequestTimeout),
		kgo.MetadataMinAge(metadataAgeMin),
		kgo.MaxBufferedRecords(cfg.BufferRecords),
		kgo.RecordPartitioner(partitioner{}),
		kgo.WithLogger(log{logger}),
		kgo.WithHooks(meter.Hooks()...),
	}
	if cfg.TLS.Enabled {
		t, err := tlsConfig(cfg.TLS)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	if m := mechanism(cfg.SASL); m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	return opts, nil
}

// Connect returns a client once a broker has answered it, and otherwise, after
// cfg.ConnectTimeout, an error that names the addresses and the setting. The
// extra options come last and win.
func Connect(ctx context.Context, cfg Config, logger *slog.Logger, meters metric.MeterProvider, extra ...kgo.Opt) (*kgo.Client, error) {
	opts, err := Options(cfg, logger, meters)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts, extra...)...)
	if err != nil {
		return nil, fmt.Errorf("configure the Kafka client: %w", err)
	}
	if err := Ping(ctx, cfg, logger, client); err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

// leaveTimeout bounds how long a member of a group waits, when it ends, for its
// coordinator.
const leaveTimeout = 5 * time.Second

// Leave closes a client that is a member of a group. franz-go waits for the answer
// to a join, which the coordinator may hold back until every other member has
// joined as well: after a while end cuts that short. It must cancel the context
// that the client was given by kgo.WithContext.
func Leave(client *kgo.Client, end context.CancelFunc) {
	defer time.AfterFunc(leaveTimeout, end).Stop()
	client.CloseAllowingRebalance()
}

// pingPause lies between two attempts to reach a broker.
const pingPause = 500 * time.Millisecond

// Ping waits until a broker answers the client, at most cfg.ConnectTimeout.
func Ping(ctx context.Context, cfg Config, logger *slog.Logger, client *kgo.Client) error {
	deadline, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	var last error
	for tries := 1; ; tries++ {
		err := client.Ping(deadline)
		if err == nil {
			return nil
		}
		// The attempt that the deadline cuts short says less than the one before it.
		if last == nil || deadline.Err() == nil {
			last = err
		}
		if tries == 1 {
			logger.WarnContext(ctx, "kafka does not answer yet; trying on",
				slog.Any("server.address", cfg.Brokers), slog.Any("error.message", err))
		}
		select {
		case <-deadline.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("connect to Kafka at %s: %w", strings.Join(cfg.Brokers, ", "), ctx.Err())
			}
			return fmt.Errorf("no Kafka broker answered at %s within %s: start it, or correct kafka.brokers (and kafka.tls, kafka.sasl): %w",
				strings.Join(cfg.Brokers, ", "), cfg.ConnectTimeout, last)
		case <-time.After(pingPause):
		}
	}
}

// Persist repeats what fails on the way to a broker, such as one that is just
// starting, for at most cfg.ConnectTimeout. What a broker answers is final. When
// ctx ends before, the error is also ctx's.
func Persist(ctx context.Context, cfg Config, f func(context.Context) error) error {
	for started := time.Now(); ; {
		err := f(ctx)
		if err == nil || !unreachable(err) || time.Since(started) >= cfg.ConnectTimeout {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(pingPause):
		}
	}
}

func unreachable(err error) bool {
	eof, system := new(kgo.ErrFirstReadEOF), new(os.SyscallError)
	return errors.As(err, &eof) || errors.As(err, &system) || errors.Is(err, io.EOF)
}

func tlsConfig(cfg TLSConfig) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cfg.ServerName}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read kafka.tls.ca_file: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read kafka.tls.ca_file: %q holds no certificate in PEM form", cfg.CAFile)
		}
	}
	if cfg.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read kafka.tls.cert_file and key_file: %w", err)
		}
		t.Certificates = []tls.Certificate{cert}
	}
	return t, nil
}

func mechanism(cfg SASLConfig) sasl.Mechanism {
	switch cfg.Mechanism {
	case mechanismPlain:
		return plain.Auth{User: cfg.User, Pass: cfg.Password.Reveal()}.AsMechanism()
	case mechanismScram256:
		return scram.Auth{User: cfg.User, Pass: cfg.Password.Reveal()}.AsSha256Mechanism()
	case mechanismScram512:
		return scram.Auth{User: cfg.User, Pass: cfg.Password.Reveal()}.AsSha512Mechanism()
	}
	return nil
}

// partitioner puts a record where its key hashes to, by the murmur2 of Kafka's
// own clients, so that a brand meets itself in the same partition of every
// topic whoever produced it. Only the changelog's records say themselves where
// they belong: to the partition of the input they stem from.
type partitioner struct{}

func (partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if topic == event.TopicState {
		return kgo.ManualPartitioner().ForTopic(topic)
	}
	return kgo.StickyKeyPartitioner(nil).ForTopic(topic)
}

// log hands franz-go's log lines on. Its information is about single requests
// and transactions: detail to us.
type log struct{ to *slog.Logger }

func (l log) Level() kgo.LogLevel {
	switch ctx := context.Background(); {
	case l.to.Enabled(ctx, slog.LevelDebug):
		return kgo.LogLevelInfo
	case l.to.Enabled(ctx, slog.LevelWarn):
		return kgo.LogLevelWarn
	case l.to.Enabled(ctx, slog.LevelError):
		return kgo.LogLevelError
	}
	return kgo.LogLevelNone
}

func (l log) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	to := slog.LevelDebug
	switch level {
	case kgo.LogLevelError:
		to = slog.LevelError
	case kgo.LogLevelWarn:
		to = slog.LevelWarn
	}
	l.to.Log(context.Background(), to, "kafka client", append([]any{slog.String("kafka.message", msg)}, keyvals...)...)
}
