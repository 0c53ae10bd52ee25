package main

import (
	"fmt"
	"time"

	"flywheel/pkg/clickhouse"

	"github.com/spf13/cobra"
)

func newMigrate(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the tables and views of ClickHouse to what this program needs",
		Long: "Bring the tables and views of ClickHouse to what this program needs: create the database if\n" +
			"it is missing, and apply the migrations that are pending. It may be run again at any time,\n" +
			"and by several at once.",
		Args: noArguments(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := env.config()
			if err != nil {
				return err
			}
			done, err := clickhouse.Migrate(cmd.Context(), cfg.ClickHouse)
			for _, m := range done {
				fmt.Fprintf(env.stdout, "applied %s\n", m)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.stdout, "the database %q is up to date; %d migrations were applied now\n", cfg.ClickHouse.Database, len(done))
			return err
		},
	}
	cmd.AddCommand(newMigrateStatus(env))
	return cmd
}

func newMigrateStatus(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Print the migrations and when each was applied; change nothing",
		Args:  noArguments(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := env.config()
			if err != nil {
				return err
			}
			states, err := clickhouse.Status(cmd.Context(), cfg.ClickHouse)
			if err != nil {
				return err
			}
			return env.table("MIGRATION\tSTATE\tAPPLIED AT", func(row func(...any)) {
				for _, m := range states {
					if m.AppliedAt.IsZero() {
						row(m, "pending", "-")
						continue
					}
					row(m, "applied", m.AppliedAt.UTC().Format(time.RFC3339))
				}
			})
		},
	}
}
