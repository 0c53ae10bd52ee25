// Package cache guards a folder in which things are installed once, for all
// processes of a machine.
package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// poll is how often a lock that another process holds is tried again.
const poll = 200 * time.Millisecond

// Lock takes the lock that is a file, made when it is missing, and returns what
// gives it back; so does the end of the process. While another process holds it,
// waits is called once, and the lock is waited for until ctx ends.
func Lock(ctx context.Context, file string, waits func()) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the cache folder: %w", err)
	}
	for waiting := false; ; waiting = true {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return func() { _ = f.Close() }, nil
		} else if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock the cache folder: %w", err), f.Close())
		}
		if !waiting {
			waits()
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for the lock %q: %w", file, ctx.Err()), f.Close())
		case <-time.After(poll):
		}
	}
}

// CheckFree returns an error, which is an [syscall.ENOSPC], when the disk of a
// folder has less than so many bytes left.
func CheckFree(dir string, bytes uint64) error {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return fmt.Errorf("look at the free space of %q: %w", dir, err)
	}
	if free := stat.Bavail * uint64(stat.Bsize); free < bytes {
		return fmt.Errorf("%d MB are free, %d MB are needed: %w", free>>20, bytes>>20, syscall.ENOSPC)
	}
	return nil
}
