// Package clickhouse is the pipeline's way to ClickHouse: connections from the
// configuration, the migrations of schemas/clickhouse, inserts by column, and
// whose fault an error is.
package clickhouse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// ErrMigrate says that the tables are not what this program needs, and that
// `flywheel migrate` makes them so.
var ErrMigrate = errors.New("run 'flywheel migrate'")

// ErrAltered says that a column is not of the type that its migration gives it. That of a
// column that is there is for nobody to change but who changed it.
var ErrAltered = errors.New("give it the type of its migration in schemas/clickhouse back, with ALTER TABLE … MODIFY COLUMN")

// ErrLogin says that ClickHouse answers and lets this user in nowhere, or not
// where it has to be.
var ErrLogin = errors.New("correct clickhouse.user and clickhouse.password")

// Open returns a pool of connections once ClickHouse has answered and the
// login is accepted. Its error says in one sentence what to do; it is an
// ErrMigrate when the database does not exist.
func Open(ctx context.Context, cfg Config) (driver.Conn, error) {
	return open(ctx, cfg, cfg.Database)
}

func open(ctx context.Context, cfg Config, database string) (driver.Conn, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("check the ClickHouse configuration: %w", err)
	}
	options := &clickhouse.Options{
		Addr:     cfg.Addresses,
		Protocol: clickhouse.HTTP,
		Auth:     clickhouse.Auth{Database: database, Username: cfg.User, Password: cfg.Password.Reveal()},
		Settings: clickhouse.Settings{
			// On by default since 26.2: it would answer before the rows are
			// written, or gather ours with others'.
			"async_insert": 0,
			// A batch may reach back over any number of months.
			"max_partitions_per_insert_block": 0,
		},
		Compression:  &clickhouse.Compression{Method: clickhouse.CompressionLZ4},
		DialTimeout:  cfg.DialTimeout,
		ReadTimeout:  cfg.QueryTimeout,
		MaxOpenConns: cfg.ConnsMax,
		MaxIdleConns: cfg.ConnsMax,
	}
	options.ClientInfo.Products = append(options.ClientInfo.Products, struct{ Name, Version string }{"flywheel", ""})
	if cfg.Protocol == protocolNative {
		options.Protocol = clickhouse.Native
	}
	if cfg.TLS {
		options.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if cfg.InsertQuorum > 0 {
		options.Settings["insert_quorum"] = cfg.InsertQuorum
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		return nil, fmt.Errorf("configure the ClickHouse client: %w", err)
	}
	if err := conn.Ping(ctx); err != nil {
		return nil, errors.Join(explain(ctx, cfg, err), conn.Close())
	}
	return conn, nil
}

// Codes of ClickHouse's errors.
const (
	codeUnknownDatabase = 81
	codeUnknownUser     = 192
	codeWrongPassword   = 193
	codeRequiredLogin   = 194
	codeAccessDenied    = 497
	codeLoginFailed     = 516
)

// explain says why ClickHouse could not be reached and what to do.
func explain(ctx context.Context, cfg Config, err error) error {
	where := strings.Join(cfg.Addresses, ", ")
	if ctx.Err() != nil {
		return fmt.Errorf("connect to ClickHouse at %s: %w", where, ctx.Err())
	}
	var refused *clickhouse.Exception
	if !errors.As(err, &refused) {
		var request *url.Error // whose address is half a page of settings
		if errors.As(err, &request) {
			err = request.Err
		}
		return fmt.Errorf("ClickHouse does not answer at %s: start it, or correct clickhouse.addresses (and clickhouse.protocol, now %s): %w", where, cfg.Protocol, err)
	}
	switch refused.Code {
	case codeUnknownDatabase:
		return fmt.Errorf("ClickHouse at %s has no database %q: %w, or correct clickhouse.database", where, cfg.Database, ErrMigrate)
	case codeUnknownUser, codeWrongPassword, codeRequiredLogin, codeLoginFailed:
		return fmt.Errorf("ClickHouse at %s refuses the login of user %q: %w", where, cfg.User, ErrLogin)
	case codeAccessDenied:
		return fmt.Errorf("ClickHouse at %s does not let user %q use database %q: grant it, or %w: %w", where, cfg.User, cfg.Database, ErrLogin, err)
	}
	return fmt.Errorf("connect to ClickHouse at %s: %w", where, err)
}
