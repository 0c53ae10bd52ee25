package clickhouse

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"flywheel/pkg/fault"
	"flywheel/schemas"
)

// Migration is one step of the schema: one statement in one file.
type Migration struct {
	Number    int
	Name      string
	Checksum  string    // hex SHA-256 of the file
	AppliedAt time.Time // zero while it is pending
	Missing   bool      // it was applied, and the table or view it is about is not there
	Lost      []string  // columns that it gave to a table that is there, and that are not

	statement string
}

// object returns the name of the table or view that the migration is about.
func (m Migration) object() string {
	words := strings.Fields(repeatable.FindString(m.statement))
	return words[len(words)-1]
}

// column is one that a migration gives to its table.
type column struct {
	name       string
	definition string // its name, type, default and comment
}

// columnLine is how migrations define one, in a CREATE TABLE or an ALTER TABLE.
var columnLine = regexp.MustCompile("(?m)^ {4}(?:ADD COLUMN IF NOT EXISTS )?(`?([a-z][a-z0-9_.]*)`? [A-Z].* COMMENT '(?:[^'\\\\]|\\\\.)*')")

// columns returns those that the migration gives to its table, in their order.
func (m Migration) columns() []column {
	if m.view() {
		return nil
	}
	var cs []column
	for _, parts := range columnLine.FindAllStringSubmatch(m.statement, -1) {
		cs = append(cs, column{name: parts[2], definition: parts[1]})
	}
	return cs
}

// again returns the statement that creates what is missing of an applied migration.
func (m Migration) again() string {
	if len(m.Lost) == 0 || !strings.HasPrefix(m.statement, "CREATE TABLE") {
		return m.statement
	}
	var additions []string
	place := "FIRST"
	for _, c := range m.columns() {
		if slices.Contains(m.Lost, c.name) {
			additions = append(additions, "ADD COLUMN IF NOT EXISTS "+c.definition+" "+place)
		}
		place = "AFTER `" + c.name + "`"
	}
	return "ALTER TABLE " + m.object() + " " + strings.Join(additions, ", ")
}

func (m Migration) view() bool { return strings.HasPrefix(m.statement, "CREATE OR REPLACE VIEW") }

func (m Migration) String() string { return fmt.Sprintf("%04d_%s", m.Number, m.Name) }

// Migrate creates the database where it is missing, applies what is pending in
// the order of the numbers, and returns what it applied. It may be run again
// at any time, and by several at once: every statement can be repeated. Views that
// are gone are created again. Tables and columns that are gone are an error, since
// what they held is, too: Recreate creates them.
func Migrate(ctx context.Context, cfg Config) ([]Migration, error) {
	return migrateFiles(ctx, cfg, false)
}

// Recreate does what Migrate does, and creates tables and columns that are gone again,
// empty.
func Recreate(ctx context.Context, cfg Config) ([]Migration, error) {
	return migrateFiles(ctx, cfg, true)
}

func migrateFiles(ctx context.Context, cfg Config, recreate bool) ([]Migration, error) {
	files, err := load(schemas.ClickHouse())
	if err != nil {
		return nil, err
	}
	return migrate(ctx, cfg, files, recreate)
}

func migrate(ctx context.Context, cfg Config, files []Migration, recreate bool) ([]Migration, error) {
	if err := createDatabase(ctx, cfg); err != nil {
		return nil, err
	}
	conn, err := Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	applied, err := apply(ctx, conn, cfg, files, recreate)
	return applied, errors.Join(err, conn.Close())
}

// createDatabase connects by a database that always exists.
func createDatabase(ctx context.Context, cfg Config) error {
	conn, err := open(ctx, cfg, "system")
	if err != nil {
		return err
	}
	create := rewrite("CREATE DATABASE IF NOT EXISTS "+cfg.Database, cfg.Cluster)
	if err := conn.Exec(ctx, create); err != nil {
		err = fmt.Errorf("create the database %q: %w", cfg.Database, err)
		return errors.Join(err, conn.Close())
	}
	return conn.Close()
}

// ledger is the table of what was applied. A number written twice, by two
// runners at once or after a crash, counts once.
const ledger = `CREATE TABLE IF NOT EXISTS schema_migration
(
    number UInt32 COMMENT 'Number of the migration; they are applied in its order.',
    name String COMMENT 'Name of the migration.',
    checksum String COMMENT 'Hex SHA-256 of the file that was applied.',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When it was applied.'
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY (number)
COMMENT 'The migrations applied to this database.'`

func apply(ctx context.Context, conn driver.Conn, cfg Config, files []Migration, recreate bool) ([]Migration, error) {
	if err := conn.Exec(ctx, rewrite(ledger, cfg.Cluster)); err != nil {
		return nil, fmt.Errorf("create the table of applied migrations: %w", err)
	}
	states, err := compare(ctx, conn, cfg, files)
	if err != nil {
		return nil, err
	}
	if err := Gone(cfg, states); err != nil && !recreate {
		return nil, err
	}
	var done []Migration
	for _, m := range states {
		if !m.AppliedAt.IsZero() && !m.Missing && len(m.Lost) == 0 {
			continue
		}
		if err := conn.Exec(ctx, rewrite(m.again(), cfg.Cluster)); err != nil {
			return done, fmt.Errorf("apply migration %s: %w", m, err)
		}
		fault.Reached(fault.MigrateApplied)
		const record = "INSERT INTO schema_migration (number, name, checksum) VALUES ($1, $2, $3)"
		if err := conn.Exec(ctx, record, m.Number, m.Name, m.Checksum); err != nil {
			return done, fmt.Errorf("record that migration %s was applied: %w", m, err)
		}
		fault.Reached(fault.MigrateRecorded)
		m.AppliedAt, m.Missing, m.Lost = time.Now(), false, nil
		done = append(done, m)
	}
	return done, nil
}

// Status returns all migrations of this program and which of them are applied.
// It changes nothing.
func Status(ctx context.Context, cfg Config) ([]Migration, error) {
	files, err := load(schemas.ClickHouse())
	if err != nil {
		return nil, err
	}
	conn, err := Open(ctx, cfg)
	if errors.Is(err, ErrMigrate) {
		return files, nil
	}
	if err != nil {
		return nil, err
	}
	states, err := compare(ctx, conn, cfg, files)
	return states, errors.Join(err, conn.Close())
}

// Check returns an ErrMigrate when the database lacks a migration of this
// program. A database that is ahead will do: an old program runs beside a new
// one while they are exchanged.
func Check(ctx context.Context, conn driver.Conn, cfg Config) error {
	files, err := load(schemas.ClickHouse())
	if err != nil {
		return err
	}
	applied, err := recorded(ctx, conn)
	if err != nil {
		return err
	}
	for _, m := range files {
		if _, ok := applied[m.Number]; !ok {
			return fmt.Errorf("the database %q lacks migration %s: %w", cfg.Database, m, ErrMigrate)
		}
	}
	return nil
}

// Gone returns an error that names the tables and columns that are missing although
// they were created, and how to have back what they held; nil when there are none.
func Gone(cfg Config, states []Migration) error {
	file, err := schemas.LoadTopics()
	if err != nil {
		return err
	}
	var gone, topics []string
	for _, m := range states {
		var now []string
		if m.Missing && !m.view() {
			now = []string{"table " + m.object()}
		}
		for _, c := range m.Lost {
			now = append(now, "column "+m.object()+"."+c)
		}
		if len(now) == 0 || slices.Contains(gone, now[0]) {
			continue
		}
		gone = append(gone, now...)
		for _, t := range file.Topics {
			if slices.Contains(t.Records, m.object()) && !slices.Contains(topics, t.Name) {
				topics = append(topics, t.Name)
			}
		}
	}
	if len(gone) == 0 {
		return nil
	}
	replay := "--topic " + strings.Join(topics, " --topic ")
	return fmt.Errorf("the database %q was migrated, and has lost, with what they held: %s: restore them from a backup; "+
		"or stop the sinks, run 'flywheel migrate --recreate', which creates them empty, and have them read again what Kafka still holds: "+
		"'kafka-consumer-groups.sh --group flywheel-sink --reset-offsets --to-earliest %s --execute' (the group is sink.group)",
		cfg.Database, strings.Join(gone, ", "), replay)
}

// compare returns the files with when they were applied and whether what they
// created is there, or why this program must not touch the database.
func compare(ctx context.Context, conn driver.Conn, cfg Config, files []Migration) ([]Migration, error) {
	applied, err := recorded(ctx, conn)
	if err != nil {
		return nil, err
	}
	objects, err := columnsOf(ctx, conn)
	if err != nil {
		return nil, err
	}
	states := make([]Migration, len(files))
	for i, m := range files {
		if was, ok := applied[m.Number]; ok {
			if was.Checksum != m.Checksum {
				return nil, fmt.Errorf("migration %s was applied to database %q as another text (checksum %.12s, now %.12s): put the file back as it was, and make the change in a new migration",
					was, cfg.Database, was.Checksum, m.Checksum)
			}
			has := objects[m.object()]
			m.AppliedAt, m.Missing = was.AppliedAt, has == nil
			for _, c := range m.columns() {
				if !m.Missing && !slices.Contains(has, c.name) {
					m.Lost = append(m.Lost, c.name)
				}
			}
		}
		states[i] = m
		delete(applied, m.Number)
	}
	newest := 0
	for n := range applied {
		newest = max(newest, n)
	}
	if newest > 0 {
		return nil, fmt.Errorf("the database %q is at migration %s, and this program knows only %d: use the newer program",
			cfg.Database, applied[newest], len(files))
	}
	return states, nil
}

// columnsOf returns the tables and views that there are, with their columns.
func columnsOf(ctx context.Context, conn driver.Conn) (map[string][]string, error) {
	columns := make(map[string][]string)
	err := Each(ctx, conn, "SELECT table, name FROM system.columns WHERE database = currentDatabase()", func(rows driver.Rows) error {
		var table, name string
		if err := rows.Scan(&table, &name); err != nil {
			return err //nolint:wrapcheck // Each names the query
		}
		columns[table] = append(columns[table], name)
		return nil
	})
	return columns, err
}

// recorded returns the applied migrations by number; none in a database that
// was never migrated.
func recorded(ctx context.Context, conn driver.Conn) (map[int]Migration, error) {
	var exists uint64
	const look = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'schema_migration'"
	if err := conn.QueryRow(ctx, look).Scan(&exists); err != nil {
		return nil, fmt.Errorf("look for the table of applied migrations: %w", err)
	}
	applied := make(map[int]Migration)
	if exists == 0 {
		return applied, nil
	}
	err := Each(ctx, conn, "SELECT number, name, checksum, applied_at FROM schema_migration FINAL", func(rows driver.Rows) error {
		var number uint32
		var m Migration
		if err := rows.Scan(&number, &m.Name, &m.Checksum, &m.AppliedAt); err != nil {
			return err //nolint:wrapcheck // Each names the query
		}
		m.Number = int(number)
		applied[m.Number] = m
		return nil
	})
	return applied, err
}

var (
	fileName = regexp.MustCompile(`^(\d{4})_([a-z0-9_]+)\.sql$`)
	// repeatable is how a statement begins that does no harm when it is
	// applied again, by a runner that crashed before it recorded it.
	repeatable = regexp.MustCompile(`^(?:CREATE TABLE IF NOT EXISTS|CREATE OR REPLACE VIEW|CREATE DATABASE IF NOT EXISTS|ALTER TABLE) \w+`)
	alteration = regexp.MustCompile(`^ALTER TABLE \w+\s+(?:ADD \w+ IF NOT EXISTS|DROP \w+ IF EXISTS|MODIFY|COMMENT COLUMN IF EXISTS) `)
)

// load returns the migrations of a folder in their order, from 1 without a gap.
func load(files fs.FS) ([]Migration, error) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, fmt.Errorf("list the migrations: %w", err)
	}
	var ms []Migration
	for _, e := range entries {
		parts := fileName.FindStringSubmatch(e.Name())
		if parts == nil {
			return nil, fmt.Errorf("file %q is no migration: name it like 0001_table.sql", e.Name())
		}
		number, err := strconv.Atoi(parts[1])
		if err != nil {
			return nil, fmt.Errorf("read the number of migration %q: %w", e.Name(), err)
		}
		if number != len(ms)+1 {
			return nil, fmt.Errorf("migration %q follows number %d: number migrations from 0001 without gap or duplicate", e.Name(), len(ms))
		}
		text, err := fs.ReadFile(files, e.Name())
		if err != nil {
			return nil, fmt.Errorf("read migration %q: %w", e.Name(), err)
		}
		statement := strings.TrimSpace(string(text))
		if !repeatable.MatchString(statement) || strings.HasPrefix(statement, "ALTER") && !alteration.MatchString(statement) {
			return nil, fmt.Errorf("migration %q cannot be repeated: begin it with CREATE TABLE IF NOT EXISTS, CREATE OR REPLACE VIEW, or ALTER TABLE … ADD COLUMN IF NOT EXISTS", e.Name())
		}
		if strings.HasSuffix(statement, ";") {
			return nil, fmt.Errorf("migration %q ends in a semicolon: a file holds one statement, and no separator", e.Name())
		}
		ms = append(ms, Migration{
			Number: number, Name: parts[2], Checksum: fmt.Sprintf("%x", sha256.Sum256(text)), statement: statement,
		})
	}
	if len(ms) == 0 {
		return nil, errors.New("there are no migrations")
	}
	return ms, nil
}

// engine is where a statement names the engine of its table.
var engine = regexp.MustCompile(`(?m)^ENGINE = (\w*MergeTree\b)`)

// rewrite turns a statement for one server into one for all replicas of a
// cluster. Where the tables lie in Keeper is the servers' configuration
// (default_replica_path, default_replica_name).
func rewrite(statement, cluster string) string {
	if cluster == "" {
		return statement
	}
	head := repeatable.FindString(statement)
	statement = head + " ON CLUSTER " + cluster + statement[len(head):]
	return engine.ReplaceAllString(statement, "ENGINE = Replicated$1")
}
