// Package config loads a configuration strictly: a struct says which keys
// exist, and whatever it does not know is refused.
//
// A key is declared once, as a field. Its yaml tag names it, its doc tag
// documents it, its value in the defaults is its default:
//
//	type Config struct {
//		Brokers []string      `yaml:"brokers" doc:"Addresses host:port to ask first."`
//		Timeout time.Duration `yaml:"timeout" doc:"Give up a request after this long."`
//	}
//
// From that follow the file key kafka.brokers, the environment variable
// FLYWHEEL_KAFKA_BROKERS, the flag --kafka.brokers and the page that [Print]
// writes. Later sources win: defaults < file < environment < flags.
//
// Structs nest; a field tagged `yaml:",inline"` lends its keys to the struct
// around it. Values are text, true or false, numbers, durations, whatever
// implements [encoding.TextUnmarshaler] (see [Size]), and lists of these, which
// environment and flags separate by commas.
//
// A struct or value with a method Validate() error is asked once everything is
// loaded. Its sentences begin with the key they concern ("brokers: give at
// least one"); several are joined with [errors.Join].
package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

const (
	envPrefix    = "FLYWHEEL_"
	envFile      = "FLYWHEEL_CONFIG"
	fileBytesMax = 1 << 20
)

// Sources says where values come from. The zero Sources leaves the defaults.
type Sources struct {
	// File is the path of a YAML file. Empty takes the path from the variable
	// FLYWHEEL_CONFIG, and no file without it.
	File string
	// Environ holds NAME=value pairs as [os.Environ] returns them. Names that
	// do not begin with FLYWHEEL_ are nobody's business here.
	Environ []string
	// Flags holds what was given on the command line; nil is none. See [Bind].
	Flags *Flags
}

// Source is the kind of place a value came from.
type Source string

// The values of Source, the weakest first.
const (
	SourceDefault     Source = "default"
	SourceFile        Source = "file"
	SourceEnvironment Source = "environment"
	SourceFlag        Source = "flag"
)

// Origin is where one value came from.
type Origin struct {
	Source Source
	// Where is file:line:col, the variable or the flag; empty for a default.
	Where string
}

func (o Origin) String() string {
	if o.Where == "" {
		return string(o.Source)
	}
	return string(o.Source) + " " + o.Where
}

// Provenance tells for each key path, such as "kafka.brokers", where its value
// came from. A key that is absent has its default.
type Provenance map[string]Origin

// Of returns the origin of the key at path.
func (p Provenance) Of(path string) Origin {
	if o, ok := p[path]; ok {
		return o
	}
	return Origin{Source: SourceDefault}
}

// Load overlays the defaults with the sources and validates the result. The
// error joins one sentence for each thing wrong: where it stands, what was
// expected and what was found, or the nearest key to an unknown one.
func Load[T any](defaults T, from Sources) (T, Provenance, error) {
	s, err := schemaOf(reflect.TypeFor[T]())
	if err != nil {
		return defaults, nil, err
	}
	cfg := defaults
	l := loader{schema: s, values: reflect.ValueOf(&cfg).Elem(), origins: Provenance{}}
	l.file(from)
	l.environ(from.Environ)
	l.flags(from.Flags)
	l.validate()
	return cfg, l.origins, errors.Join(l.errs...)
}

// loader sets values from one source after the other and collects what is wrong.
type loader struct {
	*schema
	values  reflect.Value // the root struct
	origins Provenance
	errs    []error
}

func (l *loader) failf(format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf(format, args...))
}

func (l *loader) set(n *node, v reflect.Value, from Origin) {
	l.values.FieldByIndex(n.index).Set(v)
	l.origins[n.path] = from
}

func (l *loader) setText(n *node, text string, from Origin) {
	v, err := parseText(n.typ, text)
	if err != nil {
		l.failf("%s: key %q: %w", from, n.path, err)
		delete(l.origins, n.path) // what a weaker source says counts no more
		return
	}
	l.set(n, v, from)
}

func (l *loader) file(from Sources) {
	path := from.File
	if path == "" {
		path = lookup(from.Environ, envFile)
	}
	if path == "" {
		return
	}
	data, err := readFile(path)
	if err != nil {
		l.failf("read the configuration: %w", err)
		return
	}
	l.yaml(path, data)
}

// readFile reads at most fileBytesMax bytes: a configuration is not a data file.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the file already
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the file already
	}
	if len(data) > fileBytesMax {
		return nil, fmt.Errorf("%s is larger than %s: is it the right file?", path, Size(fileBytesMax))
	}
	return data, nil
}

// lookup returns the value of a variable; the last of several wins, as in the shell.
func lookup(environ []string, name string) string {
	for _, pair := range slices.Backward(environ) {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

func (l *loader) environ(environ []string) {
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix) || name == envFile {
			continue
		}
		from := Origin{SourceEnvironment, name}
		if n := l.byEnv[name]; n != nil {
			l.setText(n, text, from)
			continue
		}
		hint := ""
		if serviceLink.MatchString(name) {
			hint = "; if Kubernetes made it for a service, set enableServiceLinks to false in the pod"
		}
		l.failf("%s: no key has this variable%s%s", from, Hint(name, slices.Values(l.envNames())), hint)
	}
}

// serviceLink is how the variables end that a pod has of every service beside it,
// such as FLYWHEEL_PORT_80_TCP of one called flywheel.
var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_[A-Z_]+)?)$`)

func (l *loader) flags(flags *Flags) {
	if flags == nil {
		return
	}
	for _, n := range l.keys { // in the order of the struct, so that errors have one
		if text, ok := flags.values[n.path]; ok {
			l.setText(n, text, Origin{SourceFlag, "--" + n.path})
		}
	}
}

type validator interface{ Validate() error }

// validate asks the validators. Where something could not be read, its default stands
// in its place: what they say of that, or of a section as a whole, would be unfair, and
// is left for the next time.
func (l *loader) validate() {
	partly := len(l.errs) > 0
	for _, n := range l.nodes {
		v, ok := l.values.FieldByIndex(n.index).Addr().Interface().(validator)
		if !ok {
			continue
		}
		for _, err := range flatten(v.Validate()) {
			path, err := l.locate(n, err)
			if _, given := l.origins[path]; given || !partly {
				l.errs = append(l.errs, err)
			}
		}
	}
}

// locate completes a sentence of the validator at n: the path of the key it
// begins with, and where that key's value came from. It returns the path as well.
func (l *loader) locate(n *node, err error) (string, error) {
	if word, _, ok := strings.Cut(err.Error(), ":"); ok {
		if child := l.byPath[join(n.path, word)]; child != nil {
			return child.path, fmt.Errorf("%s (%s)%w", child.path, l.origins.Of(child.path), cutError{err, len(word)})
		}
	}
	switch {
	case n.path == "":
		return n.path, err
	case isSection(n.typ):
		return n.path, fmt.Errorf("%s: %w", n.path, err)
	}
	return n.path, fmt.Errorf("%s (%s): %w", n.path, l.origins.Of(n.path), err)
}

// cutError is an error without the first bytes of its text.
type cutError struct {
	err   error
	bytes int
}

func (e cutError) Error() string { return e.err.Error()[e.bytes:] }
func (e cutError) Unwrap() error { return e.err }

// flatten returns the errors that were joined into err; none for nil.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error }) // only the outermost is a list
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}
