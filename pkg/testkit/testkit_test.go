package testkit_test

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"flywheel/pkg/testkit"
)

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	ctx := context.Background()
	for range 2 {
		conn, _ := testkit.ClickHouse(t)
		if err := conn.Exec(ctx, "CREATE TABLE same (x UInt8) ENGINE = MergeTree ORDER BY x"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKafkaTakesAndGivesRecords(t *testing.T) {
	cluster := testkit.Kafka(t)
	if err := cluster.CreateTopic("t", 1, nil); err != nil {
		t.Fatal(err)
	}
	client := testkit.KafkaClient(t, cluster, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("hello")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	fetches := client.PollFetches(t.Context())
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	if got := string(fetches.Records()[0].Value); got != "hello" {
		t.Errorf("got %q", got)
	}
}

func TestRegistriesAreSeparate(t *testing.T) {
	for range 2 {
		client, err := sr.NewClient(sr.URLs(testkit.Registry(t)))
		if err != nil {
			t.Fatal(err)
		}
		subjects, err := client.Subjects(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(subjects) != 0 {
			t.Errorf("a new registry holds %v", subjects)
		}
		if _, err := client.CreateSchema(t.Context(), "s", sr.Schema{Schema: `"string"`}); err != nil {
			t.Fatal(err)
		}
	}
}
