package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"flywheel/pkg/embedded"
)

func newFetch(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "fetch",
		Short: "Fetch the ClickHouse library of the embedded engines through npm, unless it is there",
		Args:  noArguments(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := env.config()
			if err != nil {
				return err
			}
			library, err := embedded.Install(cmd.Context(), cfg.Embedded.CacheDir, env.stderr)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(env.stdout, library)
			return err
		},
	}
}
