package proof

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flywheel/loadtest/chaos"
	"flywheel/loadtest/stage"
	"flywheel/loadtest/verify"
	"flywheel/pkg/fault"
)

// gathered is evidence that is complete for 3 plays, 5 kills and 10 seeds.
func gathered(commit string) evidence {
	tally := verify.Tally{Looks: 1, Planted: 7, Windows: 1000, Spiked: 8, OutOfSight: 4}
	e := evidence{
		Config: "5 kills and 10 seeds from 1, away for 0s, at " + commit,
		Plays: []chaos.Report{
			{Seed: 1, Broker: stage.Apache, KafkaVersion: "4.3.0", Registry: "Apicurio 3.0.9", Kills: 2, Events: 100, Tally: tally, Seconds: 1, Faults: map[chaos.Kind]int{chaos.Zombie: 1}, Seen: map[chaos.Kind]int{chaos.Zombie: 1}, RecoveryMs: []int64{300, 100}, ResumedMs: map[chaos.Kind][]int64{chaos.Zombie: {40, 20, 30}}},
			{Seed: 2, Broker: stage.Embedded, KafkaVersion: "embedded", Registry: "embedded", PassedOver: map[chaos.Kind]string{chaos.BrokerFull: "mount is not installed"}, Replay: true, Kills: 2, Events: 100, Tally: tally, Seconds: 1, Faults: map[chaos.Kind]int{chaos.Zombie: 1, chaos.KillSink: 1}, Seen: map[chaos.Kind]int{chaos.KillSink: 1}, RecoveryMs: []int64{200}, ResumedMs: map[chaos.Kind][]int64{chaos.Zombie: {10}, chaos.KillSink: {200}}},
			{Seed: 3, Broker: stage.Apache, Away: time.Minute, KafkaVersion: "4.3.0", Registry: "Apicurio 3.0.9", Kills: 1, Events: 100, Tally: tally, Seconds: 1, Faults: make(map[chaos.Kind]int), Seen: make(map[chaos.Kind]int), ResumedMs: make(map[chaos.Kind][]int64)},
		},
		Simulations: []simulationReport{{Seeds: 10, Faults: map[string]int{"crash": 7}, Seconds: 2}},
		Mutants:     &mutantReport{Planted: 12, Caught: 12, Seconds: 3},
	}
	for _, kind := range (&gatherer{Config: Config{Away: time.Second}, evidence: e}).missing() {
		e.Plays[2].Faults[kind], e.Plays[2].Seen[kind], e.Plays[2].ResumedMs[kind] = 1, 1, []int64{100}
	}
	return e
}

func TestEvidenceAddsUp(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*evidence)
		disks   bool
		fails   string
		failed  int
		mutants Mutants
	}{
		"all is well": {func(*evidence) {}, false, "", 0, Mutants{12, 12}},
		"a fault was passed over that the machine allows": {
			func(*evidence) {}, true, `"the disk of Kafka fills" was passed over on a machine that has what it needs: mount is not installed`, 0, Mutants{12, 12},
		},
		"a play has found something": {func(e *evidence) {
			e.Plays[1].Failures = []verify.Failure{{Oracle: "revisions rise", Text: "revision 1 comes after 2"}}
		}, false, "1 failures, the first: revisions rise: revision 1 comes after 2 (again by 'go run ./loadtest chaos --seed 2 --broker embedded --replay')", 1, Mutants{12, 12}},
		"a fault did not show at first": {func(e *evidence) {
			e.Plays[0].Repeated = map[chaos.Kind]int{chaos.Zombie: 1}
		}, false, "", 0, Mutants{12, 12}},
		"a fault shows by chance": {func(e *evidence) {
			e.Plays[0].Repeated = map[chaos.Kind]int{chaos.Zombie: 2}
		}, false, `"zombie" showed what it must 1 times, and 2 times only once it was inflicted again`, 0, Mutants{12, 12}},
		"the simulation has found something": {func(e *evidence) {
			e.Simulations[0].Failures = map[string]int{"conservation": 2}
		}, false, "simulation: conservation: 2 seeds", 2, Mutants{12, 12}},
		"plays were on two versions of Kafka": {
			func(e *evidence) { e.Plays[2].KafkaVersion = "4.2.0" },
			false, `Kafka is "4.3.0" in one play and "4.2.0" in another (again by 'go run ./loadtest chaos --seed 3 --broker apache --away 1m0s')`, 0,
			Mutants{12, 12},
		},
		"plays were beside two registries": {
			func(e *evidence) { e.Plays[0].Registry = "Apicurio 2" },
			false, `the schema registry is "Apicurio 2" in one play and "Apicurio 3.0.9" in another`, 0,
			Mutants{12, 12},
		},
		"every play has missed the one spike that it may": {
			func(e *evidence) {
				for i := range e.Plays {
					e.Plays[i].Tally.Missed = 1
				}
			}, false, "all plays: one spike for an episode: 3 of 21 planted spikes have no alert, more than 2", 1, Mutants{12, 12},
		},
		"too few mutants": {func(e *evidence) { e.Mutants.Planted, e.Mutants.Caught = 11, 11 }, false, "11 mutants were planted, which is fewer than 12", 0, Mutants{11, 11}},
		"a mutant lives":  {func(e *evidence) { e.Mutants.Caught = 11 }, false, "1 of 12 mutants survived", 0, Mutants{12, 11}},
	} {
		t.Run(name, func(t *testing.T) {
			commit, err := version(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			dir, e := t.TempDir(), gathered(commit)
			faults, seen, resumed := map[string]int{"simulated: crash": 7}, make(map[string]int), make(map[string]Quantiles)
			for kind := range e.Plays[2].Faults {
				faults[kind.String()], seen[kind.String()], resumed[kind.String()] = 1, 1, Quantiles{100, 100, 100}
			}
			faults["zombie"], faults["kill sink"], seen["zombie"], seen["kill sink"] = 2, 2, 1, 2
			resumed["zombie"], resumed["kill sink"] = Quantiles{30, 40, 40}, Quantiles{200, 200, 200}
			c.change(&e)
			repeated := make(map[string]int)
			for kind, n := range e.Plays[0].Repeated {
				repeated[kind.String()] = n
			}
			var tally verify.Tally
			for _, r := range e.Plays {
				tally.Add(r.Tally)
			}
			if err := write(filepath.Join(dir, "evidence-5-10.json"), e); err != nil {
				t.Fatal(err)
			}
			p, err := Run(t.Context(), Config{Kills: 5, Seeds: 10, First: 1, Mutants: true, Dir: dir, Resume: true, Out: io.Discard, Disks: c.disks})
			if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("%v, want %q", err, c.fails)
			}
			if line := p.String(); !strings.HasSuffix(line, "; PASSED OVER: the disk of Kafka fills (mount is not installed)") || strings.Contains(line, "\n") {
				t.Errorf("the last line does not tell what was passed over: %s", line)
			}
			b, err := os.ReadFile(filepath.Join(dir, "proof.json"))
			if err != nil {
				t.Fatal(err)
			}
			var got Proof
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			want := Proof{
				Commit: commit, KillsOn: map[string]int{"apache": 3, "embedded": 2},
				KafkaVersion: e.Plays[0].KafkaVersion, Registry: e.Plays[0].Registry, PassedOver: map[string]string{"the disk of Kafka fills": "mount is not installed"}, Plays: 3, Kills: 5, Seeds: 10, OracleFailures: c.failed, Mutants: c.mutants,
				Faults: faults, Seen: seen, Repeated: repeated, RecoveryMs: Quantiles{200, 300, 300}, ResumedMs: resumed, Tally: tally, AwaySeconds: 60, Events: 300, Seconds: 8, Failures: got.Failures,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// The control is right when nothing is seen of it, so that is what its repetitions are held to.
func TestNothingMayShowSomethingOnceInFour(t *testing.T) {
	for repeated, fails := range map[int]bool{1: false, 2: false, 3: true} {
		g := &gatherer{Config: Config{Kills: 5}, evidence: gathered("a commit")}
		r := &g.Plays[2]
		r.Faults[chaos.Nothing], r.Repeated = 8, map[chaos.Kind]int{chaos.Nothing: repeated}
		delete(r.Seen, chaos.Nothing)
		if got := g.sum().Failures; len(got) > 0 != fails {
			t.Errorf("repeated %d times of 8: failures %q", repeated, got)
		}
	}
}

// What is missing is asked for until every stage has had its turns, and fails the proof
// in the end.
func TestEveryFaultMustHaveBeenPlayedAndSeen(t *testing.T) {
	unplayed := func(r *chaos.Report, kind chaos.Kind) { delete(r.Faults, kind) }
	unseen := func(r *chaos.Report, kind chaos.Kind) { delete(r.Seen, kind) }
	untimed := func(r *chaos.Report, kind chaos.Kind) { delete(r.ResumedMs, kind) }
	for _, c := range []struct {
		kind   chaos.Kind
		forget func(*chaos.Report, chaos.Kind)
		misses bool
	}{
		{chaos.LoseLeader, unplayed, true},
		{chaos.NodeFull, unplayed, true},
		{chaos.ClickHouseFull, unplayed, true},
		{chaos.Zombie, unplayed, true},
		{chaos.KillSink, unplayed, true}, // had on the embedded Kafka all the same
		{chaos.Replayed, unplayed, true},
		{chaos.KillAt(fault.ProcessorFlushing), unplayed, true},
		{chaos.KillAt(fault.MigrateApplied), unplayed, true},
		{chaos.KillAt(fault.MigrateRecorded), unplayed, true},
		{chaos.Zombie, unseen, true},
		{chaos.KafkaStalls, unseen, true},
		{chaos.KafkaCut, unseen, true},
		{chaos.KafkaCut, untimed, true},
		{chaos.ClickHouseSlow, untimed, true},
		{chaos.ClickHouseAway, unseen, true},
		{chaos.ClickHouseAway, untimed, true},
		{chaos.Replayed, unseen, false}, // an operator does it
		{chaos.Replayed, untimed, false},
		{chaos.KillAt(fault.MigrateRecorded), unseen, false}, // it is no service
		{chaos.KillAt(fault.MigrateRecorded), untimed, false},
	} {
		g := &gatherer{Config: Config{Kills: 5, Away: time.Second}, evidence: gathered("a commit")}
		if g.wantsPlay() || len(g.sum().Failures) > 0 {
			t.Fatalf("all is there, and yet: another play %t, failures %q", g.wantsPlay(), g.sum().Failures)
		}
		for i := range g.Plays {
			if g.Plays[i].Broker == stage.Apache { // had on the embedded one alone it is missing as well
				c.forget(&g.Plays[i], c.kind)
			}
		}
		if g.wantsPlay() != c.misses {
			t.Errorf("%q is forgotten: another play %t", c.kind, g.wantsPlay())
		}
		for len(g.Plays) < roundsMax*len(turns()) {
			g.Plays = append(g.Plays, chaos.Report{Broker: stage.Embedded, KafkaVersion: "embedded", Registry: "embedded"})
		}
		want := []string{}
		if c.misses {
			want = append(want, fmt.Sprintf("no play has had %q, timed the way back from it, and seen what it shows: see in what they say why not", c.kind))
		}
		if got := g.sum().Failures; g.wantsPlay() || !slices.Equal(got, want) {
			t.Errorf("%q is forgotten: another play %t, failures %q, want only %q", c.kind, g.wantsPlay(), got, want)
		}
	}
}

func TestClickHouseIsAwayOnThreeNodesUntilThatWasSeen(t *testing.T) {
	for name, c := range map[string]struct {
		plays int
		had   bool
		away  time.Duration
	}{
		"not in the first play":             {0, false, 0},
		"nor in that on the embedded Kafka": {1, false, 0},
		"in the first on three nodes":       {2, false, time.Minute},
		"not on one node":                   {3, false, 0},
		"again, if it was not seen":         {2 + len(turns()), false, time.Minute},
		"not again":                         {2 + len(turns()), true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := &gatherer{Config: Config{Kills: 5, Away: time.Minute}}
			for range c.plays {
				r := chaos.Report{Broker: stage.Apache, Faults: make(map[chaos.Kind]int), Seen: make(map[chaos.Kind]int), ResumedMs: make(map[chaos.Kind][]int64)}
				if r.Faults[chaos.ClickHouseAway] = 1; c.had {
					r.Seen[chaos.ClickHouseAway], r.ResumedMs[chaos.ClickHouseAway] = 1, []int64{100}
				}
				g.Plays = append(g.Plays, r)
			}
			if cfg := g.next(); cfg.Away != c.away || cfg.Away > 0 && (cfg.Broker != stage.Apache || cfg.Nodes != 3) {
				t.Errorf("away for %s on %d nodes of %s, want %s", cfg.Away, cfg.Nodes, cfg.Broker, c.away)
			}
		})
	}
}

func TestTheVersionIsThatOfWhatIsBuilt(t *testing.T) {
	t.Chdir(t.TempDir())
	git := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	put := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("old.go", "package a")
	put(".gitignore", "/ignored.go")
	if err := os.Mkdir("below", 0o700); err != nil {
		t.Fatal(err)
	}
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "first")
	var before string
	for _, c := range []struct {
		name, file, text string
		other            bool // than before
	}{
		{"nothing has changed", "", "", true},
		{"a log", "soak.log", "it goes on", false},
		{"a file that git ignores", "ignored.go", "package a", false},
		{"a file of the commit has changed", "old.go", "package b", true},
		{"a new file", "new.go", "package a", true},
		{"the new file has changed", "new.go", "package b", true},
		{"a new migration", "0001.sql", "SELECT 1", true},
	} {
		if c.file != "" {
			put(c.file, c.text)
		}
		got, err := version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if (got != before) != c.other {
			t.Errorf("%s: %q, before %q", c.name, got, before)
		}
		before = got
	}
	t.Chdir("below")
	if _, err := version(t.Context()); err != nil {
		t.Errorf("from a folder below: %v", err)
	}
}

func TestEvidenceForAnotherProofIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	if err := write(filepath.Join(dir, "evidence-5-10.json"), gathered("a commit before")); err != nil {
		t.Fatal(err)
	}
	g := &gatherer{Config: Config{Kills: 5, Seeds: 10, First: 1, Dir: dir, Resume: true, Out: io.Discard}}
	if err := g.load(); err != nil || g.kills() != 0 || g.seeds() != 0 {
		t.Errorf("%d kills, %d seeds, %v", g.kills(), g.seeds(), err)
	}
	if err := os.WriteFile(g.file(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := g.load(); err == nil || !strings.Contains(err.Error(), "delete it to begin anew") {
		t.Errorf("%v", err)
	}
}
