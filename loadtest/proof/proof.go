// Package proof gathers the evidence that nothing is lost and nothing doubled:
// plays under faults on both brokers until enough processes were killed, seeds of
// the simulation, and mutants that the simulation must catch. It keeps what it
// has, so that a long proof can be interrupted and gone on with.
package proof

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"flywheel/loadtest/chaos"
	"flywheel/loadtest/stage"
	"flywheel/loadtest/verify"
	"flywheel/pkg/fault"
)

// Config says how much evidence is wanted.
type Config struct {
	Kills   int           // at least; of processes that ran
	Seeds   int           // of the simulation
	First   uint64        // seed of the first play
	Mutants bool          // whether to plant them
	Away    time.Duration // that ClickHouse is away in one of the plays, on Apache Kafka
	Dir     string        // of the evidence; proof.json is written there
	Cache   string        // where Apache Kafka and the registry are installed
	Resume  bool          // go on with the evidence there is
	Disks   bool          // small ones are to be had on this machine: no fault may be passed over
	Out     io.Writer
}

// Proof is what proof.json holds.
type Proof struct {
	Commit         string               `json:"commit"`
	KafkaVersion   string               `json:"kafka_version"` // of Apache Kafka, as its nodes say; empty without a play on it
	Registry       string               `json:"registry"`      // beside it, likewise
	Plays          int                  `json:"plays"`
	Kills          int                  `json:"kills"`
	KillsOn        map[string]int       `json:"kills_on"`    // by broker
	Faults         map[string]int       `json:"faults"`      // by kind, of the plays and of the simulation
	Seen           map[string]int       `json:"seen"`        // faults of which the line in a log and the metric were seen, by kind
	Repeated       map[string]int       `json:"repeated"`    // faults that were inflicted again, since they did not show at first, by kind
	PassedOver     map[string]string    `json:"passed_over"` // faults that the machine does not allow, and why
	Seeds          int                  `json:"seeds"`
	OracleFailures int                  `json:"oracle_failures"`
	Mutants        Mutants              `json:"mutants"`
	RecoveryMs     Quantiles            `json:"recovery_ms"`  // from a kill
	ResumedMs      map[string]Quantiles `json:"resumed_ms"`   // by kind of fault, also from the end of what kills nothing
	Tally          verify.Tally         `json:"tally"`        // of what may differ, added up over the plays
	AwaySeconds    float64              `json:"away_seconds"` // that ClickHouse was away at a stretch, on Apache Kafka
	Events         int64                `json:"events"`       // sent in the plays
	Seconds        float64              `json:"seconds"`      // of all parts
	Failures       []string             `json:"failures"`
}

// Mutants is how many were planted and caught.
type Mutants struct {
	Planted int `json:"planted"`
	Caught  int `json:"caught"`
}

// Quantiles of the time until what was in Kafka when it begins is processed, in milliseconds.
type Quantiles struct {
	P50 int64 `json:"p50"`
	P99 int64 `json:"p99"`
	Max int64 `json:"max"`
}

// evidence is what has been gathered so far, kept in a file.
type evidence struct {
	Config      string             `json:"config"` // what it was gathered for
	Plays       []chaos.Report     `json:"plays"`
	Simulations []simulationReport `json:"simulations"`
	Mutants     *mutantReport      `json:"mutants"`
}

// simulationReport is what the simulation writes with -report.
type simulationReport struct {
	Seeds    int            `json:"seeds"`
	Failures map[string]int `json:"oracle_failures"` // seeds by oracle
	Faults   map[string]int `json:"faults"`
	Seconds  float64        `json:"seconds"`
}

// mutantReport is what the mutants write with -report.
type mutantReport struct {
	Planted int     `json:"planted"`
	Caught  int     `json:"caught"`
	Seconds float64 `json:"seconds"`
}

// Run gathers what is missing, writes proof.json, and returns an error when an
// oracle failed or a mutant survived.
func Run(ctx context.Context, cfg Config) (Proof, error) {
	commit, err := version(ctx)
	if err != nil {
		return Proof{}, err
	}
	g := &gatherer{Config: cfg, commit: commit}
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return Proof{}, fmt.Errorf("create the folder of the proof: %w", err)
	}
	if err := g.load(); err != nil {
		return Proof{}, err
	}
	// One that is broken off must not leave the proof of another code behind.
	file := filepath.Join(cfg.Dir, "proof.json")
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Proof{}, fmt.Errorf("remove the proof from before: %w", err)
	}
	for _, part := range []func(context.Context) error{g.simulate, g.mutate, g.play} {
		if err := part(ctx); err != nil {
			return Proof{}, err
		}
	}
	p := g.sum()
	if err := write(file, p); err != nil {
		return p, err
	}
	if n := len(p.Failures); n > 0 {
		err := fmt.Errorf("%d failures, the first: %s", n, p.Failures[0])
		if g.Resume {
			err = fmt.Errorf("%w (they stay in %s: delete it to begin anew)", err, g.file())
		}
		return p, err
	}
	return p, nil
}

type gatherer struct {
	Config
	evidence

	commit string // and what is changed since, as a sum
}

// version names the code: what was gathered for other code proves nothing.
func version(ctx context.Context) (string, error) {
	commit, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "", fmt.Errorf("name the commit: %w", err)
	}
	changes, err := exec.CommandContext(ctx, "git", "diff", "HEAD").Output()
	if err != nil {
		return "", fmt.Errorf("look for changes since the commit: %w", err)
	}
	// Files that are new are no change to git. Only what is built counts: a log that is written
	// beside the code must not have a proof begin anew.
	files, err := exec.CommandContext(ctx, "git", "ls-files", "--others", "--exclude-standard", "-z", "--", ":/*.go", ":/*.sql", ":/*.avsc", ":/*.yaml").Output()
	if err != nil {
		return "", fmt.Errorf("look for files that are not in the commit: %w", err)
	}
	for file := range strings.SplitSeq(strings.TrimSuffix(string(files), "\x00"), "\x00") {
		if file == "" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read a file that is not in the commit: %w", err)
		}
		changes = fmt.Appendf(changes, "%q %x\n", file, sha256.Sum256(text))
	}
	name := string(bytes.TrimSpace(commit))
	if len(changes) > 0 {
		name += fmt.Sprintf("+%x", sha256.Sum256(changes))[:9]
	}
	return name, nil
}

// file is that of the evidence: one for each size, so that a small proof leaves
// a large one alone that was interrupted.
func (g *gatherer) file() string {
	return filepath.Join(g.Dir, fmt.Sprintf("evidence-%d-%d.json", g.Kills, g.Seeds))
}

// load reads the evidence of a proof that was interrupted.
func (g *gatherer) load() error {
	g.evidence.Config = fmt.Sprintf("%d kills and %d seeds from %d, away for %s, at %s", g.Kills, g.Seeds, g.First, g.Away, g.commit)
	if !g.Resume {
		return nil
	}
	b, err := os.ReadFile(g.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the evidence there is: %w", err)
	}
	var before evidence
	if err := json.Unmarshal(b, &before); err != nil {
		return fmt.Errorf("read the evidence in %q (delete it to begin anew): %w", g.file(), err)
	}
	if before.Config != g.evidence.Config {
		g.say("the evidence there is was gathered for %s: beginning anew", before.Config)
		return nil
	}
	g.evidence = before
	g.say("going on with %d kills in %d plays and %d seeds", g.kills(), len(g.Plays), g.seeds())
	return nil
}

func (g *gatherer) save() error { return write(g.file(), g.evidence) }

func (g *gatherer) say(format string, args ...any) { fmt.Fprintf(g.Out, format+"\n", args...) }

func (g *gatherer) kills() (n int) {
	for _, p := range g.Plays {
		n += p.Kills
	}
	return n
}

func (g *gatherer) seeds() (n int) {
	for _, s := range g.Simulations {
		n += s.Seeds
	}
	return n
}

// turns are the stages of the plays, one after the other. Three nodes are slow on
// a small machine, and so come less often.
func turns() []chaos.Config {
	return []chaos.Config{
		{Broker: stage.Apache, Nodes: 1},
		{Broker: stage.Embedded, Nodes: 1, Replay: true},
		{Broker: stage.Apache, Nodes: 3},
		{Broker: stage.Apache, Nodes: 1, Replay: true},
		{Broker: stage.Embedded, Nodes: 1},
		{Broker: stage.Apache, Nodes: 1},
	}
}

// playsMin is how many plays there are at least, whatever they kill: every kind
// of stage.
const playsMin = 3

// wantsPlay says whether there must be one more play: until enough processes were killed,
// and every fault was among it. What some plays of every stage have not had no other will: a slow
// machine has few faults in a play.
func (g *gatherer) wantsPlay() bool {
	return g.Kills > 0 && (g.kills() < g.Kills || len(g.Plays) < playsMin || len(g.missing()) > 0 && len(g.Plays) < roundsMax*len(turns()))
}

// roundsMax is how many plays of every stage there are at the most for the sake of a fault.
const roundsMax = 4

// oracleEnds is the oracle that looks at the plays themselves.
const oracleEnds = "a play comes to its end"

// missing are the kinds of faults that the plays of a proof must have had and have not,
// but for those that the machine does not allow: on Apache Kafka, if it can have them.
func (g *gatherer) missing() []chaos.Kind {
	wanted := []chaos.Kind{chaos.Replayed}
	if g.Away > 0 {
		wanted = append(wanted, chaos.ClickHouseAway)
	}
	for _, place := range fault.Points() {
		wanted = append(wanted, chaos.KillAt(place.Point))
	}
	for _, stage := range turns() {
		wanted = append(wanted, chaos.Kinds(stage.Broker, stage.Nodes)...)
	}
	slices.Sort(wanted)
	return slices.DeleteFunc(slices.Compact(wanted), func(kind chaos.Kind) bool {
		return slices.ContainsFunc(g.Plays, func(r chaos.Report) bool {
			_, passed := r.PassedOver[kind]
			return passed || r.Had(kind) && (r.Broker == stage.Apache || kind.Only(stage.Embedded))
		})
	})
}

// next is the play to come, without its folders: what none before has had comes first in it.
// ClickHouse is away for long where most else can go wrong, on three nodes of Apache Kafka.
func (g *gatherer) next() chaos.Config {
	i, missing := len(g.Plays), g.missing()
	cfg := turns()[i%len(turns())]
	cfg.Seed, cfg.Rate = g.First+uint64(i), chaos.RateUsual
	if cfg.Nodes > 1 && slices.Contains(missing, chaos.ClickHouseAway) {
		cfg.Away = g.Away
	}
	can := chaos.Kinds(cfg.Broker, cfg.Nodes)
	cfg.First = slices.DeleteFunc(missing, func(kind chaos.Kind) bool { return !slices.Contains(can, kind) })
	return cfg
}

// play plays for as long as there must be plays.
func (g *gatherer) play(ctx context.Context) (err error) {
	if !g.wantsPlay() {
		return nil
	}
	work, err := os.MkdirTemp("", "flywheel-proof-*")
	if err != nil {
		return fmt.Errorf("create a folder for the plays: %w", err)
	}
	binary, err := stage.Build(ctx, work)
	if err != nil {
		return errors.Join(err, os.RemoveAll(work))
	}
	started := time.Now()
	before := g.kills()
	for g.wantsPlay() {
		i, cfg := len(g.Plays), g.next()
		cfg.Binary, cfg.CacheDir, cfg.Out, cfg.Dir = binary, g.Cache, g.Out, filepath.Join(work, strconv.Itoa(i))
		planned := cfg.Report()
		command := planned.Again()
		g.say("play %d: %s", i+1, command)
		report, err := chaos.Run(ctx, cfg)
		if ctx.Err() != nil {
			return errors.Join(fmt.Errorf("play %d (again by '%s'): %w", i+1, command, err), os.RemoveAll(work))
		}
		if err != nil { // what was found until then is worth telling, but not worth keeping: the machine may be why
			report.Failures = append(report.Failures, verify.Failure{Oracle: oracleEnds, Text: err.Error()})
			g.Plays = append(g.Plays, report)
			break
		}
		g.Plays = append(g.Plays, report)
		if err := g.save(); err != nil {
			return err
		}
		progress := fmt.Sprintf("%d of %d kills", g.kills(), g.Kills)
		if done := g.kills() - before; done > 0 && g.kills() < g.Kills {
			left := time.Since(started) / time.Duration(done) * time.Duration(g.Kills-g.kills())
			progress += fmt.Sprintf(", about %s left", left.Round(time.Minute))
		}
		g.say("%s", progress)
	}
	// The logs of a play that failed stay for whoever looks into it.
	if slices.ContainsFunc(g.Plays, func(r chaos.Report) bool { return len(r.Failures) > 0 }) {
		return nil
	}
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("remove the folder of the plays: %w", err)
	}
	return nil
}

// seedsAtOnce is how many seeds the simulation runs before its evidence is kept.
const seedsAtOnce = 1000

func (g *gatherer) simulate(ctx context.Context) error {
	for g.seeds() < g.Seeds {
		n := min(seedsAtOnce, g.Seeds-g.seeds())
		g.say("simulation: %d of %d seeds", g.seeds(), g.Seeds)
		var r simulationReport
		if err := g.test(ctx, &r, "-tags=synctests", "-run=^TestSeeds$", "-timeout=3h", "./loadtest/simulation", "-args",
			"-seeds="+strconv.Itoa(n), "-first="+strconv.Itoa(1+g.seeds())); err != nil {
			return fmt.Errorf("simulate seeds %d to %d: %w", 1+g.seeds(), g.seeds()+n, err)
		}
		g.Simulations = append(g.Simulations, r)
		if err := g.save(); err != nil {
			return err
		}
	}
	return nil
}

// mutantsMin is how many mutants a proof plants at the least.
const mutantsMin = 12

func (g *gatherer) mutate(ctx context.Context) error {
	if !g.Config.Mutants || g.evidence.Mutants != nil {
		return nil
	}
	g.say("mutants")
	r := new(mutantReport)
	if err := g.test(ctx, r, "-tags=mutants", "-run=^Test(Mutants|AMutant)", "-timeout=60m", "./loadtest/mutant", "-args"); err != nil {
		return fmt.Errorf("plant the mutants: %w", err)
	}
	g.evidence.Mutants = r
	return g.save()
}

// found is what a test says it has found.
type found interface{ failed() bool }

func (r *simulationReport) failed() bool { return len(r.Failures) > 0 }
func (r *mutantReport) failed() bool     { return r.Caught < r.Planted }

// test runs a test that writes a report. A test that fails and has written one
// has found something: the report says what.
func (g *gatherer) test(ctx context.Context, report found, args ...string) error {
	file := filepath.Join(g.Dir, "part.json")
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the report before: %w", err)
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return fmt.Errorf("find the folder of the proof: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"test", "-count=1", "-v"}, args...), "-report="+abs)...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = g.Out, g.Out, 5*time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // go starts what it has built
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	failed := cmd.Run()
	b, err := os.ReadFile(file)
	if err != nil {
		return errors.Join(failed, err)
	}
	if err := json.Unmarshal(b, report); err != nil {
		return fmt.Errorf("read the report of %v: %w", args, err)
	}
	if failed != nil && !report.failed() { // then something else is wrong
		return fmt.Errorf("run go %v: %w", cmd.Args[1:], failed)
	}
	return nil
}

// repeatedOneIn is how many times a fault must have shown for each time that it did not.
const repeatedOneIn = 4

// sum adds up the evidence.
func (g *gatherer) sum() Proof {
	p := Proof{
		Commit: g.commit, Plays: len(g.Plays), Kills: g.kills(), Seeds: g.seeds(),
		KillsOn: make(map[string]int), Faults: make(map[string]int), Seen: make(map[string]int), Repeated: make(map[string]int), ResumedMs: make(map[string]Quantiles), PassedOver: make(map[string]string), Failures: []string{},
	}
	var recovery []int64
	resumed := make(map[string][]int64)
	for _, r := range g.Plays {
		for kind, n := range r.Faults {
			p.Faults[kind.String()] += n
		}
		for kind, n := range r.Seen {
			p.Seen[kind.String()] += n
		}
		for kind, n := range r.Repeated {
			p.Repeated[kind.String()] += n
		}
		for kind, ms := range r.ResumedMs {
			resumed[kind.String()] = append(resumed[kind.String()], ms...)
		}
		for kind, why := range r.PassedOver {
			p.PassedOver[kind.String()] = why
		}
		if r.Broker == stage.Apache && r.Had(chaos.ClickHouseAway) {
			p.AwaySeconds = max(p.AwaySeconds, r.Away.Seconds())
		}
		p.KillsOn[string(r.Broker)] += r.Kills
		recovery = append(recovery, r.RecoveryMs...)
		p.Tally.Add(r.Tally)
		p.Events += r.Events
		p.Seconds += r.Seconds
		for _, f := range r.Failures {
			p.Failures = append(p.Failures, fmt.Sprintf("%s: %s (again by '%s')", f.Oracle, f.Text, r.Again()))
		}
	}
	for _, f := range p.Tally.TooMuch() {
		p.Failures = append(p.Failures, fmt.Sprintf("all plays: %s: %s", f.Oracle, f.Text))
	}
	for _, s := range g.Simulations {
		for kind, n := range s.Faults {
			p.Faults["simulated: "+kind] += n
		}
		p.Seconds += s.Seconds
		for oracle, n := range s.Failures {
			p.Failures = append(p.Failures, fmt.Sprintf("simulation: %s: %d seeds", oracle, n))
			p.OracleFailures += n - 1
		}
	}
	p.OracleFailures += len(p.Failures)
	if g.Kills > 0 {
		for _, kind := range g.missing() {
			p.Failures = append(p.Failures, fmt.Sprintf("no play has had %q, timed the way back from it, and seen what it shows: see in what they say why not", kind))
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(p.Repeated)) {
		n, right := p.Repeated[kind], p.Seen[kind]
		if chaos.Kind(kind) == chaos.Nothing { // which is right when nothing is seen
			right = p.Faults[kind]
		}
		if n > max(1, right/repeatedOneIn) {
			p.Failures = append(p.Failures, fmt.Sprintf("%q showed what it must %d times, and %d times only once it was inflicted again: what an operator sees of it is left to chance", kind, right, n))
		}
	}
	if g.Disks {
		for _, kind := range slices.Sorted(maps.Keys(p.PassedOver)) {
			p.Failures = append(p.Failures, fmt.Sprintf("%q was passed over on a machine that has what it needs: %s", kind, p.PassedOver[kind]))
		}
	}
	for _, r := range g.Plays {
		if r.Broker == stage.Apache {
			p.Failures = append(p.Failures, same(&p.KafkaVersion, r.KafkaVersion, "Kafka", r)...)
			p.Failures = append(p.Failures, same(&p.Registry, r.Registry, "the schema registry", r)...)
		}
	}
	if m := g.evidence.Mutants; m != nil {
		p.Mutants = Mutants{m.Planted, m.Caught}
		p.Seconds += m.Seconds
		if m.Planted < mutantsMin {
			p.Failures = append(p.Failures, fmt.Sprintf("%d mutants were planted, which is fewer than %d", m.Planted, mutantsMin))
		}
		if m.Caught < m.Planted {
			p.Failures = append(p.Failures, fmt.Sprintf("%d of %d mutants survived", m.Planted-m.Caught, m.Planted))
		}
	}
	p.RecoveryMs = quantiles(recovery)
	for kind, ms := range resumed {
		p.ResumedMs[kind] = quantiles(ms)
	}
	return p
}

func quantiles(ms []int64) Quantiles {
	n := len(ms)
	if n == 0 {
		return Quantiles{}
	}
	slices.Sort(ms)
	return Quantiles{ms[n/2], ms[min(n-1, n*99/100)], ms[n-1]}
}

// same takes over what a play has found a server to be, and says so if plays before
// have found something else.
func same(before *string, found, server string, r chaos.Report) []string {
	if *before == "" {
		*before = found
	}
	if *before == found {
		return nil
	}
	return []string{fmt.Sprintf("%s is %q in one play and %q in another (again by '%s'): what one has shown is not true of the other", server, *before, found, r.Again())}
}

// String is the proof in a line.
func (p Proof) String() string {
	s := fmt.Sprintf("Kafka %s, %s: %d kills in %d plays, %d seeds, %d oracle failures, %d of %d mutants caught",
		p.KafkaVersion, p.Registry, p.Kills, p.Plays, p.Seeds, p.OracleFailures, p.Mutants.Caught, p.Mutants.Planted)
	for _, kind := range slices.Sorted(maps.Keys(p.PassedOver)) {
		s += fmt.Sprintf("; PASSED OVER: %s (%s)", kind, p.PassedOver[kind])
	}
	return s
}

// write puts a value into a file as JSON, whole or not at all.
func write(file string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", file, err)
	}
	if err := renameio.WriteFile(file, append(b, '\n'), 0o644, renameio.WithTempDir(filepath.Dir(file))); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
