// Package usage tells what the process itself has taken of its machine.
package usage

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"syscall"
)

// Usage is what a process has taken so far.
type Usage struct {
	CPUSeconds  float64 // of all its threads, in user and kernel mode
	RSSBytesMax int64   // most memory that was resident at once
	HeapBytes   int64   // what the garbage collector found alive last
}

// Now returns the usage of this process.
func Now() (Usage, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return Usage{}, fmt.Errorf("ask the kernel what this process has used: %w", err)
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return Usage{
		CPUSeconds:  float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9,
		RSSBytesMax: int64(u.Maxrss) * rssUnit(), //nolint:unconvert // an int32 on some systems
		HeapBytes:   int64(live[0].Value.Uint64()),
	}, nil
}

// rssUnit is the bytes of one unit in which the kernel counts resident memory.
func rssUnit() int64 {
	if runtime.GOOS == "darwin" {
		return 1
	}
	return 1 << 10
}
