// Package registry serves Confluent's schema registry API from this process. The bookkeeping is
// srfake's; what that leaves out is added here: schemas are parsed, compatibility is checked, and
// changes are kept in a journal so that ids outlive the process.
package registry

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

const (
	bodyBytesMax  = 1 << 20
	referencesMax = 100
)

// Confluent's error codes.
const (
	codeIncompatible  = 409
	codeInvalidSchema = 42201
	codeStore         = 50001
)

// Registry is an http.Handler. Create it with New; Close releases its journal.
type Registry struct {
	mu      sync.Mutex // orders changes, so that replaying the journal repeats them
	store   *srfake.Registry
	handler http.Handler
	journal *os.File // nil: kept in memory only
	mux     *http.ServeMux
}

// change is one line of the journal: a request that may have changed the registry.
type change struct {
	Method string `json:"method"`
	Target string `json:"target"` // path and query
	Body   []byte `json:"body,omitempty"`
}

// New returns a registry with the state its journal in dir holds; dir "" keeps it in memory.
func New(dir string) (*Registry, error) {
	store := srfake.NewRegistry()
	r := &Registry{store: store, handler: store.Handler(), mux: http.NewServeMux()}
	r.mux.HandleFunc("POST /subjects/{subject}/versions", r.register)
	r.mux.HandleFunc("POST /compatibility/subjects/{subject}/versions", r.compatibility)
	r.mux.HandleFunc("POST /compatibility/subjects/{subject}/versions/{version}", r.compatibility)
	r.mux.HandleFunc("PUT /", r.change)
	r.mux.HandleFunc("DELETE /", r.change)
	r.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { respond(w, http.StatusOK, struct{}{}) })
	r.mux.Handle("/", r.handler)
	if dir == "" {
		return r, nil
	}
	if err := r.openJournal(filepath.Join(dir, "journal.jsonl")); err != nil {
		return nil, err
	}
	return r, nil
}

// openJournal replays the journal. A line torn by a crash was never acknowledged and is cut off.
func (r *Registry) openJournal(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("create the schema registry's folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return fmt.Errorf("open the schema registry's journal: %w", err)
	}
	var whole int64
	lines := bufio.NewReader(f)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return errors.Join(fmt.Errorf("read the schema registry's journal %q: %w", path, err), f.Close())
		}
		var c change
		if err := json.Unmarshal(line, &c); err != nil {
			return errors.Join(fmt.Errorf("line %d of the schema registry's journal %q is damaged: restore it or delete it to start afresh: %w", number, path, err), f.Close())
		}
		r.call(c.Method, c.Target, c.Body)
		whole += int64(len(line))
	}
	if err := f.Truncate(whole); err != nil {
		return errors.Join(fmt.Errorf("cut the torn end of the schema registry's journal %q: %w", path, err), f.Close())
	}
	if _, err := f.Seek(whole, io.SeekStart); err != nil {
		return errors.Join(fmt.Errorf("find the end of the schema registry's journal %q: %w", path, err), f.Close())
	}
	r.journal = f
	return nil
}

// Close releases the journal.
func (r *Registry) Close() error {
	if r.journal == nil {
		return nil
	}
	return r.journal.Close()
}

func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	req.Body = http.MaxBytesReader(w, req.Body, bodyBytesMax)
	r.mux.ServeHTTP(w, req)
}

// register adds a version if it parses and is compatible.
func (r *Registry) register(w http.ResponseWriter, req *http.Request) {
	body, ok := readBody(w, req)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	subject := req.PathValue("subject")
	if known := r.call(http.MethodPost, "/subjects/"+url.PathEscape(subject), body); known.Code == http.StatusOK {
		known = r.call(req.Method, req.URL.RequestURI(), body) // changes nothing: needs no journal
		forward(w, known)
		return
	}
	schema, err := r.parse(body)
	if err != nil {
		fail(w, http.StatusUnprocessableEntity, codeInvalidSchema, err.Error())
		return
	}
	level, versions := r.level(subject), r.versions(subject)
	if !transitive(level) && len(versions) > 1 {
		versions = versions[len(versions)-1:]
	}
	if problems := r.check(schema, subject, versions, level); len(problems) > 0 {
		fail(w, http.StatusConflict, codeIncompatible, fmt.Sprintf(
			"Schema being registered is incompatible with an earlier schema for subject %q, details: [%s]", subject, strings.Join(problems, "; ")))
		return
	}
	r.apply(w, req, body)
}

// compatibility tests a schema without registering it.
func (r *Registry) compatibility(w http.ResponseWriter, req *http.Request) {
	body, ok := readBody(w, req)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	subject := req.PathValue("subject")
	schema, err := r.parse(body)
	if err != nil {
		fail(w, http.StatusUnprocessableEntity, codeInvalidSchema, err.Error())
		return
	}
	level, versions := r.level(subject), r.versions(subject)
	if version := req.PathValue("version"); version != "" {
		found := r.call(http.MethodGet, "/subjects/"+url.PathEscape(subject)+"/versions/"+url.PathEscape(version), nil)
		if found.Code != http.StatusOK {
			forward(w, found)
			return
		}
		var one struct {
			Version int `json:"version"`
		}
		if err := json.Unmarshal(found.Body.Bytes(), &one); err != nil {
			fail(w, http.StatusInternalServerError, codeStore, err.Error())
			return
		}
		versions = []int{one.Version}
	} else if !transitive(level) && len(versions) > 1 {
		versions = versions[len(versions)-1:]
	}
	problems := r.check(schema, subject, versions, level)
	answer := map[string]any{"is_compatible": len(problems) == 0}
	if req.URL.Query().Get("verbose") == "true" {
		answer["messages"] = append([]string{}, problems...)
	}
	respond(w, http.StatusOK, answer)
}

// change passes on a request that changes settings or deletes.
func (r *Registry) change(w http.ResponseWriter, req *http.Request) {
	body, ok := readBody(w, req)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.apply(w, req, body)
}

// apply journals a change, then makes it. A change the store refuses is refused again on replay.
func (r *Registry) apply(w http.ResponseWriter, req *http.Request, body []byte) {
	target := req.URL.RequestURI()
	if r.journal != nil {
		line, err := json.Marshal(change{Method: req.Method, Target: target, Body: body})
		if err == nil {
			err = r.appendLine(append(line, '\n'))
		}
		if err != nil {
			fail(w, http.StatusInternalServerError, codeStore, fmt.Sprintf("the schema registry could not keep the change: free disk space or check the data folder: %v", err))
			return
		}
	}
	forward(w, r.call(req.Method, target, body))
}

// appendLine writes a whole line or nothing.
func (r *Registry) appendLine(line []byte) error {
	end, err := r.journal.Seek(0, io.SeekCurrent)
	if err != nil {
		return fmt.Errorf("find the journal's end: %w", err)
	}
	if _, err = r.journal.Write(line); err == nil {
		err = r.journal.Sync()
	}
	if err != nil {
		err = errors.Join(err, r.journal.Truncate(end))
		_, seekErr := r.journal.Seek(end, io.SeekStart)
		return errors.Join(err, seekErr)
	}
	return nil
}

// parse reads a request's schema together with the schemas it refers to.
func (r *Registry) parse(body []byte) (*avro.Schema, error) {
	var s sr.Schema
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, fmt.Errorf("Invalid request: %w", err) //nolint:staticcheck // Confluent's wording
	}
	if s.Type != sr.TypeAvro {
		return nil, fmt.Errorf("Invalid schema: the embedded registry checks Avro only, not %s", s.Type) //nolint:staticcheck // as above
	}
	cache, budget := &avro.SchemaCache{}, referencesMax
	if err := r.parseReferences(cache, s.References, &budget); err != nil {
		return nil, err
	}
	parsed, err := cache.Parse(s.Schema)
	if err != nil {
		return nil, fmt.Errorf("Invalid schema: %w", err) //nolint:staticcheck // as above
	}
	return parsed, nil
}

func (r *Registry) parseReferences(cache *avro.SchemaCache, references []sr.SchemaReference, budget *int) error {
	for _, reference := range references {
		if *budget--; *budget < 0 {
			return fmt.Errorf("Invalid schema: more than %d references", referencesMax) //nolint:staticcheck // as above
		}
		found, ok := r.store.GetSchema(reference.Subject, reference.Version)
		if !ok {
			return fmt.Errorf("Invalid schema: no version %d of the referenced subject %q", reference.Version, reference.Subject) //nolint:staticcheck // as above
		}
		if err := r.parseReferences(cache, found.References, budget); err != nil {
			return err
		}
		if _, err := cache.Parse(found.Schema.Schema); err != nil {
			return fmt.Errorf("Invalid schema: referenced subject %q: %w", reference.Subject, err) //nolint:staticcheck // as above
		}
	}
	return nil
}

// check lists what makes the schema incompatible with the versions.
func (r *Registry) check(schema *avro.Schema, subject string, versions []int, level sr.CompatibilityLevel) (problems []string) {
	for _, version := range versions {
		found, ok := r.store.GetSchema(subject, version)
		if !ok {
			continue
		}
		cache, budget := &avro.SchemaCache{}, referencesMax
		err := r.parseReferences(cache, found.References, &budget)
		var old *avro.Schema
		if err == nil {
			old, err = cache.Parse(found.Schema.Schema)
		}
		if err == nil && backwardLevel(level) {
			err = avro.CheckCompatibility(old, schema)
		}
		if err == nil && forwardLevel(level) {
			err = avro.CheckCompatibility(schema, old)
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("version %d: %v", version, err))
		}
	}
	return problems
}

func backwardLevel(l sr.CompatibilityLevel) bool {
	return l == sr.CompatBackward || l == sr.CompatBackwardTransitive || l == sr.CompatFull || l == sr.CompatFullTransitive
}

func forwardLevel(l sr.CompatibilityLevel) bool {
	return l == sr.CompatForward || l == sr.CompatForwardTransitive || l == sr.CompatFull || l == sr.CompatFullTransitive
}

func transitive(l sr.CompatibilityLevel) bool {
	return l == sr.CompatBackwardTransitive || l == sr.CompatForwardTransitive || l == sr.CompatFullTransitive
}

// level is the subject's compatibility level, or the global one.
func (r *Registry) level(subject string) sr.CompatibilityLevel {
	var answer struct {
		Level sr.CompatibilityLevel `json:"compatibilityLevel"`
	}
	found := r.call(http.MethodGet, "/config/"+url.PathEscape(subject)+"?defaultToGlobal=true", nil)
	if json.Unmarshal(found.Body.Bytes(), &answer) != nil {
		return sr.CompatBackward
	}
	return cmp.Or(answer.Level, sr.CompatBackward)
}

// versions of a subject that are not deleted, ascending.
func (r *Registry) versions(subject string) []int {
	var versions []int
	found := r.call(http.MethodGet, "/subjects/"+url.PathEscape(subject)+"/versions", nil)
	if found.Code != http.StatusOK || json.Unmarshal(found.Body.Bytes(), &versions) != nil {
		return nil
	}
	return versions
}

// call asks the store.
func (r *Registry) call(method, target string, body []byte) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	req, err := http.NewRequestWithContext(context.Background(), method, target, bytes.NewReader(body))
	if err != nil {
		answer.Code = http.StatusBadRequest
		return answer
	}
	r.handler.ServeHTTP(answer, req)
	return answer
}

func readBody(w http.ResponseWriter, req *http.Request) ([]byte, bool) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		fail(w, http.StatusRequestEntityTooLarge, http.StatusRequestEntityTooLarge, fmt.Sprintf("cannot read the request, at most %d bytes: %v", bodyBytesMax, err))
		return nil, false
	}
	return body, true
}

func forward(w http.ResponseWriter, answer *httptest.ResponseRecorder) {
	for key, values := range answer.Header() {
		w.Header()[key] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func fail(w http.ResponseWriter, status, code int, message string) {
	respond(w, status, map[string]any{"error_code": code, "message": message})
}

func respond(w http.ResponseWriter, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error_code":`+strconv.Itoa(codeStore)+`,"message":"cannot encode the answer"}`)
	}
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
