// Package smalldisk gives a folder a disk of its own that is soon full: a tmpfs
// of a few MiB, in a mount namespace that only the processes started through it
// see. It needs no root where the kernel lets users have namespaces, and leaves
// nothing behind: the disk is gone with the last of these processes.
package smalldisk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrUnavailable says that this machine does not let us have a disk of our own;
// the error it is part of says why.
var ErrUnavailable = errors.New("no small disk can be had here")

// Disk is a small disk on a folder.
type Disk struct {
	dir    string
	holder *exec.Cmd // keeps the namespace
	input  io.Closer // ends the holder
	user   bool      // the namespace has users of its own
}

// Mount puts a disk of so many MiB on dir, an absolute path of a folder. What
// lies in the folder is hidden from the processes that see the disk. The error is
// an ErrUnavailable where the machine does not allow it.
func Mount(ctx context.Context, dir string, mib int) (*Disk, error) {
	if !filepath.IsAbs(dir) || mib < 1 {
		return nil, fmt.Errorf("put a disk of %d MiB on %q: want 1 MiB or more and an absolute path", mib, dir)
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("put a disk on %q: create the folder first: %w", dir, err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("put a disk on %q: it is no folder", dir)
	}
	if tool := missing(); tool != "" {
		return nil, fmt.Errorf("%w: %s is not installed (it comes with util-linux)", ErrUnavailable, tool)
	}
	d, err := mount(ctx, dir, mib, false)
	if err != nil && ctx.Err() == nil {
		var other error // as a user who is root in there only
		if d, other = mount(ctx, dir, mib, true); other == nil {
			return d, nil
		}
		err = errors.Join(err, other)
	}
	return d, err
}

// missing returns a tool that is not installed; none if all are.
func missing() string {
	for _, tool := range []string{"mount", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return tool
		}
	}
	return ""
}

// Entitled says whether a disk is to be had here for certain: the tools are there, and this
// process may mount what it likes. If Mount fails then, something is broken.
func Entitled() bool {
	status, err := os.ReadFile("/proc/self/status") // there is none but on Linux
	return err == nil && missing() == "" && mounts(string(status))
}

// mounts says whether a process of such a status has CAP_SYS_ADMIN, which root in a container
// mostly has not.
func mounts(status string) bool {
	const sysAdmin = 21
	_, mask, _ := strings.Cut(status, "\nCapEff:")
	mask, _, _ = strings.Cut(mask, "\n")
	caps, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
	return err == nil && caps&(1<<sysAdmin) != 0
}

// mounted is what the holder says when the disk is there.
const mounted = "mounted"

func mount(ctx context.Context, dir string, mib int, user bool) (*Disk, error) {
	d := &Disk{dir: dir, user: user}
	// The folder is an argument, so that nothing in its name is a command.
	const script = `mount --make-rprivate / && mount -t tmpfs -o size="$1"m,mode=0755 flywheel "$2" && echo ` + mounted + ` && exec cat >/dev/null`
	d.holder = exec.CommandContext(context.WithoutCancel(ctx), "sh", "-c", script, "sh", fmt.Sprint(mib), dir)
	d.holder.SysProcAttr = namespace(user)
	var complaint strings.Builder
	d.holder.Stderr = &complaint
	input, err := d.holder.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("keep the disk on %q: %w", dir, err)
	}
	output, err := d.holder.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("keep the disk on %q: %w", dir, err)
	}
	if err := d.holder.Start(); err != nil {
		return nil, fmt.Errorf("%w: the kernel refuses a namespace: %w", ErrUnavailable, err)
	}
	d.input = input
	line, err := bufio.NewReader(output).ReadString('\n')
	if strings.TrimSpace(line) != mounted {
		_ = d.Close() // it has ended already
		return nil, fmt.Errorf("%w: mount a tmpfs on %q: %s", ErrUnavailable, dir, strings.TrimSpace(complaint.String()+" "+fmt.Sprint(err)))
	}
	return d, nil
}

// Command returns a command that sees the disk. It is the process itself that is
// started: signals reach it. On a nil Disk, which is none, it is a command as any.
func (d *Disk) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if d == nil {
		return exec.CommandContext(ctx, name, args...)
	}
	ns := fmt.Sprintf("/proc/%d/ns/", d.holder.Process.Pid)
	enter := []string{"--mount=" + ns + "mnt", "--wd=."} // the command's own folder, entered from outside
	if d.user {
		enter = append(enter, "--user="+ns+"user", "--preserve-credentials")
	}
	return exec.CommandContext(ctx, "nsenter", append(append(enter, "--", name), args...)...)
}

// Path is where a file of the disk is seen from outside, by its name in the
// folder.
func (d *Disk) Path(name string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", d.holder.Process.Pid), d.dir, name)
}

// Free returns how many bytes the disk still has.
func (d *Disk) Free() (int64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(d.Path("."), &stat); err != nil {
		return 0, fmt.Errorf("ask for the free space of the small disk on %q: %w", d.dir, err)
	}
	return int64(stat.Bavail) * int64(stat.Bsize), nil //nolint:unconvert // the types differ by platform
}

// ballast is the file that fills the disk.
const ballast = "ballast"

// Fill takes space until so many bytes are left.
func (d *Disk) Fill(left int64) error {
	free, err := d.Free()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(d.Path(ballast), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("fill the small disk on %q: %w", d.dir, err)
	}
	_, err = io.CopyN(f, zeros{}, max(0, free-left))
	if errors.Is(err, syscall.ENOSPC) { // others have written as well
		err = nil
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("fill the small disk on %q: %w", d.dir, err)
	}
	return nil
}

// Relieve gives back what Fill has taken.
func (d *Disk) Relieve() error {
	if err := os.Remove(d.Path(ballast)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("relieve the small disk on %q: %w", d.dir, err)
	}
	return nil
}

// Close lets go of the disk. Processes that still see it keep it.
func (d *Disk) Close() error {
	if err := d.input.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("let go of the small disk on %q: %w", d.dir, err)
	}
	_ = d.holder.Wait() // how it ended says nothing
	return nil
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
