package progress

import (
	"strings"
	"testing"
)

func TestMeterTellsTenthsOnceWhereThereIsNoTerminal(t *testing.T) {
	var out strings.Builder
	m := New(&out, "MB", 1<<20)
	for _, n := range []int64{0, 1 << 20, 1 << 20, 5 << 20, 20 << 20} {
		m.Set("fetching", n, 10<<20)
	}
	m.Set("unpacking", 3, 0)
	m.Say("done")
	want := "fetching: 0% of 10 MB\nfetching: 10% of 10 MB\nfetching: 50% of 10 MB\nfetching: 100% of 10 MB\nunpacking: 100% of 0 MB\ndone\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}

func TestMeterRedrawsABarOnATerminal(t *testing.T) {
	var out strings.Builder
	m := New(&out, "rows", 1)
	m.terminal = true
	m.Set("sending", 1, 4)
	m.Set("sending", 1, 4)
	m.Set("sending", 9, 4)
	m.Say("done")
	m.End()
	want := "\rsending                      [#######.......................]  25%    1 of 4 rows\x1b[K" +
		"\rsending                      [##############################] 100%    4 of 4 rows\x1b[K\ndone\n"
	if out.String() != want {
		t.Errorf("got\n%q\nwant\n%q", out.String(), want)
	}
}

func TestMeterWithoutAWriterShowsNothing(t *testing.T) {
	m := New(nil, "rows", 1)
	m.Set("sending", 1, 2)
	m.Say("done")
}
