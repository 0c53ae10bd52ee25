//go:build integration

package apache_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/sr"

	"flywheel/loadtest/apache"
	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/setup"
	"flywheel/schemas"
)

// registry starts an empty registry that ends with the test.
func registry(t *testing.T) (*apache.Registry, codec.Config) {
	t.Helper()
	i, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	r, err := i.StartRegistry(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg := codec.DefaultConfig()
	cfg.URLs = []string{r.URL()}
	return r, cfg
}

func codecClient(t *testing.T, cfg codec.Config) *codec.Client {
	t.Helper()
	c, err := codec.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// contracts registers what is missing.
func contracts(t *testing.T, cfg codec.Config) []codec.Registration {
	t.Helper()
	done, err := setup.Contracts(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// TestARegistryOfProduction goes through the life of one registry.
func TestARegistryOfProduction(t *testing.T) {
	server, cfg := registry(t)
	subject := schemas.Subject(event.TopicAmazon, "amazon_review")

	if _, err := setup.CheckContracts(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "run 'flywheel topics apply'") {
		t.Errorf("an empty registry: %v", err)
	}

	// Registration: everything once, under ids that stay.
	first := contracts(t, cfg)
	ids := make(map[uint32]bool)
	for i, r := range first {
		if !r.Created || r.ID == 0 || ids[r.ID] {
			t.Errorf("in an empty registry: %+v", r)
		}
		ids[r.ID], first[i].Created = true, false
	}
	if diff := cmp.Diff(first, contracts(t, cfg)); diff != "" {
		t.Errorf("registering again (-want +got):\n%s", diff)
	}
	checked, err := setup.CheckContracts(t.Context(), cfg)
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(first, checked); diff != "" {
		t.Errorf("checking (-want +got):\n%s", diff)
	}

	// Ids: a record is read by the schema that its id names.
	client := codecClient(t, cfg)
	encoder, err := codec.NewEncoder(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	sent := review("brand", "1")
	value, err := encoder.Encode(nil, sent)
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := codec.NewDecoder(codecClient(t, cfg))
	if err != nil {
		t.Fatal(err)
	}
	got, err := decoder.Decode(t.Context(), event.TopicAmazon, value)
	if diff := cmp.Diff(any(sent), got); err != nil || diff != "" {
		t.Errorf("%v (-sent +read):\n%s", err, diff)
	}
	if _, err := client.Schema(t.Context(), 1_000_000); !errors.Is(err, codec.ErrUnknownSchema) {
		t.Errorf("an id that was never given: %v", err)
	}

	// Compatibility: the registry itself refuses what could not be read.
	hands, err := sr.NewClient(sr.URLs(server.URL()))
	if err != nil {
		t.Fatal(err)
	}
	_, err = hands.CreateSchema(t.Context(), subject, sr.Schema{Schema: incompatible})
	var refusal *sr.ResponseError
	if !errors.As(err, &refusal) || refusal.StatusCode != http.StatusConflict || refusal.ErrorCode != http.StatusConflict {
		t.Errorf("an incompatible version: %v, want 409", err)
	}

	// Down: a sentence that says where and what to do, and what is known stays known.
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"registering": second(setup.Contracts(t.Context(), cfg)),
		"checking":    second(setup.CheckContracts(t.Context(), cfg)),
		"looking up":  second(codecClient(t, cfg).Schema(t.Context(), first[0].ID)),
	} {
		if err == nil || !strings.Contains(err.Error(), server.URL()) || !strings.Contains(err.Error(), "start it, or set registry.urls") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s while it is down: %v", what, err)
		}
	}
	if _, err := decoder.Decode(t.Context(), event.TopicAmazon, value); err != nil {
		t.Errorf("a record of a known schema while it is down: %v", err)
	}

	// Restarted empty: it is not believed, until it has its contracts again.
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Schema(t.Context(), first[0].ID); err == nil || errors.Is(err, codec.ErrUnknownSchema) || !strings.Contains(err.Error(), "has forgotten schema") {
		t.Errorf("a registry that was restarted empty: %v", err)
	}
	again := contracts(t, cfg)
	for i := range again {
		if again[i].ID != first[i].ID {
			t.Errorf("%s has id %d after it had %d: records written before cannot be read", again[i].Subject, again[i].ID, first[i].ID)
		}
	}
	if _, err := client.Schema(t.Context(), first[0].ID); err != nil {
		t.Errorf("a registry that was filled again: %v", err)
	}
}

func TestASubjectThatHoldsSomethingElseIsLeftAlone(t *testing.T) {
	server, cfg := registry(t)
	hands, err := sr.NewClient(sr.URLs(server.URL()))
	if err != nil {
		t.Fatal(err)
	}
	subject := schemas.Subject(event.TopicAmazon, "amazon_review")
	if _, err := hands.CreateSchema(t.Context(), subject, sr.Schema{Schema: incompatible}); err != nil {
		t.Fatal(err)
	}
	_, err = setup.Contracts(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "does not fit version 1 that subject \""+subject+"\" holds") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	if held, err := hands.SubjectVersions(context.WithoutCancel(t.Context()), subject); err != nil || len(held) != 1 {
		t.Errorf("the subject holds versions %v, %v", held, err)
	}
}

// incompatible cannot be read as a review: what we need has no default.
const incompatible = `{"type":"record","name":"amazon_review","namespace":"flywheel.v1","fields":[{"name":"stars","type":"string"}]}`

func second[T any](_ T, err error) error { return err }
