package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/config"
	"flywheel/pkg/embedded"
	"flywheel/pkg/testkit"
)

// echo is a server that gives back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		served.Wait()
	})
	return listener.Addr().String()
}

func start(t *testing.T, target string) *Proxy {
	t.Helper()
	return closing(t)(Listen(t.Context(), target))
}

func closing(t *testing.T) func(*Proxy, error) *Proxy {
	t.Helper()
	return func(p *Proxy, err error) *Proxy {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
		return p
	}
}

func dial(t *testing.T, p *Proxy) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

// say sends a line and expects it back.
func say(t *testing.T, conn net.Conn, line string) {
	t.Helper()
	if _, err := io.WriteString(conn, line); err != nil {
		t.Fatal(err)
	}
	hear(t, conn, line)
}

func hear(t *testing.T, conn net.Conn, line string) {
	t.Helper()
	got := make([]byte, len(line))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != line {
		t.Fatalf("heard %q, %v; want %q", got, err, line)
	}
}

// refused says that a new connection is reset, which may come before or after it
// stands.
func refused(t *testing.T, p *Proxy) {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	switch {
	case err == nil:
		defer conn.Close()
		dead(t, conn)
	case !errors.Is(err, syscall.ECONNRESET):
		t.Errorf("the connection is not reset: %v", err)
	}
}

// dead says that a connection was reset, at the latest by what is sent now.
func dead(t *testing.T, conn net.Conn) {
	t.Helper()
	_, sent := io.WriteString(conn, "are you there\n")
	_, err := conn.Read(make([]byte, 1))
	if !errors.Is(errors.Join(sent, err), syscall.ECONNRESET) && !errors.Is(errors.Join(sent, err), syscall.EPIPE) {
		t.Errorf("the connection is not reset: %v, %v", sent, err)
	}
}

func TestBytesPassWholeAndInOrder(t *testing.T) {
	for sentence, weather := range map[string]func(*Proxy){
		"at once":                   func(*Proxy) {},
		"late":                      func(p *Proxy) { p.Slow(5*time.Millisecond, 0) },
		"bit by bit":                func(p *Proxy) { p.Slow(0, 64<<20) },
		"at once after it was late": func(p *Proxy) { p.Slow(time.Hour, 1); p.Pass() },
	} {
		t.Run(sentence, func(t *testing.T) {
			p := start(t, echo(t))
			weather(p)
			conn := dial(t, p)
			want := bytes.Repeat([]byte("0123456789abcdef~"), 200_000) // far above what is under way at once
			go func() {
				_, _ = conn.Write(want)
				_ = conn.CloseWrite()
			}()
			got, err := io.ReadAll(conn)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes came back of %d: %v", len(got), len(want), err)
			}
		})
	}
}

func TestRefusingResetsWhatThereIsAndWhatComes(t *testing.T) {
	p := start(t, echo(t))
	before := dial(t, p)
	say(t, before, "before\n")
	p.Refuse()
	dead(t, before)
	refused(t, p)
	p.Pass()
	say(t, dial(t, p), "after\n")
	if s := p.Stats(); s.Accepted != 3 || s.Reset != 2 {
		t.Errorf("%+v, want 3 accepted, 2 of them reset", s)
	}
}

func TestAStallCarriesNothingAndLosesNothing(t *testing.T) {
	p := start(t, echo(t))
	old := dial(t, p)
	say(t, old, "before\n")
	p.Stall()
	young := dial(t, p) // is taken all the same
	for _, conn := range []net.Conn{old, young} {
		if _, err := io.WriteString(conn, "during\n"); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes came through, %v", n, err)
		}
		if err := conn.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	p.Pass()
	for _, conn := range []net.Conn{old, young} {
		hear(t, conn, "during\n")
		say(t, conn, "after\n")
	}
}

func TestSlowBytesComeNoSooner(t *testing.T) {
	p := start(t, echo(t))
	conn := dial(t, p)
	say(t, conn, "before\n")
	const latency = 30 * time.Millisecond
	p.Slow(latency, 0)
	began := time.Now()
	say(t, conn, "during\n")
	if took := time.Since(began); took < 2*latency {
		t.Errorf("there and back took %s, want at least %s", took, 2*latency)
	}
	p.Slow(0, 1000)
	began = time.Now()
	say(t, conn, strings.Repeat(".", 49)+"\n")
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("50 bytes there and back at 1000 a second took %s", took)
	}
}

func TestACutLetsNewConnectionsPass(t *testing.T) {
	p := start(t, echo(t))
	conn := dial(t, p)
	say(t, conn, "before\n")
	p.Cut()
	dead(t, conn)
	say(t, dial(t, p), "after\n")
}

func TestAServerThatIsDownLooksLikeOne(t *testing.T) {
	gone, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, gone.Addr().String())
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, p)
}

func TestConnectionsAreBounded(t *testing.T) {
	p := start(t, echo(t))
	p.mu.Lock()
	for range connsMax - 1 { // as if they were there
		p.links[&link{client: new(net.TCPConn)}] = struct{}{}
	}
	p.mu.Unlock()
	last := dial(t, p)
	say(t, last, "the last one\n")
	refused(t, p)
	say(t, last, "is not disturbed\n")
}

func TestOnlyTheLoopbackAddressIsReached(t *testing.T) {
	for _, target := range []string{"", "9092", "10.0.0.1:9092", "example.com:80", ":9092", "0.0.0.0:9092"} {
		if p, err := Listen(t.Context(), target); err == nil || !strings.Contains(err.Error(), "want a port of the loopback address") {
			t.Errorf("%q: %v, %v", target, p, err)
		}
	}
}

func TestClosingLeavesNothing(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	server, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for _, weather := range []func(*Proxy){func(*Proxy) {}, (*Proxy).Stall, func(p *Proxy) { p.Slow(time.Hour, 0) }, func(p *Proxy) { p.Slow(0, 1) }} {
		p, err := ListenHTTP(t.Context(), server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		weather(p)
		conn := dial(t, p)
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: here\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("it still listens: %v", err)
		}
		if err := p.Close(); err != nil {
			t.Errorf("a second close fails: %v", err)
		}
	}
}

// books is a server that notes which bodies it was sent.
type books struct {
	sync.Mutex
	bodies []string
}

func (b *books) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("early") { // without having read the body
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	b.Lock()
	defer b.Unlock()
	b.bodies = append(b.bodies, string(body))
	_, _ = io.WriteString(w, "got "+string(body))
}

func TestAnswersToInsertsAreLost(t *testing.T) {
	b := new(books)
	server := httptest.NewServer(b)
	defer server.Close()
	p := closing(t)(ListenHTTP(t.Context(), strings.TrimPrefix(server.URL, "http://")))
	client := &http.Client{Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	post := func(query, body string) (string, error) {
		// An unknown length is sent in chunks, as ClickHouse's client does.
		resp, err := client.Post("http://"+p.Addr()+"/?database=x&query="+url.QueryEscape(query), "", io.MultiReader(strings.NewReader(body)))
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		return string(answer), err
	}
	p.LoseAnswers(2)
	for i, c := range []struct {
		query string
		lost  bool
	}{
		{"SELECT 1", false},
		{"INSERT INTO t FORMAT Native", true},
		{"SELECT 'INSERT'", false},
		{" insert into t", true},
		{"INSERT INTO t FORMAT Native", false},
	} {
		answer, err := post(c.query, "body")
		if lost := err != nil; lost != c.lost || !lost && answer != "got body" {
			t.Errorf("%d, %s: %q, %v; want lost %t", i, c.query, answer, err, c.lost)
		}
	}
	if len(b.bodies) != 5 || p.Stats().LostAnswers != 2 {
		t.Errorf("the server got %q, and %+v", b.bodies, p.Stats())
	}
}

func TestAnEarlyAnswerArrives(t *testing.T) {
	server := httptest.NewServer(new(books))
	defer server.Close()
	p := closing(t)(ListenHTTP(t.Context(), strings.TrimPrefix(server.URL, "http://")))
	conn := dial(t, p)
	go func() {
		_, _ = io.WriteString(conn, "POST /?early=1 HTTP/1.1\r\nHost: here\r\nContent-Length: 50000000\r\n\r\n")
		_, _ = conn.Write(make([]byte, 50_000_000))
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("%s", resp.Status)
	}
}

// The client believes that an insert failed, and the rows are there.
func TestClickHouseHasTheRowsWhoseAnswerIsLost(t *testing.T) {
	conn, dsn := testkit.ClickHouse(t)
	at, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Exec(t.Context(), "CREATE TABLE number (n Int64) ENGINE = MergeTree ORDER BY n"); err != nil {
		t.Fatal(err)
	}
	p := closing(t)(ListenHTTP(t.Context(), at.Host))
	cfg := clickhouse.DefaultConfig()
	password, _ := at.User.Password()
	cfg.Addresses, cfg.User, cfg.Password, cfg.Database = []string{p.Addr()}, at.User.Username(), config.Secret(password), at.Path[1:]
	through, err := clickhouse.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer through.Close()
	numbers := make([]int64, 100_000)
	for i := range numbers {
		numbers[i] = int64(i)
	}
	insert := func() error {
		return clickhouse.Insert(t.Context(), through, "number", []clickhouse.Column{{Name: "n", Type: "Int64"}}, []any{numbers})
	}
	p.LoseAnswers(1)
	if err := insert(); err == nil || clickhouse.FaultOf(err) != clickhouse.FaultServer {
		t.Errorf("the insert whose answer is lost: %v, want the server's fault", err)
	}
	p.Slow(time.Millisecond, 0)
	if err := insert(); err != nil {
		t.Error(err)
	}
	var rows, kinds uint64
	if err := through.QueryRow(t.Context(), "SELECT count(), uniqExact(n) FROM number").Scan(&rows, &kinds); err != nil || rows != 200_000 || kinds != 100_000 {
		t.Errorf("%d rows with %d numbers (%v), want both inserts", rows, kinds, err)
	}
}

// A broker that tells its clients the proxy's address is reached through it
// alone, and an idempotent producer gets every record there once.
func TestKafkaIsReachedThroughAProxy(t *testing.T) {
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := free.Addr().(*net.TCPAddr)
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	p := start(t, target.String())
	cfg := embedded.DefaultConfig()
	cfg.DataDir, cfg.Registry, cfg.ClickHouse, cfg.KafkaPort, cfg.KafkaAdvertised = t.TempDir(), false, false, target.Port, p.Port()
	engines, err := embedded.New(cfg, embedded.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	if err := engines.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := engines.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if engines.KafkaAddr() != p.Addr() {
		t.Errorf("the broker says it is at %s, want %s", engines.KafkaAddr(), p.Addr())
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(target.String()), kgo.DefaultProduceTopic("t"), kgo.ConsumeTopics("t"), kgo.UnknownTopicRetries(-1),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	const records = 300
	var produced sync.WaitGroup
	for i := range records {
		if i%100 == 50 {
			p.Cut()
		}
		produced.Add(1)
		client.Produce(t.Context(), &kgo.Record{Value: []byte{byte(i), byte(i >> 8)}}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
			produced.Done()
		})
	}
	produced.Wait()
	seen := make(map[string]int)
	for n := 0; n < records; {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			n++
			seen[string(r.Value)]++
		})
	}
	if len(seen) != records {
		t.Errorf("%d different records among %d", len(seen), records)
	}
	if p.Stats().Accepted == 0 {
		t.Error("no connection came through the proxy")
	}
}
