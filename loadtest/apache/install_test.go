package apache

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program writes a script of that name for the PATH.
func program(t *testing.T, dir, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// left are the entries of the cache folder but its lock.
func left(t *testing.T, cache string) []string {
	t.Helper()
	entries, err := filepath.Glob(filepath.Join(cache, "apache", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasSuffix(e, ".lock") {
			names = append(names, e)
		}
	}
	return names
}

func TestAnInstallThatCannotWorkSaysWhyAndLeavesNothing(t *testing.T) {
	const java17 = `echo 'openjdk version "17.0.15" 2025-04-15' >&2`
	for name, tc := range map[string]struct {
		java, mvn string // scripts, "" for none
		want      string
	}{
		"without Java":            {"", "", "there is no java: install a Java runtime of version 17 or later, or set JAVA_HOME to one"},
		"with a Java of old":      {`echo 'java version "1.8.0_401"' >&2`, "", "is Java 8, which is too old for Kafka 4.3.0: install Java 17 or later, or set JAVA_HOME to one"},
		"with an old Java":        {`echo 'openjdk version "11.0.2" 2019-01-15' >&2`, "", "is Java 11, which is too old"},
		"with a Java that fails":  {"echo broken >&2; exit 1", "", "install Java 17 or later, or set JAVA_HOME to one): exit status 1: broken"},
		"with something else":     {"echo hello", "", `does not tell its version but says "hello"`},
		"without Maven":           {java17, "", "mvn is not on the PATH: install Maven 3, which fetches the servers once"},
		"without network":         {java17, "echo '[ERROR] Could not transfer artifact'; exit 1", "check the network and the mirrors in Maven's settings): exit status 1: [ERROR] Could not transfer artifact"},
		"with a mirror of others": {java17, `for a; do case $a in -DoutputDirectory=*) echo x >"${a#*=}/kafka_2.13-4.3.0.jar";; esac; done`, "what Maven fetched is not what is expected, so it was not installed"},
	} {
		t.Run(name, func(t *testing.T) {
			bin, cache := t.TempDir(), t.TempDir()
			t.Setenv("PATH", bin)
			t.Setenv("JAVA_HOME", "")
			if tc.java != "" {
				program(t, bin, "java", tc.java)
			}
			if tc.mvn != "" {
				program(t, bin, "mvn", tc.mvn)
			}
			_, err := Install(t.Context(), cache, nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if names := left(t, cache); names != nil {
				t.Errorf("%v is left", names)
			}
		})
	}
}

func TestAnInterruptedInstallLeavesNothing(t *testing.T) {
	bin, cache := t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	t.Setenv("JAVA_HOME", "")
	began := filepath.Join(bin, "began")
	program(t, bin, "java", `echo 'openjdk version "17.0.15" 2025-04-15' >&2`)
	program(t, bin, "mvn", ">"+began+"; sleep 600")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for {
			if _, err := os.Stat(began); err == nil || ctx.Err() != nil {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	_, err := Install(ctx, cache, nil)
	if err == nil || !strings.Contains(err.Error(), "mvn was interrupted") {
		t.Errorf("got %v", err)
	}
	if names := left(t, cache); names != nil {
		t.Errorf("%v is left", names)
	}
}

func TestADamagedInstallationIsNoticed(t *testing.T) {
	for name, tc := range map[string]struct {
		damage func(i Installation) error
		want   string // "" when it is whole
	}{
		"whole": {func(Installation) error { return nil }, ""},
		"a file of another content": {func(i Installation) error {
			return os.WriteFile(filepath.Join(i.dir, kafkaDir, "a.jar"), []byte("b"), 0o644)
		}, `"kafka/a.jar" in "`},
		"a file that is missing": {func(i Installation) error { return os.Remove(filepath.Join(i.dir, kafkaDir, "a.jar")) }, `"kafka/a.jar" is missing in "`},
		"a file too many": {func(i Installation) error {
			return os.WriteFile(filepath.Join(i.dir, kafkaDir, "b.jar"), nil, 0o644)
		}, `"kafka/b.jar" in "`},
		"no manifest": {func(i Installation) error { return os.Remove(filepath.Join(i.dir, manifestFile)) }, "has no manifest"},
		"made from another list": {func(i Installation) error {
			return os.WriteFile(filepath.Join(i.dir, pomFile), []byte("<project/>"), 0o644)
		}, "was made from another pom.xml"},
		"not there": {func(i Installation) error { return os.RemoveAll(i.dir) }, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			i := Installation{dir: t.TempDir()}
			if err := os.MkdirAll(filepath.Join(i.dir, kafkaDir), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(i.dir, kafkaDir, "a.jar"), []byte("a"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := i.seal(); err != nil {
				t.Fatal(err)
			}
			if err := tc.damage(i); err != nil {
				t.Fatal(err)
			}
			err := i.verify()
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestTheVersionsAreThoseOfTheLists(t *testing.T) {
	for _, want := range []string{"<version>" + KafkaVersion + "</version>", "<version>" + RegistryVersion + "</version>"} {
		if !bytes.Contains(pom, []byte(want)) {
			t.Errorf("pom.xml lacks %s", want)
		}
	}
	for _, want := range []string{"  kafka_2.13-" + KafkaVersion + ".jar\n", "  " + archive + "\n"} {
		if !bytes.Contains(checksums, []byte(want)) {
			t.Errorf("checksums lack %q", want)
		}
	}
}
