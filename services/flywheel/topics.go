package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/metric"

	"flywheel/pkg/codec"
	"flywheel/pkg/kafka"
	"flywheel/pkg/setup"
	"flywheel/schemas"
)

func newTopics(env *environment) *cobra.Command {
	cmd := group("topics", "List, create and check the Kafka topics and the contracts of what they carry",
		newTopicsList(env), newTopicsApply(env), newTopicsCheck(env))
	cmd.Long = cmd.Short + ".\n\n" +
		"A topic is of no use without the contracts of its records, so one command brings both:\n" +
		"the topics to Kafka, the contracts to the schema registry."
	return cmd
}

func newTopicsList(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Print the topics the pipeline needs, from schemas/topics.yaml",
		Args:  noArguments(""),
		RunE: func(*cobra.Command, []string) error {
			cfg, err := env.config()
			if err != nil {
				return err
			}
			file, err := schemas.LoadTopics()
			if err != nil {
				return err
			}
			return env.table("TOPIC\tPARTITIONS\tCLEANUP\tRETENTION\tKEY\tRECORDS", func(row func(...any)) {
				for _, t := range file.Topics {
					row(t.Name, cfg.Kafka.Topics.Partitions, t.Cleanup, retention(t.RetentionHours), t.Key, strings.Join(t.Records, " "))
				}
			})
		},
	}
}

func retention(hours int) string {
	switch {
	case hours < 0:
		return "for ever"
	case hours%24 == 0:
		return strconv.Itoa(hours/24) + "d"
	}
	return strconv.Itoa(hours) + "h"
}

func newTopicsApply(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "apply",
		Short: "Create the topics that are missing, register the contracts, and check both",
		Long: "Create the topics that are missing, register the contracts, and check both.\n\n" +
			"Nothing that exists is changed; what does not fit is told, one sentence each, and the exit\n" +
			"code is then 1. It may be run again at any time.",
		Args: noArguments(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return env.topics(cmd.Context(), setup.Topics, setup.Contracts)
		},
	}
}

func newTopicsCheck(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check topics and contracts and change nothing: exit 0 if all is as the pipeline needs it, 1 if not",
		Args:  noArguments(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return env.topics(cmd.Context(), setup.CheckTopics, setup.CheckContracts)
		},
	}
}

// topics does the one for the topics and the other for the contracts, and
// prints what there is then. A failure of the first does not keep the second
// from being told.
func (e *environment) topics(ctx context.Context,
	topics func(context.Context, kafka.Config, *slog.Logger, metric.MeterProvider) ([]kafka.TopicState, error),
	contracts func(context.Context, codec.Config) ([]codec.Registration, error),
) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	t, err := e.tool(cfg, "topics")
	if err != nil {
		return err
	}
	states, topicsErr := topics(ctx, cfg.Kafka, t.Logger(), t.MeterProvider())
	if ctx.Err() != nil {
		return errors.Join(topicsErr, ctx.Err())
	}
	registered, contractsErr := contracts(ctx, cfg.Registry)
	return errors.Join(e.printTopics(cfg.Kafka, states), e.printContracts(registered), topicsErr, contractsErr)
}

func (e *environment) printTopics(cfg kafka.Config, states []kafka.TopicState) error {
	if len(states) == 0 {
		return nil
	}
	return e.table("TOPIC\tPARTITIONS\tCLEANUP\tSTATE", func(row func(...any)) {
		for _, s := range states {
			state := "exists"
			switch {
			case s.Created:
				state = "created"
			case s.Partitions == 0:
				state = "missing"
			case s.Copartitioned && s.Partitions != cfg.Topics.Partitions || s.Policy != s.Cleanup:
				state = "differs"
			}
			policy := s.Policy
			if policy == "" {
				policy = "-"
			}
			row(s.Name, s.Partitions, policy, state)
		}
	})
}

func (e *environment) printContracts(registered []codec.Registration) error {
	if len(registered) == 0 {
		return nil
	}
	return e.table("\nCONTRACT\tVERSION\tID\tSTATE", func(row func(...any)) {
		for _, r := range registered {
			state := "exists"
			switch {
			case r.Created:
				state = "registered"
			case r.ID == 0:
				state = "missing"
			}
			row(r.Subject, r.Version, r.ID, state)
		}
	})
}

// table prints rows below a head whose columns are separated by tabs.
func (e *environment) table(head string, rows func(row func(...any))) error {
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	rows(func(cells ...any) {
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, c)
		}
		fmt.Fprintln(w)
	})
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}
