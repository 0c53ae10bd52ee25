// Package schemas holds the contracts of the pipeline as data: the Avro
// records, the ClickHouse migrations and the topics. It imports nothing of
// ours.
package schemas

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

//go:embed avro/*/*.avsc
var avroFiles embed.FS

//go:embed clickhouse/*.sql
var clickhouseFiles embed.FS

//go:embed topics.yaml
var topicsFile []byte

// Topic is one Kafka topic.
type Topic struct {
	Name           string   `yaml:"name"`
	Doc            string   `yaml:"doc"`
	Key            string   `yaml:"key"`
	Copartitioned  bool     `yaml:"copartitioned"`
	Cleanup        string   `yaml:"cleanup"` // "delete" or "compact"
	RetentionHours int      `yaml:"retention_hours"`
	Records        []string `yaml:"records"` // Avro records the topic carries
}

// Topics is the topic file: the default partition count of every topic, and
// the topics in the order of the file.
type Topics struct {
	Partitions int32   `yaml:"partitions"`
	Topics     []Topic `yaml:"topics"`
}

// LoadTopics returns the topics of the pipeline.
func LoadTopics() (Topics, error) {
	var t Topics
	dec := yaml.NewDecoder(bytes.NewReader(topicsFile), yaml.Strict())
	if err := dec.Decode(&t); err != nil {
		return Topics{}, fmt.Errorf("read schemas/topics.yaml: %w", err)
	}
	return t, nil
}

// Subject returns the registry's subject of a record on a topic: topic plus
// record name, so that a topic carries several records.
func Subject(topic, record string) string { return topic + "-flywheel.v1." + record }

// Avro returns the text of one version of a record's contract.
func Avro(record string, version int) ([]byte, error) {
	b, err := avroFiles.ReadFile(fmt.Sprintf("avro/%s/v%d.avsc", record, version))
	if err != nil {
		return nil, fmt.Errorf("read the contract of record %q version %d: %w", record, version, err)
	}
	return b, nil
}

// Versions returns the versions of a record's contract, ascending.
func Versions(record string) ([]int, error) {
	files, err := fs.Glob(avroFiles, path.Join("avro", record, "v*.avsc"))
	if err != nil {
		return nil, fmt.Errorf("list the versions of record %q: %w", record, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("record %q has no contract in schemas/avro", record)
	}
	versions := make([]int, 0, len(files))
	for _, f := range files {
		v, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(path.Base(f), "v"), ".avsc"))
		if err != nil {
			return nil, fmt.Errorf("read the version in the file name %q: %w", f, err)
		}
		versions = append(versions, v)
	}
	slices.Sort(versions)
	return versions, nil
}

// Records returns the names of every Avro record, sorted.
func Records() ([]string, error) {
	dirs, err := avroFiles.ReadDir("avro")
	if err != nil {
		return nil, fmt.Errorf("list schemas/avro: %w", err)
	}
	names := make([]string, len(dirs))
	for i, d := range dirs {
		names[i] = d.Name()
	}
	return names, nil
}

// ClickHouse returns the migrations: one statement a file, named NNNN_name.sql.
func ClickHouse() fs.FS {
	sub, err := fs.Sub(clickhouseFiles, "clickhouse")
	if err != nil { // the folder is embedded by the directive above
		panic(err)
	}
	return sub
}
