package apache

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"flywheel/loadtest/process"
	"flywheel/loadtest/smalldisk"
)

// javaVersion is the oldest Java that runs the broker.
const javaVersion = 17

// javaSays is how every Java begins what it says about its version.
var javaSays = regexp.MustCompile(`version "(?:1\.)?(\d+)`)

// findJava returns the program that JAVA_HOME names, or else the one on the PATH, if it is new enough.
func findJava(ctx context.Context) (string, error) {
	program, err := exec.LookPath("java")
	if home := os.Getenv("JAVA_HOME"); home != "" {
		program, err = exec.LookPath(filepath.Join(home, "bin", "java"))
	}
	if err != nil {
		return "", fmt.Errorf("there is no java: install a Java runtime of version %d or later, or set JAVA_HOME to one: %w", javaVersion, err)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "-version")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("ask %s for its version (install Java %d or later, or set JAVA_HOME to one): %w: %s", program, javaVersion, err, firstLines(out.String()))
	}
	said := javaSays.FindSubmatch(out.Bytes())
	if said == nil {
		return "", fmt.Errorf("%s does not tell its version but says %q: install Java %d or later, or set JAVA_HOME to one", program, firstLines(out.String()), javaVersion)
	}
	if version, err := strconv.Atoi(string(said[1])); err != nil || version < javaVersion {
		return "", fmt.Errorf("%s is Java %s, which is too old for Kafka %s: install Java %d or later, or set JAVA_HOME to one", program, said[1], KafkaVersion, javaVersion)
	}
	return program, nil
}

// stopTimeout is how long a server may take to save what it has.
const stopTimeout = 30 * time.Second

// launch starts Java in the folder of the installation, with its log in a folder; it sees the disk,
// if that is not nil.
func (i Installation) launch(name, dir string, disk *smalldisk.Disk, args ...string) (*process.Process, error) {
	cmd := disk.Command(context.Background(), i.java, args...) // it runs until it is told
	cmd.Dir = i.dir
	return process.Start(name, filepath.Join(dir, "log"), cmd)
}
