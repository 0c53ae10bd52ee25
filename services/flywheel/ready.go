package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

const (
	readyTimeout  = 5 * time.Second // longer than the service gives its own checks
	readyBytesMax = 64 << 10
)

func newReady(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "ready",
		Short: "Ask the service at admin.listen whether it is ready: exit 0 if it is, 1 if not",
		Long: "Ask the service at admin.listen whether it is ready: exit 0 if it is, 1 if not.\n\n" +
			"It prints a line for each of the service's checks, as /readyz does, and stands in for curl\n" +
			"as the health check of a container that holds nothing but this binary.",
		Args: noArguments(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := env.config()
			if err != nil {
				return err
			}
			if cfg.Telemetry.Admin.Listen == "" {
				return usageError{errors.New("admin.listen is empty, so no service can be asked: set it (FLYWHEEL_ADMIN_LISTEN) for the service and for this command, such as 127.0.0.1:9464")}
			}
			return env.askReady(cmd.Context(), cfg.Telemetry.Admin.Listen)
		},
	}
}

// askReady prints what the service that listens on the address says of itself.
func (e *environment) askReady(ctx context.Context, listen string) error {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return usageError{fmt.Errorf("find the admin server: %w", err)}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost" // where one listens on every address, one is asked on this
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", http.NoBody)
	if err != nil {
		return usageError{fmt.Errorf("find the admin server: %w", err)}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the service at %s whether it is ready (is it running, with the same admin.listen?): %w", listen, err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(e.stdout, io.LimitReader(resp.Body, readyBytesMax)); err != nil {
		return fmt.Errorf("read the answer of the service at %s: %w", listen, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the service at %s is not ready: %s", listen, resp.Status)
	}
	return nil
}
