package sink

import (
	"errors"
	"fmt"
	"time"

	"flywheel/pkg/event"
)

// Config of the sink.
type Config struct {
	Group            string        `yaml:"group" doc:"Consumer group; sinks of one group share the partitions."`
	InstanceID       string        `yaml:"instance_id" doc:"Name of this sink within the group, the same after a restart and different from every other; empty takes the host's name. Its partitions wait for it to come back, for session_timeout."`
	FlushRows        int           `yaml:"flush_rows" doc:"Rows after which they are written to ClickHouse."`
	FlushBytes       int           `yaml:"flush_bytes" doc:"Bytes of records after which they are written, whatever the number of rows; it bounds the memory."`
	FlushInterval    time.Duration `yaml:"flush_interval" doc:"Longest time a row waits to be written."`
	RetryPause       time.Duration `yaml:"retry_pause" doc:"Longest pause before writing is tried again; the first is 100ms, and each doubles."`
	StartTimeout     time.Duration `yaml:"start_timeout" doc:"Give up at start when ClickHouse has not answered for this long; 0 waits for it, not ready meanwhile."`
	DrainTimeout     time.Duration `yaml:"drain_timeout" doc:"Time the last rows have to be written when the sink is stopped; what is not written then is read again after the start."`
	SessionTimeout   time.Duration `yaml:"session_timeout" doc:"A sink that is silent for longer loses its partitions to the others."`
	RebalanceTimeout time.Duration `yaml:"rebalance_timeout" doc:"Longest time a sink may take to hand over its partitions."`
}

// DefaultConfig writes once a second.
func DefaultConfig() Config {
	return Config{
		Group:            "flywheel-sink",
		FlushRows:        50_000,
		FlushBytes:       64 << 20,
		FlushInterval:    time.Second,
		RetryPause:       10 * time.Second,
		DrainTimeout:     10 * time.Second,
		SessionTimeout:   10 * time.Second,
		RebalanceTimeout: 30 * time.Second,
	}
}

// Bounds of the configuration. ClickHouse writes a batch of up to about a
// million rows and 256 MB as one.
const (
	flushRowsMax  = 500_000
	flushBytesMin = 1 << 20
	flushBytesMax = 200 << 20
)

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Group == "" || len(c.Group) > event.TextBytesMax {
		fail("group: is %d bytes long, want 1 to %d", len(c.Group), event.TextBytesMax)
	}
	if len(c.InstanceID) > event.TextBytesMax {
		fail("instance_id: is %d bytes long, want at most %d", len(c.InstanceID), event.TextBytesMax)
	}
	if c.FlushRows < 1 || c.FlushRows > flushRowsMax {
		fail("flush_rows: %d is not between 1 and %d", c.FlushRows, flushRowsMax)
	}
	if c.FlushBytes < flushBytesMin || c.FlushBytes > flushBytesMax {
		fail("flush_bytes: %d is not between %d and %d", c.FlushBytes, flushBytesMin, flushBytesMax)
	}
	between := func(name string, d, least, most time.Duration) {
		if d < least || d > most {
			fail("%s: %s is not between %s and %s", name, d, least, most)
		}
	}
	between("flush_interval", c.FlushInterval, time.Millisecond, time.Minute)
	between("retry_pause", c.RetryPause, retryPauseMin, 10*time.Minute)
	between("start_timeout", c.StartTimeout, 0, 24*time.Hour)
	between("drain_timeout", c.DrainTimeout, time.Millisecond, time.Hour)
	between("session_timeout", c.SessionTimeout, time.Second, 30*time.Minute)
	between("rebalance_timeout", c.RebalanceTimeout, time.Second, 30*time.Minute)
	return errors.Join(errs...)
}
