package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	for name, tc := range map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"version names the product and the toolchain": {[]string{"version"}, exitOK, "flywheel devel commit=", ""},
		"no command shows the help":                   {nil, exitOK, "Usage:", ""},
		"an unknown command is a usage error":         {[]string{"procesor"}, exitUsage, "", `unknown command "procesor"`},
		"an unknown flag is a usage error":            {[]string{"version", "--loud"}, exitUsage, "", "unknown flag: --loud"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), tc.args, &stdout, &stderr); code != tc.code {
				t.Errorf("exit code %d, want %d; stderr: %s", code, tc.code, stderr.String())
			}
			if !strings.Contains(stdout.String(), tc.stdout) {
				t.Errorf("stdout %q lacks %q", stdout.String(), tc.stdout)
			}
			if !strings.Contains(stderr.String(), tc.stderr) {
				t.Errorf("stderr %q lacks %q", stderr.String(), tc.stderr)
			}
		})
	}
}
