package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func run(t *testing.T, args ...string) string {
	t.Helper()
	var out strings.Builder
	if err := measure(t.Context(), args, &out, &strings.Builder{}); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	return out.String()
}

// What takes seconds; pkg/correlate/DESIGN.md says how to measure the rest.
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
	t.Run("generated series", func(t *testing.T) {
		text := run(t, "--days", "35", "--cases", "24", "--parts", "null,effect,promotion,lag,classic")
		if found := rate(text, `null .*found ([0-9.]+)`); found > 0.2 {
			t.Errorf("%v of unrelated pairs called significant", found)
		}
		for _, part := range []string{"effect", "promotion"} {
			for _, share := range []string{"10", "30", "60"} {
				if held := rate(text, part+` .* `+share+` %.*held ([0-9.]+)`); held < 0.8 {
					t.Errorf("%s of %s %%: %v of intervals hold the truth", part, share, held)
				}
			}
		}
		if found := rate(text, `effect .* 60 %.*found ([0-9.]+)`); found < 0.7 {
			t.Errorf("%v of large effects found", found)
		}
		if width := rate(text, `effect .* 60 %.*half width ([0-9.]+)`); width > 0.6 {
			t.Errorf("intervals of large effects are %v of them wide to either side", width)
		}
		if found := rate(text, `lag .*found ([0-9.]+)`); found < 0.4 || rate(text, `lag .*within an hour ([0-9.]+)`) < 0.9*found {
			t.Errorf("lags are not found again:\n%s", text)
		}
		if rate(text, `classic .*found ([0-9.]+)`) < 0.5 || rate(text, `classic .*held ([0-9.]+)`) < 0.8 || rate(text, `classic .*best lag off ([0-9.]+)`) > 2.5 {
			t.Errorf("the gas furnace is not told:\n%s", text)
		}
	})
	t.Run("real series", func(t *testing.T) {
		const dir = "../../../shared/data/mentions"
		if _, err := os.Stat(dir); err != nil {
			t.Skipf("no real series at %s: nothing to check", dir)
		}
		text := run(t, "--days", "35", "--data", dir, "--parts", "null,effect", "--cases", "24")
		if found := rate(text, `null .*found ([0-9.]+)`); found > 0.2 {
			t.Errorf("%v of impossible pairs called significant", found)
		}
		if held := rate(text, `effect .* 30 %.*held ([0-9.]+)`); held < 0.8 {
			t.Errorf("%v of intervals hold the truth", held)
		}
	})
}

// A run that goes on says what one that was not interrupted says.
func TestARunGoesOn(t *testing.T) {
	args := []string{"--days", "21", "--parts", "effect", "--cases", "2"}
	whole := run(t, args...)
	out := filepath.Join(t.TempDir(), "cases.jsonl")
	args = append(args, "--out", out)
	run(t, args...)
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines != 6 {
		t.Fatalf("%d cases were kept, want 6", lines)
	}
	// The last line is half written.
	if err := os.WriteFile(out, text[:len(text)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	if again := run(t, args...); again != whole {
		t.Errorf("got\n%s\nwant\n%s", again, whole)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for want, args := range map[string][]string{
		`there are no series in "nowhere"`:        {"--data", "nowhere"},
		`"x" is no number of days`:                {"--days", "x"},
		`there is no "luck"`:                      {"--parts", "luck"},
		`--step: 7h0m0s is no even part of a day`: {"--step", "7h"},
		`stopped after 0 of 1 cases`:              {"--parts", "null", "--cases", "1", "--days", "21"},
	} {
		ctx := t.Context()
		if strings.HasPrefix(want, "stopped") {
			var cancel func()
			ctx, cancel = context.WithCancel(ctx)
			cancel()
		}
		if err := measure(ctx, args, &strings.Builder{}, &strings.Builder{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
