package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestReady(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		code   int
		stderr string
	}{
		"a service that is ready":     {http.StatusOK, exitOK, ""},
		"a service that is not ready": {http.StatusServiceUnavailable, exitFailed, "is not ready: 503"},
		"something else on the port":  {http.StatusNotFound, exitFailed, "is not ready: 404"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/readyz" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, "kafka: ok\n")
			}))
			defer server.Close()
			_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
			for _, listen := range []string{"127.0.0.1:" + port, "0.0.0.0:" + port, ":" + port} {
				var stdout, stderr bytes.Buffer
				code := execute(t.Context(), []string{"ready", "--admin.listen=" + listen}, nil, &stdout, &stderr)
				if code != c.code || !strings.Contains(stderr.String(), c.stderr) {
					t.Errorf("%s: exit %d, %q; want %d, %q", listen, code, &stderr, c.code, c.stderr)
				}
				if stdout.String() != "kafka: ok\n" {
					t.Errorf("%s: printed %q", listen, &stdout)
				}
			}
		})
	}
}

func TestReadyWithoutAService(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		code   int
		stderr string
	}{
		"no address":   {[]string{"ready"}, exitUsage, "admin.listen is empty"},
		"nobody there": {[]string{"ready", "--admin.listen=127.0.0.1:1"}, exitFailed, "is it running"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := execute(t.Context(), c.args, nil, &stdout, &stderr); code != c.code || !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("exit %d, %q; want %d, %q", code, &stderr, c.code, c.stderr)
			}
		})
	}
}
