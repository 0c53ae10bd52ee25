// Package chdb runs the ClickHouse engine inside this process: it binds libchdb's C interface
// without cgo and serves ClickHouse's HTTP protocol on top of it.
//
// libchdb knows one data folder per process. The engine stays up while one connection is open, so
// [Engine] holds one for its whole life and opens a fresh one for every request: connections run in
// parallel, statements on one connection do not.
package chdb

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
	"golang.org/x/sys/cpu"
)

// Exception is an error reported by the engine, with ClickHouse's error code.
type Exception struct {
	Code    int
	Message string // as ClickHouse prints it: "Code: 60. DB::Exception: …"
}

func (e *Exception) Error() string { return e.Message }

// newException reads the code from a message that begins "Code: N."; 1001 is ClickHouse's code for
// an error that carries none.
func newException(message string) *Exception {
	message = strings.TrimSpace(message)
	if at := strings.Index(message, "Code: "); at > 0 {
		message = message[at:]
	}
	digits, _, _ := strings.Cut(strings.TrimPrefix(message, "Code: "), ".")
	code, err := strconv.Atoi(digits)
	if err != nil || code <= 0 {
		return exceptionf(codeStdException, "%s", message)
	}
	return &Exception{Code: code, Message: message}
}

// exceptionf builds an exception of our own in ClickHouse's form.
func exceptionf(code int, format string, args ...any) *Exception {
	return &Exception{Code: code, Message: fmt.Sprintf("Code: %d. DB::Exception: ", code) + fmt.Sprintf(format, args...)}
}

// ClickHouse's error codes that this package raises.
const (
	codeCannotReadAllData    = 33
	codeNotImplemented       = 48
	codeSyntaxError          = 62
	codeUnknownFormat        = 73
	codeUnknownCompression   = 89
	codeReadOnly             = 164
	codeRequiredPassword     = 194
	codeQueryIsTooLarge      = 223
	codeQueryWasCancelled    = 394
	codeAuthenticationFailed = 516
	codeStdException         = 1001
)

// library holds libchdb's entry points. Handles are opaque: a connection is a pointer to a pointer,
// results and insert streams are pointers.
type library struct {
	setSignalHandlers func(enabled int32)
	version           func() string
	connect           func(argc int32, argv **byte) *uintptr
	close             func(conn *uintptr)

	query       func(conn uintptr, query *byte, queryLen uintptr, format *byte, formatLen uintptr, names **byte, nameLens *uintptr, values **byte, valueLens *uintptr, count uintptr) uintptr
	streamQuery func(conn uintptr, query *byte, queryLen uintptr, format *byte, formatLen uintptr, names **byte, nameLens *uintptr, values **byte, valueLens *uintptr, count uintptr) uintptr
	fetch       func(conn, stream uintptr) uintptr
	cancelQuery func(conn, stream uintptr)
	classify    func(conn uintptr, query *byte, queryLen uintptr, database *byte, databaseLen uintptr, analysis *analysis) int32

	resultBuffer      func(result uintptr) unsafe.Pointer
	resultLength      func(result uintptr) uintptr
	resultError       func(result uintptr) string
	resultRowsWritten func(result uintptr) uint64
	destroyResult     func(result uintptr)

	insert        func(conn uintptr, query *byte, queryLen uintptr, format *byte, formatLen uintptr, names **byte, nameLens *uintptr, values **byte, valueLens *uintptr, count uintptr) uintptr
	insertAppend  func(stream uintptr, data *byte, dataLen uintptr) int32
	insertDone    func(stream uintptr) uintptr
	insertCancel  func(stream uintptr)
	insertError   func(stream uintptr) string
	insertDestroy func(stream uintptr)
}

// analysis mirrors chdb_query_analysis_v1.
type analysis struct {
	structSize     uint32
	statementCount uint32
	_              uint32 // flags
	queryClass     uint32
}

// Query classes of chdb_classify_query_n.
const (
	classReadOnly = 0
	classUnknown  = 4
)

// load opens the library file and resolves every entry point. The engine's signal handlers are
// switched off before anything else: with them on, Go cannot recover from a nil dereference.
func load(path string) (lib *library, err error) {
	if runtime.GOARCH == "amd64" && !cpu.X86.HasAVX2 {
		return nil, errors.New("this processor has no AVX2, which the embedded ClickHouse needs: configure an external ClickHouse instead")
	}
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("load the ClickHouse library %q (it needs glibc; delete its folder to fetch it again): %w", path, err)
	}
	lib = &library{}
	for name, entry := range map[string]any{
		"chdb_set_signal_handlers_enabled": &lib.setSignalHandlers,
		"chdb_version":                     &lib.version,
		"chdb_connect":                     &lib.connect,
		"chdb_close_conn":                  &lib.close,
		"chdb_query_with_params_n":         &lib.query,
		"chdb_stream_query_with_params_n":  &lib.streamQuery,
		"chdb_stream_fetch_result":         &lib.fetch,
		"chdb_stream_cancel_query":         &lib.cancelQuery,
		"chdb_classify_query_n":            &lib.classify,
		"chdb_result_buffer":               &lib.resultBuffer,
		"chdb_result_length":               &lib.resultLength,
		"chdb_result_error":                &lib.resultError,
		"chdb_result_rows_written":         &lib.resultRowsWritten,
		"chdb_destroy_query_result":        &lib.destroyResult,
		"chdb_stream_insert_with_params_n": &lib.insert,
		"chdb_stream_append":               &lib.insertAppend,
		"chdb_stream_done":                 &lib.insertDone,
		"chdb_stream_cancel_insert":        &lib.insertCancel,
		"chdb_stream_insert_error":         &lib.insertError,
		"chdb_destroy_insert_stream":       &lib.insertDestroy,
	} {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, fmt.Errorf("find %s in the ClickHouse library %q: %w", name, path, err)
		}
		purego.RegisterFunc(entry, symbol)
	}
	lib.setSignalHandlers(0)
	return lib, nil
}

// conn is one connection: one statement at a time.
type conn struct {
	lib    *library
	handle *uintptr
}

// open connects with the given engine arguments, such as "--path=/data".
func (l *library) open(args ...string) (*conn, error) {
	argv := make([]*byte, 0, len(args)+2)
	for _, arg := range append([]string{"flywheel"}, args...) {
		argv = append(argv, unsafe.StringData(arg+"\x00"))
	}
	argc := len(argv)
	argv = append(argv, nil)
	handle := l.connect(int32(argc), &argv[0])
	runtime.KeepAlive(argv)
	if handle == nil || *handle == 0 {
		return nil, errors.New("the ClickHouse engine refused to start: another process may be using its data folder, or the folder is damaged or not writable")
	}
	return &conn{lib: l, handle: handle}, nil
}

func (c *conn) close() { c.lib.close(c.handle) }

// param is a query parameter, {name:Type} in the statement.
type param struct{ name, value string }

// params lays parameters out as the C interface wants them.
type params struct {
	names, values       []*byte
	nameLens, valueLens []uintptr
}

func layOut(ps []param) params {
	var out params
	for _, p := range ps {
		out.names, out.nameLens = append(out.names, text(p.name)), append(out.nameLens, uintptr(len(p.name)))
		out.values, out.valueLens = append(out.values, text(p.value)), append(out.valueLens, uintptr(len(p.value)))
	}
	return out
}

// text points at a string's bytes; never nil, since the engine refuses a null pointer even for an
// empty string.
func text(s string) *byte {
	if s == "" {
		return unsafe.StringData("\x00")
	}
	return unsafe.StringData(s)
}

// result is a materialised result; release it after use.
type result struct {
	lib    *library
	handle uintptr
}

// take wraps a result handle, or releases it and returns its error.
func (l *library) take(handle uintptr) (result, error) {
	if handle == 0 {
		return result{}, exceptionf(codeStdException, "the engine returned no result")
	}
	if message := l.resultError(handle); message != "" {
		l.destroyResult(handle)
		return result{}, newException(message)
	}
	return result{l, handle}, nil
}

// bytes are valid until release.
func (r result) bytes() []byte {
	n := r.lib.resultLength(r.handle)
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(r.lib.resultBuffer(r.handle)), n)
}

func (r result) release() { r.lib.destroyResult(r.handle) }

// query runs one statement and returns its whole output in the format.
func (c *conn) query(statement, format string, ps []param) (result, error) {
	p := layOut(ps)
	handle := c.lib.query(*c.handle, text(statement), uintptr(len(statement)), text(format), uintptr(len(format)),
		unsafe.SliceData(p.names), unsafe.SliceData(p.nameLens), unsafe.SliceData(p.values), unsafe.SliceData(p.valueLens), uintptr(len(ps)))
	runtime.KeepAlive(statement)
	runtime.KeepAlive(format)
	runtime.KeepAlive(ps)
	runtime.KeepAlive(p)
	return c.lib.take(handle)
}

// exec runs one statement and drops its output.
func (c *conn) exec(statement string) error {
	r, err := c.query(statement, "Null", nil)
	if err != nil {
		return err
	}
	r.release()
	return nil
}

// stream runs one statement and calls each with every chunk of its output; the chunk is valid during
// the call only. An error of each cancels the query and is returned as it is.
func (c *conn) stream(statement, format string, ps []param, each func(chunk []byte) error) error {
	p := layOut(ps)
	handle := c.lib.streamQuery(*c.handle, text(statement), uintptr(len(statement)), text(format), uintptr(len(format)),
		unsafe.SliceData(p.names), unsafe.SliceData(p.nameLens), unsafe.SliceData(p.values), unsafe.SliceData(p.valueLens), uintptr(len(ps)))
	runtime.KeepAlive(statement)
	runtime.KeepAlive(format)
	runtime.KeepAlive(ps)
	runtime.KeepAlive(p)
	s, err := c.lib.take(handle)
	if err != nil {
		return err
	}
	defer s.release()
	for {
		r, err := c.lib.take(c.lib.fetch(*c.handle, s.handle))
		if err != nil {
			return err
		}
		chunk := r.bytes()
		if len(chunk) == 0 {
			r.release()
			return nil
		}
		err = each(chunk)
		r.release()
		if err != nil {
			c.lib.cancelQuery(*c.handle, s.handle)
			return err
		}
	}
}

// classify parses statements without running them.
func (c *conn) classify(statement string) analysis {
	a := analysis{structSize: uint32(unsafe.Sizeof(analysis{}))}
	if c.lib.classify(*c.handle, text(statement), uintptr(len(statement)), nil, 0, &a) != 0 {
		return analysis{queryClass: classUnknown}
	}
	runtime.KeepAlive(statement)
	return a
}

// insertStream is an INSERT that takes its data in pieces.
type insertStream struct {
	lib    *library
	handle uintptr
}

// insert begins an INSERT whose data, in the format, follows by append. The statement carries
// neither a FORMAT clause nor data.
func (c *conn) insert(statement, format string, ps []param) (*insertStream, error) {
	p := layOut(ps)
	handle := c.lib.insert(*c.handle, text(statement), uintptr(len(statement)), text(format), uintptr(len(format)),
		unsafe.SliceData(p.names), unsafe.SliceData(p.nameLens), unsafe.SliceData(p.values), unsafe.SliceData(p.valueLens), uintptr(len(ps)))
	runtime.KeepAlive(statement)
	runtime.KeepAlive(format)
	runtime.KeepAlive(ps)
	runtime.KeepAlive(p)
	if message := c.lib.insertError(handle); message != "" {
		c.lib.insertDestroy(handle)
		return nil, newException(message)
	}
	return &insertStream{c.lib, handle}, nil
}

func (s *insertStream) append(data []byte) error {
	if len(data) == 0 || s.lib.insertAppend(s.handle, &data[0], uintptr(len(data))) == 0 {
		return nil
	}
	return newException(s.lib.insertError(s.handle))
}

// done commits what was appended and returns the number of rows written.
func (s *insertStream) done() (rows uint64, err error) {
	r, err := s.lib.take(s.lib.insertDone(s.handle))
	if err != nil {
		return 0, err
	}
	defer r.release()
	return s.lib.resultRowsWritten(r.handle), nil
}

func (s *insertStream) cancel()  { s.lib.insertCancel(s.handle) }
func (s *insertStream) release() { s.lib.insertDestroy(s.handle) }
