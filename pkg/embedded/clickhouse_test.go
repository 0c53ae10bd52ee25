package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
	"golang.org/x/sync/errgroup"

	"flywheel/pkg/testkit"
)

func TestClickHouseTypesSurviveTheRoundTrip(t *testing.T) {
	conn, _ := testkit.ClickHouse(t)
	ctx := t.Context()
	instant := time.Date(2026, 3, 4, 5, 6, 7, 891_000_000, time.UTC)
	id := uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
	null := "set"
	for name, c := range map[string]struct {
		kind  string
		value any
	}{
		"an unsigned byte":         {"UInt8", uint8(255)},
		"a negative long":          {"Int64", int64(-1 << 62)},
		"a 128-bit fixed string":   {"FixedString(16)", "0123456789abcdef"},
		"a string with any bytes":  {"String", "a\x00b\xffc\n\n'\\"},
		"a UUID":                   {"UUID", id},
		"a low-cardinality string": {"LowCardinality(String)", "tiktok"},
		"milliseconds in UTC":      {"DateTime64(3, 'UTC')", instant},
		"seconds without a zone":   {"DateTime", instant.Truncate(time.Second)},
		"a date":                   {"Date", time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)},
		"an array of floats":       {"Array(Float32)", []float32{1.5, -2.25, 0}},
		"an empty array":           {"Array(Float32)", []float32{}},
		"a map":                    {"Map(String, UInt64)", map[string]uint64{"a": 1, "b": 2}},
		"null":                     {"Nullable(String)", (*string)(nil)},
		"not null":                 {"Nullable(String)", &null},
		"a decimal":                {"Decimal(18, 6)", decimal.RequireFromString("-12345.678901")},
		"an enumeration":           {"Enum8('provisional' = 1, 'settled' = 2)", "settled"},
		"a boolean":                {"Bool", true},
		"an array of arrays":       {"Array(Array(Int64))", [][]int64{{1, 2}, {}, {3}}},
		"low cardinality and null": {"LowCardinality(Nullable(String))", &null},
		"a double":                 {"Float64", 0.1},
		"an array of enumerations": {"Array(LowCardinality(String))", []string{"a", "b", "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			table := "t" + strings.Map(func(c rune) rune {
				if c == ' ' || c == '-' {
					return '_'
				}
				return c
			}, name)
			must(t, conn.Exec(ctx, fmt.Sprintf("CREATE TABLE %s (v %s) ENGINE = MergeTree ORDER BY tuple()", table, c.kind)))
			batch, err := conn.PrepareBatch(ctx, "INSERT INTO "+table+" (v)")
			must(t, err)
			must(t, batch.Append(c.value))
			must(t, batch.Send())
			got := reflect.New(reflect.TypeOf(c.value))
			must(t, conn.QueryRow(ctx, "SELECT v FROM "+table).Scan(got.Interface()))
			if !equal(got.Elem().Interface(), c.value) {
				t.Errorf("%s: wrote %v, read %v", c.kind, c.value, got.Elem().Interface())
			}
		})
	}
}

func equal(a, b any) bool {
	switch a := a.(type) {
	case time.Time:
		return a.Equal(b.(time.Time))
	case decimal.Decimal:
		return a.Equal(b.(decimal.Decimal))
	}
	return reflect.DeepEqual(a, b)
}

func TestClickHouseKeepsTheLastVersionUnderFinal(t *testing.T) {
	conn, _ := testkit.ClickHouse(t)
	ctx := t.Context()
	must(t, conn.Exec(ctx, "CREATE TABLE r (k UInt32, v String, version UInt64) ENGINE = ReplacingMergeTree(version) ORDER BY k"))
	for version := range 3 {
		batch, err := conn.PrepareBatch(ctx, "INSERT INTO r")
		must(t, err)
		must(t, batch.Append(uint32(7), fmt.Sprint("v", version), uint64(version)))
		must(t, batch.Send())
	}
	var value string
	must(t, conn.QueryRow(ctx, "SELECT v FROM r FINAL").Scan(&value))
	if value != "v2" {
		t.Errorf("FINAL gives %q, not the last version", value)
	}
}

func TestClickHouseInsertsABigBatch(t *testing.T) {
	conn, dsn := testkit.ClickHouse(t)
	ctx := t.Context()
	const rows = 100_000
	must(t, conn.Exec(ctx, "CREATE TABLE big (n UInt64, s String, at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY n"))
	for name, method := range map[string]clickhouse.CompressionMethod{
		"plain": clickhouse.CompressionNone, "lz4": clickhouse.CompressionLZ4, "zstd": clickhouse.CompressionZSTD, "gzip": clickhouse.CompressionGZIP,
	} {
		t.Run(name, func(t *testing.T) {
			conn := connect(t, dsn, func(o *clickhouse.Options) { o.Compression = &clickhouse.Compression{Method: method, Level: 3} })
			must(t, conn.Exec(ctx, "TRUNCATE TABLE big"))
			batch, err := conn.PrepareBatch(ctx, "INSERT INTO big")
			must(t, err)
			for n := range rows {
				must(t, batch.Append(uint64(n), fmt.Sprint("row\n\n", n), time.UnixMilli(int64(n))))
			}
			must(t, batch.Send())
			var count, sum uint64
			must(t, conn.QueryRow(ctx, "SELECT count(), sum(n) FROM big").Scan(&count, &sum))
			if count != rows || sum != rows*(rows-1)/2 {
				t.Errorf("%d rows adding up to %d", count, sum)
			}
			result, err := conn.Query(ctx, "SELECT n, s FROM big ORDER BY n")
			must(t, err)
			defer result.Close()
			read := uint64(0)
			for ; result.Next(); read++ {
				var n uint64
				var s string
				must(t, result.Scan(&n, &s))
				if n != read || s != fmt.Sprint("row\n\n", n) {
					t.Fatalf("row %d reads %d %q", read, n, s)
				}
			}
			must(t, result.Err())
			if read != rows {
				t.Errorf("read %d rows back", read)
			}
		})
	}
}

func TestClickHouseReportsTypedErrors(t *testing.T) {
	conn, dsn := testkit.ClickHouse(t)
	lz4 := connect(t, dsn, func(o *clickhouse.Options) {
		o.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	})
	for name, c := range map[string]struct {
		query  string
		code   int32
		status int
	}{
		"a table that is not there":   {"SELECT * FROM nope", 60, 404},
		"a column that is not there":  {"SELECT nope", 47, 404},
		"a syntax error":              {"SELEC 1", 62, 400},
		"two statements":              {"SELECT 1; SELECT 2", 62, 400},
		"data after the values":       {"INSERT INTO system.one VALUES (1); DROP TABLE x", 62, 400},
		"an unknown function":         {"SELECT nope(1)", 46, 404},
		"an empty query":              {"  -- nothing", 62, 400},
		"an error in the first block": {"SELECT throwIf(1)", 395, 500},
		"an unparsable number":        {"SELECT toUInt8('x')", 6, 400},
	} {
		for compression, conn := range map[string]driver.Conn{"plain": conn, "lz4": lz4} {
			t.Run(name+", "+compression, func(t *testing.T) {
				rows, err := conn.Query(t.Context(), c.query)
				if err == nil {
					_ = rows.Close()
				}
				var exception *clickhouse.Exception
				var status *clickhouse.HTTPError
				if !errors.As(err, &exception) || !errors.As(err, &status) {
					t.Fatalf("no typed exception: %v", err)
				}
				if exception.Code != c.code || status.StatusCode != c.status {
					t.Errorf("code %d, status %d: %v", exception.Code, status.StatusCode, err)
				}
			})
		}
		t.Run(name+", without result", func(t *testing.T) {
			var exception *clickhouse.Exception
			if err := lz4.Exec(t.Context(), c.query); !errors.As(err, &exception) || exception.Code != c.code {
				t.Errorf("no typed exception: %v", err)
			}
		})
	}
}

func TestClickHouseErrorInMidStreamIsNotTakenForTheEnd(t *testing.T) {
	conn, dsn := testkit.ClickHouse(t)
	lz4 := connect(t, dsn, func(o *clickhouse.Options) {
		o.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	})
	for name, conn := range map[string]driver.Conn{"plain": conn, "lz4": lz4} {
		t.Run(name, func(t *testing.T) {
			rows, err := conn.Query(t.Context(), "SELECT throwIf(number = 900000) FROM numbers(1000000) SETTINGS max_threads = 1")
			must(t, err)
			defer rows.Close()
			n := 0
			for rows.Next() {
				n++
			}
			var exception *clickhouse.Exception
			if err := rows.Err(); !errors.As(err, &exception) || exception.Code != 395 {
				t.Errorf("after %d rows: %v", n, err)
			}
		})
	}
	t.Run("raw", func(t *testing.T) {
		response, err := http.Post(dsnURL(t, dsn, nil), "", strings.NewReader("SELECT throwIf(number = 900000) FROM numbers(1000000) SETTINGS max_threads = 1"))
		must(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil {
			t.Error("the body ends as if it were whole")
		}
		if !bytes.Contains(body, []byte("\r\n__exception__\r\n"+response.Header.Get("X-ClickHouse-Exception-Tag")+"\r\nCode: 395.")) {
			t.Errorf("no exception frame at the end of %d bytes", len(body))
		}
	})
}

func TestClickHouseSelectWithoutRowsStillHasColumns(t *testing.T) {
	conn, dsn := testkit.ClickHouse(t)
	lz4 := connect(t, dsn, func(o *clickhouse.Options) {
		o.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	})
	for name, conn := range map[string]driver.Conn{"plain": conn, "lz4": lz4} {
		t.Run(name, func(t *testing.T) {
			rows, err := conn.Query(t.Context(), "SELECT number AS n, {s:String} AS s FROM numbers(10) WHERE n > 10 -- none\n;", clickhouse.Named("s", "x"))
			must(t, err)
			defer rows.Close()
			if got := rows.Columns(); !reflect.DeepEqual(got, []string{"n", "s"}) {
				t.Errorf("columns %v", got)
			}
			if rows.Next() {
				t.Error("a row")
			}
			must(t, rows.Err())
		})
	}
	tables, err := conn.Query(t.Context(), "SHOW TABLES LIKE 'nope'")
	must(t, err)
	defer tables.Close()
	if tables.Next() {
		t.Error("a table")
	}
	must(t, tables.Err())
}

func TestClickHouseTakesParametersAndSettings(t *testing.T) {
	conn, dsn := testkit.ClickHouse(t)
	text := "it's \\ a \"test\"\twith\nlines {x:String}"
	var got string
	var sum uint64
	must(t, conn.QueryRow(t.Context(), "SELECT {text:String}, {a:UInt64} + {b:UInt64}",
		clickhouse.Named("text", text), clickhouse.Named("a", "40"), clickhouse.Named("b", "2")).Scan(&got, &sum))
	if got != text || sum != 42 {
		t.Errorf("got %q and %d", got, sum)
	}
	must(t, conn.QueryRow(t.Context(), "SELECT ?", text).Scan(&got))
	if got != text {
		t.Errorf("bound %q", got)
	}
	settings := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"max_block_size": 17}))
	must(t, conn.QueryRow(settings, "SELECT toUInt64(getSetting('max_block_size'))").Scan(&sum))
	if sum != 17 {
		t.Errorf("the setting reads %d", sum)
	}
	unknown := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"no_such_setting": 1}))
	var exception *clickhouse.Exception
	if err := conn.QueryRow(unknown, "SELECT 1").Scan(&sum); !errors.As(err, &exception) || exception.Code != 115 {
		t.Errorf("unknown setting: %v", err)
	}
	must(t, conn.Ping(t.Context()))
	version, err := conn.ServerVersion()
	must(t, err)
	if version.Version.Major < 26 {
		t.Errorf("version %v", version)
	}
	missing := connect(t, strings.Replace(dsn, "/test_", "/no_test_", 1), nil)
	if err := missing.QueryRow(t.Context(), "SELECT 1").Scan(&sum); !errors.As(err, &exception) || exception.Code != 81 {
		t.Errorf("unknown database: %v", err)
	}
}

func TestClickHouseRefusesAWrongPassword(t *testing.T) {
	_, dsn := testkit.ClickHouse(t)
	conn := connect(t, dsn, func(o *clickhouse.Options) { o.Auth.Password = "guess" })
	var exception *clickhouse.Exception
	if err := conn.Ping(t.Context()); !errors.As(err, &exception) || exception.Code != 516 {
		t.Errorf("got %v", err)
	}
	parsed, err := url.Parse(dsn)
	must(t, err)
	for name, c := range map[string]struct {
		header http.Header
		query  url.Values
		status int
	}{
		"nothing":           {nil, nil, 401},
		"headers":           {http.Header{"X-Clickhouse-User": {"flywheel"}, "X-Clickhouse-Key": {"flywheel"}}, nil, 200},
		"wrong headers":     {http.Header{"X-Clickhouse-User": {"flywheel"}, "X-Clickhouse-Key": {"x"}}, nil, 403},
		"parameters":        {nil, url.Values{"user": {"flywheel"}, "password": {"flywheel"}}, 200},
		"wrong parameters":  {nil, url.Values{"user": {"root"}, "password": {"flywheel"}}, 403},
		"an empty password": {nil, url.Values{"user": {"flywheel"}}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			query := url.Values{"query": {"SELECT 1"}}
			for key, values := range c.query {
				query[key] = values
			}
			request, err := http.NewRequest(http.MethodGet, "http://"+parsed.Host+"/?"+query.Encode(), nil)
			must(t, err)
			request.Header = c.header
			response, err := http.DefaultClient.Do(request)
			must(t, err)
			defer response.Body.Close()
			if response.StatusCode != c.status {
				t.Errorf("status %d", response.StatusCode)
			}
		})
	}
}

func TestClickHouseSpeaksPlainHTTP(t *testing.T) {
	conn, dsn := testkit.ClickHouse(t)
	must(t, conn.Exec(t.Context(), "CREATE TABLE h (n UInt32, s String) ENGINE = MergeTree ORDER BY n"))
	for _, c := range []struct {
		name   string
		method string
		query  url.Values
		body   string
		status int
		want   string
	}{
		{"a query in the body", "POST", nil, "SELECT 1 + 1", 200, "2\n"},
		{"a query in the address", "GET", url.Values{"query": {"SELECT 'a', 2"}}, "", 200, "a\t2\n"},
		{"a query in both", "POST", url.Values{"query": {"SELECT 1,"}}, "2 FORMAT CSV", 200, "1,2\n"},
		{"a format by parameter", "POST", url.Values{"default_format": {"JSONEachRow"}}, "SELECT 1 AS x", 200, "{\"x\":1}\n"},
		{"a format whose documents cannot be joined", "POST", nil, "SELECT count() FROM (SELECT number FROM numbers(200000)) FORMAT CSVWithNames", 200, "\"count()\"\n200000\n"},
		{"a streamed format with one header", "POST", nil, "SELECT number FROM numbers(200000) WHERE number % 100000 = 0 FORMAT CSVWithNames", 200, "\"number\"\n0\n100000\n"},
		{"writing by GET", "GET", url.Values{"query": {"DROP TABLE h"}}, "", 400, "Code: 164."},
		{"rows in the body", "POST", url.Values{"query": {"INSERT INTO h FORMAT TabSeparated"}}, "1\ta\n\n", 400, "Code: 27."},
		{"good rows in the body", "POST", url.Values{"query": {"INSERT INTO h FORMAT TabSeparated"}}, "1\ta\n2\tb\n", 200, ""},
		{"statement and rows in the body", "POST", nil, "INSERT INTO h FORMAT CSV\n3,\"c\n\nc\"\n", 200, ""},
		{"values with expressions and blank lines", "POST", nil, "INSERT INTO h VALUES (4, concat('d', 'd')),\n\n(5, ';');", 200, ""},
		{"a statement that carries its rows", "POST", nil, "INSERT INTO h SELECT 6, 'f'", 200, ""},
		{"what the inserts left", "POST", nil, "SELECT n, s FROM h ORDER BY n FORMAT CSV", 200, "1,\"a\"\n2,\"b\"\n3,\"c\n\nc\"\n4,\"dd\"\n5,\";\"\n6,\"f\"\n"},
		{"an upload", "POST", url.Values{"query": {"SELECT 1"}, "type": {"form"}}, "", 404, "Code: 115."},
	} {
		t.Run(c.name, func(t *testing.T) {
			request, err := http.NewRequest(c.method, dsnURL(t, dsn, c.query), strings.NewReader(c.body))
			must(t, err)
			response, err := http.DefaultClient.Do(request)
			must(t, err)
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			must(t, err)
			if response.StatusCode != c.status || !strings.HasPrefix(string(body), c.want) || c.status == 200 && string(body) != c.want {
				t.Errorf("status %d, body %q", response.StatusCode, body)
			}
		})
	}
}

func TestClickHouseTruncatedBodyInsertsNothing(t *testing.T) {
	conn, dsn := testkit.ClickHouse(t)
	must(t, conn.Exec(t.Context(), "CREATE TABLE cut (n UInt32) ENGINE = MergeTree ORDER BY n"))
	parsed, err := url.Parse(dsn)
	must(t, err)
	for name, send := range map[string]string{
		"a chunked body without its end": "Transfer-Encoding: chunked\r\n\r\n4\r\n1\n2\n\r\n",
		"less than its length":           "Content-Length: 100\r\n\r\n1\n2\n",
	} {
		t.Run(name, func(t *testing.T) {
			client, err := net.Dial("tcp", parsed.Host)
			must(t, err)
			defer client.Close()
			_, err = fmt.Fprintf(client, "POST /?database=%s&user=flywheel&password=flywheel&query=INSERT+INTO+cut+FORMAT+TSV HTTP/1.1\r\nHost: localhost\r\n%s", strings.TrimPrefix(parsed.Path, "/"), send)
			must(t, err)
			must(t, client.(*net.TCPConn).CloseWrite())
			answer, err := io.ReadAll(client)
			must(t, err)
			if !bytes.HasPrefix(answer, []byte("HTTP/1.1 400")) || !bytes.Contains(answer, []byte("Code: 33.")) {
				t.Errorf("answer %.300q", answer)
			}
			var count uint64
			must(t, conn.QueryRow(t.Context(), "SELECT count() FROM cut").Scan(&count))
			if count != 0 {
				t.Errorf("%d rows of a truncated body", count)
			}
		})
	}
}

func TestClickHouseKillsTheQueryOfAClientThatLeft(t *testing.T) {
	conn, _ := testkit.ClickHouse(t)
	running := func() (n uint64) {
		must(t, conn.QueryRow(t.Context(), "SELECT count() FROM system.processes WHERE query LIKE '%left_alone%' AND query NOT LIKE '%system.processes%'").Scan(&n))
		return n
	}
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		var n uint64
		failed <- conn.QueryRow(ctx, "SELECT count() AS left_alone FROM numbers(1000000000000) WHERE sipHash64(number) = 1").Scan(&n)
	}()
	until(t, "the query runs", func() bool { return running() == 1 })
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("the client sees %v", err)
	}
	until(t, "the query is gone", func() bool { return running() == 0 })
}

func TestClickHouseStaysExactUnderParallelInsertsCancelsAndErrors(t *testing.T) {
	conn, dsn := testkit.ClickHouse(t)
	must(t, conn.Exec(t.Context(), "CREATE TABLE p (worker UInt32, n UInt64) ENGINE = MergeTree ORDER BY (worker, n)"))
	const workers, rounds, rows = 6, 15, 500
	var group errgroup.Group
	for worker := range uint32(workers) {
		conn := connect(t, dsn, nil)
		group.Go(func() error {
			for round := range rounds {
				batch, err := conn.PrepareBatch(t.Context(), "INSERT INTO p")
				if err != nil {
					return err
				}
				for n := range rows {
					if err := batch.Append(worker, uint64(round*rows+n)); err != nil {
						return err
					}
				}
				if err := batch.Send(); err != nil {
					return err
				}
				if err := conn.Exec(t.Context(), "SELECT nope"); err == nil {
					return errors.New("an unknown column was found")
				}
				short, cancel := context.WithTimeout(t.Context(), time.Duration(round)*time.Millisecond)
				err = conn.Exec(short, "SELECT count() FROM numbers(100000000000) WHERE sipHash64(number) = 1")
				cancel()
				if !errors.Is(err, context.DeadlineExceeded) {
					return fmt.Errorf("an endless query ended with %w", err)
				}
			}
			return nil
		})
	}
	must(t, group.Wait())
	var count, distinct uint64
	must(t, conn.QueryRow(t.Context(), "SELECT count(), uniqExact(worker, n) FROM p").Scan(&count, &distinct))
	if count != workers*rounds*rows || distinct != count {
		t.Errorf("%d rows, %d of them distinct", count, distinct)
	}
}

// until polls a condition that must come true soon.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func connect(t *testing.T, dsn string, change func(*clickhouse.Options)) driver.Conn {
	t.Helper()
	options, err := clickhouse.ParseDSN(dsn)
	must(t, err)
	if change != nil {
		change(options)
	}
	conn, err := clickhouse.Open(options)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// dsnURL is the HTTP address behind a DSN with its database and credentials.
func dsnURL(t *testing.T, dsn string, query url.Values) string {
	t.Helper()
	u, err := url.Parse(dsn)
	must(t, err)
	form := url.Values{"database": {strings.TrimPrefix(u.Path, "/")}}
	for key, values := range query {
		form[key] = values
	}
	u.Path, u.RawQuery = "/", form.Encode()
	return u.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// An insert or merge that the end of the disk cuts short can leave a part that cannot be read.
func TestClickHouseLeavesSpaceOnTheDisk(t *testing.T) {
	conn, _ := testkit.ClickHouse(t)
	var free uint64
	must(t, conn.QueryRow(t.Context(), "SELECT keep_free_space FROM system.disks").Scan(&free))
	if free != 16<<20 {
		t.Errorf("ClickHouse stops at %d bytes of free space, want 16 MiB", free)
	}
}
