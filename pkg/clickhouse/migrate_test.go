package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"
	"github.com/sourcegraph/conc/pool"

	"flywheel/pkg/config"
	"flywheel/pkg/testkit"
	"flywheel/schemas"
)

// database returns a connection to an empty database, and how it is configured.
func database(t testing.TB) (driver.Conn, Config) {
	t.Helper()
	conn, dsn := testkit.ClickHouse(t)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	password, _ := u.User.Password()
	cfg.Addresses, cfg.Database, cfg.User, cfg.Password = []string{u.Host}, u.Path[1:], u.User.Username(), config.Secret(password)
	return conn, cfg
}

// migrations returns files of those names, in their order; each creates the
// table of its name.
func migrations(t testing.TB, names ...string) []Migration {
	t.Helper()
	files := make(fstest.MapFS)
	for i, name := range names {
		files[fmt.Sprintf("%04d_%s.sql", i+1, name)] = &fstest.MapFile{
			Data: fmt.Appendf(nil, "CREATE TABLE IF NOT EXISTS %s (n Int32)\nENGINE = ReplacingMergeTree\nORDER BY n\n", name),
		}
	}
	ms, err := load(files)
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

func names(ms []Migration) []string {
	var ns []string
	for _, m := range ms {
		ns = append(ns, m.String())
	}
	return ns
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func exec(t testing.TB, conn driver.Conn, statement string, args ...any) {
	t.Helper()
	must(t, conn.Exec(t.Context(), statement, args...))
}

// count returns the number that a query returns.
func count(t testing.TB, conn driver.Conn, query string, args ...any) uint64 {
	t.Helper()
	var n uint64
	must(t, conn.QueryRow(t.Context(), query, args...).Scan(&n))
	return n
}

func TestMigrateBringsAnEmptyServerToTheNewestState(t *testing.T) {
	conn, cfg := database(t)
	exec(t, conn, "DROP DATABASE "+cfg.Database+" SYNC")
	before, err := Status(t.Context(), cfg)
	must(t, err)
	if i := slices.IndexFunc(before, func(m Migration) bool { return !m.AppliedAt.IsZero() }); i >= 0 {
		t.Errorf("%s is applied to a database that does not exist", before[i])
	}
	done, err := Migrate(t.Context(), cfg)
	must(t, err)
	if diff := cmp.Diff(names(before), names(done)); diff != "" {
		t.Errorf("pending (-) and applied (+):\n%s", diff)
	}
	must(t, Check(t.Context(), conn, cfg))
	after, err := Status(t.Context(), cfg)
	must(t, err)
	if i := slices.IndexFunc(after, func(m Migration) bool { return m.AppliedAt.IsZero() }); i >= 0 {
		t.Errorf("%s is still pending", after[i])
	}
	again, err := Migrate(t.Context(), cfg)
	must(t, err)
	if len(again) > 0 {
		t.Errorf("applied once more: %v", names(again))
	}
}

func TestMigrateAppliesOnlyWhatIsPending(t *testing.T) {
	conn, cfg := database(t)
	all := migrations(t, "a", "b", "c")
	done, err := migrate(t.Context(), cfg, all[:2], false)
	must(t, err)
	if diff := cmp.Diff([]string{"0001_a", "0002_b"}, names(done)); diff != "" {
		t.Errorf("applied at first (-want +got):\n%s", diff)
	}
	done, err = migrate(t.Context(), cfg, all, false)
	must(t, err)
	if diff := cmp.Diff([]string{"0003_c"}, names(done)); diff != "" {
		t.Errorf("applied then (-want +got):\n%s", diff)
	}
	if n := count(t, conn, "SELECT count() FROM schema_migration"); n != 3 {
		t.Errorf("%d migrations are recorded", n)
	}
}

func TestMigratorsThatRunAtOnceDoNoHarm(t *testing.T) {
	conn, cfg := database(t)
	p := pool.New().WithErrors()
	for range 4 {
		p.Go(func() error {
			_, err := Migrate(context.WithoutCancel(t.Context()), cfg)
			return err
		})
	}
	must(t, p.Wait())
	must(t, Check(t.Context(), conn, cfg))
	files, err := load(schemas.ClickHouse())
	must(t, err)
	if n := count(t, conn, "SELECT count() FROM schema_migration FINAL"); n != uint64(len(files)) {
		t.Errorf("%d of %d migrations are recorded", n, len(files))
	}
}

// A runner that dies after the statement and before the record.
func TestAMigrationThatWasNotRecordedIsAppliedAgain(t *testing.T) {
	conn, cfg := database(t)
	_, err := Migrate(t.Context(), cfg)
	must(t, err)
	for _, number := range []int{3, 25} { // a table and a view
		exec(t, conn, "ALTER TABLE schema_migration DELETE WHERE number = $1 SETTINGS mutations_sync = 2", number)
	}
	done, err := Migrate(t.Context(), cfg)
	must(t, err)
	if diff := cmp.Diff([]string{"0003_tiktok_shop_order", "0025_post_credit"}, names(done)); diff != "" {
		t.Errorf("applied again (-want +got):\n%s", diff)
	}
}

func TestAStatementThatFailsKeepsWhatCameBefore(t *testing.T) {
	conn, cfg := database(t)
	all := migrations(t, "a", "b", "c")
	good := all[1].statement
	all[1].statement = strings.Replace(good, "Int32", "Int33", 1)
	done, err := migrate(t.Context(), cfg, all, false)
	if err == nil || !strings.Contains(err.Error(), "apply migration 0002_b: ") {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{"0001_a"}, names(done)); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	if n := count(t, conn, "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name IN ('b', 'c')"); n != 0 {
		t.Errorf("%d tables of later migrations are there", n)
	}
	all[1].statement = good
	done, err = migrate(t.Context(), cfg, all, false)
	must(t, err)
	if diff := cmp.Diff([]string{"0002_b", "0003_c"}, names(done)); diff != "" {
		t.Errorf("applied then (-want +got):\n%s", diff)
	}
}

func TestMigrateRefusesADatabaseThatIsNotItsOwn(t *testing.T) {
	all := migrations(t, "a", "b", "c")
	for name, tc := range map[string]struct {
		files func() []Migration
		want  string
	}{
		"a file that has changed since it was applied": {
			func() []Migration {
				changed := slices.Clone(all)
				changed[1].Checksum = strings.Repeat("0", 64)
				return changed
			},
			fmt.Sprintf("migration 0002_b was applied to database %%q as another text (checksum %.12s, now 000000000000): put the file back as it was, and make the change in a new migration", all[1].Checksum),
		},
		"a database that a newer program has migrated": {
			func() []Migration { return all[:2] },
			"the database %q is at migration 0003_c, and this program knows only 2: use the newer program",
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn, cfg := database(t)
			_, err := migrate(t.Context(), cfg, all, false)
			must(t, err)
			done, err := migrate(t.Context(), cfg, tc.files(), false)
			if want := fmt.Sprintf(tc.want, cfg.Database); err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if len(done) > 0 {
				t.Errorf("applied all the same: %v", names(done))
			}
			if n := count(t, conn, "SELECT count() FROM schema_migration"); n != 3 {
				t.Errorf("%d migrations are recorded", n)
			}
		})
	}
}

func TestCheckNamesWhatIsMissingAndTakesMore(t *testing.T) {
	conn, cfg := database(t)
	if err := Check(t.Context(), conn, cfg); !errors.Is(err, ErrMigrate) || !strings.Contains(err.Error(), "lacks migration 0001_") {
		t.Errorf("an empty database: %v", err)
	}
	_, err := Migrate(t.Context(), cfg)
	must(t, err)
	exec(t, conn, "INSERT INTO schema_migration (number, name, checksum) VALUES (9000, 'future', 'x')")
	if err := Check(t.Context(), conn, cfg); err != nil {
		t.Errorf("a database that is ahead: %v", err)
	}
	exec(t, conn, "ALTER TABLE schema_migration DELETE WHERE number = 22 SETTINGS mutations_sync = 2")
	want := fmt.Sprintf("the database %q lacks migration 0022_dead_letter: run 'flywheel migrate'", cfg.Database)
	if err := Check(t.Context(), conn, cfg); !errors.Is(err, ErrMigrate) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// What is recorded as applied need not be there any more.
func TestAViewThatIsGoneComesBackAndATableOnlyWhenAsked(t *testing.T) {
	conn, cfg := database(t)
	_, err := Migrate(t.Context(), cfg)
	must(t, err)
	exec(t, conn, "DROP VIEW brand_spike SYNC")
	done, err := Migrate(t.Context(), cfg)
	must(t, err)
	if diff := cmp.Diff([]string{"0026_brand_spike", "0034_brand_spike_lead", "0040_brand_spike_now", "0042_brand_spike_score"}, names(done)); diff != "" {
		t.Errorf("applied again (-want +got):\n%s", diff)
	}
	exec(t, conn, "SELECT * FROM brand_spike")

	exec(t, conn, "DROP TABLE spike SYNC")
	exec(t, conn, "DROP TABLE amazon_order SYNC")
	states, err := Status(t.Context(), cfg)
	must(t, err)
	for _, m := range states {
		if gone := m.object() == "spike" || m.object() == "amazon_order"; m.Missing != gone {
			t.Errorf("%s is missing: %v", m, m.Missing)
		}
	}
	for range 2 {
		done, err := Migrate(t.Context(), cfg)
		if err == nil || len(done) > 0 {
			t.Fatalf("%v was applied, error %v", names(done), err)
		}
		for _, want := range []string{"has lost, with what they held: table amazon_order, table spike:", "'flywheel migrate --recreate'", "--to-earliest --topic channel.amazon --topic flywheel.spike --execute"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not say %s", err, want)
			}
		}
	}
	done, err = Recreate(t.Context(), cfg)
	must(t, err)
	if diff := cmp.Diff([]string{"0009_amazon_order", "0021_spike", "0033_spike_lead", "0041_spike_score"}, names(done)); diff != "" {
		t.Errorf("applied again (-want +got):\n%s", diff)
	}
	exec(t, conn, "SELECT lead_p_value, anomaly_score FROM spike")
	done, err = Migrate(t.Context(), cfg)
	must(t, err)
	if len(done) > 0 {
		t.Errorf("applied once more: %v", names(done))
	}
}

func TestAColumnThatIsGoneIsNamedAndComesBackWhenAsked(t *testing.T) {
	conn, cfg := database(t)
	_, err := Migrate(t.Context(), cfg)
	must(t, err)
	const query = `SELECT groupArray((table, name, type, default_kind, default_expression, comment))
		FROM (SELECT * FROM system.columns WHERE database = currentDatabase() ORDER BY table, position)`
	layout := func() (columns [][]any) {
		t.Helper()
		must(t, conn.QueryRow(t.Context(), query).Scan(&columns))
		return columns
	}
	before := layout()
	exec(t, conn, "INSERT INTO credit (brand_id, multiplier_low) VALUES ('acme', 2)")
	// One, two in a row, one of a list of structs, one with a default, and those of a later
	// migration.
	exec(t, conn, "ALTER TABLE spike DROP COLUMN driven, DROP COLUMN lead_p_value")
	exec(t, conn, "ALTER TABLE credit DROP COLUMN multiplier_low, DROP COLUMN multiplier_high, DROP COLUMN `watermarks.source`, DROP COLUMN inserted_at")
	exec(t, conn, "ALTER TABLE amazon_review DROP COLUMN natural_key")
	for range 2 {
		done, err := Migrate(t.Context(), cfg)
		if err == nil || len(done) > 0 {
			t.Fatalf("%v was applied, error %v", names(done), err)
		}
		for _, want := range []string{
			"has lost, with what they held: column amazon_review.natural_key, column credit.multiplier_low, column credit.multiplier_high, column credit.watermarks.source, column credit.inserted_at, column spike.lead_p_value, column spike.driven: restore them",
			"'flywheel migrate --recreate'", "--to-earliest --topic channel.amazon --topic flywheel.credit --topic flywheel.spike --execute",
		} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not say %s", err, want)
			}
		}
	}
	done, err := Recreate(t.Context(), cfg)
	must(t, err)
	if diff := cmp.Diff([]string{"0011_amazon_review", "0020_credit", "0033_spike_lead"}, names(done)); diff != "" {
		t.Errorf("applied again (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, layout()); diff != "" {
		t.Errorf("columns before and after:\n%s", diff)
	}
	if n := count(t, conn, "SELECT count() FROM credit WHERE brand_id = 'acme' AND multiplier_low = 0"); n != 1 {
		t.Errorf("%d rows are there without what the column held", n)
	}
	states, err := Status(t.Context(), cfg)
	must(t, err)
	must(t, Gone(cfg, states))
}

// What is taken for the columns of the migrations are those that ClickHouse has.
func TestTheColumnsOfTheMigrationsAreThoseOfTheTables(t *testing.T) {
	conn, cfg := database(t)
	_, err := Migrate(t.Context(), cfg)
	must(t, err)
	want, err := columnsOf(t.Context(), conn)
	must(t, err)
	files, err := load(schemas.ClickHouse())
	must(t, err)
	got := make(map[string][]string)
	for _, m := range files {
		for _, c := range m.columns() {
			got[m.object()] = append(got[m.object()], c.name)
		}
		if m.view() {
			delete(want, m.object())
		}
	}
	delete(want, "schema_migration")
	for _, columns := range []map[string][]string{got, want} {
		for _, names := range columns {
			slices.Sort(names)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("in the tables (-), in the migrations (+):\n%s", diff)
	}
}

func TestFilesThatAreNoMigrationsAreRefused(t *testing.T) {
	const table = "CREATE TABLE IF NOT EXISTS a (n Int32) ENGINE = MergeTree ORDER BY n"
	for name, tc := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no file at all":                {nil, "there are no migrations"},
		"a name without a number":       {map[string]string{"a.sql": table}, `file "a.sql" is no migration`},
		"a gap":                         {map[string]string{"0001_a.sql": table, "0003_b.sql": table}, `migration "0003_b.sql" follows number 1`},
		"a number twice":                {map[string]string{"0001_a.sql": table, "0001_b.sql": table}, `migration "0001_b.sql" follows number 1`},
		"a start after the first":       {map[string]string{"0002_a.sql": table}, `migration "0002_a.sql" follows number 0`},
		"a semicolon":                   {map[string]string{"0001_a.sql": table + ";\n"}, "a file holds one statement"},
		"a table that may not be there": {map[string]string{"0001_a.sql": "DROP TABLE a"}, "cannot be repeated"},
		"a create that fails again":     {map[string]string{"0001_a.sql": "CREATE TABLE a (n Int32) ENGINE = MergeTree ORDER BY n"}, "cannot be repeated"},
		"an addition that fails again":  {map[string]string{"0001_a.sql": "ALTER TABLE a ADD COLUMN b Int32"}, "cannot be repeated"},
		"rows":                          {map[string]string{"0001_a.sql": "INSERT INTO a VALUES (1)"}, "cannot be repeated"},
		"nothing in the file":           {map[string]string{"0001_a.sql": "\n"}, "cannot be repeated"},
	} {
		t.Run(name, func(t *testing.T) {
			files := make(fstest.MapFS)
			for name, text := range tc.files {
				files[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if _, err := load(files); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	for _, statement := range []string{
		table, "CREATE OR REPLACE VIEW a AS SELECT 1", "ALTER TABLE a ADD COLUMN IF NOT EXISTS b Int32", "ALTER TABLE a\n    MODIFY COLUMN b Int64",
	} {
		if _, err := load(fstest.MapFS{"0001_a.sql": &fstest.MapFile{Data: []byte(statement)}}); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

func TestStatementsAreRewrittenForACluster(t *testing.T) {
	for name, tc := range map[string]struct{ statement, cluster, want string }{
		"no cluster": {"CREATE TABLE IF NOT EXISTS a (n Int32)\nENGINE = ReplacingMergeTree(n)", "", "CREATE TABLE IF NOT EXISTS a (n Int32)\nENGINE = ReplacingMergeTree(n)"},
		"a table": {
			"CREATE TABLE IF NOT EXISTS a (n Int32)\nENGINE = ReplacingMergeTree(n)\nORDER BY n", "main",
			"CREATE TABLE IF NOT EXISTS a ON CLUSTER main (n Int32)\nENGINE = ReplicatedReplacingMergeTree(n)\nORDER BY n",
		},
		"a table without arguments": {
			"CREATE TABLE IF NOT EXISTS a (n Int32)\nENGINE = MergeTree\nORDER BY n", "main",
			"CREATE TABLE IF NOT EXISTS a ON CLUSTER main (n Int32)\nENGINE = ReplicatedMergeTree\nORDER BY n",
		},
		"a comment that names an engine": {
			"CREATE TABLE IF NOT EXISTS a (n Int32 COMMENT 'ENGINE = MergeTree')\nENGINE = MergeTree\nORDER BY n", "main",
			"CREATE TABLE IF NOT EXISTS a ON CLUSTER main (n Int32 COMMENT 'ENGINE = MergeTree')\nENGINE = ReplicatedMergeTree\nORDER BY n",
		},
		"a view":       {"CREATE OR REPLACE VIEW a AS SELECT 1", "main", "CREATE OR REPLACE VIEW a ON CLUSTER main AS SELECT 1"},
		"a column":     {"ALTER TABLE a ADD COLUMN IF NOT EXISTS b Int32", "main", "ALTER TABLE a ON CLUSTER main ADD COLUMN IF NOT EXISTS b Int32"},
		"the database": {"CREATE DATABASE IF NOT EXISTS a", "main", "CREATE DATABASE IF NOT EXISTS a ON CLUSTER main"},
		"a database in capitals, as a configuration may name it": {"CREATE DATABASE IF NOT EXISTS fly_Wheel2", "main", "CREATE DATABASE IF NOT EXISTS fly_Wheel2 ON CLUSTER main"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, rewrite(tc.statement, tc.cluster)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEveryMigrationReachesAllReplicas(t *testing.T) {
	files, err := load(schemas.ClickHouse())
	must(t, err)
	for _, m := range append(files, Migration{Name: "ledger", statement: ledger}) {
		got := rewrite(m.statement, "main")
		if strings.Count(got, " ON CLUSTER main") != 1 {
			t.Errorf("%s is not run on the cluster: %.80s", m, got)
		}
		if table := strings.HasPrefix(got, "CREATE TABLE"); table != strings.Contains(got, "\nENGINE = ReplicatedReplacingMergeTree(") {
			t.Errorf("%s is not replicated", m)
		}
	}
}

func TestMigrationsAreTheFilesOfSchemas(t *testing.T) {
	files, err := load(schemas.ClickHouse())
	must(t, err)
	entries, err := fs.ReadDir(schemas.ClickHouse(), ".")
	must(t, err)
	if len(files) != len(entries) {
		t.Errorf("%d migrations in %d files", len(files), len(entries))
	}
}
