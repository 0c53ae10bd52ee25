package config

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// yaml sets what a file says. The tree is walked by hand and not decoded, since
// only the tree knows where each key stands.
func (l *loader) yaml(path string, data []byte) {
	if !utf8.Valid(data) {
		l.failf("%s: not a text file in UTF-8", path)
		return
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		l.errs = append(l.errs, syntaxError(path, err))
		return
	}
	w := walker{loader: l, file: path}
	for i, doc := range file.Docs {
		if i > 0 && doc.Body != nil {
			l.failf("%s: a second YAML document begins; a configuration is one", w.at(doc.Body))
			return
		}
		w.section(l.root, doc.Body)
	}
}

// syntaxError says where the YAML is broken, in one line.
func syntaxError(path string, err error) error {
	var syntax yaml.Error
	if errors.As(err, &syntax) && syntax.GetToken() != nil {
		p := syntax.GetToken().Position
		return fmt.Errorf("%s:%d:%d: %s", path, p.Line, p.Column, oneLine(syntax.GetMessage()))
	}
	return fmt.Errorf("%s: %s", path, oneLine(err.Error()))
}

type walker struct {
	*loader
	file string
}

// at returns file:line:col of a YAML node.
func (w walker) at(n ast.Node) string {
	var tk *token.Token
	if n != nil {
		tk = n.GetToken()
	}
	if tk == nil || tk.Position == nil {
		return w.file
	}
	return fmt.Sprintf("%s:%d:%d", w.file, tk.Position.Line, tk.Position.Column)
}

func (w walker) section(n *node, body ast.Node) {
	if isNothing(body) {
		return
	}
	mapping := mappingOf(body)
	if mapping == nil {
		name := "the configuration"
		if n.path != "" {
			name = fmt.Sprintf("section %q", n.path)
		}
		w.failf("%s: %s: expected keys and values, found %s", w.at(body), name, describe(body))
		return
	}
	for entry := mapping.MapRange(); entry.Next(); {
		w.entry(n, entry.KeyValue())
	}
}

func (w walker) entry(parent *node, kv *ast.MappingValueNode) {
	key, ok := kv.Key.(*ast.StringNode)
	if !ok {
		w.failf("%s: %s is not a key", w.at(kv.Key), describe(kv.Key))
		return
	}
	n := parent.child(key.Value)
	switch {
	case n == nil:
		path := join(parent.path, key.Value)
		w.failf("%s: unknown key %q%s", w.at(key), path, Hint(path, w.paths()))
	case len(n.children) > 0:
		w.section(n, kv.Value)
	default:
		v, err := fromYAML(n.typ, kv.Value)
		if err != nil {
			w.failf("%s: key %q: %w", w.at(kv.Value), n.path, err)
			return
		}
		w.set(n, v, Origin{SourceFile, w.at(key)})
	}
}

// mappingOf returns keys and values, nil where there are none. Tags, anchors and
// aliases pose as whatever they stand for, and are refused.
func mappingOf(n ast.Node) ast.MapNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n
	case *ast.MappingValueNode:
		return n
	}
	return nil
}

func isNothing(n ast.Node) bool {
	switch n.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
		return true
	}
	return false
}

// fromYAML reads a value as a file writes it: 15 is a number, "15" is text.
func fromYAML(t reflect.Type, n ast.Node) (reflect.Value, error) {
	if reflect.PointerTo(t).Implements(textType) {
		if text, ok := scalar(n); ok {
			return parseText(t, text)
		}
		return reflect.Value{}, mismatch(t, describe(n))
	}
	switch n := n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		if t.Kind() == reflect.String || t == durationType {
			text, _ := scalar(n)
			return parseText(t, text)
		}
	case *ast.BoolNode:
		if t.Kind() == reflect.Bool {
			return parseText(t, strconv.FormatBool(n.Value))
		}
	case *ast.IntegerNode:
		if isNumber(t) {
			return parseText(t, fmt.Sprint(n.Value))
		}
	case *ast.FloatNode:
		if isNumber(t) && reflect.Zero(t).CanFloat() {
			return parseText(t, strconv.FormatFloat(n.Value, 'g', -1, 64))
		}
	case *ast.SequenceNode:
		if t.Kind() == reflect.Slice {
			return listFromYAML(t, n)
		}
	}
	return reflect.Value{}, mismatch(t, describe(n))
}

func isNumber(t reflect.Type) bool {
	v := reflect.Zero(t)
	return t != durationType && (v.CanInt() || v.CanUint() || v.CanFloat())
}

func listFromYAML(t reflect.Type, n *ast.SequenceNode) (reflect.Value, error) {
	list := reflect.MakeSlice(t, 0, 0)
	for item := n.ArrayRange(); item.Next(); {
		v, err := fromYAML(t.Elem(), item.Value())
		if err != nil {
			return list, fmt.Errorf("entry %d: %w", list.Len()+1, err)
		}
		list = reflect.Append(list, v)
	}
	return list, nil
}

// scalar returns the text of a scalar that is not null.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// describe names what a YAML node is, for error sentences.
func describe(n ast.Node) string {
	text, _ := scalar(n)
	switch n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.StringNode, *ast.LiteralNode:
		return "text " + strconv.Quote(text)
	case *ast.IntegerNode:
		return "whole number " + text
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "number " + n.GetToken().Value
	case *ast.BoolNode:
		return text
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys and values"
	}
	return "YAML " + n.Type().String() + ", which configurations do without"
}
