package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"flywheel/pkg/run"

	"github.com/spf13/cobra"
)

// catchUp are the flags of a service that can end by itself.
type catchUp struct {
	on   bool
	file string
}

func (c *catchUp) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.on, "until-caught-up", false, "end once everything is done that Kafka holds at the start")
	cmd.Flags().StringVar(&c.file, "report", "", "with --until-caught-up, write what was done and what it cost to this file, as JSON")
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
		if err := c.writable(); err != nil {
			return u, err
		}
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

// writable makes sure, before the work, that the report can be written.
func (c *catchUp) writable() error {
	temp, err := c.temp()
	if err != nil {
		return usageError{fmt.Errorf("--report: cannot write to the folder of %q: %w: name a file in a folder that exists and that you may write", c.file, err)}
	}
	return errors.Join(temp.Close(), os.Remove(temp.Name()))
}

func (c *catchUp) temp() (*os.File, error) {
	return os.CreateTemp(filepath.Dir(c.file), ".report-*") //nolint:wrapcheck // its callers say what was attempted
}

// write writes the report, whole or not at all.
func (c *catchUp) write(report any) error {
	temp, err := c.temp()
	if err == nil {
		enc := json.NewEncoder(temp)
		enc.SetIndent("", "  ")
		err = errors.Join(enc.Encode(report), temp.Chmod(0o644), temp.Close())
		if err == nil {
			err = os.Rename(temp.Name(), c.file)
		}
		if err != nil {
			os.Remove(temp.Name()) //nolint:errcheck // what failed is told
		}
	}
	if err != nil {
		return fmt.Errorf("write the report to %q: %w", c.file, err)
	}
	return nil
}
