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
	started := time.Now()
	var r report
	for _, m := range mutants() {
		if !only.MatchString(m.name) {
			continue
		}
		r.Planted++
		result, err := plant(t, root, m)
		switch {
		case err != nil:
			t.Errorf("%s: %v", m.name, err)
		case result.Oracle == "":
			t.Errorf("%s: survived %d seeds: %s", m.name, result.Seeds, m.what)
		default:
			r.Caught++
		}
		t.Logf("%s: caught by %q after %d seeds and %.1f s", m.name, result.Oracle, result.Seeds, result.Seconds)
		r.Rows = append(r.Rows, result)
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

func table(rows []row) string {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "mutant\tcaught by\tseeds\tseconds\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%d\t%.1f\t\n", r.Mutant, cmp.Or(r.Oracle, "NOBODY"), r.Seeds, r.Seconds)
	}
	_ = w.Flush() // to memory
	return b.String()
}

// plant builds the simulation with a mutant in it, and runs it.
func plant(t *testing.T, root string, m mutant) (row, error) {
	r := row{Mutant: m.name, What: m.what}
	dir := t.TempDir()
	overlay, err := lay(root, dir, m)
	if err != nil {
		return r, err
	}
	binary := filepath.Join(dir, "simulation.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "synctests", "-overlay", overlay, "-o", binary, "./loadtest/simulation")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return r, fmt.Errorf("it does not build: %w\n%s", err, out)
	}
	file := filepath.Join(dir, "report.json")
	started := time.Now()
	run := exec.CommandContext(t.Context(), binary, "-test.run", "TestSeeds$", "-seeds", fmt.Sprint(*seedsFlag), "-halt", "-shrink=false", "-report", file)
	run.Dir = dir
	out, failed := run.CombinedOutput()
	r.Seconds = time.Since(started).Seconds()
	if _, err := os.Stat(file); failed != nil && errors.Is(err, os.ErrNotExist) { // it did not come so far
		if !bytes.Contains(out, []byte("panic:")) && !bytes.Contains(out, []byte("fatal error:")) {
			return r, fmt.Errorf("it ended without a report: %w\n%.2000s", failed, out)
		}
		r.Oracle, r.Seeds = "the process dies", strings.Count(string(out), "--- ")
		t.Logf("%s: %.2000s", m.name, out)
		return r, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	var s struct {
		Seeds  int `json:"seeds"`
		Failed []struct {
			Seed         uint64
			Oracle, Text string
		} `json:"failed"`
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return r, err
	}
	if r.Seeds = s.Seeds; len(s.Failed) > 0 {
		r.Oracle = s.Failed[0].Oracle
		t.Logf("%s: seed %d: %.400s", m.name, s.Failed[0].Seed, s.Failed[0].Text)
	}
	return r, nil
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
