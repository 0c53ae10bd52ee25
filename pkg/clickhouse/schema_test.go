package clickhouse

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files")

// The state all migrations lead to, as ClickHouse itself tells it: a change of
// a table, a view or a comment shows in review.
func TestTheSchemaIsTheOneReviewed(t *testing.T) {
	const golden = "testdata/schema.golden"
	conn, cfg := database(t)
	_, err := Migrate(t.Context(), cfg)
	must(t, err)
	rows, err := conn.Query(t.Context(), `SELECT name, comment, formatQuery(create_table_query) FROM system.tables WHERE database = currentDatabase() ORDER BY name`)
	must(t, err)
	defer rows.Close()
	var schema strings.Builder
	for rows.Next() {
		var name, comment, statement string
		must(t, rows.Scan(&name, &comment, &statement))
		if !strings.HasSuffix(comment, ".") {
			t.Errorf("the comment of %s is %q, not a sentence", name, comment)
		}
		statement = strings.ReplaceAll(statement, cfg.Database+".", "")
		fmt.Fprintf(&schema, "%s\n\n", statement)
	}
	must(t, rows.Err())

	columns, err := conn.Query(t.Context(), `SELECT table, name, comment FROM system.columns WHERE database = currentDatabase()`)
	must(t, err)
	defer columns.Close()
	seen := 0
	for ; columns.Next(); seen++ {
		var table, name, comment string
		must(t, columns.Scan(&table, &name, &comment))
		if !strings.HasSuffix(comment, ".") {
			t.Errorf("the comment of %s.%s is %q, not a sentence", table, name, comment)
		}
	}
	must(t, columns.Err())
	if seen < 100 {
		t.Errorf("only %d columns were looked at", seen)
	}

	if *update {
		must(t, os.WriteFile(golden, []byte(schema.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v; write it with `make goldens`", err)
	}
	if diff := cmp.Diff(string(want), schema.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s\nif that is meant, rewrite it with `make goldens`", golden, diff)
	}
}
