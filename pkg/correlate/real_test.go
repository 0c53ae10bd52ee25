package correlate

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// readMentions returns a series of brand mentions by quarter of an hour from a
// Monday's midnight on, or nil when the file is not there.
func readMentions(t *testing.T, name string) []int64 {
	path := filepath.Join("..", "..", "..", "shared", "data", "mentions", name+".csv")
	f, err := os.Open(path)
	if err != nil {
		t.Logf("no real series at %s: nothing to check", path)
		return nil
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	monday := time.Date(2015, 3, 2, 0, 0, 0, 0, time.UTC)
	var out []int64
	for _, row := range rows[1:] {
		at, err := time.Parse(time.DateTime, row[0])
		if err != nil {
			t.Fatalf("read %s: %v", path, err)
		}
		n, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			t.Fatalf("read %s: %v", path, err)
		}
		i := int(at.Sub(monday) / (15 * time.Minute))
		if at.Before(monday) {
			continue
		}
		for len(out) <= i {
			out = append(out, 0)
		}
		out[i] += int64(n)
	}
	return out[:len(out)/672*672]
}

// A brand's mentions cannot follow those of another brand of other weeks. With
// whole weeks between them, what day-of-week effect the 48 bins leave in both is
// aligned: the screen alone calls 14 % of these pairs significant, and only a
// calibration on placebo shifts can take that to the nominal 5 %. This holds the
// line.
func TestScreenOnRealPairsFromOtherWeeks(t *testing.T) {
	const week, span = 672, 4 * 672
	var all [][]int64
	for _, name := range []string{"AAPL", "GOOG", "KO", "UPS"} {
		v := readMentions(t, name)
		if v == nil {
			return
		}
		all = append(all, v)
	}
	var s Scratch
	hours := calendar(28 * 24)
	pairs, found := 0, 0
	for i, x := range all {
		for j, y := range all {
			if i == j {
				continue
			}
			// Windows that end on five days of the week, the partner a week and more later.
			for shift := week; shift+span <= min(len(x), len(y)); shift += week {
				for back := 0; back < 5*96; back += 96 {
					xs, ys := rotated(x[:span], back), rotated(y[shift:shift+span], back)
					in := pair72(xs, ys, rotatedBins(hours, back/4), 1, &s)
					pairs++
					if Profile(in, &s).Verdict == Significant {
						found++
					}
				}
			}
		}
	}
	t.Logf("%d of %d impossible pairs significant", found, pairs)
	if found*100 > 16*pairs {
		t.Errorf("%d of %d impossible pairs significant", found, pairs)
	}
}

// rotated ends a series earlier, what is cut off coming first.
func rotated(v []int64, back int) []int64 {
	return append(append([]int64(nil), v[len(v)-back:]...), v[:len(v)-back]...)
}

func rotatedBins(v []uint8, back int) []uint8 {
	return append(append([]uint8(nil), v[len(v)-back:]...), v[:len(v)-back]...)
}
