package apache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// try runs what was fetched once: a record goes through a transaction, and a contract through the
// registry. What that leaves behind makes every later start quicker.
func (i Installation) try(ctx context.Context, work string) error {
	if err := i.format(ctx, work); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return i.tryKafka(ctx, filepath.Join(work, "kafka")) })
	group.Go(func() error { return i.tryRegistry(ctx, filepath.Join(work, "registry")) })
	return group.Wait()
}

// format keeps the metadata that a new cluster begins with, as Kafka's own tool writes them: the
// features at their newest levels.
func (i Installation) format(ctx context.Context, work string) error {
	data, settings := filepath.Join(work, "data"), filepath.Join(work, "server.properties")
	text := "process.roles=broker,controller\nnode.id=1\nlisteners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2\n" +
		"controller.listener.names=CONTROLLER\ncontroller.quorum.voters=1@127.0.0.1:2\nlog.dirs=" + data + "\n"
	if err := os.WriteFile(settings, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write settings to try the broker: %w", err)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, i.java, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", filepath.Join(i.dir, kafkaDir, "*"),
		"kafka.tools.StorageTool", "format", "-t", newID(), "-c", settings)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("format a folder for Kafka: %w", ctx.Err())
		}
		return fmt.Errorf("format a folder for Kafka: %w: %s", err, firstLines(out.String()))
	}
	begin, err := os.ReadFile(filepath.Join(data, bootstrapFile))
	if err == nil {
		err = os.MkdirAll(filepath.Join(i.dir, formatDir), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(i.dir, formatDir, bootstrapFile), begin, 0o644)
	}
	if err != nil {
		return fmt.Errorf("keep the metadata of a new cluster: %w", err)
	}
	return nil
}

const tryTimeout = 2 * time.Minute // far above what it takes on a busy machine

func (i Installation) tryKafka(ctx context.Context, dir string) error {
	k, err := i.StartKafka(ctx, dir, 1)
	if err != nil {
		return err
	}
	return errors.Join(passRecord(ctx, k.Brokers()), k.Stop(1), k.Close())
}

// passRecord sends a record through a transaction and a group.
func passRecord(ctx context.Context, brokers []string) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	const topic = "trial"
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(brokers...), kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic),
		kgo.ConsumerGroup(topic), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return fmt.Errorf("connect to the broker on trial: %w", err)
	}
	defer session.Close()
	if _, err := kadm.NewClient(session.Client()).CreateTopic(ctx, 1, 1, nil, topic); err != nil {
		return fmt.Errorf("create a topic on trial: %w", err)
	}
	for range 2 { // the second transaction holds the offset of the first one's record
		if err := session.Begin(); err != nil {
			return fmt.Errorf("begin a transaction on trial: %w", err)
		}
		if err := session.ProduceSync(ctx, kgo.StringRecord(topic)).FirstErr(); err != nil {
			return fmt.Errorf("send a record on trial: %w", err)
		}
		if _, err := session.End(ctx, kgo.TryCommit); err != nil {
			return fmt.Errorf("commit a transaction on trial: %w", err)
		}
		if err := session.PollFetches(ctx).Err(); err != nil {
			return fmt.Errorf("read a record on trial: %w", err)
		}
	}
	return nil
}

func (i Installation) tryRegistry(ctx context.Context, dir string) error {
	r, err := i.StartRegistry(ctx, dir)
	if err != nil {
		return err
	}
	return errors.Join(r.passContract(ctx), r.process.Stop(stopTimeout), r.Close())
}

// passContract registers a schema.
func (r *Registry) passContract(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL()+"/subjects/trial/versions", strings.NewReader(`{"schema":"\"string\""}`))
	if err != nil {
		return fmt.Errorf("register a schema on trial: %w", err)
	}
	req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	resp, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("register a schema on trial: %w", err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("register a schema on trial: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("register a schema on trial: the registry answers with status %d: %s", resp.StatusCode, said)
	}
	return nil
}
