package codec

import (
	"fmt"
	"net/url"
)

// Config says where the schema registry is.
type Config struct {
	URLs      []string `yaml:"urls" doc:"Addresses of the schema registry, tried in turn."`
	User      string   `yaml:"user" doc:"User name for the registry, empty for none."`
	Password  string   `yaml:"password" doc:"Password for the registry." secret:"true"`
	TimeoutMs int      `yaml:"timeout_ms" doc:"Longest time one request to the registry may take, in milliseconds."`
}

// DefaultConfig names the registry of the embedded engines.
func DefaultConfig() Config {
	return Config{URLs: []string{"http://127.0.0.1:18081"}, TimeoutMs: 5000}
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	if len(c.URLs) == 0 {
		return fmt.Errorf("registry.urls is empty: name at least one address such as http://127.0.0.1:18081")
	}
	for _, s := range c.URLs {
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			return fmt.Errorf("registry.urls: %q is not an address: write it like http://127.0.0.1:18081", s)
		case u.User != nil:
			return fmt.Errorf("registry.urls: the address of %s holds a user: set registry.user and registry.password instead", u.Host)
		}
	}
	if c.Password != "" && c.User == "" {
		return fmt.Errorf("registry.password is set without registry.user: set both or neither")
	}
	if c.TimeoutMs < 1 || c.TimeoutMs > 60_000 {
		return fmt.Errorf("registry.timeout_ms is %d: set it from 1 to 60000", c.TimeoutMs)
	}
	return nil
}
