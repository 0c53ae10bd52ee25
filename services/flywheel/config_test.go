package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDefaultConfiguration shows every key in review when a default, a name or a
// meaning changes.
func TestDefaultConfiguration(t *testing.T) {
	const golden = "testdata/config.golden"
	var stdout, stderr bytes.Buffer
	if code := execute(t.Context(), []string{"config", "print"}, nil, &stdout, &stderr); code != exitOK {
		t.Fatalf("config print: exit %d: %s", code, &stderr)
	}
	if *update {
		if err := os.WriteFile(golden, stdout.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v; write it with `make goldens`", err)
	}
	if diff := cmp.Diff(string(want), stdout.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s\nif that is meant, rewrite it with `make goldens`", golden, diff)
	}
}
