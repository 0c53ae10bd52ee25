package simulation

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// line is the network of one process. It can be cut, which is what is left of a
// process that was killed; stall, as for a process that stands still; and break
// off, at once or when a certain request passes.
type line struct {
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	owner *life

	mu    sync.Mutex
	dead  bool
	gate  chan struct{} // closed while data flows
	conns map[*cable]bool
}

// traps wait for requests of a process, whichever life it is in.
type traps struct {
	mu   sync.Mutex
	list []*trap
}

// trap acts when the n-th request of a kind passes from now on.
type trap struct {
	key    kmsg.Key
	n      int
	answer bool        // when its answer comes back, instead of when it is sent
	act    func(*life) // the request, or its answer, is lost afterwards
}

func newLine(owner *life, dial func(context.Context, string, string) (net.Conn, error)) *line {
	l := &line{dial: dial, owner: owner, gate: make(chan struct{}), conns: make(map[*cable]bool)}
	close(l.gate)
	return l
}

// cable is one connection.
type cable struct {
	near, far net.Conn

	mu     sync.Mutex
	sent   []kmsg.Key // requests without an answer yet
	closed bool
}

var errCut = errors.New("the network is cut")

// DialContext connects through the line.
func (l *line) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if err := l.pass(ctx.Done()); err != nil {
		return nil, err
	}
	far, err := l.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	app, near := net.Pipe()
	c := &cable{near: near, far: far}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		c.close()
		return nil, errCut
	}
	l.conns[c] = true
	go l.requests(c)
	go l.answers(c)
	return app, nil
}

// close ends the connection. What answers to a group's rebalance is awaited all
// the same, and thrown away: the simulated broker keeps a member for ever whose
// connection was gone by then, which a real one does not.
func (c *cable) close() {
	_ = c.near.Close() // what a pipe's Close returns is always nil
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if !c.joining() {
		_ = c.far.Close()
	}
}

func (c *cable) joining() bool {
	return slices.Contains(c.sent, kmsg.JoinGroup) || slices.Contains(c.sent, kmsg.SyncGroup)
}

// answered notes that the oldest request was answered, and says which it was and
// whether the connection is to end.
func (c *cable) answered() (key kmsg.Key, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, c.sent = c.sent[0], c.sent[1:]
	return key, c.closed && !c.joining()
}

func (l *line) drop(c *cable) {
	c.close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// requests carries what the process sends.
func (l *line) requests(c *cable) {
	defer l.drop(c)
	for {
		frame, err := readFrame(c.near)
		if err != nil {
			return
		}
		key := kmsg.Key(binary.BigEndian.Uint16(frame[4:]))
		if l.pass(nil) != nil || l.fires(key, false) {
			return
		}
		c.mu.Lock()
		c.sent = append(c.sent, key)
		c.mu.Unlock()
		if _, err := c.far.Write(frame); err != nil {
			return
		}
	}
}

// answers carries what the broker sends.
func (l *line) answers(c *cable) {
	defer l.drop(c)
	for {
		frame, err := readFrame(c.far)
		if err != nil {
			return
		}
		key, ended := c.answered()
		if ended {
			_ = c.far.Close()
			return
		}
		if l.pass(nil) != nil || l.fires(key, true) {
			c.close()
			continue // it may not be over yet
		}
		if _, err := c.near.Write(frame); err != nil {
			c.close()
		}
	}
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, 4+binary.BigEndian.Uint32(size[:]))
	copy(frame, size[:])
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}

// pass waits while the line stands still.
func (l *line) pass(done <-chan struct{}) error {
	for {
		l.mu.Lock()
		gate, dead := l.gate, l.dead
		l.mu.Unlock()
		if dead {
			return errCut
		}
		select {
		case <-gate:
		case <-done:
			return errCut
		}
		l.mu.Lock()
		same := gate == l.gate
		l.mu.Unlock()
		if same {
			return nil
		}
	}
}

// fires lets a request or its answer meet the traps, and says whether it is lost.
func (l *line) fires(key kmsg.Key, answer bool) bool {
	hit := l.owner.traps.meet(key, answer)
	if hit != nil {
		hit.act(l.owner)
	}
	return hit != nil
}

func (t *traps) meet(key kmsg.Key, answer bool) *trap {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, trap := range t.list {
		if trap.key != key || trap.answer != answer {
			continue
		}
		if trap.n--; trap.n <= 0 {
			t.list = slices.Delete(t.list, i, i+1)
			return trap
		}
	}
	return nil
}

func (t *traps) set(trap trap) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, &trap)
}

// clear forgets the traps that nothing went into.
func (t *traps) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = nil
}

// stall lets nothing pass any more, until resume.
func (l *line) stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.gate:
		l.gate = make(chan struct{})
	default: // it stands still already
	}
}

func (l *line) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.gate:
	default:
		close(l.gate)
	}
}

// hangUp breaks off every connection; new ones can be made.
func (l *line) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.close()
	}
}

// cut ends everything for good.
func (l *line) cut() {
	l.mu.Lock()
	l.dead = true
	l.mu.Unlock()
	l.hangUp()
	l.resume()
}
