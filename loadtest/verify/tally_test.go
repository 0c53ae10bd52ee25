package verify

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

// The bounds are compared with sums of binomial probabilities, term by term: at the
// highest probability so many or fewer have at most the chance that remains.
func TestTheHighestProbabilityAndWhatItMakesLikely(t *testing.T) {
	atMost := func(k, n int, p float64) (sum float64) {
		for i := range k + 1 {
			term := math.Pow(p, float64(i)) * math.Pow(1-p, float64(n-i))
			for j := range i {
				term *= float64(n-j) / float64(j+1)
			}
			sum += term
		}
		return sum
	}
	for f, percent := range map[frequency]float64{{4, 2802}: 0.365, {3, 2802}: 0.313, {0, 285}: 1.286, {15, 600}: 4.09, {26, 352}: 10.64} {
		high := f.highest()
		if math.Abs(100*high-percent) > 0.005 {
			t.Errorf("%d of %d: at most %.4f %%, want %.3f %%", f.had, f.trials, 100*high, percent)
		}
		if left := atMost(f.had, f.trials, high); math.Abs(left-0.025) > 1e-6 {
			t.Errorf("%d of %d: with %v so few are found in %v of the cases", f.had, f.trials, high, left)
		}
		for _, n := range []int{0, 1, 4, 8, 32, 250} {
			k := f.most(n)
			if over := 1 - atMost(k, n, high); over > 0.001 {
				t.Errorf("%d of %d: more than %d of %d in %v of the cases", f.had, f.trials, k, n, over)
			}
			if k > 0 && 1-atMost(k-1, n, high) <= 0.001 {
				t.Errorf("%d of %d: %d of %d are more than need be", f.had, f.trials, k, n)
			}
		}
	}
}

// play is a play like those that are played, and all that differs in it as often as it may.
func play() Tally {
	return Tally{Looks: 1, Planted: 7, Missed: 1, Doubled: 1, Windows: 1000, Final: 20, Spiked: 8, Beside: 3, Unsettled: 4, OutOfSight: 4, FinalSpikes: 1}
}

func TestWhatAPlayMayHaveNotEveryPlayMay(t *testing.T) {
	one, all := play(), Tally{}
	if f := one.TooMuch(); len(f) > 0 {
		t.Errorf("a play: %q", f)
	}
	for range 31 {
		all.Add(Tally{Looks: 1, Planted: 7, Windows: 1000, Spiked: 8, OutOfSight: 4})
	}
	all.Add(one)
	if f := all.TooMuch(); len(f) > 0 {
		t.Errorf("one play of 32: %q", f)
	}
	for name, says := range map[string]string{
		"Missed":      "of 224 planted spikes have no alert",
		"Doubled":     "of 224 planted spikes have more than one alert",
		"Final":       "of 32000 windows differ",
		"Beside":      "of 256 spikes have beside them",
		"Unsettled":   "of 256 spikes are provisional",
		"FinalSpikes": "of 128 spikes that are out of sight differ",
	} {
		count := func(t *Tally) reflect.Value { return reflect.ValueOf(t).Elem().FieldByName(name) }
		more, every := play(), all
		count(&more).SetInt(count(&one).Int() + 1)
		count(&every).SetInt(32 * count(&one).Int())
		for of, tally := range map[string]Tally{"one more in a play": more, "as many in every play": every} {
			f := tally.TooMuch()
			if len(f) != 1 || of == "as many in every play" && !strings.Contains(f[0].Text, says) {
				t.Errorf("%s, %s: %q, want one that says %q", name, of, f, says)
			}
		}
	}
}

func TestATallyAddsUp(t *testing.T) {
	one := Tally{}
	for i := range reflect.TypeFor[Tally]().NumField() {
		reflect.ValueOf(&one).Elem().Field(i).SetInt(int64(i + 1))
	}
	sum := one
	sum.Add(one)
	for i := range reflect.TypeFor[Tally]().NumField() {
		if got, want := reflect.ValueOf(sum).Field(i).Int(), int64(2*(i+1)); got != want {
			t.Errorf("%s is %d, want %d", reflect.TypeFor[Tally]().Field(i).Name, got, want)
		}
	}
}
