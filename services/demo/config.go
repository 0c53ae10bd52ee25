package demo

import (
	"fmt"
	"time"

	"flywheel/pkg/embedded"
	"flywheel/pkg/setup"
	"flywheel/services/demo/oracle"
	"flywheel/services/processor"
	"flywheel/services/simulator"
	"flywheel/services/sink"
)

// Config of the demo itself.
type Config struct {
	DrainTimeout time.Duration `yaml:"drain_timeout" doc:"Time the pipeline has after the last record to finish; then the demo fails."`
}

// DefaultConfig leaves a slow machine time enough.
func DefaultConfig() Config { return Config{DrainTimeout: 3 * time.Minute} }

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	if c.DrainTimeout < oracle.Settle || c.DrainTimeout > time.Hour {
		return fmt.Errorf("drain_timeout: %s is not between %s and 1h", c.DrainTimeout, oracle.Settle)
	}
	return nil
}

// Parts is what the demo runs, each configured as in production. Targets says
// what the engines do not: the number of partitions, for instance.
type Parts struct {
	Embedded  embedded.Config
	Targets   setup.Targets
	Processor processor.Config
	Sink      sink.Config
	Simulator simulator.Config
}
