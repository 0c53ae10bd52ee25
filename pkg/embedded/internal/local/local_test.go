package local

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestOnlyLetsLocalProgramsIn(t *testing.T) {
	handler := Only(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for name, c := range map[string]struct {
		host, origin, site string
		status             int
	}{
		"a program":                {"127.0.0.1:18123", "", "", 200},
		"a program by name":        {"localhost:18123", "", "", 200},
		"a program over IPv6":      {"[::1]:18123", "", "", 200},
		"without a port":           {"localhost", "", "", 200},
		"a page of this server":    {"localhost:18123", "http://localhost:18123", "same-origin", 200},
		"a page from elsewhere":    {"127.0.0.1:18123", "https://example.com", "cross-site", 403},
		"an old browser":           {"127.0.0.1:18123", "https://example.com", "", 403},
		"a name pointed at this":   {"example.com:18123", "http://example.com:18123", "same-origin", 403},
		"another machine's number": {"10.0.0.1:18123", "", "", 403},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.Host = c.host
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			if c.site != "" {
				r.Header.Set("Sec-Fetch-Site", c.site)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != c.status {
				t.Errorf("status %d, not %d", w.Code, c.status)
			}
		})
	}
}
