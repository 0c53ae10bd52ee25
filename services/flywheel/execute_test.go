package main

import (
	"flag"
	"io"
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
