package usage_test

import (
	"runtime"
	"testing"

	"flywheel/pkg/usage"
)

func now(t *testing.T) usage.Usage {
	t.Helper()
	u, err := usage.Now()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestMemoryAndWorkShow(t *testing.T) {
	runtime.GC()
	before := now(t)
	const size = 64 << 20
	kept := make([]byte, size)
	for i := range kept { // every page is touched
		kept[i] = byte(i)
	}
	runtime.GC()
	after := now(t)
	runtime.KeepAlive(kept)
	if after.HeapBytes-before.HeapBytes < size*9/10 {
		t.Errorf("the heap grew by %d bytes, want about %d", after.HeapBytes-before.HeapBytes, size)
	}
	if after.RSSBytesMax < size {
		t.Errorf("%d bytes were resident at most, want more than the %d that were written", after.RSSBytesMax, size)
	}
	for sum := 0; now(t).CPUSeconds <= before.CPUSeconds; sum++ { // ends only if work shows
	}
}
