package processor

import (
	"errors"
	"fmt"
	"time"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/prior"
	"flywheel/pkg/topology"
)

// Config of the processor.
type Config struct {
	Group              string          `yaml:"group" doc:"Consumer group; processors of one group share the partitions."`
	InstanceID         string          `yaml:"instance_id" doc:"Name of this processor within the group, the same after a restart and different from every other; empty takes the host's name."`
	CommitInterval     time.Duration   `yaml:"commit_interval" doc:"Time between two commits; what is computed becomes visible with them. While catching up it may be thirty times that."`
	CommitRecords      int             `yaml:"commit_records" doc:"Records after which a commit comes early; a processor that is further behind than that catches up, with eight times as many."`
	TransactionTimeout time.Duration   `yaml:"transaction_timeout" doc:"The broker aborts a transaction that is open for longer."`
	SessionTimeout     time.Duration   `yaml:"session_timeout" doc:"A processor that is silent for longer loses its partitions to the others."`
	RebalanceTimeout   time.Duration   `yaml:"rebalance_timeout" doc:"Longest time a processor may take to hand over its partitions."`
	RefreshCPUShare    float64         `yaml:"refresh_cpu_share" doc:"Part of the time that refreshing results may take, above 0 to 1, so that reading events never starves; of a backlog a sixth of that, of the time that applying events takes, until a twentieth of commit_records is left of it."`
	QueueRecords       int             `yaml:"queue_records" doc:"Records of one topic's partition that wait for older ones of other topics, beyond which no more of it is read; those of one poll come on top."`
	Workers            int             `yaml:"workers" doc:"Partitions worked on at the same time; 0 takes the number of processors."`
	KernelPrior        string          `yaml:"kernel_prior" doc:"File that 'flywheel learn' has written: delays and half-lives that brands discovered before have shown, so that others are found sooner. The same at every processor of the group; empty expects none more than another."`
	Topology           topology.Config `yaml:"topology" doc:"The statistics and their bounds."`
}

// DefaultConfig commits ten times a second.
func DefaultConfig() Config {
	return Config{
		Group:              "flywheel-processor",
		CommitInterval:     100 * time.Millisecond,
		CommitRecords:      200_000,
		TransactionTimeout: 15 * time.Second,
		SessionTimeout:     15 * time.Second,
		RebalanceTimeout:   30 * time.Second,
		RefreshCPUShare:    0.5,
		QueueRecords:       5_000,
		Topology:           topology.DefaultConfig(),
	}
}

// Bounds of the configuration.
const (
	commitRecordsMax = 1_000_000
	queueRecordsMax  = 1_000_000
	workersMax       = 1024
)

// Prior returns what the file kernel_prior says, by number of the force; nil without one.
func (c Config) Prior() (map[int]*correlate.Pool, error) {
	if c.KernelPrior == "" {
		return nil, nil
	}
	pools, err := prior.Load(c.KernelPrior)
	if err != nil {
		return nil, fmt.Errorf("processor.kernel_prior: %w", err)
	}
	return pools, nil
}

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
	if c.CommitInterval < time.Millisecond || c.CommitInterval > c.TransactionTimeout/2 {
		fail("commit_interval: %s is not between 1ms and half of transaction_timeout, %s", c.CommitInterval, c.TransactionTimeout/2)
	}
	if c.CommitRecords < 1 || c.CommitRecords > commitRecordsMax {
		fail("commit_records: %d is not between 1 and %d", c.CommitRecords, commitRecordsMax)
	}
	if c.TransactionTimeout < time.Second || c.TransactionTimeout > 15*time.Minute {
		fail("transaction_timeout: %s is not between 1s and 15m", c.TransactionTimeout)
	}
	if c.SessionTimeout < time.Second || c.SessionTimeout > 30*time.Minute {
		fail("session_timeout: %s is not between 1s and 30m", c.SessionTimeout)
	}
	if c.RebalanceTimeout < time.Second || c.RebalanceTimeout > 30*time.Minute {
		fail("rebalance_timeout: %s is not between 1s and 30m", c.RebalanceTimeout)
	}
	if !(c.RefreshCPUShare > 0 && c.RefreshCPUShare <= 1) {
		fail("refresh_cpu_share: %v is not above 0 and at most 1", c.RefreshCPUShare)
	}
	if c.QueueRecords < 1 || c.QueueRecords > queueRecordsMax {
		fail("queue_records: %d is not between 1 and %d", c.QueueRecords, queueRecordsMax)
	}
	if c.Workers < 0 || c.Workers > workersMax {
		fail("workers: %d is not between 0 and %d", c.Workers, workersMax)
	}
	return errors.Join(errs...)
}
