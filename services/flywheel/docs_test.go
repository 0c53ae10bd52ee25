package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"flywheel/pkg/config"
)

// TestDocuments holds what people are told to type against what there is.
func TestDocuments(t *testing.T) {
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		text := readSource(t, name)
		if len(codeOf(text)) == 0 {
			t.Errorf("%s: no code was found: is the test blind?", name)
		}
		for _, sin := range documentSins(t, text) {
			t.Errorf("%s: %s", name, sin)
		}
	}
}

func TestDocumentsRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		sins int
	}{
		"a target that is none":             {"```sh\nmake dmeo\n```", 1},
		"a target that is none, in a line":  {"Type `make dmeo`.", 1},
		"a target":                          {"```sh\nmake test # all\n```\nand `make microbench BENCH=X`", 0},
		"a command that is none":            {"```sh\nbin/flywheel brnads list\n```", 1},
		"a command that is none, in a line": {"Type `flywheel brnads`.", 1},
		"a flag that is none":               {"```sh\nbin/flywheel version --fast\n```", 1},
		"an argument too many":              {"```sh\nbin/flywheel version now\n```", 1},
		"a command":                         {"```sh\nbin/flywheel config print > a.yaml # all\n```\nand `flywheel config`", 0},
		"a command with a quoted argument":  {"```sh\nbin/flywheel config print --log.level=\"debug\"\n```", 0},
		"a key that is none":                {"Set `kafka.borkers`.", 1},
		"a key":                             {"Set `kafka.brokers`, a section is `kafka.tls`.", 0},
		"a variable that is none":           {"Set `FLYWHEEL_KAFKA_BORKERS=a:1`.", 1},
		"a variable":                        {"Set `FLYWHEEL_KAFKA_BROKERS=a:1` or `FLYWHEEL_CONFIG`.", 0},
		"a file that is not there":          {"See [it](none.md).", 1},
		"a file, and a page":                {"See [it](README.md) and [that](https://example.com).", 0},
		"a picture":                         {"```\nflywheel the binary\n```", 0},
		"what only looks like one":          {"We make do with flywheel things.", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := documentSins(t, c.text); len(got) != c.sins {
				t.Errorf("want %d sins, got %q", c.sins, got)
			}
		})
	}
}

var (
	target = regexp.MustCompile(`(?m)^([a-z-]+):`)
	link   = regexp.MustCompile(`\]\(([^)]+)\)`)
	keyish = regexp.MustCompile(`^(?:--)?([a-z]+)\.[a-z_.]+$`)
	span   = regexp.MustCompile("`([^`\n]+)`")
	word   = regexp.MustCompile(`(?:[^\s"']|"[^"]*"|'[^']*')+`)
)

// code is a line of a shell's code block, or a span within a sentence.
type code struct {
	text  string
	block bool
}

func codeOf(markdown string) (all []code) {
	block, shell := false, false
	for line := range strings.Lines(markdown) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			block = !block
			shell = line == "```sh"
		case shell:
			all = append(all, code{line, true})
		case block: // a picture
		default:
			for _, m := range span.FindAllStringSubmatch(line, -1) {
				all = append(all, code{m[1], false})
			}
		}
	}
	return all
}

// documentSins lists what a page names that there is not.
func documentSins(t *testing.T, markdown string) (sins []string) {
	t.Helper()
	say := func(format string, args ...any) { sins = append(sins, fmt.Sprintf(format, args...)) }
	var keys []string
	declared := pflag.NewFlagSet("keys", pflag.ContinueOnError)
	if _, err := config.Bind[Config](declared); err != nil {
		t.Fatal(err)
	}
	declared.VisitAll(func(f *pflag.Flag) { keys = append(keys, f.Name) })
	targets := target.FindAllStringSubmatch(readSource(t, "Makefile"), -1)
	for _, c := range codeOf(markdown) {
		line, _, _ := strings.Cut(c.text, " #")
		line, _, _ = strings.Cut(line, " > ")
		words := word.FindAllString(line, -1)
		if len(words) == 0 {
			continue
		}
		for i := range words {
			words[i] = strings.NewReplacer(`"`, "", `'`, "").Replace(words[i])
		}
		switch words[0] {
		case "make":
			for _, w := range words[1:] {
				if !strings.Contains(w, "=") && !slices.ContainsFunc(targets, func(m []string) bool { return m[1] == w }) {
					say("%q: there is no target %s", c.text, w)
				}
			}
		case "flywheel", "bin/flywheel":
			if err := checkDocumented(t, words[1:], c.block); err != nil {
				say("%q: %v", c.text, err)
			}
		}
		for _, w := range words {
			name, _, _ := strings.Cut(w, "=")
			if strings.HasPrefix(name, "FLYWHEEL_") && name != "FLYWHEEL_CONFIG" &&
				!slices.ContainsFunc(keys, func(k string) bool {
					return "FLYWHEEL_"+strings.ToUpper(strings.ReplaceAll(k, ".", "_")) == name
				}) {
				say("%q: no key has the variable %s", c.text, name)
			}
			m := keyish.FindStringSubmatch(name)
			if m == nil || !slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, m[1]+".") }) {
				continue
			}
			if path := strings.TrimPrefix(name, "--"); !slices.ContainsFunc(keys, func(k string) bool {
				return within(strings.ReplaceAll(k, ".", "/"), strings.ReplaceAll(path, ".", "/"))
			}) {
				say("%q: there is no key %s", c.text, path)
			}
		}
	}
	for _, m := range link.FindAllStringSubmatch(markdown, -1) {
		if strings.Contains(m[1], "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(source, m[1])); err != nil {
			say("link: %v", err)
		}
	}
	return sins
}

// checkDocumented checks a whole command line of a block; of one within a
// sentence only that there is such a command.
func checkDocumented(t *testing.T, args []string, block bool) error {
	t.Helper()
	root := tree(t)
	if block {
		return checkCommand(root, args)
	}
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if cmd.HasSubCommands() {
		return cmd.ValidateArgs(rest)
	}
	return cmd.ParseFlags(rest)
}
