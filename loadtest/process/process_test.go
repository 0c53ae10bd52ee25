package process_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"flywheel/loadtest/process"
)

const soon = 10 * time.Second

// run starts a shell script that has said "ready" when it returns.
func run(t *testing.T, log, script string) *process.Process {
	t.Helper()
	p, err := process.Start("the script", log, exec.Command("sh", "-c", script))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	if err := p.Says(t.Context(), "ready", soon); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestHowAProcessEnds(t *testing.T) {
	const forever = "; while :; do sleep 0.01; done"
	for _, c := range []struct {
		name, script string
		end          func(*process.Process) error
		code         int
		itself       bool   // killed by itself
		crashed      bool   // without being asked
		fails        string // part of the error
	}{
		{
			"one that is asked ends in peace", "trap 'exit 0' TERM; echo ready" + forever,
			func(p *process.Process) error { return p.Stop(soon) }, 0, false, false, "",
		},
		{
			"one that does not hear is asked where it hangs", "trap '' TERM; trap 'echo here; exit 2' QUIT; echo ready" + forever,
			func(p *process.Process) error { return p.Stop(50 * time.Millisecond) }, 2, false, false, "where it hangs is in",
		},
		{
			"one that is killed", "echo ready" + forever,
			(*process.Process).Kill, -1, false, false, "",
		},
		{
			"one that kills itself", "echo ready; kill -9 $$",
			func(p *process.Process) error { return p.Wait(t.Context()) }, -1, true, true, "the script ended (signal: killed)",
		},
		{
			"one that fails says why", "echo ready; echo no disk; exit 3",
			func(p *process.Process) error { return p.Wait(t.Context()) }, 3, false, true, "no disk",
		},
		{
			"one that is done", "echo ready",
			func(p *process.Process) error { return p.Wait(t.Context()) }, 0, false, true, "",
		},
		{
			"one that is paused and resumed", "trap 'exit 0' TERM; echo ready" + forever,
			func(p *process.Process) error {
				if err := p.Pause(); err != nil {
					return err
				}
				if err := p.Resume(); err != nil {
					return err
				}
				return p.Stop(soon)
			}, 0, false, false, "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := run(t, filepath.Join(t.TempDir(), "log"), c.script)
			err := c.end(p)
			if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("it fails with %v, want %q", err, c.fails)
			}
			if p.ExitCode() != c.code || p.KilledItself() != c.itself || (p.Crashed() != nil) != c.crashed || p.Running() {
				t.Errorf("it ended with %d, itself %v, crashed %v, running %v", p.ExitCode(), p.KilledItself(), p.Crashed(), p.Running())
			}
			if err := p.Kill(); err != nil {
				t.Errorf("killed once more: %v", err)
			}
		})
	}
}

func TestTheShellDoesNotConfigureWhatIsTried(t *testing.T) {
	t.Setenv("FLYWHEEL_KAFKA_BROKERS", "elsewhere:9092")
	t.Setenv("FLYWHEEL_CONFIG", "/etc/flywheel.yaml")
	t.Setenv("OTHER", "stays")
	cmd := exec.Command("sh", "-c", `echo "ready <$FLYWHEEL_KAFKA_BROKERS> <$FLYWHEEL_CONFIG> <$FLYWHEEL_LOG_LEVEL> <$OTHER>"`)
	cmd.Env = []string{"FLYWHEEL_LOG_LEVEL=debug"}
	p, err := process.Start("the script", filepath.Join(t.TempDir(), "log"), cmd)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Says(t.Context(), "ready <> <> <debug> <stays>", soon); err != nil {
		t.Error(err)
	}
}

func TestALifeHearsOnlyItself(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	run(t, log, "echo ready; echo first").ExitCode()
	p := run(t, log, "echo ready; echo second")
	p.ExitCode()
	if tail := p.Tail(); strings.Contains(tail, "first") || !strings.Contains(tail, "second") {
		t.Error(tail)
	}
	if err := p.Says(t.Context(), "first", soon); err == nil {
		t.Error("it hears what the life before has said")
	}
	if tail := process.Tail(log); !strings.Contains(tail, "first") || !strings.Contains(tail, "second") {
		t.Error(tail)
	}
}

func TestNoneIsStopped(t *testing.T) {
	var none *process.Process
	if none.Running() || none.Kill() != nil || none.Stop(soon) != nil || none.Crashed() != nil {
		t.Error("a process that was never started needs no end")
	}
	if none.Pause() == nil {
		t.Error("a process that was never started was paused")
	}
	if _, err := process.Start("nothing", filepath.Join(t.TempDir(), "log"), exec.Command("/no/such/program")); err == nil {
		t.Error("a program that is not there was started")
	}
}

func TestTimeIsCounted(t *testing.T) {
	p := run(t, filepath.Join(t.TempDir(), "log"), "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo ready; sleep 60")
	if s := process.CPUSeconds(p.ID()); s <= 0 || s > 60 {
		t.Errorf("it took %v s of processor time", s)
	}
}

func TestWhatAProcessSaysIsFound(t *testing.T) {
	p := run(t, filepath.Join(t.TempDir(), "log"), "echo ready; sleep 0.1; echo version 4.3.0 of a script; exit 1")
	if got, err := p.Finds(t.Context(), regexp.MustCompile(`version (\S+)`), soon); err != nil || got != "4.3.0" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := p.Finds(t.Context(), regexp.MustCompile(`commit (\S+)`), soon); err == nil || got != "" || !strings.Contains(err.Error(), "the script ended") {
		t.Errorf("%q, %v", got, err)
	}
}
