package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestRulesAreRead(t *testing.T) {
	for sentence, c := range map[string]struct {
		text string
		want []Rule
		err  string
	}{
		"one kill": {text: "processor.flushed@3=kill", want: []Rule{{ProcessorFlushed, 3, Kill, 0}}},
		"a list with every action": {
			text: "processor.flushed@3=kill; sink.inserted@1=stop;processor.restoring@2=sleep:5s",
			want: []Rule{{ProcessorFlushed, 3, Kill, 0}, {SinkInserted, 1, Stop, 0}, {ProcessorRestoring, 2, Sleep, 5 * time.Second}},
		},
		"two passings of one point": {
			text: "sink.inserting@1=sleep:10ms;sink.inserting@2=kill",
			want: []Rule{{SinkInserting, 1, Sleep, 10 * time.Millisecond}, {SinkInserting, 2, Kill, 0}},
		},
		"nothing":                      {text: "", err: `"": want a rule such as processor.flushed@3=kill`},
		"a list with an open end":      {text: "sink.inserted@1=stop;", err: `"": want a rule`},
		"a mistyped point":             {text: "processor.flush@3=kill", err: `there is no point "processor.flush": want one of processor.assigned, `},
		"no passing":                   {text: "processor.flushed=kill", err: "want a rule such as"},
		"the zeroth passing":           {text: "processor.flushed@0=kill", err: `passing "0" is no whole number from 1`},
		"a passing nobody lives to":    {text: "processor.flushed@1000001=kill", err: "is no whole number from 1 to 1000000"},
		"a mistyped action":            {text: "processor.flushed@1=kil", err: `there is no action "kil": want kill, stop or sleep:5s`},
		"no action":                    {text: "processor.flushed@1", err: "want a rule such as"},
		"a kill that takes time":       {text: "processor.flushed@1=kill:1s", err: `there is no action "kill:1s"`},
		"a sleep without end":          {text: "processor.flushed@1=sleep", err: `pause "" is no duration`},
		"a sleep of nothing":           {text: "processor.flushed@1=sleep:0s", err: `pause "0s" is no duration above 0`},
		"two rules for one passing":    {text: "processor.flushed@1=kill;processor.flushed@1=stop", err: "passing 1 of processor.flushed has a rule already"},
		"one good rule and a bad one":  {text: "processor.flushed@1=kill;sink@1=kill", err: `there is no point "sink"`},
		"the sentence of another tool": {text: "all", err: "want a rule such as"},
	} {
		t.Run(sentence, func(t *testing.T) {
			got, err := Parse(c.text)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v and the error %v, want %q", got, err, c.err)
				}
				return
			}
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("error %v; (-want +got)\n%s", err, diff)
			}
		})
	}
}

func TestRulesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rules []Rule
		for i := range rapid.IntRange(1, 5).Draw(t, "rules") {
			r := Rule{
				Point:   rapid.SampledFrom(Points()).Draw(t, "place").Point,
				Passing: 10*rapid.IntRange(0, 1000).Draw(t, "passing") + i + 1,
				Action:  rapid.SampledFrom([]Action{Kill, Stop, Sleep}).Draw(t, "action"),
			}
			if r.Action == Sleep {
				r.Pause = time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "pause"))
			}
			rules = append(rules, r)
			if got, ok := Fired(firedPrefix + r.String() + "\n"); !ok || got != r {
				t.Fatalf("the line about %v says %v, %t", r, got, ok)
			}
		}
		got, err := Parse(Format(rules...))
		if diff := cmp.Diff(rules, got); err != nil || diff != "" {
			t.Fatalf("error %v; (-want +got)\n%s", err, diff)
		}
	})
}

// A point that no code passes makes a test that waits for ever; one passed at
// two places makes a test that does not know what it tests.
func TestEveryPointIsPassedAtOnePlace(t *testing.T) {
	names := make(map[string]string) // of the constants
	src, err := os.ReadFile("fault.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\t(\w+) +Point = "(.+)"$`).FindAllStringSubmatch(string(src), -1) {
		names[m[2]] = m[1]
	}
	calls := make(map[string][]string)
	call := regexp.MustCompile(`\bfault\.Reached\(fault\.(\w+)\)`)
	for _, dir := range []string{"../../pkg", "../../services"} {
		err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return err
			}
			src, err := os.ReadFile(file)
			for _, m := range call.FindAllStringSubmatch(string(src), -1) {
				calls[m[1]] = append(calls[m[1]], file)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range Points() {
		name := names[string(p.Point)]
		if len(calls[name]) != 1 {
			t.Errorf("%s (%s) is passed in %q, want one place", p.Point, name, calls[name])
		}
		if p.Doc == "" {
			t.Errorf("%s is not explained", p.Point)
		}
		delete(names, string(p.Point))
	}
	if len(names) > 0 {
		t.Errorf("Points leaves out %v", names)
	}
}

// TestPointsCostNothing holds the ordinary build to what the package promises.
func TestPointsCostNothing(t *testing.T) {
	out, err := exec.Command("go", "build", "-gcflags=-m=2", "-o", os.DevNull, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if want := "can inline Reached with cost 0 as: func(Point) {  }"; !strings.Contains(string(out), want) {
		t.Errorf("the compiler does not say %q:\n%s", want, out)
	}
}

// walker builds the command of testdata and returns a function that runs it.
func walker(t *testing.T, flags ...string) func(rules string, points ...Point) *exec.Cmd {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "walker")
	if out, err := exec.Command("go", append(append([]string{"build", "-o", binary}, flags...), "./testdata/walker")...).CombinedOutput(); err != nil {
		t.Fatalf("build the walker: %v\n%s", err, out)
	}
	return func(rules string, points ...Point) *exec.Cmd {
		cmd := exec.Command(binary)
		for _, p := range points {
			cmd.Args = append(cmd.Args, string(p))
		}
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, Variable+"=") })
		if rules != "" {
			cmd.Env = append(cmd.Env, Variable+"="+rules)
		}
		return cmd
	}
}

const first, second = ProcessorFlushed, SinkInserted

func TestProcessesStopAtTheirPoints(t *testing.T) {
	walk := walker(t, "-tags", "faults")
	for sentence, c := range map[string]struct {
		rules  string
		points []Point
		stdout string
		stderr string
		killed bool
	}{
		"without rules a process walks through": {
			points: []Point{first, second}, stdout: "processor.flushed\nsink.inserted\n",
		},
		"a kill comes at its passing and no line later": {
			rules: "processor.flushed@2=kill", points: []Point{first, second, first, second},
			stdout: "processor.flushed\nsink.inserted\n", stderr: "flywheel fault: processor.flushed@2=kill\n", killed: true,
		},
		"a rule whose passing never comes does nothing": {
			rules: "processor.flushed@3=kill", points: []Point{first, second, first}, stdout: "processor.flushed\nsink.inserted\nprocessor.flushed\n",
		},
		"a sleep ends, and a later rule still holds": {
			rules: "sink.inserted@1=sleep:1ms;processor.flushed@2=kill", points: []Point{first, second, first},
			stdout: "processor.flushed\nsink.inserted\n", stderr: "flywheel fault: sink.inserted@1=sleep:1ms\nflywheel fault: processor.flushed@2=kill\n", killed: true,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			cmd := walk(c.rules, c.points...)
			var stdout, stderr strings.Builder
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if killed := signalled(err) == syscall.SIGKILL; killed != c.killed || !killed && err != nil {
				t.Errorf("it ended with %v, want killed %t", err, c.killed)
			}
			if stdout.String() != c.stdout || stderr.String() != c.stderr {
				t.Errorf("it walked\n%s and said\n%s, want\n%s and\n%s", &stdout, &stderr, c.stdout, c.stderr)
			}
		})
	}
}

func TestAStoppedProcessGoesOnWhenToldTo(t *testing.T) {
	cmd := walker(t, "-tags", "faults")("processor.flushed@1=stop", first)
	var stdout strings.Builder
	cmd.Stdout = &stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("it is not stopped: %v, %v", status, err)
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if stdout.String() != "processor.flushed\n" {
		t.Errorf("it walked %q", stdout.String())
	}
}

func TestAProcessRefusesWhatItDoesNotKnow(t *testing.T) {
	for sentence, c := range map[string]struct {
		flags []string
		rules string
		want  string
	}{
		"a mistyped point":                 {[]string{"-tags", "faults"}, "processor.flush@1=kill", `read FLYWHEEL_FAULT: "processor.flush@1=kill": there is no point "processor.flush"`},
		"rules, when it is built for none": {nil, "processor.flushed@1=kill", "FLYWHEEL_FAULT is set, but this binary cannot be stopped at points: unset it, or build with -tags faults"},
	} {
		t.Run(sentence, func(t *testing.T) {
			out, err := walker(t, c.flags...)(c.rules, first).Output()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 2 {
				t.Errorf("it ended with %v, want exit code 2", err)
			}
			if !strings.HasPrefix(string(out), c.want) {
				t.Errorf("it said %q, want %q", out, c.want)
			}
		})
	}
}

func TestOtherLinesAreNoFirings(t *testing.T) {
	for _, line := range []string{"", "level=warn", "flywheel fault: ", "flywheel fault: processor.flush@1=kill", " flywheel fault: processor.flushed@1=kill"} {
		if r, ok := Fired(line); ok {
			t.Errorf("%q counts as %v", line, r)
		}
	}
}

// signalled returns the signal that ended a process, 0 if none did.
func signalled(err error) syscall.Signal {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return 0
	}
	return status.Signal()
}

func ExamplePoints() {
	fmt.Println(Points()[0].Point, "-", Points()[0].Doc)
	// Output: processor.assigned - In the middle of a rebalance: the group has given out the partitions, and nothing of them is restored.
}
