package turn_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flywheel/pkg/turn"
)

func TestOneAtATime(t *testing.T) {
	var (
		mu   turn.Turn
		busy bool
		n    int
		wait sync.WaitGroup
	)
	for range 8 {
		wait.Go(func() {
			for range 500 {
				mu.Lock()
				if busy {
					t.Error("two have the turn")
				}
				busy = true
				n++
				busy = false
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if n != 4000 {
		t.Errorf("%d of 4000 turns", n)
	}
}

func TestSimulatedTimePassesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu turn.Turn
		began := time.Now()
		mu.Lock()
		go func() {
			time.Sleep(time.Minute)
			mu.Unlock()
		}()
		mu.Lock()
		if took := time.Since(began); took != time.Minute {
			t.Errorf("the turn came after %s", took)
		}
	})
}

func TestPassingOnWhatOneDoesNotHavePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("nothing happened")
		}
	}()
	new(turn.Turn).Unlock()
}
