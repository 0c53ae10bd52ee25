package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"flywheel/pkg/clickhouse"
)

func newMigrate(env *environment) *cobra.Command {
	var recreate bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the tables and views of ClickHouse to what this program needs",
		Long: "Bring the tables and views of ClickHouse to what this program needs: create the database if\n" +
			"it is missing, and apply the migrations that are pending. It may be run again at any time,\n" +
			"and by several at once. Tables and columns that are gone are an error, since what they held\n" +
			"is gone as well: with --recreate it creates them, empty.",
		Args: noArguments(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := env.config()
			if err != nil {
				return err
			}
			migrate := clickhouse.Migrate
			if recreate {
				migrate = clickhouse.Recreate
			}
			done, err := migrate(cmd.Context(), cfg.ClickHouse)
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
	cmd.Flags().BoolVar(&recreate, "recreate", false, "create tables and columns that were lost again, empty")
	cmd.AddCommand(newMigrateStatus(env))
	return cmd
}

func newMigrateStatus(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Print the migrations, when each was applied and whether what it made is there; change nothing",
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
			err = env.table("MIGRATION\tSTATE\tAPPLIED AT", func(row func(...any)) {
				for _, m := range states {
					switch at := m.AppliedAt.UTC().Format(time.RFC3339); {
					case m.AppliedAt.IsZero():
						row(m, "pending", "-")
					case m.Missing:
						row(m, "missing", at)
					case len(m.Lost) > 0:
						row(m, "incomplete", at)
					default:
						row(m, "applied", at)
					}
				}
			})
			return errors.Join(err, clickhouse.Gone(cfg.ClickHouse, states))
		},
	}
}
