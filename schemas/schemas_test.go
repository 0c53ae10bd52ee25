package schemas

import (
	"cmp"
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"
)

var update = flag.Bool("update", false, "write golden files")

// contract returns the newest version of a record.
func contract(t *testing.T, record string) *avro.SchemaNode {
	t.Helper()
	versions, err := Versions(record)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, record, versions[len(versions)-1]).Root()
}

func parse(t *testing.T, record string, version int) *avro.Schema {
	t.Helper()
	text, err := Avro(record, version)
	if err != nil {
		t.Fatal(err)
	}
	s, err := avro.Parse(string(text))
	if err != nil {
		t.Fatalf("parse version %d of %s: %v", version, record, err)
	}
	return s
}

// forEachRecord runs a subtest for the newest contract of every record.
func forEachRecord(t *testing.T, f func(t *testing.T, record string, c *avro.SchemaNode)) {
	t.Helper()
	records, err := Records()
	if err != nil {
		t.Fatal(err)
	}
	if len(records) == 0 {
		t.Fatal("there are no contracts")
	}
	for _, r := range records {
		t.Run(r, func(t *testing.T) { f(t, r, contract(t, r)) })
	}
}

// A published version never changes: producers out there write it. With
// -update new versions are added to the list; a changed one stays an error.
func TestPublishedVersionsAreFrozen(t *testing.T) {
	const golden = "avro/checksums"
	files, err := fs.Glob(avroFiles, "avro/*/*.avsc")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(golden)
	if err != nil && !*update {
		t.Fatal(err)
	}
	published := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		sum, file, _ := strings.Cut(strings.TrimSpace(line), "  ")
		published[path.Join("avro", file)] = sum
	}
	var list strings.Builder
	for _, f := range files {
		b, err := avroFiles.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sum := fmt.Sprintf("%x", sha256.Sum256(b))
		switch was, ok := published[f]; {
		case !ok && !*update:
			t.Errorf("%s is not in %s: publish it with `go test ./schemas -update`", f, golden)
		case ok && was != sum:
			t.Errorf("%s was published and has changed: put it back, and publish the change as the next version", f)
			sum = was
		}
		delete(published, f)
		fmt.Fprintf(&list, "%s  %s\n", sum, strings.TrimPrefix(f, "avro/"))
	}
	for f := range published {
		t.Errorf("%s was published and is gone: put it back", f)
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(golden, []byte(list.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNeighbouringVersionsReadEachOther(t *testing.T) {
	forEachRecord(t, func(t *testing.T, record string, _ *avro.SchemaNode) {
		versions, err := Versions(record)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range versions {
			if v != i+1 {
				t.Fatalf("versions %v: number them from 1 without a gap", versions)
			}
			if i == 0 {
				continue
			}
			older, newer := parse(t, record, v-1), parse(t, record, v)
			if err := avro.CheckCompatibility(older, newer); err != nil {
				t.Errorf("version %d cannot read what version %d writes: %v", v, v-1, err)
			}
			if err := avro.CheckCompatibility(newer, older); err != nil {
				t.Errorf("version %d cannot read what version %d writes: %v", v-1, v, err)
			}
		}
	})
}

// What every channel record begins with.
var header = []string{"event_id", "brand_id", "occurred_at", "observed_at", "source", "natural_key", "version"}

var snakeCase = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

func TestContractsAreDocumentedAndPlain(t *testing.T) {
	enums := make(map[string][]string)
	var walk func(t *testing.T, where string, n *avro.SchemaNode)
	walk = func(t *testing.T, where string, n *avro.SchemaNode) {
		switch n.Type {
		case "union", "map", "null":
			t.Errorf("%s is a %s: contracts keep to what every reader takes as it is", where, n.Type)
		case "enum":
			if was, ok := enums[n.Name]; ok && !slices.Equal(was, n.Symbols) {
				t.Errorf("%s: enum %s is %v here and %v elsewhere", where, n.Name, n.Symbols, was)
			}
			enums[n.Name] = n.Symbols
		case "record":
			if !strings.HasSuffix(n.Doc, ".") {
				t.Errorf("%s: the doc %q is not a sentence", where, n.Doc)
			}
			for _, f := range n.Fields {
				if !strings.HasSuffix(f.Doc, ".") {
					t.Errorf("%s.%s: the doc %q is not a sentence", where, f.Name, f.Doc)
				}
				if !snakeCase.MatchString(f.Name) {
					t.Errorf("%s.%s: the name is not in snake_case", where, f.Name)
				}
				if strings.HasSuffix(f.Name, "_micros") && f.Type.Type != "long" {
					t.Errorf("%s.%s: money is a long", where, f.Name)
				}
				walk(t, where+"."+f.Name, &f.Type)
			}
		case "array":
			walk(t, where, n.Items)
		}
	}
	topics, err := LoadTopics()
	if err != nil {
		t.Fatal(err)
	}
	forEachRecord(t, func(t *testing.T, record string, c *avro.SchemaNode) {
		if c.Name != record || c.Namespace != "flywheel.v1" {
			t.Errorf("the contract is of %s.%s", c.Namespace, c.Name)
		}
		walk(t, record, c)
		onChannel := slices.ContainsFunc(topics.Topics, func(topic Topic) bool {
			return strings.HasPrefix(topic.Name, "channel.") && slices.Contains(topic.Records, record)
		})
		if !onChannel {
			return
		}
		first := contract(t, "amazon_review").Fields[:len(header)]
		for i, name := range header {
			if c.Fields[i].Name != name || c.Fields[i].Doc != first[i].Doc || c.Fields[i].Type.Type != first[i].Type.Type {
				t.Errorf("field %d is %s: the header of a channel record is %v, the same everywhere", i, c.Fields[i].Name, header)
			}
		}
	})
}

func TestTopicsAreSound(t *testing.T) {
	topics, err := LoadTopics()
	if err != nil {
		t.Fatal(err)
	}
	if topics.Partitions < 1 {
		t.Errorf("%d partitions", topics.Partitions)
	}
	names := make(map[string]bool)
	var carried []string
	for _, topic := range topics.Topics {
		if names[topic.Name] {
			t.Errorf("topic %s is listed twice", topic.Name)
		}
		names[topic.Name] = true
		if !strings.HasSuffix(topic.Doc, ".") || topic.Key == "" {
			t.Errorf("topic %s has the doc %q and the key %q", topic.Name, topic.Doc, topic.Key)
		}
		switch topic.Cleanup {
		case "compact":
			if topic.RetentionHours != -1 {
				t.Errorf("topic %s is compacted and forgets after %d hours", topic.Name, topic.RetentionHours)
			}
		case "delete":
			// What is replayed must reach back over window, lateness and a long weekend.
			if topic.RetentionHours < 72+72+96 {
				t.Errorf("topic %s forgets after %d hours", topic.Name, topic.RetentionHours)
			}
		default:
			t.Errorf("topic %s has the clean-up policy %q", topic.Name, topic.Cleanup)
		}
		if input := strings.HasPrefix(topic.Name, "channel."); input && !topic.Copartitioned {
			t.Errorf("topic %s is read by the processor and not co-partitioned", topic.Name)
		}
		carried = append(carried, topic.Records...)
	}
	records, err := Records()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(carried)
	if diff := gocmp.Diff(records, carried); diff != "" {
		t.Errorf("contracts (-) and records that topics carry (+):\n%s", diff)
	}
}

// column is a column of a table as its contract demands.
type column struct{ Name, Type, Comment string }

// Every table ends with where its row came from.
var provenance = []column{
	{"kafka_topic", "LowCardinality(String)", "Topic the record came from."},
	{"kafka_partition", "Int32", "Partition the record came from."},
	{"kafka_offset", "Int64", "Offset the record came from."},
	{"kafka_at", "DateTime64(3, 'UTC')", "Kafka timestamp of the record."},
	{"inserted_at", "DateTime64(3, 'UTC')", "When ClickHouse received the row."},
}

// columnsOf returns the columns a contract demands; an array of records is
// one array for each of its fields.
func columnsOf(t *testing.T, c *avro.SchemaNode) []column {
	t.Helper()
	var cs []column
	for _, f := range c.Fields {
		switch {
		case f.Type.Type == "array" && f.Type.Items.Type == "record":
			for _, g := range f.Type.Items.Fields {
				cs = append(cs, column{f.Name + "." + g.Name, "Array(" + typeOf(t, &g.Type) + ")", f.Doc + " " + g.Doc})
			}
		case c.Name == "brand" && f.Name == "holidays": // days, which ClickHouse counts alike
			cs = append(cs, column{f.Name, "Array(Date)", f.Doc})
		default:
			cs = append(cs, column{f.Name, typeOf(t, &f.Type), f.Doc})
		}
	}
	return append(cs, provenance...)
}

func typeOf(t *testing.T, n *avro.SchemaNode) string {
	t.Helper()
	switch kind := cmp.Or(n.LogicalType, n.Type); kind {
	case "string", "bytes":
		return "String"
	case "enum", "NodeName":
		return "LowCardinality(String)"
	case "boolean":
		return "Bool"
	case "int":
		return "Int32"
	case "long":
		return "Int64"
	case "float":
		return "Float32"
	case "double":
		return "Float64"
	case "timestamp-millis":
		return "DateTime64(3, 'UTC')"
	case "fixed":
		return "UUID"
	case "array":
		return "Array(" + typeOf(t, n.Items) + ")"
	default:
		t.Fatalf("no column type for %s", kind)
		return ""
	}
}

var (
	columnLine = regexp.MustCompile("^ +`?([a-z0-9_.]+)`? (.+?)(?: DEFAULT [^ ]+)?(?: CODEC\\(.+\\))? COMMENT '(.*)',?$")
	addLine    = regexp.MustCompile(`(?m)^ +ADD COLUMN IF NOT EXISTS ([a-z0-9_]+) (.+?)(?: DEFAULT [^ ]+)? COMMENT '(.*)' AFTER ([a-z0-9_]+),?$`)
	newComment = regexp.MustCompile(`(?m)^ +COMMENT COLUMN IF EXISTS ([a-z0-9_]+) '(.*)',?$`)
	tableEnd   = regexp.MustCompile(`(?s)\n\)\nENGINE = ReplacingMergeTree\(([a-z_]+)\)\n(?:PARTITION BY toYYYYMM\(([a-z_]+)\)\n)?ORDER BY \(([a-z_, ]+)\)\n(?:[A-Z]+ [^\n]+\n)*?COMMENT '(.*)'\s*;?\s*$`)
)

// altered returns the columns that migrations add to a table, as name, type, comment
// and the column before, and the comments they change, as name and comment.
func altered(t *testing.T, table string) (columns, comments [][]string) {
	t.Helper()
	files, err := fs.Glob(ClickHouse(), "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := fs.ReadFile(ClickHouse(), f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(b), "ALTER TABLE "+table+"\n") {
			columns = append(columns, addLine.FindAllStringSubmatch(string(b), -1)...)
			comments = append(comments, newComment.FindAllStringSubmatch(string(b), -1)...)
		}
	}
	return columns, comments
}

func TestTablesHoldTheirContracts(t *testing.T) {
	forEachRecord(t, func(t *testing.T, record string, c *avro.SchemaNode) {
		files, err := fs.Glob(ClickHouse(), "[0-9][0-9][0-9][0-9]_"+record+".sql")
		if err != nil || len(files) != 1 {
			t.Fatalf("files that create the table: %v, %v", files, err)
		}
		b, err := fs.ReadFile(ClickHouse(), files[0])
		if err != nil {
			t.Fatal(err)
		}
		sql := string(b)
		if !strings.HasPrefix(sql, "CREATE TABLE IF NOT EXISTS "+record) {
			t.Errorf("%s does not create table %s", files[0], record)
		}
		unquote := strings.NewReplacer(`\'`, `'`, `\\`, `\`)
		var got []column
		for line := range strings.Lines(sql) {
			if m := columnLine.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
				got = append(got, column{m[1], m[2], unquote.Replace(m[3])})
			}
		}
		columns, comments := altered(t, record)
		for _, m := range columns { // by a later version
			i := slices.IndexFunc(got, func(c column) bool { return c.Name == m[4] })
			if i < 0 {
				t.Fatalf("column %s is to follow %q, which is none", m[1], m[4])
			}
			got = slices.Insert(got, i+1, column{m[1], m[2], unquote.Replace(m[3])})
		}
		for _, m := range comments {
			i := slices.IndexFunc(got, func(c column) bool { return c.Name == m[1] })
			if i < 0 {
				t.Fatalf("column %s is given another comment, and is none", m[1])
			}
			got[i].Comment = unquote.Replace(m[2])
		}
		want := columnsOf(t, c)
		for i := range min(len(got), len(want)) {
			// Texts of few values are stored as such; that is the table's own affair.
			if want[i].Type == "String" && got[i].Type == "LowCardinality(String)" {
				want[i].Type = got[i].Type
			}
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("columns of the contract (-) and of the table (+):\n%s", diff)
		}

		m := tableEnd.FindStringSubmatch(sql)
		if m == nil {
			t.Fatalf("the end of %s does not name engine, order and comment as all tables do", files[0])
		}
		used := append(strings.Split(m[3], ", "), m[1])
		if m[2] != "" {
			used = append(used, m[2])
		}
		for _, name := range used {
			if !slices.ContainsFunc(got, func(c column) bool { return c.Name == name }) {
				t.Errorf("the table is built on column %s, which it does not have", name)
			}
		}
		if !strings.HasPrefix(m[3], "brand_id") {
			t.Errorf("the table is ordered by %s: a brand's rows lie together", m[3])
		}
		if comment := unquote.Replace(m[4]); comment == "" || !strings.HasPrefix(c.Doc, comment) {
			t.Errorf("the table's comment %q does not begin the contract's doc %q", comment, c.Doc)
		}
	})
}

func TestMigrationsAreNumberedWithoutAGap(t *testing.T) {
	files, err := fs.Glob(ClickHouse(), "*")
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		if !strings.HasPrefix(f, fmt.Sprintf("%04d_", i+1)) {
			t.Fatalf("migration %d is %s", i+1, f)
		}
	}
}

func TestWhatDoesNotExistIsNamed(t *testing.T) {
	if _, err := Avro("amazon_review", 99); err == nil || !strings.Contains(err.Error(), `"amazon_review" version 99`) {
		t.Errorf("Avro: %v", err)
	}
	if _, err := Versions("fax_received"); err == nil || !strings.Contains(err.Error(), `"fax_received"`) {
		t.Errorf("Versions: %v", err)
	}
}
