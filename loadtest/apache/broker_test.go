//go:build integration

package apache_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/loadtest/apache"
	"flywheel/loadtest/smalldisk"
)

// The test binary starts itself with one of these set to a folder, to be killed: as the owner of an
// Apache Kafka, or as an embedded broker with its data on disk.
const (
	ownerEnv = "FLYWHEEL_TEST_KAFKA_OWNER"
	kfakeEnv = "FLYWHEEL_TEST_KFAKE"
)

func TestMain(m *testing.M) {
	switch owner, fake := os.Getenv(ownerEnv), os.Getenv(kfakeEnv); {
	case owner != "":
		runOwner(owner)
	case fake != "":
		runFake(fake)
	}
	os.Exit(m.Run())
}

// runOwner starts a broker, says the number of its process and waits for its death.
func runOwner(dir string) {
	i, err := apache.Install(context.Background(), "", os.Stderr)
	if err != nil {
		panic(err)
	}
	k, err := i.StartKafka(context.Background(), dir, 1)
	if err != nil {
		panic(err)
	}
	fmt.Println(k.ProcessID(1))
	select {}
}

// runFake serves a broker, says its address and waits for its death.
func runFake(dir string) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir))
	if err != nil {
		panic(err)
	}
	fmt.Println(cluster.ListenAddrs()[0])
	select {}
}

// child starts the test binary with the variable, and returns the first line that it says.
func child(t *testing.T, env, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), env+"="+dir), t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var line string
	if _, err := fmt.Fscanln(out, &line); err != nil {
		t.Fatalf("the child process says nothing: %v", err)
	}
	return cmd, line
}

// installed returns the servers, installed once.
var installed = sync.OnceValues(func() (apache.Installation, error) {
	return apache.Install(context.Background(), "", os.Stderr)
})

// kafka starts a cluster that ends with the test.
func kafka(t *testing.T, nodes int, options ...apache.KafkaOption) *apache.Kafka {
	t.Helper()
	i, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	k, err := i.StartKafka(t.Context(), t.TempDir(), nodes, options...)
	if errors.Is(err, smalldisk.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// connect returns a client that ends with the test.
func connect(t *testing.T, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// create makes a topic of one partition.
func create(t *testing.T, client *kgo.Client, topic string, replicas int16, configs map[string]string) {
	t.Helper()
	settings := make(map[string]*string)
	for k, v := range configs {
		settings[k] = &v
	}
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, replicas, settings, topic); err != nil {
		t.Fatal(err)
	}
}

// values reads what a topic of one partition shows up to its end, as far as that is decided.
func values(t *testing.T, brokers []string, topic string, isolation kgo.IsolationLevel) []string {
	t.Helper()
	client := connect(t, brokers, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(isolation), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))
	list := kadm.NewClient(client).ListEndOffsets
	if isolation == kgo.ReadCommitted() {
		list = kadm.NewClient(client).ListCommittedOffsets
	}
	ends, err := list(t.Context(), topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	var got []string
	for next := int64(0); next < end.Offset; {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if next = r.Offset + 1; !r.Attrs.IsControl() {
				got = append(got, string(r.Value))
			}
		})
	}
	return got
}

// eventually waits for a condition that nothing announces.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come about that %s", what)
		}
	}
}

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func TestClosingLeavesNoProcess(t *testing.T) {
	i, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	k, err := i.StartKafka(t.Context(), t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	r, err := i.StartRegistry(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(errors.Join(err, k.Close()))
	}
	pids := []int{k.ProcessID(1), r.ProcessID()}
	if err := errors.Join(k.Close(), r.Close()); err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		if pid == 0 || !gone(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
}

func TestABrokerDiesWithItsOwner(t *testing.T) {
	if _, err := installed(); err != nil {
		t.Fatal(err)
	}
	owner, said := child(t, ownerEnv, t.TempDir())
	pid, err := strconv.Atoi(said)
	if err != nil || gone(pid) {
		t.Fatalf("no broker runs as process %q: %v", said, err)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broker is gone", func() bool { return gone(pid) })
}

func TestABrokerThatDoesNotStartShowsWhy(t *testing.T) {
	i, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, err = i.StartKafka(t.Context(), dir, 1, apache.WithSettings(map[string]string{"num.io.threads": "none"}))
	if err == nil || !strings.Contains(err.Error(), "num.io.threads") || !strings.Contains(err.Error(), filepath.Join(dir, "node-1", "log")) {
		t.Errorf("got %v, want the end of the log", err)
	}
}

// What a proof names is what was asked of the servers, and here it is what was installed.
func TestTheServersSayWhatTheyAre(t *testing.T) {
	k := kafka(t, 1)
	if version, err := k.Version(t.Context()); err != nil || version != apache.KafkaVersion {
		t.Errorf("Kafka says %q (%v), want %s", version, err, apache.KafkaVersion)
	}
	r, _ := registry(t)
	if about, err := r.About(t.Context()); err != nil || !strings.HasPrefix(about, "Apicurio") || !strings.HasSuffix(about, " "+apache.RegistryVersion) {
		t.Errorf("the registry says %q (%v), want Apicurio %s", about, err, apache.RegistryVersion)
	}
}

func TestThreeNodesSurviveTheLossOfALeader(t *testing.T) {
	k := kafka(t, 3)
	client := connect(t, k.Brokers(), kgo.DefaultProduceTopic("t"))
	create(t, client, "t", 3, nil)
	const each = 20
	var want []string
	send := func() {
		for range each {
			value := strconv.Itoa(len(want))
			want = append(want, value)
			if err := client.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	send()
	was, err := k.Leader(t.Context(), "t", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Kill(was); err != nil {
		t.Fatal(err)
	}
	send() // waits for another leader
	is, err := k.Leader(t.Context(), "t", 0)
	if err != nil || is == was {
		t.Fatalf("the leader is %d and was %d: %v", is, was, err)
	}
	if err := k.Start(t.Context(), was); err != nil {
		t.Fatal(err)
	}
	send()
	if got := values(t, k.Brokers(), "t", kgo.ReadCommitted()); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %d records, want %d in order: %v", len(got), len(want), got)
	}
}
