package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"flywheel/pkg/config"
)

// Config of the embedded engines. All of them listen on the loopback address only.
type Config struct {
	DataDir            string        `yaml:"data_dir" doc:"Folder of what the engines keep between runs; one process at a time uses it."`
	CacheDir           string        `yaml:"cache_dir" doc:"Folder of the fetched ClickHouse library; empty takes FLYWHEEL_EMBEDDED_CACHE_DIR, .cache of the repository, or the user's cache folder."`
	Kafka              bool          `yaml:"kafka" doc:"Whether to run the embedded Kafka broker."`
	KafkaPort          int           `yaml:"kafka_port" doc:"Port of the broker; 0 takes any free one."`
	KafkaAdvertised    int           `yaml:"kafka_advertised_port" doc:"Port on the loopback address that the broker tells its clients to use, when a proxy stands before it; 0 takes kafka_port."`
	Registry           bool          `yaml:"registry" doc:"Whether to run the embedded schema registry."`
	RegistryPort       int           `yaml:"registry_port" doc:"HTTP port of the registry; 0 takes any free one."`
	ClickHouse         bool          `yaml:"clickhouse" doc:"Whether to run the embedded ClickHouse."`
	ClickHousePort     int           `yaml:"clickhouse_port" doc:"HTTP port of ClickHouse; 0 takes any free one."`
	ClickHouseUser     string        `yaml:"clickhouse_user" doc:"The only user of the embedded ClickHouse."`
	ClickHousePassword config.Secret `yaml:"clickhouse_password" doc:"Password of that user, not empty: it keeps other users of the machine out."`
	ClickHouseDatabase string        `yaml:"clickhouse_database" doc:"Database created at start; clients that name none use it."`
}

// DefaultConfig runs all three engines on fixed ports, with data in ./data.
func DefaultConfig() Config {
	return Config{
		DataDir:            "data",
		Kafka:              true,
		KafkaPort:          19092,
		Registry:           true,
		RegistryPort:       18081,
		ClickHouse:         true,
		ClickHousePort:     18123,
		ClickHouseUser:     "flywheel",
		ClickHousePassword: "flywheel",
		ClickHouseDatabase: "flywheel",
	}
}

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var problems []error
	if c.DataDir == "" {
		problems = append(problems, errors.New("data_dir: is empty: name a folder for the embedded engines' data"))
	}
	for _, port := range []struct {
		name  string
		value int
	}{{"kafka_port", c.KafkaPort}, {"kafka_advertised_port", c.KafkaAdvertised}, {"registry_port", c.RegistryPort}, {"clickhouse_port", c.ClickHousePort}} {
		if port.value < 0 || port.value > 65535 {
			problems = append(problems, fmt.Errorf("%s: %d is no port: use 1 to 65535, or 0 for any free port", port.name, port.value))
		}
	}
	if c.ClickHouse {
		for _, field := range []struct{ name, value string }{
			{"clickhouse_user", c.ClickHouseUser}, {"clickhouse_password", c.ClickHousePassword.Reveal()}, {"clickhouse_database", c.ClickHouseDatabase},
		} {
			if field.value == "" {
				problems = append(problems, fmt.Errorf("%s: is empty: set it, the embedded ClickHouse does not run without", field.name))
			}
		}
	}
	return errors.Join(problems...)
}

// DefaultCacheDir is $FLYWHEEL_EMBEDDED_CACHE_DIR, or .cache in the repository around the working folder, or
// the user's cache folder.
func DefaultCacheDir() (string, error) {
	if dir := os.Getenv("FLYWHEEL_EMBEDDED_CACHE_DIR"); dir != "" {
		return dir, nil
	}
	working, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working folder: %w", err)
	}
	for dir := working; ; dir = filepath.Dir(dir) {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module flywheel\n") {
			return filepath.Join(dir, ".cache"), nil
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a cache folder (set FLYWHEEL_EMBEDDED_CACHE_DIR): %w", err)
	}
	return filepath.Join(user, "flywheel"), nil
}
