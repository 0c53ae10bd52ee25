package config

import (
	"encoding"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"time"
)

// node is a key, or a section of keys when it has children.
type node struct {
	name     string // the last part of path
	path     string // such as "kafka.brokers"; empty for the root
	doc      string
	typ      reflect.Type
	index    []int // from the root struct, for reflect.Value.FieldByIndex
	children []*node
}

func (n *node) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(n.path, ".", "_"))
}

func (n *node) secret() bool { return n.typ == secretType }

// child returns the node called name, nil when there is none.
func (n *node) child(name string) *node {
	i := slices.IndexFunc(n.children, func(c *node) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return n.children[i]
}

// schema is what a root struct declares, in the order of its fields.
type schema struct {
	root   *node
	nodes  []*node // everything that may validate, inline structs included
	keys   []*node // without the sections
	byPath map[string]*node
	byEnv  map[string]*node
}

//nolint:gochecknoglobals // constants, if reflect could make any
var (
	secretType   = reflect.TypeFor[Secret]()
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// schemaOf reads the declaration. An error is a mistake in the program.
func schemaOf(root reflect.Type) (*schema, error) {
	s := &schema{root: &node{typ: root}, byPath: map[string]*node{}, byEnv: map[string]*node{}}
	if root.Kind() != reflect.Struct {
		return nil, fmt.Errorf("declare the configuration as a struct, not as %s", root)
	}
	s.nodes = append(s.nodes, s.root)
	if err := s.fields(s.root, root, nil); err != nil {
		return nil, fmt.Errorf("declare the configuration %s: %w", root, err)
	}
	return s, nil
}

// fields adds the fields of a struct as children of parent.
func (s *schema) fields(parent *node, t reflect.Type, index []int) error {
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "-" {
			continue
		}
		at := append(slices.Clone(index), i)
		if option == "inline" && f.Type.Kind() == reflect.Struct {
			s.nodes = append(s.nodes, &node{path: parent.path, typ: f.Type, index: at})
			if err := s.fields(parent, f.Type, at); err != nil {
				return err
			}
			continue
		}
		n := &node{name: name, path: join(parent.path, name), doc: oneLine(f.Tag.Get("doc")), typ: f.Type, index: at}
		if err := s.add(parent, n); err != nil {
			return fmt.Errorf("field %s.%s: %w", t, f.Name, err)
		}
		if isSection(f.Type) {
			if err := s.fields(n, f.Type, at); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *schema) add(parent, n *node) error {
	switch {
	case n.name == "":
		return fmt.Errorf(`give it a yaml tag, or yaml:"-" to leave it out`)
	case n.doc == "":
		return fmt.Errorf("give it a doc tag")
	case strings.Trim(n.name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "":
		return fmt.Errorf("name %q is not in snake_case", n.name)
	case !isSection(n.typ) && !isValue(n.typ):
		return fmt.Errorf("type %s cannot be written as text", n.typ)
	case s.byPath[n.path] != nil:
		return fmt.Errorf("key %q is declared twice", n.path)
	}
	parent.children = append(parent.children, n)
	s.nodes = append(s.nodes, n)
	s.byPath[n.path] = n
	if isSection(n.typ) {
		return nil
	}
	if other := s.byEnv[n.env()]; other != nil || n.env() == envFile {
		return fmt.Errorf("key %q has the same variable %s as another", n.path, n.env())
	}
	s.byEnv[n.env()] = n
	s.keys = append(s.keys, n)
	return nil
}

func (s *schema) paths() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, n := range s.nodes {
			if n.name != "" && !yield(n.path) {
				return
			}
		}
	}
}

func (s *schema) envNames() []string {
	names := make([]string, len(s.keys))
	for i, n := range s.keys {
		names[i] = n.env()
	}
	return names
}

func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(textType)
}

func isValue(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(textType) {
		return true
	}
	switch t.Kind() {
	case reflect.Slice:
		return t.Elem().Kind() != reflect.Slice && isValue(t.Elem())
	case reflect.String, reflect.Bool, reflect.Float64, reflect.Float32,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	}
	return false
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
