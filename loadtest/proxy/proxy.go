// Package proxy stands between a client and a server of the load test and does
// what networks do: it resets connections, carries nothing for a while, is slow,
// and loses the answer to what was done. Nothing that it has taken is lost while
// it carries nothing: a stalled connection goes on where it was, which the
// libraries for this do not offer. It listens on the loopback address only, and
// so must its server.
//
// A Kafka broker tells its clients its own address, so a client of another
// process comes through a proxy only if the broker advertises [Proxy.Addr]
// (embedded.kafka_advertised_port, advertised.listeners). The proxy therefore
// starts before its server.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// connsMax bounds the connections; one more is reset.
const connsMax = 1024

// dialTimeout bounds the connection to the server.
const dialTimeout = 5 * time.Second

// Proxy carries connections to one server. Its methods may be called at any
// time and by several at once; each holds until the next of [Proxy.Pass],
// [Proxy.Refuse], [Proxy.Stall] and [Proxy.Slow].
type Proxy struct {
	listener net.Listener
	target   string
	relay    func(p *Proxy, l *link) error // nil when both ends have ended in peace

	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	weather weather
	links   map[*link]struct{}

	lose     atomic.Int64 // answers still to be lost
	lost     atomic.Int64
	accepted atomic.Int64
	reset    atomic.Int64
}

// weather is what the network is like at the moment.
type weather struct {
	refuse  bool
	stalled chan struct{} // closed when it goes on; nil when nothing stalls
	latency time.Duration // of every byte, each way
	rate    int           // bytes a second of a connection, each way; 0 for no limit
}

// link is one connection, and that to the server it is carried to.
type link struct {
	client, server net.Conn
	gone           bool // reset, both of them
}

// reset ends both connections as a crash does. The proxy's lock is held.
func (l *link) reset() {
	l.gone = true
	for _, c := range []net.Conn{l.client, l.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
			_ = tcp.Close()
		}
	}
}

// Listen starts a proxy to the target, host:port on the loopback address, which
// need not listen yet.
func Listen(ctx context.Context, target string) (*Proxy, error) {
	return listen(ctx, target, (*Proxy).pipe)
}

// ListenHTTP starts a proxy that understands HTTP and so can lose answers:
// see [Proxy.LoseAnswers].
func ListenHTTP(ctx context.Context, target string) (*Proxy, error) {
	return listen(ctx, target, (*Proxy).exchange)
}

func listen(ctx context.Context, target string, relay func(*Proxy, *link) error) (*Proxy, error) {
	host, _, err := net.SplitHostPort(target)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("carry connections to %q: want a port of the loopback address, such as 127.0.0.1:9092", target)
	}
	p := &Proxy{target: target, relay: relay, links: make(map[*link]struct{})}
	if p.listener, err = new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("listen for connections to %s: %w", target, err)
	}
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	p.done.Go(p.accept)
	return p, nil
}

// Addr is where clients connect to, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Port is the port of Addr.
func (p *Proxy) Port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// Pass carries everything, at once.
func (p *Proxy) Pass() { p.change(weather{}) }

// Refuse resets the connections there are, and every new one.
func (p *Proxy) Refuse() {
	p.change(weather{refuse: true})
	p.Cut()
}

// Stall takes connections and carries nothing, neither way. What was taken goes
// on with the next change.
func (p *Proxy) Stall() { p.change(weather{stalled: make(chan struct{})}) }

// Slow carries every byte so much later, and of each connection at most so many
// bytes a second each way; 0 for no limit.
func (p *Proxy) Slow(latency time.Duration, bytesPerSecond int) {
	p.change(weather{latency: max(0, latency), rate: max(0, bytesPerSecond)})
}

// Cut resets the connections there are; new ones fare as before.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		p.end(l)
	}
}

// end resets a link; the lock is held.
func (p *Proxy) end(l *link) {
	if !l.gone {
		p.reset.Add(1)
	}
	l.reset()
}

// drop resets a link.
func (p *Proxy) drop(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(l)
}

// Stats is what a proxy has done since it was started.
type Stats struct {
	Accepted    int64 // connections
	Reset       int64 // connections that were reset by it
	LostAnswers int64
	Open        int // connections now
}

// Stats returns what the proxy has done.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Accepted: p.accepted.Load(), Reset: p.reset.Load(), LostAnswers: p.lost.Load(), Open: len(p.links)}
}

// Close resets all connections and returns when nothing of the proxy is left.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.listener.Close()
	p.Cut()
	p.done.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("stop listening for connections to %s: %w", p.target, err)
	}
	return nil
}

func (p *Proxy) change(to weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if was := p.weather.stalled; was != nil {
		close(was)
	}
	p.weather = to
}

func (p *Proxy) now() weather {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.weather
}

// calm returns the weather once nothing stalls, false when the proxy is closed.
func (p *Proxy) calm() (weather, bool) {
	for {
		w := p.now()
		if w.stalled == nil {
			return w, p.ctx.Err() == nil
		}
		select {
		case <-w.stalled:
		case <-p.ctx.Done():
			return w, false
		}
	}
}

// acceptPause lies between two attempts when the process has no file left.
const acceptPause = 50 * time.Millisecond

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			if !p.sleep(acceptPause) {
				return
			}
			continue
		}
		p.accepted.Add(1)
		l := &link{client: client}
		if p.now().refuse || !p.keep(l) {
			p.drop(l)
			continue
		}
		p.done.Go(func() {
			if p.carry(l) != nil {
				p.drop(l)
			}
			p.forget(l)
		})
	}
}

// keep notes a link, unless there are too many or the proxy is closed.
func (p *Proxy) keep(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.links) >= connsMax || p.ctx.Err() != nil {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

// forget closes what is left of a link. What was written to it still arrives.
func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = l.client.Close()
	if l.server != nil {
		_ = l.server.Close()
	}
	delete(p.links, l)
}

// carry connects to the server, and relays until both have ended. After an
// error the link is reset: so the client fares as with a server that is down.
func (p *Proxy) carry(l *link) error {
	if _, ok := p.calm(); !ok {
		return errClosed
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	server, err := dialer.DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", p.target, err)
	}
	p.mu.Lock()
	l.server = server
	gone := l.gone || p.weather.refuse
	p.mu.Unlock()
	if gone {
		return errClosed
	}
	return p.relay(p, l)
}

// errClosed ends a link because the proxy wants it.
var errClosed = errors.New("the proxy has ended the connection")

// sleep returns false when the proxy is closed meanwhile.
func (p *Proxy) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}
