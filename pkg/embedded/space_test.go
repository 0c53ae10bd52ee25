package embedded

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// On a disk that is nearly full, records wait and transactions end all the same; when there is space
// again everything goes on, and the stop is a clean one.
func TestKafkaTakesNoRecordsOnADiskThatIsNearlyFull(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kafka")
	b, client := startOn(t, dir)
	if b.wiped {
		t.Fatal("new data were discarded")
	}
	_, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, "t")
	noError(t, err)
	producer, err := kgo.NewClient(kgo.SeedBrokers(b.addr()), kgo.TransactionalID("tx"), kgo.DefaultProduceTopic("t"))
	noError(t, err)
	defer producer.Close()
	noError(t, producer.BeginTransaction())
	noError(t, producer.ProduceSync(t.Context(), kgo.StringRecord("before")).FirstErr())

	var free atomic.Int64
	free.Store(shortBytes - 1)
	b.space.mu.Lock()
	b.space.free, b.space.next = func(string) (int64, error) { return free.Load(), nil }, time.Time{}
	b.space.mu.Unlock()
	noError(t, producer.EndTransaction(t.Context(), kgo.TryCommit))
	if _, err := os.Stat(b.reserve); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the reserve was not given back: %v", err)
	}
	refused := make(chan struct{})
	var once atomic.Bool
	waiting, err := kgo.NewClient(kgo.SeedBrokers(b.addr()), kgo.DefaultProduceTopic("t"),
		kgo.RetryBackoffFn(func(int) time.Duration { return 0 }), kgo.MetadataMinAge(10*time.Millisecond), kgo.WithHooks(onRetry(func() {
			if once.CompareAndSwap(false, true) {
				close(refused)
			}
		})))
	noError(t, err)
	defer waiting.Close()
	sent := make(chan error, 1)
	go func() { sent <- waiting.ProduceSync(context.Background(), kgo.StringRecord("after")).FirstErr() }()
	<-refused
	select {
	case err := <-sent:
		t.Fatalf("the record did not wait: %v", err)
	default:
	}

	free.Store(plentyBytes)
	noError(t, <-sent)
	if _, err := os.Stat(b.reserve); err != nil {
		t.Errorf("the reserve was not taken again: %v", err)
	}
	producer.Close()
	waiting.Close()
	client.Close()
	noError(t, b.close())

	b, client = startOn(t, dir)
	if b.wiped {
		t.Error("the stop was not clean")
	}
	ends, err := kadm.NewClient(client).ListCommittedOffsets(t.Context(), "t")
	noError(t, err)
	if end, ok := ends.Lookup("t", 0); !ok || end.Offset != 3 { // two records and a marker
		t.Errorf("the topic ends at %+v", end)
	}
	client.Close()
	noError(t, b.close())
}

func startOn(t *testing.T, dir string) (*broker, *kgo.Client) {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	noError(t, err)
	b, err := startBroker(dir, listener, slog.New(slog.DiscardHandler))
	noError(t, err)
	client, err := kgo.NewClient(kgo.SeedBrokers(b.addr()))
	noError(t, err)
	return b, client
}

// onRetry is called for each answer to a produce request.
type onRetry func()

func (f onRetry) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, _ kgo.BrokerE2E) {
	if key == 0 {
		f()
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
