// Package local keeps web pages away from servers that listen on the loopback address: a browser on
// this machine can reach them, and their default passwords are known.
package local

import (
	"net"
	"net/http"
	"net/netip"
)

// Only passes requests on unless a web page of another origin sent them, or they were addressed to a
// name that is not this machine's (DNS rebinding). Clients that are no browsers are not affected.
func Only(next http.Handler) http.Handler {
	guarded := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.Host) {
			http.Error(w, "this server answers to localhost and 127.0.0.1 only", http.StatusForbidden)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
