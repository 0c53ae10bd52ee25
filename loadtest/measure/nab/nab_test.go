package nab

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// corpus is one series of forty points, of which points 20 to 24 are a window, and
// one without a window.
func corpus(t *testing.T) []Series {
	t.Helper()
	var text strings.Builder
	text.WriteString("timestamp,value\r\n")
	at := time.Date(2015, 3, 2, 0, 0, 0, 0, time.UTC)
	for i := range 40 {
		fmt.Fprintf(&text, "%s,%d\r\n", at.Add(time.Duration(i)*time.Hour).Format(time.DateTime), i)
	}
	all, err := Read(fstest.MapFS{
		"labels/combined_windows.json": {Data: []byte(`{"b/one.csv": [["2015-03-02 20:00:00.000000", "2015-03-03 00:00:00.000000"]], "a/none.csv": []}`)},
		"data/b/one.csv":               {Data: []byte(text.String())},
		"data/a/none.csv":              {Data: []byte(text.String())},
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestTheCorpusIsRead(t *testing.T) {
	all := corpus(t)
	if len(all) != 2 || all[0].Name != "a/none.csv" || all[1].Category != "b" || len(all[1].Values) != 40 || all[1].Values[39] != 39 {
		t.Fatalf("%+v", all)
	}
	if w := all[1].Windows; len(w) != 1 || w[0] != (Window{20, 24}) || all[1].Probation() != 6 {
		t.Errorf("%+v, %d points on probation", w, all[1].Probation())
	}
	_, err := Read(fstest.MapFS{
		"labels/combined_windows.json": {Data: []byte(`{"a.csv": [["2015-03-02 20:30:00", "2015-03-03 00:00:00"]]}`)},
		"data/a.csv":                   {Data: []byte("timestamp,value\n2015-03-02,1\n")},
	})
	if err == nil || err.Error() != "read the windows of a.csv: there is no point at 2015-03-02 20:30:00" {
		t.Errorf("a window without its points: %v", err)
	}
}

// The worth of alarms, by hand: one window counts 2 in all, from −1 to 1.
func TestAlarmsCountByTheirPlace(t *testing.T) {
	all := corpus(t)
	standard, lowFP, lowFN := Profiles()[0], Profiles()[1], Profiles()[2]
	for name, tc := range map[string]struct {
		alarms  []int // of the series with the window
		without []int // of the other
		profile Profile
		want    float64
	}{
		"none":                            {nil, nil, standard, 0},
		"at the window's first point":     {[]int{20}, nil, standard, 100},
		"the first counts":                {[]int{20, 21, 24}, nil, standard, 100},
		"at its last":                     {[]int{24}, nil, standard, 100 * (1 + 0.468387) / 2},
		"at its last, misses cost double": {[]int{24}, nil, lowFN, 100 * (2 + 0.468387) / 3},
		"far before it":                   {[]int{8}, nil, standard, -100 * 0.11 / 2},
		"just behind it":                  {[]int{25}, nil, standard, -100 * 0.11 * 0.554600 / 2},
		"far behind it":                   {[]int{39}, nil, standard, -100 * 0.11 / 2},
		"on probation":                    {[]int{0, 5}, nil, standard, 0},
		"where nothing happens":           {[]int{20}, []int{6, 7}, lowFP, 100 * (2 - 0.44) / 2},
	} {
		scores := [][]float64{make([]float64, 40), make([]float64, 40)}
		for _, i := range tc.without {
			scores[0][i] = 0.5
		}
		for _, i := range tc.alarms {
			scores[1][i] = 0.5
		}
		if got := At(all, scores, tc.profile, 0.5); math.Abs(got.Score-tc.want) > 1e-4 {
			t.Errorf("%s: %.5f, want %.5f", name, got.Score, tc.want)
		}
	}
}

func TestRecallAndPrecision(t *testing.T) {
	all := corpus(t)
	scores := [][]float64{make([]float64, 40), make([]float64, 40)}
	scores[0][10], scores[1][21], scores[1][22], scores[1][30] = 1, 1, 1, 1
	o := At(all, scores, Profiles()[0], 1)
	if o.Recall() != 1 || math.Abs(o.Precision()-1.0/3) > 1e-12 || o.F1() != 0.5 || math.Abs(o.FalseAMonth()-2/(66.0/720)) > 1e-9 {
		t.Errorf("%+v: recall %v, precision %v, F1 %v, %v false alarms a month", o, o.Recall(), o.Precision(), o.F1(), o.FalseAMonth())
	}
}

// The best threshold is the best of all, tried one by one.
func TestBestIsTheBestOfAllThresholds(t *testing.T) {
	all := corpus(t)
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		scores := [][]float64{make([]float64, 40), make([]float64, 40)}
		want := 0.0
		for k := range scores {
			for i := range scores[k] {
				scores[k][i] = float64(r.IntN(12)) / 12
			}
		}
		for n := range 12 {
			want = max(want, At(all, scores, Profiles()[0], float64(n)/12).Score)
		}
		if got := Best(all, scores, Profiles()[0]); math.Abs(got.Score-want) > 1e-9 || At(all, scores, Profiles()[0], got.Threshold).Score < want-1e-9 {
			t.Errorf("seed %d: %+v, want %v", seed, got, want)
		}
	}
}

func TestDetectorsLookAtThePastAlone(t *testing.T) {
	all := corpus(t)
	whole := &all[1]
	part := Series{Name: whole.Name, AtMs: whole.AtMs[:30], Values: whole.Values[:30]}
	for _, d := range Detectors() {
		a, b := d.Score(whole), d.Score(&part)
		for i := range b {
			if a[i] != b[i] || a[i] < 0 || a[i] > 1 {
				t.Errorf("%s: point %d scores %v, and %v in the shorter series", d.Name, i, a[i], b[i])
			}
		}
	}
}
