package apache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// manifestFile lists every other file of an installation with its SHA-256, in sha256sum's format
// and in order. It is written last: a folder without it is not whole.
const manifestFile = "manifest"

// pomFile is the list that the installation was made from.
const pomFile = "pom.xml"

// seal writes the manifest.
func (i Installation) seal() error {
	if err := os.WriteFile(filepath.Join(i.dir, pomFile), pom, 0o644); err != nil {
		return fmt.Errorf("note what was installed: %w", err)
	}
	sums, err := sum(i.dir)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		fmt.Fprintf(&text, "%s  %s\n", sums[name], name)
	}
	if err := os.WriteFile(filepath.Join(i.dir, manifestFile), text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	return nil
}

// verify reads every file of the installation and reports the first that is not as it was installed.
func (i Installation) verify() error {
	made, err := os.ReadFile(filepath.Join(i.dir, pomFile))
	if err != nil {
		return fmt.Errorf("the installation %q cannot be read: %w", i.dir, err)
	}
	if !bytes.Equal(made, pom) {
		return fmt.Errorf("the installation %q was made from another pom.xml", i.dir)
	}
	want, err := os.ReadFile(filepath.Join(i.dir, manifestFile))
	if err != nil {
		return fmt.Errorf("the installation %q has no manifest: %w", i.dir, err)
	}
	return compare(i.dir, want)
}

// compare reports the first file below dir that differs from the list, is missing or is too many.
func compare(dir string, list []byte) error {
	got, err := sum(dir)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(list)) {
		want, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		switch has, ok := got[name]; {
		case !ok:
			return fmt.Errorf("%q is missing in %q", name, dir)
		case has != want:
			return fmt.Errorf("%q in %q has the checksum %s, want %s", name, dir, has, want)
		}
		delete(got, name)
	}
	for name := range got {
		return fmt.Errorf("%q in %q does not belong there", name, dir)
	}
	return nil
}

// sum returns the SHA-256 of every file below dir but the manifest, by path.
func sum(dir string) (map[string]string, error) {
	sums := make(map[string]string)
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil || name == manifestFile {
			return err //nolint:wrapcheck // wrapped below
		}
		f, err := os.Open(file)
		if err != nil {
			return err //nolint:wrapcheck // wrapped below
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		sums[filepath.ToSlash(name)] = hex.EncodeToString(h.Sum(nil))
		return errors.Join(err, f.Close())
	})
	if err != nil {
		return nil, fmt.Errorf("read the files of %q: %w", dir, err)
	}
	return sums, nil
}
