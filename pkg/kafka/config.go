package kafka

import (
	"errors"
	"fmt"
	"net"
	"time"

	"flywheel/pkg/config"
)

// Config says how to reach Kafka. The defaults reach the embedded broker.
type Config struct {
	Brokers        []string      `yaml:"brokers" doc:"Addresses host:port of brokers to ask first; the rest of the cluster is found through them."`
	ClientID       string        `yaml:"client_id" doc:"Name of this client in the brokers' logs and quotas."`
	TLS            TLSConfig     `yaml:"tls" doc:"Encryption of the connections."`
	SASL           SASLConfig    `yaml:"sasl" doc:"Authentication of the connections."`
	DialTimeout    time.Duration `yaml:"dial_timeout" doc:"Give up one attempt to connect after this long."`
	ConnectTimeout time.Duration `yaml:"connect_timeout" doc:"Give up at start when no broker has answered for this long, or no schema registry."`
	RequestTimeout time.Duration `yaml:"request_timeout" doc:"Time added to what a request itself asks for before it counts as failed and is tried again."`
	BufferRecords  int           `yaml:"buffer_records" doc:"Records a producer holds in memory; when they are full, producing waits."`
	Topics         TopicsConfig  `yaml:"topics" doc:"How topics are created."`
}

// TLSConfig turns on encryption.
type TLSConfig struct {
	Enabled    bool   `yaml:"enabled" doc:"Whether to speak TLS."`
	CAFile     string `yaml:"ca_file" doc:"PEM file of the authorities that sign the brokers' certificates; empty trusts the system's."`
	CertFile   string `yaml:"cert_file" doc:"PEM file of the client's certificate, for mutual TLS; empty for none."`
	KeyFile    string `yaml:"key_file" doc:"PEM file of the client's key."`
	ServerName string `yaml:"server_name" doc:"Name expected in the brokers' certificates; empty takes the host of the address."`
}

// SASLConfig turns on authentication.
type SASLConfig struct {
	Mechanism string        `yaml:"mechanism" doc:"plain, scram-sha-256 or scram-sha-512; empty for none."`
	User      string        `yaml:"user" doc:"User name."`
	Password  config.Secret `yaml:"password" doc:"Password; better given by the environment than in a file."`
}

// TopicsConfig says how topics are created.
type TopicsConfig struct {
	Partitions  int32 `yaml:"partitions" doc:"Partitions of every topic; it cannot be changed while the topics hold data."`
	Replication int16 `yaml:"replication" doc:"Replicas of every partition; 3 in production, where two must then acknowledge a record; -1 leaves it to the broker."`
}

// DefaultConfig reaches the embedded broker.
func DefaultConfig() Config {
	return Config{
		Brokers:        []string{"127.0.0.1:19092"},
		ClientID:       "flywheel",
		DialTimeout:    5 * time.Second,
		ConnectTimeout: 10 * time.Second,
		RequestTimeout: 10 * time.Second,
		BufferRecords:  10_000,
		Topics:         TopicsConfig{Partitions: 12, Replication: 1},
	}
}

// Bounds of the configuration.
const (
	partitionsMax    = 1000
	bufferRecordsMax = 1_000_000
)

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Brokers) == 0 {
		fail("brokers: give at least one address host:port")
	}
	for _, b := range c.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || port == "" {
			fail("brokers: %q is not an address host:port", b)
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"dial_timeout", c.DialTimeout}, {"connect_timeout", c.ConnectTimeout}, {"request_timeout", c.RequestTimeout}} {
		if d.value < time.Millisecond || d.value > time.Hour {
			fail("%s: %s is not between 1ms and 1h", d.name, d.value)
		}
	}
	if c.BufferRecords < 1 || c.BufferRecords > bufferRecordsMax {
		fail("buffer_records: %d is not between 1 and %d", c.BufferRecords, bufferRecordsMax)
	}
	return errors.Join(errs...)
}

// Validate reports files that are named but would not be read.
func (c TLSConfig) Validate() error {
	if !c.Enabled && (c.CAFile != "" || c.CertFile != "" || c.KeyFile != "") {
		return errors.New("enabled: certificates are given, but TLS is off: set it to true or remove them")
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errors.New("cert_file: certificate and key_file go together: give both or none")
	}
	return nil
}

// Validate reports an unknown mechanism or a missing user.
func (c SASLConfig) Validate() error {
	switch c.Mechanism {
	case "":
		if c.User != "" || c.Password != "" {
			return errors.New("mechanism: a user is given, but no mechanism: use plain, scram-sha-256 or scram-sha-512")
		}
	case mechanismPlain, mechanismScram256, mechanismScram512:
		if c.User == "" {
			return errors.New("user: is empty, but a mechanism is given")
		}
	default:
		return fmt.Errorf("mechanism: %q is unknown: use plain, scram-sha-256 or scram-sha-512", c.Mechanism)
	}
	return nil
}

// Validate reports counts that cannot be.
func (c TopicsConfig) Validate() error {
	if c.Partitions < 1 || c.Partitions > partitionsMax {
		return fmt.Errorf("partitions: %d is not between 1 and %d", c.Partitions, partitionsMax)
	}
	if c.Replication == 0 || c.Replication < -1 {
		return fmt.Errorf("replication: %d is neither -1 nor 1 or more", c.Replication)
	}
	return nil
}
