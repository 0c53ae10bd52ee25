package cache

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestOneHoldsTheLockAtATime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lock")
	none := func() { t.Error("it waits for nobody") }
	unlock, err := Lock(t.Context(), file, none)
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan struct{})
	taken := make(chan error, 1)
	go func() {
		unlock, err := Lock(t.Context(), file, func() { close(said) })
		if err == nil {
			unlock()
		}
		taken <- err
	}()
	<-said
	select {
	case err := <-taken:
		t.Fatalf("a second one has it too: %v", err)
	default:
	}
	unlock()
	if err := <-taken; err != nil {
		t.Error(err)
	}
	if unlock, err = Lock(t.Context(), file, none); err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestWhoNeedNotWaitDoesNot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(t.Context(), file, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Lock(ctx, file, cancel); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want that the lock was waited for until the end of the context", err)
	}
	if _, err := Lock(t.Context(), filepath.Join(file, "below"), cancel); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a folder that cannot be: %v", err)
	}
}

func TestCheckFree(t *testing.T) {
	dir := t.TempDir()
	if err := CheckFree(dir, 1); err != nil {
		t.Error(err)
	}
	if err := CheckFree(dir, math.MaxUint64); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "MB are needed") {
		t.Errorf("got %v, want how much is needed", err)
	}
	if err := CheckFree(filepath.Join(dir, "missing"), 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is missing: %v", err)
	}
}
