package simulation

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seedsFlag  = flag.Int("seeds", 0, "simulate this many seeds; 0 takes a number that is soon done")
	firstFlag  = flag.Uint64("first", 1, "begin with this seed")
	seedFlag   = flag.Uint64("seed", 0, "simulate this one seed alone, with its log (TestSeed)")
	stepsFlag  = flag.String("steps", "", "let only these steps of its plan happen, by their numbers: 1,2,7 (TestSeed)")
	debugFlag  = flag.Bool("debug", false, "log what the Kafka clients do as well (TestSeed)")
	reportFlag = flag.String("report", "", "write what was simulated to this file, as JSON")
	shrinkFlag = flag.Bool("shrink", true, "make the plan of a failure smaller")
	haltFlag   = flag.Bool("halt", false, "stop at the first seed that fails")
)

// fewSeeds are simulated when nothing is asked for, and as many give all oracles
// something to judge.
const fewSeeds = 100

// report is what was simulated.
type report struct {
	Seeds          int            `json:"seeds"`
	First          uint64         `json:"first"`
	OracleFailures map[string]int `json:"oracle_failures"` // seeds by the oracle that reported first
	Failed         []failure      `json:"failed"`
	Faults         map[string]int `json:"faults"` // by kind
	Judged         map[string]int `json:"judged"` // what there was to be judged
	Seconds        float64        `json:"seconds"`
}

type failure struct {
	Seed   uint64 `json:"seed"`
	Oracle string `json:"oracle"`
	Text   string `json:"text"`
	Nth    int    `json:"nth"` // of the seeds simulated
	Times  string `json:"times"`
	Plan   string `json:"plan"` // made smaller
}

// outcome is what one simulation came to.
type outcome struct {
	problems []problem
	faults   map[string]int
	counts   map[string]int
	virtual  time.Duration
}

// simulate lets a plan happen in a bubble of simulated time.
func simulate(t *testing.T, k *kit, p *plan, logs *bytes.Buffer) (o outcome) {
	t.Helper()
	watch := time.AfterFunc(hangsAfter, func() {
		stacks := make([]byte, 4<<20)
		fmt.Fprintf(os.Stderr, "%s: seed %d stands still; replay it with\n\t%s\n%s", oracleHang, p.seed, p.replay(), stacks[:runtime.Stack(stacks, true)])
		os.Exit(1)
	})
	defer watch.Stop()
	synctest.Test(t, func(t *testing.T) {
		born := time.Now()
		w, err := live(t.Context(), k, p, logs)
		if err != nil {
			o.problems = append(o.problems, problem{oracleSimulator, err.Error()})
		}
		if w != nil {
			o.problems = append(o.problems, w.problems...)
			o.faults, o.counts = w.faults, w.counts
		}
		o.virtual = time.Since(born)
	})
	return o
}

// hangsAfter is after what real time a simulation counts as one that stands still.
const hangsAfter = 90 * time.Second

// TestSeed replays one seed and shows its plan and its log.
func TestSeed(t *testing.T) {
	if *seedFlag == 0 {
		*seedFlag = 1
	}
	k, err := newKit()
	if err != nil {
		t.Fatal(err)
	}
	p := draw(*seedFlag)
	if *stepsFlag != "" {
		var numbers []int
		for text := range strings.SplitSeq(*stepsFlag, ",") {
			n, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			numbers = append(numbers, n)
		}
		p = p.only(numbers)
	}
	var logs bytes.Buffer
	o := simulate(t, k, p, &logs)
	t.Logf("the plan of seed %d: %s\nits log:\n%s", p.seed, p, logs.String())
	for _, p := range o.problems {
		t.Errorf("%s: %s", p.oracle, p.text)
	}
	if len(o.problems) > 0 && *shrinkFlag && *stepsFlag == "" {
		explain(t, k, p, o.problems[0].oracle)
	}
}

// explain shrinks a plan that fails and logs what is left of it.
func explain(t *testing.T, k *kit, p *plan, oracle string) failure {
	fails := func(p *plan) (string, bool) {
		for _, f := range simulate(t, k, p, nil).problems {
			if f.oracle == oracle {
				return f.text, true
			}
		}
		return "", false
	}
	const repeats = 5
	again := 0
	for range repeats {
		if _, failed := fails(p); failed {
			again++
		}
	}
	f := failure{Seed: p.seed, Oracle: oracle, Times: fmt.Sprintf("%d of %d times when repeated", again, repeats)}
	text := ""
	if again > 0 {
		tries := 1 + (repeats-again)/2 // for what fails now and then
		p = shrink(p, func(smaller *plan) bool {
			for range tries {
				if found, failed := fails(smaller); failed {
					text = found
					return true
				}
			}
			return false
		})
	}
	f.Plan = p.String()
	t.Logf("seed %d fails %s by the oracle %q; what is left of its plan:\n%s%s\nreplay it with\n\t%s", p.seed, f.Times, oracle, p, text, p.replay())
	return f
}

// TestSeeds simulates many seeds.
func TestSeeds(t *testing.T) {
	n := *seedsFlag
	if n == 0 {
		n = fewSeeds / slowness
	}
	k, err := newKit()
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	r := report{First: *firstFlag, OracleFailures: make(map[string]int), Failed: []failure{}, Faults: make(map[string]int), Judged: make(map[string]int)}
	var (
		mu     sync.Mutex
		next   = *firstFlag
		halted bool
		wait   sync.WaitGroup
	)
	take := func() (seed uint64, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if halted || next >= *firstFlag+uint64(n) {
			return 0, false
		}
		next++
		return next - 1, true
	}
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for seed, ok := take(); ok; seed, ok = take() {
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					o := simulate(t, k, draw(seed), nil)
					mu.Lock()
					defer mu.Unlock()
					r.Seeds++
					merge(r.Faults, o.faults)
					merge(r.Judged, o.counts)
					if len(o.problems) == 0 {
						return
					}
					first := o.problems[0]
					for _, p := range o.problems[:min(len(o.problems), 5)] {
						t.Errorf("%s: %s", p.oracle, p.text)
					}
					r.OracleFailures[first.oracle]++
					f := failure{Seed: seed, Oracle: first.oracle, Text: first.text, Nth: r.Seeds}
					if *shrinkFlag && len(r.Failed) < 3 {
						s := explain(t, k, draw(seed), first.oracle)
						f.Times, f.Plan = s.Times, s.Plan
					}
					r.Failed = append(r.Failed, f)
					halted = halted || *haltFlag
				})
			}
		})
	}
	wait.Wait()
	r.Seconds = time.Since(started).Seconds()
	t.Logf("%d seeds in %.1f s\nfaults: %s\njudged: %s", r.Seeds, r.Seconds, list(r.Faults), list(r.Judged))
	if *reportFlag != "" {
		text, err := json.MarshalIndent(r, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(*reportFlag, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.Failed) == 0 {
		for _, what := range r.lacks() {
			t.Errorf("in %d seeds there was nothing of %q", r.Seeds, what)
		}
	}
}

// manySeeds are those among which there is also of what is rare.
const manySeeds = 1000

// lacks says of what there must be something among so many seeds, and is not: something to
// judge, and something that went wrong.
func (r *report) lacks() (all []string) {
	if r.Seeds < fewSeeds {
		return nil
	}
	for _, what := range []string{
		"windows", "windows with an effect", "windows with a discovery", "windows with effects told apart", "windows with a nowcast", "windows that are settled", "windows that are provisional",
		"days", "days with credits", "recomputed", "totals by hand", "revenue by hand", "rows in ClickHouse", "spikes in sight", "spikes retracted",
		"outcome applied", "outcome superseded", "outcome duplicate", "outcome late", "outcome future", "outcome invalid",
		"outcome wrong_key", "outcome wrong_topic", "outcome malformed", "outcome unknown_schema", "outcome oversized",
	} {
		if r.Judged[what] == 0 {
			all = append(all, what)
		}
	}
	faults := []string{ // * is any
		"processor joins another", "processor killed", "processor killed at *", "processor killed at EndTxn", "processor killed at EndTxn answer", "processor killed at Produce",
		"processor stalled", "processor replaced while stalled", "processor excluded unawares", "processor disconnected", "processor loses *", "processor refused *", "processor stopped",
		"changelog compacted", "sink killed", "sink killed at *", "ClickHouse away", "ClickHouse dies after taking rows", "ClickHouse slow",
	}
	if r.Seeds >= manySeeds {
		faults = append(
			faults, "processor killed at TxnOffsetCommit", "processor killed at JoinGroup", "processor killed at SyncGroup", "processor killed at InitProducerID", "processor killed at OffsetFetch",
			"processor killed at ListOffsets", "processor killed at Fetch", "processor loses EndTxn answer", "processor refused EndTxn",
			"sink killed at OffsetCommit", "sink killed at OffsetCommit answer", "sink stalled", "sink stopped", "sink disconnected", "sink loses *", "sink refused *",
		)
	}
	for _, what := range faults {
		happened := 0
		for kind, n := range r.Faults {
			if ok, err := path.Match(what, kind); err == nil && ok {
				happened += n
			}
		}
		if happened == 0 {
			all = append(all, what)
		}
	}
	return all
}

func TestASimulationThatNothingHappensInProvesNothing(t *testing.T) {
	full := func() *report {
		r := &report{Seeds: manySeeds, Faults: make(map[string]int), Judged: make(map[string]int)}
		lacked := r.lacks()
		for _, what := range lacked {
			r.Faults[what], r.Judged[what] = 1, 1
		}
		if lacked = r.lacks(); len(lacked) > 0 {
			t.Fatalf("all of it is there, and %q is not", lacked)
		}
		return r
	}
	for name, c := range map[string]struct {
		change func(*report)
		lacks  []string
	}{
		"nobody is killed at once":              {func(r *report) { delete(r.Faults, "processor killed") }, []string{"processor killed"}},
		"nobody joins":                          {func(r *report) { delete(r.Faults, "processor joins another") }, []string{"processor joins another"}},
		"no spike is retracted":                 {func(r *report) { delete(r.Judged, "spikes retracted") }, []string{"spikes retracted"}},
		"nothing comes twice":                   {func(r *report) { delete(r.Judged, "outcome duplicate") }, []string{"outcome duplicate"}},
		"what is rare is not there":             {func(r *report) { delete(r.Faults, "sink stopped") }, []string{"sink stopped"}},
		"nor need it be among few seeds":        {func(r *report) { delete(r.Faults, "sink stopped"); r.Seeds = fewSeeds }, nil},
		"fewer seeds than few prove nothing":    {func(r *report) { *r = report{Seeds: fewSeeds - 1} }, nil},
		"a kill at a point is of two kinds":     {func(r *report) { delete(r.Faults, "processor killed at *") }, nil},
		"a kill at one point is not at another": {func(r *report) { delete(r.Faults, "processor killed at Produce") }, []string{"processor killed at Produce"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := full()
			if c.change(r); !slices.Equal(r.lacks(), c.lacks) {
				t.Errorf("%q, want %q", r.lacks(), c.lacks)
			}
		})
	}
}

func merge(into, from map[string]int) {
	for k, n := range from {
		into[k] += n
	}
}

func list(m map[string]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, m[k]))
	}
	return strings.Join(parts, ", ")
}
