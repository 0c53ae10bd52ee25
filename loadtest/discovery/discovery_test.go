package main

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
)

// table runs the command and returns the figures of a share and control.
func table(t *testing.T, args ...string) (row func(share, control string) []float64) {
	t.Helper()
	var out strings.Builder
	if err := discover(t.Context(), args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + out.String())
	return func(share, control string) (figures []float64) {
		for line := range strings.Lines(out.String()) {
			rest, ok := strings.CutPrefix(line, share)
			if name, numbers, found := strings.Cut(strings.TrimSpace(rest), "  "); ok && found && name == control {
				for _, f := range strings.Fields(numbers) {
					v, err := strconv.ParseFloat(f, 64)
					if err != nil {
						t.Fatal(err)
					}
					figures = append(figures, v)
				}
			}
		}
		if len(figures) < 5 {
			t.Fatalf("there is no row %q of %s", control, share)
		}
		return figures
	}
}

// What moves both sides is taken for an effect where nobody tells of it, and not where it
// is told.
func TestWhatElseMovesBothSidesIsNoDiscovery(t *testing.T) {
	const ever = 4
	called := func(confounder string) float64 {
		return table(t, "--brands", "54", "--days", "15", "--seed", "4", "--confounder", confounder)("0 %", "online")[ever]
	}
	hidden, given := called("hidden"), called("given")
	if hidden < 0.25 {
		t.Errorf("%.3f of brands without an effect are called where something hidden moves both sides: this proves nothing", hidden)
	}
	if given > 0.05 {
		t.Errorf("%.3f of brands without an effect are called, although what moves both sides is given", given)
	}
}

// What takes seconds; main.go says how to measure the rest.
func TestFalseDiscoveriesStayBelowFivePercent(t *testing.T) {
	const discoveries, all, stream, ever, power30 = 0, 2, 3, 4, 7
	row := table(t, "--brands", "54", "--days", "40", "--seed", "3")
	for _, control := range []string{"online", "online, pooled", "Benjamini–Yekutieli, each day", "online and Benjamini–Yekutieli"} {
		for _, share := range []string{"20 %", "50 %"} { // of few discoveries one brand decides
			if got := row(share, control); got[all] > 0.1 || got[stream] > 0.05 {
				t.Errorf("%s of the brands, %s: %.3f of all discoveries are false, %.3f of a brand's", share, control, got[all], got[stream])
			}
		}
	}
	if got := row("0 %", "online"); got[ever] > 0.05 {
		t.Errorf("online %.3f of the brands without an effect are called", got[ever])
	}
	if got := row("0 %", "uncorrected, p ≤ 5 %"); got[ever] < 0.15 {
		t.Errorf("uncorrected only %.3f of the brands without an effect are called: the worlds are too easy to tell", got[ever])
	}
	if got := row("50 %", "online"); got[discoveries] < 50 || got[power30] < 0.2 || row("50 %", "online, pooled")[discoveries] < got[discoveries] {
		t.Errorf("online there are %.0f discoveries, and effects of 30 %% are found in %.2f", got[discoveries], got[power30])
	}
}

func TestASeedIsAWorld(t *testing.T) {
	text := func(seed string) string {
		var out strings.Builder
		if err := discover(t.Context(), []string{"--brands", "9", "--days", "9", "--seed", seed}, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		_, rows, _ := strings.Cut(out.String(), "\n")
		return rows
	}
	if first := text("1"); text("1") != first || text("2") == first {
		t.Error("the same seed gives another table, or another seed the same")
	}
}

func TestMistakesAreNamed(t *testing.T) {
	if err := discover(t.Context(), []string{"--brands", "0"}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "--brands 0") {
		t.Errorf("no brands: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := discover(ctx, nil, io.Discard, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}
