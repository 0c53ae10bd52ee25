package codec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"flywheel/schemas"
)

// Registry knows which schema has which id. Client asks a schema registry;
// Static holds the contracts in memory.
type Registry interface {
	// ID returns the id under which a subject holds a schema, or an error that
	// is ErrUnknownSchema when it does not.
	ID(ctx context.Context, subject, schema string) (uint32, error)
	// Schema returns the schema of an id, or an error that is ErrUnknownSchema
	// when there is none.
	Schema(ctx context.Context, id uint32) (string, error)
}

// ErrUnknownSchema says that a registry answered, and does not hold what it
// was asked for.
var ErrUnknownSchema = errors.New("the schema registry does not hold this schema")

// Bounds on what a Client keeps and takes.
const (
	cachedSchemasMax = 1024
	responseBytesMax = 4 << 20
	// missFor is how long the answer "unknown" is believed. It bounds what a
	// stream of poison costs, and how long a schema that was just registered
	// stays unseen.
	missFor = 5 * time.Second
)

// Client is a Registry that asks a Confluent schema registry. It is safe for
// concurrent use and caches by id.
type Client struct {
	client    *sr.Client
	transport *http.Transport
	where     string // the addresses, for messages

	mu      sync.Mutex
	schemas map[uint32]string
	misses  map[uint32]time.Time // until when an id is taken for unknown
	witness witness
}

// witness is the schema that the registry told of first.
type witness struct {
	id     uint32 // 0 when it has told of none
	schema string
}

// NewClient returns a client of the registry; it connects when first asked.
func NewClient(c Config) (*Client, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("configure the schema registry: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	opts := []sr.ClientOpt{
		sr.URLs(slices.Clone(c.URLs)...),
		sr.UserAgent("flywheel"),
		sr.HTTPClient(&http.Client{
			Timeout:   c.Timeout,
			Transport: boundedTransport{transport},
		}),
	}
	if c.User != "" {
		opts = append(opts, sr.BasicAuth(c.User, c.Password.Reveal()))
	}
	client, err := sr.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("set up the client of the schema registry: %w", err)
	}
	return &Client{
		client:    client,
		transport: transport,
		where:     strings.Join(c.URLs, ", "),
		schemas:   make(map[uint32]string),
		misses:    make(map[uint32]time.Time),
	}, nil
}

// Close closes the client's idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// boundedTransport cuts off an answer that is longer than any schema.
type boundedTransport struct{ http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, responseBytesMax)
	}
	return resp, err
}

// ID implements Registry.
func (c *Client) ID(ctx context.Context, subject, schema string) (uint32, error) {
	found, err := c.client.LookupSchema(ctx, subject, sr.Schema{Schema: schema})
	if err != nil {
		return 0, c.explain(err, "look up subject %q", subject)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.witness.id == 0 {
		c.witness = witness{uint32(found.ID), schema}
	}
	return uint32(found.ID), nil
}

// Schema implements Registry.
func (c *Client) Schema(ctx context.Context, id uint32) (string, error) {
	if id > math.MaxInt32 { // registries count in Java's int, and take more for a wrong address
		return "", fmt.Errorf("look up schema %d: %w", id, ErrUnknownSchema)
	}
	now := time.Now()
	c.mu.Lock()
	text, known := c.schemas[id]
	missed := now.Before(c.misses[id])
	c.mu.Unlock()
	switch {
	case known:
		return text, nil
	case missed:
		return "", fmt.Errorf("look up schema %d: %w", id, ErrUnknownSchema)
	}

	found, err := c.client.SchemaByID(ctx, int(id))
	err = c.explain(err, "look up schema %d", id)
	if errors.Is(err, ErrUnknownSchema) {
		if forgot := c.forgot(ctx); forgot != nil {
			err = forgot
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case errors.Is(err, ErrUnknownSchema):
		remember(c.misses, id, now.Add(missFor))
	case err == nil:
		remember(c.schemas, id, found.Schema)
		if c.witness.id == 0 {
			c.witness = witness{id, found.Schema}
		}
	}
	return found.Schema, err
}

// forgot returns an error when the registry does not hold any more, or not
// under the same id, what it told of first: then its "unknown" says nothing
// about a record. So a registry that has lost its memory, or another one at its
// address, has no good record refused.
func (c *Client) forgot(ctx context.Context) error {
	c.mu.Lock()
	w := c.witness
	c.mu.Unlock()
	if w.id == 0 {
		return nil
	}
	found, err := c.client.SchemaByID(ctx, int(w.id))
	err = c.explain(err, "look up schema %d", w.id)
	switch {
	case errors.Is(err, ErrUnknownSchema):
		return fmt.Errorf("the schema registry at %s has forgotten schema %d, which it held before: restore its storage, or run 'flywheel topics apply' if it was empty", c.where, w.id)
	case err != nil:
		return err
	case !sameSchema(found.Schema, w.schema):
		return fmt.Errorf("the schema registry at %s holds another schema %d than before: restore its storage, since records written before cannot be told from those written now", c.where, w.id)
	}
	return nil
}

// sameSchema compares schemas whatever their spaces and comments.
func sameSchema(a, b string) bool {
	if a == b {
		return true
	}
	one, err := avro.Parse(a)
	if err != nil {
		return false
	}
	two, err := avro.Parse(b)
	return err == nil && bytes.Equal(one.Canonical(), two.Canonical())
}

// remember puts one entry into a bounded cache. A full one is emptied: it
// fills only when ids arrive that nobody registered.
func remember[V any](m map[uint32]V, id uint32, v V) {
	if len(m) >= cachedSchemasMax {
		clear(m)
	}
	m[id] = v
}

// explain says what was attempted and, where the registry could not be asked,
// what to do.
func (c *Client) explain(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	attempt := fmt.Sprintf(format, args...)
	var answer *sr.ResponseError
	switch {
	case !errors.As(err, &answer):
		var dial *url.Error // what is around it repeats the attempt and the address
		if errors.As(err, &dial) {
			err = dial.Err
		}
		return unansweredError{fmt.Errorf("%s: reach the schema registry at %s: %w: start it, or set registry.urls to where it is", attempt, c.where, err)}
	// A 404 without the registry's own code comes from something else, such as
	// a proxy: it says nothing about the schema.
	case answer.StatusCode == http.StatusNotFound && answer.ErrorCode/100 == http.StatusNotFound:
		return fmt.Errorf("%s at %s: %w", attempt, c.where, ErrUnknownSchema)
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%s: the schema registry at %s refuses the login (status %d): check registry.user and registry.password", attempt, c.where, answer.StatusCode)
	case answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s: what answers at %s is no schema registry (status %d): check the path of registry.urls", attempt, c.where, answer.StatusCode)
	case answer.StatusCode >= http.StatusInternalServerError:
		return unansweredError{fmt.Errorf("%s: the schema registry at %s answers with status %d: %w", attempt, c.where, answer.StatusCode, err)}
	default:
		return fmt.Errorf("%s: the schema registry at %s answers with status %d: %w", attempt, c.where, answer.StatusCode, err)
	}
}

// Registration is one version of a contract in the registry.
type Registration struct {
	Subject string
	Version int // of the contract in schemas/avro
	ID      uint32
	Created bool // whether this call registered it
}

// Register makes sure that every subject holds every version of its contract,
// in the order of the topic file, and that the registry refuses versions that
// old and new programs could not both read. It changes nothing where all is
// well. A contract that does not fit what a subject holds is an error that
// names the subject and the field, and nothing is registered for it.
func (c *Client) Register(ctx context.Context) ([]Registration, error) {
	wanted, err := wantedVersions()
	if err != nil {
		return nil, err
	}
	var rs []Registration
	for i, w := range wanted {
		r, err := c.register(ctx, w)
		if err != nil {
			return rs, err
		}
		rs = append(rs, r)
		if i+1 < len(wanted) && wanted[i+1].subject == w.subject {
			continue
		}
		if err := c.protect(ctx, w.subject); err != nil {
			return rs, err
		}
	}
	return rs, nil
}

// Check reports what Register would do or refuse, and changes nothing: a
// sentence for each contract that does not fit, one for all that are missing.
// A missing one has the id 0.
func (c *Client) Check(ctx context.Context) ([]Registration, error) {
	wanted, err := wantedVersions()
	if err != nil {
		return nil, err
	}
	var rs []Registration
	var errs []error
	var missing []string
	for _, w := range wanted {
		r := Registration{Subject: w.subject, Version: w.version}
		r.ID, err = c.ID(ctx, w.subject, w.text)
		switch {
		case errors.Is(err, ErrUnknownSchema):
			if err := c.fits(ctx, w); err != nil {
				errs = append(errs, err)
			} else {
				missing = append(missing, fmt.Sprintf("version %d of %s", w.version, w.record))
			}
		case err != nil:
			return rs, err
		}
		rs = append(rs, r)
	}
	if len(missing) > 0 {
		errs = append(errs, fmt.Errorf("the schema registry at %s lacks %d of %d contracts, such as %s: run 'flywheel topics apply'", c.where, len(missing), len(wanted), missing[0]))
	}
	return rs, errors.Join(errs...)
}

// wantedVersion is one version of a contract and the subject that must hold it.
type wantedVersion struct {
	subject, record string
	version         int
	text            string
}

// wantedVersions returns every version of every contract in the order of the
// topic file.
func wantedVersions() ([]wantedVersion, error) {
	topics, err := schemas.LoadTopics()
	if err != nil {
		return nil, err
	}
	var ws []wantedVersion
	for _, t := range topics.Topics {
		for _, record := range t.Records {
			versions, err := schemas.Versions(record)
			if err != nil {
				return nil, err
			}
			for _, v := range versions {
				text, err := schemas.Avro(record, v)
				if err != nil {
					return nil, err
				}
				ws = append(ws, wantedVersion{schemas.Subject(t.Name, record), record, v, string(text)})
			}
		}
	}
	return ws, nil
}

// protect has the registry refuse, whoever registers it, a version that some
// other version of the subject could not be read with, or could not read.
func (c *Client) protect(ctx context.Context, subject string) error {
	if is := c.client.Compatibility(ctx, subject); is[0].Err == nil && is[0].Level == sr.CompatFullTransitive {
		return nil
	}
	set := c.client.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatFullTransitive}, subject)
	return c.explain(set[0].Err, "set the compatibility level of subject %q", subject)
}

func (c *Client) register(ctx context.Context, w wantedVersion) (Registration, error) {
	r := Registration{Subject: w.subject, Version: w.version}
	id, err := c.ID(ctx, w.subject, w.text)
	if err == nil {
		r.ID = id
		return r, nil
	}
	if !errors.Is(err, ErrUnknownSchema) {
		return r, err
	}
	if err := c.fits(ctx, w); err != nil {
		return r, err
	}
	newID, err := c.client.RegisterSchema(ctx, w.subject, sr.Schema{Schema: w.text}, -1, -1)
	if err := c.explain(err, "register version %d of %s under subject %q", w.version, w.record, w.subject); err != nil {
		return r, err
	}
	r.ID, r.Created = uint32(newID), true
	return r, nil
}

// fits checks a contract against everything its subject holds, in both
// directions: programs of both versions run side by side during an upgrade.
func (c *Client) fits(ctx context.Context, w wantedVersion) error {
	held, err := c.client.Schemas(ctx, w.subject)
	if err := c.explain(err, "read the versions of subject %q", w.subject); err != nil {
		if errors.Is(err, ErrUnknownSchema) {
			return nil
		}
		return err
	}
	ours, err := avro.Parse(w.text)
	if err != nil {
		return fmt.Errorf("parse version %d of the contract of record %q: %w", w.version, w.record, err)
	}
	for _, h := range held {
		theirs, err := avro.Parse(h.Schema.Schema)
		if err != nil {
			return fmt.Errorf("version %d of subject %q is not an Avro record: delete it there, or use another registry: %w", h.Version, w.subject, err)
		}
		for _, pair := range [...][2]*avro.Schema{{theirs, ours}, {ours, theirs}} {
			err := avro.CheckCompatibility(pair[0], pair[1])
			var c *avro.CompatibilityError
			if errors.As(err, &c) {
				return fmt.Errorf("version %d of %s does not fit version %d that subject %q holds, at %s (%s): keep that field as it is there and add a new one with a default, as the next version in schemas/avro/%s",
					w.version, w.record, h.Version, w.subject, c.Path, c.Detail, w.record)
			}
			if err != nil {
				return fmt.Errorf("compare version %d of %s with version %d of subject %q: %w", w.version, w.record, h.Version, w.subject, err)
			}
		}
	}
	return nil
}
