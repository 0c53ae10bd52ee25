package apache

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"flywheel/loadtest/process"
	"flywheel/loadtest/smalldisk"
)

const (
	bootstrapFile = "bootstrap.checkpoint" // Kafka's name for what a new cluster begins with
	clusterFile   = "cluster"              // holds the id of the cluster in the folder

	startTimeout = 2 * time.Minute // far above what a start takes on a busy machine
	pollInterval = 50 * time.Millisecond
	nodesMax     = 5
)

// Kafka is a cluster of nodes that are broker and controller at once, numbered from 1. With three of
// them everything has three replicas, of which two must acknowledge. Its methods may be called by
// several goroutines.
type Kafka struct {
	installation Installation
	dir          string
	settings     map[string]string
	proxy        func(node int, listens string) (string, error)
	heap         string
	diskMiB      int
	cluster      string

	nodes []*node
	mu    sync.Mutex // for their processes
}

// node is one server and what it keeps from one run to the next.
type node struct {
	id         int
	dir        string
	port       int             // for clients
	controller int             // port
	behind     int             // port for clients that come through a proxy, 0 for none
	proxied    string          // address of that proxy
	disk       *smalldisk.Disk // of its data, nil without WithDisks
	process    *process.Process
}

// KafkaOption changes how a cluster is started.
type KafkaOption func(*Kafka)

// WithSettings adds lines to every node's server.properties; they win.
func WithSettings(settings map[string]string) KafkaOption {
	return func(k *Kafka) { maps.Copy(k.settings, settings) }
}

// WithHeap bounds the heap of every node, as Java's -Xmx has it: "1g". Without it that is 1 GB for
// one node and 512 MB for each of several.
func WithHeap(size string) KafkaOption { return func(k *Kafka) { k.heap = size } }

// WithDisks gives the data of every node a disk of its own of so many MiB, which Disk returns; they are
// gone when the cluster is closed.
func WithDisks(mib int) KafkaOption { return func(k *Kafka) { k.diskMiB = mib } }

// WithProxy gives every node a second address for clients, which leads through a proxy: the function
// is called with each node and the address where it will listen, before anything is started, and
// returns the address of a proxy to there. Whoever begins at one of Proxied is told only of proxies.
// When ports turn out to be taken, it is called again for all nodes.
func WithProxy(proxy func(node int, listens string) (string, error)) KafkaOption {
	return func(k *Kafka) { k.proxy = proxy }
}

// StartKafka starts a cluster of so many nodes with its data, settings and logs in the folder, and
// returns when all of them serve clients. A folder of an earlier cluster of as many nodes goes on
// with its data. On error nothing is left running.
func (i Installation) StartKafka(ctx context.Context, dir string, nodes int, options ...KafkaOption) (*Kafka, error) {
	if nodes < 1 || nodes > nodesMax {
		return nil, fmt.Errorf("start Kafka with %d nodes: give 1 to %d", nodes, nodesMax)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the folder of Kafka: %w", err)
	}
	k := &Kafka{installation: i, dir: dir, settings: make(map[string]string), heap: "1g"}
	if nodes > 1 {
		k.heap = "512m"
	}
	for _, option := range options {
		option(k)
	}
	for n := 1; n <= nodes; n++ {
		k.nodes = append(k.nodes, &node{id: n, dir: filepath.Join(dir, "node-"+strconv.Itoa(n))})
	}
	if err := k.format(ctx); err != nil {
		return nil, errors.Join(err, k.release())
	}
	for try := 1; ; try++ {
		taken, err := k.begin(ctx)
		if err == nil {
			return k, nil
		}
		if stop := k.kill(); !taken || try == startTries || stop != nil {
			return nil, errors.Join(err, stop, k.release())
		}
	}
}

// format prepares the folders of nodes that have none, as Kafka's kafka-storage does.
func (k *Kafka) format(ctx context.Context) error {
	file := filepath.Join(k.dir, clusterFile)
	id, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		id = []byte(newID())
		if err = os.MkdirAll(k.dir, 0o750); err == nil {
			err = os.WriteFile(file, id, 0o640)
		}
	}
	if err != nil {
		return fmt.Errorf("give the Kafka cluster in %q an id: %w", k.dir, err)
	}
	k.cluster = string(id)
	begin, err := os.ReadFile(filepath.Join(k.installation.dir, formatDir, bootstrapFile))
	if err != nil {
		return fmt.Errorf("read what a new cluster begins with: %w", err)
	}
	for _, n := range k.nodes {
		data := filepath.Join(n.dir, "data")
		err := os.MkdirAll(data, 0o750)
		if err == nil && k.diskMiB > 0 {
			if n.disk, err = smalldisk.Mount(ctx, data, k.diskMiB); err != nil {
				return err
			}
			data = n.disk.Path(".")
		}
		meta := filepath.Join(data, "meta.properties")
		if _, err := os.Stat(meta); err == nil {
			continue
		}
		text := fmt.Sprintf("version=1\ncluster.id=%s\nnode.id=%d\ndirectory.id=%s\n", k.cluster, n.id, newID())
		if err == nil {
			err = os.WriteFile(filepath.Join(data, bootstrapFile), begin, 0o640)
		}
		if err == nil {
			err = os.WriteFile(meta, []byte(text), 0o640)
		}
		if err != nil {
			return fmt.Errorf("prepare the data folder of Kafka's node %d: %w", n.id, err)
		}
	}
	return nil
}

// newID returns a random id in the form Kafka gives them.
func newID() string {
	for {
		id := make([]byte, 16)
		_, _ = rand.Read(id)                                                                 // never fails
		if text := base64.RawURLEncoding.EncodeToString(id); !strings.HasPrefix(text, "-") { // for command lines
			return text
		}
	}
}

// begin draws ports and starts all nodes. It reports whether a port was taken meanwhile.
func (k *Kafka) begin(ctx context.Context) (taken bool, err error) {
	const each = 3
	ports, err := process.FreePorts(each * len(k.nodes))
	if err != nil {
		return false, err
	}
	for i, n := range k.nodes {
		n.port, n.controller = ports[each*i], ports[each*i+1]
		if k.proxy == nil {
			continue
		}
		n.behind = ports[each*i+2]
		if n.proxied, err = k.proxy(n.id, process.Address(n.behind)); err != nil {
			return false, err
		}
	}
	for _, n := range k.nodes {
		if err := os.WriteFile(filepath.Join(n.dir, "server.properties"), k.properties(n), 0o640); err != nil {
			return false, fmt.Errorf("write the settings of Kafka's node %d: %w", n.id, err)
		}
	}
	err = k.start(ctx, k.nodes)
	if err != nil {
		taken = slices.ContainsFunc(k.nodes, func(n *node) bool {
			return portTaken(n.process)
		})
	}
	return taken, err
}

// A node that is silent for so long is taken to be gone. One that is back waits until its old
// session has ended: alone it need not be noticed earlier than that. With others, one that merely
// waits for a processor must not be, and whoever asks once a second and waits two for an answer
// must miss one meanwhile.
const (
	sessionAlone   = 2 * time.Second
	SessionTimeout = 4500 * time.Millisecond // of each of several
)

// properties are the settings of a node: small, and quick to notice what is gone.
func (k *Kafka) properties(n *node) []byte {
	voters := make([]string, len(k.nodes))
	for i, v := range k.nodes {
		voters[i] = fmt.Sprintf("%d@%s", v.id, process.Address(v.controller))
	}
	replicas := min(len(k.nodes), 3)
	insync := max(replicas-1, 1)
	listeners, advertised := "PLAINTEXT://"+process.Address(n.port)+",CONTROLLER://"+process.Address(n.controller), "PLAINTEXT://"+process.Address(n.port)
	if n.behind != 0 {
		listeners += ",PROXIED://" + process.Address(n.behind)
		advertised += ",PROXIED://" + n.proxied
	}
	session := sessionAlone
	if len(k.nodes) > 1 {
		session = SessionTimeout
	}
	all := map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        strconv.Itoa(n.id),
		"listeners":                      listeners,
		"advertised.listeners":           advertised,
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
		"controller.listener.names":      "CONTROLLER",
		"inter.broker.listener.name":     "PLAINTEXT",
		"controller.quorum.voters":       strings.Join(voters, ","),
		"log.dirs":                       filepath.Join(n.dir, "data"),

		"auto.create.topics.enable":                        "false",
		"default.replication.factor":                       strconv.Itoa(replicas),
		"min.insync.replicas":                              strconv.Itoa(insync),
		"offsets.topic.replication.factor":                 strconv.Itoa(replicas),
		"offsets.topic.num.partitions":                     "4",
		"transaction.state.log.replication.factor":         strconv.Itoa(replicas),
		"transaction.state.log.min.isr":                    strconv.Itoa(insync),
		"transaction.state.log.num.partitions":             "4",
		"share.coordinator.state.topic.replication.factor": strconv.Itoa(replicas),
		"share.coordinator.state.topic.min.isr":            strconv.Itoa(insync),

		// Two cores serve everything.
		"num.network.threads":            "2",
		"num.io.threads":                 "4",
		"background.threads":             "2",
		"log.cleaner.dedupe.buffer.size": strconv.Itoa(16 << 20),
		"log.cleaner.backoff.ms":         "1000",
		"remote.log.reader.threads":      "1",

		// A broker that is gone is noticed, and a transaction that nobody ends is ended, soon.
		"broker.session.timeout.ms":                                   strconv.FormatInt(session.Milliseconds(), 10),
		"broker.heartbeat.interval.ms":                                "300",
		"group.initial.rebalance.delay.ms":                            "0",
		"group.min.session.timeout.ms":                                "1000",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
	}
	maps.Copy(all, k.settings)
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&text, "%s=%s\n", key, all[key])
	}
	return []byte(text.String())
}

// start starts the nodes and waits until each serves clients and knows of the others.
func (k *Kafka) start(ctx context.Context, nodes []*node) error {
	if err := k.launch(nodes); err != nil {
		return err
	}
	deadline, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, n := range nodes {
		if err := k.wait(deadline, n, nodes); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("wait for Kafka's node %d: %w", n.id, ctx.Err())
			}
			return err
		}
	}
	return nil
}

// launch starts the nodes that do not run.
func (k *Kafka) launch(nodes []*node) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, n := range nodes {
		if n.process.Running() {
			continue
		}
		var err error
		n.process, err = k.installation.launch(fmt.Sprintf("Kafka's node %d", n.id), n.dir, n.disk, append(k.installation.virtualMachine(kafkaClasses, k.heap),
			"-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
			"-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS", "-Dorg.slf4j.simpleLogger.showThreadName=false",
			"-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn", // not every setting again
			"-cp", filepath.Join(kafkaDir, "*"), "kafka.Kafka", filepath.Join(n.dir, "server.properties"))...)
		if err != nil {
			return err
		}
	}
	return nil
}

// wait returns when the node tells clients of all the nodes.
func (k *Kafka) wait(ctx context.Context, n *node, nodes []*node) error {
	k.mu.Lock()
	p := n.process
	k.mu.Unlock()
	client, err := kgo.NewClient(kgo.SeedBrokers(process.Address(n.port)), kgo.DialTimeout(time.Second))
	if err != nil {
		return fmt.Errorf("ask Kafka's node %d: %w", n.id, err)
	}
	defer client.Close()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var last error
	for {
		select {
		case <-p.Ended():
			return p.Failure()
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve clients after %s (%w): %s", p.Name, startTimeout, cmp.Or(last, ctx.Err()), p.Tail())
		case <-tick.C:
		}
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{} // none, where nil means all
		resp, err := client.SeedBrokers()[0].Request(ctx, req)
		if err != nil {
			last = err
			continue
		}
		known := resp.(*kmsg.MetadataResponse).Brokers
		if !slices.ContainsFunc(nodes, func(other *node) bool {
			return !slices.ContainsFunc(known, func(b kmsg.MetadataResponseBroker) bool { return int(b.NodeID) == other.id })
		}) {
			return nil
		}
		last = fmt.Errorf("it knows %d brokers", len(known))
	}
}

// Brokers are the addresses of all nodes for clients, in order, whether they run or not.
func (k *Kafka) Brokers() []string {
	addresses := make([]string, len(k.nodes))
	for i, n := range k.nodes {
		addresses[i] = process.Address(n.port)
	}
	return addresses
}

// Proxied are the addresses of the proxies in front of all nodes, in order; nil without WithProxy.
func (k *Kafka) Proxied() []string {
	var addresses []string
	for _, n := range k.nodes {
		if n.proxied != "" {
			addresses = append(addresses, n.proxied)
		}
	}
	return addresses
}

// Nodes is how many nodes the cluster has, running or not.
func (k *Kafka) Nodes() int { return len(k.nodes) }

// ProcessID is the system's number of a node's process, 0 if it does not run.
func (k *Kafka) ProcessID(node int) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n, err := k.node(node)
	if err != nil || !n.process.Running() {
		return 0
	}
	return n.process.ID()
}

func (k *Kafka) node(id int) (*node, error) {
	if id < 1 || id > len(k.nodes) {
		return nil, fmt.Errorf("there is no Kafka node %d: name one of 1 to %d", id, len(k.nodes))
	}
	return k.nodes[id-1], nil
}

// Kill ends nodes at once, as kill -9 does, and returns when they are gone.
func (k *Kafka) Kill(nodes ...int) error {
	return k.each(nodes, func(n *node) error { return n.process.Kill() })
}

// Stop has nodes end in an orderly way: they hand over what they lead.
func (k *Kafka) Stop(nodes ...int) error {
	return k.each(nodes, func(n *node) error { return n.process.Stop(stopTimeout) })
}

// Start starts nodes that do not run, with the data they had, and returns when they serve clients.
// Nodes that need each other, two of three, must be started together.
func (k *Kafka) Start(ctx context.Context, nodes ...int) error {
	var some []*node
	for _, id := range nodes {
		n, err := k.node(id)
		if err != nil {
			return err
		}
		some = append(some, n)
	}
	return k.start(ctx, some)
}

// Pause stops nodes in the middle of whatever they do, until Resume.
func (k *Kafka) Pause(nodes ...int) error {
	return k.each(nodes, func(n *node) error { return n.process.Pause() })
}

// Resume has paused nodes go on.
func (k *Kafka) Resume(nodes ...int) error {
	return k.each(nodes, func(n *node) error { return n.process.Resume() })
}

func (k *Kafka) each(nodes []int, do func(*node) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range nodes {
		n, err := k.node(id)
		if err == nil {
			err = do(n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Leader returns the node that leads a partition.
func (k *Kafka) Leader(ctx context.Context, topic string, partition int32) (int, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Brokers()...), kgo.DialTimeout(time.Second))
	if err != nil {
		return 0, fmt.Errorf("ask for the leader of %s/%d: %w", topic, partition, err)
	}
	defer client.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return 0, fmt.Errorf("ask for the leader of %s/%d: %w", topic, partition, err)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.Partition == partition && p.Leader > 0 {
				return int(p.Leader), nil
			}
			if p.Partition == partition {
				return 0, fmt.Errorf("%s/%d has no leader: %w", topic, partition, cmp.Or(kerr.ErrorForCode(p.ErrorCode), error(kerr.LeaderNotAvailable)))
			}
		}
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return 0, fmt.Errorf("ask for the leader of %s/%d: %w", topic, partition, err)
		}
	}
	return 0, fmt.Errorf("topic %s has no partition %d", topic, partition)
}

// versionLine is what a node says of itself when it has started; the version follows. Its protocol
// tells only which requests it knows.
var versionLine = regexp.MustCompile(`Kafka version: (\S+)\s`)

// Version is that of all nodes, as each has told when it started. It is an error if they differ.
func (k *Kafka) Version(ctx context.Context) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var version string
	for _, n := range k.nodes {
		if n.process == nil {
			return "", fmt.Errorf("ask Kafka's node %d for its version: start it first", n.id)
		}
		said, err := n.process.Finds(ctx, versionLine, startTimeout)
		if err != nil {
			return "", fmt.Errorf("ask Kafka's node %d for its version: %w", n.id, err)
		}
		if version != "" && said != version {
			return "", fmt.Errorf("the nodes of Kafka have the versions %s and %s: start them from one installation", version, said)
		}
		version = said
	}
	return version, nil
}

// Check returns an error, with the end of its log, for every node that ended by itself.
func (k *Kafka) Check() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var err error
	for _, n := range k.nodes {
		err = errors.Join(err, n.process.Crashed())
	}
	return err
}

// Disk is that of a node's data, nil without WithDisks.
func (k *Kafka) Disk(node int) (*smalldisk.Disk, error) {
	n, err := k.node(node)
	if err != nil {
		return nil, err
	}
	return n.disk, nil
}

// Ended is closed once a node's process is gone.
func (k *Kafka) Ended(node int) (<-chan struct{}, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n, err := k.node(node)
	if err != nil {
		return nil, err
	}
	return n.process.Ended(), nil
}

// Close kills what it started and returns when that is gone. The data stay, as after a crash, but for
// those on WithDisks. Its error is that of Check.
func (k *Kafka) Close() error {
	return errors.Join(k.Check(), k.kill(), k.release())
}

// release lets go of the disks.
func (k *Kafka) release() error {
	var err error
	for _, n := range k.nodes {
		if n.disk != nil {
			err = errors.Join(err, n.disk.Close())
		}
	}
	return err
}

func (k *Kafka) kill() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var err error
	for _, n := range k.nodes {
		err = errors.Join(err, n.process.Kill())
	}
	return err
}
