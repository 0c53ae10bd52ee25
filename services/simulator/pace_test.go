package simulator

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestThePaceIsTheSchedulesNotKafkas(t *testing.T) {
	const liveMs = 10_000_000
	cfg := Config{Rate: 1000, Speed: 600}
	for name, tc := range map[string]struct {
		took time.Duration // by Kafka, for the fourth record
		sent []time.Duration
	}{
		"Kafka keeps up": {0, []time.Duration{0, 0, 2, 2, 4, 4, 4, 1004, 2004}},
		// What was held up is sent at once, and the next is due as if it had not been.
		"Kafka holds one up": {10, []time.Duration{0, 0, 2, 2, 12, 12, 12, 1012, 2012}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				p := newPace(cfg, liveMs, began)
				// Six of the past, then one each ten minutes of event time.
				for i, observed := range []int64{1, 2, 3, 4, 5, 6, liveMs, liveMs + 600_000, liveMs + 1_200_000} {
					now := time.Now()
					if !sleep(t.Context(), p.due(observed, now).Sub(now)) {
						t.Fatal("the wait was cut short")
					}
					if got := time.Since(began); got != tc.sent[i]*time.Millisecond {
						t.Errorf("record %d was sent after %s, want %s", i, got, tc.sent[i]*time.Millisecond)
					}
					if i == 3 {
						time.Sleep(tc.took * time.Millisecond)
					}
				}
			})
		})
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if sleep(ctx, time.Hour) {
			t.Error("it waited on")
		}
		if sleep(ctx, 0) {
			t.Error("a record would be sent after the end")
		}
	})
}
