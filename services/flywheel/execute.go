package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"flywheel/pkg/config"
	"flywheel/pkg/fault"
)

// Exit codes of the binary.
const (
	exitOK     = 0 // the command did what it was asked
	exitFailed = 1 // the command failed while it worked
	exitUsage  = 2 // the command line or the configuration is wrong
)

// usageError marks an error the caller mends by typing or configuring something
// else.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// execute runs one command line and returns the exit code. It touches nothing of
// the process but its arguments, so that tests drive it as the shell would.
func execute(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	environ, err := fault.Arm(environ)
	if err != nil {
		fmt.Fprintf(stderr, "flywheel: %v\n", err)
		return exitUsage
	}
	env := &environment{environ: environ, stdout: stdout, stderr: stderr}
	root, err := newRoot(env)
	if err != nil {
		fmt.Fprintf(stderr, "flywheel: %v\n", err)
		return exitFailed
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	started := false
	markStart(root, &started)

	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintf(stderr, "flywheel: stopped when asked to, before '%s' was done: run it again\n", cmd.CommandPath())
		return exitFailed
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(stderr, "flywheel: %s\n", strings.TrimSuffix(line, "\n"))
	}
	if usage := (usageError{}); started && !errors.As(err, &usage) {
		return exitFailed
	}
	if !started {
		fmt.Fprintf(stderr, "See '%s --help'.\n", cmd.CommandPath())
	}
	return exitUsage
}

// newRoot returns the whole tree of commands; each has a file of its own.
func newRoot(env *environment) (*cobra.Command, error) {
	root := group("flywheel", "Know within seconds which TikTok post is moving your Amazon branded search, and what it was worth",
		newBrands(env),
		newConfig(env),
		newDemo(env),
		newDetect(env),
		newEstimate(env),
		newEmbedded(env),
		newFetch(env),
		newIngest(env),
		newLearn(env),
		newMigrate(env),
		newProcessor(env),
		newReady(env),
		newSimulate(env),
		newSink(env),
		newTopics(env),
		newVersion(),
	)
	root.Long = root.Short + ".\n\n" +
		"Every key of the configuration is a flag as well, such as --log.level=debug, and a\n" +
		"variable, such as FLYWHEEL_LOG_LEVEL; 'flywheel config print' explains them all."
	root.SilenceUsage, root.SilenceErrors = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return nearestFlag(cmd, err) })
	root.PersistentFlags().StringVar(&env.file, "config", "", "read the configuration from this YAML file (FLYWHEEL_CONFIG)")
	flags, err := config.Bind[Config](root.PersistentFlags())
	env.flags = flags
	return root, err
}

// onlyHolds marks a command that does nothing itself.
const onlyHolds = "only-holds"

// group is a command that only holds others.
func group(use, short string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:         use,
		Short:       short,
		Annotations: map[string]string{onlyHolds: ""},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := config.Hint(args[0], func(yield func(string) bool) {
				for _, c := range cmd.Commands() {
					if !yield(c.Name()) {
						return
					}
				}
			})
			return fmt.Errorf("unknown command %q%s", args[0], hint)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(children...)
	return cmd
}

// noArguments refuses arguments; instead names the flags that are meant for them.
func noArguments(instead string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return nil
		case instead == "":
			return fmt.Errorf("'%s' takes no arguments, not even %q", cmd.CommandPath(), args[0])
		}
		return fmt.Errorf("'%s' takes no arguments, not even %q: use %s", cmd.CommandPath(), args[0], instead)
	}
}

// oneFile checks the arguments of a command that takes a file.
func oneFile(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("name one FILE; %d are named", len(args))
	}
	return nil
}

// nearestFlag adds the nearest flag to the error about an unknown one.
func nearestFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return err
	}
	name := unknown.GetSpecifiedName()
	nearest := config.Nearest(name, func(yield func(string) bool) {
		more := true
		cmd.Flags().VisitAll(func(f *pflag.Flag) { more = more && yield(f.Name) })
	})
	if nearest == "" {
		return fmt.Errorf("unknown flag --%s", name)
	}
	return fmt.Errorf("unknown flag --%s; the nearest is --%s", name, nearest)
}

// markStart sets started once a command begins its work: whatever fails before
// is an error in the command line.
func markStart(cmd *cobra.Command, started *bool) {
	if work := cmd.RunE; work != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			return work(cmd, args)
		}
	}
	for _, c := range cmd.Commands() {
		markStart(c, started)
	}
}
