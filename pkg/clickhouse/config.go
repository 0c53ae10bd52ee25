package clickhouse

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"time"

	"flywheel/pkg/config"
)

// The protocols ClickHouse is spoken to with.
const (
	protocolHTTP   = "http"
	protocolNative = "native"
)

// Config says how to reach ClickHouse. The defaults reach the embedded engine.
type Config struct {
	Addresses    []string      `yaml:"addresses" doc:"Addresses host:port of replicas; a connection goes to the first that answers."`
	Protocol     string        `yaml:"protocol" doc:"http (ports 8123 and 8443) or native (ports 9000 and 9440)."`
	TLS          bool          `yaml:"tls" doc:"Whether to encrypt the connections; the certificate must be one the system trusts."`
	Database     string        `yaml:"database" doc:"Database of all tables; 'flywheel migrate' creates it."`
	User         string        `yaml:"user" doc:"User name."`
	Password     config.Secret `yaml:"password" doc:"Password; better given by the environment than in a file."`
	DialTimeout  time.Duration `yaml:"dial_timeout" doc:"Give up one attempt to connect after this long."`
	QueryTimeout time.Duration `yaml:"query_timeout" doc:"Give up a statement that has been silent for this long."`
	ConnsMax     int           `yaml:"conns_max" doc:"Connections open at once."`
	Cluster      string        `yaml:"cluster" doc:"Name of the cluster of replicas: tables are then created on all of them with replicated engines. Empty for a single server."`
	InsertQuorum int           `yaml:"insert_quorum" doc:"Replicas that must hold rows before they count as written; 0 trusts the one that took them."`
}

// DefaultConfig reaches the embedded engine.
func DefaultConfig() Config {
	return Config{
		Addresses:    []string{"127.0.0.1:18123"},
		Protocol:     protocolHTTP,
		Database:     "flywheel",
		User:         "flywheel",
		Password:     "flywheel",
		DialTimeout:  5 * time.Second,
		QueryTimeout: time.Minute,
		ConnsMax:     8,
	}
}

// Shown is a password in a command line for people to copy: masked, unless it is
// that of the defaults, which everybody knows.
func Shown(password config.Secret) string {
	if password == DefaultConfig().Password {
		return password.Reveal()
	}
	return password.String()
}

const (
	connsMax  = 1000
	quorumMax = 100
)

// name is what a database or cluster may be called: it is written into
// statements as it is.
var name = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Addresses) == 0 {
		fail("addresses: give at least one address host:port")
	}
	for _, a := range c.Addresses {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			fail("addresses: %q is not an address host:port", a)
		}
	}
	if c.Protocol != protocolHTTP && c.Protocol != protocolNative {
		fail("protocol: %q is unknown: use %s or %s", c.Protocol, protocolHTTP, protocolNative)
	}
	if !name.MatchString(c.Database) {
		fail("database: %q is not a name of letters, digits and underscores", c.Database)
	}
	if c.User == "" {
		fail("user: is empty")
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"dial_timeout", c.DialTimeout}, {"query_timeout", c.QueryTimeout}} {
		if d.value < time.Millisecond || d.value > time.Hour {
			fail("%s: %s is not between 1ms and 1h", d.key, d.value)
		}
	}
	if c.ConnsMax < 1 || c.ConnsMax > connsMax {
		fail("conns_max: %d is not between 1 and %d", c.ConnsMax, connsMax)
	}
	if c.Cluster != "" && !name.MatchString(c.Cluster) {
		fail("cluster: %q is not a name of letters, digits and underscores", c.Cluster)
	}
	if c.InsertQuorum < 0 || c.InsertQuorum > quorumMax {
		fail("insert_quorum: %d is not between 0 and %d", c.InsertQuorum, quorumMax)
	}
	if c.InsertQuorum > 1 && c.Cluster == "" {
		fail("insert_quorum: %d replicas are asked for, but cluster is empty", c.InsertQuorum)
	}
	return errors.Join(errs...)
}
