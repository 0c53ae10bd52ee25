package codec

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"flywheel/pkg/config"
)

// Config says where the schema registry is.
type Config struct {
	URLs     []string      `yaml:"urls" doc:"Addresses of the schema registry, tried in turn."`
	User     string        `yaml:"user" doc:"User at the schema registry; empty for none."`
	Password config.Secret `yaml:"password" doc:"Password of the user."`
	Timeout  time.Duration `yaml:"timeout" doc:"Give up a request to the schema registry after this long."`
}

// DefaultConfig names the registry of the embedded engines.
func DefaultConfig() Config {
	return Config{URLs: []string{"http://127.0.0.1:18081"}, Timeout: 5 * time.Second}
}

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	if len(c.URLs) == 0 {
		errs = append(errs, errors.New("urls: give at least one, such as http://127.0.0.1:18081"))
	}
	for _, s := range c.URLs {
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			errs = append(errs, fmt.Errorf("urls: %q is not an address: write it like http://127.0.0.1:18081", s))
		case u.User != nil:
			errs = append(errs, fmt.Errorf("urls: the address of %s holds a user: set user and password instead", u.Host))
		}
	}
	if c.Password != "" && c.User == "" {
		errs = append(errs, errors.New("password: set user with it, or neither"))
	}
	if c.Timeout < time.Millisecond || c.Timeout > time.Minute {
		errs = append(errs, fmt.Errorf("timeout: %s is out of bounds: set it from 1ms to 1m", c.Timeout))
	}
	return errors.Join(errs...)
}
