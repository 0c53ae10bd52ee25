package process

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
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

// FreePorts returns so many different ports that nobody listens on at the moment.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, 0, n) // held until all are drawn, so that none is drawn twice
	for range portTries {
		port := portMin + rand.IntN(portMax-portMin)
		l, err := net.Listen("tcp4", Address(port)) //nolint:noctx // binding does not wait
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

// Address is a port on loopback, for clients.
func Address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
