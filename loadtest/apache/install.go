package apache

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	_ "embed" // for the pom and the checksums
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"flywheel/pkg/cache"
	"flywheel/pkg/embedded"
	"flywheel/pkg/progress"
)

//go:embed pom.xml
var pom []byte

//go:embed checksums
var checksums []byte

const (
	kafkaDir    = "kafka"    // the broker's jars
	registryDir = "registry" // the registry's runner and jars
	formatDir   = "format"   // the metadata that a new cluster begins with
	archive     = "apicurio-registry-app-" + RegistryVersion + "-all.tar.gz"
	runner      = "apicurio-registry-app-" + RegistryVersion + "-runner.jar"

	installBytes   = 280 << 20 // what an installation takes
	freeBytesNeeds = 2 * installBytes
	fileBytesMax   = 256 << 20 // no file of the archive is near that
)

// Install returns the servers, fetching them through Maven into the cache folder ("" means
// embedded.DefaultCacheDir) unless they are there, whole and unchanged. Several processes may call
// it at once: one fetches, the others wait. What it does goes to the writer, line by line; nil shows
// nothing. An interrupted install leaves nothing behind that a later one would take for whole.
func Install(ctx context.Context, cacheDir string, show io.Writer) (Installation, error) {
	java, err := findJava(ctx)
	if err != nil {
		return Installation{}, err
	}
	if cacheDir == "" {
		if cacheDir, err = embedded.DefaultCacheDir(); err != nil {
			return Installation{}, err
		}
	}
	dir, err := filepath.Abs(filepath.Join(cacheDir, "apache", "apicurio-"+RegistryVersion+"-kafka-"+KafkaVersion))
	if err != nil {
		return Installation{}, fmt.Errorf("find the cache folder: %w", err)
	}
	i := Installation{dir: dir, java: java}
	if err := i.install(ctx, progress.New(show, "MB", 1<<20)); err != nil {
		if errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "No space left") {
			return Installation{}, fmt.Errorf("the disk of the cache folder %q is full: free %d MB or use a cache folder on another disk: %w", cacheDir, freeBytesNeeds>>20, err)
		}
		return Installation{}, fmt.Errorf("install Kafka %s and Apicurio %s: %w", KafkaVersion, RegistryVersion, err)
	}
	return i, nil
}

func (i Installation) install(ctx context.Context, m *progress.Meter) (err error) {
	if i.verify() == nil {
		return nil
	}
	parent := filepath.Dir(i.dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("create the cache folder: %w", err)
	}
	unlock, err := cache.Lock(ctx, i.dir+".lock", func() { m.Say("waiting for another process that is installing the servers") })
	if err != nil {
		return fmt.Errorf("install into %q: %w", parent, err)
	}
	defer unlock()
	problem := i.verify()
	if problem == nil {
		return nil // another process was faster
	}
	if _, err := os.Stat(i.dir); err == nil {
		m.Say("installing anew: " + problem.Error())
	}
	if stale, err := filepath.Glob(i.dir + ".partial-*"); err == nil {
		for _, dir := range stale {
			_ = os.RemoveAll(dir) // the next install tries again
		}
	}
	partial, err := os.MkdirTemp(parent, filepath.Base(i.dir)+".partial-")
	if err != nil {
		return fmt.Errorf("create a folder for the install: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(partial)) }()
	if err := cache.CheckFree(partial, freeBytesNeeds); err != nil {
		return fmt.Errorf("install into %q: %w", parent, err)
	}

	begin := time.Now()
	m.Say(fmt.Sprintf("fetching Kafka %s and Apicurio %s through Maven, once", KafkaVersion, RegistryVersion))
	built := Installation{dir: filepath.Join(partial, "built"), java: i.java, trial: true}
	if err := built.fetch(ctx, partial); err != nil {
		return err
	}
	if err := built.try(ctx, partial); err != nil {
		return fmt.Errorf("the servers that were fetched do not work with %s: %w", i.java, err)
	}
	if err := built.seal(); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(i.dir), os.Rename(built.dir, i.dir)); err != nil {
		return fmt.Errorf("put the servers in place: %w", err)
	}
	m.Say(fmt.Sprintf("Kafka and registry ready after %s", time.Since(begin).Round(100*time.Millisecond)))
	return nil
}

// fetch has Maven bring everything, compares it with the checksums, and sorts it into the folder.
func (i Installation) fetch(ctx context.Context, work string) error {
	jars, registry := filepath.Join(i.dir, kafkaDir), filepath.Join(i.dir, registryDir)
	for _, dir := range []string{jars, registry} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("create a folder for the install: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), pom, 0o644); err != nil {
		return fmt.Errorf("write the list of what Maven fetches: %w", err)
	}
	if err := maven(ctx, work, "dependency:copy-dependencies", "dependency:copy", "-DoutputDirectory="+jars); err != nil {
		return err
	}
	if err := compare(jars, checksums); err != nil {
		return fmt.Errorf("what Maven fetched is not what is expected, so it was not installed (check the mirrors in Maven's settings): %w", err)
	}
	packed := filepath.Join(work, archive)
	if err := os.Rename(filepath.Join(jars, archive), packed); err != nil {
		return fmt.Errorf("set the registry's archive aside: %w", err)
	}
	return unpack(ctx, packed, registry)
}

// maven runs the user's Maven, with their settings.
func maven(ctx context.Context, dir string, args ...string) error {
	program, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("mvn is not on the PATH: install Maven 3, which fetches the servers once")
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, program, append([]string{"-q", "-B", "--strict-checksums"}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = dir, &out, &out, 5*time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // mvn is a script that starts Java
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("mvn was interrupted: %w", ctx.Err())
	case err != nil:
		return fmt.Errorf("mvn could not fetch them (check the network and the mirrors in Maven's settings): %w: %s", err, cmp.Or(firstLines(out.String()), "no output"))
	}
	return nil
}

// colours are what Maven adds for terminals.
var colours = strings.NewReplacer("\x1b[0m", "", "\x1b[m", "", "\x1b[1m", "", "\x1b[1;31m", "") //nolint:gochecknoglobals // never written

// firstLines keeps an error readable on one line.
func firstLines(text string) string {
	lines := strings.FieldsFunc(colours.Replace(text), func(c rune) bool { return c == '\n' })
	return strings.Join(lines[:min(2, len(lines))], "; ")
}

// unpack writes the files of the archive below dir.
func unpack(ctx context.Context, packed, dir string) error {
	f, err := os.Open(packed)
	if err != nil {
		return fmt.Errorf("open the registry's archive: %w", err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("unpack the registry: %w", err)
	}
	root, err := os.OpenRoot(dir) // whatever the archive names stays below it
	if err != nil {
		return fmt.Errorf("unpack the registry: %w", err)
	}
	defer root.Close()
	for files := tar.NewReader(plain); ctx.Err() == nil; {
		header, err := files.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("unpack the registry: %w", err)
		case header.Typeflag == tar.TypeDir:
			err = root.MkdirAll(header.Name, 0o755)
		case header.Typeflag == tar.TypeReg && header.Size <= fileBytesMax:
			err = extract(root, header.Name, files)
		default:
			err = errors.New("it is neither a folder nor a file of a likely size")
		}
		if err != nil {
			return fmt.Errorf("unpack %q of the registry: %w", header.Name, err)
		}
	}
	return fmt.Errorf("unpack the registry: %w", ctx.Err())
}

func extract(root *os.Root, name string, in io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err //nolint:wrapcheck // names the file; the caller says why
	}
	out, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	if err != nil {
		return err //nolint:wrapcheck // names the file; the caller says why
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
