package simulation

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"flywheel/pkg/clickhouse"
	"flywheel/schemas"
)

// warehouse is a ClickHouse that keeps its rows in memory, of equal keys the
// one with the highest version, as ReplacingMergeTree does with FINAL.
type warehouse struct {
	shape map[string]shape

	mu        sync.Mutex
	rows      map[string]map[string]row // by table and key
	away      bool
	swallow   int           // inserts whose rows are taken without an answer
	swallowed func()        // hears of each
	slow      time.Duration // that an insert takes
	inserted  int           // rows in all, with those that were sent again
}

// shape is what a table's migration says of it.
type shape struct {
	columns []clickhouse.Column
	key     []string
	version string
}

// row is what the oracles want to know of one.
type row struct {
	version   int64
	topic     string
	partition int32
	offset    int64
	values    map[string]any
}

var (
	alteration = regexp.MustCompile(`^ALTER TABLE (\w+)\n`)
	addition   = regexp.MustCompile(`^ +ADD COLUMN IF NOT EXISTS ([a-z0-9_]+) (.+?)( DEFAULT .+)? COMMENT `)
	remark     = regexp.MustCompile(`^ +COMMENT COLUMN IF EXISTS `)
	tableName  = regexp.MustCompile(`^CREATE TABLE IF NOT EXISTS (\w+)`)
	columnLine = regexp.MustCompile("^    `?([a-z_.]+)`? (.+?)( DEFAULT .+)? COMMENT ")
	engineLine = regexp.MustCompile(`^ENGINE = ReplacingMergeTree\((\w+)\)`)
	orderLine  = regexp.MustCompile(`^ORDER BY \((.+)\)`)
)

// shapes reads the tables out of the migrations.
func shapes() (map[string]shape, error) {
	files := schemas.ClickHouse()
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	out := make(map[string]shape)
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		if table := alteration.FindSubmatch(text); table != nil {
			s, known := out[string(table[1])]
			understood := false
			for line := range strings.Lines(string(text)) {
				if m := addition.FindStringSubmatch(line); m != nil {
					s.columns = append(s.columns, clickhouse.Column{Name: m[1], Type: m[2]})
					understood = true
				}
				understood = understood || remark.MatchString(line)
			}
			if !known || !understood {
				return nil, fmt.Errorf("migration %s is not understood", name)
			}
			out[string(table[1])] = s
			continue
		}
		table := tableName.FindSubmatch(text)
		if table == nil {
			continue // a view
		}
		var s shape
		for line := range strings.Lines(string(text)) {
			if m := columnLine.FindStringSubmatch(line); m != nil && m[1] != "inserted_at" {
				s.columns = append(s.columns, clickhouse.Column{Name: m[1], Type: m[2]})
			}
			if m := engineLine.FindStringSubmatch(line); m != nil {
				s.version = m[1]
			}
			if m := orderLine.FindStringSubmatch(line); m != nil {
				s.key = strings.Split(m[1], ", ")
			}
		}
		if len(s.columns) == 0 || s.version == "" || len(s.key) == 0 {
			return nil, fmt.Errorf("migration %s is not understood", name)
		}
		out[string(table[1])] = s
	}
	return out, nil
}

func newWarehouse(of map[string]shape) *warehouse {
	w := &warehouse{shape: of, rows: make(map[string]map[string]row)}
	for table := range of {
		w.rows[table] = make(map[string]row)
	}
	return w
}

var errAway = errors.New("ClickHouse does not answer")

// session is one process's connection. What the driver could do besides is not
// asked for by the sink: it would be a nil dereference.
type session struct {
	driver.Conn
	*warehouse
	gone <-chan struct{} // closed when the process was killed
}

func (s *session) reachable() error {
	select {
	case <-s.gone:
		return errAway
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	return nil
}

// Close implements driver.Conn.
func (s *session) Close() error { return nil }

// QueryRow implements driver.Conn: there is a table of migrations.
func (s *session) QueryRow(context.Context, string, ...any) driver.Row {
	return &answer{rows: [][]any{{uint64(1)}}, err: s.reachable()}
}

// Query implements driver.Conn: all migrations were applied, and a table has its
// columns.
func (s *session) Query(_ context.Context, _ string, args ...any) (driver.Rows, error) {
	if err := s.reachable(); err != nil {
		return nil, err
	}
	a := &answer{at: -1}
	if len(args) == 0 {
		for number := range uint32(200) {
			a.rows = append(a.rows, []any{number, "", "", time.Time{}})
		}
		return a, nil
	}
	for _, c := range s.shape[args[0].(string)].columns {
		a.rows = append(a.rows, []any{c.Name, c.Type})
	}
	return a, nil
}

// answer is the rows of a query.
type answer struct {
	driver.Rows
	rows [][]any
	at   int
	err  error
}

func (a *answer) Next() bool           { a.at++; return a.at < len(a.rows) }
func (a *answer) Close() error         { return nil }
func (a *answer) Err() error           { return a.err }
func (a *answer) ScanStruct(any) error { return errors.New("not simulated") }
func (a *answer) Scan(into ...any) error {
	if a.err != nil {
		return a.err
	}
	for i, to := range into {
		reflect.ValueOf(to).Elem().Set(reflect.ValueOf(a.rows[a.at][i]))
	}
	return nil
}

// PrepareBatch implements driver.Conn.
func (s *session) PrepareBatch(ctx context.Context, query string, _ ...driver.PrepareBatchOption) (driver.Batch, error) {
	if err := s.reachable(); err != nil {
		return nil, err
	}
	table, columns, found := strings.Cut(strings.TrimPrefix(query, "INSERT INTO "), " (")
	if !found {
		return nil, fmt.Errorf("%q is not simulated", query)
	}
	b := &insert{session: s, ctx: ctx, table: table}
	for name := range strings.SplitSeq(strings.TrimSuffix(columns, ")"), ", ") {
		b.columns = append(b.columns, &cells{name: strings.Trim(name, "`")})
	}
	return b, nil
}

// insert is a batch.
type insert struct {
	driver.Batch
	*session
	ctx     context.Context
	table   string
	columns []*cells
}

// cells are the values of a column.
type cells struct {
	name   string
	values []any
}

// Append implements driver.BatchColumn. The values are copied: their owner uses
// the memory again.
func (c *cells) Append(v any) error {
	list := reflect.ValueOf(v)
	for i := range list.Len() {
		item := list.Index(i)
		if item.Kind() == reflect.Slice {
			item = reflect.AppendSlice(reflect.MakeSlice(item.Type(), 0, item.Len()), item)
		}
		c.values = append(c.values, item.Interface())
	}
	return nil
}

// AppendRow implements driver.BatchColumn.
func (c *cells) AppendRow(v any) error {
	list := reflect.ValueOf(v)
	c.values = append(c.values, reflect.AppendSlice(reflect.MakeSlice(list.Type(), 0, list.Len()), list).Interface())
	return nil
}

func (b *insert) Column(i int) driver.BatchColumn { return b.columns[i] }
func (b *insert) Close() error                    { return nil }
func (b *insert) Rows() int                       { return len(b.columns[0].values) }

// Send implements driver.Batch.
func (b *insert) Send() error {
	b.mu.Lock()
	slow := b.slow
	b.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-b.gone:
		case <-b.ctx.Done():
			return b.ctx.Err()
		}
	}
	if err := b.reachable(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	shape := b.shape[b.table]
	for i := range b.Rows() {
		r := row{values: make(map[string]any)}
		for _, c := range b.columns {
			if len(c.values) != b.Rows() {
				return fmt.Errorf("column %s of %s has %d values, not %d", c.name, b.table, len(c.values), b.Rows())
			}
			r.values[c.name] = c.values[i]
		}
		var key strings.Builder
		for _, name := range shape.key {
			fmt.Fprint(&key, r.values[name], "|")
		}
		r.version = r.values[shape.version].(int64)
		r.topic, r.partition, r.offset = r.values["kafka_topic"].(string), r.values["kafka_partition"].(int32), r.values["kafka_offset"].(int64)
		if old, ok := b.rows[b.table][key.String()]; !ok || old.version <= r.version {
			b.rows[b.table][key.String()] = r
		}
		b.inserted++
	}
	if b.swallow > 0 {
		b.swallow--
		b.swallowed()
		return fmt.Errorf("%w: it died", errAway)
	}
	return nil
}
