package chdb

import "testing"

func TestParseFindsWhereTheDataBegin(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want statement
	}{
		"a select":                                 {"SELECT 1", statement{head: "SELECT 1"}},
		"a select with a format":                   {"SELECT 1 FORMAT JSON", statement{head: "SELECT 1 ", format: "JSON"}},
		"a format before settings":                 {"SELECT 1 format CSV SETTINGS a = 1;", statement{head: "SELECT 1  SETTINGS a = 1", format: "CSV"}},
		"a column named format":                    {"SELECT format FROM t", statement{head: "SELECT format FROM t"}},
		"a format in a string":                     {"SELECT ' FORMAT JSON'", statement{head: "SELECT ' FORMAT JSON'"}},
		"a comment at the end":                     {"SELECT 1 -- FORMAT JSON", statement{head: "SELECT 1"}},
		"an insert with a format":                  {"INSERT INTO t FORMAT CSV\n1,2\n", statement{insert: true, head: "INSERT INTO t ", format: "CSV", data: "1,2\n"}},
		"only one line break belongs to the query": {"INSERT INTO t FORMAT TSV\n\n1", statement{insert: true, head: "INSERT INTO t ", format: "TSV", data: "\n1"}},
		"values":                                 {"insert into d.t (a, b) values (1, 'x')", statement{insert: true, head: "insert into d.t (a, b) ", format: "Values", data: " (1, 'x')"}},
		"a table named values":                   {"INSERT INTO values VALUES (1)", statement{insert: true, head: "INSERT INTO values ", format: "Values", data: " (1)"}},
		"a quoted table and a nested comment":    {"/* a /* b */ c */INSERT INTO `a``b`.\"format\" FORMAT Native", statement{insert: true, head: "/* a /* b */ c */INSERT INTO `a``b`.\"format\" ", format: "Native"}},
		"settings before the format":             {"INSERT INTO t SETTINGS x = 'FORMAT' FORMAT CSV 1", statement{insert: true, head: "INSERT INTO t SETTINGS x = 'FORMAT' ", format: "CSV", data: "1"}},
		"an insert that leaves the format open":  {"INSERT INTO t (a)", statement{insert: true, head: "INSERT INTO t (a)"}},
		"a column named select":                  {"INSERT INTO t (a, select) VALUES (1, 2)", statement{insert: true, head: "INSERT INTO t (a, select) ", format: "Values", data: " (1, 2)"}},
		"an insert from a select":                {"INSERT INTO t SELECT 1", statement{head: "INSERT INTO t SELECT 1"}},
		"an insert from a select in parentheses": {"INSERT INTO t (SELECT 1)", statement{head: "INSERT INTO t (SELECT 1)"}},
		"an insert from a select with columns":   {"INSERT INTO t (a) WITH 1 AS x SELECT x", statement{head: "INSERT INTO t (a) WITH 1 AS x SELECT x"}},
		"a table function":                       {"INSERT INTO FUNCTION null('x Int8') VALUES (1)", statement{insert: true, head: "INSERT INTO FUNCTION null('x Int8') ", format: "Values", data: " (1)"}},
		"nothing":                                {"", statement{}},
		"an open quote":                          {"SELECT 'a", statement{head: "SELECT 'a"}},
		"a heredoc":                              {"SELECT $x$ ' FORMAT CSV $x$ FORMAT TSV", statement{head: "SELECT $x$ ' FORMAT CSV $x$ ", format: "TSV"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.text = c.text
			if got := parse(c.text); got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestTrailingStatementsAfterValuesAreSeen(t *testing.T) {
	for values, want := range map[string]string{
		"(1), (2)": "", "(1);": "", "(1); -- done": "", "(';')": "", "(1); DROP TABLE t": "DROP TABLE t", "('a''; '); x": "x",
	} {
		if got := trailing(values); got != want {
			t.Errorf("%s: %q", values, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"SELECT 1 FORMAT CSV;", "INSERT INTO t (a) FORMAT Native\n\x00", "INSERT INTO `a\\`", "/* $a$ '", "INSERT INTO t VALUES (1);x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := parse(text)
		if s.text != text {
			t.Errorf("the text changed to %q", s.text)
		}
		if len(s.data) > len(text) || s.insert && text[len(text)-len(s.data):] != s.data {
			t.Errorf("data %q is not the end of %q", s.data, text)
		}
		trailing(s.data)
	})
}
