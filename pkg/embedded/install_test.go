package embedded

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// fakeNpm puts a script named npm on the PATH that counts its calls and "packs" the tarball.
func fakeNpm(t *testing.T, tarball []byte, script string) (calls func() int) {
	t.Helper()
	dir := t.TempDir()
	count, packed := filepath.Join(dir, "calls"), filepath.Join(dir, "packed")
	if err := os.WriteFile(packed, tarball, 0o600); err != nil {
		t.Fatal(err)
	}
	text := "#!/bin/sh\necho $1 >> " + count + "\n" + strings.ReplaceAll(script, "PACKED", packed)
	if err := os.WriteFile(filepath.Join(dir, "npm"), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	return func() int {
		lines, err := os.ReadFile(count)
		if err != nil {
			return 0
		}
		return bytes.Count(lines, []byte("\n"))
	}
}

// pack copies the tarball to the folder after --pack-destination.
const pack = `while [ "$1" != --pack-destination ]; do shift; done
cp PACKED "$2/lib.tgz"`

func tarballOf(t *testing.T, files map[string]string) (tarball []byte, integrity string) {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	for name, content := range files {
		if err := archive.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(content)), Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(out.Bytes())
	return out.Bytes(), "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

func TestInstallFetchesOnceForMany(t *testing.T) {
	tarball, integrity := tarballOf(t, map[string]string{"package/libchdb.so": "the library", "package/../../evil": "x", "package/package.json": "{}"})
	calls := fakeNpm(t, tarball, pack)
	cache := t.TempDir()
	p := libraryPackage{"test", integrity}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			library, err := p.install(context.Background(), cache, newMeter(nil))
			if err != nil {
				t.Error(err)
				return
			}
			if content, err := os.ReadFile(library); err != nil || string(content) != "the library" {
				t.Errorf("the library holds %q, %v", content, err)
			}
		})
	}
	wait.Wait()
	if n := calls(); n != 1 {
		t.Errorf("npm ran %d times", n)
	}
	left, err := filepath.Glob(filepath.Join(cache, "chdb", libraryVersion, "*"))
	if err != nil || len(left) != 2 { // the folder and its lock
		t.Errorf("the cache holds %v, %v", left, err)
	}
}

func TestInstallAsksNpmWhereNoChecksumIsPinned(t *testing.T) {
	tarball, integrity := tarballOf(t, map[string]string{"package/libchdb.dylib": "x"})
	fakeNpm(t, tarball, `if [ "$1" = view ]; then echo '"`+integrity+`"'; exit; fi
`+pack)
	library, err := libraryPackage{platform: "test"}.install(context.Background(), t.TempDir(), newMeter(nil))
	if err != nil || filepath.Base(library) != "libchdb.dylib" {
		t.Errorf("got %q, %v", library, err)
	}
}

func TestInstallLeavesNothingHalf(t *testing.T) {
	tarball, integrity := tarballOf(t, map[string]string{"package/libchdb.so": strings.Repeat("x", 1<<16)})
	half := tarball[:len(tarball)/2]
	sum := sha512.Sum512(half)
	for name, c := range map[string]struct {
		tarball   []byte
		integrity string
		script    string
		want      string
	}{
		"another tarball":       {tarball, "sha512-AAAA", pack, "so it was not installed: check npm's registry setting"},
		"half a tarball":        {half, "sha512-" + base64.StdEncoding.EncodeToString(sum[:]), pack, "unexpected EOF"},
		"npm fails":             {tarball, integrity, "echo npm error code E404 >&2; exit 1", "npm pack @chdb/lib-test@" + libraryVersion + " failed (check the network and npm's registry setting): exit status 1: npm error code E404"},
		"npm packs nothing":     {tarball, integrity, "echo '[]'", "left no tarball"},
		"npm finds a full disk": {tarball, integrity, "echo npm error code ENOSPC >&2; exit 1", "ENOSPC"},
	} {
		t.Run(name, func(t *testing.T) {
			fakeNpm(t, c.tarball, c.script)
			cache := t.TempDir()
			_, err := libraryPackage{"test", c.integrity}.install(context.Background(), cache, newMeter(nil))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v", err)
			}
			fakeNpm(t, tarball, pack)
			if _, err := (libraryPackage{"test", integrity}).install(context.Background(), cache, newMeter(nil)); err != nil {
				t.Errorf("the next fetch: %v", err)
			}
		})
	}
}

func TestInstallStopsWithItsContext(t *testing.T) {
	fakeNpm(t, nil, "exec sleep 60")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := (libraryPackage{"test", "sha512-x"}).install(ctx, t.TempDir(), newMeter(nil)); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("got %v", err)
	}
}

func TestInstallWithoutNpmSaysWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Install(context.Background(), t.TempDir(), nil)
	if err == nil || !strings.Contains(err.Error(), "npm is not on the PATH: install Node.js") {
		t.Errorf("got %v", err)
	}
}

func TestEveryPlatformHasItsPackageOrARemedy(t *testing.T) {
	for platform, want := range map[string]string{
		"linux/amd64":  "@chdb/lib-linux-x64-gnu@" + libraryVersion,
		"linux/arm64":  "@chdb/lib-linux-arm64-gnu@" + libraryVersion,
		"darwin/amd64": "@chdb/lib-darwin-x64@" + libraryVersion,
		"darwin/arm64": "@chdb/lib-darwin-arm64@" + libraryVersion,
	} {
		goos, goarch, _ := strings.Cut(platform, "/")
		if p, err := packageFor(goos, goarch); err != nil || p.spec() != want {
			t.Errorf("%s: %q, %v", platform, p.spec(), err)
		}
	}
	if _, err := packageFor("plan9", "mips"); err == nil || !strings.Contains(err.Error(), "configure an external ClickHouse") {
		t.Errorf("plan9: %v", err)
	}
	if _, err := packageFor(runtime.GOOS, runtime.GOARCH); err != nil {
		t.Errorf("here: %v", err)
	}
}
