package main

import (
	"context"
	"io"
	"log/slog"

	"flywheel/pkg/config"
	"flywheel/pkg/run"
	"flywheel/pkg/telemetry"
)

// environment is what the commands share: the streams, and the configuration,
// which nobody loads before a command asks for it.
type environment struct {
	environ        []string
	stdout, stderr io.Writer
	file           string        // --config
	flags          *config.Flags // --kafka.brokers and all the others
}

// load returns the effective configuration and where its values came from.
func (e *environment) load() (Config, config.Provenance, error) {
	cfg, from, err := config.Load(DefaultConfig(), config.Sources{File: e.file, Environ: e.environ, Flags: e.flags})
	if err != nil {
		return cfg, nil, usageError{err}
	}
	return cfg, from, nil
}

// config returns the effective configuration.
func (e *environment) config() (Config, error) {
	cfg, _, err := e.load()
	return cfg, err
}

// telemetry returns the telemetry of the service called name.
func (e *environment) telemetry(cfg Config, name string) (*telemetry.Telemetry, error) {
	return telemetry.New(cfg.Telemetry, telemetry.Service{Name: "flywheel-" + name, Version: version}, e.stderr)
}

// tool returns the telemetry of a command that ends by itself: it tells a
// failure by its error, and logs only what was asked for with log.level debug.
func (e *environment) tool(cfg Config, name string) (*telemetry.Telemetry, error) {
	if cfg.Telemetry.Log.Level > slog.LevelDebug {
		cfg.Telemetry.Log.Level = max(cfg.Telemetry.Log.Level, slog.LevelError)
	}
	return e.telemetry(cfg, name)
}

// serve runs the units that build returns, beside the telemetry they use, until
// ctx ends or the first of them does.
func (e *environment) serve(ctx context.Context, name string, build func(Config, *telemetry.Telemetry) ([]run.Unit, error)) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	t, err := e.telemetry(cfg, name)
	if err != nil {
		return err
	}
	units, err := build(cfg, t)
	if err != nil {
		return err
	}
	var g run.Group
	g.Add(run.Unit{Name: "telemetry", Run: t.Run, Ready: t.Ready()})
	g.Add(units...)
	return g.Run(ctx)
}
