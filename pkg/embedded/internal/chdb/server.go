package chdb

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/ch-go/compress"

	"flywheel/pkg/embedded/internal/local"
)

// requestsMax bounds the queries that run at once; further ones wait their turn.
const requestsMax = 64

// Engine is a running ClickHouse engine that answers over HTTP.
type Engine struct {
	lib      *library
	path     string
	user     string
	password string
	database string
	version  string
	keeper   *conn // open for the engine's whole life

	server *http.Server
	cancel context.CancelFunc // stops what runs
	slots  chan struct{}
	serial atomic.Uint64 // numbers requests, for KILL QUERY
	active sync.WaitGroup
}

// Options of an engine.
type Options struct {
	Library  string // path of the libchdb file
	Data     string // data folder, created if absent; one per process
	User     string
	Password string
	Database string // created if absent; used by requests that name none
	Renew    bool   // whether to drop that database first
	KeepFree int64  // bytes of the disk that it leaves free
}

// Start boots the engine and serves it on the listener until Close.
func Start(o Options, listener net.Listener) (*Engine, error) {
	lib, err := load(o.Library)
	if err != nil {
		return nil, err
	}
	base, cancel := context.WithCancel(context.Background())
	e := &Engine{
		lib: lib, path: o.Data, user: o.User, password: o.Password, database: o.Database,
		cancel: cancel, slots: make(chan struct{}, requestsMax),
	}
	err = e.writeSettings(o.KeepFree)
	if err == nil {
		err = e.boot(o.Renew)
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start the ClickHouse engine on %q: %w", o.Data, err)
	}
	e.server = &http.Server{
		Handler:           local.Only(e),
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    headerBytesMax,
	}
	go func() { _ = e.server.Serve(listener) }() // always ends in ErrServerClosed
	return e, nil
}

func (e *Engine) boot(renew bool) error {
	keeper, err := e.connect()
	if err != nil {
		return err
	}
	if renew {
		if err := keeper.exec("DROP DATABASE IF EXISTS " + quoteName(e.database) + " SYNC"); err != nil {
			keeper.close()
			return err
		}
	}
	err = keeper.exec("CREATE DATABASE IF NOT EXISTS " + quoteName(e.database))
	var version result
	if err == nil {
		version, err = keeper.query("SELECT version()", "TabSeparatedRaw", nil)
	}
	if err != nil {
		keeper.close()
		return err
	}
	e.version = strings.TrimSpace(string(version.bytes()))
	version.release()
	e.keeper = keeper
	return nil
}

// connect opens a connection. The engine's own log, which it writes to the process's standard error
// where that is a terminal, is off.
func (e *Engine) connect() (*conn, error) {
	return e.lib.open("--path="+e.path, "--log-level=none", "--config-file="+e.settings())
}

// settings is the file of the engine's own settings, in its data folder.
func (e *Engine) settings() string { return filepath.Join(e.path, "flywheel.xml") }

// writeSettings has the engine refuse inserts and merges while less space than that is left: one
// that the end of the disk cuts short can leave a part that cannot be read.
func (e *Engine) writeSettings(keepFree int64) error {
	if err := os.MkdirAll(e.path, 0o750); err != nil {
		return fmt.Errorf("create the ClickHouse data folder: %w", err)
	}
	text := fmt.Sprintf("<clickhouse><storage_configuration><disks><default><keep_free_space_bytes>%d</keep_free_space_bytes></default></disks></storage_configuration></clickhouse>\n", keepFree)
	if err := os.WriteFile(e.settings(), []byte(text), 0o640); err != nil {
		return fmt.Errorf("write the ClickHouse settings: %w", err)
	}
	return nil
}

// Version of the engine, such as "26.7.2.1".
func (e *Engine) Version() string { return e.version }

// Close lets running requests finish until ctx ends, cancels what is left and stops the engine.
func (e *Engine) Close(ctx context.Context) error {
	err := e.server.Shutdown(ctx)
	e.cancel()
	if err != nil {
		err = fmt.Errorf("drain running ClickHouse queries: %w", errors.Join(err, e.server.Close()))
	}
	e.active.Wait()
	e.keeper.close()
	return err
}

// ServeHTTP speaks ClickHouse's HTTP protocol.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.active.Add(1)
	defer e.active.Done()
	h := w.Header()
	h.Set("X-ClickHouse-Server-Display-Name", "flywheel")
	switch {
	case r.URL.Path == "/ping" || r.URL.Path == "/replicas_status", r.URL.Path == "/" && r.Method != http.MethodPost && !r.URL.Query().Has("query"):
		h.Set("Content-Type", "text/html; charset=UTF-8")
		_, _ = io.WriteString(w, "Ok.\n")
		return
	case r.URL.Path != "/":
		http.Error(w, "There is no handle "+r.URL.Path+"\nUse / or /ping for health checks.", http.StatusNotFound)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
		h.Set("Allow", "GET, HEAD, POST")
		http.Error(w, "use GET or POST", http.StatusMethodNotAllowed)
		return
	}
	q := &request{engine: e, w: w, r: r, form: r.URL.Query()}
	q.id = cmp.Or(q.form.Get("query_id"), newID())
	h.Set("X-ClickHouse-Query-Id", q.id)
	h.Set("X-ClickHouse-Timezone", "UTC")
	if err := q.serve(); err != nil {
		q.fail(err)
	}
}

// request is one query over HTTP.
type request struct {
	engine  *Engine
	w       http.ResponseWriter
	r       *http.Request
	form    url.Values
	id      string
	comment string // the log_comment that finds the query in system.processes
	conn    *conn
	frames  *compress.Writer // set if the client asked for compressed frames
	started bool             // the status line is out
	tag     string           // marks an exception inside the body
}

func (q *request) serve() error {
	if err := q.authenticate(); err != nil {
		return err
	}
	if err := q.chooseCompression(); err != nil {
		return err
	}
	if strings.HasPrefix(q.r.Header.Get("Content-Type"), "multipart/form-data") {
		return exceptionf(codeNotImplemented, "the embedded engine takes no external tables or form uploads: insert into a temporary table name of your own instead")
	}
	body, err := requestBody(q.w, q.r)
	if err != nil {
		return err
	}
	stmt, data, err := q.statement(body)
	if err != nil {
		return err
	}
	if q.isHello(stmt.text) {
		return q.write(q.engine.hello(q.protocol()))
	}
	select {
	case q.engine.slots <- struct{}{}:
		defer func() { <-q.engine.slots }()
	case <-q.r.Context().Done():
		return exceptionf(codeQueryWasCancelled, "the client went away before the query started")
	}
	if q.conn, err = q.engine.connect(); err != nil {
		return exceptionf(codeStdException, "%v", err)
	}
	defer q.conn.close()
	if err := q.prepare(); err != nil {
		return err
	}
	defer q.watch()()
	if stmt.insert {
		return q.insert(stmt, data)
	}
	return q.query(stmt)
}

// authenticate accepts user and password by basic authentication, headers or parameters.
func (q *request) authenticate() error {
	user, password, given := q.r.BasicAuth()
	if h := q.r.Header; h.Get("X-ClickHouse-User") != "" || h.Get("X-ClickHouse-Key") != "" {
		user, password, given = h.Get("X-ClickHouse-User"), h.Get("X-ClickHouse-Key"), true
	} else if !given && (q.form.Has("user") || q.form.Has("password")) {
		user, password, given = q.form.Get("user"), q.form.Get("password"), true
	}
	userRight := subtle.ConstantTimeCompare([]byte(user), []byte(q.engine.user))
	if given && userRight&subtle.ConstantTimeCompare([]byte(password), []byte(q.engine.password)) == 1 {
		return nil
	}
	if !given {
		q.w.Header().Set("WWW-Authenticate", `Basic realm="ClickHouse server HTTP API"`)
		return exceptionf(codeRequiredPassword, "Password required for the embedded ClickHouse: give user and password. (REQUIRED_PASSWORD)")
	}
	return exceptionf(codeAuthenticationFailed, "%s: Authentication failed: password is incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)", user)
}

// chooseCompression prepares compressed frames if the client asked for them.
func (q *request) chooseCompression() error {
	if q.form.Get("compress") != "1" {
		return nil
	}
	switch method := strings.ToUpper(cmp.Or(q.form.Get("network_compression_method"), "LZ4")); method {
	case "LZ4":
		q.frames = compress.NewWriter(compress.LevelZero, compress.LZ4)
	case "ZSTD":
		q.frames = compress.NewWriter(compress.LevelZero, compress.ZSTD)
	case "NONE":
		q.frames = compress.NewWriter(compress.LevelZero, compress.None)
	default:
		return exceptionf(codeUnknownCompression, "network_compression_method %q is not supported: use LZ4, ZSTD or NONE", method)
	}
	return nil
}

// statement reads the query from the query parameter, the body, or both, and returns what remains of
// the body as data of an INSERT.
func (q *request) statement(body io.Reader) (statement, io.Reader, error) {
	if text := q.form.Get("query"); text != "" {
		stmt := parse(text)
		if stmt.insert {
			return stmt, io.MultiReader(strings.NewReader(stmt.data), body), nil
		}
		rest, err := readAllMax(body, queryBytesMax)
		if err != nil || len(rest) == 0 {
			return stmt, nil, err
		}
		return parse(text + "\n" + string(rest)), nil, nil
	}
	buffered := bufio.NewReaderSize(body, chunkBytes)
	prefix, err := buffered.Peek(chunkBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return statement{}, nil, bodyError(err)
	}
	if stmt := parse(string(prefix)); stmt.insert && (stmt.format != "" || errors.Is(err, io.EOF)) {
		if _, err := buffered.Discard(len(prefix) - len(stmt.data)); err != nil {
			return statement{}, nil, bodyError(err)
		}
		return stmt, buffered, nil
	}
	text, err := readAllMax(buffered, queryBytesMax)
	if err != nil {
		return statement{}, nil, err
	}
	return parse(string(text)), nil, nil
}

func readAllMax(in io.Reader, bytesMax int64) ([]byte, error) {
	all, err := io.ReadAll(io.LimitReader(in, bytesMax+1))
	if err != nil {
		return nil, bodyError(err)
	}
	if int64(len(all)) > bytesMax {
		return nil, exceptionf(codeQueryIsTooLarge, "the query is over %d bytes: send rows as the data of an INSERT … FORMAT", bytesMax)
	}
	return all, nil
}

// reserved are the request parameters that are not settings.
func reserved(name string) bool {
	switch name {
	case "query", "database", "default_format", "client_protocol_version", "compress", "decompress", "user", "password", "query_id",
		"session_id", "session_timeout", "session_check", "close_session", "quota_key", "role", "stacktrace", "buffer_size", "wait_end_of_query",
		"http_native_compression_disable_checksumming_on_decompress", "log_comment":
		return true
	}
	return strings.HasPrefix(name, "param_")
}

// prepare applies the database and settings of the request to its connection.
func (q *request) prepare() error {
	q.comment = strings.TrimSpace(q.form.Get("log_comment") + " flywheel-" + strconv.FormatUint(q.engine.serial.Add(1), 10))
	set := "SET implicit_select = 0, session_timezone = 'UTC', log_comment = " + quoteText(q.comment)
	for _, name := range sortedKeys(q.form) {
		if !reserved(name) {
			set += ", " + quoteName(name) + " = " + quoteText(q.form.Get(name))
		}
	}
	if err := q.conn.exec(set); err != nil {
		return err
	}
	database := cmp.Or(q.form.Get("database"), q.r.Header.Get("X-ClickHouse-Database"), q.engine.database)
	return q.conn.exec("USE " + quoteName(database))
}

// watch kills the query when the client goes away, which the engine does not notice by itself. The
// query may not be listed yet, so it asks again until the returned stop function is called.
func (q *request) watch() (stop func()) {
	done := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-done:
			return
		case <-q.r.Context().Done():
		}
		for {
			_ = q.engine.kill(q.comment) // asked again below
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	return func() {
		close(done)
		watcher.Wait()
	}
}

func (e *Engine) kill(comment string) error {
	c, err := e.connect()
	if err != nil {
		return err
	}
	defer c.close()
	return c.exec("KILL QUERY WHERE Settings['log_comment'] = " + quoteText(comment) + " ASYNC")
}

func (q *request) params() []param {
	var ps []param
	for _, key := range sortedKeys(q.form) {
		if name, ok := strings.CutPrefix(key, "param_"); ok {
			ps = append(ps, param{name, q.form.Get(key)})
		}
	}
	return ps
}

// insert streams the body into the table; a body that does not end properly inserts nothing.
func (q *request) insert(stmt statement, data io.Reader) error {
	if rest := trailing(stmt.data); stmt.format == "Values" && rest != "" {
		return multiStatements(rest)
	}
	if q.r.Method != http.MethodPost {
		return readOnly()
	}
	format := cmp.Or(stmt.format, q.form.Get("default_format"), q.r.Header.Get("X-ClickHouse-Format"), "Values")
	stream, err := q.conn.insert(stmt.head, format, q.params())
	if err != nil {
		return err
	}
	defer stream.release()
	chunk := make([]byte, chunkBytes)
	for {
		n, err := fill(data, chunk)
		if appendErr := stream.append(chunk[:n]); appendErr != nil {
			return appendErr
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			stream.cancel()
			return bodyError(err)
		}
	}
	rows, err := stream.done()
	if err != nil {
		return err
	}
	q.w.Header().Set("X-ClickHouse-Summary", fmt.Sprintf(`{"written_rows":"%d"}`, rows))
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// fill reads until the chunk is full. Unlike io.ReadFull it passes a truncation on as it is.
func fill(in io.Reader, chunk []byte) (n int, err error) {
	for n < len(chunk) && err == nil {
		var m int
		m, err = in.Read(chunk[n:])
		n += m
	}
	return n, err
}

// query runs anything but an INSERT with data.
func (q *request) query(stmt statement) error {
	analysis := q.conn.classify(stmt.text)
	if analysis.statementCount > 1 {
		return multiStatements(stmt.text)
	}
	if strings.TrimSpace(stmt.head) == "" {
		return exceptionf(codeSyntaxError, "Empty query. (SYNTAX_ERROR)")
	}
	if q.r.Method != http.MethodPost && analysis.statementCount == 1 && analysis.queryClass != classReadOnly {
		return readOnly()
	}
	format := cmp.Or(stmt.format, q.form.Get("default_format"), q.r.Header.Get("X-ClickHouse-Format"), "TabSeparated")
	q.w.Header().Set("X-ClickHouse-Format", format)
	q.w.Header().Set("Content-Type", contentType(format))

	if analysis.queryClass == classReadOnly && concatenable(format) {
		err := q.conn.stream(stmt.text, format, q.params(), q.write)
		var exception *Exception
		if !errors.As(err, &exception) || q.started || !strings.Contains(exception.Message, "Streaming query is not supported") {
			if err == nil && !q.started {
				return q.writeHeader(stmt, format)
			}
			return err
		}
	}
	r, err := q.conn.query(stmt.text, format, q.params())
	if err != nil {
		return err
	}
	defer r.release()
	if out := r.bytes(); len(out) > 0 {
		return q.write(out)
	}
	if analysis.queryClass != classReadOnly {
		q.w.WriteHeader(http.StatusOK)
		return nil
	}
	return q.writeHeader(stmt, format)
}

// concatenable reports whether the pieces of a streamed result add up to a whole one: a streamed
// chunk of any other format is a document of its own, with its own header.
func concatenable(format string) bool {
	switch format {
	case "Native", "TabSeparated", "TSV", "TabSeparatedRaw", "TSVRaw", "CSV", "RowBinary", "Null",
		"JSONEachRow", "JSONLines", "NDJSON", "JSONCompactEachRow", "JSONStringsEachRow":
		return true
	}
	return false
}

// writeHeader answers a query without rows. In Native, where the engine writes nothing, the client
// still needs the columns: an empty block is built from DESCRIBE TABLE (query).
func (q *request) writeHeader(stmt statement, format string) error {
	if format != "Native" {
		q.w.WriteHeader(http.StatusOK)
		return nil
	}
	r, err := q.conn.query("DESCRIBE TABLE (\n"+stmt.head+"\n)", "RowBinary", q.params())
	if err != nil { // SHOW and its like cannot be described: no rows and no columns then
		q.w.WriteHeader(http.StatusOK)
		return nil
	}
	defer r.release()
	columns, err := describedColumns(r.bytes())
	if err != nil {
		return err
	}
	block := appendUvarint(appendUvarint(nil, len(columns)/2), 0)
	for _, s := range columns {
		block = appendString(block, s)
	}
	return q.write(block)
}

// describedColumns returns name and type of each column, alternating, from DESCRIBE's RowBinary.
func describedColumns(rows []byte) ([]string, error) {
	const fields = 7 // name, type, default_type, default_expression, comment, codec_expression, ttl_expression
	var columns []string
	for field := 0; len(rows) > 0; field = (field + 1) % fields {
		s, rest, ok := cutString(rows)
		if !ok {
			return nil, exceptionf(codeStdException, "cannot read the engine's description of the query's columns")
		}
		if field < 2 {
			columns = append(columns, s)
		}
		rows = rest
	}
	return columns, nil
}

// isHello recognises clickhouse-go's handshake. libchdb writes Native at revision 0 whatever the
// client asks, so the answer says revision 0 and every later block is read as what it is.
func (q *request) isHello(text string) bool {
	return q.protocol() > 0 && strings.TrimSpace(text) == "SELECT displayName(), version(), revision(), timezone()"
}

func (q *request) protocol() int {
	revision, _ := strconv.Atoi(q.form.Get("client_protocol_version")) // 0 if absent or no number
	return revision
}

// hello is one Native block at the client's revision, which it uses for this answer only.
func (e *Engine) hello(revision int) []byte {
	const customSerialization = 54454
	block := []byte{1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0} // block info: no overflow row, bucket -1
	block = appendUvarint(appendUvarint(block, 4), 1)
	for _, column := range []struct {
		name, kind string
		value      []byte
	}{
		{"displayName()", "String", appendString(nil, "flywheel")},
		{"version()", "String", appendString(nil, e.version)},
		{"revision()", "UInt32", []byte{0, 0, 0, 0}},
		{"timezone()", "String", appendString(nil, "UTC")},
	} {
		block = appendString(appendString(block, column.name), column.kind)
		if revision >= customSerialization {
			block = append(block, 0)
		}
		block = append(block, column.value...)
	}
	return block
}

// write sends a piece of the result, compressed if asked.
func (q *request) write(piece []byte) error {
	if !q.started {
		q.started = true
		q.tag = newID()[:16]
		q.w.Header().Set("X-ClickHouse-Exception-Tag", q.tag)
	}
	for len(piece) > 0 {
		part := piece[:min(len(piece), chunkBytes)]
		piece = piece[len(part):]
		if q.frames != nil {
			if err := q.frames.Compress(part); err != nil {
				return exceptionf(codeStdException, "compress the result: %v", err)
			}
			part = q.frames.Data
		}
		control := http.NewResponseController(q.w)
		err := control.SetWriteDeadline(time.Now().Add(pieceTimeout))
		if err == nil {
			_, err = q.w.Write(part)
		}
		if err = errors.Join(err, control.SetWriteDeadline(time.Time{})); err != nil {
			return exceptionf(codeQueryWasCancelled, "the client went away: %v", err)
		}
	}
	return nil
}

// fail answers with the exception: as status, header and body, or framed inside a body that has
// already begun, which is then cut off so that no client takes it for whole.
func (q *request) fail(err error) {
	var exception *Exception
	if !errors.As(err, &exception) {
		exception = exceptionf(codeStdException, "%v", err)
	}
	text := exception.Message
	if !strings.Contains(text, "(version ") {
		text += fmt.Sprintf(" (version %s)", q.engine.version)
	}
	text += "\n"
	if q.started {
		_, _ = fmt.Fprintf(q.w, "\r\n__exception__\r\n%s\r\n%s%d %s\r\n__exception__\r\n", q.tag, text, len(text), q.tag)
		_ = http.NewResponseController(q.w).Flush()
		panic(http.ErrAbortHandler)
	}
	h := q.w.Header()
	h.Set("X-ClickHouse-Exception-Code", strconv.Itoa(exception.Code))
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	q.w.WriteHeader(httpStatus(exception.Code))
	out := []byte(text)
	if q.frames != nil && q.frames.Compress(out) == nil {
		out = q.frames.Data
	}
	_, _ = q.w.Write(out)
}

func multiStatements(rest string) error {
	return exceptionf(codeSyntaxError, "Syntax error (Multi-statements are not allowed): send one statement a request: %.80s. (SYNTAX_ERROR)", rest)
}

func readOnly() error {
	return exceptionf(codeReadOnly, "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. You should use method POST for modifying queries. (READONLY)")
}

// httpStatus maps ClickHouse's error codes as its server does.
func httpStatus(code int) int {
	switch code {
	case codeRequiredPassword:
		return http.StatusUnauthorized
	case codeAuthenticationFailed, 192, 193, 497:
		return http.StatusForbidden
	case 6, 15, 16, 25, 26, 27, 32, codeCannotReadAllData, 36, 38, 41, 42, 43, 44, 53, 57, codeSyntaxError, 69, 70, 72, 130, 131, codeReadOnly, 321, codeUnknownCompression, 441, 456, 457, 473, 492:
		return http.StatusBadRequest
	case 46, 47, 50, 56, 60, codeUnknownFormat, 81, 115:
		return http.StatusNotFound
	case codeQueryIsTooLarge:
		return http.StatusRequestEntityTooLarge
	case codeNotImplemented:
		return http.StatusNotImplemented
	case codeQueryWasCancelled:
		return 499 // the client closed the request; nobody reads this
	}
	return http.StatusInternalServerError
}

func contentType(format string) string {
	switch {
	case strings.HasPrefix(format, "JSON"):
		return "application/json; charset=UTF-8"
	case strings.HasPrefix(format, "CSV"):
		return "text/csv; charset=UTF-8; header=" + map[bool]string{true: "present", false: "absent"}[strings.Contains(format, "WithNames")]
	case strings.HasPrefix(format, "TabSeparated"), strings.HasPrefix(format, "TSV"):
		return "text/tab-separated-values; charset=UTF-8"
	case format == "XML":
		return "application/xml; charset=UTF-8"
	case strings.HasPrefix(format, "Pretty"), format == "Vertical", format == "Markdown", format == "Values":
		return "text/plain; charset=UTF-8"
	}
	return "application/octet-stream"
}

func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	s := hex.EncodeToString(id[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

func quoteText(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", `\0`).Replace(s) + "'"
}

func quoteName(s string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`", "\x00", `\0`).Replace(s) + "`"
}

func sortedKeys(form url.Values) []string {
	keys := make([]string, 0, len(form))
	for key := range form {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
