package config

import (
	"bufio"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Print writes a configuration as a YAML file that [Load] reads back: above
// each key its documentation, behind it where its value came from. Secrets are
// masked, and a mask is refused by Load.
func Print[T any](w io.Writer, cfg T, from Provenance) error {
	s, err := schemaOf(reflect.TypeFor[T]())
	if err != nil {
		return err
	}
	p := printer{Writer: bufio.NewWriter(w), values: reflect.ValueOf(&cfg).Elem(), origins: from}
	p.section(s.root, "")
	if err := p.Flush(); err != nil {
		return fmt.Errorf("print the configuration: %w", err)
	}
	return nil
}

// printer keeps the first write error until Flush.
type printer struct {
	*bufio.Writer
	values  reflect.Value // the root struct
	origins Provenance
}

func (p printer) section(parent *node, indent string) {
	for i, n := range parent.children {
		if i > 0 && indent == "" {
			fmt.Fprintln(p)
		}
		fmt.Fprintf(p, "%s# %s\n", indent, n.doc)
		if len(n.children) > 0 {
			fmt.Fprintf(p, "%s%s:\n", indent, n.name)
			p.section(n, indent+"  ")
			continue
		}
		value, origin := format(p.values.FieldByIndex(n.index)), p.origins.Of(n.path)
		comment := ""
		if n.secret() && origin.Source == SourceDefault && value != quote("") {
			comment = "# "
		}
		fmt.Fprintf(p, "%s%s%s: %s # %s\n", indent, comment, n.name, value, oneLine(origin.String()))
	}
}

// format writes a value as YAML on one line.
func format(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case Secret:
		return quote(x.String())
	case time.Duration:
		return x.String()
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		if err != nil {
			return quote(fmt.Sprint(x))
		}
		return quote(string(text))
	}
	switch v.Kind() {
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = format(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.String:
		return quote(v.String())
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits())
	}
	return fmt.Sprint(v.Interface())
}

var plain = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9_./:@+-]*[A-Za-z0-9/]$`)

// quote writes text plainly where YAML reads it back as the same text, and as
// JSON, which YAML includes, everywhere else.
func quote(s string) string {
	if plain.MatchString(s) {
		f, err := parser.ParseBytes([]byte("["+s+"]"), 0)
		if err == nil && len(f.Docs) == 1 {
			if list, ok := f.Docs[0].Body.(*ast.SequenceNode); ok && len(list.Values) == 1 {
				if text, ok := list.Values[0].(*ast.StringNode); ok && text.Value == s {
					return s
				}
			}
		}
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // text always encodes
	return strings.TrimSuffix(b.String(), "\n")
}
