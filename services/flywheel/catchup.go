package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"flywheel/pkg/run"
)

// catchUp are the flags of a service that can end by itself.
type catchUp struct {
	on   bool
	file string
}

func (c *catchUp) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.on, "until-caught-up", false, "end once everything is done that Kafka holds at the start")
	cmd.Flags().StringVar(&c.file, "report", "", "with --until-caught-up, write what was done and what it cost since the process began, restoring included, to this file, as JSON")
}

// unit returns the service's unit as it is, or one that ends when it has caught
// up and writes the report. The report's file is made sure of at once.
func (c *catchUp) unit(u run.Unit, catchUp func(context.Context) (any, error)) (run.Unit, error) {
	switch {
	case !c.on && c.file != "":
		return u, usageError{errors.New("--report: only a service that ends by itself reports: add --until-caught-up")}
	case !c.on:
		return u, nil
	}
	if c.file != "" {
		probe, err := c.output()
		if err != nil {
			return u, err
		}
		probe.discard() // nothing is left behind by a process that is killed meanwhile
	}
	u.Run = func(ctx context.Context) error {
		report, err := catchUp(ctx)
		if err == nil && c.file != "" {
			err = c.write(report)
		}
		if err != nil {
			return err
		}
		return run.ErrDone
	}
	return u, nil
}

func (c *catchUp) output() (*output, error) { return newOutput("--report", "the report", c.file) }

// write writes the report.
func (c *catchUp) write(report any) error {
	out, err := c.output()
	if err != nil {
		return err
	}
	defer out.discard()
	return out.deliverJSON(report)
}
