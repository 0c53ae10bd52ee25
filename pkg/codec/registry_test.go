package codec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"flywheel/pkg/embedded"
	"flywheel/pkg/event"
	"flywheel/schemas"
)

// embeddedRegistry starts the registry of the embedded engines.
func embeddedRegistry(t *testing.T) string {
	t.Helper()
	e := must(embedded.New(embedded.Config{DataDir: t.TempDir(), Registry: true}))(t)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e.RegistryURL()
}

func newClient(t *testing.T, url string) *Client {
	t.Helper()
	config := DefaultConfig()
	config.URLs = []string{url}
	c := must(NewClient(config))(t)
	t.Cleanup(c.Close)
	return c
}

func TestRegisterCreatesEverySubjectOnce(t *testing.T) {
	c := newClient(t, embeddedRegistry(t))
	first := must(c.Register(t.Context()))(t)
	if cs := must(contracts())(t); len(first) < len(cs) {
		t.Fatalf("%d registrations for %d contracts", len(first), len(cs))
	}
	for i, r := range first {
		if !r.Created || r.ID == 0 {
			t.Errorf("registration in an empty registry: %+v", r)
		}
		if level := c.client.Compatibility(t.Context(), r.Subject)[0]; level.Err != nil || level.Level != sr.CompatFullTransitive {
			t.Errorf("%s is guarded by level %v, error %v", r.Subject, level.Level, level.Err)
		}
		first[i].Created = false
	}
	second := must(c.Register(t.Context()))(t)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("registering again (-want +got):\n%s", diff)
	}
	checked := must(c.Check(t.Context()))(t)
	if diff := cmp.Diff(first, checked); diff != "" {
		t.Errorf("checking (-want +got):\n%s", diff)
	}
}

func TestCheckTellsWhatIsMissingAndChangesNothing(t *testing.T) {
	c := newClient(t, embeddedRegistry(t))
	for range 2 {
		rs, err := c.Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), "lacks 29 of 29 contracts, such as version 1 of tiktok_content_published: run 'flywheel topics apply'") || strings.Contains(err.Error(), "\n") {
			t.Errorf("check of an empty registry: %v", err)
		}
		for _, r := range rs {
			if r.ID != 0 {
				t.Errorf("%+v is not missing", r)
			}
		}
	}
}

func TestRecordsTravelByWayOfARegistry(t *testing.T) {
	url := embeddedRegistry(t)
	must(newClient(t, url).Register(t.Context()))(t)
	enc := must(NewEncoder(t.Context(), newClient(t, url)))(t)
	dec := must(NewDecoder(newClient(t, url)))(t)
	for topic, record := range map[string]any{event.TopicTikTok: statistics(), event.TopicCorrelation: correlation()} {
		value := must(enc.Encode(nil, record))(t)
		got := must(dec.Decode(t.Context(), topic, value))(t)
		if diff := cmp.Diff(record, got); diff != "" {
			t.Errorf("through the registry (-written +read):\n%s", diff)
		}
	}
}

func TestRegisterRefusesWhatDoesNotFit(t *testing.T) {
	subject := schemas.Subject(event.TopicAmazon, "amazon_review")
	text := string(must(schemas.Avro("amazon_review", 1))(t))
	// srfake takes whatever it is given: the check that refuses is ours.
	registry := srfake.New()
	t.Cleanup(registry.Close)
	held := strings.Replace(text, `"name": "stars",
      "type": "int"`, `"name": "stars",
      "type": "string"`, 1)
	if held == text {
		t.Fatal("the contract of amazon_review has changed its layout: adapt this test")
	}
	registry.SeedSchema(subject, 1, 1, sr.Schema{Schema: held})

	done, err := newClient(t, registry.URL()).Register(t.Context())
	want := `version 1 of amazon_review does not fit version 1 that subject "channel.amazon-flywheel.v1.amazon_review" holds, at stars (incompatible types): keep that field as it is there and add a new one with a default, as the next version in schemas/avro/amazon_review`
	if err == nil || err.Error() != want {
		t.Errorf("Register: %v\nwant: %s", err, want)
	}
	for _, r := range done {
		if r.Subject == subject {
			t.Errorf("Register reports %+v as done", r)
		}
	}
	if _, err := newClient(t, registry.URL()).Check(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Check: %v\nwant: %s", err, want)
	}
}

func TestAnswersOfTheRegistryAreToldApart(t *testing.T) {
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		unknown bool
		message string
	}{
		"the registry does not hold the schema":                 {answer(404, `{"error_code":40403,"message":"Schema 7 not found"}`), true, "does not hold"},
		"a proxy knows no such page":                            {answer(404, `<html>404</html>`), false, "is no schema registry (status 404): check the path of registry.urls"},
		"the address leads beside the registry":                 {answer(404, `{"error_code":404,"message":"HTTP 404 Not Found"}`), false, "is no schema registry (status 404): check the path of registry.urls"},
		"the registry wants another login":                      {answer(401, ``), false, "check registry.user and registry.password"},
		"the registry is in trouble":                            {answer(500, `{"error_code":50001,"message":"store"}`), false, "answers with status 500"},
		"the answer is not JSON":                                {answer(200, `hello`), false, "look up schema 7"},
		"the answer is longer than any schema":                  {answer(200, strings.Repeat(" ", responseBytesMax+1)), false, "look up schema 7"},
		"the registry hangs up in the middle of its answer":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, "start it, or set registry.urls"},
		"the registry takes longer than the time it is allowed": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, false, "start it, or set registry.urls"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			client := must(NewClient(Config{URLs: []string{server.URL}, Timeout: 100 * time.Millisecond}))(t)
			defer client.Close()
			_, err := client.Schema(t.Context(), 7)
			if err == nil || errors.Is(err, ErrUnknownSchema) != c.unknown || !strings.Contains(err.Error(), c.message) {
				t.Errorf("Schema: %v, want %q, unknown schema %v", err, c.message, c.unknown)
			}
			dec := must(NewDecoder(client))(t)
			_, err = dec.Decode(t.Context(), event.TopicTikTok, []byte{0, 0, 0, 0, 7, 0})
			var refused *Error
			if errors.As(err, &refused) != c.unknown {
				t.Errorf("Decode: %v, want the record's own fault: %v", err, c.unknown)
			}
		})
	}
}

func TestClientAsksTheRegistryOnce(t *testing.T) {
	var asked atomic.Int64
	text := string(must(schemas.Avro("spike", 1))(t))
	registry := srfake.New()
	t.Cleanup(registry.Close)
	registry.SeedSchema("s", 1, 1, sr.Schema{Schema: text})
	registry.Intercept(func(http.ResponseWriter, *http.Request) bool { asked.Add(1); return false })
	c := newClient(t, registry.URL())

	for range 3 {
		if got := must(c.Schema(t.Context(), 1))(t); got != text {
			t.Errorf("schema 1 is %q", got)
		}
		if _, err := c.Schema(t.Context(), 2); !errors.Is(err, ErrUnknownSchema) {
			t.Errorf("schema 2: %v", err)
		}
		if _, err := c.Schema(t.Context(), 1<<31); !errors.Is(err, ErrUnknownSchema) {
			t.Errorf("an id beyond what registries count to: %v", err)
		}
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("%d requests, want one for each of two ids and one to see whether the registry has forgotten", n)
	}

	c.misses[2] = time.Now().Add(-time.Second)
	registry.SeedSchema("s", 2, 2, sr.Schema{Schema: text})
	must(c.Schema(t.Context(), 2))(t)

	for id := range uint32(3 * cachedSchemasMax) {
		remember(c.schemas, id, text)
	}
	if len(c.schemas) > cachedSchemasMax {
		t.Errorf("%d schemas kept, at most %d allowed", len(c.schemas), cachedSchemasMax)
	}
}

// forgetful is a registry whose memory can be changed.
type forgetful struct{ schemas map[string]string } // by id

func (f *forgetful) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	id := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	text, ok := f.schemas[id]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error_code":40403,"message":"no such schema"}`)
		return
	}
	if err := json.NewEncoder(w).Encode(map[string]string{"schema": text}); err != nil {
		panic(err)
	}
}

func TestAForgetfulRegistryIsNotBelieved(t *testing.T) {
	const known, spaced, other = `{"type":"record","name":"a","fields":[]}`, `{"type": "record", "name": "a", "doc": "x", "fields": []}`, `{"type":"record","name":"b","fields":[]}`
	for name, tc := range map[string]struct {
		before, after map[string]string
		want          string // "" when "unknown" is believed
	}{
		"it never told of anything":                   {nil, nil, ""},
		"it holds what it held":                       {map[string]string{"1": known}, map[string]string{"1": known}, ""},
		"it writes what it held in another way":       {map[string]string{"1": known}, map[string]string{"1": spaced}, ""},
		"it was restarted empty":                      {map[string]string{"1": known}, nil, "has forgotten schema 1, which it held before: restore its storage, or run 'flywheel topics apply'"},
		"it gives the ids to others than before":      {map[string]string{"1": known}, map[string]string{"1": other}, "holds another schema 1 than before"},
		"it holds what is no schema under the old id": {map[string]string{"1": known}, map[string]string{"1": "{"}, "holds another schema 1 than before"},
	} {
		t.Run(name, func(t *testing.T) {
			registry := &forgetful{tc.before}
			server := httptest.NewServer(registry)
			t.Cleanup(server.Close)
			c := newClient(t, server.URL)
			if _, err := c.Schema(t.Context(), 1); err != nil && tc.before != nil {
				t.Fatal(err)
			}
			registry.schemas = tc.after
			_, err := c.Schema(t.Context(), 2)
			if tc.want == "" {
				if !errors.Is(err, ErrUnknownSchema) {
					t.Errorf("got %v, want that the schema is unknown", err)
				}
				return
			}
			if err == nil || errors.Is(err, ErrUnknownSchema) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			registry.schemas = map[string]string{"1": known, "2": other}
			if text, err := c.Schema(t.Context(), 2); text != other {
				t.Errorf("once it knows again it is asked again: %q, %v", text, err)
			}
		})
	}
}

func TestUnreachableRegistryIsNamedWithARemedy(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	c := newClient(t, server.URL)
	_, err := c.Register(t.Context())
	for _, part := range []string{server.URL, "connection refused", "start it, or set registry.urls"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("Register: %v, want %q in it", err, part)
		}
	}
	if _, err := NewEncoder(t.Context(), c); err == nil || !strings.Contains(err.Error(), server.URL) {
		t.Errorf("NewEncoder: %v", err)
	}
}

func TestEncoderNeedsRegisteredContracts(t *testing.T) {
	_, err := NewEncoder(t.Context(), newClient(t, embeddedRegistry(t)))
	if err == nil || !strings.Contains(err.Error(), "run `flywheel topics apply`") {
		t.Errorf("NewEncoder on an empty registry: %v", err)
	}
}

func TestStaticIDsAreTheSameEveryTime(t *testing.T) {
	one, two := must(NewStatic())(t), must(NewStatic())(t)
	if !reflect.DeepEqual(one, two) {
		t.Error("two static registries differ")
	}
	for _, c := range must(contracts())(t) {
		id := must(one.ID(t.Context(), c.subject(), c.text))(t)
		if got := must(one.Schema(t.Context(), id))(t); got != c.text {
			t.Errorf("schema %d is not the contract of %s", id, c.name)
		}
	}
	for _, id := range []uint32{0, 1 << 20} {
		if _, err := one.Schema(t.Context(), id); !errors.Is(err, ErrUnknownSchema) {
			t.Errorf("schema %d: %v", id, err)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // empty when the configuration is good
	}{
		"the defaults are good":              {func(*Config) {}, ""},
		"TLS, a login and two addresses":     {func(c *Config) { *c = Config{[]string{"https://a", "https://b:8081/path"}, "u", "p", time.Second} }, ""},
		"no address":                         {func(c *Config) { c.URLs = nil }, "urls: give at least one"},
		"an address without scheme":          {func(c *Config) { c.URLs = []string{"localhost:8081"} }, `"localhost:8081" is not an address`},
		"a user in the address is not shown": {func(c *Config) { c.URLs = []string{"http://me:hush@host"} }, "the address of host holds a user"},
		"a password without a user":          {func(c *Config) { c.Password = "p" }, "password: set user with it"},
		"no time at all":                     {func(c *Config) { c.Timeout = 0 }, "timeout: 0s is out of bounds"},
	} {
		t.Run(name, func(t *testing.T) {
			config := DefaultConfig()
			c.change(&config)
			client, err := NewClient(config)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want == "":
				client.Close()
			case err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hush"):
				t.Errorf("NewClient: %v, want %q", err, c.want)
			}
		})
	}
}
