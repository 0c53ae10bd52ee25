package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Config of the embedded engines. All of them listen on the loopback address only.
type Config struct {
	// DataDir holds what the engines keep between runs. One process at a time may use it.
	DataDir string `yaml:"data_dir"`
	// CacheDir holds the fetched ClickHouse library; empty means DefaultCacheDir.
	CacheDir string `yaml:"cache_dir"`

	// Kafka says whether to run the embedded Kafka broker.
	Kafka bool `yaml:"kafka"`
	// KafkaPort is the broker's port; 0 takes any free one.
	KafkaPort int `yaml:"kafka_port"`

	// Registry says whether to run the embedded schema registry.
	Registry bool `yaml:"registry"`
	// RegistryPort is the registry's HTTP port; 0 takes any free one.
	RegistryPort int `yaml:"registry_port"`

	// ClickHouse says whether to run the embedded ClickHouse engine.
	ClickHouse bool `yaml:"clickhouse"`
	// ClickHousePort is ClickHouse's HTTP port; 0 takes any free one.
	ClickHousePort int `yaml:"clickhouse_port"`
	// ClickHouseUser is the only user.
	ClickHouseUser string `yaml:"clickhouse_user"`
	// ClickHousePassword keeps other local users and web pages out; it must not be empty.
	ClickHousePassword string `yaml:"clickhouse_password"`
	// ClickHouseDatabase is created at start and used by clients that name none.
	ClickHouseDatabase string `yaml:"clickhouse_database"`
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
		problems = append(problems, errors.New("data_dir is empty: name a folder for the embedded engines' data"))
	}
	for _, port := range []struct {
		name  string
		value int
	}{{"kafka_port", c.KafkaPort}, {"registry_port", c.RegistryPort}, {"clickhouse_port", c.ClickHousePort}} {
		if port.value < 0 || port.value > 65535 {
			problems = append(problems, fmt.Errorf("%s is %d: use 1 to 65535, or 0 for any free port", port.name, port.value))
		}
	}
	if c.ClickHouse {
		for _, field := range []struct{ name, value string }{
			{"clickhouse_user", c.ClickHouseUser}, {"clickhouse_password", c.ClickHousePassword}, {"clickhouse_database", c.ClickHouseDatabase},
		} {
			if field.value == "" {
				problems = append(problems, fmt.Errorf("%s is empty: set it, the embedded ClickHouse does not run without", field.name))
			}
		}
	}
	return errors.Join(problems...)
}

// DefaultCacheDir is $FLYWHEEL_CACHE_DIR, or .cache in the repository around the working folder, or
// the user's cache folder.
func DefaultCacheDir() (string, error) {
	if dir := os.Getenv("FLYWHEEL_CACHE_DIR"); dir != "" {
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
		return "", fmt.Errorf("find a cache folder (set FLYWHEEL_CACHE_DIR): %w", err)
	}
	return filepath.Join(user, "flywheel"), nil
}
