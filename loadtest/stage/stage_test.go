package stage

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/loadtest/smalldisk"
	"flywheel/pkg/event"
)

// What a full disk means to the engines is shown in package smalldisk. Here it is
// the disks that those of a stage write to.
func TestTheEnginesWriteToTheirSmallDisks(t *testing.T) {
	binary, err := Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{Binary: binary, Dir: t.TempDir(), Broker: Embedded, Nodes: 1, Partitions: 1, Disks: true, Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	warehouse, err := s.ClickHouseDisk()
	if errors.Is(err, smalldisk.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	log, err := s.BrokerDisk()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Targets.Kafka.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	insert := func() error {
		return s.Conn.Exec(t.Context(), "INSERT INTO dead_letter (topic, partition, offset) SETTINGS async_insert = 0 VALUES ('t', 0, 0)")
	}
	produce := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return client.ProduceSync(ctx, &kgo.Record{Topic: event.TopicAmazon, Value: []byte("x")}).FirstErr()
	}

	for _, d := range []*smalldisk.Disk{warehouse, log} {
		if err := d.Fill(5 << 20); err != nil {
			t.Fatal(err)
		}
	}
	if insert() == nil {
		t.Error("ClickHouse takes a row on a full disk")
	}
	if produce() == nil {
		t.Error("the embedded Kafka takes a record on a full disk")
	}
	for _, d := range []*smalldisk.Disk{warehouse, log} {
		if err := d.Relieve(); err != nil {
			t.Fatal(err)
		}
	}
	for _, try := range []func() error{insert, produce} {
		for try() != nil {
			if t.Context().Err() != nil {
				t.Fatal("relieved, an engine takes nothing")
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	for _, name := range []string{clickhouseName, brokerName} {
		if files, err := os.ReadDir(s.cfg.Dir + "/" + name); err != nil || len(files) > 0 {
			t.Errorf("the folder below the disk of the %s holds %v (%v)", name, files, err)
		}
	}
}
