package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What takes seconds; main.go says how to measure the rest.
func TestSmallEvidence(t *testing.T) {
	rate := func(text, pattern string) float64 {
		t.Helper()
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("there is no %s in:\n%s", pattern, text)
		}
		v, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	run := func(args ...string) string {
		t.Helper()
		var out strings.Builder
		if err := measure(t.Context(), args, &out); err != nil {
			t.Fatal(err)
		}
		t.Log(out.String())
		return out.String()
	}
	t.Run("generated series", func(t *testing.T) {
		text := run("--days", "28", "--pairs", "4", "--every", "36", "--parts", "null,effect,lag")
		if found := rate(text, `no effect: .*calibrated ([0-9.]+)`); found > 0.3 {
			t.Errorf("%v of unrelated pairs called significant", found)
		}
		if covered := rate(text, `30 %: .*covered ([0-9.]+)`); covered < 0.6 {
			t.Errorf("%v of intervals hold the truth", covered)
		}
		if found := rate(text, `0 to 72 h: .*found ([0-9]+)`); found < 2 || rate(text, `15 minutes ([0-9]+)`) < 0.7*found {
			t.Errorf("lags are not found again:\n%s", text)
		}
	})
	t.Run("real series", func(t *testing.T) {
		const dir = "../../../shared/data/mentions"
		if _, err := os.Stat(dir); err != nil {
			t.Skipf("no real series at %s: nothing to check", dir)
		}
		text := run("--days", "42", "--data", dir, "--parts", "null", "--nulls", "4")
		if found := rate(text, `no effect: .*calibrated ([0-9.]+)`); found > 0.3 {
			t.Errorf("%v of impossible pairs called significant", found)
		}
	})
}

func TestMistakesAreNamed(t *testing.T) {
	for want, args := range map[string][]string{
		`there are no series in "nowhere"`: {"--data", "nowhere"},
		`"x" is no number of days`:         {"--days", "x"},
	} {
		if err := measure(t.Context(), args, &strings.Builder{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
