package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// chunkBytes is what is carried at once, and chunksMax how many chunks are on
// their way each way: both bound the memory.
const (
	chunkBytes = 16 << 10
	chunksMax  = 64
)

// chunk is some bytes, and when they were taken.
type chunk struct {
	data []byte
	at   time.Time
}

// pipe relays bytes both ways.
func (p *Proxy) pipe(l *link) error {
	var both sync.WaitGroup
	var up, down error
	both.Go(func() { up = p.oneWay(l, l.server, l.client) })
	both.Go(func() { down = p.oneWay(l, l.client, l.server) })
	both.Wait()
	return errors.Join(up, down)
}

// oneWay relays bytes from one connection to the other until the first has
// ended, and ends the second then. An error resets both.
func (p *Proxy) oneWay(l *link, to, from net.Conn) error {
	chunks := make(chan chunk, chunksMax)
	ended := make(chan struct{}) // the writer takes no more
	var read, written error
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(chunks)
		for read == nil {
			data := make([]byte, chunkBytes)
			var n int
			if n, read = from.Read(data); n > 0 {
				select {
				case chunks <- chunk{data[:n], time.Now()}:
				case <-ended:
					return
				}
			}
		}
		if !errors.Is(read, io.EOF) {
			p.drop(l) // also what is written to
		}
	})
	for c := range chunks {
		if written = p.deliver(to, c); written != nil {
			p.drop(l) // also what is read from
			break
		}
	}
	close(ended)
	reading.Wait()
	if written == nil && errors.Is(read, io.EOF) {
		if _, ok := p.calm(); ok {
			return to.(*net.TCPConn).CloseWrite() //nolint:wrapcheck // only whether it failed matters
		}
	}
	return errClosed
}

// deliver writes a chunk when the weather lets it.
func (p *Proxy) deliver(to net.Conn, c chunk) error {
	w, ok := p.calm()
	if !ok || !p.sleep(w.latency-time.Since(c.at)) {
		return errClosed
	}
	if w.rate > 0 && !p.sleep(time.Duration(float64(len(c.data))/float64(w.rate)*float64(time.Second))) {
		return errClosed
	}
	if _, ok := p.calm(); !ok { // it may have changed meanwhile
		return errClosed
	}
	_, err := to.Write(c.data)
	return err //nolint:wrapcheck // only whether it failed matters
}
