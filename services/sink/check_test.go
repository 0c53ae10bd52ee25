package sink

import (
	"strings"
	"testing"
	"time"
)

func TestASinkIsReadyOnlyWhileItDelivers(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		writingSince time.Time
		want         string
	}{
		"nothing is being written":     {time.UnixMilli(0), ""},
		"rows are being written":       {now, ""},
		"ClickHouse leaves rows alone": {now.Add(-time.Hour), "ClickHouse has not acknowledged rows for 1h0m"},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(Sink)
			s.writing.Store(tc.writingSince.UnixMilli())
			switch err := s.Check(t.Context()); {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want)):
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}
