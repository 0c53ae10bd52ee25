//go:build mutants

package mutant

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

var (
	seedsFlag  = flag.Int("seeds", 2000, "simulate at most this many seeds for a mutant, as many as the simulation in CI")
	onlyFlag   = flag.String("only", "", "plant only mutants whose name this expression matches")
	reportFlag = flag.String("report", "", "write what was caught to this file, as JSON")
)

// report is what became of the mutants.
type report struct {
	Planted int     `json:"planted"`
	Caught  int     `json:"caught"`
	Rows    []row   `json:"rows"`
	Seconds float64 `json:"seconds"`
}

// row is what became of one.
type row struct {
	Mutant  string  `json:"mutant"`
	What    string  `json:"what"`
	Oracle  string  `json:"oracle"` // that caught it; empty when it survived
	Seeds   int     `json:"seeds"`  // until then
	Seconds float64 `json:"seconds"`
	Clean   string  `json:"clean"` // what the code without the mutant fails of at the same seed, which then proves nothing
}

// TestMutantsFit looks, without building anything, whether every mutant can be planted.
func TestMutantsFit(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants() {
		if _, err := lay(root, t.TempDir(), m); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// TestMutants plants every mutant and simulates until it is caught.
func TestMutants(t *testing.T) {
	only, err := regexp.Compile(*onlyFlag)
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	clean, err := build(t, root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	var r report
	for _, m := range mutants() {
		if !only.MatchString(m.name) {
			continue
		}
		r.Planted++
		result, err := plant(t, root, clean, m)
		switch {
		case err != nil:
			t.Errorf("%s: %v", m.name, err)
		case result.Oracle == "":
			t.Errorf("%s: survived %d seeds: %s", m.name, result.Seeds, m.what)
		case result.Clean != "":
			t.Errorf("%s: is not caught: the code without it fails at the same seed: %s", m.name, result.Clean)
		default:
			r.Caught++
		}
		t.Logf("%s: %s, after %d seeds and %.1f s", m.name, result.verdict(), result.Seeds, result.Seconds)
		r.Rows = append(r.Rows, result)
	}
	if r.Planted == 0 {
		t.Fatalf("no mutant is called like %q", *onlyFlag)
	}
	r.Seconds = time.Since(started).Seconds()
	t.Logf("%d of %d mutants caught in %.0f s\n%s", r.Caught, r.Planted, r.Seconds, table(r.Rows))
	if *reportFlag != "" {
		text, err := json.MarshalIndent(r, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(*reportFlag, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAMutantIsNotCaughtByWhatFailsWithoutIt takes a mutant for the clean code.
func TestAMutantIsNotCaughtByWhatFailsWithoutIt(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	all := mutants()
	soon := all[slices.IndexFunc(all, func(m mutant) bool { return m.name == "spike not retracted" })]
	dir := t.TempDir()
	overlay, err := lay(root, dir, soon)
	if err != nil {
		t.Fatal(err)
	}
	unclean, err := build(t, root, dir, "-overlay", overlay)
	if err != nil {
		t.Fatal(err)
	}
	var r row
	for range againMax { // as often as a seed is asked
		if r, err = plant(t, root, unclean, soon); err != nil {
			t.Fatal(err)
		}
		if r.Clean != "" {
			break
		}
	}
	if r.Clean == "" || !strings.HasPrefix(r.verdict(), "NOBODY, for the clean code fails too (") {
		t.Errorf("%+v", r)
	}
}

// verdict is by which oracle a mutant was caught.
func (r row) verdict() string {
	if r.Clean != "" {
		return fmt.Sprintf("NOBODY, for the clean code fails too (%s)", r.Oracle)
	}
	return cmp.Or(r.Oracle, "NOBODY")
}

func table(rows []row) string {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "mutant\tcaught by\tseeds\tseconds\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%d\t%.1f\t\n", r.Mutant, r.verdict(), r.Seeds, r.Seconds)
	}
	_ = w.Flush() // to memory
	return b.String()
}

// plant builds the simulation with a mutant in it, and runs it until something fails. What
// fails then must hold without the mutant.
func plant(t *testing.T, root, clean string, m mutant) (row, error) {
	r := row{Mutant: m.name, What: m.what}
	dir := t.TempDir()
	overlay, err := lay(root, dir, m)
	if err != nil {
		return r, err
	}
	binary, err := build(t, root, dir, "-overlay", overlay)
	if err != nil {
		return r, err
	}
	started := time.Now()
	s, died, err := simulate(t, binary, dir, 1, *seedsFlag)
	r.Seconds = time.Since(started).Seconds()
	if err != nil {
		return r, err
	}
	r.Seeds = s.Seeds
	failed := seeds{first: 1, n: 1}
	switch {
	case died != "": // which seed it was is not known, but that it was one of those begun
		r.Oracle, failed.n = oracleDies, s.Seeds+runtime.GOMAXPROCS(0)
		t.Logf("%s: %.2000s", m.name, died)
	case len(s.Failed) > 0:
		r.Oracle, failed.first = s.Failed[0].Oracle, s.Failed[0].Seed
		t.Logf("%s: seed %d: %.400s", m.name, s.Failed[0].Seed, s.Failed[0].Text)
	default:
		return r, nil
	}
	again, err := failsAgain(t, binary, dir, failed)
	if err != nil {
		return r, fmt.Errorf("%s: %w", r.Oracle, err)
	}
	for _, of := range slices.Compact([]seeds{failed, again}) {
		s, died, err = simulate(t, clean, dir, of.first, of.n)
		switch {
		case err != nil:
			return r, fmt.Errorf("simulate the same without it: %w", err)
		case died != "":
			r.Clean = oracleDies
		case len(s.Failed) > 0:
			r.Clean = fmt.Sprintf("seed %d: %s: %.400s", s.Failed[0].Seed, s.Failed[0].Oracle, s.Failed[0].Text)
		}
	}
	return r, nil
}

// seeds are some in a row.
type seeds struct {
	first uint64
	n     int
}

// againMax is how often a seed is asked again. It decides what happens and when, and not which of two
// goroutines that wake at the same moment comes first.
const againMax = 10

// failsAgain returns which seeds fail when those that have failed are asked again, or another one
// after them; an error if none does: what fails by chance now and then, with or without a mutant,
// seldom does so twice.
func failsAgain(t *testing.T, binary, dir string, failed seeds) (seeds, error) {
	for range againMax {
		switch s, died, err := simulate(t, binary, dir, failed.first, failed.n); {
		case err != nil:
			return seeds{}, fmt.Errorf("simulate seed %d again: %w", failed.first, err)
		case died != "" || len(s.Failed) > 0:
			return failed, nil
		}
	}
	next := seeds{failed.first + uint64(failed.n), *seedsFlag}
	switch s, died, err := simulate(t, binary, dir, next.first, next.n); {
	case err != nil:
		return seeds{}, fmt.Errorf("simulate the seeds after: %w", err)
	case died != "":
		return seeds{next.first, s.Seeds + runtime.GOMAXPROCS(0)}, nil
	case len(s.Failed) > 0:
		return seeds{s.Failed[0].Seed, 1}, nil
	}
	return seeds{}, fmt.Errorf("seed %d fails, passes %d times when it is asked again, and the %d after it pass as well", failed.first, againMax, *seedsFlag)
}

// oracleDies is the oracle that needs none.
const oracleDies = "the process dies"

// simulated is what is read of the report of a simulation.
type simulated struct {
	Seeds  int `json:"seeds"`
	Failed []struct {
		Seed         uint64
		Oracle, Text string
	} `json:"failed"`
}

// build builds the simulation into a folder.
func build(t *testing.T, root, dir string, args ...string) (string, error) {
	binary := filepath.Join(dir, "simulation.test")
	cmd := exec.CommandContext(t.Context(), "go", slices.Concat([]string{"test", "-c", "-tags", "synctests", "-o", binary}, args, []string{"./loadtest/simulation"})...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the simulation does not build: %w\n%s", err, out)
	}
	return binary, nil
}

// simulate runs some seeds until one fails. Of a process that dies before it can report it
// returns the last words, and how many seeds were over.
func simulate(t *testing.T, binary, dir string, first uint64, seeds int) (s simulated, died string, err error) {
	file := filepath.Join(dir, "report.json")
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return s, "", fmt.Errorf("remove the report before: %w", err)
	}
	run := exec.CommandContext(t.Context(), binary, "-test.run", "TestSeeds$", "-first", fmt.Sprint(first), "-seeds", fmt.Sprint(seeds), "-halt", "-shrink=false", "-report", file)
	run.Dir = dir
	out, failed := run.CombinedOutput()
	text, err := os.ReadFile(file)
	switch {
	case failed != nil && errors.Is(err, os.ErrNotExist): // it did not come so far
		if !bytes.Contains(out, []byte("panic:")) && !bytes.Contains(out, []byte("fatal error:")) {
			return s, "", fmt.Errorf("it ended without a report: %w\n%.2000s", failed, out)
		}
		s.Seeds = strings.Count(string(out), "--- ")
		return s, string(out), nil
	case err != nil:
		return s, "", fmt.Errorf("read what the simulation reports: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, "", fmt.Errorf("read what the simulation reports: %w", err)
	}
	return s, "", nil
}

// lay writes the files of a mutant, and the overlay by which the build takes them
// instead of the true ones.
func lay(root, dir string, m mutant) (string, error) {
	texts := make(map[string]string)
	for _, e := range m.edit {
		if texts[e.file] == "" {
			text, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				return "", err
			}
			texts[e.file] = string(text)
		}
		if n := strings.Count(texts[e.file], e.old); n != 1 {
			return "", fmt.Errorf("the mutant does not fit the code any more: %s holds %d times, instead of once:\n%s", e.file, n, e.old)
		}
		texts[e.file] = strings.Replace(texts[e.file], e.old, e.new, 1)
	}
	replace := make(map[string]string)
	for file, text := range texts {
		laid := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(laid, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, file)] = laid
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}
