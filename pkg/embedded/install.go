package embedded

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"flywheel/pkg/cache"
	"flywheel/pkg/progress"
)

// libraryVersion of the npm packages @chdb/lib-*. The pinned checksums belong to it.
const libraryVersion = "26.7.3-stable.1"

// Sizes of the library, for the progress bar and the check of free space; other platforms differ a
// little.
const (
	tarballBytes   = 177_817_999
	libraryBytes   = 566_330_096
	libraryMax     = 2 << 30
	freeBytesNeeds = 2*tarballBytes + libraryBytes
)

// libraryPackage is the npm package that holds the library for one platform.
type libraryPackage struct {
	platform  string // the end of the package's name
	integrity string // npm's dist.integrity of the tarball; "": ask npm, see checksum
}

// packageFor picks the package by Go's names of system and processor.
func packageFor(goos, goarch string) (libraryPackage, error) {
	switch goos + "/" + goarch {
	case "linux/amd64":
		return libraryPackage{"linux-x64-gnu", "sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw=="}, nil
	case "linux/arm64":
		return libraryPackage{platform: "linux-arm64-gnu"}, nil
	case "darwin/amd64":
		return libraryPackage{platform: "darwin-x64"}, nil
	case "darwin/arm64":
		return libraryPackage{platform: "darwin-arm64"}, nil
	}
	return libraryPackage{}, fmt.Errorf("there is no embedded ClickHouse for %s/%s: configure an external ClickHouse, or use linux or macOS on x64 or arm64", goos, goarch)
}

func (p libraryPackage) spec() string { return "@chdb/lib-" + p.platform + "@" + libraryVersion }

// Install returns the path of the ClickHouse library, fetching it by the user's npm into cacheDir
// ("" means DefaultCacheDir) unless it is there already. Several processes may call it at once: one
// fetches, the others wait. Progress goes to the writer, as a bar if it is a terminal; nil shows
// none. An interrupted fetch leaves nothing behind that a later one would take for whole.
func Install(ctx context.Context, cacheDir string, show io.Writer) (library string, err error) {
	p, err := packageFor(runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return "", err
	}
	if cacheDir == "" {
		if cacheDir, err = DefaultCacheDir(); err != nil {
			return "", err
		}
	}
	if library, err = p.install(ctx, cacheDir, newMeter(show)); err != nil {
		if errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "ENOSPC") {
			return "", fmt.Errorf("the disk of the cache folder %q is full: free %d MB or set FLYWHEEL_EMBEDDED_CACHE_DIR to another disk: %w", cacheDir, freeBytesNeeds>>20, err)
		}
		return "", fmt.Errorf("fetch the ClickHouse library: %w", err)
	}
	return library, nil
}

// newMeter counts in megabytes.
func newMeter(w io.Writer) *progress.Meter { return progress.New(w, "MB", 1<<20) }

func (p libraryPackage) install(ctx context.Context, cacheDir string, m *progress.Meter) (library string, err error) {
	parent, err := filepath.Abs(filepath.Join(cacheDir, "chdb", libraryVersion))
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	target := filepath.Join(parent, p.platform)
	if library, err := findLibrary(target); err == nil {
		return library, nil
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", fmt.Errorf("create the cache folder (set FLYWHEEL_EMBEDDED_CACHE_DIR to a folder you may write): %w", err)
	}
	unlock, err := cache.Lock(ctx, target+".lock", func() { m.Say("waiting for another process that is fetching the ClickHouse library") })
	if err != nil {
		return "", fmt.Errorf("fetch into %q (set FLYWHEEL_EMBEDDED_CACHE_DIR to a folder you may write): %w", parent, err)
	}
	defer unlock()
	if library, err := findLibrary(target); err == nil {
		return library, nil // another process was faster
	}
	if stale, err := filepath.Glob(target + ".partial-*"); err == nil {
		for _, dir := range stale {
			_ = os.RemoveAll(dir) // an orphaned npm may still write there; the next fetch tries again
		}
	}
	partial, err := os.MkdirTemp(parent, p.platform+".partial-")
	if err != nil {
		return "", fmt.Errorf("create a folder for the fetch: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(partial)) }()
	unpacked := filepath.Join(partial, "unpacked")
	if err := os.Mkdir(unpacked, 0o755); err != nil {
		return "", fmt.Errorf("create a folder for the fetch: %w", err)
	}
	if err := cache.CheckFree(partial, freeBytesNeeds); err != nil {
		return "", fmt.Errorf("fetch into %q: %w", parent, err)
	}
	want, err := p.checksum(ctx)
	if err != nil {
		return "", err
	}
	tarball, err := p.download(ctx, partial, m)
	if err != nil {
		return "", err
	}
	if err := verify(tarball, want, m); err != nil {
		return "", err
	}
	if err := unpack(ctx, tarball, unpacked, m); err != nil {
		return "", err
	}
	if err := errors.Join(os.RemoveAll(target), os.Rename(unpacked, target)); err != nil {
		return "", fmt.Errorf("put the library in place: %w", err)
	}
	m.Say("ClickHouse library ready")
	return findLibrary(target)
}

// findLibrary names the library in an installed folder, which appears there whole or not at all.
func findLibrary(dir string) (string, error) {
	for _, name := range []string{"libchdb.so", "libchdb.dylib"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Size() > 0 {
			return filepath.Join(dir, name), nil
		}
	}
	return "", fmt.Errorf("the folder %q holds no libchdb: delete it to fetch it again", dir)
}

// checksum is the pinned one. Where none is pinned, it is what the registry publishes beside the
// package, which guards against a damaged download but trusts the registry.
func (p libraryPackage) checksum(ctx context.Context) (string, error) {
	if p.integrity != "" {
		return p.integrity, nil
	}
	out, err := npm(ctx, "", nil, "view", p.spec(), "dist.integrity", "--json")
	if err != nil {
		return "", err
	}
	var integrity string
	if err := json.Unmarshal(out, &integrity); err != nil || !strings.HasPrefix(integrity, "sha512-") {
		return "", fmt.Errorf("npm publishes no sha512 checksum for %s (it says %q): check npm's registry setting", p.spec(), bytes.TrimSpace(out))
	}
	return integrity, nil
}

// download lets npm pack the tarball into dir. npm gets a cache of its own there, whose growth is
// the progress.
func (p libraryPackage) download(ctx context.Context, dir string, m *progress.Meter) (tarball string, err error) {
	watch := func() { m.Set("fetching ClickHouse library", folderBytes(dir), tarballBytes) }
	out, err := npm(ctx, filepath.Join(dir, "npm"), watch, "pack", p.spec(), "--pack-destination", dir, "--json", "--ignore-scripts")
	if err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("npm pack %s left no tarball; it said %q: check npm by hand with the same command", p.spec(), bytes.TrimSpace(out))
	}
	return found[0], nil
}

// npm runs the user's npm, with their settings, and calls watch a few times a second.
func npm(ctx context.Context, cache string, watch func(), args ...string) ([]byte, error) {
	program, err := exec.LookPath("npm")
	if err != nil {
		return nil, errors.New("npm is not on the PATH: install Node.js with npm (it brings the embedded ClickHouse), or configure an external ClickHouse")
	}
	args = append(args, "--loglevel=error", "--no-update-notifier")
	if cache != "" {
		args = append(args, "--cache", cache)
	}
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &problems, 5*time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start npm: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if ctx.Err() != nil {
				return nil, fmt.Errorf("npm %s was interrupted: %w", args[0], ctx.Err())
			}
			if err != nil {
				return nil, fmt.Errorf("npm %s failed (check the network and npm's registry setting): %w: %s", strings.Join(args[:2], " "), err, firstLines(cmp.Or(problems.String(), out.String())))
			}
			return out.Bytes(), nil
		case <-tick.C:
			if watch != nil {
				watch()
			}
		}
	}
}

// firstLines keeps an error readable on one line.
func firstLines(text string) string {
	lines := strings.FieldsFunc(text, func(c rune) bool { return c == '\n' })
	return strings.Join(lines[:min(4, len(lines))], "; ")
}

// folderBytes adds up the files below dir; files that vanish meanwhile count as nothing.
func folderBytes(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it vanished: nothing to add
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}

// verify compares the tarball with npm's integrity string.
func verify(tarball, want string, m *progress.Meter) error {
	f, err := os.Open(tarball)
	if err != nil {
		return fmt.Errorf("open the tarball: %w", err)
	}
	defer f.Close()
	m.Say("checking the checksum")
	sum := sha512.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("read the tarball: %w", err)
	}
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("the checksum of %s is %s, not %s, so it was not installed: check npm's registry setting and run `npm cache clean --force`", filepath.Base(tarball), got, want)
	}
	return nil
}

// unpack takes the library out of the tarball and nothing else.
func unpack(ctx context.Context, tarball, dir string, m *progress.Meter) (err error) {
	f, err := os.Open(tarball)
	if err != nil {
		return fmt.Errorf("open the tarball: %w", err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("unpack the tarball: %w", err)
	}
	for files := tar.NewReader(plain); ; {
		header, err := files.Next()
		if err == io.EOF {
			_, err := findLibrary(dir)
			return err
		}
		if err != nil {
			return fmt.Errorf("unpack the tarball: %w", err)
		}
		name := path.Base(header.Name)
		if header.Typeflag != tar.TypeReg || name != "libchdb.so" && name != "libchdb.dylib" {
			continue
		}
		if header.Size > libraryMax {
			return fmt.Errorf("the library in the tarball is over %d bytes: it is not the one expected", libraryMax)
		}
		if err := writeLibrary(ctx, filepath.Join(dir, name), files, header.Size, m); err != nil {
			return err
		}
	}
}

func writeLibrary(ctx context.Context, name string, in io.Reader, size int64, m *progress.Meter) error {
	out, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return fmt.Errorf("create the library file: %w", err)
	}
	var written int64
	for err == nil && ctx.Err() == nil {
		var n int64
		n, err = io.CopyN(out, in, 8<<20)
		written += n
		m.Set("unpacking ClickHouse library", written, size)
	}
	if errors.Is(err, io.EOF) {
		err = out.Sync()
	}
	if err := errors.Join(err, ctx.Err(), out.Close()); err != nil {
		return fmt.Errorf("write the library file: %w", err)
	}
	return nil
}
