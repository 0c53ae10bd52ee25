package event

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"

	"flywheel/schemas"
)

var update = flag.Bool("update", false, "write golden files")

func contract(t *testing.T, record string) *avro.SchemaNode {
	t.Helper()
	versions, err := schemas.Versions(record)
	if err != nil {
		t.Fatal(err)
	}
	text, err := schemas.Avro(record, slices.Max(versions))
	if err != nil {
		t.Fatal(err)
	}
	s, err := avro.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Root()
}

// source is what only the source text of the package tells.
type source struct {
	fieldDocs map[string]map[string]string // by struct and field
	typeDocs  map[string]string            // by type
	enums     map[string][]string          // values of the string constants, by type
}

func readSource(t *testing.T) source {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	s := source{map[string]map[string]string{}, map[string]string{}, map[string][]string{}}
	oneLine := func(g *ast.CommentGroup) string { return strings.Join(strings.Fields(g.Text()), " ") }
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range g.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					s.typeDocs[spec.Name.Name] = oneLine(g.Doc)
					st, ok := spec.Type.(*ast.StructType)
					if !ok {
						continue
					}
					docs := make(map[string]string)
					for _, field := range st.Fields.List {
						for _, n := range field.Names {
							docs[n.Name] = oneLine(field.Doc)
						}
					}
					s.fieldDocs[spec.Name.Name] = docs
				case *ast.ValueSpec:
					typ, ok := spec.Type.(*ast.Ident)
					if !ok || len(spec.Values) != 1 {
						continue
					}
					if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
						v, err := strconv.Unquote(lit.Value)
						if err != nil {
							t.Fatal(err)
						}
						s.enums[typ.Name] = append(s.enums[typ.Name], v)
					}
				}
			}
		}
	}
	return s
}

func TestStructsAreTheirContractsFieldByField(t *testing.T) {
	records, err := schemas.Records()
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range Types() {
		if !slices.Contains(records, typ.String()) {
			t.Errorf("%s has no contract", typ)
		}
	}
	src := readSource(t)
	for _, record := range records {
		t.Run(record, func(t *testing.T) {
			v := New(record)
			if v == nil {
				t.Fatal("the contract has no struct")
			}
			compareStruct(t, reflect.TypeOf(v).Elem(), contract(t, record), src)
		})
	}
}

func compareStruct(t *testing.T, typ reflect.Type, c *avro.SchemaNode, src source) {
	t.Helper()
	if doc := src.typeDocs[typ.Name()]; !strings.HasPrefix(doc, typ.Name()) {
		t.Errorf("the doc of %s is %q", typ, doc)
	}
	var fields []reflect.StructField
	var docs []string
	for _, f := range reflect.VisibleFields(typ) {
		if f.Anonymous {
			continue
		}
		owner := typ.Name()
		if len(f.Index) > 1 {
			owner = typ.Field(f.Index[0]).Name
		}
		fields, docs = append(fields, f), append(docs, src.fieldDocs[owner][f.Name])
	}
	if len(fields) != len(c.Fields) {
		t.Fatalf("%s has %d fields, its contract %d", typ, len(fields), len(c.Fields))
	}
	for i, f := range fields {
		want := c.Fields[i]
		where := fmt.Sprintf("field %s of %s", f.Name, typ)
		if tag := f.Tag.Get("avro"); tag != want.Name {
			t.Errorf("%s is %q, and %q in the contract", where, tag, want.Name)
		}
		if docs[i] != want.Doc {
			t.Errorf("%s has the doc %q, and %q in the contract", where, docs[i], want.Doc)
		}
		if isTime := want.Type.LogicalType == "timestamp-millis"; isTime != strings.HasSuffix(f.Name, "Ms") {
			t.Errorf("%s: a name ends in Ms when it is a time, and only then", where)
		}
		compareType(t, where, f.Type, &want.Type, src)
	}
}

func compareType(t *testing.T, where string, typ reflect.Type, n *avro.SchemaNode, src source) {
	t.Helper()
	want := map[string]reflect.Type{
		"boolean": reflect.TypeFor[bool](),
		"int":     reflect.TypeFor[int32](),
		"long":    reflect.TypeFor[int64](),
		"float":   reflect.TypeFor[float32](),
		"double":  reflect.TypeFor[float64](),
		"string":  reflect.TypeFor[string](),
		"bytes":   reflect.TypeFor[[]byte](),
		"fixed":   reflect.TypeFor[ID](),
	}
	switch n.Type {
	case "enum":
		if typ.Kind() != reflect.String || typ.Name() != n.Name {
			t.Errorf("%s is of type %s, and enum %s in the contract", where, typ, n.Name)
		}
		if diff := cmp.Diff(n.Symbols, src.enums[typ.Name()]); diff != "" {
			t.Errorf("%s: symbols of the contract (-) and constants of %s (+):\n%s", where, typ, diff)
		}
	case "array":
		if typ.Kind() != reflect.Slice {
			t.Fatalf("%s is of type %s, and an array in the contract", where, typ)
		}
		compareType(t, where, typ.Elem(), n.Items, src)
	case "record":
		if typ.Kind() != reflect.Struct || typ.Name() != n.Name {
			t.Fatalf("%s is of type %s, and record %s in the contract", where, typ, n.Name)
		}
		compareStruct(t, typ, n, src)
	default:
		named := typ.Name() == n.Type // a second use of a named type
		if typ != want[n.Type] && !named || n.Type == "fixed" && n.Size != len(ID{}) {
			t.Errorf("%s is of type %s, and %s in the contract", where, typ, n.Type)
		}
	}
}

func TestTheCatalogueIsTheTopicFile(t *testing.T) {
	topics, err := schemas.LoadTopics()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, topic := range topics.Topics {
		names = append(names, topic.Name)
		if !strings.HasPrefix(topic.Name, "channel.") {
			continue
		}
		for _, record := range topic.Records {
			if got := TypeByName(record).Info().Topic; got != topic.Name {
				t.Errorf("record %s is on topic %s, and on %q in the catalogue", record, topic.Name, got)
			}
		}
	}
	want := []string{
		TopicTikTok, TopicAmazon, TopicShopify, TopicAISearch, TopicMessaging, TopicCalendar,
		TopicBrand, TopicState, TopicCorrelation, TopicCredit, TopicSpike, TopicDeadLetter,
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("topics of the package (-) and of the topic file (+):\n%s", diff)
	}
}

func TestTheCatalogueIsWholeAndItsOwnInverse(t *testing.T) {
	for _, typ := range Types() {
		info := typ.Info()
		if info.Name == "" || info.Topic == "" || info.New == nil {
			t.Fatalf("type %d has the entry %+v", typ, info)
		}
		if got := info.New().Type(); got != typ {
			t.Errorf("a new %s says it is a %s", typ, got)
		}
		if got := TypeByName(info.Name); got != typ {
			t.Errorf("TypeByName(%q) is %s", info.Name, got)
		}
		if info.New() == info.New() {
			t.Errorf("two new %s are one", typ)
		}
		// The contract tells its readers the mode in a word.
		word := strings.ToUpper(info.Mode.String()[:1]) + info.Mode.String()[1:]
		if doc := contract(t, info.Name).Doc; !strings.Contains(doc, word) {
			t.Errorf("%s is a %s, which its contract does not say: %q", typ, info.Mode, doc)
		}
	}
	for _, typ := range []Type{NoType, typeEnd, 255} {
		if info := typ.Info(); info.Name != "" || info.New != nil {
			t.Errorf("type %d has the entry %+v", typ, info)
		}
	}
	if got := TypeByName("fax_received"); got != NoType {
		t.Errorf("TypeByName of a stranger is %s", got)
	}
}

// The state on disk holds these numbers: -update adds new ones, and a changed
// one stays an error.
func TestNumbersOfTypesAndSignalsNeverChange(t *testing.T) {
	var b strings.Builder
	for _, typ := range Types() {
		fmt.Fprintf(&b, "type %d %s %s\n", typ, typ, typ.Info().Mode)
	}
	for s := NoSignal + 1; s < signalEnd; s++ {
		fmt.Fprintf(&b, "signal %d %s\n", s, s)
	}
	const golden = "testdata/numbers.golden"
	published, err := os.ReadFile(golden)
	if err != nil && !*update {
		t.Fatal(err)
	}
	now := slices.Collect(strings.Lines(b.String()))
	for line := range strings.Lines(string(published)) {
		if !slices.Contains(now, line) {
			t.Errorf("published as %q, which is gone: put it back and take a new number", line)
		}
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(published) != b.String() {
		t.Errorf("%s lacks a number: publish it with `go test ./pkg/event -update`", golden)
	}
}

func TestSignalsAreDescribed(t *testing.T) {
	nodes := []NodeName{NodeTikTok, NodeAmazon, NodeShopify, NodeAISearch, NodeMessaging}
	names := make(map[string]bool)
	for s := NoSignal + 1; s < signalEnd; s++ {
		info := s.Info()
		if info.Name == "" || names[info.Name] {
			t.Errorf("signal %d has the name %q, empty or taken", s, info.Name)
		}
		names[info.Name] = true
		if !slices.Contains(nodes, info.Node) {
			t.Errorf("signal %s is of node %q", s, info.Node)
		}
		if !strings.HasPrefix(info.Unit, "{") || info.Money != (info.Unit == "{micro}") {
			t.Errorf("signal %s has unit %s, money: %v", s, info.Unit, info.Money)
		}
	}
	for _, s := range []Signal{NoSignal, signalEnd, 255} {
		if s.String() != "" {
			t.Errorf("signal %d has the name %q", s, s)
		}
	}
	for g, minutes := range map[Grain]int64{QuarterHour: 15, Hour: 60, Day: 24 * 60, Week: 7 * 24 * 60} {
		if g.Minutes() != minutes {
			t.Errorf("grain %d is %d minutes wide, want %d", g, g.Minutes(), minutes)
		}
	}
}

func TestTheTenForcesConnectTheirNodes(t *testing.T) {
	type road struct {
		From, To NodeName
		Hours    int
	}
	want := []road{
		{NodeTikTok, NodeAmazon, 72},
		{NodeTikTok, NodeAISearch, 28 * 24},
		{NodeAmazon, NodeShopify, 28 * 24},
		{NodeAmazon, NodeAISearch, 28 * 24},
		{NodeShopify, NodeTikTok, 28 * 24},
		{NodeShopify, NodeMessaging, 28 * 24},
		{NodeAISearch, NodeAmazon, 72},
		{NodeAISearch, NodeShopify, 72},
		{NodeMessaging, NodeAmazon, 72},
		{NodeMessaging, NodeTikTok, 28 * 24},
	}
	var got []road
	for i, f := range Forces() {
		got = append(got, road{f.From, f.To, f.WindowHours})
		if f.Number != i+1 {
			t.Errorf("force %d is at place %d", f.Number, i+1)
		}
		if len(f.Stimuli) == 0 || len(f.Responses) == 0 {
			t.Errorf("force %d has stimuli %v and responses %v", f.Number, f.Stimuli, f.Responses)
		}
		for _, s := range f.Stimuli {
			// An invitation travels as a message, and is the store's doing.
			if s.Info().Node != f.From && s != CreatorInvites {
				t.Errorf("force %d from %s has the stimulus %s of %s", f.Number, f.From, s, s.Info().Node)
			}
		}
		for _, s := range f.Responses {
			if s.Info().Node != f.To {
				t.Errorf("force %d to %s has the response %s of %s", f.Number, f.To, s, s.Info().Node)
			}
		}
		for _, s := range f.Confounders {
			// What is told by the response, or is a part of the stimulus, would be taken for it.
			if s.Info().Node == f.From || slices.Contains(f.Responses, s) || f.WindowHours != ShortWindowHours {
				t.Errorf("force %d from %s has the confounder %s of %s", f.Number, f.From, s, s.Info().Node)
			}
		}
		if f.Revenue != NoSignal && (!f.Revenue.Info().Money || f.Revenue.Info().Node != f.To) {
			t.Errorf("force %d to %s earns %s", f.Number, f.To, f.Revenue)
		}
		if minutes := f.WindowHours * 60; minutes%f.StepMinutes() != 0 {
			t.Errorf("force %d: steps of %d minutes do not fill %d hours", f.Number, f.StepMinutes(), f.WindowHours)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("forces as designed (-) and as written (+):\n%s", diff)
	}
}

func TestReasonsAreAllOfThem(t *testing.T) {
	var got []string
	for _, r := range Reasons() {
		got = append(got, string(r))
	}
	if diff := cmp.Diff(readSource(t).enums["Reason"], got); diff != "" {
		t.Errorf("constants (-) and Reasons() (+):\n%s", diff)
	}
}
