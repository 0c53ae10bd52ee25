package main

import (
	"context"
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "rewrite the expected output in the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"flywheel": main})
}

// TestScripts drives the binary as a shell would: one script for each command.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               scriptSetup,
		Cmds:                scriptCommands(),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// Ctrl-C while a tool waits for a server is no riddle of contexts.
func TestAToolThatIsStoppedSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{{"topics", "check"}, {"brands", "list"}} {
		var stdout, stderr strings.Builder
		code := execute(ctx, append(args, "--kafka.brokers=127.0.0.1:1"), nil, &stdout, &stderr)
		want := "flywheel: stopped when asked to, before 'flywheel " + strings.Join(args, " ") + "' was done: run it again\n"
		if code != exitFailed || stderr.String() != want {
			t.Errorf("%q: exit %d with %q, want %d with %q", args, code, stderr.String(), exitFailed, want)
		}
	}
}

// TestCommands holds every command to the same manners.
func TestCommands(t *testing.T) {
	root := tree(t)
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.Args == nil {
			t.Errorf("%s: say which arguments it takes (Args)", path)
		}
		if cmd.RunE == nil {
			t.Errorf("%s: use RunE, which returns its error", path)
		}
		if cmd.Short == "" || cmd.Short[len(cmd.Short)-1] == '.' {
			t.Errorf("%s: say in one phrase without a full stop what it does (Short)", path)
		}
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	visit(root)
}

func tree(t *testing.T) *cobra.Command {
	t.Helper()
	root, err := newRoot(&environment{stdout: io.Discard, stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	return root
}
