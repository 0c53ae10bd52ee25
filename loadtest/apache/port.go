package apache

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
)

// Ports are drawn below those that systems give to outgoing connections (Linux from 32768 on): a
// client that tries to reach a server that is down must not take its port meanwhile.
const (
	portMin   = 20000
	portMax   = 32000
	portTries = 1000
)

// errNoPort says that none of very many ports was free.
var errNoPort = errors.New("no port between 20000 and 32000 is free on 127.0.0.1: stop what uses them")

// freePorts returns so many different ports that nobody listens on at the moment.
func freePorts(n int) ([]int, error) {
	ports := make([]int, 0, n) // held until all are drawn, so that none is drawn twice
	for range portTries {
		port := portMin + rand.IntN(portMax-portMin)
		l, err := net.Listen("tcp4", address(port)) //nolint:noctx // binding does not wait
		if err != nil {
			continue
		}
		defer l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errNoPort
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// startTries is how often a server is started anew because a port was taken before it got there.
const startTries = 5

// portTaken tells from the log of a server that ended why it did.
func portTaken(log string) bool {
	return strings.Contains(log, "Address already in use") || strings.Contains(log, "already bound") || strings.Contains(log, "already in use by another process")
}
