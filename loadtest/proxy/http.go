package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// LoseAnswers has the next n inserts die between the deed and the answer: the
// server gets the whole request and answers it, and the client's connection is
// reset instead. An insert is a request whose parameter query begins with
// INSERT, as ClickHouse's clients send it. It needs a proxy of [ListenHTTP].
func (p *Proxy) LoseAnswers(n int) { p.lose.Store(int64(n)) }

// exchange relays requests and answers, one after the other.
func (p *Proxy) exchange(l *link) error {
	client, server := newMessages(p, l.client), newMessages(p, l.server)
	for {
		request, err := http.ReadRequest(client.Reader)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		last, err := p.answer(request, client, server)
		if err != nil {
			return err
		}
		if last { // a client that still sends is not to be reset before it has read
			_ = l.client.(*net.TCPConn).CloseWrite()
			_ = l.client.SetReadDeadline(time.Now().Add(closeWait))
			_, _ = io.Copy(io.Discard, l.client)
			return nil
		}
	}
}

// answer relays one request and its answer, and says whether the connection ends
// with it.
func (p *Proxy) answer(request *http.Request, client, server messages) (last bool, err error) {
	request.Header.Del("Expect") // its answer would come before the answer
	insert := isInsert(request)
	// A server may answer, and close, before it has read all: its answer says more
	// than that it could not be sent.
	sent := errors.Join(request.Write(server), server.Flush())
	answer, err := http.ReadResponse(server.Reader, request)
	if err != nil {
		return false, errors.Join(sent, fmt.Errorf("read an answer: %w", err))
	}
	defer answer.Body.Close()
	if insert && p.takeLoss() {
		_, _ = io.Copy(io.Discard, answer.Body) // so that it is done for certain
		p.lost.Add(1)
		return false, errClosed
	}
	if err := errors.Join(answer.Write(client), client.Flush()); err != nil {
		return false, fmt.Errorf("write an answer: %w", err)
	}
	return sent != nil || answer.Close || request.Close, nil
}

// closeWait bounds how long a client may take to close after the last answer.
const closeWait = time.Second

func isInsert(r *http.Request) bool {
	const verb = "INSERT"
	query := strings.TrimSpace(r.URL.Query().Get("query"))
	return len(query) >= len(verb) && strings.EqualFold(query[:len(verb)], verb)
}

// takeLoss says whether this answer is to be lost.
func (p *Proxy) takeLoss() bool {
	for {
		left := p.lose.Load()
		if left <= 0 {
			return false
		}
		if p.lose.CompareAndSwap(left, left-1) {
			return true
		}
	}
}

// messages is one end of an exchange; what is written to it waits for the
// weather.
type messages struct {
	*bufio.Reader
	*bufio.Writer
}

func newMessages(p *Proxy, conn net.Conn) messages {
	return messages{bufio.NewReader(conn), bufio.NewWriterSize(&gated{proxy: p, conn: conn}, chunkBytes)}
}

// gated writes to a connection when the weather lets it.
type gated struct {
	proxy *Proxy
	conn  net.Conn
	last  time.Time // of the last write
}

// together is the time within which one write belongs to the one before, and
// travels with it.
const together = 5 * time.Millisecond

// Write delivers b whole.
func (g *gated) Write(b []byte) (int, error) {
	taken := time.Now()
	if taken.Sub(g.last) < together {
		taken = time.Time{} // no later than those before
	}
	for n := 0; n < len(b); {
		end := min(n+chunkBytes, len(b))
		if err := g.proxy.deliver(g.conn, chunk{b[n:end], taken}); err != nil {
			return n, err
		}
		n = end
	}
	g.last = time.Now()
	return len(b), nil
}
