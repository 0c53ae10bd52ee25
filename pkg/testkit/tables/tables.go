// Package tables gives tests the pipeline's tables. It is apart from the rest of the test
// kit, which the tests of pkg/clickhouse themselves use.
package tables

import (
	"net/url"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/config"
	"flywheel/pkg/testkit"
)

// New returns a connection to a fresh database with all tables and views, which are empty,
// and how it is configured.
func New(t testing.TB) (driver.Conn, clickhouse.Config) {
	t.Helper()
	conn, dsn := testkit.ClickHouse(t)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg := clickhouse.DefaultConfig()
	password, _ := u.User.Password()
	cfg.Addresses, cfg.Database = []string{u.Host}, strings.TrimPrefix(u.Path, "/")
	cfg.User, cfg.Password = u.User.Username(), config.Secret(password)
	if _, err := clickhouse.Migrate(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return conn, cfg
}
