package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestChanged asks .ci/changed in a small repository which packages to test.
func TestChanged(t *testing.T) {
	for name, c := range map[string]struct{ change, want string }{
		"a package nobody imports":      {"echo '// more' >> pkg/c/c.go", "flywheel/pkg/c"},
		"a package and its importers":   {"echo '// more' >> pkg/a/a.go", "flywheel/pkg/a flywheel/pkg/b"},
		"a package that a test imports": {"echo '// more' >> pkg/b/b.go", "flywheel/pkg/b flywheel/pkg/c"},
		"a data file":                   {"echo more >> pkg/c/testdata/deep/data", "flywheel/pkg/c"},
		"a new file":                    {"echo 'package c' > pkg/c/new.go", "flywheel/pkg/c"},
		"a file that is gone":           {"rm pkg/c/extra.go", "flywheel/pkg/c"},
		"a page beside no package":      {"echo more >> README.md", ""},
		"the dependencies":              {"echo '// more' >> go.mod", "flywheel/pkg/a flywheel/pkg/b flywheel/pkg/c"},
		"the last commit, if clean":     {"echo '// more' >> pkg/c/c.go && git commit -qam more", "flywheel/pkg/c"},
		"all since the branch began":    {"git update-ref refs/remotes/origin/main HEAD && echo '// more' >> pkg/c/c.go && git commit -qam 1 && echo more >> README.md && git commit -qam 2", "flywheel/pkg/c"},
		"everything, without a history": {"rm -rf .git", "flywheel/pkg/a flywheel/pkg/b flywheel/pkg/c"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for file, text := range map[string]string{
				".ci/changed":              readSource(t, ".ci/changed"),
				"go.mod":                   "module flywheel\n\ngo 1.26\n",
				"README.md":                "read me\n",
				"pkg/a/a.go":               "package a\n",
				"pkg/b/b.go":               "package b\n\nimport _ \"flywheel/pkg/a\"\n",
				"pkg/c/c.go":               "package c\n",
				"pkg/c/extra.go":           "package c\n",
				"pkg/c/c_test.go":          "package c_test\n\nimport _ \"flywheel/pkg/b\"\n",
				"pkg/c/testdata/deep/data": "data\n",
			} {
				path := filepath.Join(dir, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			shell(t, dir, "git init -q && git add . && git commit -qm begin && echo >> README.md && git commit -qam next")
			shell(t, dir, c.change)
			if got := strings.Join(strings.Fields(shell(t, dir, ".ci/changed")), " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func shell(t *testing.T, dir, line string) string {
	t.Helper()
	cmd := exec.Command("bash", "-euc", line)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@localhost", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@localhost")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
	return string(out)
}
