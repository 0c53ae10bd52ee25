package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/services/brands"
)

func newBrands(env *environment) *cobra.Command {
	cmd := group("brands", "Check, publish and list the brands", newBrandsCheck(env), newBrandsApply(env), newBrandsList(env))
	cmd.Long = cmd.Short + ".\n\n" +
		"The brand file says who the brands are: names, time zone, currency, holidays and accounts.\n" +
		"deploy/brands.example.yaml explains its keys."
	return cmd
}

func newBrandsCheck(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a brand file: exit 0 if it is valid, 1 with what is wrong, by line and column, if not",
		Args:  oneFile,
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := brands.Load(args[0], time.Now())
			if err != nil {
				return err
			}
			fmt.Fprintf(env.stdout, "%s is valid: %s\n", args[0], count(len(file), "brand"))
			return nil
		},
	}
}

func newBrandsApply(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "apply FILE",
		Short: "Publish what is new or changed in a brand file",
		Long: "Publish what is new or changed in a brand file.\n\n" +
			"The file is checked as a whole first; a file with a mistake changes nothing. A published brand\n" +
			"that is not in the file stays as it is: set 'retired: true' to have it no longer processed.\n" +
			"Holidays and changes of the clock reach two years ahead, so apply the file once a year at least.",
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := brands.Load(args[0], time.Now())
			if err != nil {
				return err
			}
			return env.withBrands(cmd.Context(), "brands", func(publish func([]brands.Step) error, published map[string]event.Brand) error {
				steps, err := brands.Plan(file, published)
				if err != nil {
					return err
				}
				if err := publish(steps); err != nil {
					return err
				}
				return env.printSteps(steps)
			})
		},
	}
}

// count says how many there are of something.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (e *environment) printSteps(steps []brands.Step) error {
	changes := make(map[brands.Change]int)
	absent := 0
	err := e.table("BRAND\tVERSION\tNAME\tCHANGE", func(row func(...any)) {
		for _, s := range steps {
			changes[s.Change]++
			change := string(s.Change)
			if s.Change == brands.Absent {
				change = "not in the file: stays as it is"
				if !s.Brand.Retired {
					absent++
				}
			}
			row(s.Brand.BrandID, s.Brand.Version, s.Brand.Name, change)
		}
	})
	fmt.Fprintf(e.stdout, "\n%d added, %d changed, %d retired, %d unchanged\n",
		changes[brands.Added], changes[brands.Changed], changes[brands.Retired], changes[brands.Unchanged])
	if absent > 0 {
		fmt.Fprintf(e.stdout, "%s published before and not in this file: set 'retired: true' for what shall no longer be processed\n", count(absent, "brand"))
	}
	return err
}

func newBrandsList(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Print the published brands",
		Args:  noArguments(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return env.withBrands(cmd.Context(), "brands", func(_ func([]brands.Step) error, published map[string]event.Brand) error {
				if len(published) == 0 {
					fmt.Fprintln(env.stdout, "no brand is published: write a brand file and run 'flywheel brands apply FILE'")
					return nil
				}
				return env.table("BRAND\tVERSION\tNAME\tTIME ZONE\tCURRENCY\tHOLIDAYS\tACCOUNTS\tSTATE", func(row func(...any)) {
					for _, id := range slices.Sorted(maps.Keys(published)) {
						b := published[id]
						state := "active"
						if b.Retired {
							state = "retired"
						}
						row(b.BrandID, b.Version, b.Name, b.TimeZone, b.Currency, len(b.Holidays), accounts(b), state)
					}
				})
			})
		},
	}
}

// accounts says on which nodes a brand has how many accounts.
func accounts(b event.Brand) string {
	counts := make(map[event.NodeName]int)
	var nodes []event.NodeName
	for _, a := range b.Accounts {
		if counts[a.Node]++; counts[a.Node] == 1 {
			nodes = append(nodes, a.Node)
		}
	}
	words := make([]string, len(nodes))
	for i, n := range nodes {
		words[i] = fmt.Sprintf("%s:%d", n, counts[n])
	}
	return strings.Join(words, " ")
}

// withBrands hands over the published brands, and the means to publish more; service is
// what the log calls the command.
func (e *environment) withBrands(ctx context.Context, service string, do func(publish func([]brands.Step) error, published map[string]event.Brand) error) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	t, err := e.tool(cfg, service)
	if err != nil {
		return err
	}
	registry, err := codec.NewClient(cfg.Registry)
	if err != nil {
		return err
	}
	defer registry.Close()
	published, err := brands.Read(ctx, cfg.Kafka, registry, t.Logger(), t.MeterProvider())
	if err != nil {
		return err
	}
	return do(func(steps []brands.Step) error {
		return brands.Publish(ctx, steps, cfg.Kafka, registry, t.Logger(), t.MeterProvider())
	}, published)
}
