package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"flywheel/loadtest/process"
	"flywheel/services/processor"
	"flywheel/services/sink"
)

// drain lets a service end by itself, and reads its report.
func drain[Report any](ctx context.Context, e *engines, name string, args ...string) (r Report, brokerCPU float64, err error) {
	file := filepath.Join(e.dir, name+".json")
	before := process.CPUSeconds(e.brokerPID())
	p, err := e.service(name, append(args, "--until-caught-up", "--report="+file)...)
	if err == nil {
		err = p.Wait(ctx)
	}
	if err != nil {
		return r, 0, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return r, 0, fmt.Errorf("read the report of the %s: %w", name, err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, 0, fmt.Errorf("read the report of the %s: %w", name, err)
	}
	return r, process.CPUSeconds(e.brokerPID()) - before, nil
}

func (e *engines) drainProcessor(ctx context.Context, args ...string) (processor.Report, float64, error) {
	return drain[processor.Report](ctx, e, "processor", args...)
}

func (e *engines) drainSink(ctx context.Context, args ...string) (sink.Report, float64, error) {
	return drain[sink.Report](ctx, e, "sink", args...)
}
