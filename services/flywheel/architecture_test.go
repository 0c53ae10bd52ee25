package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "flywheel"
	source = "../.." // the repository
)

// below lists for the packages with an exact place what of ours they may import.
var below = map[string][]string{
	"schemas":       nil,
	"pkg/fault":     nil,
	"pkg/event":     {"schemas"},
	"pkg/window":    {"schemas", "pkg/event"},
	"pkg/correlate": {"schemas", "pkg/event"},
	"pkg/spike":     {"schemas", "pkg/event"},
	"pkg/topology":  {"schemas", "pkg/event", "pkg/window", "pkg/correlate", "pkg/spike"},
}

var pure = []string{"pkg/event", "pkg/window", "pkg/correlate", "pkg/spike", "pkg/topology"}

// impure are the imports, with everything below them, that pure packages do without.
var impure = []string{
	"os", "net", "io", "bufio", "syscall", "log", "sync", "context", "runtime",
	"math/rand", "crypto/rand", "hash/maphash", "testing",
	"github.com/twmb", "github.com/ClickHouse", "github.com/sourcegraph/conc", "go.opentelemetry.io",
}

// clock are the functions of package time that ask or use the clock.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// TestArchitecture holds the import arrows and the purity without the linter.
func TestArchitecture(t *testing.T) {
	files := 0
	err := filepath.WalkDir(source, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != source && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "data") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(file, ".go") {
			return nil
		}
		files++
		src, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(source, file)
		if err != nil {
			return err
		}
		for _, sin := range sins(filepath.ToSlash(name), src) {
			t.Error(sin)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("only %d Go files were found: is %s the repository?", files, source)
	}
}

// TestPlacesExist keeps the rules from naming packages that are gone.
func TestPlacesExist(t *testing.T) {
	for _, dir := range slices.Sorted(maps.Keys(below)) {
		if found, err := filepath.Glob(filepath.Join(source, dir, "*.go")); err != nil || len(found) == 0 {
			t.Errorf("the rules name %s, which holds no package (%v)", dir, err)
		}
	}
}

func TestArrowsRefuse(t *testing.T) {
	for name, c := range map[string]struct{ file, imports string }{
		"the contracts do not know the events":               {"schemas/schemas.go", "pkg/event"},
		"the events do not know the statistics":              {"pkg/event/event.go", "pkg/correlate"},
		"the events do not know the codec":                   {"pkg/event/event.go", "pkg/codec"},
		"the points of faults know nothing of ours":          {"pkg/fault/on.go", "pkg/event"},
		"the statistics know no faults":                      {"pkg/window/a.go", "pkg/fault"},
		"the statistics do not know each other":              {"pkg/correlate/a.go", "pkg/window"},
		"the spikes do not know the topology":                {"pkg/spike/spike.go", "pkg/topology"},
		"the topology does not know Kafka":                   {"pkg/topology/step.go", "pkg/kafka"},
		"a package does not know a service":                  {"pkg/kafka/kafka.go", "services/sink"},
		"not even in its test":                               {"pkg/kafka/kafka_test.go", "services/sink"},
		"a package does not know the load test":              {"pkg/kafka/kafka.go", "loadtest"},
		"a service does not know another":                    {"services/sink/sink.go", "services/processor"},
		"a service does not know what is inside another":     {"services/sink/sink.go", "services/processor/inner"},
		"a connector does not know another":                  {"services/connector/tiktok/a.go", "services/connector/amazon"},
		"a service does not know the demo":                   {"services/sink/sink.go", "services/demo"},
		"a service does not know the load test":              {"services/sink/sink.go", "loadtest/scenario"},
		"the demo does not know the binary":                  {"services/demo/demo.go", "services/flywheel"},
		"the load test does not know the binary":             {"loadtest/run.go", "services/flywheel"},
		"what runs in production does not know the test kit": {"services/sink/sink.go", "pkg/testkit"},
	} {
		t.Run(name, func(t *testing.T) {
			src := fmt.Sprintf("package p\n\nimport _ %q\n", module+"/"+c.imports)
			if got := sins(c.file, []byte(src)); len(got) != 1 {
				t.Errorf("%s imports %s: want one sin, got %q", c.file, c.imports, got)
			}
		})
	}
}

func TestArrowsAllow(t *testing.T) {
	for name, c := range map[string]struct{ file, imports string }{
		"the events know the contracts":       {"pkg/event/event.go", "schemas"},
		"the statistics know the events":      {"pkg/correlate/a.go", "pkg/event"},
		"the topology knows the statistics":   {"pkg/topology/step.go", "pkg/correlate"},
		"a package knows the events":          {"pkg/codec/codec.go", "pkg/event"},
		"a service knows a package":           {"services/sink/sink.go", "pkg/kafka"},
		"a service knows its own inside":      {"services/sink/sink.go", "services/sink/inner"},
		"the demo knows the services":         {"services/demo/demo.go", "services/sink"},
		"the binary knows the demo":           {"services/flywheel/demo.go", "services/demo"},
		"a test knows the test kit":           {"services/sink/sink_test.go", "pkg/testkit"},
		"a test of a service knows another":   {"services/demo/demo_test.go", "services/processor"},
		"the test of a pure package does I/O": {"pkg/event/event_test.go", "pkg/codec"},
	} {
		t.Run(name, func(t *testing.T) {
			src := fmt.Sprintf("package p\n\nimport _ %q\n", module+"/"+c.imports)
			if got := sins(c.file, []byte(src)); len(got) != 0 {
				t.Errorf("%s imports %s: %q", c.file, c.imports, got)
			}
		})
	}
}

func TestPurity(t *testing.T) {
	for name, c := range map[string]struct {
		file, src string
		sins      int
	}{
		"a file is read":                   {"pkg/event/a.go", `import "os"; var x = os.Args`, 1},
		"a stream is taken":                {"pkg/window/a.go", `import "io/fs"; var x fs.FS`, 1},
		"lots are drawn":                   {"pkg/correlate/a.go", `import "math/rand/v2"; var x = rand.Int()`, 1},
		"a lock is held":                   {"pkg/topology/a.go", `import "sync"; var x sync.Mutex`, 1},
		"something is counted":             {"pkg/spike/a.go", `import "go.opentelemetry.io/otel/metric"; var x metric.Meter`, 1},
		"the clock is asked":               {"pkg/topology/a.go", `import "time"; var x = time.Now()`, 1},
		"the clock is asked by an alias":   {"pkg/topology/a.go", `import clock "time"; var x = clock.Since`, 1},
		"a goroutine is started":           {"pkg/topology/a.go", `func f() { go f() }`, 1},
		"a channel is made":                {"pkg/topology/a.go", `func f() { _ = make(chan int) }`, 1},
		"a goroutine is waited for":        {"pkg/topology/a.go", `func f(c int) { select {} }`, 1},
		"a duration is no clock":           {"pkg/topology/a.go", `import "time"; var x = time.Hour`, 0},
		"a method called Now is no clock":  {"pkg/topology/a.go", `type time struct{ Now int }; var x = time{}.Now`, 0},
		"whoever has I/O may do all of it": {"pkg/kafka/a.go", `import ("os"; "time"); var x, y = os.Args, time.Now()`, 0},
		"so may the test of a pure one":    {"pkg/event/a_test.go", `import ("os"; "time"); var x, y = os.Args, time.Now()`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sins(c.file, []byte("package p; "+c.src)); len(got) != c.sins {
				t.Errorf("want %d sins, got %q", c.sins, got)
			}
		})
	}
}

// sins lists what the file, named from the repository's root, must not do.
func sins(file string, src []byte) (found []string) {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, src, parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	say := func(at token.Pos, format string, args ...any) {
		found = append(found, fmt.Sprintf("%s: %s", set.Position(at), fmt.Sprintf(format, args...)))
	}
	place, test := path.Dir(file), strings.HasSuffix(file, "_test.go")
	isPure := slices.Contains(pure, place) && !test
	timeName := ""
	for _, spec := range parsed.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			say(spec.Pos(), "%v", err)
		}
		if ours, ok := strings.CutPrefix(name, module+"/"); ok {
			if why := refuse(place, ours, test); why != "" {
				say(spec.Pos(), "%s imports %s: %s", place, ours, why)
			}
			continue
		}
		if isPure && slices.ContainsFunc(impure, func(p string) bool { return within(name, p) }) {
			say(spec.Pos(), "%s imports %s, but it is pure: no I/O, clock, goroutine or lot", place, name)
		}
		if name == "time" {
			timeName = "time"
			if spec.Name != nil {
				timeName = spec.Name.Name
			}
		}
	}
	if !isPure {
		return found
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
			say(n.Pos(), "%s is pure: it knows no goroutines", place)
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == timeName && slices.Contains(clock, n.Sel.Name) {
				say(n.Pos(), "%s is pure: it takes the time as an argument instead of time.%s", place, n.Sel.Name)
			}
		}
		return true
	})
	return found
}

// refuse says why the package in folder place must not import ours, "" if it may.
func refuse(place, ours string, test bool) string {
	if within(place, "pkg") && (within(ours, "services") || within(ours, "loadtest")) {
		return "pkg/ lies below"
	}
	if test {
		return ""
	}
	if allowed, ok := below[place]; ok && !slices.Contains(allowed, ours) {
		if place == "pkg/fault" {
			return "it stands in the deepest code: it imports nothing of ours"
		}
		return "the arrows run schemas <- event <- window, correlate, spike <- topology <- all others"
	}
	top := func(dir string) bool { return within(dir, "services/demo") || within(dir, "services/flywheel") }
	switch {
	case within(ours, "pkg/testkit") && !within(place, "pkg/testkit"):
		return "it is for tests"
	case within(ours, "services/flywheel") && !within(place, "services/flywheel"):
		return "it is the top: nothing imports it"
	case !within(place, "services") || top(place):
		return ""
	case within(ours, "loadtest"):
		return "services know nothing of it"
	case within(ours, "services") && service(ours) != service(place):
		return "services meet in topics and tables"
	}
	return ""
}

// service returns the folder of the service that dir belongs to.
func service(dir string) string {
	parts := strings.Split(dir, "/")
	n := 2
	if len(parts) > 2 && parts[1] == "connector" {
		n = 3
	}
	return strings.Join(parts[:min(n, len(parts))], "/")
}

// within tells whether the path is parent or below it.
func within(name, parent string) bool {
	return name == parent || strings.HasPrefix(name, parent+"/")
}

// TestRacesAreLookedForOutsideOfPurePackages compares the Makefile's list with the one
// whose packages are held to be pure.
func TestRacesAreLookedForOutsideOfPurePackages(t *testing.T) {
	var names []string
	for _, p := range pure {
		names = append(names, strings.TrimPrefix(p, "pkg/"))
	}
	if want := "\nPURE := pkg/(" + strings.Join(names, "|") + ")\n"; !strings.Contains(readSource(t, "Makefile"), want) {
		t.Errorf("the Makefile lacks %q", want)
	}
}
