package processor

import (
	"testing"
	"time"
)

func TestARestoreIsTroubleWhenItDoesNotGoOn(t *testing.T) {
	const long = 15 * time.Second
	begun := time.Unix(1_000_000, 0)
	for name, tc := range map[string]struct {
		does    func(r *restoring)
		trouble bool // one second after long
		lasts   time.Duration
	}{
		"nothing is restored": {func(*restoring) {}, false, 0},
		"it has not moved since it began": {func(r *restoring) {
			r.begin(begun)
			r.moves(begun, "records")
		}, true, long + time.Second},
		"what it waits for was told more closely": {func(r *restoring) {
			r.begin(begun)
			r.moves(begun, "leaders")
			r.stays("records")
		}, true, long + time.Second},
		"it lasts long and goes on": {func(r *restoring) {
			r.begin(begun.Add(-time.Hour))
			r.moves(begun.Add(time.Second), "records")
		}, false, time.Hour + long + time.Second},
		"partitions went and came meanwhile": {func(r *restoring) {
			r.begin(begun.Add(-time.Hour))
			r.begin(begun)
			r.moves(begun, "records")
		}, true, time.Hour + long + time.Second},
		"what ended the session says why": {func(r *restoring) {
			r.begin(begun)
			r.moves(begun, "records")
			r.stays("")
		}, false, long + time.Second},
		"it is over": {func(r *restoring) {
			r.begin(begun)
			r.moves(begun, "records")
			r.end()
		}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var r restoring
			tc.does(&r)
			now := begun.Add(long + time.Second)
			if err := r.check(now, long); (err != nil) != tc.trouble {
				t.Errorf("it says %v", err)
			}
			if lasts := r.lasts(now); lasts != tc.lasts {
				t.Errorf("it lasts %s, want %s", lasts, tc.lasts)
			}
			if r.over() != (tc.lasts == 0) {
				t.Errorf("it is over: %t", r.over())
			}
		})
	}
}
