package chdb

import (
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Bounds on a request. A batch of 500 000 wide rows is about 200 MB.
const (
	bodyBytesMax   = 2 << 30
	queryBytesMax  = 16 << 20
	headerBytesMax = 1 << 20
	chunkBytes     = 1 << 20
	pieceTimeout   = time.Minute // for each piece of a body sent or received, not for the whole
)

// requestBody returns the body, bounded, with transport encodings removed. Reading it ends in io.EOF
// only if the client sent the body whole.
func requestBody(w http.ResponseWriter, r *http.Request) (io.Reader, error) {
	var body io.Reader = &timedReader{http.NewResponseController(w), http.MaxBytesReader(w, r.Body, bodyBytesMax)}
	var err error
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip":
		body, err = gzip.NewReader(body)
	case "deflate":
		body, err = zlib.NewReader(body)
	case "br":
		body = brotli.NewReader(body)
	case "zstd":
		body, err = newZstdReader(body)
	case "lz4":
		body = lz4.NewReader(body)
	default:
		return nil, exceptionf(codeUnknownCompression, "Content-Encoding %q is not supported: use gzip, deflate, br, zstd or lz4", encoding)
	}
	if err != nil {
		return nil, bodyError(err)
	}
	if r.URL.Query().Get("decompress") == "1" {
		counted := &countingReader{in: body}
		body = &frameReader{counted: counted, frames: compress.NewReader(counted)}
	}
	return body, nil
}

func newZstdReader(in io.Reader) (io.Reader, error) {
	d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		return nil, fmt.Errorf("prepare to decompress: %w", err)
	}
	return d.IOReadCloser(), nil
}

// bodyError turns a failure to read the body into the exception that describes it.
func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	var exception *Exception
	switch {
	case errors.As(err, &exception):
		return err
	case errors.As(err, &tooLarge):
		return exceptionf(codeQueryIsTooLarge, "the request body is over %d bytes: send smaller batches", int64(bodyBytesMax))
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return exceptionf(codeCannotReadAllData, "the request body ends before its end; nothing of it was inserted: send it again")
	}
	var corrupt flate.CorruptInputError
	if errors.As(err, &corrupt) || errors.Is(err, gzip.ErrHeader) || errors.Is(err, zlib.ErrHeader) {
		return exceptionf(codeCannotReadAllData, "the request body is not encoded as its Content-Encoding says: %v", err)
	}
	return exceptionf(codeCannotReadAllData, "cannot read the request body: %v", err)
}

// timedReader gives the client a bounded time for each piece of the body, then lifts the limit so
// that a long query is not mistaken for a silent client.
type timedReader struct {
	control *http.ResponseController
	in      io.Reader
}

func (t *timedReader) Read(p []byte) (int, error) {
	if err := t.control.SetReadDeadline(time.Now().Add(pieceTimeout)); err != nil {
		return 0, fmt.Errorf("set the read deadline: %w", err)
	}
	n, err := t.in.Read(p)
	if err != nil {
		_ = t.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

type countingReader struct {
	in io.Reader
	n  int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	return n, err
}

// frameReader reads ClickHouse's compressed frames and tells an end between two frames, the only
// right place, from one inside a frame, which the frame decoder reports alike.
type frameReader struct {
	counted *countingReader
	frames  *compress.Reader
}

func (f *frameReader) Read(p []byte) (int, error) {
	before := f.counted.n
	n, err := f.frames.Read(p)
	if errors.Is(err, io.EOF) {
		if f.counted.n != before {
			return n, io.ErrUnexpectedEOF
		}
		return n, io.EOF
	}
	return n, err
}

// appendUvarint and appendString write ClickHouse's Native encoding.
func appendUvarint(b []byte, v int) []byte { return binary.AppendUvarint(b, uint64(v)) }

func appendString(b []byte, s string) []byte { return append(appendUvarint(b, len(s)), s...) }

// cutString reads one length-prefixed string.
func cutString(b []byte) (s string, rest []byte, ok bool) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return "", nil, false
	}
	end := n + int(length)
	return string(b[n:end]), b[end:], true
}
