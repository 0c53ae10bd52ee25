package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"flywheel/pkg/codec"
	"flywheel/pkg/progress"
	"flywheel/pkg/run"
	"flywheel/pkg/series"
	"flywheel/services/simulator"
)

func newSimulate(env *environment) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Play all five nodes of a number of brands with planted truth into Kafka",
		Long: "Play all five nodes of a number of brands with planted truth into Kafka: first the past at a\n" +
			"set rate, then live in accelerated event time that ends at the present. Records come by\n" +
			"schedule, whether or not anybody keeps up; some are late, sent twice, corrected or poisonous.\n" +
			"The ledger says what was sent and what has to come of each record, and what was planted. The\n" +
			"topics and contracts must be there ('flywheel topics apply'). Ctrl-C ends the play early, with\n" +
			"an exact ledger. Every flag stands for the key simulator.* of the configuration.",
		Args: noArguments(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return env.simulate(cmd.Context(), file) },
	}
	playFlags(cmd, "brands", "rate", "speed", "backfill", "for", "seed")
	cmd.Flags().StringVar(&file, "ledger", "", "write the ledger to this file, as JSON")
	return cmd
}

// playFlags adds short names of keys of the simulator's configuration.
func playFlags(cmd *cobra.Command, names ...string) {
	like := simulator.DefaultConfig()
	for _, a := range [...]struct {
		name, value, usage string
		like               any
	}{
		{"brands", "N", "number of brands", like.Brands},
		{"rate", "R", "records per second while backfilling", like.Rate},
		{"speed", "S", "seconds of event time in a second of live play", like.Speed},
		{"backfill", "D", "event time played before live play begins", series.Short(like.Backfill)},
		{"for", "D", "how long live play lasts, in real time", series.Short(like.For)},
		{"seed", "K", "seed of the play", like.Seed},
	} {
		if slices.Contains(names, a.name) {
			cmd.Flags().Var(&alias{cmd: cmd, name: a.name, key: "simulator." + a.name, value: a.value}, a.name, fmt.Sprintf("%s (default %v)", a.usage, a.like))
		}
	}
}

// alias is a short name of a key of the configuration.
type alias struct {
	cmd              *cobra.Command
	name, key, value string
}

func (a *alias) Set(text string) error {
	if err := a.cmd.Root().PersistentFlags().Set(a.key, text); err != nil {
		return fmt.Errorf("--%s: %w", a.key, err)
	}
	return nil
}
func (a *alias) String() string { return "" }
func (a *alias) Type() string   { return a.value }

// simulate plays once and writes the ledger, also of a play that was cut short.
func (e *environment) simulate(ctx context.Context, file string) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	t, err := e.tool(cfg, "simulate")
	if err != nil {
		return err
	}
	registry, err := codec.NewClient(cfg.Registry)
	if err != nil {
		return usageError{err}
	}
	defer registry.Close()
	var ledger *output
	if file != "" {
		if ledger, err = newOutput("--ledger", "the ledger", file); err != nil {
			return err
		}
		defer ledger.discard()
	}
	sim, err := simulator.New(cfg.Simulator, cfg.Kafka, registry, t.Logger(), t.MeterProvider(), t.TracerProvider())
	if err != nil {
		return usageError{err}
	}

	var g run.Group
	g.Add(
		run.Unit{Name: "progress", Run: func(ctx context.Context) error { return showProgress(ctx, e.stderr, sim) }},
		run.Unit{Name: "simulator", Run: func(ctx context.Context) error {
			if err := sim.Run(ctx); err != nil || ctx.Err() != nil {
				return err
			}
			return run.ErrDone
		}},
	)
	played := g.Run(ctx)
	detail := sim.Ledger().Detail()
	if detail.Sent == 0 && played != nil {
		return played
	}
	e.printLedger(detail)
	if ledger == nil {
		return played
	}
	if err := ledger.deliverJSON(detail); err != nil {
		return errors.Join(played, err)
	}
	fmt.Fprintf(e.stdout, "\nThe ledger is in %s.\n", file)
	return played
}

// printLedger sums a play up.
func (e *environment) printLedger(d simulator.Detail) {
	say := func(name string, n int64, what string) { fmt.Fprintf(e.stdout, "%-11s%10d  %s\n", name, n, what) }
	fmt.Fprintf(e.stdout, "Played %d brands from %s to %s of event time.\n\n", len(d.Brands), d.Start.Format(time.RFC3339), d.EventTime.Format(time.RFC3339))
	say("sent", d.Sent, "records acknowledged by Kafka, and so many of them")
	say("valid", d.Valid, fmt.Sprintf("to be taken, %d of them superseded by something newer", d.Superseded))
	say("late", d.Late, "more than 72 h behind their source")
	say("duplicate", d.Duplicate, "sent before")
	say("poison", d.Poison, "wrong in themselves")
	say("spikes", int64(len(d.Spikes)), "planted: viral posts whose response has begun")
}

// showProgress shows how far the play is until ctx ends.
func showProgress(ctx context.Context, w io.Writer, sim *simulator.Simulator) error {
	const redraw, patience = 200 * time.Millisecond, 5 * time.Second
	meter := progress.New(w, "hours of event time", int64(time.Hour))
	defer meter.End()
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	backfilled, warned := false, false
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-tick.C:
		}
		p := sim.Progress()
		if !backfilled && p.Sent > 0 {
			meter.Set("backfill", int64(p.EventTime.Sub(p.Start)), int64(p.Live.Sub(p.Start)))
		}
		if backfilled = !p.EventTime.Before(p.Live); backfilled && p.End.After(p.Live) {
			meter.Set("live", int64(p.EventTime.Sub(p.Live)), int64(p.End.Sub(p.Live)))
		}
		if p.Behind > patience && !warned {
			warned = true
			meter.Say(fmt.Sprintf("sending is %s behind its schedule, at %.0f/s: Kafka or this machine cannot keep up with simulator.rate", p.Behind.Round(time.Second), p.PerSecond))
		}
	}
	return nil
}
