package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

func TestOpenSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	conn, cfg := database(t)
	must(t, conn.Ping(t.Context()))
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
		is     error
	}{
		"nobody listens": {
			func(c *Config) { c.Addresses = []string{"127.0.0.1:1"} },
			"ClickHouse does not answer at 127.0.0.1:1: start it, or correct clickhouse.addresses (and clickhouse.protocol, now http): dial tcp 127.0.0.1:1: connect: connection refused", nil,
		},
		"a wrong password": {
			func(c *Config) { c.Password = "guessed" },
			fmt.Sprintf("ClickHouse at %s refuses the login of user %q: correct clickhouse.user and clickhouse.password", cfg.Addresses[0], cfg.User), ErrLogin,
		},
		"a database that is missing": {
			func(c *Config) { c.Database = "nowhere" },
			fmt.Sprintf("ClickHouse at %s has no database \"nowhere\": run 'flywheel migrate', or correct clickhouse.database", cfg.Addresses[0]), ErrMigrate,
		},
		"a configuration that cannot be": {
			func(c *Config) { c.ConnsMax = 0 },
			"check the ClickHouse configuration: conns_max: 0 is not between 1 and 1000", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := cfg
			tc.change(&cfg)
			_, err := Open(t.Context(), cfg)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("%v is no %v", err, tc.is)
			}
		})
	}
}

func TestOpenStopsWhenAsked(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0") // takes connections and never answers
	must(t, err)
	defer listener.Close()
	cfg := DefaultConfig()
	cfg.Addresses = []string{listener.Addr().String()}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, cfg); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no address":                     {func(c *Config) { c.Addresses = nil }, "addresses: give at least one"},
		"an address without a port":      {func(c *Config) { c.Addresses = []string{"localhost"} }, `"localhost" is not an address host:port`},
		"a protocol of its own":          {func(c *Config) { c.Protocol = "https" }, `protocol: "https" is unknown`},
		"a database that would be code":  {func(c *Config) { c.Database = "a; DROP" }, "database:"},
		"no user":                        {func(c *Config) { c.User = "" }, "user: is empty"},
		"no time to connect":             {func(c *Config) { c.DialTimeout = 0 }, "dial_timeout: 0s"},
		"no time to answer":              {func(c *Config) { c.QueryTimeout = 2 * time.Hour }, "query_timeout: 2h0m0s"},
		"no connection":                  {func(c *Config) { c.ConnsMax = 0 }, "conns_max: 0"},
		"a cluster that would be code":   {func(c *Config) { c.Cluster = "a b" }, "cluster:"},
		"a negative quorum":              {func(c *Config) { c.InsertQuorum = -1 }, "insert_quorum: -1"},
		"a quorum of one server's peers": {func(c *Config) { c.InsertQuorum = 2 }, "insert_quorum: 2 replicas are asked for, but cluster is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			tc.change(&cfg)
			if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	must(t, DefaultConfig().Validate())
}

func TestOnlyThePasswordEverybodyKnowsIsShown(t *testing.T) {
	if got := Shown(DefaultConfig().Password); got != "flywheel" {
		t.Errorf("the default is shown as %q", got)
	}
	if got := Shown("hush"); strings.Contains(got, "hush") || got == "" {
		t.Errorf("a password of one's own is shown as %q", got)
	}
}

func TestFaultsAreTold(t *testing.T) {
	conn, cfg := database(t)
	exec(t, conn, "CREATE TABLE t (n Int32, s String, CONSTRAINT small CHECK n < 10) ENGINE = MergeTree ORDER BY n")
	columns, err := Columns(t.Context(), conn, "t")
	must(t, err)
	must(t, Insert(t.Context(), conn, "t", columns, []any{[]int32{1, 2}, []string{"a", "b"}}))
	if n := count(t, conn, "SELECT count() FROM t"); n != 2 {
		t.Fatalf("%d rows were written", n)
	}
	renamed := []Column{{"n", "Int32"}, {"gone", "String"}}
	away, stop := context.WithCancel(t.Context())
	stop()
	for name, tc := range map[string]struct {
		insert func() error
		want   Fault
	}{
		"a row that breaks a constraint": {func() error {
			return Insert(t.Context(), conn, "t", columns, []any{[]int32{1, 11}, []string{"a", "b"}})
		}, FaultRows},
		"a column that is gone": {func() error {
			return Insert(t.Context(), conn, "t", renamed, []any{[]int32{1}, []string{"a"}})
		}, FaultSchema},
		"values of another type": {func() error {
			return Insert(t.Context(), conn, "t", columns, []any{[]string{"x"}, []string{"a"}})
		}, FaultSchema},
		"a table that is gone": {func() error {
			return Insert(t.Context(), conn, "gone", columns, []any{[]int32{1}, []string{"a"}})
		}, FaultSchema},
		"an insert that is cut short": {func() error {
			return Insert(away, conn, "t", columns, []any{[]int32{1}, []string{"a"}})
		}, FaultServer},
		"a table nobody knows": {func() error {
			_, err := Columns(t.Context(), conn, "gone")
			return err
		}, FaultSchema},
		"a server that is away": {func() error {
			cfg := cfg
			cfg.Addresses = []string{"127.0.0.1:1"}
			_, err := Open(t.Context(), cfg)
			return err
		}, FaultServer},
		"too little memory": {func() error {
			return conn.Exec(t.Context(), "SELECT groupArray(number) FROM numbers(10000000) SETTINGS max_memory_usage = 1000000")
		}, FaultServer},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.insert()
			if err == nil {
				t.Fatal("it succeeds")
			}
			if got := FaultOf(err); got != tc.want {
				t.Errorf("the fault of %v is %d, want %d", err, got, tc.want)
			}
		})
	}
	if n := count(t, conn, "SELECT count() FROM t"); n != 2 {
		t.Errorf("%d rows: a refused batch left some behind", n)
	}
}
