// Command loadtest treats the pipeline as production will, and worse: it plays
// worlds of known truth through separate processes on the embedded engines or on
// Apache Kafka, breaks whatever can break, measures, and proves what is claimed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           "loadtest",
		Short:         "Break the pipeline, measure it, and prove what is claimed of it",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newBench(), newChaos(), newProof())
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "loadtest: stopped when asked to; what is finished is kept")
	default:
		fmt.Fprintf(stderr, "loadtest: %v\n", err)
	}
	return 1
}
